"""
Sums in energy windows as products of sparse matrices, on a GPU by CuPy.

The code is the same for NumPy with SciPy, which it is tested with where there is no GPU. Blocks
are unpacked by the processor; the sums are made where the arrays are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale.spectra.passes import blocks_of_region, plan_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sigma_scale.spectra.source import BlockSource

__all__ = ["ArrayLibrary", "array_library", "region_sums"]


class ArrayLibrary(NamedTuple):
    """Dense and sparse arrays of one kind, and the way back to NumPy."""

    dense: Any
    sparse: Any
    to_numpy: Callable[[Any], NDArray[Any]]


def array_library(engine: str) -> ArrayLibrary:
    """
    Libraries of an engine.

    Parameters
    ----------
    engine : {"cpu", "gpu"}
        As :func:`sigma_scale.engines.choose_engine` returns it.

    Returns
    -------
    ArrayLibrary
        NumPy and SciPy, or CuPy.
    """
    if engine == "gpu":
        import cupy
        import cupyx.scipy.sparse

        return ArrayLibrary(cupy, cupyx.scipy.sparse, cupy.asnumpy)
    import scipy.sparse

    return ArrayLibrary(np, scipy.sparse, np.asarray)


def region_sums(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    bin_factors: tuple[int, int],
    windows: Sequence[range],
    engine: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Sum a region's counts in energy windows per bin, and over all pixels per channel.

    Sums of integers are exact up to 2**53; those of floats depend in their last digits on the
    order in which a GPU adds.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    limits : tuple of int
        First and last-plus-one row and column of the region in pixels.
    bin_factors : tuple of int
        Pixels per bin in y and x.
    windows : sequence of range
        Channels of each window; they may overlap.
    engine : {"cpu", "gpu"}
        Where the sums are made.

    Returns
    -------
    sums : numpy.ndarray, shape (rows, columns, windows), float64
        Counts per bin and window; incomplete bins at the end are left out.
    spectrum : numpy.ndarray, shape (channels,), float64
        Counts of all pixels, those of incomplete bins too.

    Raises
    ------
    CorruptChunkError
        If a block is damaged.
    """
    library = array_library(engine)
    n_channels = source.shape[2]
    inside = np.zeros((n_channels, len(windows)))
    for number, window in enumerate(windows):
        inside[window.start : window.stop, number] = 1
    weights = library.dense.asarray(inside)
    spectrum = library.dense.zeros(n_channels)
    top, bottom, left, right = limits
    rows, columns = (
        bottom // bin_factors[0] - top // bin_factors[0],
        right // bin_factors[1] - left // bin_factors[1],
    )
    sums = np.empty((rows, columns, len(windows)))
    # Tile by tile, so that the sums per pixel of one tile are all that is held before binning.
    tiles = plan_regions(source, bin_factors, limits=limits, target=1)
    y = 0
    for i, height in enumerate(tiles.binned_chunks[0]):
        x = 0
        for j, width in enumerate(tiles.binned_chunks[1]):
            of_pixels = _tile_sums(source, tiles.limits(i, j), weights, spectrum, library)
            binned = _binned(of_pixels, bin_factors, (height, width))
            sums[y : y + height, x : x + width] = library.to_numpy(binned)
            x += width
        y += height
    return sums, library.to_numpy(spectrum)


def _tile_sums(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    weights: Any,
    spectrum: Any,
    library: ArrayLibrary,
) -> Any:
    """Sums per pixel and window of a tile; its counts are added to ``spectrum``."""
    top, bottom, left, right = limits
    xp = library.dense
    sums = xp.zeros((bottom - top, right - left, weights.shape[1]))
    for block, (y, x), (first, last, start, stop) in blocks_of_region(source, limits):
        csr = block.window(slice(first, last), slice(start, stop)).to_csr()
        # Sparse matrices of CuPy hold floats, and their indices have 32 bits.
        counts = xp.asarray(csr.data.astype(np.float64))
        indices = xp.asarray(csr.indices.astype(np.int32))
        starts = xp.asarray(csr.indptr.astype(np.int32))
        matrix = library.sparse.csr_matrix((counts, indices, starts), shape=csr.shape)
        place = sums[y + first - top : y + last - top, x + start - left : x + stop - left]
        place[...] = (matrix @ weights).reshape(place.shape)
        spectrum += xp.bincount(indices, weights=counts, minlength=spectrum.size)
    return sums


def _binned(sums: Any, bin_factors: tuple[int, int], shape: tuple[int, int]) -> Any:
    """Sums of complete bins."""
    height, width = shape
    complete = sums[: height * bin_factors[0], : width * bin_factors[1]]
    return complete.reshape(height, bin_factors[0], width, bin_factors[1], -1).sum(axis=(1, 3))
