"""Frames of maps of any size: labels in their colours, values in those of a colour map."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent.rows import in_threads
from sigma_scale.plot.map_picture_kernels import (
    GAP,
    NO_LABEL,
    block_majorities,
    block_means,
    label_range,
    paint_labels,
    paint_values,
)
from sigma_scale.plot.viewport import colour_table, missing_colour, packed_colours

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.plot.viewport import Viewport

__all__ = ["LabelPicture", "ValuePicture"]

_MAP = 2
_NO_SELECTION: NDArray[np.bool_] = np.zeros((0, 0), np.bool_)
_FADED = 70
_PART = 1 << 18
"""Pixels for which a thread pays."""
_MOST_LEVELS = 6
_MOST_LABELS = 1 << 24

_Level = TypeVar("_Level")


class LabelPicture:
    """
    A map of labels, drawn at the resolution of the screen.

    Where several pixels of the map fall on one of the screen, it shows the majority of a block of
    them: blocks are as many pixels high and wide as the largest power of two that leaves at least
    one block for each pixel of the screen. They are made when they are first needed.

    Parameters
    ----------
    labels : array-like of integers, shape (y, x)
        Labels; -1 is noise and counts as any other. Kept without a copy if they are int32 in C
        order and there are no gaps. They must not change.
    gaps : array, shape (y, x) or (y * x,), bool, optional
        Pixels that were not measured: where they have no label but -1 they are not drawn.

    Attributes
    ----------
    x_range, y_range : (float, float)
        What holds the map, with its first row on top: pixel k reaches from k - 0.5 to k + 0.5.

    Raises
    ------
    ShapeMismatchError
        If it is not a map, or the gaps are those of another one.
    ParameterError
        If the labels are not integers from -1 on.
    """

    def __init__(self, labels: ArrayLike, gaps: NDArray[np.bool_] | None = None) -> None:
        values = np.asarray(labels)
        _check_map(values)
        if values.dtype.kind not in "iu":
            raise ParameterError(f"Labels are integers, not {values.dtype}.")
        self._labels = np.ascontiguousarray(values, dtype=np.int32)
        self._span = label_range(self._labels)
        if not -1 <= self._span[0] <= self._span[1] < _MOST_LABELS:
            raise ParameterError(
                f"Labels go from -1 (noise) to {_MOST_LABELS - 1}; these go from {self._span[0]} "
                f"to {self._span[1]}."
            )
        if gaps is not None:
            self._leave_out(gaps)
        self._levels: _LabelLevels = _Levels()
        self._selection: tuple[NDArray[np.bool_], _LabelLevels] | None = None
        self.x_range, self.y_range = _whole(values.shape)

    def _leave_out(self, gaps: NDArray[np.bool_]) -> None:
        if np.shape(gaps) not in {self._labels.shape, (self._labels.size,)}:
            raise ShapeMismatchError(
                f"The gaps have the shape {np.shape(gaps)}, the map {self._labels.shape}."
            )
        unlabelled = gaps.reshape(self._labels.shape) & (self._labels < 0)
        if unlabelled.any():
            self._labels = np.where(unlabelled, np.int32(GAP), self._labels)
            self._span = GAP, self._span[1]

    def render(
        self,
        viewport: Viewport,
        colours: Mapping[int, str],
        *,
        hidden: Collection[int] = (),
        selected: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.uint32]:
        """
        Draw the pixels in a viewport.

        Parameters
        ----------
        viewport : Viewport
            What the frame shows, x being the column and y the row of the map.
        colours : mapping of int to str
            A colour for every label in the viewport.
        hidden : collection of int, optional
            Labels that are not drawn.
        selected : array, shape (y, x) or (y * x,), bool, optional
            Pixels that are drawn strongly; the others fade. A block with selected pixels shows
            the majority of them. It must not change; blocks are made anew for another one.

        Returns
        -------
        numpy.ndarray, shape (height, width), uint32
            Red, green, blue and opacity, red in the lowest byte, as Bokeh's ``image_rgba`` takes
            them; the first row lies at the smallest y. 0 where there is nothing.

        Raises
        ------
        ParameterError
            If a label has no colour, or a colour is none.
        ShapeMismatchError
            If the selection is of another shape.
        """
        table = colour_table(colours, hidden)
        levels, marks = self._levels, _NO_SELECTION
        kept = self._selection
        if selected is not None:
            if np.shape(selected) not in {self._labels.shape, (self._labels.size,)}:
                raise ShapeMismatchError(
                    f"The selection has the shape {np.shape(selected)}, the map "
                    f"{self._labels.shape}."
                )
            if kept is None or selected is not kept[0]:
                kept = self._selection = selected, _Levels()
            levels = kept[1]
            marks = np.ascontiguousarray(selected, np.bool_).reshape(self._labels.shape)
        factors, rows, columns = _sampling(viewport, self._labels.shape)
        frame = np.zeros((viewport.height, viewport.width), np.uint32)
        if not ((rows >= 0).any() and (columns >= 0).any()):
            return frame
        level: NDArray[np.int32] = self._labels
        strong: NDArray[np.bool_] = marks
        if factors != (1, 1):
            level, strong = levels.get(factors, lambda: self._level(factors, marks))
        missing = paint_labels(
            level, strong, rows, columns, table.packed(), table.packed(_FADED), table.known, frame
        )
        if missing != NO_LABEL:
            raise missing_colour(missing)
        return frame

    def _level(
        self, factors: tuple[int, int], marks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        labels, span = self._labels, self._span
        shape = _level_shape(labels.shape, factors)
        level = np.empty(shape, np.int32)
        strong = np.empty(shape if marks.size else (0, 0), np.bool_)
        _by_rows(
            lambda part: block_majorities(labels, marks, *factors, *part, span, level, strong),
            labels.size,
            shape[0],
        )
        return level, strong


class ValuePicture:
    """
    A map of values, drawn at the resolution of the screen.

    Where several pixels of the map fall on one of the screen, it shows the mean of a block of
    them, as large as for :class:`LabelPicture`. Pixels that are not finite are left out.

    Parameters
    ----------
    values : array-like of numbers, shape (y, x)
        Kept without a copy if they are float32 or float64 in C order. They must not change.

    Attributes
    ----------
    x_range, y_range : (float, float)
        What holds the map, with its first row on top: pixel k reaches from k - 0.5 to k + 0.5.

    Raises
    ------
    ShapeMismatchError
        If it is not a map.
    ParameterError
        If the values are not real numbers.
    """

    def __init__(self, values: ArrayLike) -> None:
        found = np.asarray(values)
        _check_map(found)
        if found.dtype.kind not in "biuf":
            raise ParameterError(f"A map's values are real numbers, not {found.dtype}.")
        # Integers of up to 24 bits are exact in float32, and a picture shows no more than that.
        dtype = np.float64 if found.dtype == np.float64 else np.float32
        self._values: NDArray[Any] = np.ascontiguousarray(found, dtype=dtype)
        self._levels: _Levels[NDArray[np.float32]] = _Levels()
        self.x_range, self.y_range = _whole(found.shape)

    def render(
        self, viewport: Viewport, cmap: str, limits: tuple[float, float]
    ) -> NDArray[np.uint32]:
        """
        Draw the pixels in a viewport.

        Parameters
        ----------
        viewport : Viewport
            What the frame shows, x being the column and y the row of the map.
        cmap : str
            A colour map of matplotlib.
        limits : (float, float)
            Values of its first and of its last colour; beyond them the colour stays the same.

        Returns
        -------
        numpy.ndarray, shape (height, width), uint32
            As for :meth:`LabelPicture.render`; 0 where there is no finite value.

        Raises
        ------
        ParameterError
            If there is no such colour map, or the limits are not finite or run downwards.
        """
        low, high = (float(limit) for limit in limits)
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ParameterError(
                f"The limits of the colours are finite and the lower one comes first, not {limits}."
            )
        colours = packed_colours(cmap)
        factors, rows, columns = _sampling(viewport, self._values.shape)
        frame = np.zeros((viewport.height, viewport.width), np.uint32)
        if not ((rows >= 0).any() and (columns >= 0).any()):
            return frame
        level = self._values
        if factors != (1, 1):
            level = self._levels.get(factors, lambda: self._level(factors))
        paint_values(level, rows, columns, (low, high), colours, frame)
        return frame

    def _level(self, factors: tuple[int, int]) -> NDArray[np.float32]:
        values = self._values
        level = np.empty(_level_shape(values.shape, factors), np.float32)
        _by_rows(lambda part: block_means(values, *factors, *part, level), values.size, len(level))
        return level


class _Levels(Generic[_Level]):
    """The levels used last, by the size of their blocks."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Level] = {}

    def get(self, factors: Hashable, make: Callable[[], _Level]) -> _Level:
        """Return a level, made if it isn't kept."""
        level = self._kept.pop(factors, None)
        if level is None:
            level = make()
        # The dict is replaced, not changed, since several threads may draw.
        kept = {**self._kept, factors: level}
        self._kept = dict(list(kept.items())[-_MOST_LEVELS:])
        return level


_LabelLevels = _Levels[tuple["NDArray[np.int32]", "NDArray[np.bool_]"]]
"""Labels of blocks, and which have selected pixels."""


def _check_map(values: NDArray[Any]) -> None:
    if values.ndim != _MAP:
        raise ShapeMismatchError(f"A map has rows and columns, and this has shape {values.shape}.")


def _whole(shape: tuple[int, ...]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges that hold a map, the first row on top; around one pixel where there is none."""
    rows, columns = (max(size, 1) for size in shape)
    return (-0.5, columns - 0.5), (rows - 0.5, -0.5)


def _level_shape(shape: tuple[int, ...], factors: tuple[int, int]) -> tuple[int, int]:
    return -(-shape[0] // factors[0]), -(-shape[1] // factors[1])


def _sampling(
    viewport: Viewport, shape: tuple[int, ...]
) -> tuple[tuple[int, int], NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of a block, and which block each pixel of the frame shows."""
    row_factor, rows = _axis_sampling(viewport.y_span, viewport.height, shape[0])
    column_factor, columns = _axis_sampling(viewport.x_span, viewport.width, shape[1])
    return (row_factor, column_factor), rows, columns


def _axis_sampling(
    bounds: tuple[float, float], n_screen: int, n_map: int
) -> tuple[int, NDArray[np.int64]]:
    step = (bounds[1] - bounds[0]) / n_screen
    factor = 1
    # No block needs to be larger than the map.
    while 2 * factor <= step and factor < n_map:
        factor *= 2
    pixels = np.floor(bounds[0] + (np.arange(n_screen) + 0.5) * step + 0.5)
    inside = (pixels >= 0) & (pixels < n_map)
    return factor, np.where(inside, pixels, -1).astype(np.int64) // factor


def _by_rows(function: Callable[[tuple[int, int]], None], n_pixels: int, n_rows: int) -> None:
    """Call a function for ranges of a level's rows, in threads."""
    workers = max(1, min(compute.local_workers(), n_rows, -(-n_pixels // _PART)))
    edges = [n_rows * k // workers for k in range(workers + 1)]
    in_threads(function, pairwise(edges), workers)
