"""
Grey values of image files: TIFF, PNG and BMP, of 8 or 16 bits, grey or colour.

Files are told apart by their first bytes. TIFF images that are not compressed, or by deflate, are
read by tifffile, which keeps 16 bits of colours and floats; all others by Pillow. What an image
claims to be is compared with its file before memory is taken.
"""

from __future__ import annotations

import logging
import math
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from sigma_scale.errors import EmptyMapError, FileFormatError
from sigma_scale.readers.guard import decoding, require_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import PIL.ImageFile
    import tifffile
    from numpy.typing import NDArray

__all__ = ["SUFFIXES", "ImageHeader", "load_grey", "read_header"]

_T = TypeVar("_T")

_logger = logging.getLogger(__name__)

SUFFIXES = (".bmp", ".png", ".tif", ".tiff")
"""Endings of the files that are taken for images."""

_FORMAT = "TIFF, PNG or BMP"
_SMALL = 2**24
# What a byte of a file can become at most: deflate, runs, and LZW or codes for two colours.
_MOST_PER_BYTE = {"PNG": 1_032, "BMP": 256, "TIFF": 3_000}
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_PNG_DEPTH = 24  # where a PNG file keeps its bits per sample
_NOT_COMPRESSED = 1
_DEFLATE = (8, 32_946)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_COLOURS = 3
# Modes of Pillow that are grey values as they are; others are made RGB first.
_GREY_TYPES = {
    "1": "u1",
    "L": "u1",
    "LA": "u1",
    "I;16": "u2",
    "I;16B": "u2",
    "I;16L": "u2",
    "I;16N": "u2",
    "I": "i4",
    "F": "f4",
}
_TINT_TOLERANCE = 2.0


class ImageHeader(NamedTuple):
    """Size and type of an image's grey values, and the memory that decoding it takes."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    nbytes: int


def read_header(path: Path) -> ImageHeader:
    """
    Look at an image without decoding it.

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    FileFormatError
        If it isn't an image of a known kind, has several pages, or claims to be larger than its
        file can hold.
    EmptyMapError
        If it has no pixels.
    """
    return _examine(path, _tiff_header, _other_header)


def load_grey(path: Path) -> NDArray[Any]:
    """
    Decode an image to its grey values.

    Parameters
    ----------
    path : pathlib.Path
        File.

    Returns
    -------
    array, shape (y, x)
        Of the image's type: grey values as they are; of colours the largest of red, green and
        blue, which for a grey map in one tint is the grey value where the tint is a full colour.
        Transparency is ignored.

    Raises
    ------
    FileFormatError
        If the image is damaged or truncated.
    """
    return _examine(path, _tiff_values, _other_values)


def _examine(
    path: Path,
    tiff: Callable[[Path, tifffile.TiffPage], _T],
    other: Callable[[Path, PIL.ImageFile.ImageFile, str], _T],
) -> _T:
    """Apply one of two functions to an open image, whose size is checked."""
    require_file(path, _FORMAT)
    with decoding(path, _FORMAT):
        kind = _kind_of(path)
        if kind == "TIFF":
            import tifffile

            with tifffile.TiffFile(path) as file:
                page = _only_page(path, file)
                if _is_plain(page):
                    _check_size(path, page.shape[:2] or (0, 0), page.nbytes, kind)
                    return tiff(path, page)
        with path.open("rb") as stream:
            image = _pillow_plugin(kind)(stream)
            if getattr(image, "n_frames", 1) != 1:
                raise FileFormatError(f"{path} has several images. Save the one to use by itself.")
            samples = len(image.getbands()) * (4 if image.mode in ("I", "F") else 2)
            _check_size(path, image.size[::-1], math.prod(image.size) * samples, kind)
            return other(path, image, kind)


def _kind_of(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(8)
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    raise FileFormatError(f"{path} is not a {_FORMAT} image, or its beginning is damaged.")


def _check_size(path: Path, shape: tuple[int, ...], claimed: int, kind: str) -> None:
    if min(shape) < 1:
        raise EmptyMapError(f"{path} is an image without pixels.")
    stored = path.stat().st_size
    if claimed > max(_SMALL, _MOST_PER_BYTE[kind] * stored):
        raise FileFormatError(
            f"{path} is damaged: it claims {shape[0]:,} x {shape[1]:,} pixels, more than its "
            f"{stored:,} bytes can hold."
        )


def _grey(path: Path, colours: NDArray[Any]) -> NDArray[Any]:
    """Largest of the colours of each pixel."""
    value: NDArray[Any] = colours.max(axis=-1)
    if not _one_tint(colours, value):
        _logger.warning(
            "%s has several colours: the brightest of red, green and blue is taken as the grey "
            "value, which means little for a colour scale or an overlay.",
            path,
        )
    return value


def _one_tint(colours: NDArray[Any], value: NDArray[Any]) -> bool:
    """Whether all pixels, as far as a look at some tells, are one colour times a grey value."""
    step = max(1, value.shape[0] // 256)
    some, values = colours[::step].astype(np.float64), value[::step].astype(np.float64)
    brightest = int(np.argmax(values))
    if values.flat[brightest] == 0:
        return True
    tint = some.reshape(-1, some.shape[-1])[brightest] / values.flat[brightest]
    unit = 1.0 if colours.dtype.itemsize == 1 else 257.0
    return bool(np.abs(some - values[..., None] * tint).max() <= _TINT_TOLERANCE * unit)


# ---------------------------------------------------------------------------- TIFF by tifffile


def _only_page(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPage:
    import tifffile

    pages = [page for page in file.pages if not getattr(page, "is_reduced", False)]
    if len(pages) != 1:
        raise FileFormatError(
            f"{path} has {len(pages)} pages, which may be different maps. Save each as a file of "
            "its own."
        )
    page = pages[0]
    if not isinstance(page, tifffile.TiffPage):
        raise FileFormatError(f"{path} has no complete page.")
    return page


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Whether tifffile gives the values of an image without further libraries."""
    return (
        page.compression in (_NOT_COMPRESSED, *_DEFLATE)
        and page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
        and page.dtype is not None
        and page.dtype.kind in "iuf"
        and page.bitspersample == 8 * page.dtype.itemsize
        and page.axes in ("YX", "YXS", "SYX")
    )


def _tiff_header(path: Path, page: tifffile.TiffPage) -> ImageHeader:
    if page.dtype is None:
        raise FileFormatError(f"{path} has values of an unknown type.")
    return ImageHeader(
        (int(page.imagelength), int(page.imagewidth)), page.dtype.newbyteorder("="), page.nbytes
    )


def _tiff_values(path: Path, page: tifffile.TiffPage) -> NDArray[Any]:
    _check_strips(path, page)
    values = page.asarray()
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    if page.photometric == _WHITE_IS_ZERO and values.dtype.kind == "u":
        values = np.iinfo(values.dtype).max - values
    if values.ndim == 2:  # noqa: PLR2004
        return values
    if values.shape[-1] < _COLOURS:  # grey and transparency
        return np.ascontiguousarray(values[..., 0])
    return _grey(path, values[..., :_COLOURS])


def _check_strips(path: Path, page: tifffile.TiffPage) -> None:
    """See that the parts of an image are in the file, and that none becomes larger than it may."""
    size = path.stat().st_size
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    complete = all(start > 0 and 0 < count <= size - start for start, count in parts)
    largest = math.prod(page.chunks) * page.dtype.itemsize if page.dtype is not None else 0
    if page.compression == _NOT_COMPRESSED:
        complete &= sum(count for _, count in parts) >= page.nbytes
    else:
        complete &= len(parts) >= math.prod(page.chunked)
    if not complete:
        raise FileFormatError(f"{path} is truncated or damaged: parts of the image are missing.")
    if page.compression in _DEFLATE:
        with path.open("rb") as stream:
            for start, count in parts:
                stream.seek(start)
                inflate = zlib.decompressobj()
                if len(inflate.decompress(stream.read(count), largest + 1)) > largest:
                    raise FileFormatError(
                        f"{path} is damaged: a part of the image is larger than {largest:,} bytes."
                    )


# ---------------------------------------------------------------------------- others by Pillow


def _pillow_plugin(kind: str) -> Callable[..., PIL.ImageFile.ImageFile]:
    """Opener of one format; that of all formats has a limit of its own for large images."""
    if kind == "PNG":
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile
    if kind == "BMP":
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    return TiffImageFile


def _other_header(path: Path, image: PIL.ImageFile.ImageFile, kind: str) -> ImageHeader:
    if kind == "PNG" and _is_deep_colour(path, image):
        raise FileFormatError(
            f"{path} is a PNG image of 16 bits per colour, of which only 8 could be read. Save "
            "it as grey, or as TIFF."
        )
    width, height = image.size
    dtype = np.dtype(_GREY_TYPES.get(image.mode, "u1"))
    samples = 1 if image.mode in _GREY_TYPES else _COLOURS + 1
    return ImageHeader((height, width), dtype, 2 * width * height * samples * dtype.itemsize)


def _is_deep_colour(path: Path, image: PIL.ImageFile.ImageFile) -> bool:
    with path.open("rb") as stream:
        start = stream.read(_PNG_DEPTH + 1)
    return start[_PNG_DEPTH] > 8 and not image.mode.startswith("I")  # noqa: PLR2004


def _other_values(path: Path, image: PIL.ImageFile.ImageFile, kind: str) -> NDArray[Any]:
    header = _other_header(path, image, kind)
    if image.mode not in _GREY_TYPES:
        return _grey(path, np.asarray(image.convert("RGB")))
    values = np.asarray(image)
    if values.ndim > 2:  # noqa: PLR2004 -- grey and transparency
        values = values[..., 0]
    if values.dtype.kind == "b":
        values = values * np.uint8(255)
    return np.array(values, dtype=header.dtype)
