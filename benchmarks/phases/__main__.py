"""
Spectra, abundance maps, regions and net lines of phases: speed beside a limit or a peer, memory.

    python -m benchmarks.phases
    python -m benchmarks.phases --part spectra --out benchmarks/results/phases_spectra.json
    python -m benchmarks.phases --quick
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import write_results

if TYPE_CHECKING:
    from benchmarks.common import Result

PARTS = ("spectra", "abundance", "regions", "net_lines")


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.phases",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, help="only this one; else all")
    parser.add_argument("--quick", action="store_true", help="a toy size, to see that it runs")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON, part by part")
    parser.add_argument("--report", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.report:
        import_module(f"benchmarks.phases.{chosen.part}").report(*chosen.report)
        return []
    results: dict[str, Result] = {}
    for part in [chosen.part] if chosen.part else PARTS:
        results[part] = import_module(f"benchmarks.phases.{part}").measure(quick=chosen.quick)
        results[part].print()
        if chosen.out:  # After each part: those that follow take minutes.
            write_results(results, chosen.out)
    return list(results.values())


if __name__ == "__main__":
    main()
