"""Rows of a latent map to fit a clustering on: all, or a sample that chunks don't change."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError
from sigma_scale.latent.rows import random_generator
from sigma_scale.latent.sketch import row_priorities

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.latent.rows import RandomState_

__all__ = ["LatentRows", "read_rows"]

_COPIES = 3
"""Of the rows: as they come, joined, and in their order."""
_ALL = 2**64


class LatentRows(NamedTuple):
    """
    Rows of a latent map.

    Attributes
    ----------
    numbers : numpy.ndarray, shape (m,), int64
        Their numbers ``y * width + x``, sorted.
    rows : numpy.ndarray, shape (m, n_components)
        Their coordinates, none of them NaN.
    share : float
        Share of the pixels that could be chosen; 1: all that have coordinates are there.
    """

    numbers: NDArray[np.int64]
    rows: NDArray[Any]
    share: float


def read_rows(
    latent: xr.DataArray, most: int | None = None, *, random_state: RandomState_ = None
) -> LatentRows:
    """
    Read the rows of a latent map, or a uniform sample of them.

    Each pixel is chosen or not by its number and the seed alone, so that a sample is the same
    however the map is chunked; it has about as many rows as were asked for.

    Parameters
    ----------
    latent : xarray.DataArray, shape (y, x, component)
        Latent coordinates, lazy or not. Pixels with NaN are left out.
    most : int, optional
        Rows to read at most, about. None: all.
    random_state : int, RandomState or None
        Seed of the sample.

    Returns
    -------
    LatentRows

    Raises
    ------
    EmptyMapError
        If no pixel has coordinates.
    MemoryLimitError
        If the rows of a lazy map don't fit.
    """
    height, width, n_components = latent.shape
    n_pixels = height * width
    share = 1.0 if most is None or n_pixels <= most else most / n_pixels
    limit = _ALL if share == 1.0 else int(share * _ALL)
    seed = 0 if limit == _ALL else _seed(random_state)
    if latent.chunks is None:
        found = [_chosen(latent.to_numpy(), (0, 0), width, limit, seed)]
    else:
        compute.check_memory(
            int(share * n_pixels) * _COPIES * (n_components * latent.dtype.itemsize + 8),
            what=f"Reading {int(share * n_pixels):,} pixels of the latent space",
            remedy="Give a smaller n_fit, and the other pixels are placed afterwards.",
        )
        found = _chosen_of_chunks(latent.data, width, limit, seed)
    numbers = np.concatenate([part for part, _ in found])
    rows = np.concatenate([part for _, part in found])
    if len(numbers) == 0:
        raise EmptyMapError("No pixel has latent coordinates: there is nothing to cluster.")
    if len(found) > 1:
        order = np.argsort(numbers)
        numbers, rows = numbers[order], rows[order]
    return LatentRows(numbers, rows, share)


def _chosen_of_chunks(data: Any, width: int, limit: int, seed: int) -> list[Any]:
    from dask.delayed import delayed

    values = data.rechunk({2: -1})
    starts = [np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist() for sizes in values.chunks[:2]]
    task = delayed(_chosen, pure=False)
    parts = [
        task(block, corner, width, limit, seed)
        for block, corner in zip(values.to_delayed().ravel(), product(*starts), strict=True)
    ]
    return list(compute.run(*parts, description="Reading the latent space"))


def _chosen(
    block: NDArray[Any], corner: tuple[int, int], width: int, limit: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Numbers and coordinates of the pixels of a block that are chosen."""
    top, left = corner
    rows = np.ascontiguousarray(block).reshape(-1, block.shape[2])
    down, across = np.arange(block.shape[0]), np.arange(block.shape[1])
    numbers = ((down[:, None] + top) * width + (across + left)).ravel().astype(np.int64)
    chosen = ~np.isnan(rows).any(axis=1)
    if limit < _ALL:
        chosen &= row_priorities(numbers, seed) < np.uint64(limit)
    return numbers[chosen], rows[chosen]


def _seed(random_state: RandomState_) -> int:
    if isinstance(random_state, int | np.integer):
        random_generator(int(random_state))  # refuses what is no seed
        return int(random_state)
    return int(random_generator(random_state).randint(0, 2**31))
