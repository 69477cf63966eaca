"""The images of a mosaic, put together piece by piece when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.mosaic.composition.blocks import naming
from sigma_scale.mosaic.composition.ownership import Window, owners_of, touching
from sigma_scale.spectra.image import NAVIGATION

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.mosaic.composition.source import MosaicSource

    Floats = NDArray[np.floating[Any]]

__all__ = ["dose_image", "navigation_image", "sum_image", "tile_image"]

_SIDE = 1024
"""Pixels along the side of a piece: some tiles, and few tasks."""


def tile_image(source: MosaicSource, scale: tuple[tuple[float, float], str]) -> xr.DataArray:
    """
    Number of the tile that each pixel is taken from.

    Parameters
    ----------
    source : MosaicSource
        The mosaic's counts.
    scale : tuple
        Height and width of a pixel, and their unit.

    Returns
    -------
    xarray.DataArray, shape (y, x), int32
        -1 where there is no tile; ``attrs["tiles"]`` are their names. Where counts of several are
        summed it is the one that the pixel lies deepest in.
    """
    names = [tile.name for tile in source.plan.tiles]
    attrs = {"long_name": "tile", "tiles": names}
    return _lazy(source, scale, "tile", _tile_numbers, of_type=np.int32, attrs=attrs)


def navigation_image(
    source: MosaicSource, scale: tuple[tuple[float, float], str], dtype: np.dtype[Any]
) -> xr.DataArray:
    """
    Navigation images of the tiles, each pixel from the tile that it lies deepest in.

    Parameters
    ----------
    source, scale
        See :func:`tile_image`.
    dtype : numpy.dtype
        Type that holds the grey levels of all tiles.

    Returns
    -------
    xarray.DataArray, shape (y, x)
        0 where there is no tile, or its file has no such image.
    """
    attrs = {"long_name": "navigation image"}
    return _lazy(
        source, scale, NAVIGATION, _pasted, of_type=dtype, attrs=attrs, grey=np.dtype(dtype)
    )


def dose_image(
    source: MosaicSource, scale: tuple[tuple[float, float], str], doses: Any, token: str
) -> xr.DataArray:
    """
    Relative dose of each pixel, summed over tiles where their counts are.

    Parameters
    ----------
    source, scale
        See :func:`tile_image`.
    doses : array or dask.delayed.Delayed, shape (tile,)
        Relative doses of the tiles.
    token : str
        What they depend on.

    Returns
    -------
    xarray.DataArray, shape (y, x), float32
        1 where there is no tile.
    """
    attrs = {"long_name": "relative dose"}
    return _lazy(
        source,
        scale,
        f"dose-{token}",
        _doses,
        of_type=np.float32,
        attrs=attrs,
        name="dose",
        values=doses,
    )


def sum_image(
    source: MosaicSource,
    scale: tuple[tuple[float, float], str],
    name: str,
    values: NDArray[np.float64],
    attrs: dict[str, str],
) -> xr.DataArray:
    """
    Sum of a value over all tiles that have a pixel in common.

    Parameters
    ----------
    source, scale
        See :func:`tile_image`.
    name : str
        Name of the image.
    values : numpy.ndarray, shape (tile,), float64
        The tiles' values.
    attrs : dict
        Attributes of the image.

    Returns
    -------
    xarray.DataArray, shape (y, x), float32
        0 where there is no tile.
    """
    token = f"{name}-{values.tobytes().hex()}"
    return _lazy(
        source, scale, token, _added, of_type=np.float32, attrs=attrs, name=name, values=values
    )


def _lazy(
    source: MosaicSource,
    scale: tuple[tuple[float, float], str],
    token: str,
    paint: Callable[..., NDArray[Any]],
    *,
    of_type: Any,
    attrs: dict[str, Any],
    name: str | None = None,
    **arguments: Any,
) -> xr.DataArray:
    import dask.array as da
    import xarray as xr
    from dask.base import tokenize

    (height, width), unit = scale
    rows, columns = source.plan.shape
    chunks = da.core.normalize_chunks((_SIDE, _SIDE), (rows, columns))
    data = da.map_blocks(
        _paint,
        name=f"mosaic-{name or token}-{tokenize(source, token)}",
        chunks=chunks,
        dtype=of_type,
        meta=np.empty((0, 0), dtype=of_type),
        paint=paint,
        source=source,
        **arguments,
    )
    coords = {
        "y": ("y", np.arange(rows) * height, {"units": unit}),
        "x": ("x", np.arange(columns) * width, {"units": unit}),
    }
    return xr.DataArray(data, dims=("y", "x"), coords=coords, name=name or token, attrs=attrs)


def _paint(
    paint: Callable[..., NDArray[Any]],
    source: MosaicSource,
    block_id: tuple[int, int],
    **arguments: Any,
) -> NDArray[Any]:
    rows, columns = source.plan.shape
    top, left = block_id[0] * _SIDE, block_id[1] * _SIDE
    window = Window(top, min(top + _SIDE, rows), left, min(left + _SIDE, columns))
    return paint(source, window, **arguments)


def _tile_numbers(source: MosaicSource, window: Window) -> NDArray[Any]:
    return owners_of(source.plan.boxes, window).tile_numbers()


def _doses(source: MosaicSource, window: Window, values: Floats) -> NDArray[Any]:
    if source.plan.overlap == "sum":
        summed = _added(source, window, values)
        summed[_added(source, window, np.ones(len(source.plan.tiles))) == 0] = 1.0
        return summed
    owners = owners_of(source.plan.boxes, window)
    of_index = np.append(np.asarray(values)[owners.numbers], 1.0).astype(np.float32)
    doses: NDArray[Any] = of_index[owners.owner]
    return doses


def _added(source: MosaicSource, window: Window, values: Floats) -> NDArray[Any]:
    total = np.zeros(window.shape)
    boxes = source.plan.boxes
    for number in touching(boxes, window):
        top, bottom, left, right = boxes[number]
        rows = slice(max(top - window.top, 0), bottom - window.top)
        columns = slice(max(left - window.left, 0), right - window.left)
        total[rows, columns] += values[number]
    return total.astype(np.float32)


def _pasted(source: MosaicSource, window: Window, grey: np.dtype[Any]) -> NDArray[Any]:
    from dask.base import is_dask_collection as is_dask

    picture = np.zeros(window.shape, dtype=grey)
    owners = owners_of(source.plan.boxes, window)
    for index, number in enumerate(owners.numbers.tolist()):
        found = source.open_tile(number).images.get(NAVIGATION)
        if found is None:
            continue
        top, bottom, left, right = owners.boxes[index].tolist()
        y, x = source.plan.tiles[number].offset
        down, across = window.top - y, window.left - x
        part: Any = found.data[top + down : bottom + down, left + across : right + across]
        with naming(source.tiles[number]):
            # This is one task of many already.
            values = np.asarray(part.compute(scheduler="sync") if is_dask(part) else part)
        own = owners.owner[top:bottom, left:right] == index
        picture[top:bottom, left:right][own] = values[own]
    return picture
