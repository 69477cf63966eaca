"""
Compiled loops over Velox's streams of 16-bit words.

A word is the channel of one X-ray pulse, or :data:`SEPARATOR`, which ends a pixel. Pixels follow
each other in raster order, frame after frame; the very last separator may be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from sigma_scale.spectra.bit_kernels import lowest_bit

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["SEPARATOR", "collect_events", "find_starts"]

SEPARATOR = 65535
"""Word that ends a pixel."""

_U = np.uint64
_STRIDE = 2048


@njit(nogil=True, cache=True)
def find_starts(
    words: NDArray[np.uint16],
    base: int,
    band_pixels: int,
    last_band_pixels: int,
    n_bands: int,
    state: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> None:
    """
    Note where each band of rows of each frame starts, in one piece of a stream.

    Parameters
    ----------
    words : array, uint16
        The piece.
    base : int
        Number of the piece's first word in the stream.
    band_pixels, last_band_pixels : int
        Pixels of a band of rows, and of the last band of a frame.
    n_bands : int
        Bands of a frame.
    state : array, shape (3,), int64
        What is known from the pieces before, updated: separators that are missing to the end of
        the band, starts found so far, and separators passed.
    starts : array, int64
        Written: number of the word with which each band starts, frame after frame.
    """
    missing, found, passed = state[0], state[1], state[2]
    n_words = words.shape[0]
    i = 0
    while i < n_words and found < starts.shape[0]:
        stop = min(i + _STRIDE, n_words)
        # Counting alone is done many words at a time; most strides hold no end of a band.
        number = np.int64(0)
        for j in range(i, stop):
            number += words[j] == SEPARATOR
        if number < missing:
            missing -= number
            passed += number
            i = stop
            continue
        while i < stop and found < starts.shape[0]:
            if words[i] == SEPARATOR:
                passed += 1
                missing -= 1
                if missing == 0:
                    starts[found] = base + i + 1
                    missing = last_band_pixels if found % n_bands == n_bands - 1 else band_pixels
                    found += 1
            i += 1
    state[0], state[1], state[2] = missing, found, passed


@njit(nogil=True, cache=True)
def collect_events(
    words: NDArray[np.uint16],
    segments: NDArray[np.int64],
    n_channels: int,
    most: int,
    per_pixel: NDArray[np.uint32],
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
) -> int:
    """
    Count the pulses of each pixel per channel, over frames and detectors, and list the events.

    All parts are read side by side, pixel by pixel, so that pulses need no sorting by pixel.
    Channels that occur are marked in a bit field: they come out in ascending order without
    sorting, in a time that is proportional to the pulses.

    Parameters
    ----------
    words : array, uint16
        Parts of streams, one after the other; each starts with the first pixel of the block.
    segments : array, shape (parts + 1,), int64
        Where each part starts in ``words``, and where the last ends.
    n_channels : int
        Channels of the map.
    most : int
        Largest count that ``counts`` holds.
    per_pixel, gap_low, gap_high, counts : array
        Written: streams of an :class:`~sigma_scale.spectra.EventBlock`, the last three with room
        for as many events as there are pulses.

    Returns
    -------
    int
        Number of events; -1 if a count is larger than ``most``; -2 minus the channel if there is
        a channel that the map doesn't have.
    """
    seen = np.zeros(n_channels, dtype=np.uint32)
    fields = np.zeros((n_channels + 63) // 64, dtype=np.uint64)
    outer = np.zeros((fields.shape[0] + 63) // 64, dtype=np.uint64)
    n_parts = segments.shape[0] - 1
    next_word = np.empty(n_parts, dtype=np.uint64)
    part_end = np.empty(n_parts, dtype=np.uint64)
    for part in range(n_parts):
        next_word[part] = min(max(segments[part], 0), words.shape[0])
        part_end[part] = min(max(segments[part + 1], 0), words.shape[0])
    one, past_end, separator = _U(1), _U(n_channels), _U(SEPARATOR)
    room = _U(min(gap_low.shape[0], gap_high.shape[0], counts.shape[0]))
    k = _U(0)
    for pixel in range(per_pixel.shape[0]):
        for part in range(_U(n_parts)):
            i, end = next_word[part], part_end[part]
            while i < end:
                channel = _U(words[i])
                i += one
                if channel >= past_end:
                    if channel == separator:
                        break
                    return -2 - int(np.int64(channel))
                field = channel >> _U(6)
                seen[channel] += np.uint32(1)
                fields[field] |= one << (channel & _U(63))
                outer[field >> _U(6)] |= one << (field & _U(63))
            next_word[part] = i
        first = k
        previous = _U(0)
        for o in range(_U(outer.shape[0])):
            upper = outer[o]
            outer[o] = 0
            while upper:
                field = (_U(o) << _U(6)) | lowest_bit(upper)
                upper &= upper - one
                bits = fields[field]
                fields[field] = 0
                while bits:
                    channel = (field << _U(6)) | lowest_bit(bits)
                    bits &= bits - one
                    if seen[channel] > most or k >= room:
                        return -1
                    gap = channel - previous
                    gap_low[k] = gap & _U(255)
                    gap_high[k] = gap >> _U(8)
                    counts[k] = seen[channel]
                    seen[channel] = 0
                    previous = channel
                    k += one
        per_pixel[pixel] = k - first
    return int(np.int64(k))
