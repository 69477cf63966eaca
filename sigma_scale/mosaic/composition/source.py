"""The counts of a mosaic, each block put together from the tiles that have pixels there."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.mosaic.composition.blocks import (
    BlockKey,
    RecentBlocks,
    naming,
    narrowed,
    seed_of,
    tile_block,
)
from sigma_scale.mosaic.composition.kernels import (
    add_events,
    copy_owned,
    count_all,
    count_owned,
    first_events,
    merge_events,
)
from sigma_scale.mosaic.composition.ownership import Window, owners_of, touching
from sigma_scale.spectra import EventBlock, Scratch
from sigma_scale.spectra.events import smallest_unsigned
from sigma_scale.spectra.source import CHUNK_PIXELS, block_slices

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from numpy.typing import NDArray

    from sigma_scale.mosaic.composition.plan import MosaicPlan
    from sigma_scale.mosaic.tile import Tile
    from sigma_scale.spectra import SpectrumImage

__all__ = ["MosaicSource"]

_OPEN_TILES = 1024


class _Part(NamedTuple):
    """Pixels of a tile's block that lie in a block of the mosaic."""

    key: BlockKey
    owner: int
    """Index of the tile among those that have pixels there."""
    window: tuple[int, int, int, int]
    """First and last-plus-one row, first and last-plus-one column in the tile's block."""
    place: tuple[int, int]
    """Row and column in the mosaic's block of the window's first pixel."""


class MosaicSource:
    """
    Counts of tiles as one map; see :class:`~sigma_scale.spectra.source.BlockSource`.

    Parameters
    ----------
    plan : MosaicPlan
        What is taken from where.
    tiles : tuple of Tile
        The tiles, in the plan's order; opened where they are read, once in each process.
    """

    # No dataclass: Dask would look for its own collections in all fields of all tiles.

    def __init__(self, plan: MosaicPlan, tiles: tuple[Tile, ...]) -> None:
        self.plan = plan
        self.tiles = tiles

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels."""
        return (*self.plan.shape, self.plan.energy.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the counts."""
        return np.dtype(self.plan.dtype)

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """Rows and columns of a block."""
        return CHUNK_PIXELS, CHUNK_PIXELS

    def __dask_tokenize__(self) -> Hashable:
        return ("MosaicSource", self.plan.digest)

    def open_tile(self, number: int) -> SpectrumImage:
        """
        Map of a tile, opened once in each process.

        Parameters
        ----------
        number : int
            Number of the tile.

        Returns
        -------
        SpectrumImage

        Raises
        ------
        ParameterError
            If it isn't as it was when the mosaic was planned.
        SigmaScaleError
            If it can't be read.
        """
        tile, planned = self.tiles[number], self.plan.tiles[number]
        if tile.image is not None:
            return tile.image
        with naming(tile):
            key = f"{planned.identity} {tile.stamp} {tile.path} {tile.options!r}"
            image = _opened(_OpenTile(tile, key))
        found = image.source.shape
        if found != (*planned.shape, planned.energy.size):
            raise ParameterError(
                f"The map of {tile.label}, {tile.path}, has the shape {found} and had "
                f"{(*planned.shape, planned.energy.size)} when the mosaic was planned. Compose it "
                "again."
            )
        return image

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        """
        Put a block together from the tiles.

        Parameters
        ----------
        row, column : int
            Number of the block from the top and from the left.
        scratch : Scratch, optional
            Memory for the block, which is then good until it is used again, and for the blocks of
            tiles that the next one may need as well.

        Returns
        -------
        EventBlock

        Raises
        ------
        ParameterError
            If there is no such block.
        SigmaScaleError
            If a tile can't be read; the message names it.
        """
        rows, columns = block_slices(self, row, column)
        scratch = scratch or Scratch()
        window = Window(rows.start, rows.stop, columns.start, columns.stop)
        shape = (*window.shape, self.plan.energy.size)
        if self.plan.overlap == "seam" or len(touching(self.plan.boxes, window)) == 1:
            owned = owners_of(self.plan.boxes, window)
            numbers, owner, boxes = owned.numbers, owned.owner, owned.boxes
        else:
            numbers, owner = touching(self.plan.boxes, window), None
            corner, most = [window.top, window.top, window.left, window.left], window.shape
            boxes = self.plan.boxes[numbers] - corner
            boxes = np.clip(boxes, 0, [most[0], most[0], most[1], most[1]])
        parts = [
            part
            for index, number in enumerate(numbers.tolist())
            for part in self._parts(index, number, boxes[index].tolist(), window)
        ]
        if not parts:
            return EventBlock.empty(shape, self.dtype)
        recent = scratch.keep(f"tiles of {self.plan.digest}", RecentBlocks)
        blocks = recent.fetch([part.key for part in parts], self._load)
        pieces = list(zip(parts, blocks, strict=True))
        if owner is None:
            return self._summed(pieces, shape, scratch)
        return self._gathered(pieces, owner, shape, scratch)

    def _load(self, key: BlockKey, memory: Scratch) -> EventBlock:
        tile = self.tiles[key.tile]
        image = self.open_tile(key.tile)
        block = tile_block(
            image.source,
            key,
            tile=tile,
            mapping=self.plan.maps[key.tile],
            seed=seed_of(tile.name),
            n_channels=self.plan.energy.size,
            memory=memory,
        )
        # Perhaps opened long ago and replaced since; looked at now, it was the same until here.
        tile.refuse_changed(image, quick=True)
        return block

    def _parts(self, index: int, number: int, box: list[int], window: Window) -> Iterator[_Part]:
        """Which blocks of a tile a box of a mosaic's block lies in."""
        height, width = self.open_tile(number).source.chunk_shape
        y, x = self.plan.tiles[number].offset
        down, right = window.top - y, window.left - x
        top, bottom, left, ending = box[0] + down, box[1] + down, box[2] + right, box[3] + right
        for i in range(top // height, -(-bottom // height)):
            rows = max(top, i * height), min(bottom, (i + 1) * height)
            for j in range(left // width, -(-ending // width)):
                columns = max(left, j * width), min(ending, (j + 1) * width)
                inside = (
                    rows[0] - i * height,
                    rows[1] - i * height,
                    columns[0] - j * width,
                    columns[1] - j * width,
                )
                place = rows[0] - down, columns[0] - right
                yield _Part(BlockKey(number, i, j), index, inside, place)

    def _gathered(
        self,
        pieces: list[tuple[_Part, EventBlock]],
        owner: NDArray[np.int32],
        shape: tuple[int, int, int],
        scratch: Scratch,
    ) -> EventBlock:
        """Block of pixels each of which is one tile's."""
        n_events = np.zeros(shape[:2], dtype=np.uint32)
        starts = np.empty(shape[:2], dtype=np.uint64)
        for part, block in pieces:
            count_owned(
                block.per_pixel, block.shape[1], part.window, owner, part.owner, part.place,
                n_events,
            )  # fmt: skip
        total = int(first_events(n_events, starts))
        dtype = np.result_type(*{block.dtype for _, block in pieces})
        if self.dtype.kind == "f":
            dtype = self.dtype
        low = _taken(scratch, "gap_low", total, np.uint8)
        high = _taken(scratch, "gap_high", total, np.uint8)
        counts = _taken(scratch, "counts", total, dtype)
        for part, block in pieces:
            copy_owned(
                block.per_pixel, block.gap_low, block.gap_high, block.counts,
                block.shape[1], part.window, owner, part.owner, part.place,
                self.plan.maps[part.key.tile].shift or 0,
                starts, low, high, counts,
            )  # fmt: skip
        return EventBlock(shape, _narrow(n_events), low, high, counts)

    def _summed(
        self,
        pieces: list[tuple[_Part, EventBlock]],
        shape: tuple[int, int, int],
        scratch: Scratch,
    ) -> EventBlock:
        """Block of pixels that hold the counts of all tiles there."""
        n_events = np.zeros(shape[:2], dtype=np.uint32)
        cursor = np.empty(shape[:2], dtype=np.uint64)
        for part, block in pieces:
            count_all(block.per_pixel, block.shape[1], part.window, part.place, n_events)
        total = int(first_events(n_events, cursor))
        # Numbers of the type that counts are listed in, and of that which they are added up in.
        kinds = (np.float64, np.float64) if self.dtype.kind == "f" else (np.uint32, np.uint64)
        channels = _taken(scratch, "channels", total, np.uint16)
        counts = _taken(scratch, "listed", total, kinds[0])
        for part, block in pieces:
            add_events(
                block.per_pixel, block.gap_low, block.gap_high, block.counts,
                block.shape[1], part.window, part.place,
                self.plan.maps[part.key.tile].shift or 0,
                cursor, channels, counts,
            )  # fmt: skip
        low = _taken(scratch, "gap_low", total, np.uint8)
        high = _taken(scratch, "gap_high", total, np.uint8)
        sums = _taken(scratch, "counts", total, kinds[0])
        n_left, highest = merge_events(
            n_events, channels, counts, low, high, sums, np.empty(0, kinds[1])
        )
        n = int(n_left)
        narrow = narrowed(sums[:n], self.dtype, highest)
        return EventBlock(shape, _narrow(n_events), low[:n], high[:n], narrow)


def _taken(scratch: Scratch, what: str, size: int, dtype: Any) -> NDArray[Any]:
    """Memory for so many numbers of a type."""
    return scratch.take(f"mosaic_{what}", size * np.dtype(dtype).itemsize).view(dtype)


def _narrow(n_events: NDArray[np.uint32]) -> NDArray[Any]:
    return n_events.ravel().astype(smallest_unsigned(int(n_events.max())))


class _OpenTile(NamedTuple):
    """A tile, the same as another one that reads the same file in the same way."""

    tile: Tile
    key: str

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OpenTile) and self.key == other.key


@lru_cache(maxsize=_OPEN_TILES)
def _opened(wanted: _OpenTile) -> SpectrumImage:
    return wanted.tile.read()
