"""Sums that were written with the counts, so that showing a map needs no pass over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from sigma_scale.store.counts import SUM_SPECTRUM, TOTAL
from sigma_scale.store.layout import COUNTS
from sigma_scale.store.location import locate
from sigma_scale.store.places import place_at
from sigma_scale.store.stored import StoredCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource
    from sigma_scale.store.location import PathOrUrl

__all__ = ["size_of_counts", "stored_sum_spectrum", "stored_total"]


def size_of_counts(path: PathOrUrl) -> int:
    """
    Size of the counts of a store, in bytes.

    Parameters
    ----------
    path : path or URL
        The store.

    Returns
    -------
    int

    Raises
    ------
    StoreError
        If an object store can't be read.
    """
    return place_at(locate(path)).size(COUNTS)


def stored_total(source: BlockSource) -> NDArray[Any] | None:
    """
    Read the counts of each pixel.

    Parameters
    ----------
    source : BlockSource
        Counts of a map.

    Returns
    -------
    numpy.ndarray, shape (y, x), or None
        None where the counts are not in a store, or it lacks them.
    """
    return _read(source, TOTAL, source.shape[:2])


def stored_sum_spectrum(source: BlockSource) -> NDArray[Any] | None:
    """
    Read the sum of all spectra.

    Parameters
    ----------
    source : BlockSource
        Counts of a map.

    Returns
    -------
    numpy.ndarray, shape (energy,), or None
        None where the counts are not in a store, or it lacks it.
    """
    return _read(source, SUM_SPECTRUM, source.shape[2:])


def _read(source: BlockSource, name: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
    if not isinstance(source, StoredCounts):
        return None
    array = source.array
    group = zarr.open_group(
        array.store, path=array.path.rpartition("/")[0], mode="r", use_consolidated=False
    )
    found: Any = group.get(name)
    return np.asarray(found[...]) if getattr(found, "shape", None) == shape else None
