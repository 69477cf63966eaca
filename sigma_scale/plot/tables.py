"""Pictures of tables: weights of end-members, areas of phases, and colours to choose from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EmptyMapError
from sigma_scale.plot.figures import INK, MUTED, dress_axes, new_figure
from sigma_scale.plot.palette import NOISE, complete_colours
from sigma_scale.plot.phase_map import phase_name, share_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["plot_colours", "plot_proportions", "plot_weights"]

_MOST_WRITTEN = 16
_DARK = 0.6
_SWATCHES_PER_ROW = 6


def plot_weights(weights: pd.DataFrame, *, title: str | None = None) -> Figure:
    """
    Draw how much of each end-member is in each cluster.

    Parameters
    ----------
    weights : pandas.DataFrame, shape (cluster, end-member)
        Not negative; rows and columns are named.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        A shaded table; with up to 16 end-members the weights are written into it.

    Raises
    ------
    EmptyMapError
        If the table is empty.
    """
    values = weights.to_numpy(np.float64)
    if not values.size:
        raise EmptyMapError("The table of weights is empty.")
    rows, columns = values.shape
    written = columns <= _MOST_WRITTEN
    wide = 0.52 if written else max(0.12, min(0.3, 9.0 / columns))
    high = 0.24
    figure = new_figure(columns * wide + 2.2, rows * high + 1.0 + (0.3 if title else 0.0))
    ax = figure.add_subplot()
    most = float(values.max()) or 1.0
    picture = ax.imshow(values, cmap="Blues", vmin=0, vmax=most, aspect="auto")
    step = max(1, math.ceil(0.24 / wide))
    ax.set_xticks(range(0, columns, step), [str(name) for name in weights.columns[::step]])
    ax.set_yticks(range(rows), [str(name) for name in weights.index])
    ax.xaxis.tick_top()
    ax.tick_params(labelsize=8, length=0, colors=INK)
    ax.tick_params(axis="x", rotation=0 if written else 90)
    ax.spines[:].set(color=MUTED, linewidth=0.5)
    if written:
        for (row, column), value in np.ndenumerate(values):
            if value >= 0.005 * most:  # others are as good as none
                ax.text(
                    column, row, f"{value:.2f}", ha="center", va="center", size=7,
                    color="white" if value > _DARK * most else INK,
                )  # fmt: skip
    bar = figure.colorbar(picture, ax=ax, fraction=0.06, pad=0.02, aspect=30)
    bar.ax.tick_params(labelsize=7, colors=INK)
    bar.set_label("Weight", size=8, color=INK)
    if title:
        figure.suptitle(title, size=11, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def plot_proportions(
    shares: Mapping[int, float],
    *,
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
    title: str | None = None,
) -> Figure:
    """
    Draw the shares of the area as bars, the largest first.

    Parameters
    ----------
    shares : mapping of int to float
        Share of each phase, 0 to 1; -1 is noise, which comes last.
    names, colours : mapping of int to str, optional
        Names and colours of some or all phases.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    EmptyMapError
        If there are no shares.
    ParameterError
        If a colour is none.
    """
    if not shares:
        raise EmptyMapError("There are no shares to draw.")
    order = sorted(shares, key=lambda label: (label == NOISE, -shares[label]))
    palette = complete_colours(order, colours)
    figure = new_figure(6.4, 0.22 * len(order) + 0.9 + (0.3 if title else 0.0))
    ax = figure.add_subplot()
    dress_axes(ax)
    places = np.arange(len(order))
    bars = ax.barh(
        places, [100 * shares[label] for label in order], height=0.78,
        color=[palette[label] for label in order], edgecolor=MUTED, linewidth=0.4,
    )  # fmt: skip
    ax.bar_label(bars, [share_text(shares[v]) for v in order], padding=3, size=8, color=INK)
    ax.set_yticks(places, [phase_name(label, names).replace("$", r"\$") for label in order])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_xlim(0, 115 * max(*shares.values(), 1e-9))
    ax.set_xlabel("Share of the area (%)")
    if title:
        ax.set_title(title, size=11, color=INK, loc="left", parse_math=False)
    return figure


def plot_colours(colours: Sequence[str]) -> Figure:
    """
    Draw colours to choose from, each with its code.

    Parameters
    ----------
    colours : sequence of str
        ``"#rrggbb"`` each.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    EmptyMapError
        If there are none.
    ParameterError
        If one is no colour.
    """
    from matplotlib.patches import Rectangle

    if not colours:
        raise EmptyMapError("There are no colours to draw.")
    given = complete_colours(range(len(colours)), dict(enumerate(colours)))
    rows = math.ceil(len(given) / _SWATCHES_PER_ROW)
    figure = new_figure(1.25 * _SWATCHES_PER_ROW, 0.34 * rows + 0.1)
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.01, 0.0, 0.98, 1.0))
    ax.set_axis_off()
    ax.set_xlim(0, _SWATCHES_PER_ROW)
    ax.set_ylim(rows, 0)
    for index, colour in given.items():
        row, column = divmod(index, _SWATCHES_PER_ROW)
        ax.add_patch(Rectangle((column + 0.02, row + 0.2), 0.24, 0.6, facecolor=colour))
        ax.text(column + 0.32, row + 0.5, colour, size=8, va="center", color=INK,
                family="monospace")  # fmt: skip
    return figure
