"""What the parts of a project share."""

from __future__ import annotations

import logging
import threading
import warnings
from typing import TYPE_CHECKING, ClassVar

from sigma_scale.errors import SigmaScaleWarning, StoreError
from sigma_scale.workflow.background import Outcome
from sigma_scale.workflow.project.edit_log import (
    EditLog,
    free_name,
    labels_digest,
    read_log,
    set_aside,
    write_log,
)
from sigma_scale.workflow.project.following import followed
from sigma_scale.workflow.project.lock import locked, writable_folder
from sigma_scale.workflow.project.opening import open_derived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pandas as pd

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.store import Location
    from sigma_scale.workflow.project.opening import Opened
    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["ProjectState"]

_log = logging.getLogger(__name__)


class ProjectState:
    """
    A store's results and edits in memory, and how they follow the store.

    Parameters
    ----------
    path : pathlib.Path or UrlPath
        The store.
    image : SpectrumImage
        Its map.
    settings_file : pathlib.Path or None
        Settings that a run left beside it.
    """

    EVENTS: ClassVar[tuple[str, ...]] = ("edits", "features", "latent", "clusters", "unmixing")
    """What subscribers are told of."""

    def __init__(self, path: Location, image: SpectrumImage, settings_file: Path | None) -> None:
        self.path = path
        self._image = image
        self._settings_file = settings_file
        self._lock = threading.RLock()
        self._listeners: list[Callable[[str], object]] = []
        self._revision = 0
        self._saved_revision = 0
        self._unsaved = 0
        self._digest = ""
        self._notes: list[str] = []
        self._unmixing: tuple[pd.DataFrame, pd.DataFrame] | None = None
        self._opened: Opened = open_derived(path, image, settings_file)
        self._join_edits(writable=None)
        self._notify(())

    @property
    def _folder(self) -> Path:
        """Folder of the store, to write edits to; only for one that is in a folder."""
        return writable_folder(self.path)

    @property
    def _segmenter(self) -> PixelSegmenter | None:
        return self._opened.segmenter

    def subscribe(self, callback: Callable[[str], object]) -> Callable[[], None]:
        """
        Be told of changes.

        Parameters
        ----------
        callback : callable
            Called with one of ``EVENTS`` after each change, by the thread that made it.
            What it raises is logged.

        Returns
        -------
        callable
            Ends it.
        """
        with self._lock:
            self._listeners.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._listeners:
                    self._listeners.remove(callback)

        return unsubscribe

    def _notify(self, events: Iterable[str]) -> None:
        """Tell of changes; never while holding the lock, which a listener may wait for."""
        with self._lock:
            listeners = list(self._listeners)
            notes, self._notes = self._notes, []
        for event in events:
            for listener in listeners:
                outcome = Outcome()
                with outcome:
                    listener(event)
                if outcome.error is not None:
                    _log.error("A listener to %s failed", self.path, exc_info=outcome.error)
        # At the very end: where warnings are errors, everything is as it should be already.
        for note in notes:
            warnings.warn(note, SigmaScaleWarning, stacklevel=3)

    def _reopen(self) -> None:
        """Take over the results that are in the store now."""
        opened = open_derived(self.path, self._image, self._settings_file)
        self._opened = opened
        self._unmixing = None

    def _join_edits(self, *, writable: bool | None) -> None:
        """
        Put the edits of the store on the clusters in memory, which have none yet.

        ``writable`` says that the store's lock is held; None: that it is to be taken if needed.
        """
        self._unsaved = 0
        segmenter = self._segmenter
        self._digest = "" if segmenter is None else labels_digest(segmenter.labels)
        try:
            log = read_log(self.path)
            if log is None:
                self._saved_revision = 0
                return
            self._saved_revision = log.revision
            self._revision = max(self._revision, log.revision)
            if log.labels == self._digest and segmenter is not None:
                history = segmenter._history  # noqa: SLF001
                segmenter._history = followed(  # noqa: SLF001
                    history, log.records, log.position
                )
                return
            why = "They are of other clusters, which were made anew."
        except (StoreError, ValueError) as error:
            log, why = None, str(error)
        if log is not None and not log.records:
            return  # Nothing to keep: it is written over.
        where = self._put_aside(writable=writable)
        self._notes.append(f"Edits in {self.path.name} are not applied. {why} {where}")

    def _put_aside(self, *, writable: bool | None) -> str:
        """Keep the edits of the store under another name, and say where they are."""
        try:
            if writable is None:
                with locked(self._folder):
                    name = set_aside(self._folder)
            elif writable:
                name = set_aside(self._folder)
            else:
                return "They stay where they are until the store can be written."
        except OSError as error:
            return f"They stay where they are: {error}"
        self._saved_revision = 0
        return f"They are kept as {name!r}."

    def _keep_unsaved(self) -> str | None:
        """Write edits that the store doesn't have beside its own; the lock is held."""
        if not self._unsaved or self._segmenter is None:
            return None
        name = free_name(self._folder)
        write_log(self._folder, self._log(self._revision), name=name)
        return name

    def _log(self, revision: int) -> EditLog:
        if self._segmenter is None:
            return EditLog([], 0, revision, self._digest)
        history = self._segmenter._history  # noqa: SLF001 - the log is what a project keeps
        return EditLog(history.records, history.position, revision, self._digest)

    def _write_edits(self) -> None:
        """Write the edits in memory; the lock is held."""
        revision = max(self._revision, self._saved_revision + 1)
        write_log(self._folder, self._log(revision))
        self._revision = self._saved_revision = revision
        self._unsaved = 0
