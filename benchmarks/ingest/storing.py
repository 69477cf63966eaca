"""
From a vendor's file to a store, against decoding alone and against writing the store's bytes alone.

The file is read, its counts sorted into chunks, compressed and written, by two threads. Decoding
alone reads the same file with as many threads and keeps nothing. Writing alone writes the bytes of
the finished store once more, file by file. The memory is the peak of a process that does it all.
"""

from __future__ import annotations

import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import dask

from benchmarks.common import median_ratio, peak_memory, report_memory, rounds, seconds
from benchmarks.ingest.decoding import decode_all
from benchmarks.ingest.files import CHANNELS, WRITERS, parts_of, remove
from benchmarks.record import Result, Row
from sigma_scale.readers import read
from sigma_scale.store import open_map, verify_map, write_map

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THREADS = 2
COUNTS = 25.0
COLUMNS = 4096
"""The width is what memory costs."""
ROWS = {"bcf": 2048, "emd": 2048, "rpl": 256, "h5oina": 128}
"""Writing dense formats takes long."""


def ingest(path: Path, store: Path) -> None:
    """Write a file's map to a store."""
    shutil.rmtree(store, ignore_errors=True)
    with dask.config.set(num_workers=THREADS):
        write_map(read(path), store)


def write_again(contents: list[bytes], folder: Path) -> None:
    """Write contents to files, as many at a time as the ingest does."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(
            lambda number: (folder / str(number)).write_bytes(contents[number]),
            range(len(contents)),
        ):
            pass


def report(path: Path, store: Path) -> None:
    """Write a store in this process and report its peak memory."""
    import psutil

    before = psutil.Process().memory_info().rss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hashing = seconds(read(path).metadata.with_hashes)
        ingest(path, store)
    report_memory(before=before, hash=hashing)


def measure_format(folder: Path, suffix: str, shape: tuple[int, int, int], repeats: int) -> Result:
    """Measure one format."""
    path = WRITERS[suffix](folder / f"map.{suffix}", shape, COUNTS)
    store, again = folder / "store.zarr", folder / "again"
    ingest(path, store)
    if verify_map(open_map(store), read(path)) != shape[0] * shape[1]:
        raise RuntimeError(f"The store of the .{suffix} file doesn't hold all of its pixels.")
    contents = [file.read_bytes() for file in sorted(store.rglob("*")) if file.is_file()]
    times = rounds(
        {
            "one": lambda: decode_all(read(path), 1),
            "two": lambda: decode_all(read(path), THREADS),
            "ingest": lambda: ingest(path, store),
            "write": lambda: write_again(contents, again),
        },
        repeats,
    )
    words = ("--report", str(path), str(folder / "other.zarr"))
    memory = peak_memory("benchmarks.ingest", *words)
    pixels, stored = shape[0] * shape[1], sum(map(len, contents))
    result = Result(
        f"ingest: .{suffix}",
        {"map": " x ".join(map(str, shape)), "counts per pixel": COUNTS, "threads": THREADS},
    )
    result.rows = [
        Row(
            stage=f"decode .{suffix}, 2 threads",
            size=pixels,
            seconds=min(times["two"]),
            peer="one thread",
            times_peer=median_ratio(times["one"], times["two"]),
        ),
        Row(
            stage=f"ingest .{suffix}, 2 threads",
            size=pixels,
            seconds=min(times["ingest"]),
            limit="decoding alone",
            of_limit=median_ratio(times["two"], times["ingest"]),
            peak_memory=memory["peak"],
            agreement="every pixel of the store equals the file's",
        ),
        Row(
            stage=f"store of .{suffix}",
            size=stored,
            unit="bytes",
            seconds=min(times["ingest"]),
            limit="writing the same files",
            of_limit=median_ratio(times["write"], times["ingest"]),
        ),
    ]
    result.figures = {
        "file, MB": sum(part.stat().st_size for part in parts_of(path)) / 1e6,
        "memory before the ingest, MB": memory["before"] / 1e6,
        "hash of the file, s": memory["hash"],
    }
    for used in (store, again, folder / "other.zarr"):
        shutil.rmtree(used)
    remove(path)
    return result


def measure(folder: Path, *, quick: bool) -> Iterator[Result]:
    """Measure each format in turn."""
    for suffix, rows in ROWS.items():
        shape = (48, 64, CHANNELS) if quick else (rows, COLUMNS, CHANNELS)
        yield measure_format(folder, suffix, shape, 1 if quick else 3)
