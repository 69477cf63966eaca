"""Futures of a cluster in the order in which they end."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from distributed import CancelledError, KilledWorker

from sigma_scale.compute.faults import LINK_ERRORS, asking_cluster, failure_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Ended", "check_ended", "gathered", "release"]


class Ended:
    """
    Futures that have ended, for whoever waits for them.

    To wait for the first of many by :func:`distributed.wait` costs as much as there are, each
    time; here each costs the same however many there are.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()

    def watch(self, future: Any) -> None:
        """
        Wait for one more.

        Parameters
        ----------
        future : distributed.Future
            Which :meth:`take` is to give when it has ended.
        """
        future.add_done_callback(self._queue.put)

    def take(self, seconds: float) -> list[Any]:
        """
        Give those that have ended since the last time.

        Parameters
        ----------
        seconds : float
            How long to wait for the first of them.

        Returns
        -------
        list of distributed.Future
            Empty if none has ended.
        """
        found = []
        try:
            found.append(self._queue.get(timeout=seconds))
            while True:
                found.append(self._queue.get_nowait())
        except Empty:
            return found


def check_ended(client: Any, futures: Iterable[Any], step: str) -> None:
    """
    Raise what the first task that failed ended with, if any did.

    Parameters
    ----------
    client : distributed.Client
        Where they ran.
    futures : iterable of distributed.Future
        They have ended.
    step : str
        What is being done, for errors.

    Raises
    ------
    ClusterError
        If the cluster is to blame; else whatever the task has raised.
    """
    for future in futures:
        if future.status not in {"error", "cancelled"}:
            continue
        with asking_cluster(step):
            error, trace = future.exception(), future.traceback()
        if error is None:  # as it is of tasks that are cancelled
            try:
                future.result()
            except CancelledError as reason:
                error = reason
            else:  # it was done again meanwhile
                continue
        words = failure_of(client, error, step)
        if words is error:
            raise error.with_traceback(trace)
        raise words from error


def gathered(client: Any, futures: Sequence[Any], step: str) -> list[Any]:
    """
    Fetch results from the workers.

    Parameters
    ----------
    client : distributed.Client
        Where they are.
    futures : sequence of distributed.Future
        They have ended well; what was lost since is done again.
    step : str
        What is being done, for errors.

    Returns
    -------
    list
        Result of each.

    Raises
    ------
    ClusterError
        If the scheduler is lost, or workers died of the work.
    """
    try:
        return list(client.gather(list(futures)))
    except (KilledWorker, MemoryError, *LINK_ERRORS) as error:
        words = failure_of(client, error, step)
        if words is error:
            with asking_cluster(step):
                raise
        raise words from error


def release(futures: Iterable[Any]) -> None:
    """
    Let workers forget what nobody wants any more; what hasn't begun isn't done.

    Parameters
    ----------
    futures : iterable of distributed.Future
        They can't be used afterwards.
    """
    for future in list(futures):
        future.release()
