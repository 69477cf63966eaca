"""
The feature pass against its limit and against a dense peer.

One pass reads every chunk, bins 2 x 2, and gives ten line intensities, the total and the sum
spectrum. Its limit is the rate at which the same chunks are merely read and decompressed. The
peer is the same result from a dense zarr array (blosc, zstd, bitshuffle) through dask.

    python -m benchmarks.feature_pass --side 4096
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec

from benchmarks.common import Result, median_ratio, peak_memory, report_memory, rounds, seconds
from sigma_scale.features import feature_pass, line_channels
from sigma_scale.preprocess import rebin
from sigma_scale.store import Encoding, open_map, write_map
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from sigma_scale.spectra import SpectrumImage

LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "P_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]
BIN = 2


def with_threads(number: int, function: Callable[[], Any]) -> Callable[[], Any]:
    """Bind a function to a number of Dask threads."""

    def bound() -> Any:
        with dask.config.set(scheduler="threads", num_workers=number):
            return function()

    return bound


def pass_of(image: SpectrumImage) -> xr.Dataset:
    """Run the pass that is measured."""
    return feature_pass(rebin(image, (BIN, BIN)), LINES, lazy=False)


def read_and_decompress(path: Path, encoding: Encoding, threads: int) -> int:
    """Read all chunks and decompress their payloads; nothing else."""
    files = [p for p in (path / "counts" / "c").rglob("*") if p.is_file()]
    codec = encoding.codec()

    def one(file: Path) -> int:
        payload = memoryview(file.read_bytes())[40:-4]
        return len(codec.decode(payload)) if codec is not None else len(payload)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(one, files))


def write_dense(image: SpectrumImage, path: Path) -> None:
    """Write the peer's dense array, in the chunks that suit dask: 64 x 64 pixels."""
    compressor = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")
    counts = image.to_xarray().data.astype(np.uint8)
    target = zarr.create_array(
        str(path),
        shape=counts.shape,
        dtype=np.uint8,
        chunks=(64, 64, counts.shape[2]),
        compressors=compressor,
        overwrite=True,
    )
    da.store(counts, target, lock=False)


def dense_pass(path: Path, windows: list[range]) -> tuple[Any, ...]:
    """Compute the same result with dask from the dense array."""
    counts = da.from_zarr(str(path))
    # Channels before pixels or pixels before channels: measured to be equally quick.
    lines = da.stack(
        [counts[:, :, w.start : w.stop].sum(axis=2, dtype=np.uint32) for w in windows], axis=2
    )
    bins = {0: BIN, 1: BIN}
    lines = da.coarsen(np.sum, lines, bins, dtype=np.uint32)
    total = da.coarsen(np.sum, counts.sum(axis=2, dtype=np.uint32), bins, dtype=np.uint32)
    spectrum = counts.sum(axis=(0, 1), dtype=np.uint64)
    results: tuple[Any, ...] = dask.compute(lines, total, spectrum)
    return results


def check_agreement(image: SpectrumImage, dense: Path, windows: list[range]) -> None:
    """Refuse to time two things that don't give the same numbers."""
    ours = pass_of(image)
    lines, total, spectrum = dense_pass(dense, windows)
    np.testing.assert_array_equal(ours["line_intensity"], lines)
    np.testing.assert_array_equal(ours["total"], total)
    np.testing.assert_array_equal(ours["sum_spectrum"], spectrum)


def run(side: int, *, repeats: int, counts: float, compressor: str, dense: bool) -> Result:
    """Measure everything on a map of ``side`` x ``side`` pixels."""
    encoding = Encoding(compressor)  # type: ignore[arg-type]
    result = Result(
        "feature pass",
        {"pixels": side**2, "channels": 1024, "counts per pixel": counts, "codec": compressor},
    )
    megapixels = side**2 / 1e6
    with tempfile.TemporaryDirectory() as folder:
        path, dense_path = Path(folder) / "map.zarr", Path(folder) / "dense.zarr"
        synthetic = synthetic_map((side, side), counts_per_pixel=counts).image
        ingest = seconds(lambda: write_map(synthetic, path, encoding=encoding))
        image = open_map(path)
        times = rounds(
            {
                "limit": lambda: read_and_decompress(path, encoding, 2),
                "two": with_threads(2, lambda: pass_of(image)),
                "one": with_threads(1, lambda: pass_of(image)),
            },
            repeats,
        )
        stored = sum(f.stat().st_size for f in (path / "counts").rglob("*") if f.is_file())
        memory = peak_memory("benchmarks.feature_pass", "--memory-of", str(path))
        figures = result.figures
        figures["synthesis and writing, Mpx/s"] = megapixels / ingest
        figures["stored bytes per pixel"] = stored / side**2
        figures["read and decompress, Mpx/s, 2 threads"] = megapixels / min(times["limit"])
        figures["feature pass, Mpx/s, 2 threads"] = megapixels / min(times["two"])
        figures["feature pass, Mpx/s, 1 thread"] = megapixels / min(times["one"])
        figures["share of the limit"] = median_ratio(times["limit"], times["two"])
        figures["2 threads over 1"] = median_ratio(times["one"], times["two"])
        figures["peak memory above outputs, MB"] = (memory["peak"] - memory["outputs"]) / 1e6
        if dense:
            windows = line_channels(image, LINES)
            write_dense(image, dense_path)
            check_agreement(image, dense_path, windows)
            peer = rounds(
                {
                    "dense": with_threads(2, lambda: dense_pass(dense_path, windows)),
                    "events": with_threads(2, lambda: pass_of(image)),
                },
                1 if side > 1024 else repeats,  # noqa: PLR2004
            )
            dense_bytes = sum(f.stat().st_size for f in dense_path.rglob("*") if f.is_file())
            figures["dense peer, bytes per pixel"] = dense_bytes / side**2
            figures["dense peer, Mpx/s, 2 threads"] = megapixels / min(peer["dense"])
            figures["times the dense peer"] = median_ratio(peer["dense"], peer["events"])
    return result


def report_pass_memory(path: str) -> None:
    """Run the pass in this process and report its peak memory and the size of its outputs."""
    outputs = with_threads(2, lambda: pass_of(open_map(path)))()
    report_memory(outputs=int(outputs.nbytes))


def main(arguments: list[str] | None = None) -> Result | None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--counts", type=float, default=25.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compressor", default="zstd", choices=["zstd", "lz4", "none"])
    parser.add_argument("--no-dense", action="store_true", help="leave the dense peer out")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.memory_of:
        report_pass_memory(chosen.memory_of)
        return None
    result = run(
        chosen.side,
        repeats=chosen.repeats,
        counts=chosen.counts,
        compressor=chosen.compressor,
        dense=not chosen.no_dense,
    )
    result.print()
    if chosen.out:
        result.write(chosen.out)
    return result


if __name__ == "__main__":
    numcodecs.blosc.set_nthreads(1)
    main()
