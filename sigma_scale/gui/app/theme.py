"""Colours of the page: Panel's parts follow the page's own variables, figures a theme of Bokeh."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from bokeh.themes import Theme
from panel.theme.base import DarkTheme, Inherit
from panel.theme.native import Native
from panel.viewable import Viewable

if TYPE_CHECKING:
    from bokeh.document import Document

__all__ = ["AppDesign", "apply_theme"]

_PARTS = files("sigma_scale.gui.app").joinpath("parts.css").read_text(encoding="utf-8")


class AppDesign(Native):
    """Panel's native look, with colours that the page can change while it is open."""

    modifiers: ClassVar[dict[type[Viewable], dict[str, Any]]] = {
        Viewable: {"stylesheets": [Inherit, _PARTS]}
    }


_DARK, _LIGHT = DarkTheme().bokeh_theme, Theme(json={})


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
