"""Counts that a file holds as dense arrays, turned into events a few rows at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, FileFormatError, ParameterError
from sigma_scale.readers.guard import decoding
from sigma_scale.spectra import EventBlock
from sigma_scale.spectra.events import check_counts
from sigma_scale.spectra.source import CHUNK_PIXELS, block_slices

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from sigma_scale.spectra import Scratch

__all__ = ["DenseSource", "counts_type"]

_DENSE_BYTES = 8 * 2**20
"""A block is made dense piece by piece, each of about this size."""


def counts_type(stored: np.dtype[Any]) -> np.dtype[Any]:
    """
    Type of the counts of a file that stores them as ``stored``: unsigned, or float.

    Raises
    ------
    FileFormatError
        If it is neither integer nor float.
    """
    if stored.kind == "f":
        return np.dtype(f"f{min(max(stored.itemsize, 4), 8)}")
    if stored.kind not in "iub":
        raise FileFormatError(f"The counts are of the type {stored}, not numbers.")
    return np.dtype(f"u{min(stored.itemsize, 4)}")


@dataclass(frozen=True, eq=False)
class DenseSource(ABC):
    """
    Base of the sources of formats that store dense arrays.

    A format gives its rows by :meth:`read_rows`; they become events piece by piece, so that only
    some megabytes are ever dense. What can't be counts is refused where it is read: negative or
    too large integers, infinities, and pixels with only some channels missing. A pixel that is
    NaN in all channels was not measured and has no events.

    Parameters
    ----------
    path : pathlib.Path
        File, for reading and for messages.
    format_name : str
        Such as ``"Oxford .h5oina"``.
    shape : tuple of int
        Rows, columns and channels.
    stored_dtype : numpy.dtype
        Type that the file holds.
    chunk_shape : tuple of int, default: (128, 128)
        Rows and columns of a block. Where a file can only be read in whole rows, a block is as
        wide as the map and a power of two high.

    Raises
    ------
    EmptyMapError
        If there are no pixels or channels.
    FileFormatError
        If the type or the number of channels can't be those of counts.
    """

    path: Path
    format_name: str
    shape: tuple[int, int, int]
    stored_dtype: np.dtype[Any]
    chunk_shape: tuple[int, int] = (CHUNK_PIXELS, CHUNK_PIXELS)

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise EmptyMapError(
                f"{self.path}: the map has no pixels or no channels: shape {self.shape}."
            )
        try:
            check_counts(self.dtype, self.shape[2])
        except (FileFormatError, ParameterError) as error:
            raise FileFormatError(f"{self.path}: {error}") from error

    @abstractmethod
    def read_rows(self, rows: slice, columns: slice) -> NDArray[Any]:
        """
        Dense counts of a part of the map, as the file holds them.

        Parameters
        ----------
        rows, columns : slice
            With start and stop, within the map.

        Returns
        -------
        array, shape (rows, columns, channels)
            Of any integer or float type and byte order.
        """

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts: unsigned integer of up to 32 bits, or float."""
        return counts_type(self.stored_dtype)

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:  # noqa: ARG002
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
        return EventBlock.stacked(
            [self.read_piece(piece, columns) for piece in self.pieces(rows, columns)]
        )

    def pieces(self, rows: slice, columns: slice) -> Iterator[slice]:
        """
        Rows of a block that are read together, some megabytes of them.

        A format whose file is best read in other pieces has its own.
        """
        row_bytes = (columns.stop - columns.start) * self.shape[2] * self.stored_dtype.itemsize
        step = max(1, _DENSE_BYTES // row_bytes)
        for start in range(rows.start, rows.stop, step):
            yield slice(start, min(start + step, rows.stop))

    def read_piece(self, rows: slice, columns: slice) -> EventBlock:
        """Events of a part of the map, of which all is dense at once."""
        with decoding(self.path, self.format_name):
            dense = self.read_rows(rows, columns)
        return self.events_of(dense, rows, columns)

    def events_of(self, dense: NDArray[Any], rows: slice, columns: slice) -> EventBlock:
        """
        Events of the dense counts of a part of the map, as the file holds them.

        Raises
        ------
        FileFormatError
            If they aren't of the part's shape or can't be counts.
        """
        expected = (rows.stop - rows.start, columns.stop - columns.start, self.shape[2])
        if dense.shape != expected:
            raise FileFormatError(
                f"{self.path} is damaged: rows {rows.start} to {rows.stop - 1} have the shape "
                f"{dense.shape} instead of {expected}."
            )
        with self.naming(rows, columns):
            counts = as_counts(dense, self.dtype)
            return EventBlock.from_dense(counts, corner=(rows.start, columns.start))

    @contextmanager
    def naming(self, rows: slice, columns: slice) -> Iterator[None]:
        """
        Name the file and the part of the map in errors about counts that can't be.

        Raises
        ------
        FileFormatError
            If there is such an error.
        """
        try:
            yield
        except (FileFormatError, ParameterError) as error:
            raise FileFormatError(
                f"{self.path}, rows {rows.start} to {rows.stop - 1}, columns {columns.start} to "
                f"{columns.stop - 1}: {error}"
            ) from error

    def __dask_tokenize__(self) -> Hashable:
        from dask.base import normalize_token

        stat = self.path.stat()
        fields = {name: value for name, value in vars(self).items() if name != "path"}
        identity = (str(self.path.resolve()), stat.st_size, stat.st_mtime_ns)
        return (type(self).__name__, identity, normalize_token(fields))


def as_counts(dense: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """
    Give dense counts the type that events have, checking that their values allow it.

    Raises
    ------
    FileFormatError
        If integers are negative or larger than 32 bits hold.
    """
    if dtype.kind == "f":
        return dense.astype(dtype, copy=False)
    negative = dense.dtype.kind == "i" and dense.min(initial=0) < 0
    wider = dense.dtype.itemsize > dtype.itemsize
    if negative or (wider and dense.max(initial=0) > np.iinfo(dtype).max):
        raise FileFormatError(
            f"Counts from {dense.min()} to {dense.max()} can't be right: they must lie between 0 "
            f"and {np.iinfo(dtype).max}."
        )
    if dense.dtype.itemsize == dtype.itemsize and dense.dtype.isnative:
        return dense.view(dtype)
    return dense.astype(dtype, copy=False)
