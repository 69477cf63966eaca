"""
Which tile a pixel of the mosaic is taken from.

A pixel belongs to the tile in which it lies deepest: the one whose border is farthest from it,
in rows or columns, whichever is nearer (Chebyshev distance). If that is the same in two tiles, as
it is along the border of tiles that lie side by side, the distance along the other axis decides,
and after that the order of the tiles. Where tiles overlap like those of a grid this is the middle
of the overlap. The rule is exact in whole pixels and depends on a pixel's own tiles alone, so any
window of the mosaic can be worked out by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale.mosaic.composition.ownership_kernels import boxes_of_owners, claim_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Window", "WindowOwners", "owners_of", "touching"]


class Window(NamedTuple):
    """A rectangle of the mosaic's pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left


class WindowOwners(NamedTuple):
    """Whose the pixels of a window are."""

    numbers: NDArray[np.int64]
    """Numbers of the tiles that have pixels there, ascending."""
    owner: NDArray[np.int32]
    """Index in ``numbers`` of each pixel's tile, or -1; shape (rows, columns)."""
    boxes: NDArray[np.int64]
    """Smallest box around each tile's pixels, from the window's corner on; shape (tile, 4)."""

    def tile_numbers(self) -> NDArray[np.int32]:
        """Number of each pixel's tile, or -1; shape (rows, columns)."""
        numbers = np.append(self.numbers, -1).astype(np.int32)
        found: NDArray[np.int32] = numbers[self.owner]
        return found


def touching(boxes: NDArray[np.int64], window: Window) -> NDArray[np.int64]:
    """
    Find the tiles that reach into a window.

    Parameters
    ----------
    boxes : numpy.ndarray, shape (tile, 4), int64
        First and last-plus-one row, first and last-plus-one column of each tile.
    window : Window
        The window.

    Returns
    -------
    numpy.ndarray, shape (found,), int64
        Their numbers, ascending.
    """
    inside = (
        (boxes[:, 0] < window.bottom)
        & (boxes[:, 1] > window.top)
        & (boxes[:, 2] < window.right)
        & (boxes[:, 3] > window.left)
    )
    return np.flatnonzero(inside)


def owners_of(boxes: NDArray[np.int64], window: Window) -> WindowOwners:
    """
    Find whose the pixels of a window are.

    Parameters
    ----------
    boxes : numpy.ndarray, shape (tile, 4), int64
        First and last-plus-one row, first and last-plus-one column of each tile.
    window : Window
        The window.

    Returns
    -------
    WindowOwners
    """
    numbers = touching(boxes, window)
    owner = np.full(window.shape, -1, dtype=np.int32)
    depth = np.zeros(window.shape, dtype=np.int64)
    claim_pixels(
        np.ascontiguousarray(boxes[numbers]), (int(window.top), int(window.left)), owner, depth
    )
    found = np.empty((len(numbers), 4), dtype=np.int64)
    boxes_of_owners(owner, found)
    # Tiles that lie in the window but are deeper nowhere take no part in anything that follows.
    kept = found[:, 1] > found[:, 0]
    index = np.append(np.cumsum(kept) - 1, -1).astype(np.int32)
    return WindowOwners(numbers[kept], index[owner], found[kept])
