"""Running work where it is sent: in this thread, in threads of this process, or on a cluster."""

from __future__ import annotations

import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sigma_scale import config, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    Item = TypeVar("Item")
    Result = TypeVar("Result")

__all__ = ["inline", "local_workers", "on_cluster", "run", "stream"]

_IN_THREAD = {"sync", "synchronous", "single-threaded"}
_IN_PROCESS = _IN_THREAD | {"threads", "threading"}

_inline: ContextVar[bool] = ContextVar("sigma_scale_inline", default=False)


@contextmanager
def inline() -> Iterator[None]:
    """
    Let :func:`run` and :func:`stream` work in the calling thread, inside the ``with`` block.

    For steps that are themselves one task of many: they share the machine with the others.
    Tasks of a cluster work so without being asked.

    Yields
    ------
    None
    """
    token = _inline.set(True)
    try:
        yield
    finally:
        _inline.reset(token)


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
        What is being done, for the progress bar and for errors.

    Returns
    -------
    tuple
        One result per collection.

    Raises
    ------
    ClusterError
        If the cluster that does the work fails.
    """
    import dask.base

    if _works_here():
        return _run_locally(partial(dask.base.compute, scheduler="synchronous"), collections, "")
    client = _cluster_client()
    if client is None:
        return _run_locally(dask.base.compute, collections, description)
    from sigma_scale.compute.cluster_run import run_on

    return run_on(client, collections, description)


def _run_locally(
    compute: Callable[..., Any], collections: tuple[Any, ...], description: str
) -> tuple[Any, ...]:
    observer = progress.observer()
    with _local_bar(description):
        if observer is None:
            return tuple(compute(*collections))
        from dask.callbacks import Callback

        # Given to this call alone: as active ones they would hear of other threads' tasks.
        # Those that are active, such as the bar, would be left out.
        heard = [*Callback.active, _task_callback(description, observer)]
        return tuple(compute(*collections, callbacks=heard))


def _task_callback(description: str, observer: progress.Observer) -> Any:
    """Tell an observer of the tasks of one of Dask's computations, after each of them."""
    report = partial(progress.report, description, observer, "task")
    parts = ("ready", "waiting", "running", "finished")

    def start(_graph: Any, state: Any) -> None:
        report(len(state["finished"]), sum(len(state[part]) for part in parts))

    def after_task(_key: Any, _value: Any, graph: Any, state: Any, _worker: Any) -> None:
        start(graph, state)

    return None, start, None, after_task, None


def stream(
    function: Callable[[Item], Result], items: Iterable[Item], *, description: str = ""
) -> Iterator[Result]:
    """
    Call a function for each item, many at a time, and give the results as they come.

    Only a bounded number of calls is under way, so that neither results nor tasks pile up,
    however many items there are. The work goes where :func:`run` sends it. On a cluster a call
    may be made twice, if the worker that made it dies before its result has arrived.

    Parameters
    ----------
    function : callable
        Called with one item.
    items : iterable
        The work, taken as it is needed.
    description : str, default: ""
        What is being done, for errors of a cluster.

    Yields
    ------
    object
        Results in the order in which they are finished.

    Raises
    ------
    CancelledError
        If an observer has had enough; see :mod:`sigma_scale.progress`.
    ClusterError
        If the cluster that does the work fails.
    """
    client = None if _works_here() else _cluster_client()
    if client is not None:
        from sigma_scale.compute.cluster_stream import stream_on

        yield from stream_on(client, function, items, description)
    elif (workers := local_workers()) == 1:
        for item in items:
            progress.check()
            yield function(item)
    else:
        with ThreadPoolExecutor(workers) as pool:
            yield from _stream_on(pool, workers, function, items)


def _stream_on(
    pool: ThreadPoolExecutor,
    workers: int,
    function: Callable[[Item], Result],
    items: Iterable[Item],
) -> Iterator[Result]:
    items = iter(items)
    pending: set[Future[Result]]
    pending = {pool.submit(function, item) for item in islice(items, 2 * workers)}
    try:
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                progress.check()
                yield future.result()
                pending |= {pool.submit(function, item) for item in islice(items, 1)}
    finally:
        for future in pending:
            future.cancel()


def local_workers() -> int:
    """Threads that Dask would use here; 1 in a task that shares the machine with others."""
    import dask.config
    from dask.system import CPU_COUNT

    if _works_here() or dask.config.get("scheduler", None) in _IN_THREAD:
        return 1
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def on_cluster() -> bool:
    """Whether work goes to other processes, by way of an active ``distributed`` client."""
    return not _works_here() and _cluster_client() is not None


def _works_here() -> bool:
    """Whether this is one task of many, by :func:`inline` or on a worker of a cluster."""
    if _inline.get():
        return True
    from sigma_scale.compute.memory import own_worker

    return own_worker() is not None


def _cluster_client() -> Any:
    """Active client, without importing distributed where nobody else has."""
    import dask.config

    if "distributed" not in sys.modules:
        return None
    if dask.config.get("scheduler", None) in _IN_PROCESS:  # an active client sets it to its own
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
