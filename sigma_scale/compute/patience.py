"""Whether there are workers, and how long to wait for them."""

from __future__ import annotations

import time
from typing import Any

from sigma_scale import config
from sigma_scale.errors import ParameterError

__all__ = ["WorkerWatch", "seconds_of", "worker_timeout"]

_RECOUNT_SECONDS = 1.0
"""After which the workers are counted again."""


def worker_timeout() -> float:
    """
    Seconds that work waits while there are no workers: the option ``worker_timeout``.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If the option can't be understood.
    """
    return seconds_of(config.get("worker_timeout"), name="worker_timeout")


def seconds_of(duration: Any, *, name: str) -> float:
    """
    Read a duration such as ``"10m"``.

    Parameters
    ----------
    duration : str or float
        What was chosen; numbers are seconds.
    name : str
        Parameter or option, for the message.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ParameterError
        If it can't be understood, or isn't positive.
    """
    from dask.utils import parse_timedelta

    try:
        seconds = float(parse_timedelta(duration, default="s"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ParameterError(
            f"{name} must be a duration such as '10m', not {duration!r}."
        ) from error
    if not seconds > 0:
        raise ParameterError(f"{name} must be a duration such as '10m', not {duration!r}.")
    return seconds


class WorkerWatch:
    """
    Counts the threads of a cluster's workers, now and then.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    step : str
        What is being done, for errors.

    Attributes
    ----------
    addresses : frozenset of str
        Workers at the last count.
    """

    def __init__(self, client: Any, step: str) -> None:
        self.addresses: frozenset[str] = frozenset()
        self._client = client
        self._step = step
        self._n_threads = 0
        self._last_seen = time.monotonic()
        self._counted = -float("inf")

    def n_threads(self) -> int:
        """
        Threads of all workers, counted again after a second.

        Raises
        ------
        ClusterError
            If the scheduler doesn't answer, or there has been no worker for too long.
        """
        from sigma_scale.compute.faults import asking_cluster, lost_workers

        now = time.monotonic()
        if now - self._counted < _RECOUNT_SECONDS:
            return self._n_threads
        with asking_cluster(self._step):
            threads = self._client.nthreads()
        self._counted = now
        self._n_threads = sum(threads.values())
        self.addresses = frozenset(threads)
        if threads:
            self._last_seen = now
        elif now - self._last_seen > (patience := worker_timeout()):
            raise lost_workers(self._step, patience)
        return self._n_threads
