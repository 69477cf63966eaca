"""
Processed spectra as dense chunks, tile by tile.

A tile is read and processed sparsely, and only one chunk of it at a time is made dense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.spectra import Processing
from sigma_scale.spectra.binned import processed_region

if TYPE_CHECKING:
    from collections.abc import Iterator

    import scipy.sparse as sp
    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource, SpectrumImage

__all__ = ["DenseChunk", "DenseTiles", "Tile"]

_LARGEST_SIDE = 32
_TILE_PIXELS = 2**16
_BYTES_PER_EVENT = 24  # of the sparse matrices that a tile passes through
_USUAL_EVENTS = 100
_DENSE_COPIES = 4  # one dense, shuffled, compressed, and being made


class Tile(NamedTuple):
    """Bins of a part of the map: first and last-plus-one row and column."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> int:
        """Number of bins."""
        return (self.bottom - self.top) * (self.right - self.left)


class DenseChunk(NamedTuple):
    """A dense piece of the map."""

    row: int
    column: int
    """The first bin."""
    values: NDArray[Any]
    """Spectra, shape (y, x, channel)."""


@dataclass(frozen=True, eq=False)
class DenseTiles:
    """
    A map's processed spectra, cut into tiles of whole chunks.

    Parameters
    ----------
    source : BlockSource
        The counts.
    processing : Processing
        Steps that they are seen through.
    dtype : numpy.dtype
        Type of the dense spectra.
    chunk : tuple of int
        Rows and columns of a chunk, in bins.
    tile : tuple of int
        Rows and columns of a tile, in bins: multiples of the chunk's.
    """

    source: BlockSource
    processing: Processing
    dtype: np.dtype[Any]
    chunk: tuple[int, int]
    tile: tuple[int, int]

    @classmethod
    def of(cls, image: SpectrumImage, *, dtype: np.dtype[Any], chunk_bytes: int) -> DenseTiles:
        """
        Cut an image so that hardly a block is decoded twice.

        Parameters
        ----------
        image : SpectrumImage
            The map.
        dtype : numpy.dtype
            Type of the dense spectra.
        chunk_bytes : int
            Largest size of a chunk that has more than one pixel.
        """
        spectrum = image.shape[2] * dtype.itemsize
        side = _LARGEST_SIDE
        while side > 1 and side * side * spectrum > chunk_bytes:
            side //= 2
        chunk, tile = [side, side], [0, 0]
        for _ in range(2 * side.bit_length()):
            for axis in (0, 1):
                factor, block = image.processing.bin_factors[axis], image.source.chunk_shape[axis]
                bins = min(-(-block // factor), image.shape[axis])
                tile[axis] = -(-bins // chunk[axis]) * chunk[axis]
            pixels = tile[0] * tile[1] * int(np.prod(image.processing.bin_factors))
            largest = max(_TILE_PIXELS, int(np.prod(image.source.chunk_shape)))
            if pixels <= largest or chunk == [1, 1]:
                break
            # Rows first: blocks of many formats are as wide as the map.
            chunk = [max(chunk[0] // 2, 1), chunk[1] if chunk[0] > 1 else max(chunk[1] // 2, 1)]
        rows, columns = (min(chunk[axis], image.shape[axis]) for axis in (0, 1))
        # Maps smaller than a chunk are one chunk; all others keep sides that divide the tiles.
        return cls(image.source, image.processing, dtype, (rows, columns), (tile[0], tile[1]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows and columns of complete bins, and channels."""
        return self.processing.binned_shape(self.source.shape)

    @property
    def chunk_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of a chunk."""
        return (*self.chunk, self.shape[2])

    @property
    def bytes_in_flight(self) -> int:
        """About how much memory one tile takes while it is written."""
        pixels = self.tile[0] * self.tile[1] * int(np.prod(self.processing.bin_factors))
        events = min(self.shape[2], _USUAL_EVENTS)
        dense = int(np.prod(self.chunk_shape)) * self.dtype.itemsize
        return pixels * events * _BYTES_PER_EVENT + _DENSE_COPIES * dense

    def __iter__(self) -> Iterator[Tile]:
        rows, columns, _ = self.shape
        for top in range(0, rows, self.tile[0]):
            for left in range(0, columns, self.tile[1]):
                yield Tile(
                    top, min(top + self.tile[0], rows), left, min(left + self.tile[1], columns)
                )

    def chunks_of(self, tile: Tile) -> Iterator[DenseChunk]:
        """
        Read a tile and make its chunks dense, one after the other.

        Chunks without counts are passed over.

        Raises
        ------
        ParameterError
            If a count is too large for the type asked for.
        """
        matrix = self._read(tile)
        self._check_range(matrix)
        width = tile.right - tile.left
        starts = matrix.indptr
        for top in range(tile.top, tile.bottom, self.chunk[0]):
            height = min(self.chunk[0], tile.bottom - top)
            first = (top - tile.top) * width
            if starts[first] == starts[first + height * width]:
                continue
            for left in range(tile.left, tile.right, self.chunk[1]):
                columns = min(self.chunk[1], tile.right - left)
                pixels = first + np.arange(height)[:, None] * width + (left - tile.left)
                part = matrix[(pixels + np.arange(columns)).ravel()]
                if part.nnz:
                    dense = part.astype(self.dtype).toarray()
                    yield DenseChunk(top, left, dense.reshape(height, columns, -1))

    def _read(self, tile: Tile) -> sp.csr_array:
        factor_y, factor_x = self.processing.bin_factors
        limits = (
            tile.top * factor_y,
            tile.bottom * factor_y,
            tile.left * factor_x,
            tile.right * factor_x,
        )
        height, width = self.source.chunk_shape
        i, j = limits[0] // height, limits[2] // width
        block_ends = (
            min((i + 1) * height, self.source.shape[0]),
            min((j + 1) * width, self.source.shape[1]),
        )
        whole_block = limits == (i * height, block_ends[0], j * width, block_ends[1])
        if whole_block and self.processing == Processing():
            return self.source.read_block(i, j).to_csr()
        return processed_region(self.source, limits, self.processing)

    def _check_range(self, matrix: sp.csr_array) -> None:
        """Refuse counts that the dense type can't hold."""
        if matrix.dtype.kind == "f" or matrix.nnz == 0:
            return
        digits = 2 ** (np.finfo(self.dtype).nmant + 1) if self.dtype.kind == "f" else 0
        largest = digits or int(np.iinfo(self.dtype).max)
        highest = int(matrix.data.max())
        if highest > largest:
            raise ParameterError(
                f"A channel holds {highest:,} counts, more than {self.dtype} can hold "
                f"({largest:,}). Choose a wider dtype, or none."
            )
