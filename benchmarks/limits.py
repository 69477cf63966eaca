"""
What this machine can do at most: memory, storage, and decompression of a map's chunks.

Every other benchmark compares itself with one of these, measured anew in its own run. Storage is
read once from the device, its pages dropped from the system's cache before (on Linux), and once
from that cache.

    python -m benchmarks.limits
    python -m benchmarks.limits --quick
"""

from __future__ import annotations

import argparse
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import seconds
from benchmarks.record import Result, Row, publish
from sigma_scale.store import Encoding, write_map
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

THREADS = (1, 2)
_BLOCK = 2**22
_ENVELOPE = slice(40, -4)
"""What lies around a chunk's compressed payload: its header before, its checksum behind."""


def memory_read_rate(threads: int = 2, *, megabytes: int = 512, repeats: int = 3) -> float:
    """Bytes per second at which arrays in memory are summed: each is read once."""
    parts = [np.ones(megabytes * 2**20 // 8 // threads, np.float64) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        taken = best(lambda: list(pool.map(np.sum, parts)), repeats)
    return sum(part.nbytes for part in parts) / taken


def memory_copy_rate(threads: int = 2, *, megabytes: int = 512, repeats: int = 3) -> float:
    """Bytes per second that are copied from one array to another: each is read and written."""
    parts = [np.ones(megabytes * 2**20 // 8 // threads, np.float64) for _ in range(threads)]
    targets = [np.zeros_like(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        taken = best(lambda: list(pool.map(np.copyto, targets, parts)), repeats)
    return sum(part.nbytes for part in parts) / taken


def best(function: Callable[[], object], repeats: int) -> float:
    """Shortest of several times, after a first that doesn't count: a limit is the best there is."""
    function()
    return min(seconds(function) for _ in range(repeats))


def write_file(path: Path, megabytes: int) -> None:
    """Write random bytes, until they are on the device."""
    block = np.random.default_rng(0).bytes(2**20)
    with path.open("wb") as stream:
        for _ in range(megabytes):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())


def forget(paths: Sequence[Path]) -> bool:
    """Drop files from the system's cache; whether that can be asked for."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in paths:
        with path.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def read_file(path: Path) -> int:
    """Read a file in large blocks into one buffer."""
    buffer, size = bytearray(_BLOCK), 0
    with path.open("rb", buffering=0) as stream:
        while got := stream.readinto(buffer):
            size += got
    return size


def measure_memory(megabytes: int) -> Result:
    """Read and copy arrays that are far larger than the processor's caches."""
    result = Result("limits: memory", {"MB": megabytes})
    for threads in THREADS:
        for verb, rate in (("read", memory_read_rate), ("copy", memory_copy_rate)):
            size = float(megabytes * 2**20)
            taken = size / rate(threads, megabytes=megabytes)
            stage = f"{verb} memory, {threads} thread{'s' * (threads > 1)}"
            result.rows.append(Row(stage=stage, size=size, unit="bytes", seconds=taken))
    return result


def measure_storage(folder: Path, megabytes: int) -> Result:
    """Write a file, and read it from the device and from the system's cache."""
    result = Result("limits: storage", {"MB": megabytes, "pages dropped": "no"})
    path, size = folder / "bytes", float(megabytes * 2**20)

    def note(stage: str, taken: float) -> None:
        result.rows.append(Row(stage=stage, size=size, unit="bytes", seconds=taken))

    note("write a file, to the device", seconds(lambda: write_file(path, megabytes)))
    if forget([path]):
        result.parameters["pages dropped"] = "yes"
        note("read a file, from the device", seconds(lambda: read_file(path)))
    note("read a file, from the system's cache", best(lambda: read_file(path), 3))
    return result


def measure_chunks(folder: Path, side: int, counts: float) -> Result:
    """Read and decompress the chunks of a stored map, together and apart."""
    encoding = Encoding("zstd")
    path = folder / "map.zarr"
    write_map(synthetic_map((side, side), counts_per_pixel=counts).image, path, encoding=encoding)
    files = [file for file in (path / "counts" / "c").rglob("*") if file.is_file()]
    payloads = [file.read_bytes()[_ENVELOPE] for file in files]
    codec = encoding.codec()
    if codec is None:
        raise ValueError("These chunks aren't compressed.")
    stored = sum(file.stat().st_size for file in files)
    result = Result(
        "limits: chunks", {"pixels": side**2, "channels": 1024, "counts per pixel": counts}
    )
    result.figures["stored bytes per pixel"] = stored / side**2
    for threads in THREADS:
        with ThreadPoolExecutor(threads) as pool:
            reading = best(partial(_all_of, pool, read_file, files), 3)
            decoding = best(partial(_all_of, pool, codec.decode, payloads), 3)
        plural = f"{threads} thread{'s' * (threads > 1)}"
        for verb, taken in (("read chunks, cached", reading), ("decompress chunks", decoding)):
            row = Row(stage=f"{verb}, {plural}", size=float(side**2), seconds=taken)
            result.rows.append(row)
    return result


def _all_of(
    pool: ThreadPoolExecutor, function: Callable[[Any], object], items: Sequence[object]
) -> list[object]:
    return list(pool.map(function, items))


def measured(folder: Path, *, side: int, megabytes: int) -> Iterator[Result]:
    """Measure memory, storage and decompression."""
    yield measure_memory(megabytes)
    yield measure_storage(folder, megabytes)
    yield measure_chunks(folder, side, 25.0)


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=2048, help="of the map whose chunks are read")
    parser.add_argument("--megabytes", type=int, default=1024, help="of memory, and of the file")
    parser.add_argument("--folder", type=Path, help="on the storage to measure; a temporary one")
    parser.add_argument("--quick", action="store_true", help="a toy size")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.side, chosen.megabytes = 256, 32
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        return publish(
            measured(Path(folder), side=chosen.side, megabytes=chosen.megabytes), chosen.out
        )


if __name__ == "__main__":
    main()
