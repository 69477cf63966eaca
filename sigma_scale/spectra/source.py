"""Where the blocks of a spectrum image come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.spectra.events import EventBlock, check_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

    Kept = TypeVar("Kept")

__all__ = ["CHUNK_PIXELS", "ArraySource", "BlockSource", "Scratch", "block_slices"]

CHUNK_PIXELS = 128
"""Rows and columns of a block: large enough for little overhead, small enough for memory."""


class Scratch:
    """
    Memory that is used again for block after block.

    Fresh memory of the size of a block comes from the operating system page by page, which was
    measured to take half as long as decompressing into it.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}
        self._kept: dict[str, Any] = {}

    def take(self, purpose: str, size: int) -> NDArray[np.uint8]:
        """Return ``size`` bytes with any content; those taken before for it are overwritten."""
        buffer = self._buffers.get(purpose)
        if buffer is None or buffer.size < size:
            buffer = np.empty(size + size // 4, dtype=np.uint8)
            self._buffers[purpose] = buffer
        return buffer[:size]

    def keep(self, purpose: str, make: Callable[[], Kept]) -> Kept:
        """Return what a source wants to find again at the next block; made the first time."""
        if purpose not in self._kept:
            self._kept[purpose] = make()
        kept: Kept = self._kept[purpose]
        return kept


@runtime_checkable
class BlockSource(Protocol):
    """
    A map's counts, readable block by block from any thread or process.

    A source must be picklable, and ``read_block`` must return the same counts every time.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of the map."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts: unsigned integer of up to 32 bits, or float."""

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """Rows and columns of a block; blocks at the map's end are clipped to it."""

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        """
        Block number ``row`` from the top and ``column`` from the left.

        Its counts may be of a narrower type than the map's, if they fit it. A source may keep
        the block in ``scratch``; it is then good until the scratch is used again.

        Raises
        ------
        ParameterError
            If there is no such block.
        """

    def __dask_tokenize__(self) -> Hashable:
        """Identity of the counts, so that equal work gets equal names."""


def block_slices(source: BlockSource, row: int, column: int) -> tuple[slice, slice]:
    """
    Rows and columns of the map that a block covers.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    row, column : int
        Number of the block from the top and from the left.

    Raises
    ------
    ParameterError
        If there is no such block: they are not counted from the end.
    """
    (height, width), (n_rows, n_columns, _) = source.chunk_shape, source.shape
    n_blocks = -(-n_rows // height), -(-n_columns // width)
    if not (0 <= row < n_blocks[0] and 0 <= column < n_blocks[1]):
        raise ParameterError(
            f"There is no block ({row}, {column}): the map has {n_blocks[0]} x {n_blocks[1]} "
            "blocks, counted from (0, 0)."
        )
    return (
        slice(row * height, min((row + 1) * height, n_rows)),
        slice(column * width, min((column + 1) * width, n_columns)),
    )


@dataclass(frozen=True, eq=False)
class ArraySource:
    """
    Counts that are in memory as a dense array.

    Parameters
    ----------
    data : array, shape (y, x, energy)
        Counts, unsigned integers of up to 32 bits or floats; pixels that are NaN in all channels
        have no counts.
    chunk_shape : tuple of int, default: (128, 128)
        Rows and columns of a block.

    Raises
    ------
    EmptyMapError
        If there are no pixels or channels.
    ParameterError
        If the counts are of another type or not three-dimensional.
    """

    data: NDArray[Any]
    chunk_shape: tuple[int, int] = (CHUNK_PIXELS, CHUNK_PIXELS)

    def __post_init__(self) -> None:
        if self.data.ndim != 3:  # noqa: PLR2004
            raise ParameterError(
                f"A spectrum image has the dimensions y, x and energy, not {self.data.ndim}."
            )
        if self.data.size == 0:
            raise EmptyMapError(f"The map has no pixels or no channels: shape {self.data.shape}.")
        check_counts(self.data.dtype, self.data.shape[2])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels."""
        rows, columns, channels = self.data.shape
        return rows, columns, channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the counts."""
        return self.data.dtype

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:  # noqa: ARG002
        """
        Events of a block.

        Raises
        ------
        ParameterError
            If there is no such block, or a pixel is infinite or NaN in some channels only.
        """
        rows, columns = block_slices(self, row, column)
        return EventBlock.from_dense(self.data[rows, columns], corner=(rows.start, columns.start))

    def __dask_tokenize__(self) -> Hashable:
        from dask.base import normalize_token

        return ("ArraySource", normalize_token(self.data), self.chunk_shape)
