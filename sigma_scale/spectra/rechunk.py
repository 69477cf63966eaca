"""The counts of a map in chunks of another shape than those its source gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale.spectra.events import EventBlock
from sigma_scale.spectra.regions import RegionPlan
from sigma_scale.spectra.source import Scratch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from sigma_scale.spectra.source import BlockSource

__all__ = ["Chunk", "chunk_plan", "chunks_of_region"]

_REGIONS = 32
_LARGEST_SIDE = 1024


class Chunk(NamedTuple):
    """A chunk and where it lies."""

    row: int
    column: int
    """Number of the chunk from the top and from the left."""
    block: EventBlock
    """Its events, clipped to the map."""


def chunk_plan(source: BlockSource, chunk_shape: tuple[int, int]) -> RegionPlan:
    """
    Cut a map into regions of whole chunks, and of whole source blocks where they fit together.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    chunk_shape : tuple of int
        Rows and columns of a chunk.
    """
    rows, columns, _ = source.shape
    side = min(math.isqrt(rows * columns // _REGIONS), _LARGEST_SIDE)
    height = _tile(chunk_shape[0], source.chunk_shape[0], rows)
    width = _tile(chunk_shape[1], source.chunk_shape[1], columns)
    # A region that must be long one way is short the other, or there would be too few for all
    # threads to be busy to the end.
    return RegionPlan(
        _limits(rows, height, side * side / max(side, width)),
        _limits(columns, width, side * side / max(side, height)),
        (1, 1),
    )


def _limits(length: int, tile: int, wanted: float) -> tuple[int, ...]:
    """Limits of regions of whole tiles, each about as long as wanted."""
    return (*range(0, length, tile * max(1, round(wanted / tile))), length)


def chunks_of_region(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    chunk_shape: tuple[int, int],
    *,
    scratch: Scratch | None = None,
    leave_out: Collection[tuple[int, int]] = (),
) -> Iterator[Chunk]:
    """
    Read a region's counts in chunks of the shape asked for.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    limits : tuple of int
        First and last-plus-one row and column of a region of :func:`chunk_plan`.
    chunk_shape : tuple of int
        Rows and columns of a chunk.
    scratch : Scratch, optional
        Memory for the blocks; a chunk is then good until the next one is asked for.
    leave_out : collection of tuple of int
        Rows and columns of chunks that aren't needed; what only they hold is not read.

    Yields
    ------
    Chunk
    """
    top, bottom, left, right = limits
    if source.chunk_shape == chunk_shape:
        height, width = chunk_shape
        for row in range(top // height, -(-bottom // height)):
            for column in range(left // width, -(-right // width)):
                if (row, column) not in leave_out:
                    yield Chunk(row, column, source.read_block(row, column, scratch))
        return
    height = _tile(chunk_shape[0], source.chunk_shape[0], source.shape[0])
    width = _tile(chunk_shape[1], source.chunk_shape[1], source.shape[1])
    for y in range(top, bottom, height):
        for x in range(left, right, width):
            tile = (y, min(y + height, bottom), x, min(x + width, right))
            for chunk in _chunks_of_tile(source, tile, chunk_shape, leave_out, scratch):
                if (chunk.row, chunk.column) not in leave_out:
                    yield chunk


def _tile(chunk: int, block: int, length: int) -> int:
    """Least multiple of a chunk that also ends a block, or a large one where that is too long."""
    both = math.lcm(chunk, block)
    if block < length and both <= max(_LARGEST_SIDE, chunk):
        return both
    return chunk * -(-min(block, length) // chunk)


def _chunks_of_tile(
    source: BlockSource,
    tile: tuple[int, int, int, int],
    chunk_shape: tuple[int, int],
    leave_out: Collection[tuple[int, int]],
    scratch: Scratch | None,
) -> Iterator[Chunk]:
    """Read each block that overlaps a tile once, and cut its chunks from strips of blocks."""
    top, bottom, left, right = tile
    height, width = chunk_shape
    columns = range(left // width, -(-right // width))
    rows = range(top // height, -(-bottom // height))
    if all((row, column) in leave_out for row in rows for column in columns):
        return
    strips: dict[int, list[EventBlock]] = {row: [] for row in rows}
    for origin, band in _bands(source, tile):
        for row in rows:
            part = _overlap(row * height, min((row + 1) * height, bottom), origin, band.shape[0])
            if part:
                strips[row].append(band.window(part, slice(0, right - left)))
    for row in rows:
        parts = [_Strip(block, width) for block in strips.pop(row)]
        for column in columns:
            block = _joined(parts, column - columns.start, scratch or Scratch())
            yield Chunk(row, column, block)


class _Strip:
    """
    A block that is cut into columns, each so many pixels wide.

    Where the events of every row and column begin is worked out once for all columns.
    """

    def __init__(self, block: EventBlock, width: int) -> None:
        self.block = block
        self._width = width
        edges = np.arange(0, block.shape[1], width)
        grid = block.per_pixel.reshape(block.shape[:2])
        per_cell = np.add.reduceat(grid, edges, axis=1, dtype=np.int64)
        self._stops = np.cumsum(per_cell).reshape(per_cell.shape)
        self._starts = self._stops - per_cell

    def per_pixel(self, column: int) -> NDArray[Any]:
        """Numbers of events of a column's pixels, shape (rows, pixels)."""
        grid = self.block.per_pixel.reshape(self.block.shape[:2])
        return grid[:, column * self._width : (column + 1) * self._width]

    def runs(self, column: int) -> list[slice]:
        """Events of a column, row by row."""
        starts, stops = self._starts[:, column].tolist(), self._stops[:, column].tolist()
        return [slice(a, b) for a, b in zip(starts, stops, strict=True)]


def _joined(parts: Sequence[_Strip], column: int, scratch: Scratch) -> EventBlock:
    """One column of strips that lie one below the other, its events copied once."""
    per_pixel = np.concatenate([part.per_pixel(column) for part in parts])
    runs = [(part.block, run) for part in parts for run in part.runs(column)]
    n_events = sum(run.stop - run.start for _, run in runs)
    streams = []
    for name in ("gap_low", "gap_high", "counts"):
        pieces = [getattr(block, name)[run] for block, run in runs]
        dtype = np.result_type(*(getattr(part.block, name) for part in parts))
        memory = scratch.take(f"joined_{name}", n_events * dtype.itemsize).view(dtype)
        streams.append(np.concatenate(pieces, out=memory))
    shape = (*per_pixel.shape, parts[0].block.shape[2])
    return EventBlock(shape, per_pixel.ravel(), *streams)


def _bands(
    source: BlockSource, tile: tuple[int, int, int, int]
) -> Iterator[tuple[int, EventBlock]]:
    """First row in the map and events of each row of blocks, cut to the columns of a tile."""
    top, bottom, left, right = tile
    height, width = source.chunk_shape
    for i in range(top // height, -(-bottom // height)):
        parts = []
        for j in range(left // width, -(-right // width)):
            # The parts are kept, so they can't be read into memory that is used again.
            block = source.read_block(i, j)
            columns = _overlap(left, right, j * width, block.shape[1])
            if columns:
                parts.append(block.window(slice(0, block.shape[0]), columns))
        yield i * height, EventBlock.beside(parts)


def _overlap(start: int, stop: int, origin: int, size: int) -> slice | None:
    """Part of a block, which begins at ``origin``, that lies between start and stop."""
    first, last = max(start - origin, 0), min(stop - origin, size)
    return slice(first, last) if first < last else None
