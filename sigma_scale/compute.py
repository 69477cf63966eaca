"""Where work runs, how far it has come, and how much memory it may take."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sigma_scale import config, progress
from sigma_scale.engines import gpu_obstacle
from sigma_scale.errors import EngineUnavailableError, MemoryLimitError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    Item = TypeVar("Item")
    Result = TypeVar("Result")

__all__ = [
    "check_memory",
    "gpu_cluster",
    "local_workers",
    "memory_limit",
    "on_cluster",
    "run",
    "stream",
]

_SHARE_OF_FREE_MEMORY = 0.75
_SECONDS = 0.2
"""After which an observer is asked again whether to go on."""


def run(*collections: Any, description: str) -> tuple[Any, ...]:
    """
    Compute lazy results together, so that they share the passes they have in common.

    The work goes to the active ``distributed`` client if there is one, else to threads of this
    process.

    Parameters
    ----------
    *collections
        Dask or xarray objects.
    description : str
        What is being done, for the progress bar.

    Returns
    -------
    tuple
        One result per collection.
    """
    import dask.base

    observer = progress.observer()
    if _cluster_client() is None:
        with _local_bar(description):
            if observer is None:
                return _as_tuple(dask.base.compute(*collections))
            from dask.callbacks import Callback

            # Given to this call alone: as active ones they would hear of other threads' tasks.
            # Those that are active, such as the bar, would be left out.
            heard = [*Callback.active, _task_callback(description, observer)]
            return _as_tuple(dask.base.compute(*collections, callbacks=heard))
    persisted = dask.base.persist(*collections)
    if config.get("progress"):
        from distributed import progress as cluster_bar

        cluster_bar(*persisted)
    if observer is not None:
        _watch_futures(persisted, description, observer)
    return _as_tuple(dask.base.compute(*persisted))


def _task_callback(description: str, observer: progress.Observer) -> Any:
    """Tell an observer of the tasks of one of Dask's computations, after each of them."""
    report = partial(progress.report, description, observer, "task")
    parts = ("ready", "waiting", "running", "finished")

    def start(_graph: Any, state: Any) -> None:
        report(len(state["finished"]), sum(len(state[part]) for part in parts))

    def after_task(_key: Any, _value: Any, graph: Any, state: Any, _worker: Any) -> None:
        start(graph, state)

    return None, start, None, after_task, None


def _watch_futures(collections: Any, description: str, observer: progress.Observer) -> None:
    """Tell an observer of the tasks on a cluster, until they are done or it has enough."""
    from distributed import futures_of, wait

    futures = futures_of(collections)
    waiting = set(futures)
    try:
        while waiting:
            n_done = len(futures) - len(waiting)
            progress.report(description, observer, "task", n_done, len(futures))
            try:
                waiting = set(wait(waiting, _SECONDS, "FIRST_COMPLETED").not_done)
            except TimeoutError:
                continue
    finally:  # none is left unless the observer has had enough
        for future in waiting:
            future.cancel()


def stream(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """
    Call a function for each item, many at a time, and give the results as they come.

    Only a bounded number of calls is under way, so that neither results nor tasks pile up,
    however many items there are. The work goes where :func:`run` sends it.

    Parameters
    ----------
    function : callable
        Called with one item.
    items : iterable
        The work, taken as it is needed.

    Yields
    ------
    object
        Results in the order in which they are finished.

    Raises
    ------
    CancelledError
        If an observer has had enough; see :mod:`sigma_scale.progress`.
    """
    client = _cluster_client()
    if client is not None:
        yield from _stream_on(client, sum(client.nthreads().values()), function, items)
    elif (workers := local_workers()) == 1:
        for item in items:
            progress.check()
            yield function(item)
    else:
        with ThreadPoolExecutor(workers) as pool:
            yield from _stream_on(pool, workers, function, items)


def _stream_on(
    executor: Any, workers: int, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    waiting: Any
    if isinstance(executor, ThreadPoolExecutor):
        from concurrent.futures import wait

        waiting = wait
    else:
        from distributed import wait

        waiting = wait
    items = iter(items)
    pending = {executor.submit(function, item) for item in islice(items, 2 * workers)}
    try:
        while pending:
            done, pending = waiting(pending, return_when="FIRST_COMPLETED")
            pending = set(pending)
            for future in done:
                progress.check()
                yield future.result()
                pending |= {executor.submit(function, item) for item in islice(items, 1)}
    finally:
        for future in pending:
            future.cancel()


def local_workers() -> int:
    """Threads that Dask would use here."""
    import dask.config
    from dask.system import CPU_COUNT

    if dask.config.get("scheduler", None) in {"sync", "synchronous", "single-threaded"}:
        return 1
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def on_cluster() -> bool:
    """Whether work goes to other processes, by way of an active ``distributed`` client."""
    return _cluster_client() is not None


@contextmanager
def gpu_cluster(n_gpus: int | None = None) -> Iterator[Any]:
    """
    Let the work go to the GPUs of this machine for a while, one worker for each.

    Parameters
    ----------
    n_gpus : int, optional
        How many; None: all that there are.

    Yields
    ------
    distributed.Client
        Active inside the ``with`` block; its ``dashboard_link`` shows what happens.

    Raises
    ------
    EngineUnavailableError
        If there is no usable GPU, or dask-cuda is not installed.
    ParameterError
        If ``n_gpus`` is not positive.
    """
    if n_gpus is not None and n_gpus < 1:
        raise ParameterError(f"n_gpus must be at least 1, or None for all, got {n_gpus}.")
    obstacle = gpu_obstacle(("dask_cuda",))
    if obstacle:
        raise EngineUnavailableError(f"There is no cluster of GPUs here: {obstacle}.")
    from dask_cuda import LocalCUDACluster
    from distributed import Client

    with LocalCUDACluster(n_workers=n_gpus) as cluster, Client(cluster) as client:
        yield client


def _as_tuple(results: Any) -> tuple[Any, ...]:
    return tuple(results)


def _cluster_client() -> Any:
    """Active client, without importing distributed where nobody else has."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


def _local_bar(description: str) -> AbstractContextManager[Any]:
    if not (description and config.get("progress")):
        return nullcontext()
    from tqdm.dask import TqdmCallback

    bar: AbstractContextManager[Any] = TqdmCallback(desc=description, unit="task")
    return bar


def memory_limit() -> int:
    """
    Bytes that a step may take: the option ``memory_limit``, or most of what is free.

    Raises
    ------
    ParameterError
        If the option can't be understood.
    """
    chosen = config.get("memory_limit")
    if chosen is None:
        import psutil

        return int(psutil.virtual_memory().available * _SHARE_OF_FREE_MEMORY)
    from dask.utils import parse_bytes

    try:
        limit = int(parse_bytes(chosen))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ParameterError(
            f"memory_limit must be a size such as '8GB', not {chosen!r}."
        ) from error
    if limit < 1:
        raise ParameterError(f"memory_limit must be a size such as '8GB', not {chosen!r}.")
    return limit


def check_memory(needed: int, *, what: str, remedy: str) -> None:
    """
    Refuse work that would not fit, before it starts.

    Parameters
    ----------
    needed : int
        Projected bytes.
    what : str
        The step, as the subject of the message.
    remedy : str
        What the user can do, as a full sentence.

    Raises
    ------
    MemoryLimitError
        If the projection exceeds the limit.
    """
    limit = memory_limit()
    if needed > limit:
        from dask.utils import format_bytes

        raise MemoryLimitError(
            f"{what} would take {format_bytes(needed)} of memory, the limit is "
            f"{format_bytes(limit)}. {remedy}"
        )
