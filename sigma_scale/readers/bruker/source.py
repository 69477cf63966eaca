"""The counts of a Bruker map, block by block."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.readers.bruker.container import FORMAT, InnerFile
from sigma_scale.readers.bruker.index import LineIndex, build_index, fault_in
from sigma_scale.readers.guard import decoding
from sigma_scale.spectra import EventBlock, Scratch
from sigma_scale.spectra.events import smallest_unsigned
from sigma_scale.spectra.source import CHUNK_PIXELS, block_slices

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from numpy.typing import NDArray

    from sigma_scale.readers.bruker.streams import Content

__all__ = ["BrukerSource", "chunk_shape_of"]

_SMALL_GAP = 4096
"""Bytes between two spans that are sooner read than passed over."""

_BLOCK_BYTES = 8 * 2**20
"""Blocks of compressed maps are made as high as this part of the stream allows."""

_WIDER = {np.dtype(np.uint8): np.uint16, np.dtype(np.uint16): np.uint32}


def chunk_shape_of(content: Content, rows: int, columns: int) -> tuple[int, int]:
    """
    Rows and columns of the blocks that a map is best read in.

    A compressed stream has to be inflated from where a line begins, so that its blocks are as
    wide as the map.
    """
    if isinstance(content, InnerFile):
        return CHUNK_PIXELS, CHUNK_PIXELS
    height = CHUNK_PIXELS
    while height > 1 and height * content.size > _BLOCK_BYTES * rows:
        height //= 2
    return height, columns


class _LazyIndex:
    """An index that is built when it is first needed, once, and travels with its source."""

    def __init__(self, index: LineIndex | None = None) -> None:
        self._index = index
        self._lock = threading.Lock()

    def of(self, source: BrukerSource) -> LineIndex:
        with self._lock:
            if self._index is None:
                lines, columns = source.stream_shape
                width = source.chunk_shape[1]
                with decoding(source.path, FORMAT):
                    self._index = build_index(source.path, source.content, lines, columns, width)
            return self._index

    def __reduce__(self) -> tuple[type[_LazyIndex], tuple[LineIndex | None]]:
        return _LazyIndex, (self._index,)


@dataclass(frozen=True, eq=False)
class BrukerSource:
    """
    Counts of a map in a .bcf file.

    The file is walked through once, when the first block or the type of the counts is asked for,
    to note where its lines begin. The notes are small and travel with the pickled source.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    content : Content
        Stream of the map.
    shape : tuple of int
        Rows, columns and channels.
    stream_shape : tuple of int
        Lines and columns of the stream; the rest of the map has no counts.
    chunk_shape : tuple of int
        Rows and columns of a block.
    """

    path: Path
    content: Content
    shape: tuple[int, int, int]
    stream_shape: tuple[int, int]
    chunk_shape: tuple[int, int]
    _lazy: _LazyIndex = field(default_factory=_LazyIndex, repr=False)

    @property
    def index(self) -> LineIndex:
        """
        Places of the lines.

        Raises
        ------
        FileFormatError
            If the stream is damaged.
        """
        return self._lazy.of(self)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Narrowest unsigned type that holds all counts for sure; known from the index."""
        return self.index.dtype

    def __reduce__(self) -> tuple[Any, ...]:
        # Built before it is sent, so that not every worker has to.
        _ = self.index
        fields = (self.path, self.content, self.shape, self.stream_shape, self.chunk_shape)
        return type(self), (*fields, self._lazy)

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        """
        Read the events of a block.

        Raises
        ------
        FileFormatError
            If the file can't be read there or is damaged.
        ParameterError
            If there is no such block.
        """
        rows, columns = block_slices(self, row, column)
        shape = (rows.stop - rows.start, columns.stop - columns.start, self.shape[2])
        stored = slice(rows.start, min(rows.stop, self.stream_shape[0]))
        if stored.start >= stored.stop or columns.start >= self.stream_shape[1]:
            return EventBlock.empty(shape, np.dtype(np.uint8))
        begin, end = self.index.spans(stored, column)
        unordered = self.index.unordered[stored]
        scratch = scratch or Scratch()
        with decoding(self.path, FORMAT):
            stream, moved = _gather(self.content, begin, end, scratch)
        spans = (begin - moved, end - moved)
        return self._decoded(stream, spans, unordered, rows=rows, columns=columns, scratch=scratch)

    def _decoded(
        self,
        stream: NDArray[np.uint8],
        spans: tuple[NDArray[np.int64], NDArray[np.int64]],
        unordered: NDArray[np.uint8],
        *,
        rows: slice,
        columns: slice,
        scratch: Scratch,
    ) -> EventBlock:
        from sigma_scale.readers.bruker import kernels

        begin, end = spans
        shape = (rows.stop - rows.start, columns.stop - columns.start, self.shape[2])
        room = int(np.sum((end - begin) // kernels.PIXEL_HEADER))
        places, pixels = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
        found = np.zeros(4, dtype=np.int64)
        limits = (columns.start, shape[1])
        result = kernels.list_pixels(stream, begin, end, unordered, limits, places, pixels, found)
        if result != kernels.DONE:
            raise fault_in(self.path, rows.start + int(found[2]), result)
        places, pixels = places[: found[0]], pixels[: found[0]]
        if unordered.any():
            order = np.argsort(pixels, kind="stable")
            places, pixels = places[order], pixels[order]
        return self._events(
            stream, places, pixels, found, top=rows.start, shape=shape, scratch=scratch
        )

    def _events(
        self,
        stream: NDArray[np.uint8],
        places: NDArray[np.int64],
        pixels: NDArray[np.int64],
        found: NDArray[np.int64],
        *,
        top: int,
        shape: tuple[int, int, int],
        scratch: Scratch,
    ) -> EventBlock:
        from sigma_scale.readers.bruker import kernels
        from sigma_scale.readers.bruker.decode_kernels import decode

        room = int(found[1])
        per_pixel = np.zeros(shape[0] * shape[1], dtype=np.uint16)
        gap_low = scratch.take("bruker gap_low", room)
        gap_high = scratch.take("bruker gap_high", room)
        counts: NDArray[Any] = scratch.take("bruker counts", room)
        state = np.zeros(2, dtype=np.int64)
        while True:
            most = int(np.iinfo(counts.dtype).max)
            result = decode(
                stream,
                places,
                pixels,
                shape[2],
                int(found[3]),
                most,
                state,
                per_pixel,
                gap_low,
                gap_high,
                counts,
            )
            if result != kernels.WIDER_COUNTS:
                break
            wider = np.empty(room, dtype=_WIDER[counts.dtype])
            wider[: state[1]] = counts[: state[1]]
            counts = wider
        if result != kernels.DONE:
            raise fault_in(self.path, top + int(pixels[state[0]]) // shape[1], result)
        n = int(state[1])
        narrow = smallest_unsigned(int(per_pixel.max(initial=0)))
        return EventBlock(
            shape, per_pixel.astype(narrow, copy=False), gap_low[:n], gap_high[:n], counts[:n]
        )

    def __dask_tokenize__(self) -> Hashable:
        stat = self.path.stat()
        identity = (str(self.path.resolve()), stat.st_size, stat.st_mtime_ns)
        inner = self.content.inner
        place = (int(inner.run_block[0]) if inner.run_block.size else -1, inner.size)
        return ("BrukerSource", identity, place, self.shape, self.chunk_shape)


def _gather(
    content: Content, begin: NDArray[np.int64], end: NDArray[np.int64], scratch: Scratch
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bytes of some spans, and by how much each was moved; close ones are read in one go."""
    wide = np.flatnonzero(begin[1:] - end[:-1] > _SMALL_GAP)
    if wide.size:
        starts = np.concatenate([begin[:1], begin[wide + 1]])
        stops = np.concatenate([end[wide], end[-1:]])
    else:
        starts, stops = begin[:1], end[-1:]
    lengths = stops - starts
    data = scratch.take("bruker stream", int(lengths.sum()))
    with content.inner.layout.path.open("rb", buffering=0) as stream:
        content.read_spans(stream, starts, stops, data, scratch)
    moved = starts - np.cumsum(lengths) + lengths
    return data, moved[np.searchsorted(wide, np.arange(begin.size))]
