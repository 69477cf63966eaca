"""The compiled loop that turns packed X-ray pulses into events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from sigma_scale.readers.bruker.kernels import (
    BAD_RUNS,
    BAD_SIZE,
    DONE,
    LARGEST_COUNT,
    PIXEL_HEADER,
    WIDER_COUNTS,
    read_u16,
    read_u32,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["decode"]

_U = np.uint64
_HEADER = _U(PIXEL_HEADER)


def _trailing_zeros_typing(_context: Any, _value: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, 1))

    return types.uint64(types.uint64), generate


_trailing_zeros: Any = intrinsic(_trailing_zeros_typing)
"""Number of the lowest bit that is set in a number that is not zero: one instruction."""


@njit(nogil=True, cache=True)
def _add_runs(
    stream: NDArray[np.uint8],
    at: np.uint64,
    end: np.uint64,
    n_channels: np.uint64,
    shift: np.uint64,
    histogram: NDArray[np.uint32],
    words: NDArray[np.uint64],
) -> tuple[bool, np.uint64]:
    """
    Add run-packed counts; whether they make sense, and the groups of channels in use.

    A run is a width in bytes, a number of channels, a base of that width, and each channel's
    excess over the base in half of that width. A width of zero means channels without counts.
    """
    channel = _U(0)
    groups = _U(0)
    while at < end:
        if at + _U(2) > end:
            return False, groups
        width, number = _U(stream[at]), _U(stream[at + _U(1)])
        at += _U(2)
        if width == _U(0):
            channel += number
            continue
        length = (number * width + _U(1)) >> _U(1)
        if width not in (_U(1), _U(2), _U(4), _U(8)) or at + width + length > end:
            return False, groups
        base = _U(stream[at])
        if width > _U(1):
            for i in range(_U(1), width):
                base |= _U(stream[at + i]) << (_U(8) * i)
            if base > LARGEST_COUNT:
                return False, groups
        at += width
        for i in range(number):
            count = base
            if width == _U(1):
                count += (_U(stream[at + (i >> _U(1))]) >> (_U(4) * (i & _U(1)))) & _U(15)
            else:
                place = at + ((i * width) >> _U(1))
                for j in range(width >> _U(1)):
                    count += _U(stream[place + j]) << (_U(8) * j)
            if count != _U(0) and channel < n_channels:
                count += _U(histogram[channel])
                if count > LARGEST_COUNT:
                    return False, groups
                histogram[channel] = count
                word = channel >> _U(6)
                words[word] |= _U(1) << (channel & _U(63))
                groups |= _U(1) << (word >> shift)
            channel += _U(1)
        at += length
    return True, groups


@njit(nogil=True, cache=True)
def decode(
    stream: NDArray[np.uint8],
    places: NDArray[np.int64],
    pixels: NDArray[np.int64],
    n_channels: int,
    most_pulses: int,
    largest: int,
    state: NDArray[np.int64],
    per_pixel: NDArray[np.uint16],
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
) -> int:
    """
    List the events of a block of pixels.

    The pulses of a pixel come in the order of their arrival. They are counted in a histogram
    while two levels of bits mark the channels in use, and then the bits are taken from the
    lowest up: that sorts and adds up in a time in proportion to the number of pulses.

    Parameters
    ----------
    stream : array, uint8
        Bytes that hold the block's lines.
    places, pixels : array, int64
        Where pixels begin and their numbers in the block, from ``kernels.list_pixels``, in
        ascending order of number. What is listed more than once is added up.
    n_channels : int
        Channels to keep.
    most_pulses : int
        No pixel has more pulses than this.
    largest : int
        Largest count that ``counts`` can hold, all bits set.
    state : array, shape (2,), int64
        Number of the entry and of the event to go on with after ``WIDER_COUNTS``, or of the entry
        with a fault; at last, the number of events.
    per_pixel : array, shape (rows * columns,), uint16
        Number of events of each pixel, zero at first.
    gap_low, gap_high, counts : array
        Streams of events with the room that was found for them.

    Returns
    -------
    int
        ``DONE``, ``WIDER_COUNTS`` or what is wrong with entry ``state[0]``.
    """
    # Arrays are handed to other functions for rare pixels only: each costs a count of references.
    channels = _U(n_channels)
    histogram = np.zeros(n_channels, dtype=np.uint32)
    # One bit stands for a group of words, so that all of them are in one number.
    shift = _U(0)
    while (n_channels - 1) >> (np.int64(shift) + 6) > 63:  # noqa: PLR2004
        shift += _U(1)
    words = np.zeros((np.int64(64) << np.int64(shift)), dtype=np.uint64)
    pulses = np.empty(most_pulses + 4, dtype=np.uint16)
    mask = _U(0xFFF)
    entry, end = _U(state[0]), _U(places.shape[0])
    k = _U(state[1])
    while entry < end:
        pixel = pixels[entry]
        first = entry
        groups = _U(0)
        while entry < end and pixels[entry] == pixel:
            at = _U(places[entry])
            flag = read_u16(stream, at + _U(12))
            n_pulses = read_u16(stream, at + _U(16))
            if flag > _U(1):
                runs_end = at + _U(18) + read_u32(stream, at + _U(18))
                right, marked = _add_runs(
                    stream, at + _HEADER, runs_end, channels, shift, histogram, words
                )
                groups |= marked
                if not right:
                    state[0] = np.int64(entry)
                    return BAD_RUNS
                if n_pulses > _U(0) and read_u32(stream, runs_end) != _U(2) * n_pulses:
                    state[0] = np.int64(entry)
                    return BAD_SIZE
                at = runs_end + _U(4)
            else:
                at += _HEADER
            if flag == _U(1):
                # Four channels lie in three little-endian 16-bit numbers, highest bits first.
                whole = n_pulses & ~_U(3)
                i = _U(0)
                while i < whole:
                    a, b = read_u16(stream, at), read_u16(stream, at + _U(2))
                    c = read_u16(stream, at + _U(4))
                    pulses[i] = a >> _U(4)
                    pulses[i + _U(1)] = ((a << _U(8)) & mask) | (b >> _U(8))
                    pulses[i + _U(2)] = ((b << _U(4)) & mask) | (c >> _U(12))
                    pulses[i + _U(3)] = c & mask
                    i += _U(4)
                    at += _U(6)
                rest = n_pulses - whole
                if rest > _U(0):
                    a = read_u16(stream, at)
                    pulses[i] = a >> _U(4)
                    if rest > _U(1):
                        b = read_u16(stream, at + _U(2))
                        pulses[i + _U(1)] = ((a << _U(8)) & mask) | (b >> _U(8))
                        if rest > _U(2):
                            c = read_u16(stream, at + _U(4))
                            pulses[i + _U(2)] = ((b << _U(4)) & mask) | (c >> _U(12))
            else:
                for j in range(n_pulses):
                    pulses[j] = read_u16(stream, at + _U(2) * _U(j))
            for j in range(n_pulses):
                channel = _U(pulses[j])
                if channel < channels:
                    histogram[channel] += np.uint32(1)
                    word = channel >> _U(6)
                    words[word] |= _U(1) << (channel & _U(63))
                    groups |= _U(1) << (word >> shift)
            entry += _U(1)
        start = k
        previous = _U(0)
        seen = np.uint32(0)
        while groups != _U(0):
            group = _trailing_zeros(groups)
            groups &= groups - _U(1)
            for number in range(group << shift, (group + _U(1)) << shift):
                word = _U(number)
                bits = words[word]
                words[word] = _U(0)
                while bits != _U(0):
                    channel = (word << _U(6)) | _trailing_zeros(bits)
                    bits &= bits - _U(1)
                    count = histogram[channel]
                    histogram[channel] = 0
                    seen |= count
                    gap = channel - previous
                    previous = channel
                    gap_low[k] = gap & _U(255)
                    gap_high[k] = gap >> _U(8)
                    counts[k] = count
                    k += _U(1)
        if _U(seen) > _U(largest):
            state[0], state[1] = np.int64(first), np.int64(start)
            return WIDER_COUNTS
        per_pixel[pixel] = k - start
    state[1] = np.int64(k)
    return DONE
