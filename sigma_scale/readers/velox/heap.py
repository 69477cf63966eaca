"""
Texts of variable length, read from HDF5's heap without HDF5.

libhdf5 2.0 never comes back from a damaged heap, an object of no size in which sends its loop
round and round. The layout of a heap is simple: see "Global Heap" (III.E) in the HDF5 File Format
Specification.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

    import h5py

__all__ = ["text_in_heap"]

_REFERENCE = struct.Struct("<IQI")
_COLLECTION = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HHIQ")
_LARGEST_COLLECTION = 32 * 2**20


def text_in_heap(data: h5py.Dataset) -> bytes:
    """
    Text of a dataset that holds one text of variable length.

    Raises
    ------
    ValueError
        If the text isn't where the dataset says, or the dataset is stored in an unusual way.
    """
    place = _place(data)
    if place is None or data.file.id.get_create_plist().get_sizes() != (8, 8):
        raise ValueError(f"{data.name} is stored in a way that this reader doesn't know")
    with Path(data.file.filename).open("rb") as stream:
        length, address, index = _REFERENCE.unpack(_bytes_at(stream, place, _REFERENCE.size))
        objects = _objects(stream, data.file.userblock_size + address)
    return _object(objects, index)[:length]


def _place(data: h5py.Dataset) -> int | None:
    """Where the reference to the text is in the file; None if it is packed or in the header."""
    place: int | None
    if data.chunks is None:
        place = data.id.get_offset()
    elif data.id.get_create_plist().get_nfilters() or data.id.get_num_chunks() != 1:
        place = None
    else:
        place = data.id.get_chunk_info(0).byte_offset
    return place


def _objects(stream: BinaryIO, address: int) -> bytes:
    """Objects of the collection at an address."""
    header = _bytes_at(stream, address, _COLLECTION.size)
    signature, version, size = _COLLECTION.unpack(header)
    if signature != b"GCOL" or version != 1 or not len(header) <= size <= _LARGEST_COLLECTION:
        raise ValueError(f"there is no heap of texts at byte {address}")
    return _bytes_at(stream, address + len(header), size - len(header))


def _object(objects: bytes, wanted: int) -> bytes:
    position = 0
    while position + _OBJECT.size <= len(objects):
        index, _, _, size = _OBJECT.unpack_from(objects, position)
        position += _OBJECT.size
        if index == 0 or size > len(objects) - position:  # 0: the rest is free
            break
        if index == wanted:
            return objects[position : position + size]
        position += -(-size // 8) * 8
    raise ValueError(f"a heap of texts has no object {wanted}")


def _bytes_at(stream: BinaryIO, place: int, size: int) -> bytes:
    if place >= 2**63:
        raise ValueError("a text lies beyond the end of the file")
    stream.seek(place)
    content = stream.read(size)
    if len(content) < size:
        raise ValueError("a text lies beyond the end of the file")
    return content
