"""Counts of raw files, spectrum by spectrum or plane by plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.readers.dense import DenseSource, as_counts
from sigma_scale.readers.guard import decoding
from sigma_scale.spectra import EventBlock
from sigma_scale.spectra.events import smallest_unsigned
from sigma_scale.spectra.source import CHUNK_PIXELS, block_slices

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sigma_scale.readers.ripple.header import RippleHeader
    from sigma_scale.spectra import Scratch

__all__ = ["raw_source"]

_BLOCK_BYTES = 32 * 2**20
"""Dense counts of a block that must be held at once, because they lie far apart in the file."""

_WORD = 8
"""Bytes that are looked at together."""


def raw_source(path: Path, format_name: str, header: RippleHeader) -> DenseSource:
    """
    Source of the counts of a raw file.

    Blocks have 128 x 128 pixels, or take up to 32 MB while planes are read.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    format_name : str
        For messages.
    header : RippleHeader
        What it holds.

    Raises
    ------
    EmptyMapError
        If there are no pixels or channels.
    FileFormatError
        If the type or the number of channels can't be those of counts.
    """
    shape, dtype = header.shape, header.dtype
    if header.record_by == "image":
        chunk_shape = _plane_chunks(shape, dtype.itemsize)
        return _PlaneSource(path, format_name, shape, dtype, chunk_shape, offset=header.offset)
    return _VectorSource(path, format_name, shape, dtype, offset=header.offset)


@dataclass(frozen=True, eq=False)
class _VectorSource(DenseSource):
    """
    Counts of a raw file that holds spectrum after spectrum.

    Parameters
    ----------
    offset : int, default: 0
        Bytes before the counts; see :class:`~sigma_scale.readers.dense.DenseSource` for the rest.
    """

    offset: int = 0

    def read_rows(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Dense counts of a part of the map, memory-mapped."""
        mapped = np.memmap(self.path, self.stored_dtype, "r", self.offset, self.shape)
        return mapped[rows, columns].view(np.ndarray)


@dataclass(frozen=True, eq=False)
class _PlaneSource(DenseSource):
    """
    Counts of a raw file that holds one image after the other, a plane for each channel.

    A block's part of a plane must lie in one piece in the file, so that the file is read once and
    not page by page again for every block: blocks are as wide as the map, or one row high.

    Parameters
    ----------
    offset : int, default: 0
        As of spectrum after spectrum.
    """

    offset: int = 0

    def read_rows(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Dense counts of a part of the map."""
        mapped = np.memmap(
            self.path, self.stored_dtype, "r", self.offset, (self.shape[2], *self.shape[:2])
        )
        return np.moveaxis(mapped[:, rows, columns].view(np.ndarray), 0, -1)

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
        first = rows.start * self.shape[1] + columns.start
        n_pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
        with decoding(self.path, self.format_name):
            planes = self._planes(first, n_pixels, scratch)
        return self._events_of(planes, rows, columns)

    def _planes(self, first: int, n_pixels: int, scratch: Scratch | None) -> NDArray[np.uint64]:
        """
        Read pixels that follow each other in the file, plane by plane, padded with zeros.

        Reading asks the disk for these bytes only, where a memory map would bring in whole
        pages and those around them.
        """
        n_planes, itemsize = self.shape[2], self.stored_dtype.itemsize
        n_bytes = n_pixels * itemsize
        width = -(-n_bytes // _WORD) * _WORD
        size = n_planes * width
        memory = np.empty(size, np.uint8) if scratch is None else scratch.take("planes", size)
        planes = memory.reshape(n_planes, width)
        planes[:, n_bytes:] = 0
        plane_bytes = self.shape[0] * self.shape[1] * itemsize
        with self.path.open("rb", buffering=0) as stream:
            for number, plane in enumerate(planes):
                stream.seek(self.offset + number * plane_bytes + first * itemsize)
                target: Any = plane[:n_bytes]
                if stream.readinto(target) != n_bytes:
                    raise EOFError(f"it ends within plane {number}")
        return planes.view(np.uint64)

    def _events_of(self, words: NDArray[np.uint64], rows: slice, columns: slice) -> EventBlock:
        """
        List the events of planes.

        They are found as bare bits, zero being zero in every type: signs and byte orders are seen
        to where they cost little, in the events.
        """
        from sigma_scale.readers.ripple.kernels import count_in_planes, events_of_planes

        shape = (rows.stop - rows.start, columns.stop - columns.start, self.shape[2])
        n_pixels = shape[0] * shape[1]
        planes = words.view(f"u{self.stored_dtype.itemsize}")
        per_pixel = np.zeros(n_pixels, dtype=np.uint32)
        count_in_planes(words, planes, n_pixels, per_pixel)
        ends = np.cumsum(per_pixel, dtype=np.uint64)
        n_events = int(ends[-1])
        gap_low, gap_high = np.empty(n_events, np.uint8), np.empty(n_events, np.uint8)
        values = np.empty(n_events, planes.dtype)
        previous = np.zeros(n_pixels, dtype=np.uint16)
        events_of_planes(
            words, planes, n_pixels, ends - per_pixel, previous, gap_low, gap_high, values
        )
        stored = values.view(self.stored_dtype)
        if stored.dtype.kind == "f" and not (np.isfinite(stored) & (stored != 0)).all():
            dense = planes.view(self.stored_dtype)[:, :n_pixels].T.reshape(shape)
            return self.events_of(dense, rows, columns)
        narrow = smallest_unsigned(int(per_pixel.max(initial=0)))
        with self.naming(rows, columns):
            counts = as_counts(stored, self.dtype)
        return EventBlock(shape, per_pixel.astype(narrow), gap_low, gap_high, counts)


def _plane_chunks(shape: tuple[int, int, int], itemsize: int) -> tuple[int, int]:
    """Rows and columns of a block: all columns, or a part of one row where that is too much."""
    n_pixels = max(1, _BLOCK_BYTES // (shape[2] * itemsize))
    if n_pixels < shape[1]:
        return 1, _power_of_two(n_pixels)
    return min(CHUNK_PIXELS, _power_of_two(n_pixels // shape[1])), shape[1]


def _power_of_two(most: int) -> int:
    """Largest power of two that is not above a number."""
    return 1 << (most.bit_length() - 1)
