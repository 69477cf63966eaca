"""How a map is cut into pieces of work that fit its blocks and its bins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["RegionPlan", "split_axis"]

_LARGEST_ALIGNED = 2048
"""Pixels along one side beyond which a region need not end on a block's border."""


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """
    Regions of a map along y and x, each the work of one task.

    Parameters
    ----------
    rows, columns : tuple of int
        Limits of the regions in pixels.
    bin_factors : tuple of int
        Pixels per bin in y and x; the limits but the last are multiples of it.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    bin_factors: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of regions in y and x."""
        return len(self.rows) - 1, len(self.columns) - 1

    @property
    def binned_chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Complete bins of each region in y and x, as Dask chunks."""
        return _bins(self.rows, self.bin_factors[0]), _bins(self.columns, self.bin_factors[1])

    def limits(self, row: int, column: int) -> tuple[int, int, int, int]:
        """First and last-plus-one row and column in pixels of a region."""
        return self.rows[row], self.rows[row + 1], self.columns[column], self.columns[column + 1]

    def bins(self, row: int, column: int) -> tuple[slice, slice]:
        """Where the complete bins of a region lie in the binned map."""
        top, bottom, left, right = self.limits(row, column)
        factor_y, factor_x = self.bin_factors
        return (
            slice(top // factor_y, bottom // factor_y),
            slice(left // factor_x, right // factor_x),
        )


def _bins(limits: tuple[int, ...], factor: int) -> tuple[int, ...]:
    return tuple(end // factor - start // factor for start, end in pairwise(limits))


def split_axis(start: int, stop: int, *, chunk: int, factor: int, target: int) -> tuple[int, ...]:
    """
    Cut an axis so that no bin is cut, and no block either where that is possible.

    A block that two regions share has to be decoded twice, so regions end where block borders
    and bin borders meet. Where these meet too seldom, regions are made so large that the
    blocks on their borders hardly count.

    Parameters
    ----------
    start, stop : int
        Ends of the axis in pixels; ``start`` must begin a bin.
    chunk : int
        Pixels per block.
    factor : int
        Pixels per bin.
    target : int
        Wanted pixels per region.

    Returns
    -------
    tuple of int
        Limits from ``start`` to ``stop``. The pixels of an incomplete last bin belong to the last
        region; every region but perhaps an only one holds at least one complete bin.
    """
    if chunk >= stop - start and chunk > _LARGEST_ALIGNED:
        return (start, stop)  # Blocks as wide as the map: to cut them is to decode them twice.
    aligned = math.lcm(chunk, factor)
    if aligned <= _LARGEST_ALIGNED:
        step = aligned * max(1, round(target / aligned))
    else:
        step = factor * math.ceil(max(target, _LARGEST_ALIGNED // 2) / factor)
    limits = list(range(start, stop, step))
    if len(limits) > 1 and stop - limits[-1] < factor:
        limits.pop()
    return (*limits, stop)
