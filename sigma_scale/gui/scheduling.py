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
    from tornado.ioloop import IOLoop

__all__ = ["LatestOnly", "Scheduler", "served_document"]

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
        self._doc = served_document()
        self._loop = None if self._doc is None else _running_loop()
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
                _send_to_notebooks()
        elif self._loop is None:
            self._add_tick(change)
        else:
            # Documents aren't made for other threads: a tick that is added while the page's own
            # changes are let go could get lost.
            self._loop.add_callback(self._add_tick, change)

    def _add_tick(self, change: Callable[[], None]) -> None:
        if self._doc is not None and not self.is_over:
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
                _send_to_notebooks()
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


def served_document() -> Document | None:
    """
    Find the page of a server that is being built.

    Returns
    -------
    bokeh.document.Document or None
        None in a notebook.
    """
    import panel as pn

    doc: Document | None = pn.state.curdoc
    return doc if doc is not None and doc.session_context is not None else None


def _send_to_notebooks() -> None:
    """
    Send changes of Bokeh's models to the notebooks that show them.

    Panel sends those of its own widgets, and others only where an event of Bokeh caused them: a
    picture would stay as it was when a button is pressed.
    """
    import panel as pn
    from panel.io.notebook import push

    for _view, _root, doc, comm in list(pn.state._views.values()):  # noqa: SLF001 - as Panel does
        if comm is not None and doc.callbacks._held_events:  # noqa: SLF001
            push(doc, comm)


def _running_loop() -> IOLoop | None:
    from tornado.ioloop import IOLoop

    return IOLoop.current(instance=False)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="sigma-scale-view")
