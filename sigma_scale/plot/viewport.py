"""What part of the data a frame on the screen shows, and colours as a frame holds them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

__all__ = ["ColourTable", "Viewport", "colour_table", "missing_colour", "packed_colours"]

_LOWEST = -1
"""Lowest label that has a colour: noise."""
_MOST_LABELS = 1 << 24


@dataclass(frozen=True)
class Viewport:
    """
    Part of the data that a frame shows.

    Either range may run downwards, as that of a map's rows does. A frame's first row lies at the
    smallest y and its first column at the smallest x in any case, since Bokeh's ``image_rgba``
    turns a picture over where a range runs downwards.

    Parameters
    ----------
    x_range, y_range : (float, float)
        Data coordinates at the left and right, and at the lower and upper edge of the screen.
    width, height : int
        Size of the frame in pixels of the screen.

    Raises
    ------
    ParameterError
        If a range is empty or not finite, or the frame has no pixel.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: int
    height: int

    def __post_init__(self) -> None:
        for axis, (first, last) in (("x", self.x_range), ("y", self.y_range)):
            if not (math.isfinite(first) and math.isfinite(last)) or not math.isfinite(
                last - first
            ):
                raise ParameterError(
                    f"The {axis} range of a view must be finite, not {first} to {last}."
                )
            if first == last:
                raise ParameterError(
                    f"The {axis} range of a view is empty: it begins and ends at {first}."
                )
        if self.width < 1 or self.height < 1:
            raise ParameterError(
                f"A frame has at least one pixel each way, not {self.width} x {self.height}."
            )

    @property
    def x_span(self) -> tuple[float, float]:
        """Smallest and largest x."""
        return min(self.x_range), max(self.x_range)

    @property
    def y_span(self) -> tuple[float, float]:
        """Smallest and largest y."""
        return min(self.y_range), max(self.y_range)


@dataclass(frozen=True, eq=False)
class ColourTable:
    """
    Colours by label, as kernels read them.

    Parameters
    ----------
    rgb : array, shape (label, 4), uint32
        Red, green and blue (0 to 255) and 1 of each label, noise first; all 0 where the label is
        hidden. So one row added counts a point and sums its colour.
    known : array, shape (label,), bool
        Labels that have a colour.
    """

    rgb: NDArray[np.uint32]
    known: NDArray[np.bool_]

    def packed(self, opacity: int = 255) -> NDArray[np.uint32]:
        """Colours as a frame holds them, shape (label,), uint32; 0 where hidden."""
        return _packed(self.rgb, opacity) * self.rgb[:, 3]


def colour_table(colours: Mapping[int, str], hidden: Collection[int] = ()) -> ColourTable:
    """
    Bring colours by label into a table.

    Parameters
    ----------
    colours : mapping of int to str
        Colours that matplotlib understands; -1 is noise.
    hidden : collection of int, optional
        Labels that are not drawn.

    Returns
    -------
    ColourTable

    Raises
    ------
    ParameterError
        If a colour is none, or a label is below -1 or beyond 16 million.
    """
    from matplotlib.colors import is_color_like, to_rgb

    for label, colour in colours.items():
        if not _LOWEST <= label < _MOST_LABELS:
            raise ParameterError(f"Label {label} can't have a colour; labels go from -1.")
        if not is_color_like(colour):
            raise ParameterError(
                f"{colour!r}, given for label {label}, is not a colour; use a name or '#rrggbb'."
            )
    size = max(colours, default=_LOWEST) - _LOWEST + 1
    rgb = np.zeros((size, 4), np.uint32)
    known = np.zeros(size, np.bool_)
    unseen = {int(label) for label in hidden}
    for label, colour in colours.items():
        known[label - _LOWEST] = True
        if label not in unseen:
            rgb[label - _LOWEST] = (*(round(255 * part) for part in to_rgb(colour)), 1)
    return ColourTable(rgb, known)


def missing_colour(label: int) -> ParameterError:
    """
    Error for a label that has no colour.

    Parameters
    ----------
    label : int
        The label.

    Returns
    -------
    ParameterError
    """
    return ParameterError(f"Label {label} has no colour. Give one for every label.")


def packed_colours(cmap: str, n_colours: int = 256) -> NDArray[np.uint32]:
    """
    Colours of a colour map as a frame holds them.

    Parameters
    ----------
    cmap : str
        A colour map of matplotlib.
    n_colours : int, default: 256
        Number of its steps.

    Returns
    -------
    numpy.ndarray, shape (n_colours,), uint32
        Opaque colours, red in the lowest byte.

    Raises
    ------
    ParameterError
        If there is no such colour map.
    """
    from matplotlib import colormaps

    if cmap not in colormaps:
        raise ParameterError(f"cmap {cmap!r} is not a colour map of matplotlib; try 'viridis'.")
    return _packed(colormaps[cmap](np.linspace(0.0, 1.0, n_colours), bytes=True), 255)


def _packed(rgb: NDArray[np.integer[Any]], opacity: int) -> NDArray[np.uint32]:
    """Pack red, green and blue, the first columns of a table, into numbers."""
    packed = np.full(len(rgb), opacity << 24, np.uint32)
    for channel in range(3):
        packed |= rgb[:, channel].astype(np.uint32) << np.uint32(8 * channel)
    return packed
