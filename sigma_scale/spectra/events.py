"""A block of a map as a list of X-ray events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import CorruptChunkError, ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import scipy.sparse as sp
    from numpy.typing import NDArray

    UIntArray = NDArray[np.unsignedinteger[Any]]

__all__ = ["MAX_CHANNELS", "EventBlock"]

MAX_CHANNELS = 65_535

_COUNT_TYPES = tuple(np.dtype(name) for name in ("u1", "u2", "u4", "f4", "f8"))


def smallest_unsigned(maximum: int) -> np.dtype[Any]:
    """Narrowest unsigned type, up to 32 bits, that holds ``maximum``."""
    return np.min_scalar_type(maximum)


@dataclass(frozen=True, slots=True, eq=False)
class EventBlock:
    """
    The counts of a block of pixels, listed pixel by pixel in row-major order.

    An *event* is a channel of a pixel that is not zero. Four flat streams hold them, the very
    ones that the store compresses, so that a stored block needs no conversion before the
    compiled loops can read it.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns and channels of the block.
    per_pixel : array, shape (rows * columns,), uint8, uint16 or uint32
        Number of events of each pixel.
    gap_low, gap_high : array, shape (events,), uint8
        Low and high byte of the distance in channels from the pixel's event before; the first
        event of a pixel counts from channel 0.
    counts : array, shape (events,), uint8, uint16, uint32, float32 or float64
        Counts of each event; floats where a map holds no true counts.
    """

    shape: tuple[int, int, int]
    per_pixel: UIntArray
    gap_low: NDArray[np.uint8]
    gap_high: NDArray[np.uint8]
    counts: NDArray[Any]

    @property
    def n_events(self) -> int:
        """Number of events in the block."""
        return int(self.counts.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the counts."""
        return self.counts.dtype

    @property
    def nbytes(self) -> int:
        """Memory that the streams take."""
        return sum(a.nbytes for a in (self.per_pixel, self.gap_low, self.gap_high, self.counts))

    @classmethod
    def from_dense(cls, dense: NDArray[Any], *, corner: tuple[int, int] = (0, 0)) -> EventBlock:
        """
        List the events of a dense block.

        Parameters
        ----------
        dense : array, shape (rows, columns, channels)
            Counts, unsigned integers of up to 32 bits or floats. A pixel that is NaN in all
            channels was not measured and has no events.
        corner : tuple of int, default: (0, 0)
            Row and column of the block's first pixel in the map, for messages.

        Raises
        ------
        ParameterError
            If the counts are of another type, there are too many channels, or a pixel is
            infinite or NaN in some channels only.
        """
        from sigma_scale.spectra.kernels import find_events

        check_counts(dense.dtype, dense.shape[-1])
        rows, columns, n_channels = dense.shape
        flat = np.ascontiguousarray(dense.reshape(rows * columns, n_channels))
        n_events = int(np.count_nonzero(flat))
        per_pixel = np.empty(rows * columns, dtype=np.uint32)
        channels = np.empty(n_events, dtype=np.uint16)
        counts = np.empty(n_events, dtype=flat.dtype)
        find_events(flat, per_pixel, channels, counts)
        # NaN is not zero, so that whatever is no number is among the events.
        if counts.dtype.kind == "f" and not np.isfinite(counts).all():
            return cls.from_dense(without_missing(dense, corner))
        return cls._from_channels((rows, columns, n_channels), per_pixel, channels, counts)

    @classmethod
    def from_csr(cls, matrix: sp.csr_array, shape: tuple[int, int, int]) -> EventBlock:
        """
        List the events of a sparse block.

        Parameters
        ----------
        matrix : scipy.sparse.csr_array, shape (rows * columns, channels)
            Counts, pixels in row-major order. Channels of a pixel that are out of order or
            listed twice are put right in a copy.
        shape : tuple of int
            Rows, columns and channels.

        Raises
        ------
        ParameterError
            If the counts are of another type or there are too many channels.
        ShapeMismatchError
            If the matrix is not of the size that ``shape`` says.
        """
        rows, columns, n_channels = shape
        if matrix.shape != (rows * columns, n_channels):
            raise ShapeMismatchError(
                f"A matrix of shape {matrix.shape} can't be a block of {rows} x {columns} pixels "
                f"and {n_channels} channels."
            )
        check_counts(matrix.dtype, n_channels)
        if not matrix.has_canonical_format or (matrix.nnz and not matrix.data.all()):
            matrix = matrix.copy()
            matrix.sum_duplicates()
            matrix.eliminate_zeros()
        per_pixel = np.diff(matrix.indptr).astype(np.uint32)
        return cls._from_channels(shape, per_pixel, matrix.indices, matrix.data)

    @classmethod
    def empty(cls, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> EventBlock:
        """Block without a single count."""
        none = np.empty(0, dtype=np.uint8)
        per_pixel = np.zeros(shape[0] * shape[1], dtype=np.uint8)
        return cls(shape, per_pixel, none, none, np.empty(0, dtype=dtype))

    @classmethod
    def stacked(cls, blocks: Sequence[EventBlock]) -> EventBlock:
        """
        Join blocks of equal width one below the other.

        Raises
        ------
        ShapeMismatchError
            If they differ in columns or channels.
        """
        if len(blocks) == 1:
            return blocks[0]
        if len({block.shape[1:] for block in blocks}) != 1:
            raise ShapeMismatchError(
                f"Blocks of shapes {[block.shape for block in blocks]} can't be stacked."
            )
        rows = sum(block.shape[0] for block in blocks)
        return cls(
            (rows, *blocks[0].shape[1:]),
            np.concatenate([block.per_pixel for block in blocks]),
            np.concatenate([block.gap_low for block in blocks]),
            np.concatenate([block.gap_high for block in blocks]),
            np.concatenate([block.counts for block in blocks]),
        )

    @classmethod
    def beside(cls, blocks: Sequence[EventBlock]) -> EventBlock:
        """
        Join blocks of equal height, each to the right of the one before.

        Raises
        ------
        ShapeMismatchError
            If they differ in rows or channels.
        """
        if len(blocks) == 1:
            return blocks[0]
        rows, n_channels = blocks[0].shape[0], blocks[0].shape[2]
        if any((block.shape[0], block.shape[2]) != (rows, n_channels) for block in blocks):
            raise ShapeMismatchError(
                f"Blocks of shapes {[block.shape for block in blocks]} can't be joined."
            )
        starts = [block.row_starts() for block in blocks]
        runs = [(i, slice(s[y], s[y + 1])) for y in range(rows) for i, s in enumerate(starts)]
        per_pixel = np.hstack([b.per_pixel.reshape(b.shape[:2]) for b in blocks]).ravel()
        return cls(
            (rows, sum(block.shape[1] for block in blocks), n_channels),
            per_pixel,
            np.concatenate([blocks[i].gap_low[run] for i, run in runs]),
            np.concatenate([blocks[i].gap_high[run] for i, run in runs]),
            np.concatenate([blocks[i].counts[run] for i, run in runs]),
        )

    def row_starts(self) -> NDArray[np.int64]:
        """Where the events of each row begin, and where the last end; shape (rows + 1,)."""
        per_row = self.per_pixel.reshape(self.shape[:2]).sum(axis=1, dtype=np.int64)
        return np.concatenate([[0], np.cumsum(per_row)])

    def window(self, rows: slice, columns: slice) -> EventBlock:
        """
        Cut out a part of the block.

        Parameters
        ----------
        rows, columns : slice
            With start and stop within the block.
        """
        height, width, n_channels = self.shape
        grid = self.per_pixel.reshape(height, width)
        starts = self.row_starts()
        if columns.stop - columns.start == width:
            events = slice(starts[rows.start], starts[rows.stop])
            return EventBlock(
                (rows.stop - rows.start, width, n_channels),
                grid[rows].ravel(),
                self.gap_low[events],
                self.gap_high[events],
                self.counts[events],
            )
        before = grid[rows, : columns.start].sum(axis=1, dtype=np.int64)
        inside = grid[rows, columns]
        first = starts[rows.start : rows.stop] + before
        last = first + inside.sum(axis=1, dtype=np.int64)
        runs = [slice(a, b) for a, b in zip(first, last, strict=True)]
        return EventBlock(
            (rows.stop - rows.start, columns.stop - columns.start, n_channels),
            inside.ravel(),
            np.concatenate([self.gap_low[run] for run in runs]),
            np.concatenate([self.gap_high[run] for run in runs]),
            np.concatenate([self.counts[run] for run in runs]),
        )

    @classmethod
    def _from_channels(
        cls,
        shape: tuple[int, int, int],
        per_pixel: NDArray[np.uint32],
        channels: NDArray[Any],
        counts: NDArray[Any],
    ) -> EventBlock:
        from sigma_scale.spectra.kernels import gaps_from_channels

        gap_low = np.empty(counts.size, dtype=np.uint8)
        gap_high = np.empty(counts.size, dtype=np.uint8)
        if not gaps_from_channels(per_pixel, channels, gap_low, gap_high):
            raise ParameterError("The channels of a pixel must ascend, each listed once.")
        narrow = smallest_unsigned(int(per_pixel.max(initial=0)))
        return cls(shape, per_pixel.astype(narrow), gap_low, gap_high, np.ascontiguousarray(counts))

    def to_csr(self) -> sp.csr_array:
        """
        Counts as a sparse matrix, shape (rows * columns, channels), in canonical form.

        Raises
        ------
        CorruptChunkError
            If an event lies past the last channel.
        """
        import scipy.sparse as sp

        from sigma_scale.spectra.kernels import events_to_csr

        rows, columns, n_channels = self.shape
        indptr = np.zeros(rows * columns + 1, dtype=np.int64 if self.n_events > 2**31 else np.int32)
        indices = np.empty(self.n_events, dtype=indptr.dtype)
        if not events_to_csr(
            self.per_pixel, self.gap_low, self.gap_high, n_channels, indptr, indices
        ):
            raise past_end_error(self.shape)
        matrix = sp.csr_array((self.counts, indices, indptr), shape=(rows * columns, n_channels))
        matrix.has_canonical_format = True
        return matrix

    def to_dense(self) -> NDArray[Any]:
        """Counts as a dense array, shape (rows, columns, channels)."""
        dense: NDArray[Any] = self.to_csr().toarray().reshape(self.shape)
        return dense

    def clipped(self, rows: int, columns: int) -> EventBlock:
        """
        Leave out padding rows and columns, which hold no events, from a block's end.

        Raises
        ------
        CorruptChunkError
            If there are events in what would be left out.
        """
        if (rows, columns) == self.shape[:2]:
            return self
        inside = self.per_pixel.reshape(self.shape[:2])[:rows, :columns].ravel()
        if int(inside.sum(dtype=np.int64)) != self.n_events:
            raise CorruptChunkError("A block holds counts beyond the edge of the map.")
        return EventBlock(
            (rows, columns, self.shape[2]), inside, self.gap_low, self.gap_high, self.counts
        )

    def padded(self, rows: int, columns: int) -> EventBlock:
        """Add empty rows and columns at the end, up to the given size."""
        if (rows, columns) == self.shape[:2]:
            return self
        per_pixel = np.zeros((rows, columns), dtype=self.per_pixel.dtype)
        per_pixel[: self.shape[0], : self.shape[1]] = self.per_pixel.reshape(self.shape[:2])
        return EventBlock(
            (rows, columns, self.shape[2]),
            per_pixel.ravel(),
            self.gap_low,
            self.gap_high,
            self.counts,
        )


def check_counts(dtype: np.dtype[Any], n_channels: int) -> None:
    """
    Refuse what events can't hold.

    Raises
    ------
    ParameterError
        If the type is neither an unsigned integer of up to 32 bits nor a float, or there are
        more than 65,535 channels.
    """
    if dtype not in _COUNT_TYPES:
        raise ParameterError(
            f"Events hold unsigned integers of up to 32 bits or floats, not {dtype}. "
            "Convert the counts first."
        )
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise ParameterError(f"Events hold 1 to {MAX_CHANNELS:,} channels, not {n_channels:,}.")


def without_missing(
    dense: NDArray[Any], corner: tuple[int, int] = (0, 0), *, width: int | None = None
) -> NDArray[Any]:
    """
    Counts with zeros for pixels that were not measured, those that are NaN in all channels.

    Parameters
    ----------
    dense : array, shape (rows, columns, channels), float
        Counts.
    corner : tuple of int, default: (0, 0)
        Row and column of the first pixel in the map, for messages.
    width : int, optional
        Columns of the map, where the rows of ``dense`` are single pixels that follow each other.

    Raises
    ------
    ParameterError
        If a pixel is infinite or NaN in some channels only.
    """
    finite = np.isfinite(dense)
    if finite.all():
        return dense
    missing = np.isnan(dense).all(axis=-1)
    spoiled = ~finite.all(axis=-1) & ~missing
    if spoiled.any():
        row, column = (int(place) for place in np.argwhere(spoiled)[0] + corner)
        if width is not None:
            row, column = divmod((row - corner[0]) + corner[0] * width + corner[1], width)
        raise ParameterError(
            f"{int(spoiled.sum())} pixels have counts that are infinite or missing in some "
            f"channels only, the first in row {row} and column {column}. Set them to numbers, or "
            "all channels of such a pixel to NaN if it was not measured."
        )
    return np.where(missing[..., None], dense.dtype.type(0), dense)


def past_end_error(shape: tuple[int, int, int]) -> CorruptChunkError:
    """Error for a block with an event beyond its last channel."""
    return CorruptChunkError(
        f"A block of {shape[0]} x {shape[1]} pixels holds an event past its last channel "
        f"({shape[2] - 1}): the chunk is damaged. Restore it from a copy or ingest the map again."
    )
