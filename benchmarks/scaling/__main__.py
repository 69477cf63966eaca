"""
From tiles to a phase map as maps grow; one worker and two; and what a task costs.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --part growth
    python -m benchmarks.scaling --quick
"""

from __future__ import annotations

import argparse
import logging
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.record import publish
from benchmarks.scaling import growth
from sigma_scale.errors import SigmaScaleWarning

if TYPE_CHECKING:
    from benchmarks.record import Result

PARTS = ("growth", "workers", "overhead")


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; else all")
    parser.add_argument("--quick", action="store_true", help="a toy size, to see that it runs")
    parser.add_argument("--out", type=Path, help="file for the results as JSON")
    parser.add_argument("--report", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    parts = [import_module(f"benchmarks.scaling.{part}") for part in chosen.part or PARTS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SigmaScaleWarning)  # of bins that don't divide a map
        if chosen.report:
            growth.report(chosen.report)
            return []
        return publish(
            (result for part in parts for result in part.measure(quick=chosen.quick)), chosen.out
        )


if __name__ == "__main__":
    main()
