"""
Where the work of live views runs, and how its results come back to the page.

In a served page a slow handler would hold up every session, and Bokeh's models may be written only
from the session's own ticks: work goes to threads and comes back by the next tick. In a notebook
ticks never come, but an update in the handler itself works: there everything runs at once.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from bokeh.document import Document

__all__ = ["LatestOnly", "Scheduler"]

_Result = TypeVar("_Result")
_THREADS = 4


class Scheduler:
    """
    Runs the work of one page, or of one view in a notebook.

    It is made while the page is built, since then Bokeh knows whose page it is.

    Attributes
    ----------
    is_served : bool
        Whether this is a page of a server.
    """

    def __init__(self) -> None:
        import panel as pn

        doc = pn.state.curdoc
        served = doc is not None and doc.session_context is not None
        self._doc: Document | None = doc if served else None
        # Notebooks call handlers from several threads.
        self._lock = threading.RLock()

    @property
    def is_served(self) -> bool:
        """Whether this is a page of a server."""
        return self._doc is not None

    @property
    def is_over(self) -> bool:
        """Whether the page was closed, so that nobody waits for results any more."""
        return self._doc is not None and bool(self._doc.session_context.destroyed)  # type: ignore[union-attr]

    def apply(self, change: Callable[[], None]) -> None:
        """
        Change models of the page, from whatever thread.

        Parameters
        ----------
        change : callable
            What to do. It is left out if the page was closed meanwhile.
        """
        if self._doc is None:
            with self._lock:
                change()
        elif not self.is_over:
            self._doc.add_next_tick_callback(partial(self._on_tick, change))

    def _on_tick(self, change: Callable[[], None]) -> None:
        if not self.is_over:
            change()

    def work(
        self,
        task: Callable[[], _Result],
        done: Callable[[_Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """
        Do something that takes time, then show what came of it.

        Parameters
        ----------
        task : callable
            Work that touches no model of the page.
        done : callable
            Takes the result; may write models.
        failed : callable
            Takes the exception where the work fails; may write models.
        """
        future = _threads().submit(task)
        if self._doc is None:
            with self._lock:
                self._finish(future, done, failed)
        else:
            future.add_done_callback(
                lambda ended: self.apply(lambda: self._finish(ended, done, failed))
            )

    @staticmethod
    def _finish(
        future: Future[_Result],
        done: Callable[[_Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Show the result of work, which is waited for in a notebook, or its failure."""
        error = future.exception()
        if error is None:
            done(future.result())
        elif isinstance(error, Exception):
            failed(error)
        else:
            raise error


class LatestOnly:
    """
    Work of which only the newest request counts, such as frames while somebody zooms.

    One request runs at a time; of those that come meanwhile only the last is done after it.

    Parameters
    ----------
    scheduler : Scheduler
        Where the work runs.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lock = threading.Lock()
        self._waiting: tuple[Callable[[], Any], Callable[[Any], None]] | None = None
        self._is_running = False

    def work(
        self,
        task: Callable[[], _Result],
        done: Callable[[_Result], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Do it, or put it in the place of what waits; as :meth:`Scheduler.work`."""
        with self._lock:
            if self._is_running:
                self._waiting = (task, done)
                return
            self._is_running = True

        def shown(result: _Result) -> None:
            try:
                done(result)
            finally:
                self._next(failed)

        def broken(error: Exception) -> None:
            try:
                failed(error)
            finally:
                self._next(failed)

        self._scheduler.work(task, shown, broken)

    def _next(self, failed: Callable[[Exception], None]) -> None:
        with self._lock:
            self._is_running = False
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.work(*waiting, failed)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="sigma-scale-view")
