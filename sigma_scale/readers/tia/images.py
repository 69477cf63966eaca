"""Images of ``.ser`` files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.readers.beside import length_um
from sigma_scale.readers.guard import decoding
from sigma_scale.readers.tia.ser import FORMAT, IMAGE_HEADER
from sigma_scale.spectra.image import NAVIGATION

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.readers.tia.ser import Element, SerFile

__all__ = ["images_of"]

_LAZY_BYTES = 16 * 2**20
_LARGEST_PIXEL_M = 1e-3
"""Diffraction patterns are in 1/metres, by the millions; the files don't say which it is."""


def images_of(
    sers: dict[int, SerFile], map_shape: tuple[int, int]
) -> tuple[dict[str, xr.DataArray], list[Path]]:
    """
    Images of a set's other files, those that hold one image each, and these files.

    The first of the map's size is the navigation image.

    Raises
    ------
    FileFormatError
        If a file can't be read.
    """
    images: dict[str, xr.DataArray] = {}
    files = []
    for number, ser in sers.items():
        element = ser.element
        if ser.holds_spectra or element is None or ser.n_valid != 1:
            continue
        if element.dtype.kind not in "iuf" or 0 in element.shape:
            continue
        on_grid = element.shape == map_shape and NAVIGATION not in images
        name = NAVIGATION if on_grid else f"image_{number}"
        images[name] = _image(ser, element, on_grid=on_grid)
        files.append(ser.path)
    return images, files


def _image(ser: SerFile, element: Element, *, on_grid: bool) -> xr.DataArray:
    import xarray as xr

    rows, columns = element.shape
    arguments = (ser.path, ser.first, (rows, columns), element.dtype.str)
    data: Any
    if element.nbytes > _LAZY_BYTES:
        import dask.array as da
        from dask.delayed import delayed

        data = da.from_delayed(delayed(_read)(*arguments), (rows, columns), element.dtype)
    else:
        data = _read(*arguments)
    coords = {} if on_grid else _coordinates(element)
    return xr.DataArray(data, dims=("y", "x"), coords=coords, attrs={"long_name": ser.path.name})


def _coordinates(element: Element) -> dict[str, Any]:
    coords = {}
    for name, size, step in zip(("y", "x"), element.shape, element.steps, strict=True):
        micrometres = length_um(step, "m") if abs(step) < _LARGEST_PIXEL_M else None
        if micrometres is None:
            return {}
        coords[name] = (name, np.arange(size) * micrometres, {"units": "µm"})
    return coords


def _read(path: Path, place: int, shape: tuple[int, int], dtype: str) -> NDArray[Any]:
    """Read an image, its top row first; files keep the bottom row first."""
    with decoding(path, FORMAT):
        start = place + IMAGE_HEADER.size
        values = np.fromfile(path, dtype, math.prod(shape), offset=start)
        return values.reshape(shape)[::-1]
