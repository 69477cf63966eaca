"""What all benchmarks share: timing, the machine, tables and results as JSON."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIBRARIES = ("numpy", "scipy", "numba", "numcodecs", "zarr", "dask", "xarray", "sigma-scale")


def machine() -> dict[str, Any]:
    """Describe processor, cores, versions and commit."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


@dataclass
class Result:
    """A benchmark's figures and where they were measured."""

    name: str
    parameters: dict[str, Any]
    figures: dict[str, float] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=machine)

    def print(self) -> None:
        """Print the figures as a table."""
        print(f"\n{self.name}: {', '.join(f'{k} {v}' for k, v in self.parameters.items())}")
        width = max(len(name) for name in self.figures)
        for name, value in self.figures.items():
            print(f"  {name:<{width}}  {value:>12,.3f}")
        print(f"  {self.machine['processor']}, {self.machine['cores']} cores")
        print("  " + ", ".join(f"{k} {v}" for k, v in self.machine["versions"].items()))

    def write(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def write_results(results: dict[str, Result], path: Path) -> None:
    """Write the figures of several parts of a benchmark as one JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = {name: asdict(result) for name, result in results.items()}
    path.write_text(json.dumps(figures, indent=2) + "\n")


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
    print(json.dumps({"peak": _own_peak(), **details}))


def _own_peak() -> int:
    """Peak memory of this program; that of getrusage begins with the program that started it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
