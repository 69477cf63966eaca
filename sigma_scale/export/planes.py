"""
Maps as the planes of an image: what other programs know, with names and the size of a pixel.

Labels are shifted by one on the way: in files, 0 is the background (noise, or no phase) and
``label + 1`` is a phase. Most programs take 0 for the background, and many formats have no
negative numbers. Regions are numbered in this way already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.export.scale import name_of, pixel_size

if TYPE_CHECKING:
    import dask.array as da
    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "Planes",
    "file_labels",
    "is_label_map",
    "labels_dtype",
]

_DIMS = ("y", "x")
_REGIONS = "region"
"""Name of a map of regions, as :func:`sigma_scale.phases.region_labels` gives it."""
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
        Whether the values are numbers of phases plus one, or of regions: names, not amounts.
    first : int
        What the number 1 stands for: phase 0, or region 1.
    """

    data: da.Array
    names: tuple[str, ...]
    dim: str
    pixel_size: tuple[float, float] | None
    origin: tuple[float, float]
    title: str
    is_labels: bool = False
    first: int = 0

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
            Phase of each pixel, negative ones belong to none; or regions, an array of the name
            ``region`` with 0 for none.
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
        first = 1 if labels.name == _REGIONS else 0
        dtype = labels_dtype(labels, first=first)
        shift: Any = _lazy(labels.transpose(*_DIMS)).map_blocks
        data = shift(file_labels, to=dtype, first=first, dtype=dtype)
        return cls(
            data[None],
            (),
            "",
            pixel_size(labels),
            _origin(labels),
            name_of(labels, "labels") if title is None else title,
            is_labels=True,
            first=first,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of planes, rows and columns."""
        planes, rows, columns = self.data.shape
        return int(planes), int(rows), int(columns)


def is_label_map(maps: xr.DataArray) -> bool:
    """Whether an array looks like phases or regions: whole numbers by such a name."""
    return maps.dtype.kind in "iu" and ("label" in str(maps.name) or maps.name == _REGIONS)


def labels_dtype(labels: xr.DataArray, *, first: int = 0) -> np.dtype[Any]:
    """
    Smallest unsigned type for all labels, the first one as 1; reads the labels once.

    Raises
    ------
    ParameterError
        If there are too many.
    """
    highest = int(np.asarray(_lazy(labels).max().compute())) + 1 - first
    for name in ("u1", "u2", "u4"):
        if highest <= np.iinfo(name).max:
            return np.dtype(name)
    raise ParameterError(
        f"There is a label {highest - 1 + first:,}; at most {2**32 - 2 + first:,} can be written."
    )


def file_labels(labels: NDArray[Any], to: Any, first: int = 0) -> NDArray[Any]:
    """Labels as they are in files: the first one is 1, and those below it are 0."""
    shifted = np.zeros(labels.shape, to)
    inside = labels >= first
    # In the wider type first: 255 as uint8 has no room for one more.
    shifted[inside] = (labels[inside].astype(np.uint64) + np.uint64(1 - first)).astype(to)
    return shifted


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
