"""Many calls on a cluster, with a bounded number of them under way."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import dask.config
from distributed.protocol import pickle as sending

from sigma_scale import progress
from sigma_scale.compute.faults import asking_cluster
from sigma_scale.compute.futures import Ended, check_ended, gathered, release
from sigma_scale.compute.patience import WorkerWatch
from sigma_scale.compute.worker_state import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Item = TypeVar("Item")
    Result = TypeVar("Result")

__all__ = ["stream_on"]

_LARGE = 100_000
"""Bytes of a function that is sent to each worker once, not with each call."""

_SECONDS = 0.2
"""After which an observer is asked again whether to go on."""

_CALLS_PER_THREAD = 2

_AT_ONCE = 32
"""Calls that are sent in one message: to client and scheduler they cost little more than one."""


def stream_on(
    client: Any, function: Callable[[Item], Result], items: Iterable[Item], step: str
) -> Iterator[Result]:
    """
    Call a function for each item on a cluster.

    Calls that were under way on a worker that dies are made again on another one.

    Parameters
    ----------
    client : distributed.Client
        Where the work goes.
    function : callable
        Called with one item.
    items : iterable
        The work, taken as it is needed.
    step : str
        What is being done, for errors.

    Yields
    ------
    object
        Results in the order in which they are finished.

    Raises
    ------
    ClusterError
        If the scheduler is lost, there are no workers for long, or they die of the work.
    CancelledError
        If an observer has had enough.
    """
    with asking_cluster(step):
        prepare(client)
    calls = _Calls(client, function, step)
    items = iter(items)
    try:
        while True:
            while part := list(islice(items, min(calls.n_wanted(), _AT_ONCE))):
                calls.submit(part)
            if not calls.pending:
                return
            progress.check()
            for result in calls.results():
                progress.check()
                yield result
    finally:
        calls.close()


@dataclass(frozen=True, slots=True)
class _Sealed:
    """An item that Dask doesn't search for tasks."""

    content: Any


def _call(function: Callable[[Any], Any], item: _Sealed) -> Any:
    return function(item.content)


def _of_any_size() -> Any:
    """Let Dask not warn of what it is sent: it is known to be bounded."""
    return dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})


class _Calls:
    """Calls that are under way."""

    def __init__(self, client: Any, function: Callable[[Any], Any], step: str) -> None:
        self.pending: set[Any] = set()
        self._client = client
        self._step = step
        self._ended = Ended()
        # Unique, and not made from what is sent: that would have to be read for each call.
        name = getattr(function, "__name__", type(function).__name__)
        self._name = f"{name}-{uuid.uuid4().hex}"
        self._number = 0
        self._function: Any = function
        self._is_sent = False
        self._watch = WorkerWatch(client, step)
        self._holders: frozenset[str] = frozenset()
        with asking_cluster(step):
            self._send_function()

    def _send_function(self) -> None:
        """Make one task of a large function, so that it is pickled and sent once."""
        content = sending.dumps(self._function)
        if len(content) <= _LARGE:
            return
        # Not scattered: what was scattered is lost with the workers that hold it, but a task is
        # done again.
        with _of_any_size():
            self._function = self._client.submit(
                sending.loads, content, key=(f"function-of-{self._name}", 0)
            )
        self._is_sent = True

    def n_wanted(self) -> int:
        """How many calls may be added to those under way."""
        n_threads = self._watch.n_threads()
        workers = self._watch.addresses
        if self._is_sent and workers - self._holders:
            # Else the scheduler would give all calls to the one worker that has the function.
            with asking_cluster(self._step):
                self._client.replicate([self._function])
            self._holders = workers
        return max(0, _CALLS_PER_THREAD * max(1, n_threads) - len(self.pending))

    def submit(self, items: list[Any]) -> None:
        """Send calls together; each is a task of its own."""
        numbers = range(self._number, self._number + len(items))
        self._number += len(items)
        with asking_cluster(self._step), _of_any_size():
            futures = self._client.map(
                _call,
                [self._function] * len(items),
                [_Sealed(item) for item in items],
                key=[(self._name, number) for number in numbers],
                pure=False,
            )
        for future in futures:
            self.pending.add(future)
            self._ended.watch(future)

    def results(self) -> Iterator[Any]:
        """Results that have come meanwhile; none after a short time without any."""
        ended = self._ended.take(_SECONDS)
        check_ended(self._client, ended, self._step)
        results = gathered(self._client, ended, self._step)
        for future in ended:
            self.pending.discard(future)
        release(ended)
        while results:  # what is given away isn't kept
            yield results.pop(0)

    def close(self) -> None:
        release(self.pending)
        if self._is_sent:
            release([self._function])
