"""Compiled loops of pictures of points: their cells, sums of colours by cell, and shades."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NO_LABEL", "add_points", "extent", "find_cells", "has_neighbours", "shade", "spread"]

NO_LABEL = -(1 << 40)
"""Stands for no label where one is returned."""


@njit(nogil=True, cache=True)
def extent(points: NDArray[Any], start: int, stop: int, bounds: NDArray[np.float64]) -> None:
    """
    Find the smallest and largest coordinates of points.

    Parameters
    ----------
    points : array, shape (n, >= 2), float32 or float64
    start, stop : int
        Rows to look at.
    bounds : array, shape (4,), float64
        Written: least x and y, greatest x and y, of the finite points; inf and -inf without any.
    """
    low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
    for i in range(start, stop):
        x, y = np.float64(points[i, 0]), np.float64(points[i, 1])
        if math.isfinite(x) and math.isfinite(y):
            low_x, high_x = min(low_x, x), max(high_x, x)
            low_y, high_y = min(low_y, y), max(high_y, y)
    bounds[0], bounds[1], bounds[2], bounds[3] = low_x, low_y, high_x, high_y


@njit(nogil=True, cache=True)
def find_cells(
    points: NDArray[Any],
    start: int,
    stop: int,
    view: tuple[float, float, float, float],
    width: int,
    height: int,
    cells: NDArray[np.int32],
) -> None:
    """
    Find the cell of a frame in which each point lies.

    Parameters
    ----------
    points : array, shape (n, >= 2), float32 or float64
    start, stop : int
        Rows to look at.
    view : tuple of float
        Smallest and largest x, smallest and largest y.
    width, height : int
        Cells across and along.
    cells : array, shape (n,), int32
        Written: row times width plus column; -1 outside. Points on the last edge belong to the
        last cell.
    """
    low_x, high_x, low_y, high_y = view
    across, along = width / (high_x - low_x), height / (high_y - low_y)
    for i in range(start, stop):
        column = (np.float64(points[i, 0]) - low_x) * across
        row = (np.float64(points[i, 1]) - low_y) * along
        # NaN fails every comparison.
        if column >= 0.0 and column <= width and row >= 0.0 and row <= height:
            cells[i] = min(int(row), height - 1) * width + min(int(column), width - 1)
        else:
            cells[i] = -1


@njit(nogil=True, cache=True)
def add_points(
    cells: NDArray[np.int32],
    labels: NDArray[np.int32],
    selected: NDArray[np.bool_],
    start: int,
    stop: int,
    rgb: NDArray[np.uint32],
    known: NDArray[np.bool_],
    sums: NDArray[np.uint32],
) -> int:
    """
    Add the colours of points to their cells.

    Parameters
    ----------
    cells : array, shape (n,), int32
        Cell of each point; -1 is none.
    labels : array, shape (n,) or (0,), int32
        Label of each point; without any all count as noise.
    selected : array, shape (n,) or (0,), bool
        Points that go to the second plane; without any all go to the first.
    start, stop : int
        Points to add, at most 2**24, so that the sums can't overflow.
    rgb, known : array
        Of a ``ColourTable``.
    sums : array, shape (planes * cells, 4), uint32
        Red, green, blue and number of the points: added to.

    Returns
    -------
    int
        A label of a visible point without a colour; `NO_LABEL` if there is none.
    """
    labelled, in_planes = labels.shape[0] > 0, selected.shape[0] > 0
    plane = sums.shape[0] // 2
    missing = NO_LABEL
    for i in range(start, stop):
        cell = cells[i]
        if cell < 0:
            continue
        code = labels[i] + 1 if labelled else 0
        if code < 0 or code >= known.shape[0] or not known[code]:
            missing = code - 1
            continue
        place = cell + plane if in_planes and selected[i] else np.int64(cell)
        sums[place, 0] += rgb[code, 0]
        sums[place, 1] += rgb[code, 1]
        sums[place, 2] += rgb[code, 2]
        sums[place, 3] += rgb[code, 3]
    return missing


@njit(nogil=True, cache=True)
def has_neighbours(counts: NDArray[np.int64], reach: int) -> tuple[int, int]:
    """
    Count the occupied cells, and those near another one.

    Parameters
    ----------
    counts : array, shape (height, width), int64
        Points in each cell.
    reach : int
        How many cells away, each way, is near.

    Returns
    -------
    (int, int)
        Occupied cells, and those of them with another one near.
    """
    height, width = counts.shape
    occupied, near = 0, 0
    for row in range(height):
        for column in range(width):
            if counts[row, column] == 0:
                continue
            occupied += 1
            found = False
            for y in range(max(row - reach, 0), min(row + reach + 1, height)):
                for x in range(max(column - reach, 0), min(column + reach + 1, width)):
                    if counts[y, x] > 0 and (y != row or x != column):
                        found = True
                        break
                if found:
                    break
            near += found
    return occupied, near


@njit(nogil=True, cache=True)
def spread(sums: NDArray[np.int64], radius: int, out: NDArray[np.int64]) -> None:
    """
    Draw each occupied cell as a small disc.

    Parameters
    ----------
    sums : array, shape (height, width, 4), int64
        Red, green, blue and number of the points in each cell.
    radius : int
        Radius of the disc in cells.
    out : array, shape (height, width, 4), int64
        Added to: the sums of all discs that cover a cell.
    """
    height, width = sums.shape[:2]
    limit = radius * radius + radius  # that of (radius + 1/2)**2, for round small discs
    for row in range(height):
        for column in range(width):
            if sums[row, column, 3] == 0:
                continue
            for y in range(max(row - radius, 0), min(row + radius + 1, height)):
                for x in range(max(column - radius, 0), min(column + radius + 1, width)):
                    if (y - row) ** 2 + (x - column) ** 2 <= limit:
                        for channel in range(4):
                            out[y, x, channel] += sums[row, column, channel]


@njit(nogil=True, cache=True)
def shade(
    sums: NDArray[np.int64],
    top: float,
    least: int,
    most: int,
    frame: NDArray[np.uint32],
) -> None:
    """
    Paint cells in the mean colour of their points.

    Parameters
    ----------
    sums : array, shape (cells, 4), int64
        Red, green, blue and number of the points in each cell.
    top : float
        Number of points from which on a cell has the full opacity; below, the opacity grows with
        the logarithm of the number.
    least, most : int
        Opacity of one point and of `top` points, 0 to 255.
    frame : array, shape (cells,), uint32
        Written where there are points.
    """
    scale = (most - least) / math.log(top) if top > 1.0 else 0.0
    for cell in range(sums.shape[0]):
        count = sums[cell, 3]
        if count == 0:
            continue
        opacity = most
        if count < top:
            opacity = int(least + scale * math.log(count) + 0.5)
        half = count // 2
        packed = (sums[cell, 0] + half) // count
        packed |= ((sums[cell, 1] + half) // count) << 8
        packed |= ((sums[cell, 2] + half) // count) << 16
        frame[cell] = np.uint32(packed | opacity << 24)
