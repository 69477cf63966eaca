"""
Compiled loops over X-ray events.

All of them take the streams of an :class:`~sigma_scale.spectra.events.EventBlock` and visit its
pixels in row-major order. Indices are unsigned so that numba needs no wrap-around check, and a
channel is clamped to one slot past the end instead of being trusted: a damaged block can then
spoil only that slot, which the caller looks at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    UIntArray = NDArray[np.unsignedinteger[Any]]

__all__ = [
    "channel_step",
    "count_windows",
    "events_to_csr",
    "find_events",
    "gaps_from_channels",
    "join_groups",
    "sum_block",
    "total_events",
]

_U = np.uint64


@njit(nogil=True, cache=True)
def find_events(
    dense: UIntArray,
    per_pixel: NDArray[np.uint32],
    channels: NDArray[np.uint16],
    counts: UIntArray,
) -> None:
    """
    List the channels that are not zero of ``dense`` (pixel, channel), pixel after pixel.

    ``channels`` and ``counts`` must have room for all of them.
    """
    k = _U(0)
    for p in range(dense.shape[0]):
        start = k
        for c in range(dense.shape[1]):
            value = dense[p, c]
            if value != 0:
                channels[k] = c
                counts[k] = value
                k += _U(1)
        per_pixel[p] = k - start


@njit(nogil=True, cache=True)
def gaps_from_channels(
    per_pixel: NDArray[np.uint32],
    channels: NDArray[Any],
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
) -> bool:
    """Write each event's distance from the one before; False if a pixel's are not ascending."""
    k = _U(0)
    for p in range(per_pixel.shape[0]):
        previous = _U(0)
        first = True
        for _ in range(per_pixel[p]):
            channel = _U(channels[k])
            if not first and channel <= previous:
                return False
            gap = channel - previous
            gap_low[k] = gap & _U(255)
            gap_high[k] = gap >> _U(8)
            previous = channel
            first = False
            k += _U(1)
    return True


@njit(nogil=True, cache=True)
def total_events(per_pixel: UIntArray) -> np.uint64:
    """Number of events of all pixels; ten times as quick as NumPy's sum of narrow integers."""
    total = _U(0)
    for number in per_pixel:
        total += _U(number)
    return total


@njit(nogil=True, cache=True)
def channel_step(gap_low: NDArray[np.uint8], gap_high: NDArray[np.uint8], event: Any) -> Any:
    """Distance in channels of an event from the pixel's event before."""
    return _U(gap_low[event]) | (_U(gap_high[event]) << _U(8))


@njit(nogil=True, cache=True)
def events_to_csr(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    n_channels: int,
    indptr: NDArray[Any],
    indices: NDArray[Any],
) -> bool:
    """Write the CSR index arrays of a block; False if a channel lies past the end."""
    k = _U(0)
    last = _U(n_channels)
    for p in range(_U(per_pixel.shape[0])):
        channel = _U(0)
        end = k + _U(per_pixel[p])
        for j in range(k, end):
            channel += channel_step(gap_low, gap_high, j)
            indices[j] = channel
        # Channels ascend, so a pixel's last event tells for all of them.
        if end > k and channel >= last:
            return False
        k = end
        indptr[p + _U(1)] = end
    return True


@njit(nogil=True, cache=True)
def count_windows(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    n_columns: int,
    window: tuple[int, int, int, int],
    row_start: NDArray[np.uint64],
    column_start: NDArray[np.uint64],
    group_of: UIntArray,
    sums: NDArray[Any],
    spectrum: NDArray[Any],
) -> None:
    """
    Add a block's counts to binned sums per group of channels and to a spectrum, in one pass.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        The block's streams.
    n_columns : int
        Pixels per row of the block.
    window : tuple of int
        First and last-plus-one row, first and last-plus-one column of the block to use.
    row_start, column_start : array of uint64
        Where in ``sums`` the bin of each row of the window begins, and how much further on that
        of each column.
    group_of : array, shape (n_channels + 1,), uint8 or uint16
        Group of each channel; the last entry is the slot for channels past the end.
    sums : array, flat
        Sums per bin and group to add to.
    spectrum : array, shape (n_channels + 1,)
        Spectrum to add to; anything in its last entry afterwards means a damaged block.
    """
    row0, row1, column0, column1 = window
    past_end = _U(spectrum.shape[0] - 1)
    k = _U(per_pixel[: row0 * n_columns].sum())
    p = _U(row0 * n_columns)
    for y in range(_U(row1 - row0)):
        for _ in range(column0):
            k += _U(per_pixel[p])
            p += _U(1)
        for x in range(_U(column1 - column0)):
            end = k + _U(per_pixel[p])
            p += _U(1)
            start = row_start[y] + column_start[x]
            channel = _U(0)
            for j in range(k, end):
                channel += channel_step(gap_low, gap_high, j)
                c = min(channel, past_end)
                value = counts[j]
                spectrum[c] += value
                sums[start + _U(group_of[c])] += value
            k = end
        for _ in range(column1, n_columns):
            k += _U(per_pixel[p])
            p += _U(1)


@njit(nogil=True, cache=True)
def sum_block(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    totals: NDArray[Any],
    spectrum: NDArray[Any],
) -> None:
    """
    Sum each pixel's counts, and add all of them to a spectrum.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        The block's streams.
    totals : array, shape (pixels,)
        Sum of each pixel, to write.
    spectrum : array, shape (n_channels + 1,)
        Spectrum to add to; anything in its last entry afterwards means a damaged block.
    """
    past_end = _U(spectrum.shape[0] - 1)
    k = _U(0)
    for p in range(_U(per_pixel.shape[0])):
        end = k + _U(per_pixel[p])
        channel = _U(0)
        total = totals.dtype.type(0)
        for j in range(k, end):
            channel += channel_step(gap_low, gap_high, j)
            value = counts[j]
            spectrum[min(channel, past_end)] += value
            total += value
        totals[p] = total
        k = end


@njit(nogil=True, cache=True)
def join_groups(
    sums: NDArray[Any],
    members: NDArray[np.uint64],
    first_member: NDArray[np.uint64],
    joined: NDArray[Any],
) -> None:
    """
    Add up the groups of each window.

    Parameters
    ----------
    sums : array, shape (rows + 1, columns + 1, groups)
        Sums per bin and group; the last row and column hold incomplete bins, which are left out.
    members : array of uint64
        Groups of the first window, then of the second, and so on.
    first_member : array, shape (windows + 1,), uint64
        Where each window's groups begin in ``members``.
    joined : array, shape (rows, columns, windows)
        Sums per bin and window to write.
    """
    n_windows = _U(joined.shape[2])
    for y in range(_U(joined.shape[0])):
        for x in range(_U(joined.shape[1])):
            groups, windows = sums[y, x], joined[y, x]
            for window in range(n_windows):
                first, end = first_member[window], first_member[window + _U(1)]
                # Most windows are one group; a loop of one step would cost more than its step.
                total = groups[members[first]] if end > first else groups.dtype.type(0)
                for m in range(first + _U(1), end):
                    total += groups[members[m]]
                windows[window] = total
