"""
What a task costs besides its work, and what 64 and 1,024 cores would give.

Tasks that do nothing are streamed over two worker processes: with one thread each, as on this
machine, and with as many threads as 64 cores would have, so that as many are under way. The cost
is measured twice: as time between tasks, with scheduler, client and workers on the same cores; and
as time that the processor spent in this process, in which scheduler and client run, as if both had
one core of their own. The projection is in :func:`projected`.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import seconds
from benchmarks.feature_pass import read_and_decompress
from benchmarks.record import Result, Row
from benchmarks.scaling.measuring import BIN, COUNTS, LINES
from sigma_scale import compute
from sigma_scale.features import feature_pass
from sigma_scale.preprocess import rebin
from sigma_scale.store import Encoding, write_map
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Iterator

CORES = (64, 1024)
PROCESSES = 2
FEW, MANY = 1, CORES[0] // PROCESSES
"""Threads of each process."""
LARGEST_REGION = 1024**2
"""Pixels of a task on a map of 32 million or more."""


@dataclass(frozen=True)
class Cost:
    """Seconds that a task costs: between tasks, and of the processor in this process."""

    between: float
    processor: float


def identity(item: int) -> int:
    """Do nothing, as a task."""
    return item


def stream_nothing(tasks: int) -> Cost:
    """Stream tasks that do nothing over what is connected."""
    for _ in compute.stream(identity, range(max(tasks // 10, 10))):
        pass
    processor = time.process_time()
    taken = seconds(lambda: sum(1 for _ in compute.stream(identity, range(tasks))))
    return Cost(taken / tasks, (time.process_time() - processor) / tasks)


def projected(cores: int, per_task: float, overhead: float) -> tuple[float, float]:
    """
    Tasks per second of many cores, and the share of their time in which they work.

    Assumed: cores as fast as one here; storage that keeps up with them; one scheduler and one
    client, who handle tasks one after the other; regions of the largest size, and many more of them
    than cores.
    """
    wanted = cores / per_task
    possible = min(wanted, 1 / overhead)
    return possible, possible / wanted


def feature_seconds(side: int, folder: Path) -> tuple[float, float]:
    """Seconds of a feature pass over what is connected, and of reading and decompressing alone."""
    image = synthetic_map((side, side), counts_per_pixel=COUNTS).image
    seen = rebin(write_map(image, folder / "map.zarr"), (BIN, BIN))
    feature_pass(seen, LINES, lazy=False)
    passed = seconds(lambda: feature_pass(seen, LINES, lazy=False))
    limit = seconds(lambda: read_and_decompress(folder / "map.zarr", Encoding(), PROCESSES))
    return passed, limit


def measure(*, quick: bool) -> Iterator[Result]:
    """Measure what a task costs, and what that means for many cores."""
    side, tasks = (258, 100) if quick else (4098, 5000)
    result = Result(
        "scaling: overhead",
        {"tasks": tasks, "pixels": side**2, "channels": 1024, "counts per pixel": COUNTS},
    )
    costs: dict[int, Cost] = {}
    with tempfile.TemporaryDirectory() as folder:
        with compute.connect(f"processes:{PROCESSES}", threads_per_worker=FEW):
            costs[FEW] = stream_nothing(tasks)
            passed, limit = feature_seconds(side, Path(folder))
        with compute.connect(f"processes:{PROCESSES}", threads_per_worker=MANY):
            costs[MANY] = stream_nothing(tasks)
    for threads, cost in costs.items():
        result.rows.append(
            Row(
                stage=f"tasks that do nothing, {PROCESSES * threads} threads",
                size=tasks,
                unit="tasks",
                seconds=cost.between * tasks,
                limit="scheduler and client alone",
                of_limit=cost.processor / cost.between,
            )
        )
        label = f"{PROCESSES * threads} threads: processor time of scheduler and client"
        result.figures[f"{label}, ms per task"] = cost.processor * 1e3
    result.rows.append(
        Row(
            stage="feature pass, two workers",
            size=side**2,
            seconds=passed,
            limit="read and decompress, 2 threads",
            of_limit=limit / passed,
        )
    )
    per_task = passed * PROCESSES / side**2 * LARGEST_REGION
    result.figures["feature pass: ms of one core per task of 1,024 x 1,024 pixels"] = per_task * 1e3
    for cores in CORES:
        for where, overhead in (
            ("beside the workers on two cores", costs[MANY].between),
            ("on a core of their own", costs[MANY].processor),
        ):
            rate, busy = projected(cores, per_task, overhead)
            label = f"{cores:,} cores, scheduler and client {where}"
            result.figures[f"{label}: projected Gpx/s"] = rate * LARGEST_REGION / 1e9
            result.figures[f"{label}: share of time at work"] = busy
    yield result
