"""
The feature pass against its limit, a dense array with Dask and xarray, and HyperSpy.

One pass reads every chunk, bins 2 x 2, and gives ten line intensities, the total and the sum
spectrum. Its limit is the rate at which the same chunks are merely read and decompressed, by as
many threads. Peers run in environments of their own, with two threads, on smaller maps: the same
results from a dense zarr array (blosc, zstd, bitshuffle; chunks of 64 x 64 pixels, which suit it)
with Dask and xarray, and from a .zspy folder with lazy HyperSpy. In each round the pass is timed on
the same map right before. Results must be equal, or nothing is reported.

    python -m benchmarks.feature_pass
    python -m benchmarks.feature_pass --quick
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec

from benchmarks.common import (
    LINES,
    median_ratio,
    peak_memory,
    report_memory,
    rounds,
    seconds,
)
from benchmarks.libraries import named
from benchmarks.peers import run_peer
from benchmarks.record import Result, Row, publish
from sigma_scale.export import export_counts
from sigma_scale.features import feature_pass, line_channels
from sigma_scale.files import size_of
from sigma_scale.preprocess import rebin
from sigma_scale.store import Encoding, open_map, write_map
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

    from sigma_scale.spectra import SpectrumImage

BIN = 2
LIMIT = "reading and decompressing"


@dataclass(frozen=True)
class Scale:
    """Sides of the maps, and how often each is measured."""

    side: int
    dense_side: int
    hyperspy_side: int
    repeats: int
    peer_repeats: int
    counts: float = 25.0


FULL = Scale(side=4096, dense_side=2048, hyperspy_side=1024, repeats=5, peer_repeats=2)
QUICK = Scale(side=512, dense_side=128, hyperspy_side=128, repeats=2, peer_repeats=1)


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
    target: Any = zarr.create_array(
        str(path),
        shape=counts.shape,
        dtype=np.uint8,
        chunks=(64, 64, counts.shape[2]),
        compressors=compressor,
        overwrite=True,
    )
    da.store(counts, target, lock=False)


def check_equal(ours: xr.Dataset, folder: Path) -> None:
    """Refuse to report times of two things that don't give the same numbers."""
    names = {"line_intensity": "lines", "total": "total", "sum_spectrum": "sum_spectrum"}
    for variable, name in names.items():
        np.testing.assert_array_equal(ours[variable], np.load(folder / f"{name}.npy"))


def alone(scale: Scale, compressor: str = "zstd") -> Result:
    """Measure the pass with one thread and two against its limit."""
    encoding = Encoding(compressor)  # type: ignore[arg-type]
    pixels, numbers = scale.side**2, (1, 2)
    result = Result("feature pass", _parameters(scale.side, scale.counts, compressor))
    with _stored(scale.side, scale.counts, compressor) as (image, folder):
        path = folder / "map.zarr"
        ways: dict[str, Callable[[], object]] = {}
        for n in numbers:
            ways[f"limit {n}"] = partial(read_and_decompress, path, encoding, n)
            ways[f"pass {n}"] = with_threads(n, lambda: pass_of(image))
        times = rounds(ways, scale.repeats)
        memory = peak_memory("benchmarks.feature_pass", "--memory-of", str(path))
        stored = size_of(path / "counts")
    result.rows = [
        Row(
            stage=f"feature pass, {n} thread{'s' * (n > 1)}",
            size=pixels,
            seconds=statistics.median(times[f"pass {n}"]),
            limit=f"{LIMIT}, {n} thread{'s' * (n > 1)}",
            of_limit=median_ratio(times[f"limit {n}"], times[f"pass {n}"]),
            peak_memory=memory["peak"] if n == numbers[-1] else None,
        )
        for n in reversed(numbers)
    ]
    result.figures = {
        "stored bytes per pixel": stored / pixels,
        "2 threads over 1": median_ratio(times["pass 1"], times["pass 2"]),
        "peak memory above outputs, MB": (memory["peak"] - memory["outputs"]) / 1e6,
    }
    for n in numbers:
        rate = pixels / 1e6 / statistics.median(times[f"limit {n}"])
        result.figures[f"{LIMIT}, Mpx/s, {n} thread{'s' * (n > 1)}"] = rate
    return result


def beside_dense(scale: Scale, compressor: str = "zstd") -> Result:
    """Measure the pass and the dense array in turn."""
    with _stored(scale.dense_side, scale.counts, compressor) as (image, folder):
        path = folder / "dense.zarr"
        write_dense(image, path)
        windows = ",".join(f"{w.start}-{w.stop}" for w in line_channels(image, LINES))
        words = ("dense_pass", str(path), str(folder), str(BIN), windows)
        peer = Peer("dense", "dense zarr and", "Dask", words, ("pass",), path)
        return _in_turn(image, peer, scale, compressor)


def beside_hyperspy(scale: Scale, compressor: str = "zstd") -> Result:
    """Measure the pass and lazy HyperSpy in turn."""
    with _stored(scale.hyperspy_side, scale.counts, compressor) as (image, folder):
        path = folder / "map.zspy"
        export_counts(image, path, dtype="uint8")
        words = ("hyperspy_lines", str(path), str(folder), str(BIN), "lazy", ",".join(LINES))
        peer = Peer("hyperspy", "lazy", "HyperSpy", words, ("load", "rebin", "lines"), path)
        return _in_turn(image, peer, scale, compressor)


@dataclass(frozen=True)
class Peer:
    """A peer: how it works, its program's command, the steps that count, and its data."""

    environment: str
    way: str
    name: str
    words: tuple[str, ...]
    steps: tuple[str, ...]
    data: Path


@contextmanager
def _stored(side: int, counts: float, compressor: str) -> Iterator[tuple[SpectrumImage, Path]]:
    """Write a map to a folder that is there for a while."""
    synthetic = synthetic_map((side, side), counts_per_pixel=counts).image
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.zarr"
        write_map(synthetic, path, encoding=Encoding(compressor))  # type: ignore[arg-type]
        yield open_map(path), Path(folder)


def _in_turn(image: SpectrumImage, peer: Peer, scale: Scale, compressor: str) -> Result:
    ours = with_threads(2, lambda: pass_of(image))
    found = ours()  # A warm-up too.
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(scale.peer_repeats):
        times["ours"].append(seconds(ours))
        report = run_peer(peer.environment, *peer.words)
        times["peer"].append(sum(report["times"][step] for step in peer.steps))
        check_equal(found, peer.data.parent)
    side, name = image.shape[0], peer.name
    result = Result(f"feature pass and {name}", _parameters(side, scale.counts, compressor))
    result.rows.append(
        Row(
            stage="feature pass, 2 threads",
            size=side**2,
            seconds=statistics.median(times["ours"]),
            peer=f"{peer.way} {named(name, report)}",
            times_peer=median_ratio(times["peer"], times["ours"]),
            agreement="equal",
        )
    )
    result.figures = {
        f"{name}, Mpx/s, 2 threads": side**2 / 1e6 / statistics.median(times["peer"]),
        f"{name}, peak memory, MB": report["peak"] / 1e6,
        f"{name}, stored bytes per pixel": size_of(peer.data) / side**2,
    }
    return result


def _parameters(side: int, counts: float, compressor: str) -> dict[str, Any]:
    return {
        "map": f"{side} x {side} x 1024",
        "counts per pixel": counts,
        "bin": f"{BIN} x {BIN}",
        "codec": compressor,
    }


def measure(scale: Scale, *, peers: bool) -> Iterator[Result]:
    """Measure part by part."""
    yield alone(scale)
    if peers:
        yield beside_dense(scale)
        yield beside_hyperspy(scale)


def report_pass_memory(path: str) -> None:
    """Run the pass in this process and report its peak memory and the size of its outputs."""
    outputs = with_threads(2, lambda: pass_of(open_map(path)))()
    report_memory(outputs=int(outputs.nbytes))


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a toy size, to see that it runs")
    parser.add_argument("--no-peers", action="store_true", help="without the other programs")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.memory_of:
        report_pass_memory(chosen.memory_of)
        return []
    scale = QUICK if chosen.quick else FULL
    return publish(measure(scale, peers=not chosen.no_peers), chosen.out)


if __name__ == "__main__":
    numcodecs.blosc.set_nthreads(1)
    main()
