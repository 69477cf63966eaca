"""
One way to say how far long work has come: as a bar, and to whoever observes it.

An observer is told of the bars and of Dask's tasks that are made in its context, and can end the
work by raising an error. Contexts are those of :mod:`contextvars`: each thread has its own, so
several pieces of work can be observed at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from sigma_scale import config

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Observer",
    "Progress",
    "check",
    "hidden",
    "observer",
    "observing",
    "progress_bar",
    "report",
]


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How far a piece of work has come.

    Parameters
    ----------
    description : str
        What is being done, such as ``"Reading counts"``.
    done, total : int
        Amount of work, in ``unit``.
    unit : str
        Unit of the work, such as ``"px"``.
    """

    description: str
    done: int
    total: int
    unit: str = "px"

    @property
    def share(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


class Observer(Protocol):
    """Is told how far work has come, and may end it by raising an error."""

    def report(self, progress: Progress) -> None:
        """Take note; called from any thread that works."""

    def check(self) -> None:
        """Raise an error if the work is to end."""


_observer: ContextVar[Observer | None] = ContextVar("sigma_scale_observer", default=None)
_hidden: ContextVar[bool] = ContextVar("sigma_scale_hidden", default=False)


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """
    Let an observer hear of the work that is done inside the ``with`` block by this thread.

    Threads that this work uses in turn report to it as well.

    Parameters
    ----------
    observer : Observer
        Who is told.

    Yields
    ------
    None
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


@contextmanager
def hidden() -> Iterator[None]:
    """
    Show and tell nothing of the bars made inside the ``with`` block by this thread.

    For work that is one item of a bar itself: the bars of many at once would tell nothing.

    Yields
    ------
    None
    """
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


def observer() -> Observer | None:
    """
    Give the observer of this context.

    Returns
    -------
    Observer or None
        Who is told of the work, if anyone.
    """
    return _observer.get()


def check() -> None:
    """
    End the work here if its observer wants it.

    Work that can be ended at some point calls this there.

    Raises
    ------
    CancelledError
        Or whatever else the observer raises.
    """
    heard = _observer.get()
    if heard is not None:
        heard.check()


def report(description: str, observer: Observer, unit: str, done: int, total: int) -> None:
    """
    Tell an observer how far work has come, and end the work if it wants so.

    Parameters
    ----------
    description, unit, done, total
        See :class:`Progress`.
    observer : Observer
        Who is told.
    """
    observer.check()
    observer.report(Progress(description, done, total, unit))


class _ObservedBar:
    """A bar whose updates an observer hears of, from whichever thread they come."""

    def __init__(self, bar: Any, description: str, unit: str, observer: Observer) -> None:
        self._bar = bar
        self._description = description
        self._unit = unit
        self._observer = observer
        self._done = 0
        self._tell()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)

    @property
    def n(self) -> int:
        """Work that is done."""
        return self._done

    def update(self, n: int = 1) -> None:
        """Say that more work is done."""
        self._bar.update(n)
        self._done += n
        self._tell()

    def _tell(self) -> None:
        report(self._description, self._observer, self._unit, self._done, int(self._bar.total))


@contextmanager
def progress_bar(description: str, *, total: int, unit: str = "px") -> Iterator[Any]:
    """
    Bar that is shown where the option ``progress`` is set, and told to the observer, if any.

    Parameters
    ----------
    description : str
        What is being done, such as ``"Reading counts"``.
    total : int
        Amount of work, in ``unit``.
    unit : str, default: "px"
        Unit of the work.

    Yields
    ------
    tqdm.tqdm
        Call its ``update(n)``.

    Raises
    ------
    CancelledError
        If the observer has had enough.
    """
    from tqdm.auto import tqdm

    shown = bool(config.get("progress")) and not _hidden.get()
    heard = None if _hidden.get() else _observer.get()
    with tqdm(
        total=total, desc=description, unit=unit, unit_scale=True, disable=not shown, leave=True
    ) as bar:
        yield bar if heard is None else _ObservedBar(bar, description, unit, heard)
