"""Ternary diagrams: shares of three elements, of a few phases or of every pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot.figures import INK, MUTED, fit_figure, new_figure, root_figure
from sigma_scale.plot.latent import check_shading, density_grid, shade_raster
from sigma_scale.plot.latent_raster import BATCH, rasterise_latent
from sigma_scale.plot.palette import NOISE, complete_colours
from sigma_scale.plot.phase_map import legend_columns, phase_legend, phase_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_ternary", "ternary_positions"]

_HEIGHT = math.sqrt(3.0) / 2.0
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, _HEIGHT]])
_FEW_POINTS = 300
_SIZE_INCHES = 4.2
_GRID_CELLS = (900, 780)
_TICKS = (20, 40, 60, 80)
_N_CORNERS = 3


def ternary_positions(parts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """
    Calculate where compositions lie in a triangle.

    Parameters
    ----------
    parts : array_like, shape (n, 3)
        Amounts of the left, right and top corner in any unit. Negative ones, as net counts may
        give, are taken as 0.

    Returns
    -------
    numpy.ndarray, shape (n, 2), float64
        Barycentric positions in the triangle (0, 0), (1, 0), (0.5, 0.866); NaN where a part is
        not finite or there is nothing of all three.

    Raises
    ------
    ShapeMismatchError
        If there are not three parts.
    """
    values = np.asarray(parts, np.float64)
    if values.ndim != 2 or values.shape[1] != _N_CORNERS:  # noqa: PLR2004
        msg = f"A ternary diagram needs three parts, shape (n, 3), and these have {values.shape}."
        raise ShapeMismatchError(msg)
    values = np.maximum(values, 0.0)
    whole = values.sum(axis=1, keepdims=True)
    shown = np.isfinite(whole) & (whole > 0)
    shares = np.divide(values, whole, out=np.full_like(values, np.nan), where=shown)
    return np.asarray(shares @ _CORNERS)


def plot_ternary(
    composition: xr.DataArray | npt.ArrayLike,
    corners: Sequence[str] | None = None,
    labels: npt.ArrayLike | None = None,
    colours: Mapping[int, str] | None = None,
    *,
    names: Mapping[int, str] | None = None,
    cmap: str = "YlGnBu",
    how: str = "eq_hist",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """
    Draw compositions of three elements in a triangle.

    Parameters
    ----------
    composition : xarray.DataArray over (..., element), or array_like of shape (..., 3)
        Percentages, or amounts in any unit: the three are scaled to a sum of 100 %. Negative ones
        are taken as 0. Points with nothing of all three, or with missing values, are left out.
    corners : sequence of three str, optional
        Elements (or lines) of the left, right and top corner; they choose from a labelled array,
        and name the parts of others. None: the array's own three.
    labels : array_like of int, shape (...), optional
        Phase of each point, -1 for noise. None: the coordinate ``phase`` where there is one.
    colours, names : mapping of int to str, optional
        Colours and names of some or all phases.
    cmap : str, default: "YlGnBu"
        Colours of the density where there are no labels, from sparse to dense.
    how : {"eq_hist", "log", "cbrt", "linear"}, default: "eq_hist"
        How counts are turned into shades.
    title : str, optional
        Written above.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; a new figure where none is given.

    Returns
    -------
    matplotlib.figure.Figure
        Up to 300 points are drawn as dots, more as a density with the mean colour of the phases.

    Raises
    ------
    ShapeMismatchError
        If there are not three parts, or not one label per point.
    ParameterError
        If a corner is not in the array, labels are not integers of at least -1, or a parameter
        is no colour map or way of shading.
    EmptyMapError
        If no point can be shown.
    """
    parts, corners, own_labels = _three_parts(composition, corners)
    groups = _checked_labels(own_labels if labels is None else labels, parts.shape[:-1])
    check_shading(cmap, how)
    flat = parts.reshape(-1, _N_CORNERS)
    points = np.empty((len(flat), 2))
    for start in range(0, len(flat), BATCH):
        points[start : start + BATCH] = ternary_positions(flat[start : start + BATCH])
    shown = np.isfinite(points).all(axis=1)
    n_shown = int(np.count_nonzero(shown))
    if not n_shown:
        msg = f"There is nothing to draw: no point has any {', '.join(corners)}."
        raise EmptyMapError(msg)
    present = [] if groups is None else [int(value) for value in np.unique(groups[shown])]
    palette = complete_colours(present, colours)
    order = [v for v in present if v != NOISE] + [v for v in present if v == NOISE]
    own = ax is None
    height = _SIZE_INCHES * _HEIGHT
    if ax is None:
        ax = new_figure(_SIZE_INCHES + 2.0, height + 0.8).add_subplot()
    _draw_frame(ax, corners)
    if n_shown <= _FEW_POINTS:
        dots = "#0072b2" if groups is None else [palette[int(v)] for v in groups[shown]]
        ax.scatter(
            points[shown, 0], points[shown, 1], s=34, c=dots, edgecolors=INK, linewidths=0.5,
            zorder=3,
        )  # fmt: skip
    else:
        grid = _GRID_CELLS if groups is not None else density_grid(_GRID_CELLS, n_shown)
        raster = rasterise_latent(points, groups, palette, grid)
        ax.imshow(
            shade_raster(raster, cmap, how), origin="lower", aspect="equal", zorder=3,
            extent=(*raster.x_range, *raster.y_range), interpolation="nearest",
        )  # fmt: skip
    ax.set(xlim=(-0.08, 1.08), ylim=(-0.1, _HEIGHT + 0.08), aspect="equal")
    if title:
        ax.set_title(title, size=11, color=INK, loc="left", parse_math=False)
    if order:
        entries = [(phase_name(v, names), palette[v]) for v in order]
        phase_legend(ax, entries, legend_columns(len(entries), height))
    if own:
        fit_figure(ax, _SIZE_INCHES, _SIZE_INCHES * (_HEIGHT + 0.18) / 1.16)
    return root_figure(ax)


def _draw_frame(ax: Axes, corners: Sequence[str]) -> None:
    """Draw the triangle, a grid with percentages, and the names of the corners."""
    ax.set_axis_off()
    ax.plot(*_CORNERS[[0, 1, 2, 0]].T, color=INK, linewidth=1.0, zorder=2)
    for percent in _TICKS:
        share = percent / 100.0
        for corner in range(_N_CORNERS):
            after, before = _CORNERS[(corner + 1) % 3], _CORNERS[(corner + 2) % 3]
            # The line of equal share of a corner runs parallel to the side opposite it.
            ends = np.array(
                [share * _CORNERS[corner] + (1 - share) * end for end in (after, before)]
            )
            ax.plot(*ends.T, color=MUTED, linewidth=0.4, alpha=0.5, zorder=1)
            away = ends[0] - ends[1]
            position = ends[0] + 0.035 * away / np.linalg.norm(away)
            ax.text(
                position[0], position[1], str(percent), size=7, color=MUTED, ha="center",
                va="center", zorder=4,
            )  # fmt: skip
    places = (((0.0, -0.045), "right", "top"), ((1.0, -0.045), "left", "top"))
    for name, (position, across, along) in zip(
        corners, (*places, ((0.5, _HEIGHT + 0.03), "center", "bottom")), strict=True
    ):
        ax.text(
            position[0], position[1], name, size=11, weight="bold", color=INK, ha=across, va=along,
            parse_math=False,
        )  # fmt: skip


def _three_parts(
    composition: xr.DataArray | npt.ArrayLike, corners: Sequence[str] | None
) -> tuple[npt.NDArray[Any], list[str], npt.NDArray[Any] | None]:
    """Return amounts of shape (..., 3), names of the corners, and labels that come with them."""
    import xarray as xr

    if corners is not None and (isinstance(corners, str) or len(set(corners)) != _N_CORNERS):
        msg = f"corners must be three different names, such as ['Al', 'Si', 'Fe'], not {corners!r}."
        raise ParameterError(msg)
    if not isinstance(composition, xr.DataArray):
        values = np.asarray(composition)
        if values.ndim < 2 or values.shape[-1] != _N_CORNERS:  # noqa: PLR2004
            msg = f"Three parts are needed, shape (..., 3), and these have {values.shape}."
            raise ShapeMismatchError(msg)
        return values, list(corners or ("A", "B", "C")), None
    dim = next((name for name in ("element", "line") if name in composition.dims), None)
    if dim is None or dim not in composition.coords:
        msg = (
            f"A composition has a dimension and coordinate element (or line), and this one "
            f"{composition.dims}."
        )
        raise ParameterError(msg)
    known = [str(name) for name in composition.indexes[dim]]
    wanted = known if corners is None else list(corners)
    missing = [name for name in wanted if name not in known]
    if missing:
        msg = f"There is no {', '.join(missing)} in the composition; it has: {', '.join(known)}."
        raise ParameterError(msg)
    if len(wanted) != _N_CORNERS:
        msg = f"The composition has {', '.join(known)}; choose three as corners=[...]."
        raise ShapeMismatchError(msg)
    array = composition.sel({dim: wanted}).transpose(..., dim)
    labels = None
    if array.dims == ("phase", dim) and "phase" in array.coords:
        phases = array.indexes["phase"].to_numpy()
        labels = phases if phases.dtype.kind in "iu" else None
    values = array.to_numpy()
    return values.reshape(-1, _N_CORNERS) if values.ndim == 1 else values, wanted, labels


def _checked_labels(
    labels: npt.ArrayLike | None, shape: tuple[int, ...]
) -> npt.NDArray[np.integer[Any]] | None:
    if labels is None:
        return None
    groups = np.asarray(labels)
    if groups.shape != shape:
        msg = f"There are labels of shape {groups.shape} for compositions of shape {shape}."
        raise ShapeMismatchError(msg)
    if groups.dtype.kind not in "iu":
        msg = f"Labels are integers (int32, -1 is noise), and these are {groups.dtype}."
        raise ParameterError(msg)
    return groups.reshape(-1)
