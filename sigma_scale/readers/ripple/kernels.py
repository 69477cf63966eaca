"""Compiled loops over counts that are stored plane by plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_in_planes", "events_of_planes"]

_U = np.uint64


@njit(nogil=True, cache=True)
def count_in_planes(
    words: NDArray[np.uint64], planes: NDArray[Any], n_pixels: int, per_pixel: NDArray[np.uint32]
) -> None:
    """
    Add the number of values that are not zero to each pixel's.

    Parameters
    ----------
    words : array, shape (channels, words), uint64
        The same memory as ``planes``: most of it is zero and is passed over eight bytes at a time.
    planes : array, shape (channels, pixels), unsigned integer
        Values; pixels from ``n_pixels`` on are padding.
    n_pixels : int
        Pixels to look at.
    per_pixel : array, shape (n_pixels,), uint32
        Numbers to add to.
    """
    values_per_word = planes.shape[1] // words.shape[1]
    for c in range(planes.shape[0]):
        for w in range(words.shape[1]):
            if words[c, w] != 0:
                first = w * values_per_word
                for p in range(first, min(first + values_per_word, n_pixels)):
                    if planes[c, p] != 0:
                        per_pixel[p] += np.uint32(1)


@njit(nogil=True, cache=True)
def events_of_planes(
    words: NDArray[np.uint64],
    planes: NDArray[Any],
    n_pixels: int,
    next_event: NDArray[np.uint64],
    previous: NDArray[np.uint16],
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    values: NDArray[Any],
) -> None:
    """
    List the values that are not zero pixel by pixel.

    Parameters
    ----------
    words, planes, n_pixels
        As in :func:`count_in_planes`.
    next_event : array, shape (n_pixels,), uint64
        Where each pixel's events begin; afterwards, where they end.
    previous : array, shape (n_pixels,), uint16
        Zeros; afterwards, each pixel's last channel.
    gap_low, gap_high, values : array, shape (events,)
        Streams to write; they must have room for all events.
    """
    values_per_word = planes.shape[1] // words.shape[1]
    for c in range(planes.shape[0]):
        for w in range(words.shape[1]):
            if words[c, w] != 0:
                first = w * values_per_word
                for p in range(first, min(first + values_per_word, n_pixels)):
                    value = planes[c, p]
                    if value != 0:
                        k = next_event[p]
                        gap = c - previous[p]
                        gap_low[k] = gap & 255
                        gap_high[k] = gap >> 8
                        values[k] = value
                        previous[p] = c
                        next_event[p] = k + _U(1)
