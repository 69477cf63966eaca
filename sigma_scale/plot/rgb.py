"""Pictures of up to three maps in one: red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.plot.contrast import contrast_limits
from sigma_scale.plot.figures import fit_figure, new_figure, root_figure
from sigma_scale.plot.line_labels import line_name
from sigma_scale.plot.maps import dress_map
from sigma_scale.plot.phase_map import legend_columns, phase_legend
from sigma_scale.plot.scale_bar import add_scale_bar, map_frame
from sigma_scale.plot.thinning import thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["plot_rgb_map"]

_COLOURS = ("#ff0000", "#00ff00", "#0000ff")
_MAP_WIDTH, _MAP_HEIGHT = 6.0, 5.4


def plot_rgb_map(
    maps: xr.DataArray,
    lines: Sequence[str],
    *,
    percentiles: tuple[float, float] = (0.5, 99.5),
    title: str | None = None,
    max_side: int = 2000,
) -> Figure:
    """
    Draw up to three maps as one picture, in red, green and blue.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        One map per line, in memory or backed by dask; the coordinate ``line`` names them.
    lines : sequence of str
        One to three of the names, for red, green and blue.
    percentiles : (float, float), default: (0.5, 99.5)
        Values of each map, in percent, that are black and of full colour.
    title : str, optional
        Written above the map.
    max_side : int, default: 2000
        Larger maps are averaged to at most that many pixels per side.

    Returns
    -------
    matplotlib.figure.Figure
        The map with a scale bar; the legend says which colour is which. Missing values count as
        black; pixels of which all are missing are not drawn.

    Raises
    ------
    ShapeMismatchError
        If the array has other dimensions than y, x and line.
    EmptyMapError
        If it has no pixels.
    ParameterError
        If there are no or more than three names, or there is no such map.
    """
    if set(maps.dims) != {"y", "x", "line"}:
        raise ShapeMismatchError(
            f"Element maps have the dimensions 'y', 'x' and 'line'; these have {maps.dims}."
        )
    known = [str(name) for name in maps["line"].values]
    unknown = [name for name in lines if name not in known]
    if unknown or not 1 <= len(lines) <= len(_COLOURS):
        raise ParameterError(
            f"A picture in red, green and blue needs one to three of the maps "
            f"{', '.join(known)}; got {list(lines)}."
        )
    frame = map_frame(maps)
    chosen = maps.sel(line=list(lines)).transpose("y", "x", "line")
    small = thin(chosen, max_side=max_side)
    corner = map_frame(small)
    picture = np.zeros((*small.shape[:2], 3))
    for channel in range(len(lines)):
        picture[..., channel] = _scaled(np.asarray(small.values[..., channel]), percentiles)
    known_any = np.isfinite(np.asarray(small.values, dtype=np.float64)).any(axis=2)
    if not known_any.all():
        picture = np.dstack([picture, known_any])
    width, height = frame.size_within(_MAP_WIDTH, _MAP_HEIGHT)
    ax = new_figure(width + 2.0, height + 0.8).add_subplot()
    ax.imshow(
        picture,
        extent=(corner.left, corner.right, corner.bottom, corner.top),
        aspect="auto",
        interpolation="antialiased",
    )
    dress_map(ax, frame, title)
    entries = [(line_name(name), colour) for name, colour in zip(lines, _COLOURS, strict=False)]
    phase_legend(ax, entries, legend_columns(len(entries), height))
    add_scale_bar(ax, frame, height)
    fit_figure(ax, width, height)
    return root_figure(ax)


def _scaled(
    values: npt.NDArray[np.generic], percentiles: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Stretch the values between the limits of contrast to 0 to 1."""
    limits = contrast_limits(values, percentiles)
    shares = (values.astype(np.float64) - limits.low) / (limits.high - limits.low)
    return np.nan_to_num(np.clip(shares, 0.0, 1.0), nan=0.0)
