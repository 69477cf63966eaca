"""A live triangle of three elements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.gui.dressing import MUTED
from sigma_scale.plot.ternary import ternary_positions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["ternary_figure"]

_TOP = math.sqrt(3.0) / 2.0
_WIDTH = 520
_TICKS = (0.2, 0.4, 0.6, 0.8)


def ternary_figure(
    parts: NDArray[np.float64],
    corners: Sequence[str],
    names: Mapping[int, str],
    colours: Mapping[int, str],
) -> Any:
    """
    Draw points in a triangle.

    Parameters
    ----------
    parts : array, shape (n, 3)
        Amounts of the left, right and top corner; negative ones are taken as 0.
    corners : sequence of three str
        Names of the corners.
    names, colours : mapping of int to str
        Name and colour of each point, by its row.

    Returns
    -------
    bokeh.plotting.figure
        Shares on hovering; a click in the legend hides a point.
    """
    from bokeh.models import ColumnDataSource, HoverTool, Range1d
    from bokeh.plotting import figure

    options: dict[str, Any] = {
        "frame_width": _WIDTH, "frame_height": round(_WIDTH * 0.92), "tools": "reset",
        "x_range": Range1d(start=-0.1, end=1.1), "y_range": Range1d(start=-0.12, end=0.984),
    }  # fmt: skip
    made: Any = figure(toolbar_location="above", **options)
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.axis.visible = made.grid.visible = False
    made.outline_line_color = None
    _frame(made, corners)
    points = ternary_positions(parts)
    amounts = np.maximum(parts, 0.0)
    whole = amounts.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(amounts, whole, out=np.zeros_like(amounts), where=whole > 0)
    dots: list[Any] = []
    for row in np.flatnonzero(np.isfinite(points).all(axis=1)):
        source = ColumnDataSource(
            {
                "x": [points[row, 0]], "y": [points[row, 1]], "name": [names[int(row)]],
                **{f"share{k}": [shares[row, k]] for k in range(3)},
            }
        )  # fmt: skip
        dots.append(
            made.scatter(
                "x", "y", source=source, size=12, color=colours[int(row)], line_color=MUTED,
                legend_label=names[int(row)],
            )
        )  # fmt: skip
    tips = [(name, f"@share{k}{{0.0}} %") for k, name in enumerate(corners)]
    made.add_tools(HoverTool(renderers=dots, tooltips=[("", "@name"), *tips]))
    legend = made.legend[0]
    legend.click_policy = "hide"
    legend.background_fill_alpha = legend.border_line_alpha = 0.0
    legend.label_text_font_size, legend.spacing = "11px", 0
    made.add_layout(legend, "right")
    return made


def _frame(made: Any, corners: Sequence[str]) -> None:
    """Triangle, lines of equal shares with their percentages, and names of the corners."""
    ends = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, _TOP]])
    made.line(*ends[[0, 1, 2, 0]].T, color=MUTED, line_width=1.5)
    for share in _TICKS:
        for k in range(3):
            line = np.array([share * ends[k] + (1 - share) * ends[(k + j) % 3] for j in (1, 2)])
            made.line(*line.T, color=MUTED, line_width=0.5, line_alpha=0.6)
            away = line[0] - line[1]
            x, y = line[0] + 0.04 * away / np.linalg.norm(away)
            made.text(
                [x], [y], [f"{100 * share:.0f}"], text_color=MUTED, text_font_size="10px",
                text_align="center", text_baseline="middle",
            )  # fmt: skip
    for name, (x, y) in zip(corners, ((0, -0.06), (1, -0.06), (0.5, _TOP + 0.06)), strict=True):
        made.text(
            [x], [y], [name], text_color=MUTED, text_font_size="14px", text_font_style="bold",
            text_align="center", text_baseline="middle",
        )  # fmt: skip
