"""What the benchmarks of models share: libraries as their peers, and the memory as their limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.peers import run_peer

if TYPE_CHECKING:
    from argparse import ArgumentParser


def add_options(parser: ArgumentParser) -> None:
    """Add the options that these benchmarks have in common."""
    parser.add_argument("--quick", action="store_true", help="a toy size, to see that it runs")
    parser.add_argument(
        "--no-peers", action="store_true", help="with the libraries of this environment instead"
    )


def run_library(program: str, *arguments: object, installed: bool) -> dict[str, Any]:
    """Run a program of ``peers/programs`` in the libraries' environment, or in this one."""
    words = map(str, arguments)
    return run_peer(None if installed else "libraries", program, *words)


def named(library: str, report: dict[str, Any]) -> str:
    """Name of a library with the version that a program reported."""
    versions = {_plain(name): version for name, version in report["versions"].items()}
    return f"{library} {versions[_plain(library)]}"


def _plain(name: str) -> str:
    """A package's name without the differences that don't count."""
    return re.sub(r"[-_.]+", "-", name).lower()


def of_memory(n_bytes: float, taken: float, rate: float) -> dict[str, Any]:
    """Give a row's share of what the memory allows: reading the input once, at ``rate`` bytes/s."""
    return {"limit": "reading memory", "of_limit": n_bytes / rate / taken}
