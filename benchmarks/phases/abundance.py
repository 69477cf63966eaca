"""
Abundance maps: time per pixel beside scipy's solver, and the memory of a large map.

Both work on the same synthetic map and its true spectra. Scipy's `nnls` gets each pixel's dense
spectrum, ready in memory; ours reads the chunks from a store. That both find the same amounts is
checked before anything is timed. The Poisson form has no peer that does its work for more than a
few pixels, so least squares stand beside it. The limit is to read and decompress the same chunks.
The memory is that of a process that opens a stored map and unmixes it, with everything that it
imports.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from scipy.optimize import nnls

from benchmarks.common import median_ratio, peak_memory, report_memory, rounds, seconds
from benchmarks.feature_pass import read_and_decompress
from benchmarks.record import Result, Row
from sigma_scale.phases.pixel_unmixing import unmix_pixels
from sigma_scale.store import Encoding, open_map, write_map
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


def compare(path: Path, members: xr.DataArray, n_dense: int, repeats: int) -> list[Row]:
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
            "limit": lambda: read_and_decompress(path, Encoding(), 1),
            "limit, two": lambda: read_and_decompress(path, Encoding(), 2),
            "scipy": lambda: by_scipy(dense, profiles),
            "one": lambda: on_threads(1, image, members),
            "two": lambda: on_threads(2, image, members),
            "poisson": lambda: on_threads(1, image, members, method="poisson"),
        },
        repeats,
    )
    shares = n_pixels / len(dense)
    nnls_name = f"SciPy {version('scipy')}, nnls"
    agreed = f"largest difference {difference:.0e} of the largest amount"

    def row(stage: str, name: str, peer: str, ratio: float, agreement: str = "") -> Row:
        limit = times["limit, two" if name == "two" else "limit"]
        return Row(
            stage=stage,
            size=n_pixels,
            seconds=min(times[name]),
            peer=peer,
            times_peer=ratio,
            limit="read and decompress",
            of_limit=median_ratio(limit, times[name]),
            agreement=agreement,
        )

    one, two, poisson = times["one"], times["two"], times["poisson"]
    by_one = shares * median_ratio(times["scipy"], one)
    return [
        row("least squares, 1 thread", "one", nnls_name, by_one, agreed),
        row("least squares, 2 threads", "two", "one thread", median_ratio(one, two)),
        row("Poisson, 1 thread", "poisson", "least squares", median_ratio(one, poisson)),
    ]


def report(path: str) -> None:
    """Unmix a stored map in this process, and report time, size of the result and peak memory."""
    image = open_map(path)
    on_threads(1, synthetic_map((8, 8), counts_per_pixel=COUNTS).image, end_members())  # compiles
    results: list[Any] = []
    took = seconds(lambda: results.append(on_threads(2, image, end_members())))
    report_memory(seconds=took, outputs=int(results[0].nbytes))


def measure(*, quick: bool) -> Result:
    """Measure speed on a small map and memory on one of 4 million pixels."""
    side, large, n_dense, repeats = (64, 128, 256, 1) if quick else (512, 2000, 8192, 5)
    result = Result(
        "phases: abundance maps",
        {"end-members": MEMBERS, "channels": 1024, "counts per pixel": COUNTS},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.zarr"
        write_map(synthetic_map((side, side), counts_per_pixel=COUNTS).image, path)
        result.rows = compare(path, end_members(), n_dense, repeats)
        path = Path(folder) / "large.zarr"
        write_map(synthetic_map((large, large), counts_per_pixel=COUNTS).image, path)
        found = peak_memory("benchmarks.phases", "--part", "abundance", "--report", str(path))
        limit = seconds(lambda: read_and_decompress(path, Encoding(), 2))
    result.rows.append(
        Row(
            stage="least squares, 2 threads",
            size=large**2,
            seconds=found["seconds"],
            limit="read and decompress",
            of_limit=limit / found["seconds"],
            peak_memory=found["peak"],
        )
    )
    result.figures["result of the large map, MB"] = found["outputs"] / 1e6
    return result
