"""
Compiled loops of the filters that HDF5 stores chunks through.

Each writes into memory that the caller gives and never beyond it, whatever the bytes are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fletcher32", "lzf_decode", "lzf_decode_chunks", "unshuffle"]

_LITERALS = 32
_LONG = 7
_SUMS_AT_ONCE = 360


@njit(nogil=True, cache=True)
def lzf_decode(packed: NDArray[np.uint8], content: NDArray[np.uint8]) -> int:
    """
    Unpack LZF.

    A control byte below 32 is followed by one literal more than its value. Any other copies from
    before: its upper three bits are the length less 2 (7: the next byte is added), its lower five
    and the byte after that are the distance less 1. Spectra are mostly zeros, so only other bytes
    are written: twelve times as quick as writing all of them.

    Parameters
    ----------
    packed : array of uint8
        What is stored.
    content : array of uint8, all zero
        Takes what was stored.

    Returns
    -------
    int
        Number of bytes in ``content``; -1 if they would be more than it takes, or the stream
        ends or points where it can't.
    """
    n_packed, room = packed.shape[0], content.shape[0]
    place = 0
    done = 0
    zero_from = 0  # all bytes of the content from here on are zero
    while place < n_packed:
        control = int(packed[place])
        place += 1
        if control < _LITERALS:
            length = control + 1
            if place + length > n_packed or done + length > room:
                return -1
            for i in range(length):
                value = packed[place + i]
                if value != 0:
                    content[done + i] = value
                    zero_from = done + i + 1
            place += length
        else:
            length = control >> 5
            if length == _LONG:
                if place >= n_packed:
                    return -1
                length += int(packed[place])
                place += 1
            length += 2
            if place >= n_packed:
                return -1
            source = done - ((control & 31) << 8) - int(packed[place]) - 1
            place += 1
            if source < 0 or done + length > room:
                return -1
            if source < zero_from:
                for i in range(length):
                    value = content[source + i]
                    if value != 0:
                        content[done + i] = value
                        zero_from = done + i + 1
        done += length
    return done


@njit(nogil=True, cache=True)
def lzf_decode_chunks(
    packed: NDArray[np.uint8], ends: NDArray[np.int64], content: NDArray[np.uint8]
) -> int:
    """
    Unpack chunks that lie one after the other.

    Parameters
    ----------
    packed : array of uint8
        What is stored.
    ends : array, shape (chunks + 1,), int64
        Where each chunk begins in ``packed``, and where the last ends.
    content : array, shape (chunks, bytes), uint8
        Takes what was stored.

    Returns
    -------
    int
        Number of the first chunk that is damaged; -1 if there is none.
    """
    content[:] = 0
    for i in range(content.shape[0]):
        if lzf_decode(packed[ends[i] : ends[i + 1]], content[i]) != content.shape[1]:
            return i
    return -1


@njit(nogil=True, cache=True)
def unshuffle(planes: NDArray[np.uint8], content: NDArray[np.uint8]) -> None:
    """
    Put bytes back to their numbers: all first bytes come first, then all second ones, and so on.

    Parameters
    ----------
    planes : array, shape (itemsize, numbers), uint8
        What is stored.
    content : array, shape (numbers, itemsize), uint8
        To write.
    """
    itemsize, n_numbers = planes.shape
    if content.shape[0] != n_numbers or content.shape[1] != itemsize:
        return
    if itemsize == 2:  # noqa: PLR2004 -- an inner loop of fixed length is what is quick
        for i in range(n_numbers):
            for k in range(2):
                content[i, k] = planes[k, i]
    elif itemsize == 4:  # noqa: PLR2004
        for i in range(n_numbers):
            for k in range(4):
                content[i, k] = planes[k, i]
    else:
        for i in range(n_numbers):
            for k in range(itemsize):
                content[i, k] = planes[k, i]


@njit(nogil=True, cache=True)
def fletcher32(content: NDArray[np.uint8]) -> int:
    """Fletcher's checksum of bytes, as HDF5 makes it of pairs of them, the high byte first."""
    first = np.uint64(0)
    second = np.uint64(0)
    pairs = content.shape[0] // 2
    for start in range(0, pairs, _SUMS_AT_ONCE):
        for i in range(start, min(start + _SUMS_AT_ONCE, pairs)):
            first += (np.uint64(content[2 * i]) << np.uint64(8)) | np.uint64(content[2 * i + 1])
            second += first
        first = (first & np.uint64(65535)) + (first >> np.uint64(16))
        second = (second & np.uint64(65535)) + (second >> np.uint64(16))
    if content.shape[0] % 2:
        first += np.uint64(content[-1]) << np.uint64(8)
        second += first
        first = (first & np.uint64(65535)) + (first >> np.uint64(16))
        second = (second & np.uint64(65535)) + (second >> np.uint64(16))
    first = (first & np.uint64(65535)) + (first >> np.uint64(16))
    second = (second & np.uint64(65535)) + (second >> np.uint64(16))
    return int((second << np.uint64(16)) | first)
