"""What all benchmarks share: timing in rounds, and memory of processes of their own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.peers.programs.reporting import peak

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LINES = ("O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "P_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka")
"""X-ray lines of the synthetic maps' elements."""


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def rounds(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """
    Time functions in turn, so that a drift of the machine's speed meets all of them alike.

    Each is called once before, to warm up.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return times


def median_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """Median of the ratios of times that were measured in the same round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def peak_memory(module: str, *arguments: str) -> dict[str, Any]:
    """
    Run a module in a process of its own and read the JSON that it prints on its last line.

    The module calls :func:`report_memory` at its end.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def report_memory(**details: Any) -> None:
    """Print this process's peak memory in bytes, with further details, as JSON."""
    print(json.dumps({"peak": peak(), **details}))
