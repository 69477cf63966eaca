"""What goes wrong on a cluster, in the user's words: the step, what happened, the remedy."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dask.utils import format_bytes
from distributed import CancelledError, KilledWorker
from distributed.comm.core import CommClosedError
from distributed.scheduler import NoValidWorkerError

from sigma_scale.errors import ClusterError, SigmaScaleError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LINK_ERRORS", "asking_cluster", "failure_of", "lost_scheduler", "lost_workers"]

LINK_ERRORS = (CommClosedError, TimeoutError, CancelledError, ConnectionError)
"""What a client raises whose scheduler doesn't answer."""

_GO_ON = "Finished chunks are kept: run the same command again."
_MORE_MEMORY = (
    "Give workers more memory (--worker-memory, or memory= of compute.connect) or fewer threads, "
    "or use smaller bins."
)
_MEMORY_TOPIC = "worker-restart-memory"
"""Under which a worker's guard tells the scheduler that it has ended it."""


@contextmanager
def asking_cluster(step: str) -> Iterator[None]:
    """
    Tell of a scheduler that no longer answers.

    Parameters
    ----------
    step : str
        What is being done.

    Yields
    ------
    None

    Raises
    ------
    ClusterError
        In the place of the client's error.
    """
    try:
        yield
    except LINK_ERRORS as error:
        raise lost_scheduler(step) from error


def lost_scheduler(step: str) -> ClusterError:
    """
    Say that the scheduler has gone.

    Parameters
    ----------
    step : str
        What was being done.

    Returns
    -------
    ClusterError
    """
    return ClusterError(
        f"{_named(step)} stopped: the connection to the scheduler was lost. See whether it still "
        f"runs and start it again if not. {_GO_ON}"
    )


def lost_workers(step: str, seconds: float) -> ClusterError:
    """
    Say that there has been no worker for too long.

    Parameters
    ----------
    step : str
        What was being done.
    seconds : float
        For how long.

    Returns
    -------
    ClusterError
    """
    return ClusterError(
        f"{_named(step)} stopped: the scheduler has had no workers for {seconds:.0f} seconds. "
        f"See why they ended (their logs; squeue where they are SLURM jobs). {_GO_ON}"
    )


def failure_of(client: Any, error: BaseException, step: str) -> BaseException:
    """
    Find the words for what a task ended with.

    Parameters
    ----------
    client : distributed.Client
        Where it ran.
    error : BaseException
        What the client says of it.
    step : str
        What was being done.

    Returns
    -------
    BaseException
        ``ClusterError`` for faults of the cluster and for want of memory; what the task itself
        raised as it is.
    """
    if isinstance(error, KilledWorker):
        return ClusterError(f"{_named(step)} stopped: {_deaths(client, error)} {_GO_ON}")
    if isinstance(error, NoValidWorkerError):
        return ClusterError(f"{_named(step)} stopped: no worker may do it ({error}). {_GO_ON}")
    if isinstance(error, MemoryError) and not isinstance(error, SigmaScaleError):
        said = str(error) or type(error).__name__
        return ClusterError(
            f"{_named(step)} stopped: a worker has run out of memory ({said}). {_MORE_MEMORY} "
            f"{_GO_ON}"
        )
    if isinstance(error, CancelledError):
        if getattr(error, "reason", None) == "scheduler-connection-lost":
            return lost_scheduler(step)
        return ClusterError(
            f"{_named(step)} stopped: its tasks were cancelled on the cluster ({error}). {_GO_ON}"
        )
    return error


def _deaths(client: Any, error: KilledWorker) -> str:
    """How often and why the workers of a task died, with a remedy."""
    worker = error.last_worker
    limit = getattr(worker, "memory_limit", 0)
    said = f"its limit of {format_bytes(limit)}" if limit else "what the machine has"
    number = error.allowed_failures + 1
    if _ended_for_memory(client, worker.address):
        return (
            f"{number} workers in turn ran out of memory, {said}, on the same part. {_MORE_MEMORY}"
        )
    return (
        f"{number} workers in turn died on the same part, the last at {worker.address}. "
        f"If they took more memory than {said} (their logs say why they ended): {_MORE_MEMORY}"
    )


def _ended_for_memory(client: Any, address: str) -> bool:
    """Whether a worker was ended by its guard because it took too much memory."""
    try:
        events = client.get_events(_MEMORY_TOPIC)
    except LINK_ERRORS:
        return False
    return any(event.get("worker") == address for _, event in events)


def _named(step: str) -> str:
    return f"'{step}'" if step else "The work"
