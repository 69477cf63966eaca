"""Pictures of a criterion that rates numbers of components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EmptyMapError, ShapeMismatchError
from sigma_scale.plot.figures import INK, MUTED, dress_axes, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

__all__ = ["plot_criterion"]


def plot_criterion(
    numbers: Sequence[int],
    values: Sequence[float],
    *,
    name: str = "BIC",
    title: str | None = None,
) -> Figure:
    """
    Draw a criterion against the number of components, with its lowest point marked.

    Parameters
    ----------
    numbers : sequence of int
        Numbers of components.
    values : sequence of float
        The criterion for each; the lower the better.
    name : str, default: "BIC"
        What it is called.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeMismatchError
        If there is not one value for each number.
    EmptyMapError
        If there is no finite value.
    """
    from matplotlib.ticker import MaxNLocator

    if len(numbers) != len(values):
        raise ShapeMismatchError(f"There are {len(values)} values for {len(numbers)} numbers.")
    rated = np.asarray(values, dtype=np.float64)
    if not np.isfinite(rated).any():
        raise EmptyMapError(f"There is no {name} to draw.")
    figure = new_figure(5.6, 3.4)
    ax = figure.add_subplot()
    dress_axes(ax)
    ax.plot(list(numbers), rated, color="#0072b2", lw=1.4, marker="o", ms=4)
    lowest = int(np.nanargmin(rated))
    ax.plot(
        numbers[lowest], rated[lowest], ls="", marker="o", ms=11, mfc="none", mec="#d55e00",
        mew=1.6, label=f"Lowest: {numbers[lowest]} components",
    )  # fmt: skip
    ax.axvline(numbers[lowest], color=MUTED, lw=0.7, ls=":", zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4), useMathText=True)
    ax.yaxis.get_offset_text().set(size=7, color=INK)
    ax.set_xlabel("Number of components")
    ax.set_ylabel(name)
    ax.legend(fontsize=8, frameon=False, labelcolor=INK)
    if title:
        ax.set_title(title, size=11, color=INK, loc="left", parse_math=False)
    return figure
