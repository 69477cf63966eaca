"""
Abundance maps: time per pixel beside scipy's solver, and the memory of a large map.

Both work on the same synthetic map and its true spectra. Scipy's `nnls` gets each pixel's dense
spectrum, ready in memory; ours reads the chunks from a store. That both find the same amounts is
checked before anything is timed. The Poisson form has no peer that does its work for
more than a few pixels, so its time is given as a multiple of that of least squares. The memory is
that of a process that opens a stored map and unmixes it, with everything that it imports.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from scipy.optimize import nnls

from benchmarks.common import Result, median_ratio, peak_memory, report_memory, rounds, seconds
from sigma_scale.phases.pixel_unmixing import unmix_pixels
from sigma_scale.store import open_map, write_map
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage


MEMBERS, COUNTS = 8, 25.0


def end_members() -> xr.DataArray:
    """Spectra of the first minerals of a synthetic map, whatever its size."""
    return synthetic_map((8, 8), counts_per_pixel=COUNTS).spectra[:MEMBERS]


def on_threads(
    number: int, image: SpectrumImage, members: xr.DataArray, *, method: str = "least_squares"
) -> xr.Dataset:
    """Unmix with a number of threads."""
    with dask.config.set(scheduler="threads", num_workers=number):
        return unmix_pixels(image, members, method=method, lazy=False)


def by_scipy(spectra: NDArray[np.float64], members: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amounts of dense spectra (pixel, channel), one after the other."""
    return np.array([nnls(members, spectrum)[0] for spectrum in spectra])


def compare(path: Path, members: xr.DataArray, n_dense: int, repeats: int) -> dict[str, float]:
    """Check that both agree, then time them in turn."""
    image = open_map(path)
    n_pixels = image.shape[0] * image.shape[1]
    rows = max(n_dense // image.shape[1], 1)
    dense = image.to_xarray()[:rows].to_numpy().reshape(-1, image.shape[2]).astype(float)
    ours = on_threads(1, image, members)
    profiles = ours["end_member"].to_numpy().T.copy()
    theirs = by_scipy(dense, profiles)
    found = ours["abundance"][:rows].to_numpy().reshape(theirs.shape)
    difference = np.abs(found - theirs).max() / theirs.max()
    if difference > 1e-6:  # noqa: PLR2004
        raise RuntimeError(f"The two differ by {difference:.1e}: there is nothing to compare.")
    times = rounds(
        {
            "scipy": lambda: by_scipy(dense, profiles),
            "one": lambda: on_threads(1, image, members),
            "two": lambda: on_threads(2, image, members),
            "poisson": lambda: on_threads(1, image, members, method="poisson"),
        },
        repeats,
    )
    shares = n_pixels / len(dense)
    return {
        "largest difference from scipy's, of the largest amount": float(difference),
        "scipy, us per pixel": min(times["scipy"]) / len(dense) * 1e6,
        "least squares, us per pixel, 1 thread": min(times["one"]) / n_pixels * 1e6,
        "Poisson, us per pixel, 1 thread": min(times["poisson"]) / n_pixels * 1e6,
        "times scipy's speed, 1 thread": shares * median_ratio(times["scipy"], times["one"]),
        "times scipy's speed, 2 threads": shares * median_ratio(times["scipy"], times["two"]),
        "Poisson, times the time of least squares": median_ratio(times["poisson"], times["one"]),
    }


def report(path: str) -> None:
    """Unmix a stored map in this process, and report time, size of the result and peak memory."""
    image = open_map(path)
    results: list[Any] = []
    took = seconds(lambda: results.append(on_threads(2, image, end_members())))
    report_memory(seconds=took, outputs=int(results[0].nbytes))


def measure(*, quick: bool) -> Result:
    """Measure speed on a small map and memory on one of 4 million pixels."""
    side, large, n_dense, repeats = (64, 128, 256, 1) if quick else (512, 2000, 8192, 5)
    result = Result(
        "abundance maps",
        {"pixels": side**2, "end-members": MEMBERS, "channels": 1024, "counts per pixel": COUNTS},
    )
    figures = result.figures
    figures["load of the machine at the start"] = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.zarr"
        write_map(synthetic_map((side, side), counts_per_pixel=COUNTS).image, path)
        figures |= compare(path, end_members(), n_dense, repeats)
        path = Path(folder) / "large.zarr"
        write_map(synthetic_map((large, large), counts_per_pixel=COUNTS).image, path)
        large_map = peak_memory("benchmarks.phases", "--part", "abundance", "--report", str(path))
    name = f"{large**2:,} pixels"
    figures[f"{name}: time, s, 2 threads"] = large_map["seconds"]
    figures[f"{name}: result, MB"] = large_map["outputs"] / 1e6
    figures[f"{name}: peak memory of the process, MB"] = large_map["peak"] / 1e6
    figures["load of the machine at the end"] = os.getloadavg()[0]
    return result
