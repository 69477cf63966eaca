"""
Compressors of the event chunks: size, and speed of whole feature passes.

    python -m benchmarks.compressors --side 2048

zstd at level 1 is the default: a fifth to a third smaller than lz4, and the pass over it is still
many times as quick as one over dense chunks. lz4 is for those who have more disk than time.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.common import Result, rounds, seconds
from benchmarks.feature_pass import pass_of, read_and_decompress, with_threads
from sigma_scale.store import Encoding, open_map, write_map
from sigma_scale.synthetic import synthetic_map

ENCODINGS = {
    "zstd -3": Encoding("zstd", -3),
    "zstd 1": Encoding("zstd", 1),
    "zstd 3": Encoding("zstd", 3),
    "zstd 9": Encoding("zstd", 9),
    "lz4": Encoding("lz4", 1),
    "none": Encoding("none"),
}


def run(side: int, *, repeats: int, counts: float) -> Result:
    """Measure each compressor on a map of ``side`` x ``side`` pixels."""
    result = Result("compressors", {"pixels": side**2, "channels": 1024, "counts": counts})
    megapixels = side**2 / 1e6
    synthetic = synthetic_map((side, side), counts_per_pixel=counts).image
    with tempfile.TemporaryDirectory() as folder:
        functions = {}
        for number, (name, encoding) in enumerate(ENCODINGS.items()):
            path = Path(folder) / f"{number}.zarr"
            writing = seconds(lambda p=path, e=encoding: write_map(synthetic, p, encoding=e))
            stored = sum(f.stat().st_size for f in (path / "counts").rglob("*") if f.is_file())
            result.figures[f"{name}, bytes per pixel"] = stored / side**2
            result.figures[f"{name}, synthesis and writing, Mpx/s"] = megapixels / writing
            image = open_map(path)
            functions[f"{name}, feature pass"] = with_threads(2, lambda i=image: pass_of(i))
            functions[f"{name}, read and decompress"] = lambda p=path, e=encoding: (
                read_and_decompress(p, e, 2)
            )
        for name, times in rounds(functions, repeats).items():
            result.figures[f"{name}, Mpx/s, 2 threads"] = megapixels / min(times)
    return result


def main(arguments: list[str] | None = None) -> Result:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--counts", type=float, default=25.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    chosen = parser.parse_args(arguments)
    result = run(chosen.side, repeats=chosen.repeats, counts=chosen.counts)
    result.print()
    if chosen.out:
        result.write(chosen.out)
    return result


if __name__ == "__main__":
    main()
