"""Frames of any number of points, in the mean colours of their labels."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent.rows import in_threads
from sigma_scale.plot.palette import NOISE, phase_colour
from sigma_scale.plot.point_picture_kernels import (
    NO_LABEL,
    add_points,
    extent,
    find_cells,
    has_neighbours,
    shade,
    spread,
)
from sigma_scale.plot.viewport import Viewport, colour_table, missing_colour

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.plot.viewport import ColourTable

__all__ = ["PointPicture", "sum_colours"]

_PLANE = 2
_MARGIN = 0.03

_PART = 1 << 20
"""Points for which a thread pays."""
_MOST_SUMMED = 1 << 24
"""Points whose colours, each at most 255, can be summed in 32 bits."""
_MOST_WORKERS = 8
"""Threads, each with sums of its own."""

_LEAST_OPACITY, _FULL_OPACITY = 90, 255
_LEAST_FADED, _MOST_FADED = 14, 60
_TOP_SHARE = 0.99
"""Share of the occupied cells below full opacity, so that a single heap doesn't dim the rest."""
_MANY = 20
_SPARSE_SHARE = 0.5
_RADII = (2, 1)


class PointPicture:
    """
    Points in a plane, drawn at the resolution of the screen.

    Each cell of a frame has the mean colour of its points, and an opacity that grows with the
    logarithm of their number; a single point stays visible. Memory is that of the points, of four
    bytes for each of them, and of a few frames, whatever the number of labels. The cells of the
    last viewport are kept, so that other labels or colours are drawn much faster than another
    viewport.

    Parameters
    ----------
    points : array-like, shape (n, >= 2)
        Positions in the first two columns; rows that are not finite are never drawn. Kept as they
        are, without a copy, if they are float32 or float64 in C order. They must not change.

    Attributes
    ----------
    x_range, y_range : (float, float)
        What holds all finite points, with a margin; around 0 if there are none.

    Raises
    ------
    ShapeMismatchError
        If they are not rows of at least two columns.
    ParameterError
        If they are not real numbers.
    """

    def __init__(self, points: ArrayLike) -> None:
        rows = np.asarray(points)
        if rows.ndim != _PLANE or rows.shape[1] < _PLANE:
            raise ShapeMismatchError(
                f"Points are rows of at least two coordinates, not an array of shape {rows.shape}."
            )
        if rows.dtype.kind not in "fiu":
            raise ParameterError(f"Points are real numbers, not {rows.dtype}.")
        dtype = np.float32 if rows.dtype in {np.dtype(np.float16), np.dtype(np.float32)} else float
        if not (rows.flags.c_contiguous and rows.dtype == dtype):
            rows = np.ascontiguousarray(rows[:, :_PLANE], dtype=dtype)
        self._points: NDArray[Any] = rows
        self._seen: tuple[Viewport, NDArray[np.int32]] | None = None
        self.x_range, self.y_range = _ranges(rows)

    def __len__(self) -> int:
        return len(self._points)

    def render(
        self,
        viewport: Viewport,
        labels: NDArray[np.integer[Any]] | None,
        colours: Mapping[int, str],
        *,
        hidden: Collection[int] = (),
        selected: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.uint32]:
        """
        Draw the points in a viewport.

        Parameters
        ----------
        viewport : Viewport
            What the frame shows.
        labels : array of integers, shape (n,), or None
            Label of each point, -1 for noise; None: the density in one colour.
        colours : mapping of int to str
            A colour for every label in the viewport.
        hidden : collection of int, optional
            Labels that are not drawn.
        selected : array, shape (n,), bool, optional
            Points that are drawn strongly, over the others, which fade.

        Returns
        -------
        numpy.ndarray, shape (height, width), uint32
            Red, green, blue and opacity, red in the lowest byte, as Bokeh's ``image_rgba`` takes
            them; the first row lies at the smallest y. 0 where there is no point. Where cells
            with points are few and far between, points are discs of three or five pixels.

        Raises
        ------
        ParameterError
            If a label has no colour, or a colour is none.
        ShapeMismatchError
            If there is not one label, or one mark of the selection, for each point.
        """
        for what, values in (("labels", labels), ("marks of a selection", selected)):
            if values is not None and np.shape(values) != (len(self),):
                raise ShapeMismatchError(
                    f"{len(self)} points need as many {what}, not an array of shape "
                    f"{np.shape(values)}."
                )
        if labels is None:
            table = colour_table({NOISE: phase_colour(0)})
        else:
            table = colour_table(colours, hidden)
        sums = sum_colours(
            self._cells(viewport), viewport.width * viewport.height, labels, table, selected
        )
        planes = sums.reshape(-1, viewport.height, viewport.width, 4)
        return _shaded(_spread_if_sparse(planes))

    def _cells(self, viewport: Viewport) -> NDArray[np.int32]:
        """Cell of each point; those of the last viewport are kept."""
        seen = self._seen
        if seen is not None and seen[0] == viewport:
            return seen[1]
        # Written anew, not over the last ones, which another thread may be drawing.
        self._seen = seen = None
        points, cells = self._points, np.empty(len(self), np.int32)
        (low_x, high_x), (low_y, high_y) = viewport.x_span, viewport.y_span
        view = float(low_x), float(high_x), float(low_y), float(high_y)
        size = viewport.width, viewport.height
        in_threads(lambda part: find_cells(points, *part, view, *size, cells), *_parts(len(self)))
        self._seen = viewport, cells
        return cells


def sum_colours(
    cells: NDArray[np.int32],
    n_cells: int,
    labels: NDArray[np.integer[Any]] | None,
    table: ColourTable,
    selected: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """
    Sum the colours of the points in each cell.

    Parameters
    ----------
    cells : array, shape (n,), int32
        Cell of each point; -1 is none.
    n_cells : int
        Number of cells.
    labels : array of integers, shape (n,), or None
        Label of each point; None: all count as noise, -1.
    table : ColourTable
        Colours of the labels.
    selected : array, shape (n,), bool, optional
        Points that are summed apart.

    Returns
    -------
    numpy.ndarray, shape (plane, cell, 4), int64
        Red, green, blue and number of points; the same for any number of threads. One plane, or,
        with a selection, those that are not selected and those that are.

    Raises
    ------
    ParameterError
        If a label has no colour.
    """
    codes = np.ascontiguousarray(np.zeros(0) if labels is None else labels, dtype=np.int32)
    marks = np.ascontiguousarray(np.zeros(0) if selected is None else selected, dtype=np.bool_)
    planes = 1 if selected is None else 2
    parts, workers = _parts(len(cells))

    def add(part: tuple[int, int]) -> tuple[NDArray[np.uint32], NDArray[np.int64] | None, int]:
        # Two planes are there in any case for the kernel; an untouched one costs no memory.
        own = np.zeros((2 * n_cells, 4), np.uint32)
        total, missing = None, NO_LABEL
        for start in range(*part, _MOST_SUMMED):
            if start > part[0]:
                total = own.astype(np.int64) if total is None else total + own
                own[:] = 0
            stop = min(start + _MOST_SUMMED, part[1])
            missing = max(
                missing,
                add_points(cells, codes, marks, start, stop, table.rgb, table.known, own),
            )
        return own, total, missing

    sums = np.zeros((planes * n_cells, 4), np.int64)
    for own, total, missing in in_threads(add, parts, workers):
        if missing != NO_LABEL:
            raise missing_colour(missing)
        sums += own[: planes * n_cells]
        if total is not None:
            sums += total[: planes * n_cells]
    return sums.reshape(planes, n_cells, 4)


def _parts(n: int) -> tuple[list[tuple[int, int]], int]:
    """Cut points into a part for each thread."""
    workers = max(1, min(compute.local_workers(), _MOST_WORKERS, -(-n // _PART)))
    edges = [n * k // workers for k in range(workers + 1)]
    return list(pairwise(edges)), workers


def _ranges(points: NDArray[Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return ranges that hold all finite points, with a margin."""
    parts, workers = _parts(len(points))

    def bounds(part: tuple[int, int]) -> NDArray[np.float64]:
        found = np.empty(4)
        extent(points, *part, found)
        return found

    each = np.array(in_threads(bounds, parts, workers))
    low, high = each[:, :_PLANE].min(axis=0), each[:, _PLANE:].max(axis=0)
    if not np.isfinite(low).all():
        return (-0.5, 0.5), (-0.5, 0.5)
    size = high - low
    # Where all points share a coordinate, any range around it will do.
    margin = np.where(size > 0, _MARGIN * size, np.maximum(0.05 * np.abs(low), 0.5))
    low, high = low - margin, high + margin
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _spread_if_sparse(planes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make discs of the points where most of them would not touch another's."""
    counts = planes[..., 3].sum(axis=0)
    for radius in _RADII:
        occupied, near = has_neighbours(counts, radius)
        if near < _SPARSE_SHARE * occupied or occupied == 1:
            wider = np.zeros_like(planes)
            for before, after in zip(planes, wider, strict=True):
                spread(before, radius, after)
            return wider
    return planes


def _shaded(planes: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Paint the cells; those with selected points over the faded others."""
    height, width = planes.shape[1:3]
    frame = np.zeros(height * width, np.uint32)
    opacities = [(_LEAST_FADED, _MOST_FADED), (_LEAST_OPACITY, _FULL_OPACITY)]
    for plane, (least, most) in zip(planes, opacities[-len(planes) :], strict=True):
        sums = plane.reshape(-1, 4)
        top = _top(sums[:, 3])
        # Where no cell has many points there is little to tell apart, and all may be strong.
        weakest = most - (most - least) * min(1.0, math.log(top) / math.log(_MANY))
        shade(sums, top, round(weakest), most, frame)
    return frame.reshape(height, width)


def _top(counts: NDArray[np.int64]) -> float:
    """Number of points from which on cells have the full opacity."""
    occupied = counts[counts > 0]
    if not occupied.size:
        return 1.0
    place = int(_TOP_SHARE * (occupied.size - 1))
    return float(np.partition(occupied, place)[place])
