"""
Changes of a page are sent in the order in which they were made.

Bokeh sends the changes of a tick when the tick is over. Panel sends its own at once, or a little
later where the socket is busy. A change of a model may so come before the message that adds the
model, and the page gives up on it: "reference p1234 isn't known".
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bokeh.document import Document

__all__ = ["keep_message_order"]


def keep_message_order(doc: Document) -> None:
    """
    Let Bokeh alone send the changes of a page, all at the end of what made them.

    Panel leaves changes to Bokeh while they are held. So they are held whenever the server handles
    a message of the browser or a tick of the page.

    Parameters
    ----------
    doc : bokeh.document.Document
        Page of a server, while it is built.
    """

    def begin() -> None:
        # There is no session yet while its document is made.
        session: Any = getattr(doc.session_context, "session", None)
        if session is None:
            return
        locked = session.with_document_locked

        def with_document_locked(action: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return locked(_held(doc, action), *args, **kwargs)

        session.with_document_locked = with_document_locked

    doc.apply_json_patch = _held(doc, doc.apply_json_patch)  # type: ignore[method-assign]
    doc.add_next_tick_callback(begin)


def _held(doc: Document, action: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function or coroutine function: changes wait for its end."""

    @wraps(action)
    def run(*args: Any, **kwargs: Any) -> Any:
        doc.hold("combine")
        is_over = True
        try:
            result = action(*args, **kwargs)
            if inspect.isawaitable(result):
                is_over = False
                return _released(doc, result)
            return result
        finally:
            if is_over:
                _release(doc)

    return run


async def _released(doc: Document, result: Awaitable[Any]) -> Any:
    try:
        return await result
    finally:
        _release(doc)


def _release(doc: Document) -> None:
    if doc.session_context is not None:  # else it was destroyed by what ran
        doc.unhold()
