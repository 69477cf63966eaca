"""The content of inner files, plain or compressed, read at any place."""

from __future__ import annotations

import struct
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sigma_scale.readers.bruker.container import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from sigma_scale.readers.bruker.container import InnerFile
    from sigma_scale.spectra import Scratch

__all__ = ["Content", "ZlibContent", "content_of", "pieces_of"]

_SIGNATURE = b"AACS"
_FIRST_PART = 0x80
_PART_HEAD = 16
_LARGEST_PART = 2**26

_KEPT_BYTES = 8 * 2**20
"""So much of what was inflated is kept: neighbouring blocks share parts, small maps all."""


class _Kept:
    """Parts inflated last; not pickled with the content they are of."""

    def __init__(self) -> None:
        self._parts: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, number: int) -> NDArray[np.uint8] | None:
        with self._lock:
            return self._parts.get(number)

    def add(self, number: int, part: NDArray[np.uint8]) -> None:
        with self._lock:
            if number in self._parts or part.size > _KEPT_BYTES:
                return
            self._parts[number] = part
            self._size += part.size
            while self._size > _KEPT_BYTES:
                self._size -= self._parts.popitem(last=False)[1].size

    def __reduce__(self) -> tuple[type[_Kept], tuple[()]]:
        return _Kept, ()


class Content(Protocol):
    """Content of an inner file, after decompression; of one stored as it is, the file itself."""

    @property
    def inner(self) -> InnerFile:
        """The file."""

    @property
    def size(self) -> int:
        """Size in bytes, or the most that it can be."""

    def read(self, stream: BinaryIO, start: int, stop: int, target: NDArray[np.uint8]) -> None:
        """
        Read a part into an array of its size.

        Raises
        ------
        FileFormatError
            If there is less, or it can't be decompressed.
        """

    def read_spans(
        self,
        stream: BinaryIO,
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        target: NDArray[np.uint8],
        scratch: Scratch,
    ) -> None:
        """Read parts one after the other into an array of their joint size."""

    def pieces(self, stream: BinaryIO) -> Iterator[NDArray[np.uint8]]:
        """Give the whole content in pieces of some megabytes."""


@dataclass(frozen=True, slots=True, eq=False)
class ZlibContent:
    """
    Content that is stored as parts, each compressed with zlib.

    Parameters
    ----------
    inner : InnerFile
        The file.
    part_bytes : int
        Size of each part but the last after decompression.
    place : array, shape (parts,), int64
        Where the compressed bytes of each part begin in the inner file.
    stored : array, shape (parts,), int64
        Number of compressed bytes of each part.
    """

    inner: InnerFile
    part_bytes: int
    place: NDArray[np.int64]
    stored: NDArray[np.int64]
    _kept: _Kept = field(default_factory=_Kept, repr=False)

    @property
    def size(self) -> int:
        """Size in bytes if the last part is as large as the others."""
        return self.part_bytes * self.place.size

    def read(self, stream: BinaryIO, start: int, stop: int, target: NDArray[np.uint8]) -> None:
        """Read a part into an array of its size."""
        if not 0 <= start <= stop <= self.size:
            raise damaged(self.inner.layout.path, f"bytes {start} to {stop} are missing.")
        filled = 0
        while start < stop:
            number, skip = divmod(start, self.part_bytes)
            wanted = min(stop - start, self.part_bytes - skip)
            part = self._part(stream, number)[skip : skip + wanted]
            if part.size < wanted:
                raise damaged(self.inner.layout.path, "its compressed data end too early.")
            target[filled : filled + wanted] = part
            filled += wanted
            start += wanted

    def read_spans(
        self,
        stream: BinaryIO,
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        target: NDArray[np.uint8],
        scratch: Scratch,  # noqa: ARG002
    ) -> None:
        """Read parts one after the other into an array of their joint size."""
        filled = 0
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            self.read(stream, start, stop, target[filled : filled + stop - start])
            filled += stop - start

    def pieces(self, stream: BinaryIO) -> Iterator[NDArray[np.uint8]]:
        """Give the whole content part by part."""
        for number in range(self.place.size):
            yield self._part(stream, number)

    def _part(self, stream: BinaryIO, number: int) -> NDArray[np.uint8]:
        kept = self._kept.get(number)
        if kept is not None:
            return kept
        path = self.inner.layout.path
        start = int(self.place[number])
        packed = np.empty(int(self.stored[number]), dtype=np.uint8)
        self.inner.read(stream, start, start + packed.size, packed)
        inflater = zlib.decompressobj()
        try:
            # One byte more than there should be shows a part that is too large.
            part = inflater.decompress(packed.data, self.part_bytes + 1)
        except zlib.error as error:
            raise damaged(path, f"compressed part {number} can't be read ({error}).") from error
        is_last = number == self.place.size - 1
        right = len(part) <= self.part_bytes if is_last else len(part) == self.part_bytes
        if not right or not inflater.eof:
            raise damaged(path, f"compressed part {number} is not of the size it should be.")
        content = np.frombuffer(part, dtype=np.uint8)
        self._kept.add(number, content)
        return content


def content_of(inner: InnerFile) -> Content:
    """
    Content of an inner file.

    Raises
    ------
    FileFormatError
        If it is compressed and its parts don't fit into the file.
    """
    with inner.layout.path.open("rb", buffering=0) as stream:
        head = np.empty(min(inner.size, _FIRST_PART), dtype=np.uint8)
        inner.read(stream, 0, head.size, head)
        if not head.tobytes().startswith(_SIGNATURE):
            return inner
        return _compressed(inner, head.tobytes(), stream)


def _compressed(inner: InnerFile, head: bytes, stream: BinaryIO) -> ZlibContent:
    path = inner.layout.path
    if len(head) < _FIRST_PART:
        raise damaged(path, "an inner file ends in its head.")
    part_bytes, _, n_parts = struct.unpack_from("<III", head, 4)
    if not 0 < part_bytes <= _LARGEST_PART or n_parts * _PART_HEAD > inner.size:
        raise damaged(path, f"an inner file claims {n_parts:,} parts of {part_bytes:,} bytes.")
    place = np.empty(n_parts, dtype=np.int64)
    stored = np.empty(n_parts, dtype=np.int64)
    part_head = np.empty(4, dtype=np.uint8)
    offset = _FIRST_PART
    for number in range(n_parts):
        inner.read(stream, offset, offset + 4, part_head)
        place[number] = offset + _PART_HEAD
        stored[number] = int.from_bytes(part_head.tobytes(), "little")
        offset += _PART_HEAD + int(stored[number])
        # What doesn't compress grows by less than this.
        if offset > inner.size or stored[number] > 2 * part_bytes + 1024:
            raise damaged(path, f"compressed part {number} reaches beyond its file.")
    return ZlibContent(inner, part_bytes, place, stored)


def pieces_of(content: Content) -> Iterator[NDArray[np.uint8]]:
    """Give the whole content of an inner file in pieces of some megabytes."""
    with content.inner.layout.path.open("rb", buffering=0) as stream:
        yield from content.pieces(stream)
