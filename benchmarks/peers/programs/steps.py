"""Steps one after the other, each with its wall-clock time, processor time and peak memory."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Steps:
    """
    Measures of steps by their names.

    Attributes
    ----------
    times, processor : dict of float
        Seconds of the clock, and of all the process's threads together.
    peaks : dict of int
        Peak memory within the step in bytes, what the process held before included. Only where
        the system can begin a new peak (Linux).
    """

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self.processor: dict[str, float] = {}
        self.peaks: dict[str, int] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure what happens within as a step."""
        begun = _forget_peak()
        processor, start = time.process_time(), time.perf_counter()
        yield
        self.times[name] = time.perf_counter() - start
        self.processor[name] = time.process_time() - processor
        if begun:
            self.peaks[name] = _peak()

    def measures(self) -> dict[str, Any]:
        """Everything measured, to be reported; ``peak`` is the highest of the peaks."""
        found: dict[str, Any] = {
            "times": self.times,
            "processor": self.processor,
            "peaks": self.peaks,
        }
        return {**found, "peak": max(self.peaks.values())} if self.peaks else found


def _forget_peak() -> bool:
    """Begin a new peak of this process's memory; whether the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
