"""
The binary layout of ``.ser`` files.

A header with the navigation dimensions, a table with the places of the data elements (and of
their tags), and the elements: spectra, or images. All numbers are little-endian. The layout was
worked out by Chris Boothroyd [1]_.

References
----------
.. [1] https://www.er-c.org/cbb/info/TIAformat/index.html
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from sigma_scale.readers.beside import length_um
from sigma_scale.readers.guard import decoding

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DTYPES", "FORMAT", "SPECTRUM_HEADER", "Dimension", "Element", "SerFile", "read_ser"]

FORMAT = "TIA .ser"
SPECTRUM_HEADER = struct.Struct("<ddiHI")
"""Calibration (offset, width, reference channel), type and length of a spectrum."""

IMAGE_HEADER = struct.Struct("<ddiddiHII")
"""The same calibration for x and y, type, width and height of an image."""

DTYPES = {
    number: np.dtype(name)
    for number, name in enumerate(
        ("<u1", "<u2", "<u4", "<i1", "<i2", "<i4", "<f4", "<f8", "<c8", "<c16"), start=1
    )
}

_START = struct.Struct("<HHHIIII")
_DIMENSION = struct.Struct("<IddiI")
_POSITION_TAG = struct.Struct("<HHIdd")
_LITTLE_ENDIAN, _SERIES = 0x4949, 0x0197
_SPECTRA, _IMAGES = 0x4120, 0x4122
_WITH_POSITION = 0x4142
_LAST_32_BIT_VERSION = 0x0210
_MOST_DIMENSIONS = 8
_LONGEST_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Dimension:
    """Size of a navigation dimension and the distance of its points, with the unit's name."""

    size: int
    step: float
    units: str

    @property
    def step_um(self) -> float | None:
        """Distance in micrometres, None if the unit is no length."""
        return length_um(self.step, self.units) if math.isfinite(self.step) else None


@dataclass(frozen=True, slots=True)
class Element:
    """
    Type and calibration of the data elements, from the first one.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the values.
    shape : tuple of int
        Channels of a spectrum, or rows and columns of an image.
    steps : tuple of float
        Width of a channel in eV, or height and width of an image's pixels in metres or 1/metres.
    start : float
        Energy of channel 0 in eV; 0 for an image.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    steps: tuple[float, ...]
    start: float

    @property
    def nbytes(self) -> int:
        """Size of the values of one element."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class SerFile:
    """
    Header of a ``.ser`` file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    holds_spectra : bool
        Whether its elements are spectra, not images.
    n_total, n_valid : int
        Elements that were planned, and that were acquired.
    table : int
        Where the places of the elements begin in the file.
    place_size : int
        Bytes of a place, 4 or 8.
    dimensions : tuple of Dimension
        Navigation dimensions, the one that changes fastest first.
    first : int
        Place of the first element.
    element : Element or None
        None if the file holds no data.
    columns_first : bool
        Whether the beam went down the columns: the last dimension changes fastest.
    """

    path: Path
    holds_spectra: bool
    n_total: int
    n_valid: int
    table: int
    place_size: int
    dimensions: tuple[Dimension, ...]
    first: int
    element: Element | None
    columns_first: bool

    @property
    def describe(self) -> str:
        """What the file holds, for a listing."""
        if self.element is None:
            return f"{self.path.name}: no data"
        size = " x ".join(str(size) for size in self.element.shape)
        if not self.holds_spectra:
            return f"{self.path.name}: {self.n_valid} images of {size} pixels"
        return (
            f"{self.path.name}: {self.n_valid} spectra of {size} channels, "
            f"{self.element.steps[0]:g} eV each"
        )


def read_ser(path: Path) -> SerFile:
    """
    Read the header of a ``.ser`` file and check it against the file's size.

    Raises
    ------
    FileFormatError
        If it is no such file, or a damaged one.
    """
    with decoding(path, FORMAT), path.open("rb") as stream:
        size = path.stat().st_size
        order, series, version, kind, tag, n_total, n_valid = _START.unpack(
            _taken(stream, _START.size)
        )
        if (order, series) != (_LITTLE_ENDIAN, _SERIES):
            raise ValueError("it does not begin as such files do")
        if kind not in (_SPECTRA, _IMAGES):
            raise ValueError(f"its data are of the unknown kind {kind:#x}")
        place_size = 4 if version <= _LAST_32_BIT_VERSION else 8
        table = int.from_bytes(_taken(stream, place_size), "little")
        dimensions = _dimensions(stream)
        if n_valid > n_total or table + place_size * n_total > size:
            raise ValueError(
                f"it names {n_valid:,} of {n_total:,} elements, more than its {size:,} bytes hold"
            )
        spectra = kind == _SPECTRA
        first, element, columns_first = 0, None, False
        if n_valid > 0:
            first, last = _places(stream, table, place_size, (0, n_valid - 1))
            element, header = _element(stream, first, spectra=spectra)
            stored = header + element.nbytes
            if max(first, last) + stored > size or n_valid * stored > size:
                raise ValueError(
                    f"its {n_valid:,} elements take {stored:,} bytes each, more than its "
                    f"{size:,} bytes hold"
                )
            if spectra and tag == _WITH_POSITION and n_valid > 1:
                second = _places(stream, table, place_size, (1,))[0]
                heights = [_position_y(stream, place + stored) for place in (first, second)]
                columns_first = None not in heights and heights[0] != heights[1]
    return SerFile(
        path=path,
        holds_spectra=spectra,
        n_total=n_total,
        n_valid=n_valid,
        table=table,
        place_size=place_size,
        dimensions=dimensions,
        first=first,
        element=element,
        columns_first=columns_first,
    )


def _taken(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise EOFError("it ends within its header")
    return content


def _dimensions(stream: IO[bytes]) -> tuple[Dimension, ...]:
    number = int.from_bytes(_taken(stream, 4), "little")
    if number > _MOST_DIMENSIONS:
        raise ValueError(f"it names {number} dimensions")
    found = []
    for _ in range(number):
        size, _, step, _, length = _DIMENSION.unpack(_taken(stream, _DIMENSION.size))
        _text(stream, length)
        units = _text(stream, int.from_bytes(_taken(stream, 4), "little"))
        found.append(Dimension(size, step, units))
    return tuple(found)


def _text(stream: IO[bytes], length: int) -> str:
    if length > _LONGEST_TEXT:
        raise ValueError(f"a text of its header is {length:,} bytes long")
    return _taken(stream, length).decode("latin-1")


def _places(stream: IO[bytes], table: int, place_size: int, numbers: tuple[int, ...]) -> list[int]:
    places = []
    for number in numbers:
        stream.seek(table + number * place_size)
        places.append(int.from_bytes(_taken(stream, place_size), "little"))
    return places


def _element(stream: IO[bytes], place: int, *, spectra: bool) -> tuple[Element, int]:
    """Type of the element at a place, and the size of its header."""
    layout = SPECTRUM_HEADER if spectra else IMAGE_HEADER
    stream.seek(place)
    content = layout.unpack(_taken(stream, layout.size))
    kind = content[3] if spectra else content[6]
    if kind not in DTYPES:
        raise ValueError(f"its values are of the unknown type {kind}")
    if not spectra:
        return Element(
            DTYPES[kind], (content[8], content[7]), (content[4], content[1]), 0.0
        ), layout.size
    start, step, reference, _, channels = content
    return Element(DTYPES[kind], (channels,), (step,), start - reference * step), layout.size


def _position_y(stream: IO[bytes], place: int) -> float | None:
    """Height that the tag behind an element tells."""
    stream.seek(place)
    content = stream.read(_POSITION_TAG.size)
    if len(content) != _POSITION_TAG.size:
        return None
    kind, _, _, _, y = _POSITION_TAG.unpack(content)
    return y if kind == _WITH_POSITION and math.isfinite(y) else None
