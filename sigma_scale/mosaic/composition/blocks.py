"""Blocks of the mosaic's tiles on the mosaic's channels, and those of them read last."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale.errors import ParameterError, SigmaScaleError
from sigma_scale.mosaic.composition.kernels import channels_fit
from sigma_scale.mosaic.composition.rebin_kernels import MOST_PARTS, rebin_events
from sigma_scale.spectra import EventBlock, Scratch
from sigma_scale.spectra.events import past_end_error, smallest_unsigned
from sigma_scale.spectra.kernels import gaps_from_channels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sigma_scale.mosaic.composition.common_axis import ChannelMap
    from sigma_scale.mosaic.tile import Tile
    from sigma_scale.spectra.source import BlockSource

__all__ = ["BlockKey", "RecentBlocks", "naming", "narrowed", "rebinned", "seed_of", "tile_block"]

_MOST_COUNTS = np.iinfo(np.uint32).max
_KEPT_BYTES = 32 * 2**20
"""Blocks kept for the next one: two rows of a region's, of a map with some tens of counts."""


class BlockKey(NamedTuple):
    """Which block of which tile."""

    tile: int
    row: int
    column: int


class RecentBlocks:
    """
    The blocks of tiles that were read last, with the memory that they are in.

    Tiles' blocks do not begin where the mosaic's do, so each is needed for several of those.

    Parameters
    ----------
    kept_bytes : int
        Size above which those that were not used for longest are given up.
    """

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._blocks: OrderedDict[BlockKey, tuple[EventBlock, Scratch]] = OrderedDict()

    def fetch(
        self,
        wanted: Sequence[BlockKey],
        load: Callable[[BlockKey, Scratch], EventBlock],
    ) -> list[EventBlock]:
        """
        Give blocks that are all good until the next call.

        Parameters
        ----------
        wanted : sequence of BlockKey
            The blocks.
        load : callable
            Reads one into memory that is given.

        Returns
        -------
        list of EventBlock
        """
        for key in wanted:
            if key in self._blocks:
                self._blocks.move_to_end(key)
        spare = self._give_up(set(wanted))
        for key in wanted:
            if key not in self._blocks:
                memory = spare.pop() if spare else Scratch()
                self._blocks[key] = load(key, memory), memory
        return [self._blocks[key][0] for key in wanted]

    def _give_up(self, wanted: set[BlockKey]) -> list[Scratch]:
        """Take the oldest away until the rest is small enough; returns their memory."""
        size = sum(block.nbytes for block, _ in self._blocks.values())
        spare = []
        for key in [key for key in self._blocks if key not in wanted]:
            if size <= self._kept_bytes:
                break
            block, memory = self._blocks.pop(key)
            size -= block.nbytes
            spare.append(memory)
        return spare


@contextmanager
def naming(tile: Tile) -> Iterator[None]:
    """
    Let errors say which tile they are about.

    Parameters
    ----------
    tile : Tile
        The tile.

    Yields
    ------
    None
    """
    try:
        yield
    except SigmaScaleError as error:
        if tile.label in str(error):
            raise
        raise type(error)(f"{tile.heading}: {error}") from error


def seed_of(name: str) -> np.uint64:
    """Seed of a tile's counts; its name is the same in whatever form the tile is stored."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def tile_block(
    source: BlockSource,
    key: BlockKey,
    *,
    tile: Tile,
    mapping: ChannelMap,
    seed: np.uint64,
    n_channels: int,
    memory: Scratch,
) -> EventBlock:
    """
    Read a block of a tile, ready to be copied.

    Parameters
    ----------
    source : BlockSource
        The tile's counts.
    key : BlockKey
        Which block.
    tile : Tile
        The tile, which messages name.
    mapping : ChannelMap
        Where its channels lie on the mosaic's axis.
    seed : uint64
        The tile's own seed.
    n_channels : int
        Channels of the mosaic.
    memory : Scratch
        Memory for it.

    Returns
    -------
    EventBlock
        On the mosaic's channels if they had to be rebinned, else still to be moved.

    Raises
    ------
    SigmaScaleError
        If it can't be read; the message names the tile.
    """
    with naming(tile):
        block = source.read_block(key.row, key.column, memory)
        if mapping.shift is None:
            height, width = source.chunk_shape
            corner = (key.row * height, key.column * width)
            return rebinned(block, corner, mapping, seed, n_channels)
        # On a longer axis nobody would notice that an event lies where the tile has no channel.
        if block.shape[2] != n_channels and not channels_fit(
            block.per_pixel, block.gap_low, block.gap_high, block.shape[2]
        ):
            raise past_end_error(block.shape)
    return block


def rebinned(
    block: EventBlock,
    corner: tuple[int, int],
    mapping: ChannelMap,
    seed: np.uint64,
    n_channels: int,
) -> EventBlock:
    """
    Put the counts of a block on other channels.

    See :mod:`~sigma_scale.mosaic.composition.common_axis`.

    Parameters
    ----------
    block : EventBlock
        Block of a tile.
    corner : tuple of int
        Row and column of its first pixel in the tile.
    mapping : ChannelMap
        Where its channels lie on the new axis.
    seed : uint64
        The tile's own seed.
    n_channels : int
        Channels of the new axis.

    Returns
    -------
    EventBlock
        The same number of counts in each pixel; whole counts stay whole, floats are split by
        share of overlap.

    Raises
    ------
    CorruptChunkError
        If an event lies past the tile's last channel.
    ParameterError
        If a channel would hold more counts than uint32 can.
    """
    is_whole = block.dtype.kind == "u"
    room = MOST_PARTS * block.n_events
    per_pixel = np.empty(block.per_pixel.size, dtype=np.uint32)
    channels = np.empty(room, dtype=np.uint16)
    sums = np.empty(room, dtype=np.int64 if is_whole else np.float64)
    rows, columns, n_old = block.shape
    n_events = rebin_events(
        block.per_pixel, block.gap_low, block.gap_high, block.counts,
        columns, corner, n_old, (mapping.start, mapping.ratio), seed, n_channels,
        per_pixel, channels, sums,
    )  # fmt: skip
    if n_events < 0:
        raise past_end_error(block.shape)
    counts = narrowed(sums[:n_events], block.dtype, sums[:n_events].max(initial=0))
    gap_low, gap_high = np.empty(n_events, np.uint8), np.empty(n_events, np.uint8)
    gaps_from_channels(per_pixel, channels[:n_events], gap_low, gap_high)
    return EventBlock((rows, columns, n_channels), per_pixel, gap_low, gap_high, counts)


def narrowed(sums: NDArray[Any], dtype: np.dtype[Any], highest: Any) -> NDArray[Any]:
    """
    Sums in the narrowest unsigned type that holds them, or in ``dtype`` if that is a float type.

    Parameters
    ----------
    sums : numpy.ndarray
        The sums.
    dtype : numpy.dtype
        Type of the map.
    highest : number
        The largest of them.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    ParameterError
        If they don't fit uint32.
    """
    if dtype.kind == "f":
        return sums.astype(dtype)
    if highest > _MOST_COUNTS:
        raise ParameterError(
            f"A channel of one pixel would hold {int(highest):,} counts, and a map at most "
            f"{_MOST_COUNTS:,}. Leave out one of the tiles that lie there."
        )
    return sums.astype(smallest_unsigned(int(highest)))
