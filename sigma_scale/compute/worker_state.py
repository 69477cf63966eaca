"""What workers need before they get work: this package in this version, and its options."""

from __future__ import annotations

import math
import uuid
import warnings
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from weakref import WeakKeyDictionary

import dask.config
from distributed import WorkerPlugin

from sigma_scale import config
from sigma_scale.errors import ClusterError, SigmaScaleWarning

__all__ = ["prepare"]

_OURS = "sigma-scale"
_OTHERS = ("python", "dask", "distributed", "cloudpickle", "numpy", "numba", "xarray", "zarr")
"""Whose versions should be the same everywhere: objects of theirs are sent."""

_OPTIONS = ("memory_limit", "engine")
_PROCESS = uuid.uuid4().hex

_prepared: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
"""Clients whose workers were looked at, and the options that they have got."""


def prepare(client: Any) -> None:
    """
    Look once whether workers can do our work, and give them the options where these are new.

    Workers that others have started lose the thresholds at which they would pause, or move data
    to a disk, for want of memory; where they are ended stays as it is.

    Parameters
    ----------
    client : distributed.Client
        Connected.

    Raises
    ------
    ClusterError
        If the scheduler or a worker doesn't have this version of the package.
    """
    chosen = {name: config.get(name) for name in _OPTIONS}
    known = _prepared.get(client)
    if known == chosen:
        return
    if known is None:
        _check_versions(client)
    client.register_plugin(_Options(chosen), name="sigma_scale-options")
    _prepared[client] = chosen


class _Options(WorkerPlugin):
    """Sets up each worker for this package, also those that come later."""

    def __init__(self, chosen: dict[str, Any]) -> None:
        self.chosen = chosen
        self.process = _PROCESS

    def setup(self, worker: Any) -> None:
        _never_pause(worker)
        if self.process != _PROCESS:  # else they are set, and belong to whoever set them
            dask.config.set({f"sigma_scale.{name}": value for name, value in self.chosen.items()})


def _never_pause(worker: Any) -> None:
    """
    Let a worker go on whatever memory it has taken, until its guard ends it, which is told.

    One that pauses may wait for ever. Thresholds that can't be reached, rather than none: without
    one, a worker that has paused already would not look again whether it may go on.
    """
    manager = worker.memory_manager
    for name in ("memory_pause_fraction", "memory_spill_fraction"):
        if getattr(manager, name) is not False:
            setattr(manager, name, math.inf)


def _check_versions(client: Any) -> None:
    found = client.get_versions(packages=[_OURS, *_OTHERS[1:]])
    here = found["client"]["packages"]
    try:
        ours = version(_OURS)
    except PackageNotFoundError:  # run from its folder; all must do so
        ours = None
    there = {"scheduler": found["scheduler"], **found["workers"]}
    packages = {address: state["packages"] for address, state in there.items() if state}
    wrong = {a: p.get(_OURS) for a, p in packages.items() if p.get(_OURS) != ours}
    if wrong:
        address, other = next(iter(wrong.items()))
        what = f"sigma-scale {other}" if other else "no sigma-scale"
        raise ClusterError(
            f"{len(wrong)} of {len(packages)} processes of the cluster (first: {address}) have "
            f"{what}; here is {ours}. Start the scheduler and the workers in an environment with "
            "the same version."
        )
    different = Counter(
        f"{name} {p[name]}" for p in packages.values() for name in _OTHERS if p[name] != here[name]
    )
    if different:
        names = ", ".join(
            f"{text} (here {here[text.split()[0]]})" for text, _ in different.most_common()
        )
        warnings.warn(
            f"The cluster has other versions: {names}. If work fails there, use the same ones.",
            SigmaScaleWarning,
            stacklevel=2,
        )
