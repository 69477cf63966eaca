"""Counts in arrays that can be sliced: of NumPy, of dask, or what a reader gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, FileFormatError, ParameterError
from sigma_scale.readers.dense import DenseSource, as_counts, counts_type
from sigma_scale.readers.layout import BlockPlan, Layout, plan_blocks
from sigma_scale.spectra import EventBlock
from sigma_scale.spectra.events import check_counts
from sigma_scale.spectra.source import block_slices

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from sigma_scale.spectra import Scratch

__all__ = ["ArrayLikeSource", "ChunkedSource", "FileArraySource", "chunks_of", "slice_array"]


def slice_array(array: Any, layout: Layout, rows: slice, columns: slice) -> NDArray[Any]:
    """
    Dense part of an array, computed in this thread if it is one of dask.

    Parameters
    ----------
    array : array-like
        Anything that slices give parts of.
    layout : Layout
        Positions of its dimensions.
    rows, columns : slice
        Part of the map.

    Returns
    -------
    array, shape (rows, columns, channels)
    """
    part = array[layout.index(rows, columns)]
    if hasattr(part, "compute"):
        # The caller is one of many threads or workers: more of them would only take memory.
        part = part.compute(scheduler="synchronous")
    return layout.arranged(np.asarray(part))


def chunks_of(array: Any) -> tuple[int, ...] | None:
    """Sizes of an array's stored chunks (of a dask array, its largest); None if it has none."""
    chunks = getattr(array, "chunks", None)
    if not chunks:
        return None
    return tuple(max(sizes) if isinstance(sizes, tuple) else int(sizes) for sizes in chunks)


def plan_for(array: Any, layout: Layout) -> BlockPlan:
    """Blocks in which to read an array with ``shape``, ``dtype`` and perhaps ``chunks``."""
    chunks = chunks_of(array)
    return plan_blocks(
        layout.of_map(array.shape),
        None if chunks is None else layout.of_map(chunks),
        np.dtype(array.dtype).itemsize,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class ChunkedSource(DenseSource):
    """
    Base of the sources of files whose arrays are stored in chunks of any shape.

    Parameters
    ----------
    layout : Layout
        Positions of the dimensions in the stored array.
    rows_at_once : int, default: 1
        Rows of a block that are read together, so that stored chunks are read once.
    columns_at_once : int, optional
        Columns of a block that are read together, where that can be done without opening the
        file again; by default all.
    """

    layout: Layout
    rows_at_once: int = 1
    columns_at_once: int | None = None

    def pieces(self, rows: slice, columns: slice) -> Iterator[slice]:  # noqa: ARG002
        """Rows of a block that are read together: whole chunks of the file."""
        for start in range(rows.start, rows.stop, self.rows_at_once):
            yield slice(start, min(start + self.rows_at_once, rows.stop))


@dataclass(frozen=True, eq=False, kw_only=True)
class FileArraySource(ChunkedSource):
    """
    Counts of a file that a reader gave as an array, lazy or in memory.

    Parameters
    ----------
    array : array-like
        Of NumPy or dask, or anything that slices give parts of.
    """

    array: Any = field(repr=False)

    @classmethod
    def of(cls, path: Path, format_name: str, array: Any, layout: Layout) -> FileArraySource:
        """
        Source of an array whose blocks fit its chunks.

        Raises
        ------
        EmptyMapError
            If there are no pixels or channels.
        FileFormatError
            If the type or the number of channels can't be those of counts.
        """
        plan = plan_for(array, layout)
        return cls(
            path=path,
            format_name=format_name,
            shape=layout.of_map(array.shape),
            stored_dtype=np.dtype(array.dtype),
            chunk_shape=plan.chunk_shape,
            layout=layout,
            rows_at_once=plan.rows_at_once,
            array=array,
        )

    def read_rows(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of the array."""
        return slice_array(self.array, self.layout, rows, columns)


@dataclass(frozen=True, eq=False)
class ArrayLikeSource:
    """
    Counts of an array without a file.

    Parameters
    ----------
    array : array-like, 1 to 3 dimensions
        Of NumPy or dask, or anything with ``shape`` and ``dtype`` that slices give parts of.
        Signed integers become unsigned; pixels that are NaN in all channels have no counts.
    layout : Layout
        Positions of its dimensions.

    Raises
    ------
    EmptyMapError
        If there are no pixels or channels.
    ParameterError
        If it can't hold counts.
    """

    array: Any = field(repr=False)
    layout: Layout

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise EmptyMapError(f"The map has no pixels or no channels: shape {self.shape}.")
        try:
            check_counts(self.dtype, self.shape[2])
        except FileFormatError as error:
            raise ParameterError(str(error)) from error

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels."""
        return self.layout.of_map(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts: unsigned integer of up to 32 bits, or float."""
        return counts_type(np.dtype(self.array.dtype))

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """Rows and columns of a block."""
        return plan_for(self.array, self.layout).chunk_shape

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:  # noqa: ARG002
        """
        Events of a block.

        Raises
        ------
        ParameterError
            If there is no such block, or the array holds what can't be counts.
        """
        rows, columns = block_slices(self, row, column)
        step = plan_for(self.array, self.layout).rows_at_once
        return EventBlock.stacked(
            [
                self._events(slice(start, min(start + step, rows.stop)), columns)
                for start in range(rows.start, rows.stop, step)
            ]
        )

    def _events(self, rows: slice, columns: slice) -> EventBlock:
        dense = slice_array(self.array, self.layout, rows, columns)
        try:
            counts = as_counts(dense, self.dtype)
            return EventBlock.from_dense(counts, corner=(rows.start, columns.start))
        except (FileFormatError, ParameterError) as error:
            raise ParameterError(
                f"The array, rows {rows.start} to {rows.stop - 1}, columns {columns.start} to "
                f"{columns.stop - 1}: {error}"
            ) from error

    def __dask_tokenize__(self) -> Hashable:
        from dask.base import normalize_token

        return ("ArrayLikeSource", normalize_token(self.array), self.layout)
