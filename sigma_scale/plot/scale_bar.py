"""Where a map lies in micrometres, and the scale bar that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sigma_scale.errors import EmptyMapError, ShapeMismatchError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from mpl_toolkits.axes_grid1.anchored_artists import (  # type: ignore[import-untyped]
        AnchoredSizeBar,
    )

__all__ = [
    "MICROMETRES",
    "MapFrame",
    "ScaleBar",
    "add_scale_bar",
    "map_frame",
    "scale_bar_length",
]

MICROMETRES = {
    "nm": 1e-3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
"""Micrometres in each unit of length that coordinates may have."""
_PIXEL = frozenset({"", "pixel", "pixels", "px"})
_TARGET_SHARE = 0.22
_GREATEST_RATIO = 10.0


@dataclass(frozen=True)
class MapFrame:
    """
    The rectangle that a map covers.

    Attributes
    ----------
    left, right, top, bottom : float
        Edges (not pixel centres), in the coordinates' own units. The first row is at the top.
    unit : str
        Unit of the coordinates, ``"pixel"`` where they have none.
    """

    left: float
    right: float
    top: float
    bottom: float
    unit: str

    @property
    def width(self) -> float:
        """Width in the coordinates' units."""
        return abs(self.right - self.left)

    @property
    def height(self) -> float:
        """Height in the coordinates' units."""
        return abs(self.bottom - self.top)

    @property
    def aspect(self) -> float:
        """
        Drawn length of a unit of y over that of x.

        It is 1 unless the map would be thinner than a tenth of its length (a line scan, say);
        such a map is stretched across so that its pixels can be seen.
        """
        ratio = self.height / self.width
        if ratio < 1 / _GREATEST_RATIO:
            return 1 / (_GREATEST_RATIO * ratio)
        if ratio > _GREATEST_RATIO:
            return _GREATEST_RATIO / ratio
        return 1.0

    @property
    def drawn_ratio(self) -> float:
        """Drawn height over drawn width."""
        return self.height * self.aspect / self.width

    def size_within(self, width: float, height: float) -> tuple[float, float]:
        """Return the largest (width, height) of the map that fits into a box."""
        drawn = min(width, height / self.drawn_ratio)
        return drawn, drawn * self.drawn_ratio


def _edges(image: xr.DataArray, dim: str, fallback: float | None) -> tuple[float, float, float]:
    """Return the outer edges along a dimension and the pixel size, which may be negative."""
    size = image.sizes[dim]
    if dim not in image.coords:
        return -0.5, size - 0.5, 1.0
    first, last = float(image[dim][0]), float(image[dim][-1])
    step = (last - first) / (size - 1) if size > 1 else 0.0
    if step == 0.0 or not math.isfinite(step):
        step = fallback or 1.0
        last = first + step * (size - 1)
    return first - step / 2, last + step / 2, step


def map_frame(image: xr.DataArray) -> MapFrame:
    """
    Read the rectangle that a map covers from its coordinates.

    Parameters
    ----------
    image : xarray.DataArray with dims y and x
        Coordinates are pixel centres with ``units`` in their attributes; without coordinates
        the unit is the pixel.

    Returns
    -------
    MapFrame
        The outer edges and their unit.

    Raises
    ------
    ShapeMismatchError
        If the array has no dimensions y and x.
    EmptyMapError
        If it has no pixels.
    """
    if not {"y", "x"} <= set(image.dims):
        msg = f"A map needs the dimensions 'y' and 'x', and this array has {image.dims}."
        raise ShapeMismatchError(msg)
    if image.sizes["y"] == 0 or image.sizes["x"] == 0:
        rows, columns = image.sizes["y"], image.sizes["x"]
        msg = f"There is nothing to draw: the map has {rows} rows and {columns} columns."
        raise EmptyMapError(msg)
    # A map of one row or column has square pixels, as far as anyone knows.
    single_x = image.sizes["x"] == 1
    top, bottom, step_y = _edges(image, "y", None if single_x else abs(_edges(image, "x", None)[2]))
    left, right, _ = _edges(image, "x", abs(step_y))
    unit = str(image["x"].attrs.get("units", "")).strip() if "x" in image.coords else ""
    return MapFrame(left, right, top, bottom, "pixel" if unit.lower() in _PIXEL else unit)


@dataclass(frozen=True)
class ScaleBar:
    """
    Length of a scale bar and what is written at it.

    Attributes
    ----------
    length : float
        Length in the map's own units.
    label : str
        The length in a unit that reads well, such as ``"200 µm"``.
    """

    length: float
    label: str


def _nice(target: float) -> float:
    """Return the number of the form 1, 2 or 5 x 10^n that is nearest on a log scale."""
    decade = 10.0 ** math.floor(math.log10(target))
    return min((step * decade for step in (1, 2, 5, 10)), key=lambda c: abs(math.log(c / target)))


def scale_bar_length(width: float, unit: str) -> ScaleBar:
    """
    Choose the length of a scale bar: 1, 2 or 5 x 10^n, near 22 % of the width.

    Parameters
    ----------
    width : float
        Width of the map in `unit`, positive.
    unit : str
        A unit of length, or ``"pixel"``. Lengths are written in nm, µm or mm; an unknown unit
        is written as it is.

    Returns
    -------
    ScaleBar
        Its length in `unit` and its label. In pixels it is a whole number.
    """
    target = _TARGET_SHARE * width
    if unit == "pixel":
        pixels = max(1, round(_nice(max(target, 1.0))))
        return ScaleBar(float(pixels), f"{pixels} pixel" + ("s" if pixels > 1 else ""))
    if unit not in MICROMETRES:
        length = _nice(target)
        return ScaleBar(length, f"{length:g} {unit}")
    micrometres = _nice(target * MICROMETRES[unit])
    shown, factor = "µm", 1.0
    if micrometres < 0.9:  # noqa: PLR2004 - half way between 0.5 and 1 on the scale of steps
        shown, factor = "nm", 1e-3
    elif micrometres > 900.0:  # noqa: PLR2004
        shown, factor = "mm", 1e3
    return ScaleBar(micrometres / MICROMETRES[unit], f"{micrometres / factor:.6g} {shown}")


def add_scale_bar(
    ax: Axes, frame: MapFrame, drawn_height: float, *, size: float = 9
) -> AnchoredSizeBar:
    """
    Put a scale bar under the lower left corner of a map, where it hides none of it.

    A column of pixels gets an upright bar to its left instead.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes of the map.
    frame : MapFrame
        What the map covers.
    drawn_height : float
        Height of the map on paper, in inches.
    size : float, default: 9
        Size of its label in points.

    Returns
    -------
    AnchoredSizeBar
        The artist, already in the axes.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.transforms import ScaledTranslation
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    from sigma_scale.plot.figures import INK, root_figure

    upright = frame.aspect < 1  # a column of pixels: its width says nothing
    bar = scale_bar_length(frame.height if upright else frame.width, frame.unit)
    thickness = (0.035 / drawn_height) * (
        frame.width * frame.drawn_ratio if upright else frame.height
    )
    label = bar.label
    if upright:
        label += "\n(width not\nto scale)"
    elif frame.aspect > 1:
        label += "   (height not to scale)"
    aside, below = (-5 / 72, 0) if upright else (0, -5 / 72)
    shift = ScaledTranslation(aside, below, root_figure(ax).dpi_scale_trans)
    artist = AnchoredSizeBar(
        ax.transData,
        thickness if upright else bar.length,
        label,
        loc="lower right" if upright else "upper left",
        pad=0,
        borderpad=0,
        sep=3,
        frameon=False,
        size_vertical=bar.length if upright else thickness,
        color=INK,
        fill_bar=True,
        fontproperties=FontProperties(size=size),
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=ax.transAxes + shift,
    )
    if frame.aspect > 1:
        artist.get_child().align = "left"  # a label longer than the bar must not move it
    ax.add_artist(artist)
    return artist
