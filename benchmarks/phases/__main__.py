"""
Spectra, abundance maps, regions and net lines of phases: speed beside a limit or a peer, memory.

    python -m benchmarks.phases
    python -m benchmarks.phases --part spectra
    python -m benchmarks.phases --quick
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.record import publish

if TYPE_CHECKING:
    from benchmarks.record import Result

PARTS = ("spectra", "abundance", "regions", "net_lines")


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.phases",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one; else all")
    parser.add_argument("--quick", action="store_true", help="a toy size, to see that it runs")
    parser.add_argument("--out", type=Path, help="file for the results as JSON")
    parser.add_argument("--report", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    parts = [import_module(f"benchmarks.phases.{part}") for part in chosen.part or PARTS]
    if chosen.report:
        parts[0].report(*chosen.report)
        return []
    return publish((part.measure(quick=chosen.quick) for part in parts), chosen.out)


if __name__ == "__main__":
    main()
