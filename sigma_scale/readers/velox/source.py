"""Blocks of events from the streams of a Velox file."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5.chunks import ChunkReader
from sigma_scale.readers.hdf5.filters import filters_of
from sigma_scale.readers.velox.kernels import (
    SEPARATOR,
    collect_events,
    find_starts,
)
from sigma_scale.readers.velox.structure import dataset, open_file
from sigma_scale.spectra import EventBlock, Scratch
from sigma_scale.spectra.events import smallest_unsigned
from sigma_scale.spectra.source import CHUNK_PIXELS, block_slices

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    import h5py
    from numpy.typing import NDArray

__all__ = ["VeloxSource", "count_separators", "rows_per_block", "stream_words"]

_logger = logging.getLogger(__name__)

_PIECE_WORDS = 2**21
_BLOCK_WORDS = 2**24
"""Words of a block at most, on average: 32 MB, to which the events come."""
_LARGEST_INDEX = 2**20
"""Bands of all frames at most: 8 MB per stream."""
_COUNT_TYPES = tuple(np.dtype(name) for name in ("u1", "u2", "u4"))
_TOO_LARGE = -1

_index_lock = threading.Lock()


def stream_words(stream: h5py.Dataset) -> int:
    """
    Length of a stream.

    Raises
    ------
    FileFormatError
        If it is not a list of 16-bit words.
    """
    shape = stream.shape
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)) or stream.dtype.str[1:] != "u2":
        raise FileFormatError(
            f"{stream.file.filename}: the stream {stream.name} is not a list of 16-bit words: "
            f"shape {shape}, type {stream.dtype}."
        )
    return int(shape[0])


def rows_per_block(n_words: float, n_rows: int) -> int:
    """Rows of a block, a power of two up to 128, so that its words take bounded memory."""
    height = CHUNK_PIXELS
    while height > 1 and n_words / n_rows * height > _BLOCK_WORDS:
        height //= 2
    return height


@dataclass(frozen=True, eq=False)
class VeloxSource:
    """
    Counts of a Velox file: the pulses of some detectors and frames.

    A block is as wide as the map. Where its pulses are in the streams is found by one pass over
    each stream when the first block is read, and is remembered by the process.

    Parameters
    ----------
    path : pathlib.Path
        File.
    shape : tuple of int
        Rows, columns and channels.
    chunk_shape : tuple of int
        Rows and columns of a block.
    streams : tuple of str
        Groups of the streams to sum, such as ``"Data/SpectrumStream/69e6..."``.
    frames : tuple of int
        First frame and the one after the last.
    identity : tuple
        Resolved path, size and time of change of the file when it was opened.
    """

    path: Path
    shape: tuple[int, int, int]
    chunk_shape: tuple[int, int]
    streams: tuple[str, ...]
    frames: tuple[int, int]
    identity: tuple[str, int, int]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts; sums of frames and detectors may pass 16 bits."""
        return np.dtype(np.uint32)

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        """
        Read the events of a block.

        Raises
        ------
        FileFormatError
            If the file can't be read there, or a pulse has a channel that the map hasn't.
        ParameterError
            If there is no such block.
        """
        scratch = scratch or Scratch()
        _, n_columns, n_channels = self.shape
        rows, _ = block_slices(self, row, column)
        height = rows.stop - rows.start
        words, segments = self._read_words(row, scratch)
        room = int(np.count_nonzero(words != SEPARATOR))
        per_pixel = scratch.take("velox_per_pixel", 4 * height * n_columns).view(np.uint32)
        low, high = (scratch.take(f"velox_gap_{part}", room) for part in ("low", "high"))
        found = -1
        for dtype in _COUNT_TYPES:
            counts = scratch.take("velox_counts", room * dtype.itemsize).view(dtype)
            most = int(np.iinfo(dtype).max)
            found = collect_events(words, segments, n_channels, most, per_pixel, low, high, counts)
            if found != _TOO_LARGE:
                break
        if found < 0:
            raise FileFormatError(
                f"{self.path} is damaged: between rows {rows.start} and {rows.stop - 1} it has a "
                f"pulse in channel {-2 - found}, but the map has {n_channels} channels."
            )
        narrow = smallest_unsigned(int(per_pixel.max(initial=0)))
        return EventBlock(
            (height, n_columns, n_channels),
            per_pixel.astype(narrow),
            low[:found],
            high[:found],
            counts[:found],
        )

    def _read_words(
        self, row: int, scratch: Scratch
    ) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Words of a block, frame after frame and stream after stream, and where each starts."""
        indices = [self._index(stream) for stream in self.streams]
        n_bands = -(-self.shape[0] // self.chunk_shape[0])
        places = np.arange(*self.frames) * n_bands + row
        lengths = [np.diff(index)[places] for index in indices]
        segments = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        words = scratch.take("velox_words", 2 * int(segments[-1])).view(np.uint16)
        part = 0
        with open_file(self.path) as file:
            for stream, index in zip(self.streams, indices, strict=True):
                data = _Words(_stream(file, stream))
                for place in places:
                    data.read_into(int(index[place]), words[segments[part] : segments[part + 1]])
                    part += 1
        return words, segments

    def _index(self, stream: str) -> NDArray[np.int64]:
        with _index_lock:
            return _cached_index(
                self.path,
                self.identity,
                stream,
                grid=self.shape[:2],
                height=self.chunk_shape[0],
                n_frames=self.frames[1],
            )

    def __dask_tokenize__(self) -> Hashable:
        return (
            type(self).__name__,
            self.identity,
            self.shape,
            self.chunk_shape,
            self.streams,
            self.frames,
        )


def _stream(file: h5py.File, name: str) -> h5py.Dataset:
    stream = dataset(file, f"{name}/Data")
    if stream is None:
        raise FileFormatError(f"{file.filename}: the stream {name} is gone since it was opened.")
    stream_words(stream)
    return stream


class _Words:
    """Reads parts of a stream; HDF5's own calls, as h5py's indexing takes ten times as long."""

    def __init__(self, stream: h5py.Dataset) -> None:
        self._stream = stream
        self._space = stream.id.get_space()
        # The library would inflate a damaged chunk to any size.
        self._packed = ChunkReader(stream) if filters_of(stream) else None

    def read_into(self, start: int, words: NDArray[np.uint16]) -> None:
        """Fill ``words`` from number ``start`` on."""
        from h5py import h5s

        if words.size == 0:
            return
        if self._packed is not None:
            part = self._packed.read(
                (slice(start, start + words.size), slice(None))[: self._stream.ndim]
            )
            words[...] = part.reshape(-1)
            return
        others = (1,) * (self._stream.ndim - 1)
        count = (words.size, *others)
        self._space.select_hyperslab((start, *(0 for _ in others)), count)
        self._stream.id.read(h5s.create_simple(count), self._space, words.reshape(count))


def count_separators(stream: h5py.Dataset) -> int:
    """Number of pixels that end in a stream, over all frames."""
    total = stream_words(stream)
    data, piece = _Words(stream), np.empty(min(total, _PIECE_WORDS), dtype=np.uint16)
    found = 0
    for start in range(0, total, _PIECE_WORDS):
        words = piece[: min(_PIECE_WORDS, total - start)]
        data.read_into(start, words)
        found += int(np.count_nonzero(words == SEPARATOR))
    return found


# Two threads that need the same index must not both make it, so a lock is held meanwhile.
@lru_cache(maxsize=32)
def _cached_index(
    path: Path,
    identity: tuple[str, int, int],
    stream: str,
    *,
    grid: tuple[int, int],
    height: int,
    n_frames: int,
) -> NDArray[np.int64]:
    """
    Where each band of rows of each frame starts in a stream.

    Returns
    -------
    array, shape (frames * bands + 1,), int64
        Numbers of words; what a stopped acquisition lacks starts at the stream's end.
    """
    n_rows, n_columns = grid
    n_bands = -(-n_rows // height)
    stat = path.stat()
    if (stat.st_size, stat.st_mtime_ns) != identity[1:]:
        raise FileFormatError(f"{path} was changed after it was opened. Open it again.")
    if n_frames * n_bands > _LARGEST_INDEX:
        raise FileFormatError(
            f"{path}: {n_frames:,} frames of {n_rows} x {n_columns} pixels are too many at once. "
            "Read some of them with the option `frames`."
        )
    with open_file(path) as file:
        data = _stream(file, stream)
        total = stream_words(data)
        reader = _Words(data)
        starts = np.full(n_frames * n_bands + 1, total, dtype=np.int64)
        starts[0] = 0
        band, last = height * n_columns, (n_rows - (n_bands - 1) * height) * n_columns
        state = np.array([last if n_bands == 1 else band, 1, 0], dtype=np.int64)
        piece = np.empty(min(total, _PIECE_WORDS), dtype=np.uint16)
        for start in range(0, total, _PIECE_WORDS):
            words = piece[: min(_PIECE_WORDS, total - start)]
            reader.read_into(start, words)
            find_starts(words, start, band, last, n_bands, state, starts)
            if state[1] >= starts.size:
                break
        _compare_with_table(file, stream, starts[:-1:n_bands])
    starts.flags.writeable = False
    return starts


def _compare_with_table(file: h5py.File, stream: str, frame_starts: NDArray[np.int64]) -> None:
    """Log where Velox's own table of the frames' first words disagrees with the separators."""
    table = dataset(file, f"{stream}/FrameLocationTable")
    if table is None or table.dtype.kind not in "iu" or table.ndim not in (1, 2):
        return
    number = min(frame_starts.size, table.shape[0])
    told = np.ravel(table[:number])[:number]
    wrong = np.flatnonzero(told != frame_starts[: told.size])
    if wrong.size:
        _logger.warning(
            "%s: the table of frames of %s doesn't fit its separators from frame %d on; the "
            "separators are used.",
            file.filename,
            stream,
            int(wrong[0]),
        )
