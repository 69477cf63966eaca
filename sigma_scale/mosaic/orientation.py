"""Whether the places of tiles are mirrored or turned, which spoils the pairs along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.mosaic.flipping import FLIPS, flip_layout
from sigma_scale.mosaic.global_fit import CHANCE
from sigma_scale.mosaic.pairs import is_sure, measure_pairs, overlapping_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.mosaic.contrast import ImageChoice
    from sigma_scale.mosaic.correlation import PairShift
    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.pairs import Pair

    Flags = NDArray[np.bool_]

__all__ = ["explaining_flip", "is_suspicious", "telling_pairs"]

_SUSPICIOUS = 0.5
"""Share of the pairs along an axis that fit, below which something may be wrong with it."""
_LEAST_PAIRS = 2
"""Pairs along an axis, of which fewer say nothing by themselves."""
_LOOKED_AT = 8
"""Pairs along each axis that are compared to find out whether tiles fit if they are mirrored."""
_BESIDE = 0.5
"""Share of a tile's side by which it may be off along the other axis to be beside or below."""
_LEAST_SHARE, _LEAST_GAIN = 0.5, 0.3
"""Share of pairs that match when they are mirrored, and by how much it is larger than before."""
_MOST_CHANCE = 0.005
"""Probability that as many pairs match by chance, for each way of mirroring that is tried."""


def telling_pairs(measured: Sequence[PairShift], used: Flags) -> Flags:
    """
    Pairs whose pictures have anything to compare, and those that are used anyway.

    Parameters
    ----------
    measured : sequence of PairShift
        What was measured.
    used : numpy.ndarray, shape (pair,), bool
        Pairs that the solution uses.

    Returns
    -------
    numpy.ndarray, shape (pair,), bool
    """
    telling: Flags = np.array([found.quality > 0 for found in measured], dtype=bool) | used
    return telling


def is_suspicious(
    layout: TileLayout, pairs: Sequence[Pair], measured: Sequence[PairShift], used: Flags
) -> bool:
    """
    Whether most pairs of neighbours along an axis don't fit, as if it pointed the other way.

    Parameters
    ----------
    layout : TileLayout
        Tiles at the given places.
    pairs : sequence of Pair
        Those that overlap.
    measured : sequence of PairShift
        What was measured.
    used : numpy.ndarray, shape (pair,), bool
        Pairs that the solution uses.

    Returns
    -------
    bool
    """
    return _worst_share(_directions(layout, pairs), telling_pairs(measured, used), used) < (
        _SUSPICIOUS
    )


def explaining_flip(
    layout: TileLayout,
    pairs: Sequence[Pair],
    measured: Sequence[PairShift],
    image: ImageChoice,
    search: float,
) -> str | None:
    """
    Find out whether tiles fit together if their places are mirrored or turned.

    Only some pairs are compared, those of a few neighbours in each direction.

    Parameters
    ----------
    layout : TileLayout
        Tiles at the given places, where they don't fit.
    pairs : sequence of Pair
        Those that overlap there.
    measured : sequence of PairShift
        What was measured.
    image : str or Contrast
        What is compared.
    search : float
        How far a pair's shift may be from what is expected, in pixels.

    Returns
    -------
    str or None
        One of the ways that :func:`~sigma_scale.mosaic.flip_layout` knows; None if none of them
        makes most pairs fit, and many more than do now.
    """
    sure = _sure(measured)
    now = _worst_share(_directions(layout, pairs), telling_pairs(measured, sure), sure)
    # Of ways that are as good, as for a single row, the simplest one is told.
    shares = {flip: _share_that_fits(flip_layout(layout, flip), image, search) for flip in FLIPS}
    best = max(shares, key=lambda flip: shares[flip])
    return best if shares[best] >= max(_LEAST_SHARE, now + _LEAST_GAIN) else None


def _share_that_fits(layout: TileLayout, image: ImageChoice, search: float) -> float:
    """Share of the pairs looked at that match, of the worse direction; 0 if it may be chance."""
    from scipy.stats import binom

    pairs = overlapping_pairs(layout, search)
    directions = _directions(layout, pairs)
    chosen = [pairs[n] for axis in (0, 1) for n in _spread(np.flatnonzero(directions == axis))]
    if not chosen:
        return 0.0
    measured = measure_pairs(layout, chosen, image, search)
    sure = _sure(measured)
    telling = telling_pairs(measured, sure)
    if binom.sf(sure.sum() - 1, telling.sum(), CHANCE) > _MOST_CHANCE:
        return 0.0
    return _worst_share(_directions(layout, chosen), telling, sure)


def _sure(measured: Sequence[PairShift]) -> Flags:
    return np.array([is_sure(found) for found in measured], dtype=bool)


def _worst_share(directions: NDArray[np.int64], telling: Flags, used: Flags) -> float:
    """Share of the telling pairs that are used, along the axis where it is lower; 1 if none."""
    beside = telling & (directions >= 0)
    groups = [beside & (directions == axis) for axis in (0, 1)]
    if min(int(group.sum()) for group in groups) < _LEAST_PAIRS:
        groups = [beside]
    return min(float(used[group].mean()) if group.any() else 1.0 for group in groups)


def _directions(layout: TileLayout, pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """0 for tiles one below the other, 1 for those beside each other, -1 for those at a corner."""
    offsets = layout.offsets
    found = np.full(len(pairs), -1, dtype=np.int64)
    for number, (first, second, *_) in enumerate(pairs):
        shapes = [layout.tiles[tile].shape for tile in (first, second)]
        off = np.abs(offsets[second] - offsets[first]) / np.min(shapes, axis=0)
        if off.min() < _BESIDE:
            found[number] = int(off.argmax())
    return found


def _spread(numbers: NDArray[np.int64]) -> list[int]:
    """Some of the pairs, from all over the layout."""
    places = np.linspace(0, len(numbers) - 1, min(_LOOKED_AT, len(numbers))).round().astype(int)
    return [int(number) for number in numbers[np.unique(places)]]
