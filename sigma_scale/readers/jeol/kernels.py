"""
The stream of a JEOL .pts file: 16-bit words, of which the upper four bits tell the kind.

``0x8000`` sets the column, ``0x9000`` the row (a lower one than before begins the next frame),
``0xA000`` is the intensity of an electron image, ``0xB000`` an X-ray and its channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["decode_rows", "index_stream"]

KIND = 0xF000
VALUE = 0x0FFF
COLUMN = 0x8000
ROW = 0x9000
INTENSITY = 0xA000
X_RAY = 0xB000


@njit(nogil=True, cache=True)
def index_stream(
    words: NDArray[np.uint16],
    first: int,
    step_y: int,
    step_x: int,
    state: NDArray[np.int64],
    row_starts: NDArray[np.int64],
    row_columns: NDArray[np.int16],
    intensity: NDArray[np.uint32],
) -> int:
    """
    Find where each row of a frame begins, up to the end of the frame or of the words.

    Parameters
    ----------
    words : array, uint16
        Part of the stream.
    first : int
        Number of its first word in the whole stream.
    step_y, step_x : int
        Units of position per pixel.
    state : array, shape (6,), int64
        Row, column, position in y and in x, last row that was begun, whether there are
        intensities; changed.
    row_starts : array, shape (rows + 1,), int64
        Number of the first word of each row; changed.
    row_columns : array, shape (rows,), int16
        Column in which each row begins, -1 outside of the map; changed.
    intensity : array, shape (rows, columns), uint32
        Electron image of the frame; changed.

    Returns
    -------
    int
        Words up to the frame's end; all of them if it isn't there.
    """
    rows, columns = intensity.shape
    for i in range(words.size):
        kind = words[i] & KIND
        value = int(words[i] & VALUE)
        if kind == COLUMN:
            state[3] = value
            column = value // step_x
            state[1] = column if column < columns else -1
        elif kind == ROW:
            if value < state[2]:
                return i
            state[2] = value
            row = value // step_y
            begun = min(row, rows)
            for r in range(state[4] + 1, begun + 1):
                row_starts[r] = first + i
                if r < rows:
                    row_columns[r] = state[1]
            state[4] = max(state[4], begun)
            state[0] = row if row < rows else -1
        elif kind == INTENSITY and state[0] >= 0 and state[1] >= 0:
            intensity[state[0], state[1]] += value
            state[5] = 1
    return words.size


@njit(nogil=True, cache=True)
def decode_rows(
    words: NDArray[np.uint16],
    step_y: int,
    step_x: int,
    first_row: int,
    first_column: int,
    shape: tuple[int, int, int],
    pixels: NDArray[np.int32],
    channels: NDArray[np.int32],
) -> int:
    """
    List the X-rays of rows of one frame.

    Parameters
    ----------
    words : array, uint16
        Words of the rows, from the start of the first one.
    step_y, step_x : int
        Units of position per pixel.
    first_row, first_column : int
        Row and column (-1 outside of the map) that hold until the words set others.
    shape : tuple of int
        Number of the row after the last, columns and channels.
    pixels, channels : array, int32, at least as long as there are X-rays in the words
        Pixel in row-major order, from the first row on, and channel of each X-ray; changed.

    Returns
    -------
    int
        Number of X-rays.
    """
    stop_row, columns, n_channels = shape
    row, column, count = first_row, first_column, 0
    for word in words:
        kind = word & KIND
        value = int(word & VALUE)
        if kind == COLUMN:
            column = value // step_x
        elif kind == ROW:
            row = value // step_y
        elif (
            kind == X_RAY
            and first_row <= row < stop_row
            and 0 <= column < columns
            and value < n_channels
            and count < pixels.size
        ):
            pixels[count] = (row - first_row) * columns + column
            channels[count] = value
            count += 1
    return count
