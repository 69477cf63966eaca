"""How views are laid out on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale.gui.scheduling import served_document
from sigma_scale.gui.view import picture

if TYPE_CHECKING:
    from sigma_scale.gui.view import View

__all__ = ["NOTEBOOK_WIDTH", "beside", "pictures", "room", "with_save_buttons"]

NOTEBOOK_WIDTH = 820
"""Pixels that a cell of a notebook has for a view, beside a list of files."""
_ALWAYS_SEEN = (
    ":host { position: sticky; bottom: 0; z-index: 5; border-radius: 4px;"
    " background: var(--app-background, transparent); }"
)
"""Style of buttons that stay at the lower edge of a page's window, however long the view is."""


def room(width: int, in_notebook: int = NOTEBOOK_WIDTH) -> int:
    """
    Tell how wide something may be.

    Parameters
    ----------
    width : int
        In a page of a server, in pixels.
    in_notebook : int, default: 820
        In a notebook, if that is less.

    Returns
    -------
    int
    """
    return width if served_document() is not None else min(width, in_notebook)


def beside(*parts: Any) -> Any:
    """
    Lay out parts side by side; what a notebook has no room for comes below.

    Parameters
    ----------
    *parts : panel.viewable.Viewable
        From the left to the right.

    Returns
    -------
    panel.viewable.Viewable
    """
    import panel as pn

    if served_document() is not None:
        return pn.Row(*parts, margin=0)
    return pn.FlexBox(*parts, margin=0, align_items="flex-start")


def pictures(view: View) -> Any:
    """
    Lay out the figures of a view as pictures.

    Parameters
    ----------
    view : View
        The view.

    Returns
    -------
    panel.viewable.Viewable
        The picture, or tabs of several; each is drawn when it is first looked at.
    """
    import panel as pn

    panels = view.panels
    shown = [(title, pn.pane.HTML(picture(title, panel))) for title, panel in panels.items()]
    return shown[0][1] if len(shown) == 1 else pn.Tabs(*shown, dynamic=True)


def with_save_buttons(content: Any, view: View) -> Any:
    """
    Put buttons that save figures and data below a view.

    Parameters
    ----------
    content : panel.viewable.Viewable
        What the view shows.
    view : View
        The view.

    Returns
    -------
    panel.viewable.Viewable
    """
    import panel as pn

    buttons = [
        pn.widgets.FileDownload(
            callback=make,
            filename=name,
            label=kind,
            color="light",
            height=28,
            margin=(2, 4),
            description=f"Save as {kind}",
        )
        for kind, (name, make) in view.downloads().items()
    ]
    row = pn.Row(pn.pane.HTML("Save", margin=(8, 4)), *buttons, align="end")
    if served_document() is not None:
        row.stylesheets = [_ALWAYS_SEEN]
    return pn.Column(
        content,
        row,
        sizing_mode="stretch_width",
    )
