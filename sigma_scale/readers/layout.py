"""Which dimensions of a stored array are y, x and energy, and in what blocks it is read best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale.spectra.source import CHUNK_PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["BlockPlan", "Layout", "plan_blocks"]

_READ_BYTES = 8 * 2**20
"""Dense bytes that one read takes where the stored chunks allow so little."""

_CACHE_BYTES = 2**18

_MOST_BYTES = 128 * 2**20
"""Dense bytes that one read may take to go once through chunks that lie across it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Positions of the map's dimensions in a stored array.

    Parameters
    ----------
    y, x : int or None
        Position of the rows and columns; None for a line scan or a single spectrum.
    energy : int
        Position of the channels.
    """

    y: int | None
    x: int | None
    energy: int

    @classmethod
    def with_energy(cls, energy: int, ndim: int) -> Layout:
        """Layout of an array of 1 to 3 dimensions whose others are y and x, in this order."""
        others: list[int | None] = [i for i in range(ndim) if i != energy % ndim]
        y, x = [None] * (2 - len(others)) + others
        return cls(y, x, energy % ndim)

    def of_map(self, sizes: Sequence[int]) -> tuple[int, int, int]:
        """Rows, columns and channels from the sizes of the stored dimensions."""
        rows = 1 if self.y is None else int(sizes[self.y])
        columns = 1 if self.x is None else int(sizes[self.x])
        return rows, columns, int(sizes[self.energy])

    def index(self, rows: slice, columns: slice) -> tuple[slice, ...]:
        """Index of a part of the stored array, all channels."""
        places = {self.y: rows, self.x: columns, self.energy: slice(None)}
        return tuple(places[i] for i in sorted(place for place in places if place is not None))

    def arranged(self, part: NDArray[Any]) -> NDArray[Any]:
        """View of a part of the stored array in the order rows, columns, channels."""
        order = [place for place in (self.y, self.x, self.energy) if place is not None]
        part = part.transpose(order)
        return part[(None,) * (3 - part.ndim)]


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """
    Blocks in which an array is read.

    Parameters
    ----------
    chunk_shape : tuple of int
        Rows and columns of a block.
    rows_at_once, columns_at_once : int
        Rows and columns of a block that are read together.
    """

    chunk_shape: tuple[int, int]
    rows_at_once: int
    columns_at_once: int


def plan_blocks(
    shape: tuple[int, int, int], chunks: tuple[int, int, int] | None, itemsize: int
) -> BlockPlan:
    """
    Choose blocks so that the stored chunks are decompressed once, within bounded memory.

    Blocks and reads are made of whole stored chunks, unless the chunks are flat in energy and so
    wide that this would make most of the map dense: then they are read again for each block.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns and channels of the map.
    chunks : tuple of int, optional
        Rows, columns and channels of a stored chunk; None if any part can be read.
    itemsize : int
        Bytes of a count.

    Returns
    -------
    BlockPlan
    """
    rows, columns, channels = (max(size, 1) for size in shape)
    pixel_bytes = channels * itemsize
    if chunks is None:
        chunks = (1, 1, channels)
    high, wide, deep = (
        min(max(chunk, 1), size)
        for chunk, size in zip(chunks, (rows, columns, channels), strict=True)
    )
    # A chunk larger than the bound takes its memory anyway, so it may as well be used at once.
    bound = max(_MOST_BYTES, high * wide * deep * itemsize)
    if high * wide * pixel_bytes > bound:
        return _unaligned(rows, columns, pixel_bytes)
    width = wide * max(1, min(CHUNK_PIXELS // wide, bound // (high * wide * pixel_bytes)))
    height = high * max(1, CHUNK_PIXELS // high)
    at_once = high * max(1, _READ_BYTES // (high * width * pixel_bytes))
    # Chunks that nearly fill a processor's cache become events before the next are read.
    narrow = high * wide * pixel_bytes >= _CACHE_BYTES
    return BlockPlan((height, width), min(at_once, height), wide if narrow else width)


def _unaligned(rows: int, columns: int, pixel_bytes: int) -> BlockPlan:
    """Blocks as large as memory allows, each of which goes through all chunks it touches."""
    pixels = max(1, _MOST_BYTES // pixel_bytes)
    width = min(columns, pixels)
    height = min(rows, max(1, pixels // width))
    return BlockPlan((height, width), height, width)
