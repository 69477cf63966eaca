"""Pictures of what steps do to a map: the map and the distribution of its values at each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EmptyMapError
from sigma_scale.plot.figures import INK, MUTED, dress_axes, new_figure, note
from sigma_scale.plot.maps import plot_image
from sigma_scale.plot.scale_bar import map_frame
from sigma_scale.plot.thinning import thin

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_distributions"]

_BINS = 80
_PANEL_WIDTH, _PANEL_HEIGHT = 2.6, 3.2
_HISTOGRAM_HEIGHT = 1.7
_ROUNDED = 1e-6
"""A mean this far below the standard deviation is zero but for rounding."""


def plot_distributions(
    stages: Mapping[str, xr.DataArray],
    *,
    cmap: str = "viridis",
    title: str | None = None,
    max_side: int = 800,
) -> Figure:
    """
    Draw a map after each of several steps, and the distribution of its values below.

    Parameters
    ----------
    stages : mapping of str to xarray.DataArray, shape (y, x)
        What was done to the map, and the map after it, from the first to the last.
    cmap : str, default: "viridis"
        Colours of the values.
    title : str, optional
        Written above all.
    max_side : int, default: 800
        Larger maps are averaged to at most that many pixels per side before they are drawn; the
        distributions are of all pixels.

    Returns
    -------
    matplotlib.figure.Figure
        One column per stage. The mean is marked and, with the standard deviation, written.

    Raises
    ------
    EmptyMapError
        If there is no stage, or a map has no pixels.
    ShapeMismatchError
        If an array is not a map.
    ParameterError
        If the colour map is unknown.
    """
    if not stages:
        raise EmptyMapError("There is no map whose values could be drawn.")
    frame = map_frame(next(iter(stages.values())))
    width, height = frame.size_within(_PANEL_WIDTH, _PANEL_HEIGHT)
    figure = new_figure(
        len(stages) * (width + 1.0) + 0.3,
        height + _HISTOGRAM_HEIGHT + 1.2 + (0.3 if title else 0.0),
    )
    axes = figure.subplots(2, len(stages), squeeze=False, height_ratios=(height, _HISTOGRAM_HEIGHT))
    for column, (name, values) in enumerate(stages.items()):
        plot_image(thin(values, max_side=max_side), title=name, cmap=cmap, ax=axes[0, column])
        axes[0, column].title.set_fontsize(9)
        _histogram(axes[1, column], values)
    axes[1, 0].set_ylabel("Pixels")
    if title:
        figure.suptitle(title, size=11, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def _histogram(ax: Axes, image: xr.DataArray) -> None:
    dress_axes(ax)
    values = np.asarray(image.values, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        note(ax, "no data")
        return
    counts, edges = np.histogram(values, bins=_BINS)
    ax.stairs(counts, edges, fill=True, color="#56b4e9", alpha=0.8)
    mean, spread = float(values.mean()), float(values.std())
    shown = 0.0 if abs(mean) < _ROUNDED * spread else mean
    ax.axvline(mean, color=INK, lw=1.0, ls="--")
    ax.set_xlabel("Value")
    ax.locator_params(axis="both", nbins=4)
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4), useMathText=True)
    ax.yaxis.get_offset_text().set(size=7, color=INK)
    ax.set_title(f"mean {shown:.3g}, sd {spread:.3g}", size=8, color=MUTED, loc="left")
