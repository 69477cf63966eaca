"""Compiled loops over the pixels that tiles share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["boxes_of_owners", "claim_pixels"]


@njit(nogil=True, cache=True)
def claim_pixels(
    boxes: NDArray[np.int64],
    corner: tuple[int, int],
    owner: NDArray[np.int32],
    depth: NDArray[np.int64],
) -> None:
    """
    Give each pixel of a window to the tile in which it lies deepest.

    That is the tile with the larger distance to its nearest border; of equal ones that with the
    larger distance to its nearest border along the other axis, and then the earlier one.

    Parameters
    ----------
    boxes : array, shape (tile, 4), int64
        First and last-plus-one row, first and last-plus-one column of each tile.
    corner : tuple of int
        Row and column of the window's first pixel.
    owner : array, shape (rows, columns), int32
        Index of the tile in ``boxes`` to write; -1 before.
    depth : array, shape (rows, columns), int64
        How deep in it the pixel lies, to write: both distances, the smaller one in the upper half
        of the bits; 0 before.
    """
    height, width = owner.shape
    for tile in range(boxes.shape[0]):
        top, bottom = boxes[tile, 0] - corner[0], boxes[tile, 1] - corner[0]
        left, right = boxes[tile, 2] - corner[1], boxes[tile, 3] - corner[1]
        for y in range(max(top, 0), min(bottom, height)):
            deep_y = min(y - top + 1, bottom - y)
            for x in range(max(left, 0), min(right, width)):
                deep_x = min(x - left + 1, right - x)
                deep = (min(deep_y, deep_x) << 32) | max(deep_y, deep_x)
                if deep > depth[y, x]:
                    depth[y, x] = deep
                    owner[y, x] = tile


@njit(nogil=True, cache=True)
def boxes_of_owners(owner: NDArray[np.int32], boxes: NDArray[np.int64]) -> None:
    """
    Find the smallest box around each tile's pixels.

    Parameters
    ----------
    owner : array, shape (rows, columns), int32
        Index of each pixel's tile, or -1.
    boxes : array, shape (tile, 4), int64
        First and last-plus-one row, first and last-plus-one column to write; no rows where a
        tile has no pixel.
    """
    height, width = owner.shape
    for tile in range(boxes.shape[0]):
        boxes[tile, 0], boxes[tile, 1] = height, 0
        boxes[tile, 2], boxes[tile, 3] = width, 0
    for y in range(height):
        for x in range(width):
            tile = owner[y, x]
            if tile >= 0:
                box = boxes[tile]
                box[0], box[1] = min(box[0], y), max(box[1], y + 1)
                box[2], box[3] = min(box[2], x), max(box[3], x + 1)
