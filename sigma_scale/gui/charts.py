"""Live charts: bars, histograms, curves and shaded tables with values on hovering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.gui.dressing import MUTED, is_dark

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["bar_chart", "curve_chart", "histogram_chart", "shaded_table"]

_BAR = 22
_CELL = (58, 24)
_BLUE, _VERMILION = "#56b4e9", "#d55e00"
_MOST_WRITTEN = 400


def bar_chart(
    names: Sequence[str],
    values: Sequence[float],
    *,
    colours: Sequence[str] | str = _BLUE,
    errors: Sequence[float] | None = None,
    label: str = "",
    width: int = 640,
) -> Any:
    """
    Draw bars side by side, the first on top.

    Parameters
    ----------
    names : sequence of str
        Names of the bars, each another one.
    values : sequence of float
        Their lengths.
    colours : sequence of str or str
        ``"#rrggbb"`` of each, or of all.
    errors : sequence of float, optional
        Standard errors, drawn as whiskers.
    label : str
        What the values are.
    width : int, default: 640
        Width of the frame in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.models.annotations import Whisker

    lengths = np.asarray(values, dtype=np.float64)
    spread = np.zeros_like(lengths) if errors is None else np.asarray(errors, dtype=np.float64)
    hues = [colours] * len(names) if isinstance(colours, str) else list(colours)
    source = ColumnDataSource(
        {
            "name": list(names), "value": lengths, "colour": hues, "error": spread,
            "low": lengths - spread, "high": lengths + spread,
        }
    )  # fmt: skip
    made = _figure(
        y_range=list(names)[::-1], x_axis_label=label, frame_width=width,
        frame_height=max(_BAR * len(names), 40), tools="",
    )  # fmt: skip
    bars = made.hbar(
        "name", right="value", height=0.76, source=source, color="colour", line_color=MUTED,
        line_width=0.5,
    )  # fmt: skip
    tips = [("", "@name"), (label or "value", "@value{0.[0000]}")]
    if errors is not None:
        whisker: Any = Whisker(base="name", lower="low", upper="high", source=source,
                          dimension="width", line_color=MUTED)  # fmt: skip
        whisker.upper_head.size = whisker.lower_head.size = 6
        whisker.upper_head.line_color = whisker.lower_head.line_color = MUTED
        made.add_layout(whisker)
        tips.append(("standard error", "@error{0.[0000]}"))
    made.add_tools(HoverTool(renderers=[bars], tooltips=tips))
    made.ygrid.visible = False
    made.x_range.start = min(0.0, float(np.nanmin(lengths)) if lengths.size else 0.0)
    return made


def histogram_chart(
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    colour: str = _BLUE,
    label: str = "",
    count_label: str = "Pixels",
    size: tuple[int, int] = (320, 160),
) -> Any:
    """
    Draw a histogram.

    Parameters
    ----------
    edges : sequence of float, n + 1
        Edges of the bins.
    counts : sequence of float, n
        What is in them.
    colour : str
        ``"#rrggbb"``.
    label, count_label : str
        Names of the axes.
    size : tuple of int
        Frame in screen pixels.

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource, HoverTool

    source = ColumnDataSource(
        {"low": list(edges[:-1]), "high": list(edges[1:]), "count": list(counts)}
    )
    made = _figure(
        x_axis_label=label, y_axis_label=count_label, frame_width=size[0], frame_height=size[1],
        tools="xpan,xwheel_zoom,reset",
    )  # fmt: skip
    bars = made.quad(
        left="low", right="high", bottom=0, top="count", source=source, color=colour,
        line_color=MUTED, line_width=0.4, fill_alpha=0.85,
    )  # fmt: skip
    made.y_range.start = 0
    made.add_tools(
        HoverTool(renderers=[bars], tooltips=[(label or "value", "@low{0.[000]} to @high{0.[000]}"),
                                              (count_label, "@count{0,0.[00]}")])
    )  # fmt: skip
    made.yaxis.ticker.desired_num_ticks = 4
    return made


def curve_chart(table: pd.DataFrame, *, label: str, value_label: str) -> Any:
    """
    Draw a curve with its lowest point marked.

    Parameters
    ----------
    table : pandas.DataFrame
        One column of values, by whole numbers.
    label, value_label : str
        Names of the axes.

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource, HoverTool

    numbers, values = table.index.to_numpy(), table.iloc[:, 0].to_numpy(np.float64)
    source = ColumnDataSource({"number": numbers, "value": values})
    made = _figure(
        x_axis_label=label, y_axis_label=value_label, frame_width=640, frame_height=320,
        tools="pan,wheel_zoom,box_zoom,reset",
    )  # fmt: skip
    made.line("number", "value", source=source, color=_BLUE, line_width=2)
    dots = made.scatter("number", "value", source=source, color=_BLUE, size=7)
    lowest = int(np.nanargmin(values))
    made.scatter(
        [numbers[lowest]], [values[lowest]], size=16, fill_alpha=0.0, line_color=_VERMILION,
        line_width=2.5, legend_label=f"Lowest: {numbers[lowest]}",
    )  # fmt: skip
    made.legend.background_fill_alpha = 0.0
    made.legend.border_line_alpha = 0.0
    made.add_tools(
        HoverTool(renderers=[dots], tooltips=[(label, "@number"), (value_label, "@value{0,0.00}")])
    )
    return made


def shaded_table(table: pd.DataFrame, *, label: str) -> Any:
    """
    Draw a table whose cells are the darker, the more they hold.

    Parameters
    ----------
    table : pandas.DataFrame
        Values that are not negative, rows and columns with names.
    label : str
        What the values are.

    Returns
    -------
    bokeh.plotting.figure
    """
    from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper
    from bokeh.transform import transform
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    rows, columns = [str(v) for v in table.index], [str(v) for v in table.columns]
    values = table.to_numpy(np.float64)
    most = float(np.nanmax(values)) or 1.0
    strong = values.ravel() > (0.45 if is_dark() else 0.6) * most
    inks = ("#101418", "#ffffff") if is_dark() else ("#ffffff", "#1f2933")
    source = ColumnDataSource(
        {
            "row": np.repeat(rows, len(columns)), "column": np.tile(columns, len(rows)),
            "value": values.ravel(), "ink": np.where(strong, *inks),
            "text": [f"{v:.2f}" if v >= 0.005 * most else "" for v in values.ravel()],
        }
    )  # fmt: skip
    shades = colormaps["Blues_r" if is_dark() else "Blues"](np.linspace(0.05, 0.95, 64))
    if is_dark():  # little is dark there
        shades = colormaps["Blues_r"](np.linspace(0.0, 0.95, 64))
    mapper = LinearColorMapper(palette=[to_hex(c) for c in shades], low=0.0, high=most)
    made = _figure(
        x_range=columns, y_range=rows[::-1], x_axis_location="above", tools="",
        frame_width=max(_CELL[0] * len(columns), 120), frame_height=_CELL[1] * len(rows) + 4,
    )  # fmt: skip
    cells = made.rect(
        "column", "row", 0.96, 0.92, source=source, fill_color=transform("value", mapper),
        line_color=None,
    )  # fmt: skip
    if values.size <= _MOST_WRITTEN:
        made.text(
            "column", "row", "text", source=source, text_color="ink", text_align="center",
            text_baseline="middle", text_font_size="11px",
        )  # fmt: skip
    made.grid.visible = False
    made.add_tools(
        HoverTool(renderers=[cells], tooltips=[("", "@row, @column"), (label, "@value{0.0000}")])
    )
    return made


def _figure(**options: Any) -> Any:
    from bokeh.plotting import figure

    made = figure(min_border_right=20, toolbar_location="above", **options)
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.axis.axis_label_text_font_style = "normal"
    made.grid.grid_line_alpha = 0.25
    made.outline_line_alpha = 0.3
    return made
