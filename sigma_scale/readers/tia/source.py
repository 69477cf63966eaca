"""Counts of ``.ser`` files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, FileFormatError
from sigma_scale.readers.dense import DenseSource
from sigma_scale.readers.tia.ser import DTYPES, SPECTRUM_HEADER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.readers.tia.ser import Dimension, SerFile

__all__ = ["SerSource", "grid_of"]

_TYPE_AND_LENGTH = slice(20, SPECTRUM_HEADER.size)


def grid_of(ser: SerFile) -> tuple[Dimension | None, Dimension | None, tuple[int, int]]:
    """
    Dimensions of the rows and columns of a file's spectra, and the map's shape.

    A line becomes one row, cut where the acquisition stopped; an unfinished map keeps its size.

    Raises
    ------
    FileFormatError
        If there are more than two dimensions, or they don't fit the number of spectra.
    EmptyMapError
        If a dimension has no points.
    """
    if any(d.size == 0 for d in ser.dimensions):
        raise EmptyMapError(f"{ser.path}: the map has no pixels.")
    if ser.dimensions and math.prod(d.size for d in ser.dimensions) != ser.n_total:
        sizes = " x ".join(str(d.size) for d in ser.dimensions)
        raise FileFormatError(
            f"{ser.path} is damaged: {sizes} points don't make {ser.n_total} spectra."
        )
    dimensions = list(ser.dimensions)
    while len(dimensions) > 2 and any(d.size == 1 for d in dimensions):  # noqa: PLR2004
        dimensions.remove(next(d for d in dimensions if d.size == 1))
    if len(dimensions) < 2:  # noqa: PLR2004
        return None, dimensions[0] if dimensions else None, (1, ser.n_valid)
    if len(dimensions) > 2:  # noqa: PLR2004
        raise FileFormatError(
            f"{ser.path} holds spectra along {len(dimensions)} dimensions; a map has two."
        )
    down = ser.columns_first and all(d.size > 1 for d in dimensions)
    columns, rows = reversed(dimensions) if down else dimensions
    return rows, columns, (rows.size, columns.size)


@dataclass(frozen=True, eq=False)
class SerSource(DenseSource):
    """
    Spectra of a ``.ser`` file.

    Their places stay in the file, and are checked when they are used.

    Parameters
    ----------
    table, place_size, n_valid
        As in :class:`~sigma_scale.readers.tia.ser.SerFile`; see
        :class:`~sigma_scale.readers.dense.DenseSource` for the rest.
    """

    table: int = 0
    place_size: int = 4
    n_valid: int = 0

    def read_rows(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Dense counts of a part of the map; pixels that were not acquired have none."""
        content = np.memmap(self.path, np.uint8, "r").view(np.ndarray)
        width, channels = self.shape[1:]
        dense = np.zeros(
            (rows.stop - rows.start, columns.stop - columns.start, channels), self.stored_dtype
        )
        for number, row in enumerate(range(rows.start, rows.stop)):
            first = row * width + columns.start
            count = min(columns.stop - columns.start, self.n_valid - first)
            if count > 0:
                self._fill(content, first, dense[number, :count].view(np.uint8))
        return dense

    def _fill(self, content: NDArray[np.uint8], first: int, spectra: NDArray[np.uint8]) -> None:
        """Copy spectra that follow each other in the table, as bytes."""
        begin = self.table + first * self.place_size
        places = content[begin : begin + len(spectra) * self.place_size]
        if places.size != len(spectra) * self.place_size:
            raise EOFError("it ends within the table of its elements")
        starts = places.view(f"<u{self.place_size}")
        length = spectra.shape[1]
        last = content.size - SPECTRUM_HEADER.size - length
        if last < 0 or (starts > last).any():
            raise EOFError("an element lies beyond its end")
        starts = starts.astype(np.int64)
        headers = content[starts[:, None] + np.arange(SPECTRUM_HEADER.size)][:, _TYPE_AND_LENGTH]
        if (headers != self._expected()).any():
            raise ValueError(
                f"one of the spectra {first} to {first + len(spectra) - 1} is of "
                "another type or length than the first"
            )
        steps = np.unique(np.diff(starts))
        data = starts[0] + SPECTRUM_HEADER.size
        if steps.size <= 1 and (steps > 0).all():
            step = int(steps[0]) if steps.size else length
            spectra[:] = np.lib.stride_tricks.as_strided(content[data:], spectra.shape, (step, 1))
            return
        for spectrum, start in zip(spectra, starts + SPECTRUM_HEADER.size, strict=True):
            spectrum[:] = content[start : start + length]

    def _expected(self) -> NDArray[np.uint8]:
        number = next(n for n, dtype in DTYPES.items() if dtype == self.stored_dtype)
        text = number.to_bytes(2, "little") + self.shape[2].to_bytes(4, "little")
        return np.frombuffer(text, np.uint8)
