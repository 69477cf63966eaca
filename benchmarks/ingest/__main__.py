"""
Reading vendor files against other libraries, and writing them to a store against reading alone.

    python -m benchmarks.ingest
    python -m benchmarks.ingest --part storing --folder /data
    python -m benchmarks.ingest --quick
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ingest import storing
from benchmarks.record import publish

if TYPE_CHECKING:
    from benchmarks.record import Result

PARTS = ("decoding", "storing", "compressors")


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ingest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; else all")
    parser.add_argument("--quick", action="store_true", help="a toy size, to see that it runs")
    parser.add_argument("--folder", type=Path, help="where to write files; needs some gigabytes")
    parser.add_argument("--out", type=Path, help="file for the results as JSON")
    parser.add_argument("--report", type=Path, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.report:
        storing.report(*chosen.report)
        return []
    parts = [import_module(f"benchmarks.ingest.{part}") for part in chosen.part or PARTS]
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        return publish(
            (each for part in parts for each in part.measure(folder, quick=chosen.quick)),
            chosen.out,
        )


if __name__ == "__main__":
    main()
