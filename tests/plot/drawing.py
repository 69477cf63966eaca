"""Helpers: small maps, and what a figure looks like once drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make_map(values, step=None, unit="µm", **kwargs) -> xr.DataArray:
    """Return a map; with coordinates in `unit` if a pixel size is given."""
    values = np.asarray(values) if not hasattr(values, "dask") else values
    coords = {}
    if step is not None:
        for axis, dim in enumerate(("y", "x")):
            coords[dim] = (dim, (np.arange(values.shape[axis]) + 0.5) * step, {"units": unit})
    dims = ("y", "x", "line")[: values.ndim]
    return xr.DataArray(values, dims=dims, coords=coords, **kwargs)


def pixels(figure: Figure) -> np.ndarray:
    """Draw a figure and return its pixels, the top row first."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def colour_at(figure: Figure, ax, x: float, y: float) -> str:
    """Return the colour drawn at a position in data coordinates."""
    picture = pixels(figure)
    column, row = ax.transData.transform((x, y))
    red, green, blue, _ = picture[picture.shape[0] - 1 - int(row), int(column)]
    return f"#{red:02x}{green:02x}{blue:02x}"


def scale_bars(figure: Figure) -> list[AnchoredSizeBar]:
    """Return all scale bars of a figure."""
    return figure.findobj(AnchoredSizeBar)


def bar_label(bar: AnchoredSizeBar) -> str:
    """Return what is written at a scale bar."""
    return bar.txt_label.get_text()


def bar_size(bar: AnchoredSizeBar) -> tuple[float, float]:
    """Return width and height of a scale bar in data units."""
    (patch,) = bar.size_bar.get_children()
    return patch.get_width(), patch.get_height()
