"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import confusion_matrix

from sigma_scale.spectra import EnergyAxis, SpectrumImage

if TYPE_CHECKING:
    from collections.abc import Callable

# The first call of a compiled loop takes seconds; how long a call takes proves nothing.
settings.register_profile("sigma_scale", deadline=None)
settings.load_profile("sigma_scale")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real files, which are not part of the project."""
    folder = Path(os.environ.get("SIGMA_SCALE_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real files: there is no folder {folder} (SIGMA_SCALE_REAL_DATA names it)")
    return folder


@pytest.fixture(scope="session")
def golden(real_data: Path) -> dict[str, Any]:
    """What the original program computes from two of the real files."""
    path = real_data.parent / "golden" / "sigma2_golden.npz"
    if not path.is_file():
        pytest.skip(f"no golden values: there is no file {path}")
    with np.load(path) as values:
        return dict(values)


@pytest.fixture
def counts() -> np.ndarray:
    """Sparse counts of a map that doesn't fit its blocks: 150 x 140 pixels, 300 channels."""
    rng = np.random.default_rng(7)
    dense = rng.poisson(0.03, (150, 140, 300)).astype(np.uint8)
    dense[3, 5] = 0
    dense[10, 20, 299] = 255
    return dense


@pytest.fixture
def image(counts: np.ndarray) -> SpectrumImage:
    """The same counts as a spectrum image from -0.2 to 2.8 keV."""
    return SpectrumImage.from_array(counts, EnergyAxis(300, 0.01, -0.2))


@pytest.fixture
def hdbscan_in_other_orders() -> Callable[..., np.ndarray]:
    """Give labels of the hdbscan library for rows in forty other orders, by the same numbers."""
    hdbscan = pytest.importorskip("hdbscan")

    def labels_of(rows: np.ndarray, arguments: dict[str, Any], expected: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(0)
        found = np.empty((40, len(rows)), int)
        for labels in found:
            order = rng.permutation(len(rows))
            labels[order] = hdbscan.HDBSCAN(**arguments).fit(rows[order]).labels_
            overlap = confusion_matrix(labels, expected)[1:, 1:]  # without noise, -1
            number = linear_sum_assignment(-overlap)[1]
            labels[:] = np.append(number, -1)[labels]
        return found

    return labels_of


class CUDARuntimeError(RuntimeError):
    """What CuPy raises if there is no device."""


@pytest.fixture
def gpu_twin(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """
    Put NumPy and SciPy in the place of CuPy, so that code for a GPU runs on the processor.

    ``devices`` says how many devices it sees, or which error it raises when it looks.
    """
    import scipy.sparse

    state = SimpleNamespace(devices=1, transfers=0, error=CUDARuntimeError)

    def count() -> int:
        if isinstance(state.devices, Exception):
            raise state.devices
        return state.devices

    def to_numpy(array: np.ndarray) -> np.ndarray:
        state.transfers += 1
        return np.array(array)

    def module(name: str, **contents: Any) -> None:
        made = ModuleType(name)
        made.__spec__ = ModuleSpec(name, None)
        vars(made).update(contents)
        monkeypatch.setitem(sys.modules, name, made)

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    cuda = SimpleNamespace(runtime=runtime)
    module("cupy", **(vars(np) | {"asnumpy": to_numpy, "cuda": cuda}))
    module("cupyx.scipy.sparse", **vars(scipy.sparse))
    module("cupyx.scipy", sparse=sys.modules["cupyx.scipy.sparse"])
    module("cupyx", scipy=sys.modules["cupyx.scipy"])
    module("cuml")
    return state
