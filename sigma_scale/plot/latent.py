"""Pictures of latent spaces of any number of points, drawn as densities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.plot.figures import INK, dress_axes, fit_figure, new_figure, root_figure
from sigma_scale.plot.latent_raster import BATCH, LatentRaster, rasterise_latent
from sigma_scale.plot.number_places import place_numbers
from sigma_scale.plot.palette import NOISE, complete_colours
from sigma_scale.plot.phase_map import legend_columns, phase_legend, phase_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check_shading", "density_grid", "plot_latent", "shade_raster"]

_LEAST_OPACITY = 70
_FEW_POINTS, _SOME_POINTS = 3_000, 60_000
_CELLS_PER_POINT, _LEAST_CELLS = 1.5, 60


def density_grid(size: tuple[int, int], n: int) -> tuple[int, int]:
    """
    Return a grid coarse enough for a density of points.

    Parameters
    ----------
    size : (int, int)
        Most cells across and along.
    n : int
        Number of points.

    Returns
    -------
    (int, int)
        Cells across and along.
    """
    factor = max(1.0, math.sqrt(size[0] * size[1] / (_CELLS_PER_POINT * max(n, 1))))
    width, height = (max(round(side / factor), min(side, _LEAST_CELLS)) for side in size)
    return width, height


def check_shading(cmap: str, how: str) -> None:
    """
    Refuse names that can't shade a density.

    Parameters
    ----------
    cmap : str
        A colour map of matplotlib.
    how : {"eq_hist", "log", "cbrt", "linear"}
        How datashader turns counts into shades.

    Raises
    ------
    ParameterError
        If one is not known.
    """
    from matplotlib import colormaps

    if cmap not in colormaps:
        msg = f"cmap {cmap!r} is not a colour map of matplotlib; try 'YlGnBu'."
        raise ParameterError(msg)
    if how not in {"eq_hist", "log", "cbrt", "linear"}:
        msg = f"how must be 'eq_hist', 'log', 'cbrt' or 'linear', and it is {how!r}."
        raise ParameterError(msg)


def shade_raster(raster: LatentRaster, cmap: str, how: str) -> npt.NDArray[np.uint8]:
    """
    Turn counts and colours into a picture.

    Parameters
    ----------
    raster : LatentRaster
        Points on a grid, with colours or without.
    cmap : str
        Colours of the density where there are none.
    how : {"eq_hist", "log", "cbrt", "linear"}
        How datashader turns counts into shades.

    Returns
    -------
    ndarray, shape (height, width, 4), uint8
        Red, green, blue and opacity, lowest row first.
    """
    import xarray as xr
    from datashader import transfer_functions as tf
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    counts = xr.DataArray(raster.counts.astype(np.uint32), dims=("y", "x"))
    if raster.colour is None:
        # Not from the very start of the colour map: single points must show on white.
        steps = [to_hex(colormaps[cmap](v)) for v in np.linspace(0.25, 1.0, 64)]
        return _channels(tf.shade(counts, cmap=steps, how=how))
    opacity = tf.shade(counts, cmap=["#000000"], how=how, min_alpha=_LEAST_OPACITY)
    rgb = np.rint(raster.colour * 255).astype(np.uint8)
    rgb[raster.counts == 0] = 0
    pixels = np.concatenate([rgb, _channels(opacity)[..., 3:]], axis=-1)
    total = int(raster.counts.sum())
    thickness = 2 if total <= _FEW_POINTS else 1 if total <= _SOME_POINTS else 0
    packed = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    image = tf.Image(packed, dims=("y", "x"))
    if thickness:
        image = tf.spread(image, px=thickness, shape="circle")
    return _channels(image)


def _channels(image: xr.DataArray) -> npt.NDArray[np.uint8]:
    """Unpack datashader's pixels into red, green, blue and opacity."""
    packed = np.ascontiguousarray(image.to_numpy())
    result: npt.NDArray[np.uint8] = packed.view(np.uint8).reshape(*packed.shape, 4)
    return result


def plot_latent(
    latent: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    colours: Mapping[int, str] | None = None,
    *,
    names: Mapping[int, str] | None = None,
    listed: Collection[int] | None = None,
    size: tuple[int, int] = (900, 750),
    cmap: str = "YlGnBu",
    how: str = "eq_hist",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """
    Draw a latent space as a density, or coloured by phase.

    Parameters
    ----------
    latent : array_like, shape (n, 2) or (y, x, 2)
        Positions of the points; those with missing values are left out.
    labels : array_like of int, shape (n,) or (y, x), optional
        Phase of each point, -1 for noise.
    colours, names : mapping of int to str, optional
        Colours and names of some or all phases.
    listed : collection of int, optional
        Phases that the legend names, and whose numbers are written; a last line of the legend
        counts the others. None: all.
    size : (int, int), default: (900, 750)
        Width and height of the picture's grid, in cells.
    cmap : str, default: "YlGnBu"
        Colours of the density where no labels are given, from sparse to dense. The grid is
        coarser where there are too few points to fill it.
    how : {"eq_hist", "log", "cbrt", "linear"}, default: "eq_hist"
        How datashader turns counts into shades.
    title : str, optional
        Written above.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; a new figure where none is given.

    Returns
    -------
    matplotlib.figure.Figure
        With labels, each cell has the mean colour of its points, denser cells are more opaque,
        and each phase's number stands at the median of its points. Numbers that would overlap
        are moved a little, or left out: those of the smaller phases.

    Raises
    ------
    ShapeMismatchError
        If the points are not two-dimensional or there is not one label per point.
    EmptyMapError
        If there is no point with finite coordinates.
    ParameterError
        If labels are not integers of at least -1, or a parameter is out of range.

    Notes
    -----
    Ten million points need one batch of them and a few grids besides the points themselves.
    """
    points, groups = _checked(latent, labels, size, cmap, how)
    present: list[int] = []
    if groups is not None:
        chunks = (groups[i : i + BATCH] for i in range(0, groups.size, BATCH))
        present = sorted({int(v) for chunk in chunks for v in np.unique(chunk)})
    palette = complete_colours(present, colours)
    grid = size if groups is not None else density_grid(size, len(points))
    raster = rasterise_latent(points, groups, palette, grid)
    order = [v for v in present if v != NOISE] + [v for v in present if v == NOISE]
    named = [v for v in order if listed is None or v in listed or v == NOISE]
    entries = [(_entry(v, names), palette[v]) for v in named]
    if len(named) < len(order):
        entries.append((f"and {len(order) - len(named):,} more", "none"))
    height = 4.2
    width = height * size[0] / size[1]
    columns = legend_columns(max(len(entries), 1), height)
    own = ax is None
    if ax is None:
        ax = new_figure(width + 2.0, height + 0.8).add_subplot()
    dress_axes(ax)
    ax.imshow(
        shade_raster(raster, cmap, how), origin="lower", extent=(*raster.x_range, *raster.y_range),
        aspect="auto", interpolation="nearest",
    )  # fmt: skip
    ax.set_xlabel("Latent dimension 1")
    ax.set_ylabel("Latent dimension 2")
    if title:
        ax.set_title(title, size=11, color=INK, loc="left", parse_math=False)
    if entries:
        phase_legend(ax, entries, columns)
    if own:
        fit_figure(ax, width, height)
    chosen = {v: p for v, p in raster.medians.items() if listed is None or v in listed}
    _write_numbers(ax, chosen, raster.compact)
    return root_figure(ax)


def _entry(label: int, names: Mapping[int, str] | None) -> str:
    """Return what the legend says of a phase: its number too, as that is in the picture."""
    name = phase_name(label, names)
    tells = label == NOISE or str(label) in [word.strip(".:,;()") for word in name.split()]
    return name if tells else f"{label}  {name}"


def _write_numbers(
    ax: Axes, medians: Mapping[int, tuple[float, float]], compact: Collection[int]
) -> None:
    """Write each phase's number at the median of its points, or near it."""
    from matplotlib.patheffects import withStroke

    size = 10 if len(medians) <= 15 else 8  # noqa: PLR2004
    # From pixels to points, in which letters are measured.
    per_pixel = 72 / root_figure(ax).dpi
    wanted = {}
    for label, position in medians.items():
        x, y = ax.transData.transform(position) * per_pixel
        wanted[label] = x, y + (size if label in compact else 0)
    for label, (x, y) in place_numbers(wanted, size).items():
        position = medians[label]
        at = ax.transData.transform(position) * per_pixel
        ax.annotate(
            str(label), position, xytext=(x - at[0], y - at[1]),
            textcoords="offset points", ha="center", va="center", size=size, weight="bold",
            color=INK, path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip


def _checked(
    latent: npt.ArrayLike, labels: npt.ArrayLike | None, size: tuple[int, int], cmap: str, how: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Return points of shape (n, 2) and labels of shape (n,), or say what is wrong."""
    points = np.asarray(latent)
    if points.ndim not in {2, 3} or points.shape[-1] != 2:  # noqa: PLR2004
        msg = (
            f"A latent space to be drawn has the shape (n, 2) or (y, x, 2), and this one "
            f"{points.shape}; choose two of its dimensions."
        )
        raise ShapeMismatchError(msg)
    if min(size) < 1:
        msg = f"size must be positive, and it is {size}."
        raise ParameterError(msg)
    check_shading(cmap, how)
    if labels is None:
        return points.reshape(-1, 2), None
    groups = np.asarray(labels)
    if groups.shape != points.shape[:-1]:
        msg = f"There are labels of shape {groups.shape} for points of shape {points.shape[:-1]}."
        raise ShapeMismatchError(msg)
    if groups.dtype.kind not in "iu":
        msg = f"Labels are integers (int32, -1 is noise), and these are {groups.dtype}."
        raise ParameterError(msg)
    return points.reshape(-1, 2), groups.reshape(-1)
