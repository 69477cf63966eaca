"""How high the window of a page is, and what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary, WeakSet

from sigma_scale.gui.scheduling import served_document

if TYPE_CHECKING:
    from bokeh.document import Document

__all__ = ["Follower", "follow_window", "set_window_height", "window_height"]

_LEAST = 200
"""Height in pixels below which nothing is taken seriously; a page can be scrolled then."""


class Follower(Protocol):
    """What changes its size with the window."""

    def fit_window(self) -> None:
        """Take the size that suits the window now; see :func:`window_height`."""


_heights: WeakKeyDictionary[Document, int] = WeakKeyDictionary()
"""Height of each page's window, once its browser has told it."""
_followers: WeakKeyDictionary[Document, WeakSet[Follower]] = WeakKeyDictionary()


def window_height() -> int | None:
    """Height of the window in pixels; None in a notebook, and before the browser told it."""
    doc = served_document()
    return None if doc is None else _heights.get(doc)


def follow_window(follower: Follower) -> None:
    """
    Let something follow the window of the page that is being built; in a notebook nothing does.

    Parameters
    ----------
    follower : Follower
        Told of each change, as long as it lives.
    """
    doc = served_document()
    if doc is not None:
        _followers.setdefault(doc, WeakSet()).add(follower)


def set_window_height(doc: Document, height: int) -> None:
    """
    Say how high the window of a page is, on the page's own thread.

    Parameters
    ----------
    doc : bokeh.document.Document
        The page.
    height : int
        Pixels inside the window.
    """
    height = max(height, _LEAST)
    if _heights.get(doc) != height:
        _heights[doc] = height
        for follower in list(_followers.get(doc, ())):
            follower.fit_window()
