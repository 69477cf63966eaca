"""
Texts of variable length in HDF5 files, read without the HDF5 library.

Such texts lie in the file's global heap. The library (2.0) follows a damaged heap into an endless
loop or past the end of its memory: 9 of 6,000 damaged copies of a small file ended that way, and
in no other. So the few bytes that lead to a text are followed here, each step checked, and a text
that can't be found is none. The layouts are those of the HDF5 file format specification [1]_:
global heap (III.E), object headers (IV.A), attribute messages (IV.A.2.m).

References
----------
.. [1] https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py

__all__ = ["attribute_text", "dataset_text"]

_REFERENCE = struct.Struct("<IQI")  # length, address of a heap collection, number in it
_MOST_BYTES = 2**20
_MOST_BLOCKS = 16
_CONTINUATION, _ATTRIBUTE = 0x10, 0x0C
_PADDED = 1  # version of object headers and attributes whose parts are padded to 8 bytes


class _Part(NamedTuple):
    """Some bytes of a file, as the file's own addresses count them."""

    path: Path
    base: int

    def read(self, address: int, size: int) -> bytes:
        """Bytes from an address; fewer or none at the file's end."""
        if not (0 <= address < 2**62 and 0 <= size <= _MOST_BYTES):
            return b""
        with self.path.open("rb") as stream:
            stream.seek(self.base + address)
            return stream.read(size)


def dataset_text(dataset: h5py.Dataset) -> str | None:
    """First text of a dataset of texts of variable length, or None if it can't be found."""
    place = dataset.id.get_offset()
    if place is None and dataset.chunks is not None and dataset.id.get_num_chunks():
        first = dataset.id.get_chunk_info(0)
        place = first.byte_offset if first.size == _chunk_bytes(dataset) else None
    if place is None:
        return None
    # The library gives places of data from the file's very beginning.
    return _text_of(_part(dataset), _Part(_path(dataset), 0).read(place, _REFERENCE.size))


def attribute_text(item: h5py.Dataset, name: str) -> str | None:
    """First text of an attribute of texts of variable length, or None if it can't be found."""
    import h5py

    part = _part(item)
    wanted = name.encode()
    for content in _attributes(part, h5py.h5o.get_info(item.id).addr):
        found = _attribute_value(content)
        if found is not None and found[0] == wanted:
            return _text_of(part, found[1])
    return None


def _path(item: h5py.Dataset) -> Path:
    return Path(item.file.filename)


def _part(item: h5py.Dataset) -> _Part:
    return _Part(_path(item), item.file.userblock_size)


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    elements = 1
    for size in dataset.chunks:
        elements *= size
    return elements * _REFERENCE.size


def _text_of(part: _Part, reference: bytes) -> str | None:
    """Follow a reference into the global heap."""
    if len(reference) < _REFERENCE.size:
        return None
    length, address, number = _REFERENCE.unpack(reference[: _REFERENCE.size])
    head = part.read(address, 16)
    if length > _MOST_BYTES or len(head) < 16 or head[:5] != b"GCOL\1":  # noqa: PLR2004
        return None
    size = min(int.from_bytes(head[8:], "little"), _MOST_BYTES)
    heap = part.read(address, size)
    place = 16
    while place + 16 <= len(heap):
        found, _, _, held = struct.unpack_from("<HHIQ", heap, place)
        if found == number and length <= held <= len(heap) - place - 16:
            text = heap[place + 16 : place + 16 + length]
            return text.decode("utf-8", errors="replace").strip("\0 ")
        if found == 0:  # free space is the last object of a collection
            return None
        place += 16 + (held + 7) // 8 * 8
    return None


def _attributes(part: _Part, address: int) -> Iterator[bytes]:
    """Attribute messages of an object header, as long as they lie in the header itself."""
    start = part.read(address, 24)
    if start[:1] == b"\1" and len(start) >= 16:  # noqa: PLR2004
        size = int.from_bytes(start[8:12], "little")
        yield from _messages(part, address + 16, size, struct.Struct("<HHB3x"), 0)
    elif start[:5] == b"OHDR\2" and len(start) == 24:  # noqa: PLR2004
        flags = start[5]
        before = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(part.read(address + before, width), "little")
        layout = struct.Struct("<BHBH" if flags & 4 else "<BHB")
        yield from _messages(part, address + before + width, size, layout, 4)


def _messages(
    part: _Part, address: int, size: int, layout: struct.Struct, signature: int
) -> Iterator[bytes]:
    """Attribute messages of the blocks of a header; later blocks begin with a signature."""
    blocks = [(address, size, 0)]
    for place, length, skipped in blocks:
        content = part.read(place, length)
        at = skipped
        while at + layout.size <= len(content):
            kind, held = layout.unpack_from(content, at)[:2]
            at += layout.size
            message = content[at : at + held]
            if kind == _ATTRIBUTE:
                yield message
            elif kind == _CONTINUATION and len(message) >= 16 and len(blocks) < _MOST_BLOCKS:  # noqa: PLR2004
                blocks.append((*struct.unpack("<QQ", message[:16]), signature))
            at += held


def _attribute_value(message: bytes) -> tuple[bytes, bytes] | None:
    """Name and stored value of an attribute."""
    if len(message) < 8 or message[0] not in (1, 2, 3):  # noqa: PLR2004
        return None
    version = message[0]
    name_size, type_size, space_size = struct.unpack_from("<HHH", message, 2)
    if version == _PADDED:
        starts = [(size + 7) // 8 * 8 for size in (name_size, type_size, space_size)]
    else:
        starts = [name_size, type_size, space_size]
    name_at = 9 if version == 3 else 8  # noqa: PLR2004
    name = message[name_at : name_at + name_size].split(b"\0")[0]
    return name, message[name_at + sum(starts) :]
