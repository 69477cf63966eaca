"""Points of a latent space, counted on a grid in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma_scale.errors import EmptyMapError
from sigma_scale.plot.palette import NOISE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["BATCH", "LatentRaster", "rasterise_latent"]

BATCH = 1 << 20
_MARGIN = 0.03
_COMPACT_CELLS = 12


@dataclass(frozen=True)
class LatentRaster:
    """
    Points of a latent space, counted on a grid.

    Attributes
    ----------
    counts : ndarray, shape (height, width), int64
        Points in each cell; the first row is the lowest.
    colour : ndarray, shape (height, width, 3), float64, or None
        Mean colour of each cell's points (0 to 1), where labels were given.
    medians : mapping of int to (float, float)
        Median position of each label, to a cell, the label of most points first; noise is left
        out.
    compact : frozenset of int
        Labels whose points lie within few cells, so that writing on them would hide them.
    x_range, y_range : (float, float)
        What the grid covers.
    """

    counts: npt.NDArray[np.int64]
    colour: npt.NDArray[np.float64] | None
    medians: Mapping[int, tuple[float, float]]
    compact: frozenset[int]
    x_range: tuple[float, float]
    y_range: tuple[float, float]


def _batches(
    points: npt.NDArray[Any], labels: npt.NDArray[Any] | None
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64] | None]]:
    """Yield finite points and their labels, a bounded number at a time."""
    for start in range(0, points.shape[0], BATCH):
        part = np.asarray(points[start : start + BATCH], dtype=np.float64)
        finite = np.isfinite(part).all(axis=1)
        chosen = None
        if labels is not None:
            chosen = np.asarray(labels[start : start + BATCH], dtype=np.int64)[finite]
        yield part[finite], chosen


def _ranges(points: npt.NDArray[Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return ranges that hold all finite points, with a margin."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for part, _ in _batches(points, None):
        if part.size:
            low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    if not np.isfinite(low).all():
        msg = "There is nothing to draw: the latent space has no point with finite coordinates."
        raise EmptyMapError(msg)
    extent = high - low
    # Where all points share a coordinate, any range around it will do.
    margin = np.where(extent > 0, _MARGIN * extent, np.maximum(0.05 * np.abs(low), 0.5))
    low, high = low - margin, high + margin
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def rasterise_latent(
    points: npt.NDArray[Any],
    labels: npt.NDArray[np.integer[Any]] | None,
    colours: Mapping[int, str],
    size: tuple[int, int],
) -> LatentRaster:
    """
    Count points on a grid and average their colours.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Positions; rows that are not finite are left out.
    labels : ndarray of integers, shape (n,), or None
        Phase of each point.
    colours : mapping of int to str
        A colour for every label.
    size : (int, int)
        Width and height of the grid.

    Returns
    -------
    LatentRaster
        Every finite point is counted in it. Memory is that of five grids and of one batch of
        points, whatever the number of points and of labels.

    Raises
    ------
    EmptyMapError
        If no point is finite.

    Notes
    -----
    The mean colour of a cell is that of datashader's shading by category; here red, green and
    blue are summed instead of one grid per category.
    """
    import datashader as ds
    import pandas as pd
    from matplotlib.colors import to_rgb

    x_range, y_range = _ranges(points)
    width, height = size
    canvas = ds.Canvas(plot_width=width, plot_height=height, x_range=x_range, y_range=y_range)
    counts = np.zeros((height, width), dtype=np.int64)
    known = np.array(sorted(colours), dtype=np.int64)
    table = np.array([to_rgb(colours[int(label)]) for label in known]).reshape(-1, 3)
    sums = np.zeros((3, height, width)) if labels is not None else None
    marginals = np.zeros((known.size, width), np.int64), np.zeros((known.size, height), np.int64)
    edges = (x_range, width), (y_range, height)
    for part, chosen in _batches(points, labels):
        if not part.size:
            continue
        frame = pd.DataFrame({"x": part[:, 0], "y": part[:, 1]})
        if chosen is None or sums is None:
            counts += canvas.points(frame, "x", "y", ds.count()).to_numpy().astype(np.int64)
            continue
        index = np.searchsorted(known, chosen)
        for channel, name in enumerate("rgb"):
            frame[name] = table[index, channel]
        summary = ds.summary(n=ds.count(), r=ds.sum("r"), g=ds.sum("g"), b=ds.sum("b"))
        found = canvas.points(frame, "x", "y", summary)
        counts += found["n"].to_numpy().astype(np.int64)
        for channel, name in enumerate("rgb"):
            sums[channel] += np.nan_to_num(found[name].to_numpy())
        for axis, ((low, high), cells) in enumerate(edges):
            cell = ((part[:, axis] - low) * (cells / (high - low))).astype(np.int64)
            flat = index * cells + np.clip(cell, 0, cells - 1)
            marginals[axis][:] += np.bincount(flat, minlength=known.size * cells).reshape(-1, cells)
    colour = None
    if sums is not None:
        colour = np.moveaxis(sums / np.maximum(counts, 1), 0, -1)
    centres = [_median_centres(m, bounds) for m, (bounds, _) in zip(marginals, edges, strict=True)]
    by_size = np.argsort(-marginals[0].sum(axis=1), kind="stable")
    medians = {
        int(known[k]): (float(centres[0][k]), float(centres[1][k]))
        for k in by_size
        if known[k] != NOISE and np.isfinite(centres[0][k])
    }
    spans = np.maximum(*(np.count_nonzero(m, axis=1) for m in marginals))
    compact = frozenset(int(v) for v in known[spans <= _COMPACT_CELLS])
    return LatentRaster(counts, colour, medians, compact, x_range, y_range)


def _median_centres(
    marginal: npt.NDArray[np.int64], bounds: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return the centre of each row's median cell; NaN for a row without points."""
    totals = marginal.sum(axis=1)
    cells = marginal.shape[1]
    middle = (np.cumsum(marginal, axis=1) * 2 >= totals[:, None]).argmax(axis=1)
    low, high = bounds
    return np.where(totals > 0, low + (middle + 0.5) * (high - low) / cells, np.nan)
