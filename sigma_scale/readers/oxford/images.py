"""Images of an .h5oina file: values per pixel of a map, and electron images of their own size."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5.chunks import read_part
from sigma_scale.readers.hdf5.files import dataset_at, opened
from sigma_scale.readers.hdf5.values import attribute
from sigma_scale.readers.oxford.header import FORMAT
from sigma_scale.readers.signals import unused_name
from sigma_scale.spectra.image import NAVIGATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.readers.oxford.header import Header
    from sigma_scale.readers.oxford.structure import Detector, Slice

__all__ = ["flat_image", "images_of", "total_times"]

_logger = logging.getLogger(__name__)

_EAGER_PIXELS = 2**24
"""Images up to this size are read when a file is opened, larger ones when they are used."""
_CHUNK_PIXELS = 2**22

_TIMES: dict[str, tuple[str, str]] = {
    "Live Time": ("live_time", "s"),
    "Real Time": ("real_time", "s"),
}
_FIELDS: dict[str, tuple[str, str | None]] = {
    "LAM Field Coordinate X": ("lam_field_x", None),
    "LAM Field Coordinate Y": ("lam_field_y", None),
    "LAM Field Index": ("lam_field_index", "1"),
}
_SAME_SIZE = 1e-3


@dataclass(frozen=True)
class _Flat:
    """An image stored as a column of pixels, read by rows when they are asked for."""

    path: Path
    name: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Two."""
        return len(self.shape)

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        start, stop, _ = part[0].indices(self.shape[0])
        width = self.shape[1]
        with opened(self.path, FORMAT) as file:
            dataset = dataset_at(file, self.name)
            others = tuple(slice(0, size) for size in dataset.shape[1:])
            values = read_part(dataset, (slice(start * width, stop * width), *others))
        return values.astype(self.dtype, copy=False).reshape(-1, width)[:, part[1]]


def flat_image(
    path: Path, name: str, shape: tuple[int, int], *, together: int = 1, **attrs: Any
) -> xr.DataArray:
    """
    Image of a dataset of one value per pixel, lazy if it is large.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    name : str
        Path of the dataset within it.
    shape : tuple of int
        Rows and columns.
    together : int, default: 1
        Number of images like this one that are held at the same time; many are lazy sooner.
    **attrs
        Attributes; the dataset's own ``Unit`` goes before ``units``.

    Returns
    -------
    xarray.DataArray, shape (y, x)
        Of the file's type; NaN where nothing was acquired.

    Raises
    ------
    FileFormatError
        If it isn't numbers, or not one for each pixel.
    """
    import xarray as xr

    with opened(path, FORMAT) as file:
        dataset = dataset_at(file, name)
        if dataset.dtype.kind not in "biuf":
            raise FileFormatError(f"{path}: {name!r} holds {dataset.dtype}, not numbers.")
        if dataset.shape not in {(math.prod(shape),), (math.prod(shape), 1)}:
            raise FileFormatError(
                f"{path} is damaged: {name!r} has the shape {dataset.shape}, which isn't one "
                f"value for each of {shape[0]} x {shape[1]} pixels."
            )
        unit = attribute(dataset, "Unit")
        flat = _Flat(path, name, shape, dataset.dtype.newbyteorder("="))
    if isinstance(unit, str) and unit:
        attrs["units"] = unit
    data = flat[:, :] if together * math.prod(shape) <= _EAGER_PIXELS else _lazy(flat)
    return xr.DataArray(data, dims=("y", "x"), attrs=attrs)


def _lazy(flat: _Flat) -> Any:
    import dask.array as da
    from dask.base import tokenize

    stat = flat.path.stat()
    rows = max(1, _CHUNK_PIXELS // flat.shape[1])
    token = tokenize(str(flat.path.resolve()), stat.st_size, stat.st_mtime_ns, flat.name)
    return da.from_array(
        flat,
        chunks=(rows, flat.shape[1]),
        name=f"image-{token}",
        lock=False,
        asarray=False,
        meta=np.empty((0, 0), flat.dtype),
    )


def images_of(
    path: Path, item: Slice, detectors: Sequence[Detector], shape: tuple[int, int]
) -> dict[str, xr.DataArray]:
    """
    All images of a slice.

    Times are means over the detectors, which measure at the same time; the fields of a montage
    are the first detector's. The first electron image (backscattered before secondary electrons)
    that has the map's cells and covers its area is ``navigation``. Other images keep their own
    size and names, with coordinates in the map's frame where their pixel size is known.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    item : Slice
        The slice.
    detectors : sequence of Detector
        Detectors whose data are used.
    shape : tuple of int
        Rows and columns of the map.

    Raises
    ------
    FileFormatError
        If an image doesn't fit the cells that its header gives.
    """
    images: dict[str, xr.DataArray] = {}
    images |= _electron_images(path, item, detectors[0].header, shape)
    for entry, (name, unit) in _TIMES.items():
        places = [f"{d.place}/Data/{entry}" for d in detectors if entry in d.datasets]
        if places:
            times = [flat_image(path, place, shape, units=unit) for place in places]
            mean = times[0] if len(times) == 1 else sum(times[1:], times[0]) / len(times)
            images[name] = mean.assign_attrs(times[0].attrs)
    for entry, (name, given) in _FIELDS.items():
        if entry in detectors[0].datasets:
            field = flat_image(path, f"{detectors[0].place}/Data/{entry}", shape)
            images[name] = field if given is None else field.assign_attrs(units=given)
    return images


def _electron_images(
    path: Path, item: Slice, map_header: Header, shape: tuple[int, int]
) -> dict[str, xr.DataArray]:
    header = item.image_header
    if header is None or not item.electron_images:
        return {}
    images: dict[str, xr.DataArray] = {}
    own = header.cells() if {"X Cells", "Y Cells"} <= {*header.values} else None
    if own is None:
        _logger.warning(
            "%s: the electron images have no X Cells and Y Cells; they are taken to be of the "
            "map's size and left out where they aren't.",
            path,
        )
    size = own or shape
    on_grid = size == shape and _covers_map(map_header)
    for place in item.electron_images:
        if own is None and not _fits(path, place, shape):
            continue
        kind, name = place.split("/")[-2:]
        title = name if name.upper().startswith(kind) else f"{kind} {name}"
        image = flat_image(path, place, size, long_name=title)
        if on_grid and NAVIGATION not in images:
            images[NAVIGATION] = image
        else:
            coordinates = _coordinates(size, header, map_header)
            images[_name(title, images)] = image.assign_coords(coordinates)
    return images


def _fits(path: Path, place: str, shape: tuple[int, int]) -> bool:
    with opened(path, FORMAT) as file:
        return bool(dataset_at(file, place).size == math.prod(shape))


def _name(title: str, taken: Iterable[str]) -> str:
    own = [name for name, _ in (*_TIMES.values(), *_FIELDS.values())]
    return unused_name(title, [*taken, NAVIGATION, *own])


def _covers_map(map_header: Header) -> bool:
    """Whether the map is of the electron image's whole area, as far as the file says."""
    size = map_header.numbers("Relative Size") or (1.0, 1.0)
    return all(abs(part - 1) < _SAME_SIZE for part in size)


def _coordinates(size: tuple[int, int], header: Header, map_header: Header) -> dict[str, Any]:
    """Centres of an image's pixels in micrometres from that of the map's first pixel."""
    steps, map_steps = header.pixel_size(), map_header.pixel_size()
    if steps is None:
        return {}
    relative = map_header.numbers("Relative Offset")[:2]
    left, top = relative if len(relative) == len(size) else (0.0, 0.0)
    half = map_steps or steps
    return {
        axis: (
            axis,
            (np.arange(count) + 0.5 - share * count) * step - map_step / 2,
            {"units": "µm"},
        )
        for axis, count, step, map_step, share in zip(
            ("y", "x"), size, steps, half, (top, left), strict=True
        )
    }


def total_times(images: dict[str, xr.DataArray]) -> dict[str, float]:
    """Sums of the times of all pixels in seconds, as far as the file has them, by their names."""
    totals = {
        f"{name}_s": float(images[name].astype(np.float64).sum(skipna=True))
        for name, _ in _TIMES.values()
        if name in images
    }
    return {name: total for name, total in totals.items() if math.isfinite(total) and total > 0}
