"""
Compressors of the event chunks: size, and speed of writing and of whole feature passes.

zstd at level 1 is the default: a fifth to a third smaller than lz4, and the pass over it is still
many times as quick as one over dense chunks. lz4 is for those who have more disk than time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.common import median_ratio, rounds, seconds
from benchmarks.feature_pass import pass_of, read_and_decompress, with_threads
from benchmarks.record import Result, Row
from sigma_scale.files import size_of
from sigma_scale.store import Encoding, open_map, write_map
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENCODINGS = {
    "zstd -3": Encoding("zstd", -3),
    "zstd 1": Encoding("zstd", 1),
    "zstd 3": Encoding("zstd", 3),
    "zstd 9": Encoding("zstd", 9),
    "lz4": Encoding("lz4", 1),
    "none": Encoding("none"),
}
COUNTS = 25.0


def measure(folder: Path, *, quick: bool) -> Iterator[Result]:
    """Measure each compressor on the same map."""
    side, repeats = (128, 1) if quick else (2048, 3)
    result = Result(
        "ingest: compressors of chunks",
        {"pixels": side**2, "channels": 1024, "counts per pixel": COUNTS, "threads": 2},
    )
    synthetic = synthetic_map((side, side), counts_per_pixel=COUNTS).image
    functions: dict[str, Callable[[], object]] = {}
    for name, encoding in ENCODINGS.items():
        path = folder / f"{name}.zarr"
        writing = seconds(partial(write_map, synthetic, path, encoding=encoding))
        result.figures[f"{name}: bytes per pixel"] = size_of(path / "counts") / side**2
        result.figures[f"{name}: synthesis and writing, Mpx/s"] = side**2 / 1e6 / writing
        functions[name] = with_threads(2, partial(pass_of, open_map(path)))
        functions[f"{name}, limit"] = partial(read_and_decompress, path, encoding, 2)
    times = rounds(functions, repeats)
    for name in ENCODINGS:
        result.rows.append(
            Row(
                stage=f"feature pass, {name}",
                size=side**2,
                seconds=min(times[name]),
                peer="without compression",
                times_peer=median_ratio(times["none"], times[name]),
                limit="read and decompress",
                of_limit=median_ratio(times[f"{name}, limit"], times[name]),
            )
        )
    yield result
