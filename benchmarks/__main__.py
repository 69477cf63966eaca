"""
All benchmarks, or some, and a page of their results.

    python -m benchmarks                        all, about an hour on two cores
    python -m benchmarks --quick                toy sizes: does it run, and what does it print
    python -m benchmarks --only feature_pass latent
    python -m benchmarks --page FOLDER          the page anew, from results that are there
    python -m benchmarks --page benchmarks/results --readme README.md

Other libraries run in environments of their own, made in build/peers when first needed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.front import update
from benchmarks.page import write_page
from benchmarks.record import text_table
from benchmarks.suite import BENCHMARKS, known_results, run_suite

BUSY = 0.5
"""Load of a core by others from which figures are worth little."""


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; the exit status is 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="toy sizes, a few minutes in all")
    parser.add_argument(
        "--only", nargs="+", choices=list(BENCHMARKS), metavar="NAME", default=list(BENCHMARKS),
        help=f"some of: {', '.join(BENCHMARKS)}",
    )  # fmt: skip
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build") / "benchmarks",
        help="folder for JSON, page and plots",
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="without environments of other libraries"
    )
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="only make this folder's page")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="write the front page's figures into this file"
    )
    chosen = parser.parse_args(arguments)
    if chosen.readme and not chosen.page:
        parser.error("--readme goes with --page FOLDER, whose results it shows")
    if chosen.page:
        return show_page(chosen.page, chosen.readme)
    if os.getloadavg()[0] > BUSY * (os.cpu_count() or 1):
        print("Other programs keep this machine busy: figures will be too low.", file=sys.stderr)
    names = [name for name in BENCHMARKS if name in chosen.only]
    folder = chosen.out.resolve()
    runs = run_suite(names, folder, quick=chosen.quick, peers=not chosen.no_peers)
    for name, results in known_results(folder).items():
        if name in names:
            print(f"\n{name}: {BENCHMARKS[name]}")
            print(text_table([row for result in results for row in result.rows]))
    print(f"\n{sum(run.seconds for run in runs) / 60:.1f} minutes in all")
    failed = [run.name for run in runs if run.exit_code]
    show_page(folder)
    if failed:
        print(f"Failed: {', '.join(failed)}. What they said is above.", file=sys.stderr)
    return 1 if failed else 0


def show_page(folder: Path, readme: Path | None = None) -> int:
    """Write a folder's page and say where it is; write figures into the front page if asked."""
    if not (results := known_results(folder)):
        print(f"There are no results of benchmarks in {folder}.", file=sys.stderr)
        return 1
    print(f"Results: {write_page(results, folder)}")
    if readme:
        update(readme, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
