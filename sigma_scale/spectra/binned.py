"""Processed spectra of a few pixels at a time, as sparse matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.spectra.passes import blocks_of_region
from sigma_scale.spectra.window_sums import spectrum_dtype

if TYPE_CHECKING:
    import scipy.sparse as sp
    from numpy.typing import NDArray

    from sigma_scale.spectra.processing import Processing
    from sigma_scale.spectra.source import BlockSource

__all__ = ["dense_region", "processed_region"]


def processed_region(
    source: BlockSource, limits: tuple[int, int, int, int], processing: Processing
) -> sp.csr_array:
    """
    Processed spectra of the complete bins of a region.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    limits : tuple of int
        First and last-plus-one row and column in pixels; the first ones begin a bin.
    processing : Processing
        Steps to apply.

    Returns
    -------
    scipy.sparse.csr_array, shape (bins, channels), uint64, or float64 if normalised or of floats
        Bins in row-major order.
    """
    import scipy.sparse as sp

    top, bottom, left, right = limits
    factor_y, factor_x = processing.bin_factors
    rows, columns = bottom // factor_y - top // factor_y, right // factor_x - left // factor_x
    dtype = spectrum_dtype(source.dtype)
    total = sp.csr_array((rows * columns, source.shape[2]), dtype=dtype)
    for block, (y, x), (row0, row1, column0, column1) in blocks_of_region(source, limits):
        height, width = block.shape[:2]
        bin_row = np.arange(y - top, y - top + height) // factor_y
        bin_column = np.arange(x - left, x - left + width) // factor_x
        used_row = (np.arange(height) >= row0) & (np.arange(height) < row1) & (bin_row < rows)
        used_column = (
            (np.arange(width) >= column0) & (np.arange(width) < column1) & (bin_column < columns)
        )
        pixels = np.flatnonzero(used_row[:, None] & used_column)
        bins = (bin_row[:, None] * columns + bin_column).ravel()[pixels]
        ones = np.ones(pixels.size, dtype=dtype)
        gather = sp.csr_array((ones, (bins, pixels)), shape=(rows * columns, height * width))
        total = total + gather @ block.to_csr()
    return _apply(sp.csr_array(total), processing)


def _apply(matrix: sp.csr_array, processing: Processing) -> sp.csr_array:
    import scipy.sparse as sp

    if processing.total_from is not None:
        sums = matrix[:, processing.total_from :].sum(axis=1).astype(np.float64)
        inverse = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
        matrix = sp.csr_array(sp.diags_array(inverse) @ matrix)
    if processing.zeroed_below:
        matrix.data[matrix.indices < processing.zeroed_below] = 0
        matrix.eliminate_zeros()
    return matrix


def dense_region(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    processing: Processing,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Processed spectra of a region's bins as an array of shape (y, x, channel)."""
    factor = processing.bin_factors[0]
    rows = limits[1] // factor - limits[0] // factor
    matrix = processed_region(source, limits, processing).astype(dtype)
    dense: NDArray[Any] = matrix.toarray().reshape(rows, -1, source.shape[2])
    return dense
