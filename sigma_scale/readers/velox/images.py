"""Images of a Velox file: of detectors, and the element maps that Velox made."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5.chunks import ChunkReader
from sigma_scale.readers.signals import unused_name
from sigma_scale.readers.velox.metadata import detector, detector_name, get, pixel_size
from sigma_scale.readers.velox.structure import (
    children,
    dataset,
    json_column,
    open_file,
    rows_of_json,
    text_or_none,
)
from sigma_scale.spectra.image import NAVIGATION

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    import h5py
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["StoredImage", "find_images", "image_arrays"]

_AT_ONCE = 4 * 2**20
"""Images of up to this many bytes, with all their frames, are read when the file is opened."""
_PIECE = 16 * 2**20
_DIMENSIONS = 3


@dataclass(frozen=True)
class StoredImage:
    """
    An image as the file holds it, which reads itself when sliced, as dask wants it.

    Parameters
    ----------
    path : pathlib.Path
        File.
    name : str
        Group of the image.
    shape : tuple of int
        Rows and columns.
    stored_dtype : numpy.dtype
        Type of a frame's pixels.
    member : str, optional
        Part of the pixels to take, such as the real one.
    frames : tuple of int
        First frame and the one after the last, which are summed.
    identity : tuple
        Resolved path, size and time of change of the file.
    texts : dict
        The first frame's text.
    title : str
        Name that a user knows it by.
    """

    path: Path
    name: str
    shape: tuple[int, int]
    stored_dtype: np.dtype[Any]
    member: str | None
    frames: tuple[int, int]
    identity: tuple[str, int, int]
    texts: dict[str, Any]
    title: str

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def n_frames(self) -> int:
        """Number of frames that are summed."""
        return self.frames[1] - self.frames[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel: as in the file for one frame, wide enough for the sum of several."""
        if self.n_frames == 1:
            return self.stored_dtype.newbyteorder("=")
        if self.stored_dtype.kind == "f":
            return np.dtype(np.float64)
        return np.dtype(np.int64 if self.stored_dtype.kind == "i" else np.uint64)

    @property
    def is_scanned(self) -> bool:
        """Whether it is of a scanning detector, such as HAADF, and not made from spectra."""
        kind = get(detector(self.texts), "DetectorType")
        return kind == "ScanningDetector" or any(
            mark in detector_name(self.texts).upper() for mark in ("HAADF", "DF", "BF")
        )

    def limited_to(self, frames: tuple[int, int], n_frames: int) -> StoredImage:
        """Sum of the frames of the spectra that are read, if it has as many as the spectra."""
        return replace(self, frames=frames) if self.n_frames == n_frames else self

    def __getitem__(self, key: Any) -> NDArray[Any]:
        with open_file(self.path) as file:
            data = dataset(file, f"{self.name}/Data")
            if data is None or data.shape[:2] != self.shape or data.shape[2] < self.frames[1]:
                raise FileFormatError(f"{self.path} was changed after it was opened.")
            return self._summed(data, key)

    def _summed(self, data: h5py.Dataset, key: Any) -> NDArray[Any]:
        """Sum of the frames, one frame at a time: each is usually stored by itself."""
        total: NDArray[Any] | None = None
        rows, columns = key if isinstance(key, tuple) and len(key) == self.ndim else (key, ...)
        reader = ChunkReader(data)
        for frame in range(*self.frames):
            part = reader.read((rows, slice(None), slice(frame, frame + 1)))[..., 0]
            if self.member is not None:
                part = part[self.member]
            part = part[..., columns].astype(self.dtype, copy=False)
            total = part if total is None else np.add(total, part, out=total)
        return np.empty((0, 0), dtype=self.dtype) if total is None else total

    def __dask_tokenize__(self) -> Hashable:
        return (type(self).__name__, self.identity, self.name, self.member, self.frames)


def find_images(file: h5py.File, path: Path, identity: tuple[str, int, int]) -> list[StoredImage]:
    """Images of an open file, in the order of the file, each as the sum of all its frames."""
    titles = _titles(file)
    found = []
    for key in children(file, "Data/Image"):
        name = f"Data/Image/{key}"
        data = dataset(file, f"{name}/Data")
        if data is None or data.ndim != _DIMENSIONS or 0 in data.shape:
            continue
        rows, columns, n_frames = (int(size) for size in data.shape)
        texts = _texts(file, name)
        title = titles.get(key) or detector_name(texts) or "image"
        for member in data.dtype.names or [None]:
            dtype = data.dtype if member is None else data.dtype[member]
            if dtype.kind in "iuf":
                found.append(
                    StoredImage(
                        path=path,
                        name=name,
                        shape=(rows, columns),
                        stored_dtype=dtype,
                        member=member,
                        frames=(0, n_frames),
                        identity=identity,
                        texts=texts,
                        title=title if member is None else f"{title} {member}",
                    )
                )
    return found


def _texts(file: h5py.File, name: str) -> dict[str, Any]:
    data = dataset(file, f"{name}/Metadata")
    try:
        return {} if data is None else json_column(data, 0)
    except (ValueError, RecursionError):
        # An image can be shown without knowing its scale.
        return {}


def _titles(file: h5py.File) -> dict[str, str]:
    """
    Labels that Velox shows images with, by the names of their groups.

    From version 11 on, a display names a reference, which names the image; before, a display
    named the image itself.
    """
    titles = {}
    for display in rows_of_json(file, "Displays/ImageDisplay"):
        reference = display.get("data")
        data = dataset(file, reference) if isinstance(reference, str) and reference else None
        target = None if data is None else text_or_none(data)
        if target is not None:
            titles[_last_part(target.get("dataPath"))] = str(display.get("id") or "")
    for display in rows_of_json(file, "Presentation/Displays/ImageDisplay"):
        label = get(display, "display", "label")
        titles.setdefault(_last_part(display.get("dataPath")), str(label or ""))
    return titles


def _last_part(path: Any) -> str:
    return str(path).rsplit("/", 1)[-1]


def image_arrays(images: list[StoredImage], map_shape: tuple[int, int]) -> dict[str, xr.DataArray]:
    """
    Images as arrays, lazy ones where they are large.

    The navigation image is the first of a scanning detector on the map's grid, or else the first
    on the grid.
    """
    on_grid = [image for image in images if image.shape == map_shape]
    navigation = next((image for image in on_grid if image.is_scanned), next(iter(on_grid), None))
    arrays: dict[str, xr.DataArray] = {}
    for image in images:
        if image is navigation:
            arrays[NAVIGATION] = _array(image, map_shape)
    for image in images:
        if image is not navigation:
            arrays[unused_name(image.title, arrays)] = _array(image, map_shape)
    return arrays


def _array(image: StoredImage, map_shape: tuple[int, int]) -> xr.DataArray:
    import xarray as xr

    size = math.prod(image.shape) * image.n_frames * image.stored_dtype.itemsize
    attrs: dict[str, Any] = {"long_name": image.title}
    if image.n_frames > 1:
        attrs["recipe"] = f"sum of frames {image.frames[0]} to {image.frames[1] - 1}"
    coords = {}
    pixel = pixel_size(image.texts)
    if image.shape != map_shape and pixel is not None:
        for name, count, step in zip(("y", "x"), image.shape, pixel, strict=True):
            coords[name] = (name, np.arange(count) * step, {"units": "µm"})
    data = image[:, :] if size <= _AT_ONCE else _lazy(image)
    return xr.DataArray(data, dims=("y", "x"), coords=coords, attrs=attrs)


def _lazy(image: StoredImage) -> Any:
    import dask.array as da

    row_bytes = image.shape[1] * max(image.dtype.itemsize, image.stored_dtype.itemsize)
    rows = min(image.shape[0], max(1, _PIECE // row_bytes))
    return da.from_array(image, chunks=(rows, image.shape[1]), meta=np.empty((0, 0), image.dtype))
