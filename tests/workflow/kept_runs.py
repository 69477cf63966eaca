"""Runs of the main job on a small map, to be compared with each other array by array."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from sigma_scale.progress import Progress, observing
from sigma_scale.workflow import RunSettings, run_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHAPE = (520, 400)
"""Several regions and chunks in both directions, the last ones smaller."""

MOST_FITTED = 12_000
"""Fewer pixels than the binned map has: a clustering is fitted to a sample."""

METHODS = {
    "HDBSCAN": {"min_cluster_size": 900},
    "GaussianMixture": {"n_components": 5},
}


def settings_for(method: str = "HDBSCAN") -> RunSettings:
    return RunSettings(
        lines=("O_Ka", "Si_Ka", "Fe_Ka", "K_Ka"),
        bin=(2, 2),
        latent={"n_landmarks": 600, "n_epochs": 50},
        clustering=method,
        clustering_args=METHODS[method],
    )


def run(store: Path, output: Path, method: str = "HDBSCAN") -> Path:
    """Run the main job on a copy of a store that it may write to."""
    run_job(store, settings_for(method), output)
    return store


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Every array of a store but the counts."""
    group = zarr.open_group(str(path), mode="r", use_consolidated=False)
    return {
        name: np.asarray(array[...])
        for name, array in group.members(max_depth=None)
        if isinstance(array, zarr.Array) and name != "counts"
    }


def assert_same_arrays(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype, name
        # Bytes, not values: NaN is NaN, and 0 is not -0.
        assert values.tobytes() == other[name].tobytes(), name


def chunk_files(path: Path) -> dict[str, bytes]:
    """Chunks of the results as they are on disk."""
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for group in ("binned", "latent", "phases")
        for file in (path / group).rglob("*")
        if file.is_file() and file.name != "zarr.json"
    }


@dataclass
class AtStage:
    """An observer that acts once, while the tasks of a stage are under way."""

    stage: str
    act: Callable[[], Any]
    turn: int = 1
    """Which of the computations of that name."""
    seen: list[str] = field(default_factory=list)
    acted: bool = False
    now: bool = False
    """Act as soon as something is waited for, whatever its name."""

    def report(self, progress: Progress) -> None:
        if progress.done == 0:
            self.seen.append(progress.description)
        at_turn = self.seen.count(self.stage) == self.turn
        if progress.description == self.stage and at_turn and not self.acted:
            self.acted = True
            self.act()

    def check(self) -> None:
        if self.now and not self.acted:
            self.acted = True
            self.act()


def run_and_die_linking(folder: str, method: str, turn: int) -> None:
    """Run the main job likewise, and be killed while kept maps are put into the store."""
    from pathlib import Path

    from sigma_scale.workflow import job_steps

    job_steps.MOST_FITTED = MOST_FITTED
    link, made = os.link, []

    def deadly(source: Path, target: Path) -> None:
        if ".results/" in target.as_posix() and "c" in target.parts:  # zarr links other files.
            if len(made) == turn:
                os.kill(os.getpid(), signal.SIGKILL)
            made.append(target)
        link(source, target)

    os.link = deadly
    run(Path(folder, "map.zarr"), Path(folder, "out"), method)


def run_and_die(folder: str, method: str, stage: str, turn: int) -> None:
    """Run the main job on the store of a folder, and be killed while a stage is under way."""
    from pathlib import Path

    from sigma_scale.workflow import job_steps

    job_steps.MOST_FITTED = MOST_FITTED
    observer = AtStage(stage, lambda: os.kill(os.getpid(), signal.SIGKILL), turn)
    with observing(observer):
        run(Path(folder, "map.zarr"), Path(folder, "out"), method)
