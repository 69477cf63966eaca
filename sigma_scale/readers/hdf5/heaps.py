"""
A look at an HDF5 file's global heaps before the library sees them.

The library (2.0 at the time of writing) goes round for ever in a heap with a damaged free space
object: it takes a step of the object's size, which may be zero. Heaps hold strings of any length,
which are in metadata, so they are looked for at both ends of a file [1]_.

References
----------
.. [1] The HDF Group, "HDF5 File Format Specification", section III.E "Global Heap",
   https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sigma_scale.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["check_heaps"]

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_REACH = 32 * 2**20
_LARGEST = 16 * 2**20
_HEADER = 16


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
    for start, content in _ends(path):
        place = content.find(_SIGNATURE)
        while place >= 0:
            if not _is_sound(content, place):
                raise FileFormatError(
                    f"{path} is damaged: its global heap at byte {start + place:,} makes no sense."
                )
            place = content.find(_SIGNATURE, place + 1)


def _ends(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        first = file.read(_REACH)
        yield 0, first
        rest = path.stat().st_size - len(first)
        if rest > 0:
            start = len(first) + max(0, rest - _REACH)
            file.seek(start)
            yield start, file.read()


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
