"""What the parts share: the map's kind, and time and memory of stages that follow each other."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS = 25.0
LINES = ("O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "P_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka")
BIN = 3
_SAMPLE_SECONDS = 0.25


class MemoryWatch:
    """Peak of the memory that this process and those it started take together."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, memory_of_family())

    def since_last(self) -> int:
        """Peak since it was asked before."""
        peak, self.peak = max(self.peak, memory_of_family()), 0
        return peak


def memory_of_family() -> int:
    """Bytes that this process and its children take; what they share is counted once."""
    own = psutil.Process()
    total = 0
    for process in [own, *own.children(recursive=True)]:
        try:
            full = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        total += getattr(full, "pss", full.rss)
    return total


class Stages:
    """Seconds and peak memory of stages that follow each other."""

    def __init__(self, watch: MemoryWatch) -> None:
        self._watch = watch
        self.seconds: dict[str, float] = {}
        self.memory: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside the ``with`` block."""
        self._watch.since_last()
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.memory[name] = max(self.memory.get(name, 0), self._watch.since_last())
        print(f"  {name}: {self.seconds[name]:.1f} s", file=sys.stderr)
