"""What all live views share: colours that are seen in both themes, remarks, and tables."""

from __future__ import annotations

import colorsys
import math
from html import escape
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from sigma_scale.errors import SigmaScaleError
from sigma_scale.gui.scheduling import served_document

if TYPE_CHECKING:
    import pandas as pd
    from bokeh.document import Document

__all__ = [
    "ALL_TOOLS",
    "MUTED",
    "UNSEEN_LABEL",
    "Remark",
    "dress_figure",
    "figure_pane",
    "in_words",
    "is_dark",
    "message_pane",
    "plain",
    "seen_colour",
    "selection_tools",
    "set_theme",
    "small_table",
    "tick_box",
]

MUTED = "#8592a0"
"""A grey that is readable on white and on black."""
UNSEEN_LABEL = (
    "label { position: absolute; width: 1px; height: 1px; overflow: hidden;"
    " clip-path: inset(50%); }"
)
"""Style of an input whose label is for screen readers alone."""
ALL_TOOLS = ".bk-divider { display: none; }"
"""Style of a toolbar; Bokeh forgets the dividers' width and would hide the last tool in a menu."""
_DARKEST, _LIGHTEST = 0.42, 0.45
"""Lightness that a line has at least on black, and at most on white."""
_ROUNDING = 1e-6
"""Share of the numbers around it below which a number is what rounding has left."""
_MOST_PLACES = 9


_MESSAGE = (
    ".said { font-size: 12px; color: #8592a0; }"
    ".failed { font-size: 13px; padding: 5px 10px; border-left: 4px solid #d55e00;"
    " background: rgba(213, 94, 0, 0.14); max-width: 900px; }"
)


_INKS = {False: "#3b4652", True: "#ccd3da"}
"""Colour of letters and axes in the light and the dark theme."""
_PAPERS = {False: "#ffffff", True: "#212529"}
"""What pales the names of hidden spectra in a legend."""
_themes: WeakKeyDictionary[Document, str] = WeakKeyDictionary()
"""Theme of each page that says which it shows."""
_dressed: WeakKeyDictionary[Document, WeakSet[Any]] = WeakKeyDictionary()
"""Figures of each page that are to follow its theme, shown or not."""


def is_dark() -> bool:
    """Whether the page is shown in the dark theme."""
    import panel as pn

    doc = served_document()
    chosen = None if doc is None else _themes.get(doc)
    return (chosen or str(pn.config.theme)) == "dark"


def set_theme(doc: Document, name: str) -> None:
    """
    Say which theme a page of a server shows, and give its figures the colours of it.

    Parameters
    ----------
    doc : bokeh.document.Document
        The page.
    name : {"dark", "light"}
        The theme.
    """
    _themes[doc] = name
    for figure in list(_dressed.get(doc, ())):
        _colour(figure, is_dark=name == "dark")


def seen_colour(colour: str) -> str:
    """
    Change the lightness of a colour as far as a thin line needs it to be seen.

    Parameters
    ----------
    colour : str
        ``"#rrggbb"``.

    Returns
    -------
    str
        A colour of the same hue: lighter in the dark theme, darker in the light one, if needed.
    """
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    light = max(light, _DARKEST) if is_dark() else min(light, _LIGHTEST)
    red, green, blue = colorsys.hls_to_rgb(hue, light, saturation)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def figure_pane(figure: Any, **options: Any) -> Any:
    """
    Put a figure of Bokeh into a layout, in the colours of the page's theme.

    Parameters
    ----------
    figure : bokeh.plotting.figure or None
        The figure.
    **options
        Further parameters of the pane.

    Returns
    -------
    panel.pane.Bokeh
    """
    import panel as pn

    if figure is not None:
        dress_figure(figure)
    return pn.pane.Bokeh(figure, **options)


def dress_figure(figure: Any) -> None:
    """
    Give a figure of Bokeh the colours of the page's theme, on the page's own background.

    Parameters
    ----------
    figure : bokeh.plotting.figure
        The figure, complete with its axes, legend and colour bars.
    """
    doc = served_document()
    if doc is not None:
        _dressed.setdefault(doc, WeakSet()).add(figure)
    _colour(figure, is_dark=is_dark())


def _colour(figure: Any, *, is_dark: bool) -> None:
    from bokeh.models.annotations import ColorBar, Legend

    ink = _INKS[is_dark]
    figure.toolbar.stylesheets = [ALL_TOOLS]
    figure.background_fill_color = figure.border_fill_color = None
    figure.outline_line_color = figure.title.text_color = ink
    figure.outline_line_alpha = 0.3
    for grid in figure.grid:
        grid.grid_line_color, grid.grid_line_alpha = MUTED, 0.2
    for axis in figure.axis:
        axis.axis_label_text_color = axis.major_label_text_color = ink
        axis.axis_line_color = axis.major_tick_line_color = ink
        axis.minor_tick_line_color = None
    for part in (*figure.center, *figure.right):
        if isinstance(part, Legend):
            part.label_text_color = ink
            part.background_fill_alpha = part.border_line_alpha = 0.0
            part.inactive_fill_color = _PAPERS[is_dark]
        elif isinstance(part, ColorBar):
            part.major_label_text_color = ink
            part.background_fill_alpha = 0.0


def in_words(error: Exception) -> str:
    """Say what went wrong: our own errors in their words, others by their type as well."""
    if isinstance(error, SigmaScaleError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def message_pane() -> Any:
    """Make an empty pane for a message; :class:`Remark` fills it."""
    import panel as pn

    return pn.pane.HTML("", visible=False, margin=(2, 8), stylesheets=[_MESSAGE])


class Remark:
    """
    A line of text on the page: what was done, or what went wrong.

    Attributes
    ----------
    pane : panel.pane.HTML
        What is put into the layout.
    """

    def __init__(self) -> None:
        self._text = ""
        self.pane = message_pane()

    @property
    def text(self) -> str:
        """What it says; empty where there is nothing to say."""
        return self._text

    def say(self, text: str) -> None:
        """Tell something, or nothing any more."""
        self._show(text, "said")

    def fail(self, error: Exception) -> None:
        """Tell what went wrong."""
        self._show(in_words(error), "failed")

    def _show(self, text: str, kind: str) -> None:
        # Messages may hold names of files and features: they are text, never markup.
        self._text = text
        role = "alert" if kind == "failed" else "status"
        shown = f'<div class="{kind}" role="{role}">{escape(text)}</div>'
        self.pane.param.update(object=shown, visible=bool(text))


def selection_tools() -> list[Any]:
    """Make tools to click, draw a rectangle and draw a lasso, each told of once when it's done."""
    from bokeh.models import BoxSelectTool, LassoSelectTool, TapTool

    return [TapTool(), BoxSelectTool(continuous=False), LassoSelectTool(continuous=False)]


def tick_box(label: str, *, value: bool, **options: Any) -> Any:
    """
    Make a box to tick whose text can be clicked too and is read out; Panel's Checkbox lacks both.

    Parameters
    ----------
    label : str
        What the box is for.
    value : bool
        Whether it is ticked at first.
    **options
        Further parameters of the widget.

    Returns
    -------
    panel.widgets.CheckBoxGroup
        Its value is a list, empty where the box is not ticked.
    """
    import panel as pn

    return pn.widgets.CheckBoxGroup(
        options={label: True}, value=[True] if value else [], inline=True, **options
    )


def small_table(table: pd.DataFrame, *, height: int = 240) -> Any:
    """
    Show a table that can be scrolled.

    Parameters
    ----------
    table : pandas.DataFrame
        What it shows.
    height : int, default: 240
        Largest height in pixels.

    Returns
    -------
    panel.viewable.Viewable
    """
    import panel as pn

    shown = _plain_columns(table).rename(columns=_unit_in_words)
    html = shown.to_html(border=0, na_rep="")
    style = (
        "<style>table{border-collapse:collapse;font-size:12px;font-variant-numeric:tabular-nums}"
        "td,th{padding:2px 10px;text-align:right;border-bottom:1px solid rgba(133,146,160,.35)}"
        "</style>"
    )
    return pn.pane.HTML(
        style + html, max_height=height, styles={"overflow": "auto"}, sizing_mode="stretch_width"
    )


def plain(value: float, *, scale: float = 0.0, digits: int = 4) -> str:
    """
    Write a number without powers of ten.

    Parameters
    ----------
    value : float
        The number.
    scale : float, default: 0.0
        Size of the numbers beside it; what is next to nothing of that is rounding, and 0.
    digits : int, default: 4
        Digits that count; whole numbers keep theirs.

    Returns
    -------
    str
        Such as ``"14,700"``, ``"0.0213"`` or ``"0"``; ``"–"`` where there is no number.
    """
    if not math.isfinite(value):
        return "–"
    if value == 0 or abs(value) < _ROUNDING * abs(scale):
        return "0"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{min(places, _MOST_PLACES)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def _plain_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Write the numbers of a table; each column has a scale of its own."""
    shown = table.astype(object)
    for place, (_name, column) in enumerate(table.items()):
        if column.dtype.kind in "iu":
            shown.isetitem(place, [f"{value:,}" for value in column])
        if column.dtype.kind not in "fO":
            continue
        numbers = [v for v in column if isinstance(v, float) and math.isfinite(v)]
        scale = max(map(abs, numbers), default=0.0)
        said = [
            ("" if math.isnan(v) else plain(v, scale=scale)) if isinstance(v, float) else v
            for v in column
        ]
        shown.isetitem(place, said)
    return shown


def _unit_in_words(name: Any) -> Any:
    """Write the units of a column as they are read."""
    if not isinstance(name, str):
        return name
    for unit, word in (("(um^2)", "(µm²)"), ("(um)", "(µm)"), ("(px^2)", "(pixels)"),
                       ("(px)", "(pixels)")):  # fmt: skip
        name = name.replace(unit, word)
    return name
