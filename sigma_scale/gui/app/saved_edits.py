"""Edits of a page: saved in the store, and refused where someone else edited meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sigma_scale.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sigma_scale.workflow.project import Project
    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["SavedEdits"]

_Result = TypeVar("_Result")


class SavedEdits:
    """
    Carries out edits of one page's editor.

    Parameters
    ----------
    project : Project
        The map.
    tell_unsaved : callable
        Called after each edit, since it may have left edits that are not saved.
    """

    def __init__(self, project: Project, tell_unsaved: Callable[[], None]) -> None:
        self._project = project
        self._tell_unsaved = tell_unsaved
        self.seen = project.revision
        """Revision of the clusters that the page shows."""

    def __call__(self, action: Callable[[PixelSegmenter], _Result]) -> _Result:
        """
        Edit and save.

        Raises
        ------
        ConflictError
            If someone else edited what the page showed. The page is told of their edits; until it
            shows them, further edits are refused as well, such as that of a double click.
        """
        try:
            result = self._project.edit(action, seen=self.seen)
        except StoreError:
            self.seen = self._project.revision  # It is in effect, only not saved.
            raise
        else:
            self.seen = self._project.revision
            return result
        finally:
            self._tell_unsaved()
