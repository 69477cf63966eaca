"""
Compiled loops over the stream of a Bruker map.

The stream is a list of lines, each a number of pixels (uint32) and the pixels. A pixel is a
header of 22 bytes and its X-ray pulses: as 16-bit channel numbers (flag 0), as 12-bit ones
(flag 1), or, above that, as runs of channels whose counts exceed a common base by numbers of 4
to 32 bits, followed by further pulses. Numbers are little-endian.

Nothing that the stream says is trusted: each length is checked against what there is. Indices
are unsigned so that numba needs no wrap-around check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["index_lines", "join_blocks", "list_pixels", "read_u16", "read_u32"]

_U = np.uint64
PIXEL_HEADER = 22
_HEADER = _U(PIXEL_HEADER)
LARGEST_COUNT = _U(2**32 - 1)

# What the kernels return.
DONE = 0
MORE_BYTES = 1
"""The piece is used up; go on with the next."""
WIDER_COUNTS = 2
"""A count doesn't fit the type; go on with a wider one."""
BAD_LINE = 3
BAD_COLUMN = 4
BAD_SIZE = 5
BAD_RUNS = 6

# Entries of the state of index_lines.
POSITION, LINE, LEFT, LAST, NEXT_BLOCK, ORDERED, MOST = range(7)

_MORE_PIXELS = 4
"""Pixels of a line may be listed more than once, but not without end."""
_LARGEST_PAYLOAD = _U(2**20)
_NO_PAYLOAD = _U(2**40)
"""Stands for a size that can't be right; larger than anything in memory."""


@njit(nogil=True, cache=True)
def join_blocks(
    raw: NDArray[np.uint8],
    lengths: NDArray[np.int64],
    before_head: NDArray[np.int64],
    content_bytes: int,
    head_bytes: int,
    target: NDArray[np.uint8],
) -> None:
    """
    Copy the content of spans of consecutive blocks without the blocks' heads.

    Each span has ``lengths`` bytes of ``raw``: ``before_head`` bytes of content come first, then
    each time a head and ``content_bytes``. ``target`` is as long as all content.
    """
    read, written = 0, 0
    for span in range(lengths.shape[0]):
        end = read + lengths[span]
        length = before_head[span]
        while read < end:
            length = min(length, end - read)
            target[written : written + length] = raw[read : read + length]
            read += length + head_bytes
            written += length
            length = content_bytes
        read = end


@njit(nogil=True, cache=True)
def read_u16(stream: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Little-endian 16-bit number."""
    return _U(stream[at]) | (_U(stream[at + _U(1)]) << _U(8))


@njit(nogil=True, cache=True)
def read_u32(stream: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Little-endian 32-bit number."""
    return read_u16(stream, at) | (read_u16(stream, at + _U(2)) << _U(16))


@njit(nogil=True, cache=True)
def _payload(stream: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """
    Bytes that follow the header at ``at``, or ``_NO_PAYLOAD`` if it contradicts itself.

    A packed size of 12-bit pulses leaves out the bytes of the last group that hold nothing.
    """
    flag = read_u16(stream, at + _U(12))
    n_pulses = read_u16(stream, at + _U(16))
    size = read_u32(stream, at + _U(18))
    if size > _LARGEST_PAYLOAD:
        return _NO_PAYLOAD
    if flag == _U(0):
        needed = _U(2) * n_pulses
    elif flag == _U(1):
        needed = _U(6) * (n_pulses >> _U(2)) + _U(2) * (n_pulses & _U(3))
    else:
        needed = _U(4)
        if size >= needed:
            return size + _U(2) * n_pulses
    return size if size >= needed else _NO_PAYLOAD


@njit(nogil=True, cache=True)
def _largest_run_count(stream: NDArray[np.uint8], at: np.uint64, end: np.uint64) -> np.uint64:
    """Most that a channel of run-packed counts can hold; the decoder checks the rest."""
    most = _U(0)
    while at + _U(2) <= end:
        width, number = _U(stream[at]), _U(stream[at + _U(1)])
        at += _U(2)
        if width == _U(0):
            continue
        if width > _U(4) or at + width > end:
            return LARGEST_COUNT
        base = _U(0)
        for i in range(width):
            base |= _U(stream[at + _U(i)]) << (_U(8) * _U(i))
        at += width
        length = (number * width + _U(1)) >> _U(1)
        if width == _U(2) and at + length <= end:
            # Bytes are the usual case, so it is worth while to look at them.
            largest = np.uint8(0)
            for i in range(length):
                largest = max(largest, stream[at + _U(i)])
            most = max(most, base + _U(largest))
        else:
            most = max(most, base + (_U(1) << (_U(4) * width)) - _U(1))
        at += length
    return most


@njit(nogil=True, cache=True)
def index_lines(
    piece: NDArray[np.uint8],
    base: int,
    n_columns: int,
    block_columns: int,
    state: NDArray[np.int64],
    starts: NDArray[np.int64],
    unordered: NDArray[np.uint8],
) -> int:
    """
    Note where the lines and their blocks of columns begin, in a piece of the stream.

    Parameters
    ----------
    piece : array, uint8
        Bytes of the stream from ``base`` on.
    base : int
        Where the piece begins in the stream.
    n_columns, block_columns : int
        Columns of the map and of a block.
    state : array, shape (7,), int64
        Where the walk has got to; kept from piece to piece.
    starts : array, shape (lines, blocks + 1), int64
        Where the first pixel of each block of a line begins, and where the line ends.
    unordered : array, shape (lines,), uint8
        Set to 1 for lines whose pixels aren't in ascending order; their blocks aren't known.

    Returns
    -------
    int
        ``DONE``, ``MORE_BYTES`` or what is wrong with line ``state[LINE]``.
    """
    n_lines, n_blocks = starts.shape[0], starts.shape[1] - 1
    size = _U(piece.shape[0])
    origin = _U(base)
    at = _U(state[POSITION]) - origin
    line, left, last = state[LINE], state[LEFT], state[LAST]
    block, ordered, most = state[NEXT_BLOCK], state[ORDERED], _U(state[MOST])
    edge = block * block_columns
    result = DONE
    while line < n_lines:
        if left < 0:
            if at + _U(4) > size:
                result = MORE_BYTES
                break
            left = np.int64(read_u32(piece, at))
            if left > _MORE_PIXELS * n_columns:
                result = BAD_LINE
                break
            at += _U(4)
            last, block, ordered = -1, 1, 1
            edge = block_columns
            starts[line, 0] = np.int64(at + origin)
        stopped = False
        while left > 0:
            if at + _HEADER > size:
                stopped = True
                break
            x = np.int64(read_u32(piece, at))
            payload = _payload(piece, at)
            if x >= n_columns:
                result = BAD_COLUMN
                break
            if payload == _NO_PAYLOAD:
                result = BAD_SIZE
                break
            n_pulses = read_u16(piece, at + _U(16))
            if read_u16(piece, at + _U(12)) > _U(1):
                # Only run-packed pixels need a look at what they hold.
                if at + _HEADER + payload > size:
                    stopped = True
                    break
                end = at + _HEADER + payload - _U(4) - _U(2) * n_pulses
                most = max(most, _largest_run_count(piece, at + _HEADER, end) + n_pulses)
            else:
                most = max(most, n_pulses)
            if x <= last:
                ordered = 0
            last = x
            while x >= edge:
                starts[line, block] = np.int64(at + origin)
                block += 1
                edge += block_columns
            at += _HEADER + payload
            left -= 1
        if result != DONE:
            break
        if stopped:
            result = MORE_BYTES
            break
        for b in range(block, n_blocks + 1):
            starts[line, b] = np.int64(at + origin)
        unordered[line] = 1 - ordered
        line += 1
        left = -1
    state[POSITION], state[LINE], state[LEFT] = np.int64(at + origin), line, left
    state[LAST], state[NEXT_BLOCK], state[ORDERED] = last, block, ordered
    state[MOST] = np.int64(min(most, LARGEST_COUNT))
    return result


@njit(nogil=True, cache=True)
def list_pixels(
    stream: NDArray[np.uint8],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    unordered: NDArray[np.uint8],
    columns: tuple[int, int],
    places: NDArray[np.int64],
    pixels: NDArray[np.int64],
    found: NDArray[np.int64],
) -> int:
    """
    List the pixels of a block.

    Parameters
    ----------
    stream : array, uint8
        Bytes that hold the block's lines.
    begin, end : array, shape (rows,), int64
        Where the pixels of each line lie in ``stream``.
    unordered : array, shape (rows,), uint8
        1 for lines whose pixels aren't ascending; all of the line is there then, and its pixels
        are listed as they come.
    columns : tuple of int
        First column and number of columns of the block.
    places, pixels : array, int64
        Where each pixel's header is, and its number in the block; room for one per 22 bytes.
    found : array, shape (4,), int64
        Gets the number of pixels, the most events that they can have, the row of a fault, and
        the most pulses that a pixel has.

    Returns
    -------
    int
        ``DONE`` or what is wrong with row ``found[2]``.
    """
    first, n_columns = columns
    n = _U(0)
    room = _U(0)
    most = _U(0)
    for row in range(begin.shape[0]):
        found[2] = row
        at, stop = _U(begin[row]), _U(end[row])
        last = np.int64(-1)
        while at < stop:
            payload = _payload(stream, at) if at + _HEADER <= stop else _NO_PAYLOAD
            if at + _HEADER + payload > stop:
                return BAD_SIZE
            column = np.int64(read_u32(stream, at)) - first
            inside = 0 <= column < n_columns
            if unordered[row] == 0:
                if not inside or column <= last:
                    return BAD_COLUMN
                last = column
            if inside:
                places[n] = np.int64(at)
                pixels[n] = row * n_columns + column
                n += _U(1)
                n_pulses = read_u16(stream, at + _U(16))
                room += n_pulses
                most = max(most, n_pulses)
                if read_u16(stream, at + _U(12)) > _U(1):
                    # A byte of a run holds two channels at the most.
                    room += _U(2) * payload
            at += _HEADER + payload
    found[0], found[1], found[3] = np.int64(n), np.int64(room), np.int64(most)
    return DONE
