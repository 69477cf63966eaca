"""
Compiled loops over label maps: connected regions, what is summed over them, and contacts.

Regions are found row after row with a union-find whose roots are the lowest numbers, so that
numbers follow the first pixel of each region in row-major order. Everything that is summed over
regions goes by runs, the pixels of a row that lie side by side in one region.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "count_contacts",
    "join_rows",
    "label_band",
    "measure_lines",
    "measure_perimeters",
    "measure_runs",
    "number_roots",
    "renumber",
]

_NO_REGION = -2

# Weight of a border pixel by 1, plus 2 for each neighbour beside it that is one too, plus 10 for
# each at a corner: halves of 1 and of the square root of 2 (the table of Benkrid and Crookes).
_STRAIGHT, _SLANTING = np.zeros(50, np.int64), np.zeros(50, np.int64)
_STRAIGHT[[5, 7, 15, 17, 25, 27]] = 2
_SLANTING[[21, 33]] = 2
_STRAIGHT[[13, 23]] = _SLANTING[[13, 23]] = 1


@njit(nogil=True, cache=True)
def _root(parent: NDArray[Any], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)
def _join(parent: NDArray[Any], i: int, j: int) -> int:
    """Join two sets; the lower root stays."""
    i, j = _root(parent, i), _root(parent, j)
    if i < j:
        parent[j] = i
        return i
    parent[i] = j
    return j


@njit(nogil=True, cache=True)
def label_band(values: NDArray[Any], diagonal: bool, numbers: NDArray[np.int32]) -> int:  # noqa: FBT001
    """
    Number the connected regions of a band from 0, by their first pixel; give how many.

    ``values`` (y, x) are labels, -2 for pixels of no region, which get -1 in ``numbers``.
    """
    height, width = values.shape
    parent = np.empty(height * width, np.int32)
    n = 0
    for y in range(height):
        for x in range(width):
            value = values[y, x]
            if value == _NO_REGION:
                numbers[y, x] = -1
                continue
            mine = -1
            if x > 0 and values[y, x - 1] == value:
                mine = numbers[y, x - 1]
            if y > 0:
                above = values[y - 1, x] == value
                if above:
                    other = numbers[y - 1, x]
                    mine = other if mine < 0 or mine == other else _join(parent, mine, other)
                # The pixel above, if it is alike, is already joined with those beside it.
                elif diagonal:
                    if x > 0 and values[y - 1, x - 1] == value:
                        other = numbers[y - 1, x - 1]
                        mine = other if mine < 0 or mine == other else _join(parent, mine, other)
                    if x + 1 < width and values[y - 1, x + 1] == value:
                        other = numbers[y - 1, x + 1]
                        mine = other if mine < 0 or mine == other else _join(parent, mine, other)
            if mine < 0:
                mine = n
                parent[n] = n
                n += 1
            numbers[y, x] = mine
    count = 0
    # Parents are lower than their children: one walk upward turns them into new numbers.
    for i in range(n):
        if parent[i] == i:
            parent[i] = count
            count += 1
        else:
            parent[i] = parent[parent[i]]
    for y in range(height):
        for x in range(width):
            if numbers[y, x] >= 0:
                numbers[y, x] = parent[numbers[y, x]]
    return count


@njit(nogil=True, cache=True)
def join_rows(
    values: NDArray[Any],
    numbers: NDArray[Any],
    values_below: NDArray[Any],
    numbers_below: NDArray[Any],
    diagonal: bool,  # noqa: FBT001
    parent: NDArray[Any],
) -> None:
    """Join regions of the last row of a band with those of the first row of the next."""
    width = values.shape[0]
    for x in range(width):
        value = values_below[x]
        if value == _NO_REGION:
            continue
        if values[x] == value:
            _join(parent, numbers[x], numbers_below[x])
        if diagonal:
            if x > 0 and values[x - 1] == value:
                _join(parent, numbers[x - 1], numbers_below[x])
            if x + 1 < width and values[x + 1] == value:
                _join(parent, numbers[x + 1], numbers_below[x])


@njit(nogil=True, cache=True)
def number_roots(parent: NDArray[Any], numbers: NDArray[Any]) -> int:
    """Number the sets from 1 by their roots, for each of their members; give how many."""
    count = 0
    for i in range(parent.shape[0]):
        if parent[i] == i:
            count += 1
            numbers[i] = count
        else:
            numbers[i] = numbers[parent[i]]
    return count


@njit(nogil=True, cache=True)
def renumber(local: NDArray[np.int32], numbers: NDArray[Any], regions: NDArray[Any]) -> None:
    """Write the number of each pixel's region in the whole map, 0 for none."""
    for y in range(local.shape[0]):
        for x in range(local.shape[1]):
            i = local[y, x]
            regions[y, x] = numbers[i] if i >= 0 else 0


@njit(nogil=True, cache=True)
def measure_runs(
    regions: NDArray[Any],
    values: NDArray[Any],
    first_row: int,
    places: NDArray[np.int64],
    moments: NDArray[Any],
) -> None:
    """
    Add a band to the size, place and moments of its regions.

    ``places`` (region, 7): pixels, first row, column of the first pixel, lowest column, last row,
    last column, phase. ``moments`` (region, 5): sums of y, x, yy, xy, xx counted from the first
    pixel, so that they stay small; int64, or float64 where that could overflow.
    """
    height, width = regions.shape
    for y in range(height):
        x = 0
        while x < width:
            region = regions[y, x]
            start = x
            x += 1
            while x < width and regions[y, x] == region:
                x += 1
            if region == 0:
                continue
            place = places[region - 1]
            row = first_row + y
            if place[0] == 0:
                place[1] = row
                place[2] = start
                place[3] = start
                place[5] = x - 1
                place[6] = values[y, start]
            n = x - start
            place[0] += n
            place[3] = min(place[3], start)
            place[4] = row
            place[5] = max(place[5], x - 1)
            dy = row - place[1]
            a = start - place[2]
            sum_x = n * a + n * (n - 1) // 2
            moment = moments[region - 1]
            moment[0] += n * dy
            moment[1] += sum_x
            moment[2] += n * dy * dy
            moment[3] += dy * sum_x
            moment[4] += n * a * a + a * n * (n - 1) + (n - 1) * n * (2 * n - 1) // 6


@njit(nogil=True, cache=True)
def measure_lines(
    regions: NDArray[Any],
    values: NDArray[Any],
    sums: NDArray[np.float64],
    lows: NDArray[np.float64],
    highs: NDArray[np.float64],
) -> None:
    """Add ``values`` (y, x, line) to the sum, minimum and maximum per region; NaN stays NaN."""
    for y in range(regions.shape[0]):
        for x in range(regions.shape[1]):
            i = regions[y, x] - 1
            if i < 0:
                continue
            for k in range(values.shape[2]):
                value = np.float64(values[y, x, k])
                sums[i, k] += value
                if value < lows[i, k] or value != value:  # noqa: PLR0124
                    lows[i, k] = value
                if value > highs[i, k] or value != value:  # noqa: PLR0124
                    highs[i, k] = value


@njit(nogil=True, cache=True)
def measure_perimeters(window: NDArray[Any], halves: NDArray[np.int64]) -> None:
    """
    Add the border pixels of a band to the perimeters of their regions.

    ``window`` (y, x) has two more rows and columns than the band on each side. ``halves``
    (region, 2) counts halves of 1 and halves of the square root of 2. Each border pixel of a
    region weighs by the number of its neighbours that are border pixels of the same region, beside
    it and at its corners.
    """
    height, width = window.shape
    border = np.zeros((height, width), np.uint8)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            region = window[y, x]
            if region > 0 and (
                window[y - 1, x] != region
                or window[y + 1, x] != region
                or window[y, x - 1] != region
                or window[y, x + 1] != region
            ):
                border[y, x] = 1
    for y in range(2, height - 2):
        for x in range(2, width - 2):
            if not border[y, x]:
                continue
            region = window[y, x]
            code = -1  # the pixel itself adds 2
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    if border[y + dy, x + dx] and window[y + dy, x + dx] == region:
                        code += 2 if dy == 0 or dx == 0 else 10
            halves[region - 1, 0] += _STRAIGHT[code]
            halves[region - 1, 1] += _SLANTING[code]


@njit(nogil=True, cache=True)
def count_contacts(numbers: NDArray[Any], above: NDArray[Any], edges: NDArray[np.int64]) -> None:
    """
    Count the edges between pixels of different phases in a band.

    ``numbers`` (y, x) number the phases from 0, negative ones don't count; ``above`` (x,) is the
    row before. ``edges`` (2, phase, phase) is added to: first edges between rows, then between
    columns, each with the lower number first.
    """
    height, width = numbers.shape
    for y in range(height):
        for x in range(width):
            mine = numbers[y, x]
            if mine < 0:
                continue
            other = numbers[y - 1, x] if y > 0 else above[x]
            if other >= 0 and other != mine:
                edges[0, min(mine, other), max(mine, other)] += 1
            if x > 0:
                other = numbers[y, x - 1]
                if other >= 0 and other != mine:
                    edges[1, min(mine, other), max(mine, other)] += 1
