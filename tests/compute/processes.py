"""A scheduler and workers as a user starts them, and work for them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PATIENCE = 120


def wait_for(condition, what):
    give_up = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < give_up, f"{what} took too long"
        time.sleep(0.02)
    return found


@dataclass
class Cluster:
    """Processes of one scheduler and its workers."""

    folder: Path
    scheduler: subprocess.Popen
    workers: list[subprocess.Popen] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        return json.loads(self.file.read_text())["address"]

    def add_worker(self, *, memory="2GB", threads=1):
        command = (
            "distributed.cli.dask_worker", "--scheduler-file", self.file, "--no-dashboard",
            "--nthreads", threads, "--memory-limit", memory, "--local-directory", self.folder,
            "--death-timeout", "10",
        )  # fmt: skip
        self.workers.append(process(self.folder, f"worker{len(self.workers)}", *command))

    def working(self) -> list[psutil.Process]:
        """Processes that do the work; each has a guard that starts another in its place."""
        children = [
            child for guard in self.workers for child in psutil.Process(guard.pid).children()
        ]
        return [
            child for child in children if any("spawn_main" in word for word in child.cmdline())
        ]


def process(folder, name, module, *arguments, **variables) -> subprocess.Popen:
    environment = os.environ | {
        "PYTHONPATH": str(HERE), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3"
    } | variables  # fmt: skip
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 -- our own programs
            [sys.executable, "-m", module, *map(str, arguments)],
            env=environment, stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip


@contextmanager
def running(folder: Path, n_workers: int, *, failures: int = 3, **worker: Any) -> Iterator[Cluster]:
    """A cluster that ends with the ``with`` block, whatever has been done to it."""
    folder.mkdir(exist_ok=True)
    cluster = Cluster(
        folder,
        process(
            folder, "scheduler", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
            "--port", 0, "--no-dashboard", "--scheduler-file", folder / "scheduler.json",
            DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=str(failures),
        ),
    )  # fmt: skip
    try:
        wait_for(cluster.file.exists, "the scheduler's start")
        for _ in range(n_workers):
            cluster.add_worker(**worker)
        yield cluster
    finally:
        for guard in cluster.workers:
            family = [guard.pid, *(p.pid for p in psutil.Process(guard.pid).children())]
            for pid in family:
                if psutil.pid_exists(pid):
                    os.kill(pid, signal.SIGKILL)
            guard.wait()
        cluster.scheduler.kill()
        cluster.scheduler.wait()


@dataclass(frozen=True)
class SlowSource:
    """A map whose blocks take their time, so that there is some to kill workers in."""

    source: ArraySource
    seconds: float

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.source, name)

    def read_block(self, *arguments, **options):
        time.sleep(self.seconds)
        return self.source.read_block(*arguments, **options)


def slow_map(seconds=0.4, shape=(640, 640, 32)) -> SpectrumImage:
    """A map of 25 chunks."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(0.05, shape).astype(np.uint8)
    return SpectrumImage(
        SlowSource(ArraySource(counts, (128, 128)), seconds), EnergyAxis(shape[2], 0.05)
    )


def digests(path: Path) -> dict[Path, str]:
    """Hashes of all files of a store but drafts that a killed writer has left."""
    return {
        file.relative_to(path): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file() and file.suffix not in {".part", ".partial"}
    }


def fill_memory(number):
    """A task that takes 40 MB more each time, for ever."""
    held = []
    while len(held) < 100:
        held.append(np.ones(5_000_000 + number))
        time.sleep(0.02)
    return len(held)


def fail_in(number):
    from sigma_scale.errors import BinningError

    raise BinningError(f"bins of part {number} don't fit")
