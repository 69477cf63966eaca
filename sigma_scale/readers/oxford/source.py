"""Spectra of an .h5oina file as blocks of events."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError, ParameterError
from sigma_scale.readers.dense import DenseSource, as_counts, counts_type
from sigma_scale.readers.hdf5.chunks import ChunkReader
from sigma_scale.readers.hdf5.files import dataset_at, opened
from sigma_scale.readers.oxford.header import FORMAT
from sigma_scale.spectra import EventBlock, Scratch
from sigma_scale.spectra.events import without_missing
from sigma_scale.spectra.source import CHUNK_PIXELS, block_slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import h5py
    from numpy.typing import NDArray

__all__ = ["OxfordSource", "chunk_shape_for", "summed_type"]

_DENSE_BYTES = 8 * 2**20
"""Spectra are made dense piece by piece, each of about this size or one HDF5 chunk."""

_BLOCK_PIXELS, _FEW_PIXELS = 2**18, 2**15
_SHORT_CHUNK = CHUNK_PIXELS // 8


@dataclass(frozen=True, eq=False)
class OxfordSource(DenseSource):
    """
    Spectra of one or more detectors, summed, read by pieces that fit the file's own chunks.

    Parameters
    ----------
    datasets : tuple of str
        Paths of the spectra within the file, each of shape (pixels, channels), row by row.
    stored_chunk : tuple of int
        Pixels and channels of a chunk of the file.
    """

    datasets: tuple[str, ...] = ()
    stored_chunk: tuple[int, int] = (1, 1)

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        """
        Read the events of a block.

        Raises
        ------
        FileFormatError
            If the file can't be read there or holds what can't be counts.
        ParameterError
            If there is no such block.
        """
        rows, columns = block_slices(self, row, column)
        with opened(self.path, FORMAT) as file:
            spectra = self._readers(file, scratch or Scratch())
            pixels = [
                self._pixel_events(spectra, piece)
                for run in self._runs(rows, columns)
                for piece in self._steps(run)
            ]
        # Pixels one below the other can be stacked whatever the length of the pieces.
        shape = (rows.stop - rows.start, columns.stop - columns.start, self.shape[2])
        return replace(EventBlock.stacked(pixels), shape=shape)

    def read_rows(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Dense counts of a part of the map, summed over the detectors."""
        with opened(self.path, FORMAT) as file:
            spectra = self._readers(file)
            every = slice(0, self.shape[2])
            runs = [self._dense(spectra, run, every) for run in self._runs(rows, columns)]
        shape = (rows.stop - rows.start, columns.stop - columns.start, self.shape[2])
        return np.concatenate(runs).reshape(shape)

    def _runs(self, rows: slice, columns: slice) -> Iterator[slice]:
        """Pixels of a part of the map that follow each other in the file."""
        width = self.shape[1]
        if columns.stop - columns.start == width:
            yield slice(rows.start * width, rows.stop * width)
            return
        for row in range(rows.start, rows.stop):
            yield slice(row * width + columns.start, row * width + columns.stop)

    def _steps(self, run: slice) -> Iterator[slice]:
        """Pieces of a run that end where the file's chunks end, as far as these are small."""
        pixel_bytes = self.shape[2] * self.stored_dtype.itemsize
        pixels, channels = self.stored_chunk
        step = max(1, _DENSE_BYTES // pixel_bytes)
        # Of floats all channels must be seen at once, to tell pixels that were not measured.
        if pixels <= step or (channels < self.shape[2] and self.dtype.kind != "f"):
            step = pixels * max(1, step // pixels)
        start = run.start
        while start < run.stop:
            stop = min((start // step + 1) * step, run.stop)
            yield slice(start, stop)
            start = stop

    @property
    def chunk_bytes(self) -> int:
        """Size of a decompressed chunk of the file."""
        return math.prod(self.stored_chunk) * self.stored_dtype.itemsize

    def _readers(self, file: h5py.File, scratch: Scratch | None = None) -> list[ChunkReader]:
        readers = []
        for i, name in enumerate(self.datasets):
            dataset = dataset_at(file, name, sparse=True)
            if dataset.shape != (self.shape[0] * self.shape[1], self.shape[2]):
                raise FileFormatError(
                    f"{self.path} has changed since it was opened. Open it again."
                )
            readers.append(ChunkReader(dataset, scratch, purpose=f"hdf5_{i}"))
        return readers

    def _pixel_events(self, spectra: Sequence[ChunkReader], pixels: slice) -> EventBlock:
        """Events of a run of pixels, as a block one pixel wide."""
        n_channels = self.shape[2]
        piece_bytes = (pixels.stop - pixels.start) * n_channels * self.stored_dtype.itemsize
        step = n_channels if piece_bytes <= 2 * _DENSE_BYTES else self.stored_chunk[1]
        parts = []
        for first in range(0, n_channels, step):
            channels = slice(first, min(first + step, n_channels))
            dense = self._dense(spectra, pixels, channels)
            parts.append(EventBlock.from_dense(dense))
        return parts[0] if len(parts) == 1 else _side_by_side(parts, n_channels)

    def _dense(
        self, spectra: Sequence[ChunkReader], pixels: slice, channels: slice
    ) -> NDArray[Any]:
        """Counts of a run of pixels, shape (pixels, 1, channels), summed over the detectors."""
        try:
            parts = [
                as_counts(reader.read((pixels, channels))[:, None], self.dtype)
                for reader in spectra
            ]
            if self.dtype.kind == "f":
                width = self.shape[1]
                corner = divmod(pixels.start, width)
                parts = [without_missing(part, corner, width=width) for part in parts]
            if len(parts) == 1:
                return parts[0]
            # 64 bits, so that a sum too large for 32 is seen.
            wide = np.float64 if self.dtype.kind == "f" else np.uint64
            total = np.stack(parts).sum(axis=0, dtype=wide)
            return as_counts(total, self.dtype)
        except (FileFormatError, ParameterError) as error:
            if str(self.path) in str(error):
                raise
            raise FileFormatError(
                f"{self.path}, pixels {pixels.start} to {pixels.stop - 1} of "
                f"{', '.join(self.datasets)}: {error}"
            ) from error


def _side_by_side(parts: Sequence[EventBlock], n_channels: int) -> EventBlock:
    """Join the channels of blocks of the same pixels."""
    import scipy.sparse as sp

    joined = sp.csr_array(sp.hstack([part.to_csr() for part in parts], format="csr"))
    return EventBlock.from_csr(joined, (parts[0].shape[0], 1, n_channels))


def summed_type(stored: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    """Type that holds the sum of spectra of several detectors, each of a stored type."""
    if len(stored) == 1:
        return stored[0]
    if any(counts_type(dtype).kind == "f" for dtype in stored):
        return np.dtype(np.float64)
    return np.dtype(np.uint32)


def chunk_shape_for(columns: int, chunk_pixels: int) -> tuple[int, int]:
    """
    Rows and columns of a block, so that the file's chunks are decompressed about once.

    Parameters
    ----------
    columns : int
        Width of the map.
    chunk_pixels : int
        Pixels, row by row, in a chunk of the file.

    Returns
    -------
    tuple of int
        Square blocks where the map is narrow or chunks end where such blocks do and are long; else
        blocks as wide as the map, whose pixels follow each other in the file.
    """
    fits = columns % chunk_pixels == 0 and CHUNK_PIXELS % chunk_pixels == 0
    if columns <= CHUNK_PIXELS or (fits and chunk_pixels > _SHORT_CHUNK):
        return CHUNK_PIXELS, CHUNK_PIXELS
    # Short chunks are read many at a time, which needs no more pixels than this.
    most = _FEW_PIXELS if chunk_pixels <= _SHORT_CHUNK else _BLOCK_PIXELS
    height = 1
    while height < CHUNK_PIXELS and 2 * height * columns <= most:
        height *= 2
    return height, columns
