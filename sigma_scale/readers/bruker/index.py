"""Where the lines of a Bruker map and their blocks of columns lie in its stream."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.readers.bruker.container import damaged

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from sigma_scale.readers.bruker.streams import Content

__all__ = ["FIRST_LINE", "LineIndex", "build_index", "fault_in", "stream_shape"]

FIRST_LINE = 0x1A0
"""The stream's head is that long; it begins with the numbers of lines and columns."""


@dataclass(frozen=True, slots=True, eq=False)
class LineIndex:
    """
    Places in the stream of a map.

    Parameters
    ----------
    starts : array, shape (lines, blocks + 1), int64
        Where the first pixel of each block of a line begins, and where the line ends.
    unordered : array, shape (lines,), uint8
        1 for lines whose pixels aren't in ascending order. All of such a line has to be read.
    largest_count : int
        No channel of a pixel has more counts than this.
    """

    starts: NDArray[np.int64]
    unordered: NDArray[np.uint8]
    largest_count: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Narrowest type that holds all counts for sure."""
        return np.min_scalar_type(self.largest_count)

    def spans(self, rows: slice, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the pixels of a block of columns begin and end in each of some lines."""
        whole = self.unordered[rows] != 0
        begin = np.where(whole, self.starts[rows, 0], self.starts[rows, block])
        end = np.where(whole, self.starts[rows, -1], self.starts[rows, block + 1])
        return begin, end


def stream_shape(path: Path, content: Content) -> tuple[int, int]:
    """
    Lines and columns that the stream claims.

    Raises
    ------
    FileFormatError
        If it has no room for so many lines.
    """
    head = np.empty(8, dtype=np.uint8)
    if content.size < FIRST_LINE:
        raise damaged(path, "its map ends in its head.")
    with path.open("rb", buffering=0) as stream:
        content.read(stream, 0, 8, head)
    lines, columns = struct.unpack("<II", head.tobytes())
    if lines * 4 > content.size - FIRST_LINE:
        raise damaged(path, f"its map claims {lines:,} lines in {content.size:,} bytes.")
    return lines, columns


def build_index(
    path: Path, content: Content, lines: int, columns: int, block_columns: int
) -> LineIndex:
    """
    Walk once through the stream of a map, a few megabytes at a time.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    content : Content
        The stream.
    lines, columns : int
        Size of the stream's map.
    block_columns : int
        Columns of a block.

    Raises
    ------
    FileFormatError
        If a line or a pixel contradicts itself or the map's size; the message names the line.
    """
    from sigma_scale.readers.bruker import kernels

    n_blocks = max(1, -(-columns // block_columns))
    starts = np.zeros((lines, n_blocks + 1), dtype=np.int64)
    unordered = np.zeros(lines, dtype=np.uint8)
    state = np.zeros(7, dtype=np.int64)
    state[kernels.POSITION], state[kernels.LEFT] = FIRST_LINE, -1
    kept, base, size, result = np.empty(0, dtype=np.uint8), 0, 0, kernels.DONE
    with path.open("rb", buffering=0) as stream:
        for fresh in content.pieces(stream):
            size += fresh.size
            piece = np.concatenate([kept, fresh]) if kept.size else fresh
            result = kernels.index_lines(
                piece, base, columns, block_columns, state, starts, unordered
            )
            if result != kernels.MORE_BYTES:
                break
            used = min(int(state[kernels.POSITION]) - base, piece.size)
            kept, base = piece[used:], base + used
    line = int(state[kernels.LINE])
    if result == kernels.DONE and state[kernels.POSITION] > size:
        result, line = kernels.MORE_BYTES, line - 1  # the last pixel's pulses are missing
    if result == kernels.MORE_BYTES or (result == kernels.DONE and line < lines):
        raise damaged(path, f"its map ends in line {line} of {lines}.")
    if result != kernels.DONE:
        raise fault_in(path, line, result)
    return LineIndex(starts, unordered, int(state[kernels.MOST]))


def fault_in(path: Path, line: int, result: int) -> Exception:
    """Error for what a kernel found wrong in a line."""
    from sigma_scale.readers.bruker import kernels

    reason = {
        kernels.BAD_LINE: "it claims more pixels than the map has columns",
        kernels.BAD_COLUMN: "a pixel lies outside the map",
        kernels.BAD_SIZE: "a pixel's size contradicts its number of X-ray pulses",
        kernels.BAD_RUNS: "a pixel's packed counts make no sense",
    }[result]
    return damaged(path, f"{reason}, in line {line} of the map.")
