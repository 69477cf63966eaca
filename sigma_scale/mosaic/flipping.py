"""Places of tiles mirrored or turned, where an axis points the other way than was thought."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.mosaic.tile import PIXEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.tile import Tile

__all__ = ["FLIPS", "flip_layout"]

FLIPS = ("x", "y", "xy", "swap", "swap-x", "swap-y", "swap-xy")
"""Ways to mirror places, the simplest first; ``swap``: y and x are exchanged before that."""

_Cell = tuple[int | None, int | None]


def flip_layout(layout: TileLayout, flip: str) -> TileLayout:
    """
    Mirror the places of tiles; the tiles themselves stay as they are.

    It mends a layout whose stage, grid or montage counts the other way along an axis.

    Parameters
    ----------
    layout : TileLayout
        The tiles.
    flip : {"x", "y", "xy", "swap", "swap-x", "swap-y", "swap-xy"}
        Which coordinates of the tiles' centres change their sign; ``"swap"``: y and x are exchanged
        before that. Rows and columns of the grid follow.

    Returns
    -------
    TileLayout
        The same tiles in the same order.

    Raises
    ------
    ParameterError
        If there is no such way.
    """
    if flip not in FLIPS:
        raise ParameterError(f"flip must be one of {', '.join(FLIPS)}, not {flip!r}.")
    swap, mirrored = flip.startswith("swap"), flip.removeprefix("swap").removeprefix("-")
    signs = np.array([-1.0 if axis in mirrored else 1.0 for axis in "yx"])
    middles = np.array([_middle(tile, layout.unit) for tile in layout])
    centres = np.array([tile.position for tile in layout]) + middles
    # About zero, not about their own middle: what is added later is mirrored in the same way.
    places = (centres[:, ::-1] if swap else centres) * signs - middles
    cells = _flipped_cells(layout, swap=swap, mirrored=mirrored)
    tiles = (
        replace(tile, position=(y, x), row=row, column=column)
        for tile, (y, x), (row, column) in zip(layout, places.tolist(), cells, strict=True)
    )
    return replace(layout, tiles=tuple(tiles))


def _middle(tile: Tile, unit: str) -> NDArray[np.float64]:
    """From a tile's first pixel to its centre."""
    size = (1.0, 1.0) if unit == PIXEL else tile.pixel_size
    middle: NDArray[np.float64] = (np.array(tile.shape) - 1) / 2 * size
    return middle


def _flipped_cells(layout: TileLayout, *, swap: bool, mirrored: str) -> list[_Cell]:
    """Rows and columns of the grid, mirrored within the rows and columns that there are."""
    rows, columns = ([tile.row for tile in layout], [tile.column for tile in layout])
    if swap:
        rows, columns = columns, rows
    if "y" in mirrored:
        rows = _backwards(rows)
    if "x" in mirrored:
        columns = _backwards(columns)
    return list(zip(rows, columns, strict=True))


def _backwards(places: list[int | None]) -> list[int | None]:
    known = [place for place in places if place is not None]
    both = min(known, default=0) + max(known, default=0)
    return [None if place is None else both - place for place in places]
