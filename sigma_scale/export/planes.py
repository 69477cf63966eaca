"""
Maps as the planes of an image: what other programs know, with names and the size of a pixel.

Labels are shifted by one on the way: in files, 0 is the background (noise, or no phase) and
``label + 1`` is a phase. Most programs take 0 for the background, and many formats have no
negative numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError

if TYPE_CHECKING:
    import dask.array as da
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Planes", "file_labels", "labels_dtype", "name_of", "pixel_size"]

_DIMS = ("y", "x")
_STEP_TOLERANCE = 1e-3
_LARGEST_EXACT = 2**53
_NARROWER = {"f2": "f4", "b1": "u1", "i8": "f8", "u8": "f8"}
"""Types that other programs don't know, and what takes their place."""


@dataclass(frozen=True, eq=False)
class Planes:
    """
    A map as a stack of planes.

    Parameters
    ----------
    data : dask.array.Array, shape (plane, y, x)
        Values, of a type that image formats know: integers of up to 32 bits, or floats of 32 or
        64. Nothing is computed yet.
    names : tuple of str
        Names of the planes, such as X-ray lines; empty for a single map without that dimension.
    dim : str
        What the planes are, such as ``"line"``; empty for a single map.
    pixel_size : tuple of float, optional
        Height and width of a pixel in micrometres; None where the map has no scale.
    origin : tuple of float
        Position of the first pixel's centre in micrometres, or in pixels.
    title : str
        Name of the map.
    is_labels : bool
        Whether the values are numbers of phases, plus one.
    """

    data: da.Array
    names: tuple[str, ...]
    dim: str
    pixel_size: tuple[float, float] | None
    origin: tuple[float, float]
    title: str
    is_labels: bool = False

    @classmethod
    def of_maps(cls, maps: xr.DataArray, *, title: str | None = None) -> Planes:
        """
        Planes of maps with values.

        Parameters
        ----------
        maps : xarray.DataArray, shape (y, x) or (y, x, plane)
            Numbers or truth values; lazy or not.
        title : str, optional
            Name of the maps; None: that of the array.

        Raises
        ------
        ParameterError
            If the dimensions are others, the values are no real numbers, or pixels are unequal.
        EmptyMapError
            If there are no pixels or planes.
        """
        dim = _plane_dim(maps)
        ordered = maps.transpose(dim, *_DIMS) if dim else maps.transpose(*_DIMS)
        data = _known_type(_lazy(ordered), name_of(maps, "map"))
        return cls(
            data if dim else data[None],
            tuple(str(name) for name in ordered[dim].to_numpy()) if dim else (),
            dim,
            pixel_size(maps),
            _origin(maps),
            name_of(maps, "map") if title is None else title,
        )

    @classmethod
    def of_labels(cls, labels: xr.DataArray, *, title: str | None = None) -> Planes:
        """
        The one plane of a label map.

        Parameters
        ----------
        labels : xarray.DataArray, shape (y, x), integer
            Phase of each pixel; negative ones belong to none.
        title : str, optional
            Name of the map; None: that of the array.

        Raises
        ------
        ParameterError
            If there are other dimensions, or labels are no whole numbers.
        EmptyMapError
            If there are no pixels.
        """
        if labels.dtype.kind not in "iu":
            raise ParameterError(f"Labels must be whole numbers, not {labels.dtype}.")
        if _plane_dim(labels):
            raise ParameterError(f"Labels have the dimensions (y, x), not {labels.dims}.")
        dtype = labels_dtype(labels)
        shift: Any = _lazy(labels.transpose(*_DIMS)).map_blocks
        data = shift(file_labels, to=dtype, dtype=dtype)
        return cls(
            data[None],
            (),
            "",
            pixel_size(labels),
            _origin(labels),
            name_of(labels, "labels") if title is None else title,
            is_labels=True,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of planes, rows and columns."""
        planes, rows, columns = self.data.shape
        return int(planes), int(rows), int(columns)


def name_of(maps: xr.DataArray, otherwise: str) -> str:
    """Name of an array, or another text where it has none."""
    return otherwise if maps.name is None else str(maps.name)


def labels_dtype(labels: xr.DataArray) -> np.dtype[Any]:
    """
    Smallest unsigned type that holds all labels plus one; reads the labels once.

    Raises
    ------
    ParameterError
        If there are too many.
    """
    highest = int(np.asarray(_lazy(labels).max().compute())) + 1
    for name in ("u1", "u2", "u4"):
        if highest <= np.iinfo(name).max:
            return np.dtype(name)
    raise ParameterError(f"There is a label {highest - 1:,}; at most {2**32 - 2:,} can be written.")


def file_labels(labels: NDArray[Any], to: Any) -> NDArray[Any]:
    """Labels as they are in files: 0 for those below 0, and one more for all others."""
    shifted = np.zeros(labels.shape, to)
    inside = labels >= 0
    # In the wider type first: 255 as uint8 has no room for one more.
    shifted[inside] = (labels[inside].astype(np.uint64) + np.uint64(1)).astype(to)
    return shifted


def pixel_size(maps: xr.DataArray) -> tuple[float, float] | None:
    """
    Height and width of a pixel in micrometres after the coordinates.

    Parameters
    ----------
    maps : xarray.DataArray
        With the dimensions y and x.

    Returns
    -------
    tuple of float or None
        None where a coordinate is missing, is not in micrometres, or both have one pixel only. A
        map of one row or column has square pixels.

    Raises
    ------
    ParameterError
        If pixels have unequal sizes.
    """
    steps = [_step(maps, name) for name in _DIMS]
    if any(name not in maps.coords or _units(maps, name) != "µm" for name in _DIMS):
        return None
    known = [step for step in steps if step is not None]
    if not known:
        return None
    return known[0], known[-1]


def _units(maps: xr.DataArray, name: str) -> str:
    return str(maps.coords[name].attrs.get("units", "")).replace("μ", "µ")


def _step(maps: xr.DataArray, name: str) -> float | None:
    if name not in maps.coords or maps.sizes[name] < 2:  # noqa: PLR2004
        return None
    values = maps.coords[name].to_numpy().astype(np.float64)
    step = float(values[-1] - values[0]) / (len(values) - 1)
    if (
        not np.isfinite(step)
        or step == 0
        or np.any(np.abs(np.diff(values) - step) > _STEP_TOLERANCE * abs(step))
    ):
        raise ParameterError(
            f"The coordinate {name} of {name_of(maps, 'the map')} doesn't go in equal steps, and "
            "images have pixels of one size. Drop the coordinate, or interpolate the map."
        )
    return abs(step)


def _origin(maps: xr.DataArray) -> tuple[float, float]:
    if pixel_size(maps) is None:
        return 0.0, 0.0
    first = [float(maps.coords[d].to_numpy()[0]) if d in maps.coords else 0.0 for d in _DIMS]
    return first[0], first[1]


def _plane_dim(maps: xr.DataArray) -> str:
    """Dimension that is neither y nor x, or an empty text."""
    others = [str(dim) for dim in maps.dims if dim not in _DIMS]
    if not set(_DIMS) <= set(maps.dims) or len(others) > 1:
        raise ParameterError(
            f"A map has the dimensions y, x and at most one other, not {maps.dims}. Choose a part "
            "of it with isel, or rename its dimensions."
        )
    if 0 in maps.shape:
        raise EmptyMapError(f"The map {name_of(maps, '')} has no pixels: shape {maps.shape}.")
    return others[0] if others else ""


def _lazy(maps: xr.DataArray) -> da.Array:
    import dask.array as da

    if maps.chunks is not None:
        lazy: da.Array = maps.data
        return lazy
    whole: da.Array = da.from_array(maps.to_numpy(), chunks=(*(1,) * (maps.ndim - 2), 1024, 1024))
    return whole


def _known_type(data: da.Array, name: str) -> da.Array:
    """Values in a type that image formats have."""
    kind = f"{data.dtype.kind}{data.dtype.itemsize}"
    if data.dtype.kind not in "biuf" or data.dtype.itemsize > 8:  # noqa: PLR2004
        raise ParameterError(
            f"Values of the type {data.dtype} can't be written as an image ({name}). Convert them "
            "to integers or floats."
        )
    target = _NARROWER.get(kind)
    if target is None:
        known: da.Array = data.astype(data.dtype.newbyteorder("="))
        return known
    convert: Any = data.map_blocks
    converted: da.Array = convert(
        _converted, to=np.dtype(target), name_of_map=name, dtype=np.dtype(target)
    )
    return converted


def _converted(block: NDArray[Any], *, to: np.dtype[Any], name_of_map: str) -> NDArray[Any]:
    if (
        block.dtype.kind in "iu"
        and block.size
        and (int(block.max()) > _LARGEST_EXACT or int(block.min()) < -_LARGEST_EXACT)
    ):
        raise ParameterError(
            f"{name_of_map} holds whole numbers beyond 2^53, which no type of image formats holds "
            "exactly. Convert them to floats first."
        )
    return block.astype(to)
