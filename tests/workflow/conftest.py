"""One small map, and one run of the main job on it, for several test modules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sigma_scale.synthetic import SyntheticMap, synthetic_map
from sigma_scale.workflow import PhaseMapping, RunSettings, map_phases

if TYPE_CHECKING:
    from collections.abc import Callable

    from sigma_scale.spectra import SpectrumImage

# Lets test modules share saved_states.py and experiments.py, whatever pytest's import mode.
sys.path.insert(0, str(Path(__file__).parent))

QUICK = {"n_landmarks": 800, "n_epochs": 60}


@pytest.fixture(scope="session")
def quick() -> RunSettings:
    """Settings of a run that takes about a second."""
    return RunSettings(latent=QUICK, normalisation=("zscore",))


@pytest.fixture(scope="session")
def made() -> SyntheticMap:
    """A map of 128 x 128 pixels and its known phases."""
    return synthetic_map((128, 128), seed=0)


@pytest.fixture(scope="session")
def mapped(made: SyntheticMap, quick: RunSettings) -> PhaseMapping:
    """What the main job finds in it."""
    return map_phases(made.image, quick)


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw one empty figure, where what is drawn is not the question: drawing takes seconds."""
    from matplotlib.figure import Figure

    from sigma_scale.plot import FigurePanel
    from sigma_scale.workflow import outputs

    monkeypatch.setattr(
        outputs, "make_figures", lambda result: {"phase_map": FigurePanel(Figure((1, 1)))}
    )


@pytest.fixture(scope="session")
def write_hspy() -> Callable[[Path, SpectrumImage], Path]:
    """A function that writes a map as a HyperSpy file, as other programs would."""
    return _write_hspy


def _write_hspy(path: Path, image: SpectrumImage) -> Path:
    from rsciio.hspy import file_writer

    rows, columns, channels = image.shape
    height, width = image.pixel_size
    axes = [
        _axis("y", rows, height, 0.0, "µm", navigate=True),
        _axis("x", columns, width, 0.0, "µm", navigate=True),
        _axis(
            "Energy", channels, image.energy.scale_kev, image.energy.offset_kev, "keV",
            navigate=False,
        ),
    ]  # fmt: skip
    detector = {"energy_resolution_MnKa": image.metadata.resolution_mn_ka_ev}
    metadata = {
        "General": {"title": "granite"},
        "Signal": {"signal_type": "EDS_SEM"},
        "Sample": {"xray_lines": list(image.metadata.lines)},
        "Acquisition_instrument": {
            "SEM": {
                "beam_energy": image.metadata.beam_energy_kev or 20.0,
                "Detector": {"EDS": detector},
            }
        },
    }
    signal = {
        "data": np.asarray(image.to_xarray()),
        "axes": axes,
        "metadata": metadata,
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "hyperspy", "package_version": "2.3"},
        "tmp_parameters": {},
        "learning_results": {},
        "models": {},
    }
    file_writer(str(path), signal, show_progressbar=False)
    return path


def _axis(
    name: str, size: int, scale: float, offset: float, units: str, *, navigate: bool
) -> dict[str, Any]:
    return {
        "_type": "UniformDataAxis", "name": name, "size": size, "scale": scale, "offset": offset,
        "units": units, "navigate": navigate, "is_binned": not navigate,
    }  # fmt: skip


@pytest.fixture
def small_maps() -> np.ndarray:
    """Shares of five elements on 20 x 15 pixels."""
    return np.random.default_rng(0).dirichlet(np.ones(5), (20, 15))


@pytest.fixture
def make_experiment(small_maps: np.ndarray, tmp_path: Path) -> Callable[..., Any]:
    """Make an experiment on these maps, with some arguments changed."""
    from experiments import SIZES

    from sigma_scale.workflow.experiment import Experiment

    def make(**changes: Any) -> Experiment:
        arguments = {
            "descriptor": "zscore", "general_results_dir": tmp_path, "model_args": SIZES,
            "chosen_dataset": small_maps, "random_state": 0,
        }  # fmt: skip
        return Experiment(**arguments | changes)

    return make


@pytest.fixture
def trained_experiment(make_experiment: Callable[..., Any]) -> Any:
    """Make an experiment whose every epoch is on disk."""
    from experiments import QUICK_TRAINING

    experiment = make_experiment(save_model_every_epoch=True)
    experiment.run_model(**QUICK_TRAINING)
    return experiment
