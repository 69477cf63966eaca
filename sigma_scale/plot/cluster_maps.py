"""Pictures of clusters on the map: each on its own, or all over the navigation image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.features.dose import MEASURED
from sigma_scale.plot.contrast import contrast_limits
from sigma_scale.plot.figures import new_figure, note
from sigma_scale.plot.maps import dress_map
from sigma_scale.plot.palette import complete_colours
from sigma_scale.plot.phase_map import phase_name, plot_phase_map
from sigma_scale.plot.scale_bar import add_scale_bar, map_frame
from sigma_scale.plot.thinning import thin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["plot_cluster_maps", "plot_phases_over_image"]

_WIDTH, _GAP, _BAND, _FOOT = 9.6, 0.12, 0.26, 0.35
_MOST_COLUMNS, _LARGEST = 6, 3.0
_ELSEWHERE = 0.93
"""Grey of the pixels that belong to other clusters."""


def plot_cluster_maps(
    labels: xr.DataArray,
    clusters: Sequence[int],
    *,
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
    max_side: int = 500,
) -> Figure:
    """
    Draw where each of several clusters is, each in a map of its own.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), int32
        Number of each pixel's cluster, -1 for noise. Noise where a coordinate ``measured`` (y, x)
        is false is a gap and is not drawn.
    clusters : sequence of int
        Clusters to draw.
    names, colours : mapping of int to str, optional
        Names and colours of some or all clusters.
    max_side : int, default: 500
        Larger maps are averaged to at most that many pixels per side: a pixel then shows by its
        depth of colour what share of it belongs to the cluster.

    Returns
    -------
    matplotlib.figure.Figure
        Small maps with their names; one scale bar serves all.

    Raises
    ------
    ShapeMismatchError
        If the array is not a map of dimensions y and x.
    EmptyMapError
        If it has no pixels, or no cluster is named.
    ParameterError
        If a colour is none.
    """
    from matplotlib.colors import to_rgb

    if set(labels.dims) != {"y", "x"}:
        raise ShapeMismatchError(f"A label map has the dimensions y and x, not {labels.dims}.")
    if not len(clusters):
        raise EmptyMapError("There is no cluster to draw.")
    frame = map_frame(labels)
    palette = complete_colours(clusters, colours)
    n = len(clusters)
    across = min(n, _MOST_COLUMNS, max(2, math.ceil(math.sqrt(n * frame.drawn_ratio * 1.6))))
    rows = math.ceil(n / across)
    width, height = frame.size_within(min(_WIDTH / across - _GAP, _LARGEST), _LARGEST)
    whole = across * (width + _GAP) + _GAP, rows * (height + _BAND) + _FOOT
    opacity = _drawn(labels, max_side)
    # All sizes are known, so no layout engine is asked: it takes minutes for many panels.
    figure = new_figure(*whole)
    figure.set_layout_engine("none")
    for index, cluster in enumerate(clusters):
        row, column = divmod(index, across)
        left = _GAP + column * (width + _GAP)
        floor = whole[1] - (row + 1) * (height + _BAND)
        ax = figure.add_axes(
            (left / whole[0], floor / whole[1], width / whole[0], height / whole[1])
        )
        share = np.asarray(thin((labels == cluster).astype(np.float32), max_side=max_side).values)
        colour = np.array(to_rgb(palette[cluster]))
        ax.imshow(
            np.dstack([share[..., None] * colour + (1 - share[..., None]) * _ELSEWHERE, *opacity]),
            extent=(frame.left, frame.right, frame.bottom, frame.top),
            aspect="auto",
            interpolation="antialiased",
        )
        dress_map(ax, frame, phase_name(cluster, names), size=8)
        if not share.any():
            note(ax, "no pixels")
        if index == (rows - 1) * across:
            add_scale_bar(ax, frame, height, size=8)
    return figure


def _drawn(labels: xr.DataArray, max_side: int) -> list[npt.NDArray[np.float32]]:
    """Opacity of the pixels, less for blocks partly in a gap; none where all was measured."""
    if MEASURED not in labels.coords:
        return []
    measured = labels.coords[MEASURED].transpose(*labels.dims).astype(bool)
    drawn = ((labels >= 0) | measured).astype(np.float32)
    return [np.asarray(thin(drawn, max_side=max_side).values)]


def plot_phases_over_image(
    labels: xr.DataArray,
    image: xr.DataArray,
    *,
    alpha: float = 0.6,
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
    title: str | None = None,
    max_side: int = 2000,
) -> Figure:
    """
    Draw a map of phases over a grey image of the same area.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), int32
        Number of each pixel's phase, -1 for noise.
    image : xarray.DataArray, shape (any y, any x)
        Image of the same area, such as that of the backscattered electrons.
    alpha : float, default: 0.6
        Opacity of the phases, 0 to 1.
    names, colours : mapping of int to str, optional
        Names and colours of some or all phases.
    title : str, optional
        Written above the map.
    max_side : int, default: 2000
        Larger maps are brought down to at most that many pixels per side.

    Returns
    -------
    matplotlib.figure.Figure
        As :func:`plot_phase_map` draws it.

    Raises
    ------
    ShapeMismatchError
        If an array is not a map of dimensions y and x.
    EmptyMapError
        If it has no pixels.
    ParameterError
        If the opacity is not between 0 and 1, labels are not integers of at least -1, or a
        colour is none.
    """
    if not 0 <= alpha <= 1:
        raise ParameterError(f"The opacity of the phases lies between 0 and 1, not {alpha}.")
    if set(image.dims) != {"y", "x"}:
        raise ShapeMismatchError(f"An image has the dimensions y and x, not {image.dims}.")
    figure = plot_phase_map(labels, names=names, colours=colours, title=title, max_side=max_side)
    ax = figure.axes[0]
    phases = ax.images[0]
    phases.set_alpha(alpha)
    phases.set_zorder(1)
    ax.imshow(
        _grey(np.asarray(thin(image.transpose("y", "x"), max_side=max_side).values)),
        extent=phases.get_extent(),
        aspect="auto",
        interpolation="antialiased",
        zorder=0,
    )
    frame = map_frame(labels)
    ax.set_xlim(frame.left, frame.right)
    ax.set_ylim(frame.bottom, frame.top)
    return figure


def _grey(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Red, green and blue of grey values between the limits of contrast; missing ones white."""
    limits = contrast_limits(values)
    shares = (values.astype(np.float64) - limits.low) / (limits.high - limits.low)
    shares = np.nan_to_num(np.clip(shares, 0.0, 1.0), nan=1.0)
    return np.repeat(shares[..., None], 3, axis=-1)
