"""Compiled loops over X-ray events that add up spectra of phases that share pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sigma_scale.phases.spectra_kernels import LANES
from sigma_scale.spectra.kernels import channel_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UIntArray = NDArray[np.unsignedinteger[Any]]

__all__ = ["add_soft_spectra", "count_memberships"]

_U = np.uint64


@njit(nogil=True, cache=True)
def add_soft_spectra(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    row_start: NDArray[np.int64],
    column_start: NDArray[np.int64],
    numbers: NDArray[np.int32],
    memberships: NDArray[Any],
    threshold: float,
    totals: NDArray[Any],
    table: NDArray[np.float64],
) -> np.uint64:
    """
    Add a block's spectra to those of all phases, each with the weight that it has in the pixel.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        The block's streams.
    row_start, column_start : array, shape (rows,) and (columns,), int64
        Where bins are; see :mod:`sigma_scale.phases.spectra_kernels`.
    numbers : array, flat, int32
        Map of bins; those with negative numbers are left out.
    memberships : array, shape (bins, phases)
        How much of each bin belongs to each phase.
    threshold : float
        Memberships above it weigh 1, others nothing; negative: each weighs what it is.
    totals : array, flat
        As in :func:`~sigma_scale.phases.spectra_kernels.add_spectra`.
    table : array, shape (slots, 4 * phases), float64
        Sums as ``add_spectra`` makes them, those of a channel beside each other; the number of
        slots is a power of two.

    Returns
    -------
    int
        Highest channel that was met; if the map has none such, the block is damaged.
    """
    n_phases = _U(memberships.shape[1])
    mask = _U(table.shape[0] - 1)
    factors = np.empty(table.shape[1])
    highest = _U(0)
    k, p = _U(0), _U(0)
    for y in range(_U(row_start.size)):
        for x in range(_U(column_start.size)):
            end = k + _U(per_pixel[p])
            p += _U(1)
            at = row_start[y] + column_start[x]
            if at >= 0 and numbers[_U(at)] >= 0:
                total = np.float64(totals[_U(at)])
                for phase in range(n_phases):
                    w = _weight(memberships[_U(at), phase], threshold)
                    share = w / total if total > 0 else 0.0
                    first = _U(LANES) * phase
                    factors[first] = w
                    factors[first + _U(1)] = w * w
                    factors[first + _U(2)] = share
                    factors[first + _U(3)] = share * share
                channel = _U(0)
                for j in range(k, end):
                    channel += channel_step(gap_low, gap_high, j)
                    count = np.float64(counts[j])
                    sums = table[channel & mask]
                    for lane in range(_U(factors.size)):
                        sums[lane] += factors[lane] * count
                highest = max(highest, channel)
            k = end
    return highest


@njit(nogil=True, cache=True)
def _weight(membership: float, threshold: float) -> float:
    """Weight of a membership; none of NaN."""
    if threshold >= 0:
        return 1.0 if membership > threshold else 0.0
    return np.float64(membership) if membership > 0 else 0.0


@njit(nogil=True, cache=True)
def count_memberships(
    memberships: NDArray[Any],
    threshold: float,
    taken: NDArray[np.int32],
    n_pixels: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> np.int64:
    """
    Count the bins that weigh something in each phase, and add up their weights.

    Parameters
    ----------
    memberships : array, shape (bins, phases)
        How much of each bin belongs to each phase.
    threshold : float
        As in :func:`add_soft_spectra`.
    taken : array, shape (bins,), int32
        0 for bins with a weight in any phase and -1 for others, to write.
    n_pixels, weight : array, shape (phases,)
        To add to.

    Returns
    -------
    int
        First bin with a membership below 0 or above 1, or -1.
    """
    for at in range(_U(memberships.shape[0])):
        taken[at] = -1
        for phase in range(_U(memberships.shape[1])):
            membership = memberships[at, phase]
            if membership < 0 or membership > 1:
                return np.int64(at)
            w = _weight(membership, threshold)
            if w > 0:
                taken[at] = 0
                n_pixels[phase] += 1
                weight[phase] += w
    return np.int64(-1)
