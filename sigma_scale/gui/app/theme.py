"""Colours of the page: Panel's parts follow the page's own variables, figures a theme of Bokeh."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from bokeh.themes import Theme
from panel.theme.base import Inherit
from panel.theme.native import Native
from panel.viewable import Viewable

from sigma_scale.gui.dressing import set_theme

if TYPE_CHECKING:
    from bokeh.document import Document

__all__ = ["AppDesign", "apply_theme"]

_PARTS = files("sigma_scale.gui.app").joinpath("parts.css").read_text(encoding="utf-8")


class AppDesign(Native):
    """Panel's native look, with colours that the page can change while it is open."""

    modifiers: ClassVar[dict[type[Viewable], dict[str, Any]]] = {
        Viewable: {"stylesheets": [Inherit, _PARTS]}
    }


_INK, _LINE = "#ccd3da", "#8592a0"
# Colours alone: figures have the same size in both themes.
_DARK = Theme(
    json={
        "attrs": {
            "Plot": {
                "background_fill_color": "#2b3035",
                "border_fill_color": "#212529",
                "outline_line_color": _LINE,
            },
            "Grid": {"grid_line_color": _LINE, "grid_line_alpha": 0.2},
            "Axis": {
                "major_tick_line_color": _INK,
                "minor_tick_line_color": _LINE,
                "axis_line_color": _INK,
                "major_label_text_color": _INK,
                "axis_label_text_color": _INK,
            },
            "Legend": {"label_text_color": _INK, "background_fill_alpha": 0.0},
            "BaseColorBar": {"major_label_text_color": _INK, "background_fill_alpha": 0.0},
            "Title": {"text_color": _INK},
        }
    }
)
_LIGHT = Theme(json={})


def apply_theme(doc: Document | None, name: str) -> None:
    """
    Draw the figures of a page for a dark or a light background.

    Parameters
    ----------
    doc : bokeh.document.Document or None
        The page.
    name : {"dark", "light"}
        What the browser shows; anything else is taken for light.
    """
    if doc is not None:
        doc.theme = _DARK if name == "dark" else _LIGHT
        set_theme(doc, "dark" if name == "dark" else "light")
