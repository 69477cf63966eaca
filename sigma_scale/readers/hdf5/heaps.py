"""
A look at an HDF5 file's global heaps before the library sees them.

The library (2.0 at the time of writing) goes round for ever in a heap with a damaged free space
object: it takes a step of the object's size, which may be zero; and it copies an object whole to
where there is room for the length that a reference tells. Other packages let the library read
texts of variable length, so what they will read is followed here first, as far as it lies in the
headers of objects; the heaps are looked for at both ends of a file, too, for what lies elsewhere
[1]_.

References
----------
.. [1] The HDF Group, "HDF5 File Format Specification", section III.E "Global Heap",
   https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5.texts import Heaps, attributes_in_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import h5py

__all__ = ["check_attributes", "check_heaps"]

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_REACH = 32 * 2**20
_LARGEST = 16 * 2**20
_HEADER = 16
_REFERENCE = 16


def check_attributes(file: h5py.File, items: Iterable[h5py.Dataset | h5py.Group]) -> None:
    """
    Refuse objects with texts or other lists of variable length that the library would not find.

    Parameters
    ----------
    file : h5py.File
        The file.
    items : iterable of h5py.Dataset or h5py.Group
        Objects whose attributes will be read.

    Raises
    ------
    FileFormatError
        If a heap is damaged, or a reference to it.
    """
    heaps = Heaps(file)
    for item in items:
        for found in attributes_in_header(heaps, item):
            if found.element_size is None:
                continue
            whole = len(found.value) // _REFERENCE * _REFERENCE
            for start in range(0, whole, _REFERENCE):
                heaps.text(found.value[start : start + _REFERENCE], found.element_size)


def check_heaps(path: Path) -> None:
    """
    Refuse a file with a global heap that the HDF5 library would not come out of.

    Parameters
    ----------
    path : pathlib.Path
        HDF5 file; its first and last 32 MB are looked at.

    Raises
    ------
    FileFormatError
        If there is such a heap.
    """
    stat = path.stat()
    _check_once(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _check_once(path: Path, size: int, mtime: int) -> None:  # noqa: ARG001
    for start, content in _ends(path, size):
        place = content.find(_SIGNATURE)
        while place >= 0:
            if not _is_sound(content, place):
                raise FileFormatError(
                    f"{path} is damaged: its global heap at byte {start + place:,} makes no sense."
                )
            place = content.find(_SIGNATURE, place + 1)


def _ends(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        first = file.read(_REACH)
        yield 0, first
        rest = size - len(first)
        if rest > 0:
            start = len(first) + max(0, rest - _REACH)
            file.seek(start)
            yield start, file.read(_REACH)


def _is_sound(content: bytes, start: int) -> bool:
    """Whether the objects of a heap follow one another; free space must fill it to its end."""
    (size,) = struct.unpack_from("<Q", content.ljust(start + _HEADER, b"\0"), start + 8)
    if not _HEADER <= size <= _LARGEST:
        return True  # by chance, not a heap: the library refuses it itself
    place, end = start + _HEADER, start + size
    while place + _HEADER <= min(end, len(content)):
        number, _, _, length = struct.unpack_from("<HHIQ", content, place)
        if number == 0:
            return bool(place + length == end)
        place += _HEADER + (length + 7) // 8 * 8
    return True
