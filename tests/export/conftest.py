"""A small map that doesn't fit its blocks, and how other programs read what became of it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def counts() -> np.ndarray:
    rng = np.random.default_rng(7)
    dense = rng.poisson(0.05, (70, 60, 50)).astype(np.uint8)
    dense[3, 5] = 0
    dense[10, 20, 49] = 255
    return dense


@pytest.fixture
def image(counts: np.ndarray) -> SpectrumImage:
    return SpectrumImage(ArraySource(counts, (32, 32)), EnergyAxis(50, 0.05, -0.2))


@pytest.fixture
def described(counts: np.ndarray) -> SpectrumImage:
    """The same map with all that a file can say, and two images."""
    rng = np.random.default_rng(1)
    fine = {"y": np.arange(140) / 2, "x": np.arange(120) / 2}
    return SpectrumImage(
        ArraySource(counts, (32, 32)),
        EnergyAxis(50, 0.05, -0.2),
        pixel_size=(0.5, 0.25),
        pixel_unit="µm",
        images={
            "navigation": xr.DataArray(rng.integers(0, 255, (70, 60)), dims=("y", "x")),
            "fine": xr.DataArray(
                rng.random((140, 120)),
                dims=("y", "x"),
                coords=fine,
                attrs={"long_name": "a finer image"},
            ),
        },
        metadata=MapMetadata(
            title="a/rock\0.",
            beam_energy_kev=20.0,
            resolution_mn_ka_ev=128.0,
            live_time_s=12.5,
            real_time_s=15.0,
            elevation_deg=18.0,
            azimuth_deg=45.0,
            stage_x_mm=1.5,
            elements=("Si", "Al"),
            lines=("Si_Ka", "Al_Ka"),
        ),
    )


@pytest.fixture(scope="session")
def quietly() -> Callable[..., Any]:
    """Call a function of a library without its warnings."""

    def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arguments, **options)

    return call


@pytest.fixture(scope="session")
def dense(quietly: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """What other programs read from an export."""

    def load(path: Path, name: str = "counts") -> np.ndarray:
        if path.suffix == ".zarr":
            return xr.open_zarr(path)[name].values
        from rsciio import hspy, zspy

        reader = hspy if path.suffix == ".hspy" else zspy
        (signal,) = quietly(reader.file_reader, path)
        return signal["data"]

    return load


@pytest.fixture
def left(tmp_path: Path) -> Callable[[], list[str]]:
    """Names of what lies in the test's folder."""
    return lambda: sorted(path.name for path in tmp_path.iterdir())
