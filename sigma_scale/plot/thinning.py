"""Bring large maps down to the size of a screen, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from collections.abc import Hashable

    import dask.array as da
    import xarray as xr

__all__ = ["as_blocks", "block_mean", "block_mode", "thin"]

_BLOCK_PIXELS = 1024
_LAST = np.iinfo(np.int64).max

Method = Literal["mean", "mode", "stride"]


def thin(image: xr.DataArray, *, max_side: int = 2000, method: Method = "mean") -> xr.DataArray:
    """
    Shrink a map by whole factors so that no side exceeds a number of pixels.

    Parameters
    ----------
    image : xarray.DataArray with dims y and x and any others
        Map in memory or backed by dask.
    max_side : int, default: 2000
        Most pixels that a side may keep.
    method : {"mean", "mode", "stride"}, default: "mean"
        What stands for a block of pixels: their mean (float32, missing values left out), their
        most frequent value (for labels; where two are as frequent the smaller one, noise
        last), or the pixel in the middle of the block.

    Returns
    -------
    xarray.DataArray
        The map itself where it is small enough; else a smaller one whose coordinates are the
        centres of the blocks. It is lazy if `image` was, and each block of it needs only its
        own part of the map. Blocks at the right and lower edge may hold fewer pixels.

    Raises
    ------
    ParameterError
        If `max_side` is not positive, the method is unknown, or the mode of floats is asked.
    ShapeMismatchError
        If the array has no dimensions y and x.
    """
    import xarray as xr

    _check(image, max_side, method)
    factors = {dim: -(-image.sizes[dim] // max_side) for dim in ("y", "x")}
    if max(factors.values()) <= 1:
        return image
    if method == "stride":
        middle = {dim: slice((f - 1) // 2, None, f) for dim, f in factors.items()}
        return image.isel(middle)
    moved = image.transpose("y", "x", ...)
    blocks = as_blocks(moved, (factors["y"], factors["x"]))
    rest = blocks.chunks[2:]
    chunks = (
        *(
            tuple(-(-size // factors[dim]) for size in sizes)
            for dim, sizes in zip(("y", "x"), blocks.chunks, strict=False)
        ),
        *rest,
    )
    reduce: Any = block_mean if method == "mean" else block_mode
    dtype = np.dtype(np.float32) if method == "mean" else image.dtype
    small = blocks.map_blocks(
        reduce, factors["y"], factors["x"], dtype=dtype, chunks=chunks,
        meta=np.empty((0,) * moved.ndim, dtype),
    )  # fmt: skip
    result = xr.DataArray(
        small if image.chunks is not None else small.compute(scheduler="threads"),
        dims=moved.dims,
        coords=_coordinates(moved, factors),
        attrs=image.attrs,
        name=image.name,
    )
    return result.transpose(*image.dims)


def _check(image: xr.DataArray, max_side: int, method: str) -> None:
    """Refuse what cannot be thinned."""
    if not {"y", "x"} <= set(image.dims):
        msg = f"A map needs the dimensions 'y' and 'x', and this array has {image.dims}."
        raise ShapeMismatchError(msg)
    if max_side < 1:
        msg = f"max_side must be at least 1, and it is {max_side}."
        raise ParameterError(msg)
    if method not in {"mean", "mode", "stride"}:
        msg = f"method must be 'mean', 'mode' or 'stride', and it is {method!r}."
        raise ParameterError(msg)
    if method == "mode" and image.dtype.kind not in "iub":
        msg = f"The most frequent value is for labels (integers), and this map is {image.dtype}."
        raise ParameterError(msg)


def as_blocks(image: xr.DataArray, factors: tuple[int, int] = (1, 1)) -> da.Array:
    """
    Return a map, y and x first, as a dask array in chunks of whole thinning blocks.

    Parameters
    ----------
    image : xarray.DataArray, shape (y, x, ...)
        Map in memory or backed by dask.
    factors : (int, int), default: (1, 1)
        Rows and columns of a thinning block; chunks hold whole numbers of them.

    Returns
    -------
    dask.array.Array
        Chunks of about 1024 x 1024 pixels for a map in memory, near its own chunks otherwise.
    """
    import dask.array as da

    data = image.data
    old = image.chunks
    sides = (_BLOCK_PIXELS, _BLOCK_PIXELS) if old is None else (max(*old[0], 1), max(*old[1], 1))
    wanted = {
        axis: max(side // factor, 1) * factor
        for axis, (side, factor) in enumerate(zip(sides, factors, strict=True))
    }
    result: da.Array
    if old is None:
        chunks = (wanted[0], wanted[1], *image.shape[2:])
        # name=False: naming by content would read the whole array once more.
        result = da.from_array(data, chunks=chunks, name=False)
    else:
        result = da.rechunk(data, wanted)
    return result


def _coordinates(image: xr.DataArray, factors: dict[str, int]) -> dict[Hashable, Any]:
    """Return the coordinates of the thinned map; those of other dimensions are kept."""
    import xarray as xr

    kept: dict[Hashable, Any] = {
        name: coord for name, coord in image.coords.items() if not {"y", "x"} & set(coord.dims)
    }
    for dim, factor in factors.items():
        size = image.sizes[dim]
        start, step, attrs = 0.0, 1.0, {"units": "pixel"}
        if dim in image.coords:
            old = image[dim]
            start, attrs = float(old[0]), dict(old.attrs)
            step = (float(old[-1]) - start) / (size - 1) if size > 1 else 1.0
        blocks = np.arange(-(-size // factor))
        # All blocks count as whole, so that the last one lies where the grid says.
        centres = start + step * (blocks * factor + (factor - 1) / 2)
        kept[dim] = xr.DataArray(centres, dims=dim, attrs=attrs)
    return kept


def block_mean(block: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[np.float32]:
    """
    Average blocks of pixels, leaving out missing ones.

    Parameters
    ----------
    block : ndarray, shape (y, x, ...)
        Part of a map.
    rows, columns : int
        Size of the blocks; those at the end may be smaller.

    Returns
    -------
    ndarray, shape (ceil(y / rows), ceil(x / columns), ...), float32
        NaN where a block has no finite pixel.
    """
    starts = np.arange(0, block.shape[0], rows), np.arange(0, block.shape[1], columns)
    finite = np.isfinite(block)

    def total(values: npt.NDArray[Any], dtype: type[Any]) -> npt.NDArray[Any]:
        by_row = np.add.reduceat(values, starts[0], axis=0, dtype=dtype)
        result: npt.NDArray[Any] = np.add.reduceat(by_row, starts[1], axis=1)
        return result

    sums = total(block if finite.all() else np.where(finite, block, 0), np.float64)
    counts = total(finite, np.int64)
    means = np.full(sums.shape, np.nan, dtype=np.float64)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means.astype(np.float32)


def block_mode(block: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
    """
    Find the most frequent label of blocks of pixels.

    Parameters
    ----------
    block : ndarray of integers, shape (y, x, ...)
        Part of a label map; -1 is noise.
    rows, columns : int
        Size of the blocks; those at the end may be smaller.

    Returns
    -------
    ndarray, shape (ceil(y / rows), ceil(x / columns), ...), dtype of `block`
        Where labels are equally frequent the smallest one, noise only if it has the majority.
    """
    whole_y, whole_x = block.shape[0] // rows * rows, block.shape[1] // columns * columns
    upright = [(slice(0, whole_y), rows), (slice(whole_y, None), block.shape[0] - whole_y)]
    across = [(slice(0, whole_x), columns), (slice(whole_x, None), block.shape[1] - whole_x)]
    bands = [
        np.concatenate([_whole_mode(block[ys, xs], r, c) for xs, c in across if c], axis=1)
        for ys, r in upright
        if r
    ]
    return np.concatenate(bands, axis=0).astype(block.dtype, copy=False)


def _whole_mode(block: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[np.int64]:
    """Find the most frequent label of blocks that divide the array."""
    shape = (block.shape[0] // rows, block.shape[1] // columns)
    rest = block.shape[2:]
    if 0 in shape:
        return np.empty((*shape, *rest), dtype=np.int64)
    tiles = block.reshape(shape[0], rows, shape[1], columns, *rest)
    members = np.moveaxis(tiles, (1, 3), (-2, -1)).reshape(*shape, *rest, rows * columns)
    ordered = np.where(members == -1, _LAST, members.astype(np.int64, copy=False))
    ordered.sort(axis=-1)
    members_per_tile = rows * columns
    flat = ordered.reshape(-1, members_per_tile)
    fresh = np.ones(flat.shape, dtype=bool)
    np.not_equal(flat[:, 1:], flat[:, :-1], out=fresh[:, 1:])
    starts = np.flatnonzero(fresh)
    lengths = np.diff(starts, append=flat.size)
    tile = starts // members_per_tile
    longest = np.maximum.reduceat(lengths, np.flatnonzero(starts % members_per_tile == 0))
    winners = np.flatnonzero(lengths == longest[tile])
    # The first of a tile's longest runs: the smallest label, and noise, sorted last, only alone.
    first = winners[np.unique(tile[winners], return_index=True)[1]]
    best = flat.ravel()[starts[first]].reshape(*shape, *rest)
    return np.where(best == _LAST, -1, best)
