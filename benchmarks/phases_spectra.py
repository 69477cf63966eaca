"""
Spectra per phase against the rate at which the same chunks are merely read and decompressed.

One pass over the counts gives, per label, raw and normalised sums with their errors. It is timed
with the totals that the feature pass leaves, without them, and weighted by a probability.

    python -m benchmarks.phases_spectra --side 4096
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from benchmarks.common import Result, median_ratio, rounds
from benchmarks.feature_pass import read_and_decompress, with_threads
from sigma_scale.features import feature_pass
from sigma_scale.phases.spectra import phase_spectra
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


def run(side: int, *, repeats: int, counts: float, compressor: str) -> Result:
    """Measure on a map of ``side`` x ``side`` pixels."""
    encoding = Encoding(compressor)  # type: ignore[arg-type]
    result = Result(
        "spectra per phase",
        {"pixels": side**2, "channels": 1024, "counts per pixel": counts, "codec": compressor},
    )
    megapixels = side**2 / 1e6
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.zarr"
        synthetic = synthetic_map((side, side), counts_per_pixel=counts)
        write_map(synthetic.image, path, encoding=encoding)
        image = normalise(open_map(path))
        labels = synthetic.labels.compute()
        total = feature_pass(image, ["Si_Ka"], lazy=False)["total"]
        rng = np.random.default_rng(0)
        probability = xr.DataArray(rng.random(labels.shape, dtype=np.float32), dims=("y", "x"))
        check_sums(image, labels, phase_spectra(image, labels, total=total))
        ways: dict[str, Callable[[], object]] = {
            "with totals": lambda: phase_spectra(image, labels, total=total),
            "without totals": lambda: phase_spectra(image, labels),
            "weighted": lambda: phase_spectra(image, labels, total=total, probability=probability),
        }
        times = rounds(
            {
                "limit": lambda: read_and_decompress(path, encoding, 2),
                **{name: with_threads(2, way) for name, way in ways.items()},
                "one thread": with_threads(1, ways["with totals"]),
            },
            repeats,
        )
    figures = result.figures
    figures["labels"] = len(synthetic.phases)
    figures["read and decompress, Mpx/s, 2 threads"] = megapixels / min(times["limit"])
    for name in ways:
        figures[f"{name}, Mpx/s, 2 threads"] = megapixels / min(times[name])
        figures[f"{name}, share of the limit"] = median_ratio(times["limit"], times[name])
    figures["2 threads over 1"] = median_ratio(times["one thread"], times["with totals"])
    return result


def main(arguments: list[str] | None = None) -> Result:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--counts", type=float, default=25.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compressor", default="zstd", choices=["zstd", "lz4", "none"])
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    chosen = parser.parse_args(arguments)
    result = run(
        chosen.side,
        repeats=chosen.repeats,
        counts=chosen.counts,
        compressor=chosen.compressor,
    )
    result.print()
    if chosen.out:
        result.write(chosen.out)
    return result


if __name__ == "__main__":
    main()
