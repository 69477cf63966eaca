"""Pixels of a map that were clicked, or lie in a rectangle or lasso drawn on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["MapRegion", "region_of"]

_FEWEST_CORNERS = 3


@dataclass(frozen=True, eq=False)
class MapRegion:
    """
    What was drawn on a map.

    Attributes
    ----------
    corners : array, shape (corner, 2)
        Columns and rows of its corners, in units of pixels: pixel k reaches from k - 0.5 to
        k + 0.5.
    shape : tuple of int
        Rows and columns of the map.
    pixel : tuple of int or None
        Row and column of the pixel that was clicked; None for what was drawn.
    """

    corners: NDArray[np.float64]
    shape: tuple[int, int]
    pixel: tuple[int, int] | None = None

    def mask(self) -> NDArray[np.bool_]:
        """
        Find the pixels whose centres lie inside, by the even-odd rule.

        Returns
        -------
        numpy.ndarray, shape (y, x), bool
            There may be none.
        """
        from matplotlib.path import Path

        mask = np.zeros(self.shape, dtype=np.bool_)
        if self.pixel is not None:
            mask[self.pixel] = True
            return mask
        # Only pixels in the box around it are tried.
        low = np.maximum(np.ceil(self.corners.min(axis=0)), 0).astype(int)
        high = np.floor(self.corners.max(axis=0)).astype(int)
        rows = np.arange(low[1], min(high[1], self.shape[0] - 1) + 1)
        columns = np.arange(low[0], min(high[0], self.shape[1] - 1) + 1)
        if rows.size and columns.size:
            x, y = np.meshgrid(columns, rows)
            inside = Path(self.corners).contains_points(np.column_stack([x.ravel(), y.ravel()]))
            mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = inside.reshape(x.shape)
        return mask

    def outline(self) -> tuple[list[float], list[float]]:
        """Columns and rows of the closed outline, to be drawn."""
        closed = np.vstack([self.corners, self.corners[:1]])
        return closed[:, 0].tolist(), closed[:, 1].tolist()


def region_of(geometry: Mapping[str, Any], shape: tuple[int, int]) -> MapRegion | None:
    """
    Read what was drawn from an event of Bokeh.

    Parameters
    ----------
    geometry : mapping
        Of ``SelectionGeometry``: its ``type`` is "point", "rect" or "poly".
    shape : tuple of int
        Rows and columns of the map.

    Returns
    -------
    MapRegion or None
        None for a click beside the map, or for something without an area.
    """
    kind = geometry.get("type")
    if kind == "point":
        row, column = round(float(geometry["y"])), round(float(geometry["x"]))
        if not (0 <= row < shape[0] and 0 <= column < shape[1]):
            return None
        corners = _rectangle(column - 0.5, column + 0.5, row - 0.5, row + 0.5)
        return MapRegion(corners, shape, (row, column))
    if kind == "rect":
        x0, x1, y0, y1 = (float(geometry[name]) for name in ("x0", "x1", "y0", "y1"))
        return MapRegion(_rectangle(x0, x1, y0, y1), shape)
    if kind != "poly":
        return None
    corners = np.column_stack([np.asarray(geometry[name], dtype=np.float64) for name in ("x", "y")])
    corners = corners[np.isfinite(corners).all(axis=1)]
    return MapRegion(corners, shape) if len(corners) >= _FEWEST_CORNERS else None


def _rectangle(x0: float, x1: float, y0: float, y1: float) -> NDArray[np.float64]:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64)
