"""Where tiles really lie, by what they see in their overlaps."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.mosaic.contrast import shared_image
from sigma_scale.mosaic.global_fit import CHANCE, GlobalFit, fit_positions, misplaced_tiles
from sigma_scale.mosaic.orientation import explaining_flip, is_suspicious, telling_pairs
from sigma_scale.mosaic.pairs import (
    is_sure,
    matrix_of,
    measure_pairs,
    overlapping_pairs,
    shift_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sigma_scale.mosaic.correlation import PairShift
    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.pairs import Pair

    Floats = NDArray[np.float64]

__all__ = ["Registration", "register"]

_LEAST_SEARCH = 12.0
_SEARCH_SHARE = 0.04
_STRONG_QUALITY = 0.5
_STRONG_EVIDENCE = 0.25
"""Of what the scan's used pairs have, that a pair has that isn't chance."""
_STRONG_RATIO = 2.0
_LEAST_USED = 0.5
_LEAST_TOLD = 4
"""Share of the overlaps that fit, below which it is told; and of how many, at least."""
_NAMED = 8


@dataclass(frozen=True, eq=False, repr=False)
class Registration:
    """
    Positions of tiles by their overlaps.

    Attributes
    ----------
    layout : TileLayout
        Tiles at their new positions.
    pairs : pandas.DataFrame
        One row per overlap, in pixels: ``tile_a``, ``tile_b``; ``dy``, ``dx`` (of b's first pixel
        from a's); ``quality`` (correlation of what they have in common, 0 to 1); ``peak_ratio``
        (evidence for the shift over that for shifts known wrong); ``sigma_y``, ``sigma_x``
        (standard errors); ``used``; ``residual`` (distance from the solution).
    unmatched : tuple of str
        Tiles that fit to no other, or to so few of their neighbours that it may be chance, and
        stayed where they were; none of their pairs are used.
    """

    layout: TileLayout
    pairs: pd.DataFrame
    unmatched: tuple[str, ...]

    def __repr__(self) -> str:
        from sigma_scale.mosaic.overview import summary_of

        return summary_of(self)


def register(
    layout: TileLayout,
    *,
    image: str = "auto",
    search: float | None = None,
    tolerance: float = 2.0,
    stage_error: float | None = None,
) -> Registration:
    """
    Find the positions of tiles by comparing their pictures where they overlap.

    Parameters
    ----------
    layout : TileLayout
        Tiles where the stage or a grid says they are.
    image : str, default: "auto"
        What is compared: the name of an image; an X-ray line such as ``"Fe_Ka"`` for the counts
        about it; ``"total"`` for counts per pixel; or ``"auto"`` for the navigation image, and
        where there is none the picture from the counts that shows the phases best.
    search : float, optional
        How far, in pixels, a pair's shift may be from what is expected; None: 4 % of a tile's side,
        at least 12.
    tolerance : float, default: 2.0
        Pairs farther from the common solution than this, in pixels, and than three of their
        standard errors, are rejected.
    stage_error : float, optional
        Standard error of the given positions in pixels; None: found from the pairs.

    Returns
    -------
    Registration

    Raises
    ------
    ParameterError
        If no tiles overlap, no more pairs match than chance would give, or a parameter can't work,
        such as a search that is longer than the tiles' shorter side.

    Warns
    -----
    SigmaScaleWarning
        If tiles match nowhere, or most of their neighbours speak against them; they keep the
        position that they had. If most overlaps don't fit, and by which way of
        :func:`~sigma_scale.mosaic.flip_layout` they would, where an axis points the other way.

    Notes
    -----
    The result depends on the pictures alone: not on the order in which they are read, nor on where
    the work runs. Only overlaps are held: of tiles in flight, and of those whose neighbours come
    later, about a row of the grid.
    """
    search = _searched(layout, search)
    for name, value in (("tolerance", tolerance), ("stage_error", stage_error)):
        _refuse_not_positive(name, value)
    if len(layout) == 1:
        return Registration(layout, _table(layout, [], [], None), ())
    pairs = overlapping_pairs(layout, search)
    if not pairs:
        raise ParameterError(
            "No two tiles overlap where the layout has them, so nothing can be compared. Check the "
            "positions and their unit, the overlap of the grid, or the stage's axes."
        )
    compared = shared_image(layout.tiles, image)
    measured = measure_pairs(layout, pairs, compared, search)
    offsets = layout.offsets
    shifts = np.array([shift_of(pair, found) for pair, found in zip(pairs, measured, strict=True)])
    covariances = np.array([matrix_of(found) for found in measured])
    candidates = np.array([is_sure(found) for found in measured])
    numbers = np.array([(pair.first, pair.second) for pair in pairs])
    while True:
        fit = fit_positions(
            offsets, numbers, shifts, covariances, candidates,
            tolerance=tolerance, stage_error=stage_error,
        )  # fmt: skip
        doubtful = np.isin(
            numbers, _doubtful(numbers, measured, fit, len(layout), tolerance / search)
        )
        if not doubtful.any():
            break
        candidates = candidates & ~doubtful.any(axis=1)
    by_chance = CHANCE * len(pairs) + 2 * math.sqrt(CHANCE * len(pairs))
    n_used = int(fit.used.sum())
    suspicious = is_suspicious(layout, pairs, measured, fit.used)
    flip = explaining_flip(layout, pairs, measured, compared, search) if suspicious else None
    if n_used == 0 or n_used <= math.floor(by_chance):
        raise ParameterError(
            f"The overlaps don't match: of {len(pairs)} pairs of tiles {n_used} fit together, no "
            f"more than chance would give. {_advice(flip, search)} To keep the given positions, "
            "leave the registration out."
        )
    matched = np.zeros(len(layout), dtype=bool)
    matched[numbers[fit.used].ravel()] = True
    positions = np.where(matched[:, None], fit.positions, offsets)
    unmatched = tuple(t.name for t, known in zip(layout, matched, strict=True) if not known)
    _warn_of_rejected(telling_pairs(measured, fit.used), fit.used, flip, search)
    _warn(unmatched, search)
    table = _table(layout, pairs, measured, shifts)
    table["used"] = fit.used
    table["residual"] = np.linalg.norm(
        shifts - (positions[numbers[:, 1]] - positions[numbers[:, 0]]), axis=1
    )
    return Registration(layout.with_offsets(positions), table, unmatched)


def _refuse_not_positive(name: str, value: float | None) -> None:
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise ParameterError(f"{name} must be a positive number of pixels, not {value}.")


def _searched(layout: TileLayout, search: float | None) -> float:
    """How far to search; memory grows with its square, and beyond a tile nothing is in common."""
    _refuse_not_positive("search", search)
    sides = [min(tile.shape) for tile in layout]
    if search is None:
        return max(_LEAST_SEARCH, _SEARCH_SHARE * min(sides))
    if search > max(sides):
        raise ParameterError(
            f"search ({search:g} pixels) is longer than the shorter side of the tiles "
            f"({max(sides)} pixels), beyond which they have nothing in common. Give a shorter "
            "search (--search), or better positions."
        )
    return search


def _doubtful(
    numbers: NDArray[np.int64],
    measured: list[PairShift],
    fit: GlobalFit,
    n_tiles: int,
    nearness: float,
) -> NDArray[np.int64]:
    """Tiles that most of their neighbours speak against; none are left after some rounds."""
    quality = np.array([found.quality for found in measured])
    evidence = np.array([found.evidence for found in measured])
    strong = np.array([found.peak_ratio >= _STRONG_RATIO for found in measured])
    if fit.used.any():
        strong &= quality >= _STRONG_QUALITY * np.median(quality[fit.used])
        strong &= evidence >= _STRONG_EVIDENCE * np.median(evidence[fit.used])
    return misplaced_tiles(
        numbers,
        fit.used,
        strong,
        quality > 0,
        n_tiles=n_tiles,
        agreement=min(nearness, 1.0) ** 2 * math.pi / 4,
    )


def _advice(flip: str | None, search: float) -> str:
    if flip is not None:
        return _flipping(flip)
    return (
        "Check that the tiles are of one area and in the right places (stage_axes, order, snake), "
        f"widen the search (now {search:g} pixels), or compare another image."
    )


def _flipping(flip: str) -> str:
    exchanged = "exchanged" if flip.startswith("swap") else ""
    axes = " and ".join(flip.removeprefix("swap").removeprefix("-"))
    mirrored = f"mirrored along {axes}" if axes else ""
    done = " and ".join(word for word in (exchanged, mirrored) if word)
    return (
        f"They match if the tiles' coordinates are {done}: flip the layout by flip_layout(layout, "
        f"{flip!r}) (--flip {flip}), or give other stage_axes (--stage-axes)."
    )


def _warn_of_rejected(
    telling: NDArray[np.bool_], used: NDArray[np.bool_], flip: str | None, search: float
) -> None:
    n_telling, n_used = int(telling.sum()), int(used.sum())
    if flip is None and (n_telling < _LEAST_TOLD or n_used >= _LEAST_USED * n_telling):
        return
    sure = "is probably" if flip else "may be"
    warnings.warn(
        f"The mosaic {sure} wrong: only {n_used} of {n_telling} overlaps that show anything "
        f"fit together. {_advice(flip, search)}",
        SigmaScaleWarning,
        stacklevel=3,
    )


def _warn(unmatched: tuple[str, ...], search: float) -> None:
    if unmatched:
        names = ", ".join(unmatched[:_NAMED])
        more = f" and {len(unmatched) - _NAMED} more" if len(unmatched) > _NAMED else ""
        warnings.warn(
            "These tiles match none of their neighbours, or fewer than would be sure, and keep the "
            f"position that was given: {names}{more}. If they are farther out of place than the "
            f"search ({search:g} pixels), give a wider one or a better position.",
            SigmaScaleWarning,
            stacklevel=3,
        )


def _table(
    layout: TileLayout, pairs: list[Pair], measured: list[PairShift], shifts: Floats | None
) -> pd.DataFrame:
    import pandas as pd

    places = np.empty((0, 2)) if shifts is None else shifts
    return pd.DataFrame(
        {
            "tile_a": [layout.tiles[pair.first].name for pair in pairs],
            "tile_b": [layout.tiles[pair.second].name for pair in pairs],
            "dy": places[:, 0],
            "dx": places[:, 1],
            "quality": [found.quality for found in measured],
            "peak_ratio": [found.peak_ratio for found in measured],
            "sigma_y": [math.sqrt(found.covariance[0]) for found in measured],
            "sigma_x": [math.sqrt(found.covariance[1]) for found in measured],
            "used": np.zeros(len(pairs), dtype=bool),
            "residual": np.zeros(len(pairs)),
        }
    )
