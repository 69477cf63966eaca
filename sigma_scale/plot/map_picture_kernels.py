"""Compiled loops of pictures of maps: majorities and means of blocks of pixels, and frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "GAP",
    "NO_LABEL",
    "block_majorities",
    "block_means",
    "label_range",
    "paint_labels",
    "paint_values",
]

NO_LABEL = -(1 << 40)
"""Stands for no label where one is returned."""

GAP = -2
"""Label of pixels that are not drawn."""


@njit(nogil=True, cache=True)
def label_range(labels: NDArray[np.int32]) -> tuple[int, int]:
    """
    Find the smallest and largest label.

    Parameters
    ----------
    labels : array, shape (y, x), int32

    Returns
    -------
    (int, int)
        Both 0 for an empty map.
    """
    if labels.size == 0:
        return 0, 0
    low = high = labels[0, 0]
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            low, high = min(low, labels[row, column]), max(high, labels[row, column])
    return low, high


@njit(nogil=True, cache=True)
def block_majorities(
    labels: NDArray[np.int32],
    selected: NDArray[np.bool_],
    rows: int,
    columns: int,
    start: int,
    stop: int,
    span: tuple[int, int],
    out: NDArray[np.int32],
    strong: NDArray[np.bool_],
) -> None:
    """
    Find the most frequent label of each block of pixels.

    Parameters
    ----------
    labels : array, shape (y, x), int32
    selected : array, shape (y, x) or (0, 0), bool
        Where a block has selected pixels, only they count.
    rows, columns : int
        Size of a block; those at the end may be smaller.
    start, stop : int
        Rows of blocks to look at.
    span : (int, int)
        Smallest and largest label of the map.
    out : array, shape (ceil(y / rows), ceil(x / columns)), int32
        Written: the label; of equally frequent ones the smallest.
    strong : array, shape as `out`, or (0, 0), bool
        Written, with a selection: whether the block has selected pixels.
    """
    height, width = labels.shape
    low, high = span
    counts = np.zeros(high - low + 1, np.int64)
    choosing = selected.shape[0] > 0
    for block_row in range(start, stop):
        top, bottom = block_row * rows, min((block_row + 1) * rows, height)
        for block_column in range(out.shape[1]):
            left = block_column * columns
            right = min(left + columns, width)
            chosen = False
            if choosing:
                for y in range(top, bottom):
                    for x in range(left, right):
                        chosen |= selected[y, x]
                strong[block_row, block_column] = chosen
            best, most = high, np.int64(0)
            first = labels[top, left]
            uniform = not chosen
            if uniform:
                # Most blocks of a map lie within one phase.
                for y in range(top, bottom):
                    for x in range(left, right):
                        uniform &= labels[y, x] == first
            if uniform:
                out[block_row, block_column] = first
                continue
            for y in range(top, bottom):
                for x in range(left, right):
                    if not chosen or selected[y, x]:
                        label = labels[y, x]
                        counts[label - low] += 1
                        count = counts[label - low]
                        if count > most or (count == most and label < best):
                            best, most = label, count
            for y in range(top, bottom):
                for x in range(left, right):
                    counts[labels[y, x] - low] = 0
            out[block_row, block_column] = best


@njit(nogil=True, cache=True)
def block_means(
    values: NDArray[Any],
    rows: int,
    columns: int,
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """
    Average each block of pixels.

    Parameters
    ----------
    values : array, shape (y, x), float32 or float64
        Pixels that are not finite are left out.
    rows, columns : int
        Size of a block; those at the end may be smaller.
    start, stop : int
        Rows of blocks to look at.
    out : array, shape (ceil(y / rows), ceil(x / columns)), float32
        Written: the mean; NaN without any finite pixel.
    """
    height, width = values.shape
    for block_row in range(start, stop):
        top, bottom = block_row * rows, min((block_row + 1) * rows, height)
        for block_column in range(out.shape[1]):
            left = block_column * columns
            right = min(left + columns, width)
            total, count = 0.0, 0
            for y in range(top, bottom):
                for x in range(left, right):
                    value = np.float64(values[y, x])
                    if math.isfinite(value):
                        total += value
                        count += 1
            out[block_row, block_column] = total / count if count else np.nan


@njit(nogil=True, cache=True)
def paint_labels(
    level: NDArray[np.int32],
    strong: NDArray[np.bool_],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    colours: NDArray[np.uint32],
    faded: NDArray[np.uint32],
    known: NDArray[np.bool_],
    frame: NDArray[np.uint32],
) -> int:
    """
    Paint a frame of labels.

    Parameters
    ----------
    level : array, shape (y, x), int32
        Labels; nothing is painted where they are `GAP`.
    strong : array, shape (y, x) or (0, 0), bool
        Where colours are not faded; everywhere without any.
    rows, columns : array, shape (height,) and (width,), int64
        Row and column of the level for each of the frame; -1 outside.
    colours, faded : array, shape (label,), uint32
        Packed colours, noise first.
    known : array, shape (label,), bool
        Labels that have a colour.
    frame : array, shape (height, width), uint32
        Written where there is a pixel.

    Returns
    -------
    int
        A visible label without a colour; `NO_LABEL` if there is none.
    """
    missing = NO_LABEL
    choosing = strong.shape[0] > 0
    for y in range(rows.shape[0]):
        if rows[y] < 0:
            continue
        for x in range(columns.shape[0]):
            if columns[x] < 0:
                continue
            if level[rows[y], columns[x]] == GAP:
                continue
            code = level[rows[y], columns[x]] + 1
            if code < 0 or code >= known.shape[0] or not known[code]:
                missing = code - 1
            elif choosing and not strong[rows[y], columns[x]]:
                frame[y, x] = faded[code]
            else:
                frame[y, x] = colours[code]
    return missing


@njit(nogil=True, cache=True)
def paint_values(
    level: NDArray[Any],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    limits: tuple[float, float],
    colours: NDArray[np.uint32],
    frame: NDArray[np.uint32],
) -> None:
    """
    Paint a frame of values.

    Parameters
    ----------
    level : array, shape (y, x), float32 or float64
    rows, columns : array, shape (height,) and (width,), int64
        Row and column of the level for each of the frame; -1 outside.
    limits : (float, float)
        Values of the first and of the last colour.
    colours : array, shape (colour,), uint32
        Packed colours.
    frame : array, shape (height, width), uint32
        Written where there is a finite value.
    """
    low, high = limits
    last = colours.shape[0] - 1
    scale = colours.shape[0] / (high - low) if high > low else 0.0
    for y in range(rows.shape[0]):
        if rows[y] < 0:
            continue
        for x in range(columns.shape[0]):
            if columns[x] < 0:
                continue
            value = np.float64(level[rows[y], columns[x]])
            if math.isfinite(value):
                frame[y, x] = colours[int(min(max((value - low) * scale, 0.0), last))]
