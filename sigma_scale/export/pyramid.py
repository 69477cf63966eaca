"""
A map in several sizes, each half of the one before, as arrays of zarr.

They are written chunk by chunk: the first from the map itself, each further one from the one
before. A pixel of a smaller map is the mean of four, missing ones (NaN) left out; of labels, the
one that most of the four have, the first of them where none has more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    import zarr
    from numpy.typing import NDArray

    from sigma_scale.export.planes import Planes

__all__ = ["TILE", "halved", "level_shapes", "write_levels"]

TILE = 512
"""Rows and columns of a chunk."""
_BLOCK_BYTES = 32 * 2**20
_COPIES = 4  # as computed, converted, put together, compressed


def level_shapes(rows: int, columns: int) -> list[tuple[int, int]]:
    """
    Sizes of the maps of a pyramid.

    Parameters
    ----------
    rows, columns : int
        Size of the map.

    Returns
    -------
    list of tuple of int
        Rows and columns, from the map's own size down to one that fits a chunk.
    """
    shapes = [(rows, columns)]
    while max(shapes[-1]) > TILE:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


def write_levels(group: zarr.Group, planes: Planes, *, level: int = 3) -> list[zarr.Array[Any]]:
    """
    Write a map in all its sizes to arrays ``0``, ``1`` and so on.

    Parameters
    ----------
    group : zarr.Group
        Where to.
    planes : Planes
        The map.
    level : int, default: 3
        Effort of compression, 0 for none.

    Returns
    -------
    list of zarr.Array, shape (y, x) or (plane, y, x)
        The largest first.

    Raises
    ------
    MemoryLimitError
        If a few blocks don't fit the memory limit.
    """
    from zarr.codecs import BloscCodec

    n_planes, rows, columns = planes.shape
    compressor = BloscCodec(cname="zstd", clevel=level, shuffle="shuffle") if level else None
    stacked = bool(planes.dim)
    arrays: list[zarr.Array[Any]] = []
    for number, shape in enumerate(level_shapes(rows, columns)):
        chunk = (min(TILE, shape[0]), min(TILE, shape[1]))
        array = group.create_array(
            str(number),
            shape=(n_planes, *shape) if stacked else shape,
            dtype=planes.data.dtype,
            chunks=(1, *chunk) if stacked else chunk,
            fill_value=0,
            filters=None,
            compressors=compressor,
            dimension_names=("c", "y", "x") if stacked else ("y", "x"),
        )
        if number == 0:
            _write_first(array, planes)
        else:
            _write_halved(arrays[-1], array, labels=planes.is_labels)
        arrays.append(array)
    return arrays


def _write_first(array: zarr.Array[Any], planes: Planes) -> None:
    """Compute the map once, and write each of its blocks where it belongs."""
    n_planes = planes.shape[0]
    side = TILE
    itemsize = planes.data.dtype.itemsize
    while 4 * side**2 * n_planes * itemsize <= _BLOCK_BYTES:
        side *= 2
    compute.check_memory(
        compute.local_workers() * _COPIES * min(side, max(planes.shape[1:])) ** 2
        * n_planes * itemsize,
        what=f"The export of {planes.title}",
        remedy="Allow more memory, or export fewer maps at a time.",
    )  # fmt: skip
    # All planes together: they often come from one pass over the counts.
    blocks: Any = planes.data.rechunk((n_planes, side, side))
    written = blocks.map_blocks(
        _put, array, side=side, dtype=np.uint8, chunks=(1, 1, 1), meta=np.empty((0, 0, 0), np.uint8)
    )
    compute.run(written, description=f"Writing {planes.title}")


def _put(
    block: NDArray[Any],
    array: zarr.Array[Any],
    *,
    side: int,
    block_id: tuple[int, int, int] = (0, 0, 0),
) -> NDArray[np.uint8]:
    top, left = block_id[1] * side, block_id[2] * side
    place = (slice(top, top + block.shape[1]), slice(left, left + block.shape[2]))
    if array.ndim == 2:  # noqa: PLR2004
        array[place] = block[0]
    else:
        array[(slice(None), *place)] = block
    return np.zeros((1, 1, 1), np.uint8)


def _write_halved(source: zarr.Array[Any], target: zarr.Array[Any], *, labels: bool) -> None:
    places = [
        (*outer, top, left)
        for outer in np.ndindex(*target.shape[:-2])
        for top in range(0, target.shape[-2], TILE)
        for left in range(0, target.shape[-1], TILE)
    ]
    with progress_bar("Writing smaller sizes", total=len(places)) as bar:
        for count in compute.stream(
            _Halving(source, target, labels), places, description="Writing the pyramid"
        ):
            bar.update(count)


@dataclass(frozen=True)
class _Halving:
    """Writes a chunk of a smaller map."""

    source: Any
    target: Any
    labels: bool

    def __call__(self, place: tuple[int, ...]) -> int:
        *outer, top, left = place
        large: Any = self.source[
            (*outer, slice(2 * top, 2 * (top + TILE)), slice(2 * left, 2 * (left + TILE)))
        ]
        small = halved(large, labels=self.labels)
        rows, columns = small.shape
        self.target[(*outer, slice(top, top + rows), slice(left, left + columns))] = small
        return 1


def halved(values: NDArray[Any], *, labels: bool) -> NDArray[Any]:
    """
    A map of half the size.

    Parameters
    ----------
    values : array, shape (y, x)
        The map.
    labels : bool
        Take the value that most of four pixels have instead of their mean.

    Returns
    -------
    array, shape (ceil(y / 2), ceil(x / 2))
        Of the same type.
    """
    missing = [(0, size % 2) for size in values.shape]
    if labels:
        full = np.pad(values, missing, mode="edge")
        a, b, c, d = full[::2, ::2], full[::2, 1::2], full[1::2, ::2], full[1::2, 1::2]
        in_pairs_with_a = (a == b) | (a == c) | (a == d)
        others = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
        most: NDArray[Any] = np.where(in_pairs_with_a, a, others)
        return most
    valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=bool)
    sums = _four_summed(np.where(valid, values, 0).astype(np.float64), missing)
    counts = _four_summed(valid.astype(np.float64), missing)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    whole = means if values.dtype.kind == "f" else np.rint(means)
    small: NDArray[Any] = whole.astype(values.dtype)
    return small


def _four_summed(
    values: NDArray[np.float64], missing: list[tuple[int, int]]
) -> NDArray[np.float64]:
    full = np.pad(values, missing)
    rows, columns = full.shape
    sums: NDArray[np.float64] = full.reshape(rows // 2, 2, columns // 2, 2).sum(axis=(1, 3))
    return sums
