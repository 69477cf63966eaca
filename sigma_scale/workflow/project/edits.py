"""Edits of a project's clusters: seen by everybody, saved at once, lost by nobody."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from sigma_scale.errors import (
    ConflictError,
    ParameterError,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.workflow.project.edit_log import EditLog, kept_logs, read_log, write_log
from sigma_scale.workflow.project.following import followed
from sigma_scale.workflow.project.lock import locked
from sigma_scale.workflow.project.opening import stamps
from sigma_scale.workflow.project.state import ProjectState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["ProjectEdits"]

_Result = TypeVar("_Result")
_UNREACHABLE = (StoreError, SourceNotFoundError)


class ProjectEdits(ProjectState):
    """A project whose clusters several people can edit, here and in other processes."""

    @property
    def revision(self) -> int:
        """A number that grows with each change of the edits, whoever makes it."""
        return self._revision

    @property
    def unsaved(self) -> int:
        """How many edits are in memory only, because the store could not be written."""
        return self._unsaved

    @property
    def kept_edits(self) -> dict[str, list[dict[str, Any]]]:
        """
        Edits that the store keeps but that are not in effect, by the names of their groups.

        They are of clusters that were made anew since, or were made while someone else edited.
        :meth:`PixelSegmenter.replay_edits` takes them.
        """
        return {name: log.records[: log.position] for name, log in kept_logs(self.path).items()}

    def edit(
        self, action: Callable[[PixelSegmenter], _Result], *, seen: int | None = None
    ) -> _Result:
        """
        Edit the clusters, and save the edits into the store.

        Parameters
        ----------
        action : callable
            Called with the segmenter; it may make any number of edits. If it fails, none of them
            stays. It must not call other methods of the project.
        seen : int, optional
            The :attr:`revision` that the edit was meant for. None: whatever there is now.

        Returns
        -------
        object
            What the action returns.

        Raises
        ------
        ConflictError
            If someone else edited, or made the clusters anew, after ``seen``. Their edits are
            taken over, and the action was not called.
        StoreError
            If the edits can't be saved. They are in effect all the same, and count as
            :attr:`unsaved` until :meth:`save_edits` succeeds.
        ParameterError
            If there are no clusters.
        """
        events: list[str] = []
        try:
            with self._lock:
                return self._edit(action, seen, events)
        finally:
            self._notify(events)

    def _edit(
        self, action: Callable[[PixelSegmenter], _Result], seen: int | None, events: list[str]
    ) -> _Result:
        problem: OSError | None = None
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._folder))
                events += self._take_over(writable=True)
            except _UNREACHABLE as error:
                problem = error
            if seen is not None and seen != self._revision:
                raise ConflictError(
                    "Someone else has edited these clusters meanwhile: their edits are shown now. "
                    "Look at them, and edit again if it is still needed."
                )
            segmenter = self._clusters()
            before = segmenter._history  # noqa: SLF001 - edits that fail are taken back here
            segmenter._history = copy.copy(before)  # noqa: SLF001
            done = False
            try:
                result = action(segmenter)
                done = True
            finally:
                after = segmenter._history  # noqa: SLF001
                if not done:
                    segmenter._history = before  # noqa: SLF001
            if after.records == before.records and after.position == before.position:
                return result
            events.append("edits")
            self._unmixing = None
            self._revision += 1
            self._unsaved += 1
            if problem is None:
                try:
                    self._write_edits()
                except _UNREACHABLE as error:
                    problem = error
        if problem is not None:
            raise StoreError(
                f"The edit is in effect, but not saved: {problem} {self._unsaved} edits are kept "
                "in memory; save them once that is mended, or save the segmentation elsewhere."
            ) from problem
        return result

    def _clusters(self) -> PixelSegmenter:
        if self._segmenter is None:
            raise ParameterError("There are no clusters to edit yet. Cluster the map first.")
        return self._segmenter

    def save_edits(self) -> None:
        """
        Save edits that could not be saved before.

        Raises
        ------
        StoreError
            If they still can't be.
        ConflictError
            If someone else edited meanwhile. Their edits are in effect now, and those that were
            not saved are among :attr:`kept_edits`.
        """
        events: list[str] = []
        try:
            with self._lock, locked(self._folder):
                unsaved = self._unsaved
                events += self._take_over(writable=True)
                if unsaved and events:
                    raise ConflictError(
                        "Someone else has edited these clusters meanwhile: their edits are in "
                        f"effect, and yours are kept in the store as {self._last_kept()!r}."
                    )
                if self._unsaved:
                    self._write_edits()
        finally:
            self._notify(events)

    def refresh(self) -> bool:
        """
        Take over what other processes have changed.

        Returns
        -------
        bool
            Whether there was anything.

        Raises
        ------
        SourceNotFoundError
            If the store isn't there any more.
        StoreError
            If it can't be read; or if it can't be written and there are unsaved edits, which it
            would have to keep.
        """
        events: list[str] = []
        with self._lock:
            if not (self.path / "zarr.json").exists():
                raise SourceNotFoundError(
                    f"The store {self.path} is not there any more. Put it back where it was."
                )
            if not self._is_changed():
                return False
            with ExitStack() as stack:
                writable = True
                try:
                    stack.enter_context(locked(self._folder))
                except StoreError:
                    if self._unsaved:
                        raise
                    writable = False
                events += self._take_over(writable=writable)
        self._notify(events)
        return bool(events)

    def _is_changed(self) -> bool:
        if stamps(self.path) != self._opened.stamps:
            return True
        log = read_log(self.path, self._log(0).records)
        return log is not None and log.revision != self._saved_revision

    def _take_over(self, *, writable: bool) -> list[str]:
        """Take over what others changed, and say what it was; ``writable``: the lock is held."""
        if stamps(self.path) != self._opened.stamps:
            return self._take_over_results(writable=writable)
        log = read_log(self.path, self._log(0).records)
        if log is None or log.revision == self._saved_revision:
            return []
        revision = max(log.revision, self._revision + 1)
        self._keep_and_say()
        if log.labels == self._digest and self._segmenter is not None:
            try:
                history = self._segmenter._history  # noqa: SLF001
                self._segmenter._history = followed(  # noqa: SLF001
                    history, log.records, log.position
                )
            except ValueError as error:
                raise StoreError(f"The edits in {self.path} can't be applied: {error}") from error
            self._saved_revision = log.revision
        else:
            self._join_edits(writable=writable)
        self._revision, self._unsaved = revision, 0
        self._unmixing = None
        return ["edits"]

    def _take_over_results(self, *, writable: bool) -> list[str]:
        revision = self._revision + 1
        self._keep_and_say()
        self._reopen()
        self._join_edits(writable=writable)
        self._revision = max(revision, self._revision)
        return ["features", "latent", "clusters", "edits"]

    def _keep_and_say(self) -> None:
        name = self._keep_unsaved()
        if name is not None:
            self._notes.append(
                f"Edits that could not be saved are kept in {self.path.name} as {name!r}: someone "
                "else has changed the clusters meanwhile."
            )

    def _last_kept(self) -> str:
        return max(kept_logs(self.path), key=lambda name: int(name.rpartition("_")[2]))

    def _begin_edits(self) -> None:
        """Begin a new log for new clusters, and keep an earlier one; the lock is held."""
        revision = self._revision + 1
        self._unsaved = 0
        self._join_edits(writable=True)
        self._revision = max(revision, self._revision)
        log = EditLog([], 0, self._revision, self._digest)
        if self._segmenter is not None and not self._segmenter.edit_log:
            write_log(self._folder, log)
            self._saved_revision = self._revision
