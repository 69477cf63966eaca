"""
Compiled loops that put pixels of several blocks of events into one.

Output pixels are visited twice: first the events of each are counted, then they are copied to
where the pixel's events begin. Indices are unsigned so that numba needs no wrap-around check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sigma_scale.spectra.kernels import channel_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UIntArray = NDArray[np.unsignedinteger[Any]]

__all__ = [
    "add_events",
    "channels_fit",
    "copy_owned",
    "count_all",
    "count_owned",
    "first_events",
    "merge_events",
]

_U = np.uint64


@njit(nogil=True, cache=True)
def count_owned(
    per_pixel: UIntArray,
    n_columns: int,
    window: tuple[int, int, int, int],
    owner: NDArray[np.int32],
    tile: int,
    place: tuple[int, int],
    n_events: NDArray[np.uint32],
) -> None:
    """
    Note the numbers of events of the pixels that a tile owns.

    Parameters
    ----------
    per_pixel : array
        Numbers of events of the tile's block.
    n_columns : int
        Pixels per row of the tile's block.
    window : tuple of int
        First and last-plus-one row, first and last-plus-one column of that block to look at.
    owner : array, shape (rows, columns), int32
        Index of the tile that owns each pixel of the output.
    tile : int
        Index of this tile.
    place : tuple of int
        Row and column in the output of the window's first pixel.
    n_events : array, shape (rows, columns), uint32
        Numbers to write.
    """
    for y in range(window[0], window[1]):
        to_y = y - window[0] + place[0]
        for x in range(window[2], window[3]):
            to_x = x - window[2] + place[1]
            if owner[to_y, to_x] == tile:
                n_events[to_y, to_x] = per_pixel[y * n_columns + x]


@njit(nogil=True, cache=True)
def count_all(
    per_pixel: UIntArray,
    n_columns: int,
    window: tuple[int, int, int, int],
    place: tuple[int, int],
    n_events: NDArray[np.uint32],
) -> None:
    """Add the numbers of events of all pixels of a window; see :func:`count_owned`."""
    for y in range(window[0], window[1]):
        to_y = y - window[0] + place[0]
        for x in range(window[2], window[3]):
            n_events[to_y, x - window[2] + place[1]] += per_pixel[y * n_columns + x]


@njit(nogil=True, cache=True)
def first_events(n_events: NDArray[np.uint32], starts: NDArray[np.uint64]) -> np.uint64:
    """Write where each pixel's events begin; returns how many events there are."""
    total = _U(0)
    for y in range(n_events.shape[0]):
        for x in range(n_events.shape[1]):
            starts[y, x] = total
            total += _U(n_events[y, x])
    return total


@njit(nogil=True, cache=True)
def copy_owned(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    n_columns: int,
    window: tuple[int, int, int, int],
    owner: NDArray[np.int32],
    tile: int,
    place: tuple[int, int],
    shift: int,
    starts: NDArray[np.uint64],
    to_low: NDArray[np.uint8],
    to_high: NDArray[np.uint8],
    to_counts: NDArray[Any],
) -> None:
    """
    Copy the events of the pixels that a tile owns; see :func:`count_owned`.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        Streams of the tile's block.
    n_columns, window, owner, tile, place
        See :func:`count_owned`.
    shift : int
        Channels to move all events by, 0 or more.
    starts : array, shape (rows, columns), uint64
        Where each output pixel's events begin.
    to_low, to_high, to_counts : array
        Streams of the output to write.
    """
    k = _U(0)
    for p in range(window[0] * n_columns):
        k += _U(per_pixel[p])
    for y in range(window[0], window[1]):
        to_y = y - window[0] + place[0]
        row = y * n_columns
        for x in range(window[2]):
            k += _U(per_pixel[row + x])
        x = window[2]
        back = place[1] - window[2]
        while x < window[3]:
            if owner[to_y, x + back] != tile:
                k += _U(per_pixel[row + x])
                x += 1
                continue
            # Pixels that follow each other here do so in the output: their events are one piece.
            first, x0 = k, x
            while x < window[3] and owner[to_y, x + back] == tile:
                k += _U(per_pixel[row + x])
                x += 1
            start = starts[to_y, x0 + back]
            for j in range(k - first):
                to_low[start + j] = gap_low[first + j]
                to_high[start + j] = gap_high[first + j]
                to_counts[start + j] = counts[first + j]
            if shift != 0:
                for moved in range(x0, x):
                    if per_pixel[row + moved] > 0:
                        j = starts[to_y, moved + back]
                        channel = (_U(to_low[j]) | (_U(to_high[j]) << _U(8))) + _U(shift)
                        to_low[j] = channel & _U(255)
                        to_high[j] = channel >> _U(8)
        for x in range(window[3], n_columns):
            k += _U(per_pixel[row + x])


@njit(nogil=True, cache=True)
def add_events(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    n_columns: int,
    window: tuple[int, int, int, int],
    place: tuple[int, int],
    shift: int,
    cursor: NDArray[np.uint64],
    to_channels: NDArray[np.uint16],
    to_counts: NDArray[Any],
) -> None:
    """
    List the events of a window behind those that the output's pixels have already.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        Streams of the tile's block.
    n_columns, window, place
        See :func:`count_owned`.
    shift : int
        Channels to move all events by, 0 or more.
    cursor : array, shape (rows, columns), uint64
        Where each output pixel's next event goes; moved on.
    to_channels, to_counts : array
        Events of the output to write.
    """
    k = _U(0)
    for p in range(window[0] * n_columns):
        k += _U(per_pixel[p])
    for y in range(window[0], window[1]):
        to_y = y - window[0] + place[0]
        row = y * n_columns
        for x in range(n_columns):
            n = _U(per_pixel[row + x])
            if window[2] <= x < window[3]:
                to_x = x - window[2] + place[1]
                start = cursor[to_y, to_x]
                channel = _U(shift)
                for j in range(n):
                    channel += channel_step(gap_low, gap_high, k + j)
                    to_channels[start + j] = channel
                    to_counts[start + j] = counts[k + j]
                cursor[to_y, to_x] = start + n
            k += n


@njit(nogil=True, cache=True)
def merge_events(
    n_events: NDArray[np.uint32],
    channels: NDArray[np.uint16],
    counts: NDArray[Any],
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    sums: NDArray[Any],
    wide: NDArray[Any],
) -> tuple[np.uint64, Any]:
    """
    Put each pixel's events in ascending order and add up those of the same channel.

    Parameters
    ----------
    n_events : array, shape (rows, columns), uint32
        Number of each pixel's events; those after adding up are written to it.
    channels, counts : array
        Events of all pixels: those of a pixel are runs of ascending channels, one for each tile.
    gap_low, gap_high, sums : array
        Streams to write, with room for all events; sums of uint32 or float64.
    wide : array
        Of the type that is added up in: uint64 or float64.

    Returns
    -------
    n_written : uint64
        Number of events written.
    highest : uint64 or float64
        Largest sum, or 0; above what ``sums`` can hold, those are wrong.
    """
    most = np.int64(0)
    for y in range(n_events.shape[0]):
        for x in range(n_events.shape[1]):
            most = max(most, np.int64(n_events[y, x]))
    at, total = np.empty(most, dtype=np.uint16), np.empty(most, dtype=wide.dtype)
    other_at, other_total = np.empty_like(at), np.empty_like(total)
    highest = wide.dtype.type(0)
    k, out = _U(0), _U(0)
    for y in range(n_events.shape[0]):
        for x in range(n_events.shape[1]):
            end = k + _U(n_events[y, x])
            n = _U(0)
            previous = _U(0)
            first = out
            j = k + _U(1)
            while j < end and channels[j] > channels[j - _U(1)]:
                j += _U(1)
            if j >= end:  # Most pixels have one tile, or one that has counts.
                while k < end:
                    if counts[k] != 0:
                        gap = _U(channels[k]) - previous
                        gap_low[out] = gap & _U(255)
                        gap_high[out] = gap >> _U(8)
                        sums[out] = counts[k]
                        highest = max(highest, wide.dtype.type(counts[k]))
                        previous = _U(channels[k])
                        out += _U(1)
                    k += _U(1)
            while k < end:
                # One run more: what is there already (n events) and the run become one list.
                i, m, last = _U(0), _U(0), np.int64(-1)
                while k < end and np.int64(channels[k]) > last:
                    channel, value = channels[k], wide.dtype.type(counts[k])
                    last = np.int64(channel)
                    k += _U(1)
                    while i < n and at[i] < channel:
                        other_at[m], other_total[m] = at[i], total[i]
                        i += _U(1)
                        m += _U(1)
                    if i < n and at[i] == channel:
                        value = total[i] + value
                        i += _U(1)
                    other_at[m], other_total[m] = channel, value
                    m += _U(1)
                while i < n:
                    other_at[m], other_total[m] = at[i], total[i]
                    i += _U(1)
                    m += _U(1)
                at, other_at = other_at, at
                total, other_total = other_total, total
                n = m
            for event in range(n):
                if total[event] != 0:
                    gap = _U(at[event]) - previous
                    gap_low[out] = gap & _U(255)
                    gap_high[out] = gap >> _U(8)
                    sums[out] = total[event]
                    highest = max(highest, total[event])
                    previous = _U(at[event])
                    out += _U(1)
            n_events[y, x] = out - first
    return out, highest


@njit(nogil=True, cache=True)
def channels_fit(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    n_channels: int,
) -> bool:
    """Whether all events of a block lie before its last channel's end."""
    k = _U(0)
    for p in range(per_pixel.shape[0]):
        channel = _U(0)
        for _ in range(per_pixel[p]):
            channel += channel_step(gap_low, gap_high, k)
            k += _U(1)
        if per_pixel[p] > 0 and channel >= _U(n_channels):
            return False
    return True
