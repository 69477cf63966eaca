"""Pictures of maps: navigation images and element maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot.contrast import Limits, contrast_limits
from sigma_scale.plot.figures import INK, MUTED, fit_figure, new_figure, note, root_figure
from sigma_scale.plot.line_labels import line_name
from sigma_scale.plot.scale_bar import MapFrame, add_scale_bar, map_frame
from sigma_scale.plot.thinning import thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["dress_map", "plot_element_maps", "plot_image"]

_MISSING = "#dfe3e8"
_MAP_WIDTH, _MAP_HEIGHT = 5.0, 4.8
_GRID_WIDTH, _GRID_GAP = 9.6, 0.55
_MANY_PANELS = 24


def dress_map(ax: Axes, frame: MapFrame, title: str | None, *, size: float = 11) -> None:
    """Frame a map: its own edges, true proportions, no ticks (the scale bar says the size)."""
    ax.set_xlim(frame.left, frame.right)
    ax.set_ylim(frame.bottom, frame.top)
    ax.set_aspect(frame.aspect)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set(color=MUTED, linewidth=0.6)
    if title:
        ax.set_title(title, size=size, color=INK, loc="left", parse_math=False, wrap=True)


def _colour_map(cmap: str | Colormap) -> Colormap:
    """Return a colour map whose missing values are light grey."""
    from matplotlib import colormaps
    from matplotlib.colors import Colormap

    if isinstance(cmap, Colormap):
        return cmap.with_extremes(bad=_MISSING)
    if cmap not in colormaps:
        msg = f"cmap {cmap!r} is not a colour map of matplotlib; try 'gray', 'viridis' or 'magma'."
        raise ParameterError(msg)
    return colormaps[cmap].with_extremes(bad=_MISSING)


def _draw(
    ax: Axes, values: npt.NDArray[Any], small: MapFrame, limits: Limits, cmap: Colormap
) -> AxesImage:
    """Draw the pixels of a map."""
    shown = values.astype(np.float32) if values.dtype.kind != "f" else values
    picture = ax.imshow(
        np.ma.masked_invalid(shown),
        cmap=cmap,
        vmin=limits.low,
        vmax=limits.high,
        extent=(small.left, small.right, small.bottom, small.top),
        aspect="auto",
        interpolation="antialiased",
    )
    if not np.isfinite(shown).any():
        note(ax, "no data")
    return picture


def _colour_bar(
    ax: Axes, picture: AxesImage, limits: Limits, drawn_width: float, *, label: str, size: float
) -> None:
    """Put a colour bar to the right of a map, as high as the map."""
    from matplotlib.ticker import MaxNLocator

    beside = ax.inset_axes((1 + 0.08 / drawn_width, 0.0, 0.11 / drawn_width, 1.0))
    ticks = MaxNLocator(5, min_n_ticks=2, integer=limits.whole)
    bar = root_figure(ax).colorbar(
        picture, cax=beside, extend=limits.extend, extendfrac=0.04, ticks=ticks
    )
    bar.outline.set(edgecolor=MUTED, linewidth=0.5)
    beside.tick_params(labelsize=size, colors=INK, color=MUTED, length=2, width=0.6)
    beside.yaxis.get_offset_text().set(size=size, color=INK)
    if label:
        bar.set_label(label, size=size + 1, color=INK)


def _value_label(image: xr.DataArray) -> str:
    """Return what the values of a map are, as far as its attributes say."""
    name = str(image.attrs.get("long_name", ""))
    units = str(image.attrs.get("units", ""))
    return f"{name} ({units})" if name and units else name or units


def plot_image(
    image: xr.DataArray,
    *,
    title: str | None = None,
    cmap: str | Colormap = "gray",
    percentiles: tuple[float, float] = (0.5, 99.5),
    max_side: int = 2000,
    ax: Axes | None = None,
) -> Figure:
    """
    Draw one map: a navigation image or the intensity of a line.

    Parameters
    ----------
    image : xarray.DataArray, shape (y, x)
        The map, in memory or backed by dask. Coordinates are pixel centres with ``units`` in
        their attributes. Missing values are drawn in light grey.
    title : str, optional
        Written above the map.
    cmap : str or matplotlib.colors.Colormap, default: "gray"
        Colours of the values.
    percentiles : (float, float), default: (0.5, 99.5)
        Limits of contrast in percent; the colour bar is pointed where values lie beyond them.
    max_side : int, default: 2000
        Larger maps are averaged to at most that many pixels per side before they are drawn.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; a new figure where none is given.

    Returns
    -------
    matplotlib.figure.Figure
        The map with a colour bar and a scale bar in nm, µm, mm or pixels.

    Raises
    ------
    ShapeMismatchError
        If the array is not a map of dimensions y and x.
    EmptyMapError
        If it has no pixels.
    ParameterError
        If the colour map is unknown or the percentiles don't rise.
    """
    if set(image.dims) != {"y", "x"}:
        msg = f"An image has the dimensions ('y', 'x'), and this array has {image.dims}."
        raise ShapeMismatchError(msg)
    frame = map_frame(image)
    colours = _colour_map(cmap)
    small = thin(image.transpose("y", "x"), max_side=max_side)
    values = np.asarray(small.values)
    limits = contrast_limits(values, percentiles)
    width, height = frame.size_within(_MAP_WIDTH, _MAP_HEIGHT)
    own = ax is None
    if ax is None:
        ax = new_figure(width + 1.2, height + 0.8).add_subplot()
    picture = _draw(ax, values, map_frame(small), limits, colours)
    dress_map(ax, frame, title)
    if np.isfinite(values).any():
        _colour_bar(ax, picture, limits, width, label=_value_label(image), size=8)
    add_scale_bar(ax, frame, height)
    if own:
        fit_figure(ax, width, height)
    return root_figure(ax)


def _grid(n: int, ratio: float) -> tuple[int, int]:
    """Return the rows and columns of small multiples whose sheet is near 4:3."""
    columns = max(1, min(n, round(math.sqrt(n * ratio * 4 / 3)), 8))
    # As many rows are needed, and no more columns than fill them.
    rows = math.ceil(n / columns)
    return rows, math.ceil(n / rows)


def plot_element_maps(
    maps: xr.DataArray,
    *,
    title: str | None = None,
    cmap: str | Colormap = "inferno",
    percentiles: tuple[float, float] = (0.5, 99.5),
    columns: int | None = None,
    max_side: int = 800,
) -> Figure:
    """
    Draw the maps of several X-ray lines side by side, each with its own contrast.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        One map per line, in memory or backed by dask; the coordinate ``line`` names them.
    title : str, optional
        Written above all.
    cmap : str or matplotlib.colors.Colormap, default: "inferno"
        Colours of the values.
    percentiles : (float, float), default: (0.5, 99.5)
        Limits of contrast of each map in percent.
    columns : int, optional
        Maps in a row; chosen from their number and shape where not given.
    max_side : int, default: 800
        Larger maps are averaged to at most that many pixels per side.

    Returns
    -------
    matplotlib.figure.Figure
        Maps titled with their lines, each with its colour bar; one scale bar serves all.

    Raises
    ------
    ShapeMismatchError
        If the array has other dimensions than y, x and line.
    EmptyMapError
        If it has no pixels or no lines.
    ParameterError
        If the colour map is unknown, the percentiles don't rise, or `columns` is not positive.
    """
    if set(maps.dims) != {"y", "x", "line"}:
        msg = f"Element maps have the dimensions 'y', 'x' and 'line'; these have {maps.dims}."
        raise ShapeMismatchError(msg)
    n = maps.sizes["line"]
    if n == 0:
        msg = "There is nothing to draw: the element maps have no lines."
        raise EmptyMapError(msg)
    if columns is not None and columns < 1:
        msg = f"columns must be at least 1, and it is {columns}."
        raise ParameterError(msg)
    frame, colours = map_frame(maps), _colour_map(cmap)
    small = thin(maps.transpose("y", "x", "line"), max_side=max_side).compute()
    rows, across = _grid(n, frame.drawn_ratio)
    if columns is not None:
        rows, across = math.ceil(n / columns), min(columns, n)
    width, height = frame.size_within(min(_GRID_WIDTH / across - _GRID_GAP, 4.5), 4.5)
    size = 7 if n <= _MANY_PANELS else 6
    figure = new_figure(
        across * (width + _GRID_GAP) + 0.1,
        rows * (height + 0.3) + 0.4 + (0.3 if title else 0.0),
    )
    names = _names(maps)
    for index in range(n):
        ax = figure.add_subplot(rows, across, index + 1)
        values = np.asarray(small.isel(line=index).values)
        limits = contrast_limits(values, percentiles)
        picture = _draw(ax, values, map_frame(small), limits, colours)
        dress_map(ax, frame, names[index], size=size + 2)
        if np.isfinite(values).any():
            _colour_bar(ax, picture, limits, width, label="", size=size)
        if index == (rows - 1) * across:
            add_scale_bar(ax, frame, height, size=8)
    if title:
        figure.suptitle(title, size=11, color=INK, x=0.005, ha="left", parse_math=False)
    return figure


def _names(maps: xr.DataArray) -> Sequence[str]:
    """Return what the maps are called."""
    if "line" not in maps.coords:
        return [f"Map {i}" for i in range(maps.sizes["line"])]
    return [line_name(str(value)) for value in maps["line"].values]
