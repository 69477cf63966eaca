"""Lazy results computed on a cluster."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import dask.base
from distributed import futures_of

from sigma_scale import progress
from sigma_scale.compute.faults import asking_cluster
from sigma_scale.compute.futures import Ended, check_ended, gathered, release
from sigma_scale.compute.patience import WorkerWatch
from sigma_scale.compute.worker_state import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["run_on"]

_SECONDS = 0.2
"""After which an observer is asked again whether to go on."""


def run_on(client: Any, collections: tuple[Any, ...], step: str) -> tuple[Any, ...]:
    """
    Compute lazy results together on a cluster.

    Chunks come here one by one and are joined here: a worker never holds a whole result.

    Parameters
    ----------
    client : distributed.Client
        Where the work goes.
    collections : tuple
        Dask or xarray objects.
    step : str
        What is being done, for the progress bar and for errors.

    Returns
    -------
    tuple
        One result per collection.

    Raises
    ------
    ClusterError
        If the scheduler is lost, there are no workers for long, or they die of the work.
    """
    lazy = [c for c in collections if dask.base.is_dask_collection(c)]
    if not lazy:
        return collections
    with asking_cluster(step):
        prepare(client)
        persisted = client.persist(lazy)
    futures = {future.key: future for future in futures_of(persisted)}
    try:
        _wait(client, futures.values(), step)
        keys = list(futures)
        results = dict(zip(keys, gathered(client, [futures[k] for k in keys], step), strict=True))
        joined = iter(_joined(persisted, results))
    finally:
        release(futures.values())
    return tuple(next(joined) if dask.base.is_dask_collection(c) else c for c in collections)


def _wait(client: Any, futures: Iterable[Any], step: str) -> None:
    """Wait until all tasks are done, with a bar, or until the observer has enough."""
    ended = Ended()
    n_futures = n_done = 0
    for future in futures:
        ended.watch(future)
        n_futures += 1
    watch = WorkerWatch(client, step)
    shown: Any = progress.progress_bar(step, total=n_futures, unit="task")
    if not step:
        shown = nullcontext()
    with shown as bar:
        while n_done < n_futures:
            progress.check()
            found = ended.take(_SECONDS)
            check_ended(client, found, step)
            n_done += len(found)
            if bar is not None and found:
                bar.update(len(found))
            if not found:
                watch.n_threads()


def _joined(persisted: list[Any], results: dict[Any, Any]) -> tuple[Any, ...]:
    """Join the chunks of each collection in this process."""
    local = []
    for collection in persisted:
        rebuild, arguments = collection.__dask_postpersist__()
        keys = dask.core.flatten(collection.__dask_keys__())
        local.append(rebuild({key: results[key] for key in keys}, *arguments))
    return tuple(dask.base.compute(*local, scheduler="synchronous"))
