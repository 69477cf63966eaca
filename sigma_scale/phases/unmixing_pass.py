"""The pass over a map's counts that unmixes its pixels, region by region."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.spectra.binned import processed_region
from sigma_scale.spectra.passes import blocks_of_region, lazy_pass, plan_regions
from sigma_scale.spectra.processing import Processing
from sigma_scale.spectra.source import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dask.array as da
    import scipy.sparse as sp
    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource, SpectrumImage

__all__ = ["Fit", "lazy_amounts"]

_TILE_PIXELS = 128


class Abundances(NamedTuple):
    """What a region's pixels are made of."""

    amounts: NDArray[np.float32]
    """Shape (y, x, phase)."""
    residual: NDArray[np.float32]
    """Shape (y, x)."""


@dataclass(frozen=True)
class Fit:
    """
    How spectra are unmixed.

    Parameters
    ----------
    profiles : array, shape (channels, k), float64
        End-members, each of sum 1 over the channels used.
    used : array, shape (channels,), bool
        Channels that count.
    poisson : bool
        By the likelihood of Poisson counts instead of least squares.
    shares : bool
        Amounts of a pixel sum to 1.
    tolerance : float
        Of the Poisson form.
    """

    profiles: NDArray[np.float64]
    used: NDArray[np.bool_]
    poisson: bool
    shares: bool
    tolerance: float


def lazy_amounts(image: SpectrumImage, fit: Fit) -> tuple[da.Array, da.Array]:
    """
    Unmix every (binned) pixel, lazily; both results come from one pass if computed together.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing.
    fit : Fit
        End-members and what to do with them.

    Returns
    -------
    amounts : dask.array.Array, shape (y, x, k), float32
        Counts, or shares, of each end-member.
    residual : dask.array.Array, shape (y, x), float32
        Root mean square, or chi-square per degree of freedom.
    """
    import dask.array as da
    from dask.base import tokenize

    steps = image.processing
    plan = plan_regions(image.source, steps.bin_factors)
    token = tokenize(fit.profiles, fit.used, fit.poisson, fit.shares, fit.tolerance, steps)
    passes = lazy_pass(_unmix_region, image.source, plan, token, steps=steps, fit=fit)
    n_members = fit.profiles.shape[1]
    amounts = da.map_blocks(
        _take_amounts,
        passes,
        chunks=(*plan.binned_chunks, (n_members,)),
        new_axis=2,
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    residual = da.map_blocks(
        _take_residual,
        passes,
        chunks=plan.binned_chunks,
        dtype=np.float32,
        meta=np.empty((0, 0), np.float32),
    )
    return amounts, residual


def _take_amounts(holder: NDArray[np.object_]) -> NDArray[np.float32]:
    amounts: NDArray[np.float32] = holder[0, 0].amounts
    return amounts


def _take_residual(holder: NDArray[np.object_]) -> NDArray[np.float32]:
    residual: NDArray[np.float32] = holder[0, 0].residual
    return residual


def _unmix_region(
    source: BlockSource, limits: tuple[int, int, int, int], steps: Processing, fit: Fit
) -> Abundances:
    from sigma_scale.phases.least_squares_kernels import fit_least_squares
    from sigma_scale.phases.poisson_kernels import fit_poisson

    factor_y, factor_x = steps.bin_factors
    top, left = limits[0] // factor_y, limits[2] // factor_x
    shape = limits[1] // factor_y - top, limits[3] // factor_x - left
    n_members = fit.profiles.shape[1]
    amounts, residual = np.empty((*shape, n_members), np.float32), np.empty(shape, np.float32)
    lengths = np.linalg.norm(fit.profiles, axis=0)
    unit = fit.profiles / lengths
    total_from = -1 if steps.total_from is None else steps.total_from
    failures = 0
    for matrix, rows, columns in _rows_of_region(source, limits, steps.bin_factors):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        flat = np.empty((height * width, n_members), np.float32)
        left_over = np.empty(height * width, np.float32)
        streams = (matrix.indptr, matrix.indices, matrix.data)
        if fit.poisson:
            failures += fit_poisson(
                *streams, fit.profiles, fit.used, total_from, fit.tolerance, flat, left_over
            )
        else:
            # One unit of an end-member of unit length holds as many counts as it sums to.
            failures += fit_least_squares(
                *streams, unit, 1 / lengths, fit.used, total_from, flat, left_over
            )
        if fit.shares:
            whole = flat.sum(axis=1, keepdims=True)
            flat = np.divide(flat, whole, out=np.full_like(flat, np.nan), where=whole > 0)
        place = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        amounts[place] = flat.reshape(height, width, n_members)
        residual[place] = left_over.reshape(height, width)
    if failures:
        warnings.warn(
            f"{failures} pixels in rows {top} to {top + shape[0]}, columns {left} to "
            f"{left + shape[1]} did not reach the tolerance: their amounts are near the best, not "
            "the best. End-members that are more different, or a larger tolerance, help.",
            SigmaScaleWarning,
            stacklevel=2,
        )
    return Abundances(amounts, residual)


def _rows_of_region(
    source: BlockSource, limits: tuple[int, int, int, int], factors: tuple[int, int]
) -> Iterator[tuple[sp.csr_array, slice, slice]]:
    """Counts of a region's bins, some at a time, and the rows and columns of bins that they are."""
    if factors == (1, 1):
        for block, (y, x), (row0, row1, column0, column1) in blocks_of_region(
            source, limits, Scratch()
        ):
            part = block.window(slice(row0, row1), slice(column0, column1))
            yield part.to_csr(), slice(y + row0, y + row1), slice(x + column0, x + column1)
        return
    tiles = plan_regions(source, factors, limits=limits, target=_TILE_PIXELS)
    summing = Processing(bin_factors=factors)
    for i, j in np.ndindex(tiles.shape):
        matrix = processed_region(source, tiles.limits(i, j), summing)
        # In the order of channels, so that sums round alike however the map is cut.
        matrix.sum_duplicates()
        yield matrix, *tiles.bins(i, j)
