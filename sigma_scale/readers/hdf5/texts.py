"""
Texts of variable length in HDF5 files, read without the HDF5 library.

Such texts lie in the file's global heap. The library (2.0) follows a damaged heap into an endless
loop or past the end of its memory: 9 of 6,000 damaged copies of a small file ended that way, and
in no other. So the few bytes that lead to a text are followed here, each step checked. The
layouts are those of the HDF5 file format specification [1]_: global heap (III.E), object headers
(IV.A), datatypes (IV.A.2.d), attribute messages (IV.A.2.m).

References
----------
.. [1] https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5.chunks import ChunkReader
from sigma_scale.readers.hdf5.filters import are_known, filters_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py

__all__ = ["Attribute", "Heaps", "attribute_texts", "attributes_in_header", "dataset_texts"]

_REFERENCE = struct.Struct("<IQI")  # length, address of a heap collection, number in it
_COLLECTION = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HHIQ")
_LARGEST_COLLECTION = 32 * 2**20
_MOST_BYTES = 2**20
_MOST_TEXTS = 2**16
_MOST_BLOCKS = 64
_CONTINUATION, _ATTRIBUTE = 0x10, 0x0C
_VARIABLE_LENGTH = 9
_SIZES = (8, 8)
"""Bytes of an address and of a length in a file; no program writes others."""


class Attribute(NamedTuple):
    """An attribute as an object header holds it; only :func:`attributes_in_header` makes them."""

    name: bytes
    type: bytes
    value: bytes

    @property
    def element_size(self) -> int | None:
        """Bytes of an element of the lists of variable length that it holds; None for others."""
        if len(self.type) < 16 or self.type[0] & 15 != _VARIABLE_LENGTH:  # noqa: PLR2004
            return None
        return int.from_bytes(self.type[12:16], "little")


class Heaps:
    """
    The global heaps of a file, each read once.

    Parameters
    ----------
    file : h5py.File
        The file, open; it is read by other means.
    """

    def __init__(self, file: h5py.File) -> None:
        self.path = Path(file.filename)
        self._base = file.userblock_size
        self._heaps: dict[int, tuple[bytes, dict[int, tuple[int, int]]]] = {}

    def read(self, address: int, size: int) -> bytes:
        """Bytes from an address of the file's own; fewer or none at its end."""
        if not (0 <= address < 2**62 and 0 <= size <= _LARGEST_COLLECTION):
            return b""
        with self.path.open("rb") as stream:
            stream.seek(self._base + address)
            return stream.read(size)

    def text(self, reference: bytes, element_size: int = 1) -> bytes:
        """
        Follow a reference to a text, or to another list of variable length.

        Raises
        ------
        FileFormatError
            If there is nothing of the length that the reference tells.
        """
        if len(reference) < _REFERENCE.size:
            raise FileFormatError(f"{self.path} is damaged: a text ends with the file.")
        length, address, number = _REFERENCE.unpack(reference)
        size = length * element_size
        if size == 0:
            return b""
        content, objects = self._heap(address)
        start, held = objects.get(number, (0, 0))
        if held != size:
            raise FileFormatError(
                f"{self.path} is damaged: its heap at byte {self._base + address:,} has no text "
                f"{number} of {size:,} bytes."
            )
        return content[start : start + size]

    def _heap(self, address: int) -> tuple[bytes, dict[int, tuple[int, int]]]:
        if address not in self._heaps:
            head = self.read(address, _COLLECTION.size)
            signature, version, size = _COLLECTION.unpack(head.ljust(_COLLECTION.size, b"\0"))
            if signature != b"GCOL" or version != 1 or size > _LARGEST_COLLECTION:
                raise FileFormatError(
                    f"{self.path} is damaged: there is no heap of texts at byte "
                    f"{self._base + address:,}."
                )
            content = self.read(address, size)
            self._heaps[address] = content, dict(_objects(content))
        return self._heaps[address]


def _objects(heap: bytes) -> Iterator[tuple[int, tuple[int, int]]]:
    """Numbers of a heap's objects, where they start and how many bytes they have."""
    place = _COLLECTION.size
    while place + _OBJECT.size <= len(heap):
        number, _, _, size = _OBJECT.unpack_from(heap, place)
        place += _OBJECT.size
        if number == 0 or size > len(heap) - place:  # 0: the rest is free
            return
        yield number, (place, size)
        place += -(-size // 8) * 8


def dataset_texts(dataset: h5py.Dataset) -> list[bytes] | None:
    """
    Texts of a dataset of texts of variable length, in the order of its elements.

    Returns
    -------
    list of bytes or None
        None if they are stored in a way that isn't known here.

    Raises
    ------
    FileFormatError
        If they can't be found.
    """
    if dataset.shape is None or not _is_usual(dataset):
        return None
    number = math.prod(dataset.shape)
    if number > _MOST_TEXTS:
        return None
    heaps = Heaps(dataset.file)
    if dataset.chunks is None:
        place = dataset.id.get_offset()
        if place is None:
            return None
        # The library gives places of data from the file's very beginning.
        with heaps.path.open("rb") as stream:
            stream.seek(place)
            references = stream.read(number * _REFERENCE.size)
    else:
        if not are_known(filters_of(dataset)):
            return None
        reader = ChunkReader(dataset, stored_dtype=np.dtype(f"V{_REFERENCE.size}"))
        references = reader.read(tuple(map(slice, dataset.shape))).tobytes()
    return [heaps.text(part) for part in _parts(references, number)]


def attribute_texts(item: h5py.Dataset | h5py.Group, name: str) -> list[bytes] | None:
    """
    Texts of an attribute of texts of variable length.

    Returns
    -------
    list of bytes or None
        None if the attribute isn't stored in the object's header, as of many.

    Raises
    ------
    FileFormatError
        If they can't be found.
    """
    if not _is_usual(item):
        return None
    heaps = Heaps(item.file)
    wanted = name.encode()
    for found in attributes_in_header(heaps, item):
        if found.name == wanted:
            number = math.prod(item.attrs.get_id(name).shape)
            return [heaps.text(part) for part in _parts(found.value, number)]
    return None


def _is_usual(item: h5py.Dataset | h5py.Group) -> bool:
    return bool(item.file.id.get_create_plist().get_sizes() == _SIZES)


def _parts(references: bytes, number: int) -> Iterator[bytes]:
    size = _REFERENCE.size
    for i in range(min(number, _MOST_TEXTS)):
        yield references[size * i : size * (i + 1)]


def attributes_in_header(heaps: Heaps, item: h5py.Dataset | h5py.Group) -> Iterator[Attribute]:
    """Attributes that lie in an object's header itself, as far as they can be understood."""
    import h5py

    address = h5py.h5o.get_info(item.id).addr
    start = heaps.read(address, 24)
    if start[:1] == b"\1" and len(start) >= 16:  # noqa: PLR2004
        size = int.from_bytes(start[8:12], "little")
        layout, first, signature = struct.Struct("<HHB3x"), 16, 0
    elif start[:5] == b"OHDR\2" and len(start) == 24:  # noqa: PLR2004
        flags = start[5]
        before = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(heaps.read(address + before, width), "little")
        layout, first, signature = (
            struct.Struct("<BHBH" if flags & 4 else "<BHB"),
            before + width,
            4,
        )
    else:
        return
    for message in _messages(heaps, (address + first, size), layout, signature):
        attribute = _attribute(message)
        if attribute is not None:
            yield attribute


def _messages(
    heaps: Heaps, first: tuple[int, int], layout: struct.Struct, signature: int
) -> Iterator[bytes]:
    """Attribute messages of the blocks of a header; later blocks begin with a signature."""
    blocks = [(*first, 0)]
    for place, length, skipped in blocks:
        content = heaps.read(place, min(length, _MOST_BYTES))
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


def _attribute(message: bytes) -> Attribute | None:
    if len(message) < 8 or message[0] not in (1, 2, 3):  # noqa: PLR2004
        return None
    version = message[0]
    sizes = struct.unpack_from("<HHH", message, 2)  # of name, type and shape
    padded = [-(-size // 8) * 8 if version == 1 else size for size in sizes]
    name_at = 9 if version == 3 else 8  # noqa: PLR2004
    type_at = name_at + padded[0]
    return Attribute(
        message[name_at : name_at + sizes[0]].split(b"\0")[0],
        message[type_at : type_at + sizes[1]],
        message[name_at + sum(padded) :],
    )
