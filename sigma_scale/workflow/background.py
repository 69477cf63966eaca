"""Long work in a thread: how far it has come, and how to end it."""

from __future__ import annotations

import atexit
import contextvars
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from sigma_scale import progress
from sigma_scale.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sigma_scale.progress import Progress

__all__ = ["Outcome", "State", "Task"]

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

State = Literal["running", "done", "failed", "cancelled"]

_LAST_SECONDS = 5.0
"""How long the program's end waits for work that was told to end."""


class Task(Generic[_Result]):
    """
    A call that runs in a thread of its own, from the moment the object is made.

    Parameters
    ----------
    work : callable
        Called without arguments.
    description : str, default: ""
        What is being done as a whole, such as ``"Clustering"``.
    on_change : callable, optional
        Called with the task whenever there is progress, and once when it has ended; from the
        thread, so it must be quick and must not touch what belongs to another thread. What it
        raises is logged.

    Attributes
    ----------
    description : str
        As given.
    result : object
        What the call returned; None until it is done.
    error : BaseException or None
        What it raised.

    Examples
    --------
    >>> with Task(lambda: 6 * 7) as task:
    ...     finished = task.wait()
    >>> task.state, task.result
    ('done', 42)
    """

    def __init__(
        self,
        work: Callable[[], _Result],
        description: str = "",
        *,
        on_change: Callable[[Task[_Result]], object] | None = None,
    ) -> None:
        self.description = description
        self.result: _Result | None = None
        self.error: BaseException | None = None
        self._work = work
        self._on_change = on_change
        self._state: State = "running"
        self._progress: Progress | None = None
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name=f"task {description}", daemon=True
        )
        _running.add(self)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Task {self.description!r}: {self.state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def state(self) -> State:
        """``"running"``, ``"done"``, ``"failed"`` or ``"cancelled"``."""
        return self._state

    @property
    def progress(self) -> Progress | None:
        """What is being done just now, and how far it has come; None before the first step."""
        return self._progress

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to end; it may still be running."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """
        Ask the work to end, which it does at its next step.

        A call that has ended already stays as it is.
        """
        self._cancelled.set()

    def wait(self, timeout: float | None = None) -> bool:
        """
        Wait for the end.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether it has ended.
        """
        return self._ended.wait(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """
        Ask the work to end, and wait for its thread.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether it has ended.
        """
        self.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def report(self, progress: Progress) -> None:
        """Take note of progress; the work calls it."""
        self._progress = progress
        self._tell()

    def check(self) -> None:
        """
        Raise an error if the work is to end; the work calls it.

        Raises
        ------
        CancelledError
            If :meth:`cancel` was called.
        """
        if self._cancelled.is_set():
            what = self.description or "The work"
            raise CancelledError(f"{what} was cancelled; what there was before is still there.")

    def _run(self) -> None:
        outcome = Outcome()
        with outcome, progress.observing(self):
            self.check()
            self.result = self._work()
        self.error = outcome.error
        if self.error is None:
            self._state = "done"
        else:
            self._state = "cancelled" if isinstance(self.error, CancelledError) else "failed"
        del self._work  # and all that it holds
        self._ended.set()
        _running.discard(self)
        self._tell()

    def _tell(self) -> None:
        if self._on_change is None:
            return
        outcome = Outcome()
        with outcome:
            self._on_change(self)
        if outcome.error is not None:
            _log.error("A listener to %r failed", self, exc_info=outcome.error)


class Outcome:
    """Keeps what a ``with`` block raises for whoever waits for it: nobody is above a thread."""

    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.error = error
        return True


_running: weakref.WeakSet[Task[Any]] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """End what runs before the interpreter takes away what it works with."""
    tasks = list(_running)
    for task in tasks:
        task.cancel()
    for task in tasks:
        task.wait(_LAST_SECONDS)
