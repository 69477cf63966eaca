"""The maps that a server was started for, and the one long step that each may be running."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import ParameterError, SigmaScaleError
from sigma_scale.workflow.background import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from sigma_scale.workflow.project import Project

__all__ = ["OpenMap", "Workspace", "error_text", "log_unexpected"]

_log = logging.getLogger(__name__)


class OpenMap:
    """
    A map that pages show: its project, the step that runs, and who wants to hear of changes.

    It outlives the pages: a step goes on when the page that started it is closed, and any other
    page shows how far it is.

    Parameters
    ----------
    project : Project
        The map.

    Attributes
    ----------
    project : Project
        The map.
    task : Task or None
        The long step that was started last.
    fault : str
        Why the map can't be followed on disk at the moment; empty where it can.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.task: Task[Any] | None = None
        self.fault = ""
        self._lock = threading.Lock()
        self._listeners: dict[object, Callable[[str, Task[Any] | None], None]] = {}
        project.subscribe(self.tell)

    @property
    def is_busy(self) -> bool:
        """Whether a long step is running."""
        return self.task is not None and self.task.state == "running"

    def subscribe(self, listener: Callable[[str, Task[Any] | None], None]) -> Callable[[], None]:
        """
        Hear of changes, from whatever thread makes them.

        Parameters
        ----------
        listener : callable
            Called with what changed: an event of the project, "fault", "started" or "ended"; and
            with the step that started or ended, else with None. A short step may have ended, and
            even told so, before its start is told.

        Returns
        -------
        callable
            Ends it.
        """
        key = object()
        with self._lock:
            self._listeners[key] = listener

        def end() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return end

    def tell(self, event: str, task: Task[Any] | None = None) -> None:
        """Tell all who listen."""
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener(event, task)

    def start(self, name: str, action: Callable[[], Any]) -> None:
        """
        Start a long step in the background.

        Parameters
        ----------
        name : str
            What is done, such as ``"Measuring features"``.
        action : callable
            Does it.

        Raises
        ------
        ParameterError
            If another step is running.
        """
        with self._lock:
            if self.task is not None and self.is_busy:
                raise ParameterError(
                    f"{self.task.description} is still running. Wait for its end, or cancel it."
                )
            self.task = task = Task(action, name, on_change=self._on_change)
        self.tell("started", task)

    def _on_change(self, task: Task[Any]) -> None:
        if task.state != "running":
            self.tell("ended", task)

    def follow(self, done: Future[Any]) -> None:
        """Take the outcome of looking for others' edits; pages hear of a new fault or its end."""
        error = done.exception()
        fault = "" if error is None else error_text(error)
        if fault != self.fault:
            if error is not None:
                log_unexpected(error)
            self.fault = fault
            self.tell("fault")


class Workspace:
    """
    All maps of a server, in the order in which they were named.

    Parameters
    ----------
    projects : sequence of Project
        The maps.
    """

    def __init__(self, projects: Sequence[Project]) -> None:
        self.maps = tuple(OpenMap(project) for project in projects)
        # One thread: a slow disk must not pile up requests.
        self._following = ThreadPoolExecutor(1, thread_name_prefix="sigma-scale-follow")
        self._waiting: list[Future[Any]] = []

    def follow(self) -> None:
        """Look for edits that other processes made, off the server's thread."""
        if any(not future.done() for future in self._waiting):
            return
        self._waiting = []
        for opened in self.maps:
            if opened.is_busy:
                continue  # It is writing.
            future = self._following.submit(opened.project.refresh)
            future.add_done_callback(opened.follow)
            self._waiting.append(future)

    def close(self) -> None:
        """Cancel what runs and stop following."""
        for opened in self.maps:
            if opened.task is not None and opened.is_busy:
                opened.task.cancel()
        self._following.shutdown(wait=False, cancel_futures=True)


def error_text(error: BaseException) -> str:
    """
    Say on a page what went wrong.

    Parameters
    ----------
    error : BaseException
        What was raised.

    Returns
    -------
    str
        Words for the user.
    """
    text = " ".join(str(error).split())
    if isinstance(error, SigmaScaleError):
        return text or "Something went wrong."
    if isinstance(error, OSError):
        return f"The disk can't be used as needed: {text or type(error).__name__}."
    if isinstance(error, MemoryError):
        return "There is not enough memory. Use larger bins, or close other programs."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def log_unexpected(error: BaseException) -> None:
    """Log an error with its trace, unless this package raised it on purpose."""
    if not isinstance(error, SigmaScaleError):
        _log.error("A step failed", exc_info=error)
