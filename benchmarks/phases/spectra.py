"""
Spectra per phase against the rate at which the same chunks are merely read and decompressed.

One pass over the counts gives, per label, raw and normalised sums with their errors. It is timed
with the totals that the feature pass leaves, without them, weighted by a probability, and with a
weight for each phase in each pixel. The memory is the peak of a process that opens the stored map
and sums its spectra, with everything that it imports.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from benchmarks.common import median_ratio, peak_memory, report_memory, rounds
from benchmarks.feature_pass import read_and_decompress, with_threads
from benchmarks.record import Result, Row
from sigma_scale.features import feature_pass
from sigma_scale.phases.spectra import phase_spectra, soft_phase_spectra
from sigma_scale.preprocess import normalise
from sigma_scale.store import Encoding, open_map, write_map
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from sigma_scale.spectra import SpectrumImage


def check_sums(image: SpectrumImage, labels: xr.DataArray, spectra: xr.Dataset) -> None:
    """Refuse to report the time of something that lost counts."""
    whole = image.sum_spectrum().to_numpy()
    np.testing.assert_array_equal(spectra["counts"].sum("phase"), whole)
    np.testing.assert_equal(int(spectra["n_pixels"].sum()), labels.size)


def report(path: str) -> None:
    """Sum the spectra of a stored map in this process, with labels beside it; report its peak."""
    image = normalise(open_map(path))
    labels = xr.DataArray(np.load(f"{path}.labels.npy"), dims=("y", "x"))
    with_threads(2, lambda: phase_spectra(image, labels))()
    report_memory()


def measure(*, quick: bool) -> Result:
    """Measure on a map of 16.8 million pixels."""
    side, repeats = (256, 1) if quick else (4096, 3)
    encoding = Encoding()
    result = Result(
        "phases: spectra",
        {"pixels": side**2, "channels": 1024, "counts per pixel": 25.0},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.zarr"
        synthetic = synthetic_map((side, side), counts_per_pixel=25.0)
        write_map(synthetic.image, path, encoding=encoding)
        image = normalise(open_map(path))
        labels = synthetic.labels.compute()
        np.save(f"{path}.labels.npy", labels)
        total = feature_pass(image, ["Si_Ka"], lazy=False)["total"]
        rng = np.random.default_rng(0)
        probability = xr.DataArray(rng.random(labels.shape, dtype=np.float32), dims=("y", "x"))
        # Made block by block as they are needed: so many would not fit beside the rest.
        phases = xr.DataArray(np.arange(len(synthetic.phases)), dims="phase")
        soft = (labels.chunk(y=512, x=512) == phases).astype(np.float32)
        check_sums(image, labels, phase_spectra(image, labels, total=total))
        ways: dict[str, Callable[[], object]] = {
            "with totals": lambda: phase_spectra(image, labels, total=total),
            "without totals": lambda: phase_spectra(image, labels),
            "weighted": lambda: phase_spectra(image, labels, total=total, probability=probability),
            "weighted in every phase": lambda: soft_phase_spectra(image, soft, total=total),
        }
        times = rounds(
            {
                "limit": lambda: read_and_decompress(path, encoding, 2),
                **{name: with_threads(2, way) for name, way in ways.items()},
                "one thread": with_threads(1, ways["with totals"]),
            },
            repeats,
        )
        peak = peak_memory("benchmarks.phases", "--part", "spectra", "--report", str(path))["peak"]
    for name in ways:
        checked = name == "with totals"
        result.rows.append(
            Row(
                stage=f"{name}, 2 threads",
                size=side**2,
                seconds=min(times[name]),
                peer="one thread" if checked else "",
                times_peer=median_ratio(times["one thread"], times[name]) if checked else None,
                limit="read and decompress, 2 threads",
                of_limit=median_ratio(times["limit"], times[name]),
                peak_memory=peak if checked else None,
                agreement="counts of all phases equal the map's" if checked else "",
            )
        )
    result.figures["phases"] = len(synthetic.phases)
    return result
