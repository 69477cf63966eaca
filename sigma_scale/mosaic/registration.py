"""Where tiles really lie, by what they see in their overlaps."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale import compute, progress
from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.mosaic.contrast import shared_image
from sigma_scale.mosaic.correlation import PairShift, measure_shift
from sigma_scale.mosaic.global_fit import CHANCE, GlobalFit, fit_positions, misplaced_tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from sigma_scale.mosaic.contrast import ImageChoice
    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.tile import Tile

    Floats = NDArray[np.float64]

__all__ = ["Registration", "register"]

_LEAST_SEARCH = 12.0
_SEARCH_SHARE = 0.04
_LEAST_AREA = 0.02
"""Share of the smaller tile that an expected overlap has, or it isn't looked at."""
_LEAST_RATIO = 1.5
_WORST_ERROR = 2.0
"""Standard error in the better direction, in pixels, above which a shift says nothing."""
_STRONG_QUALITY = 0.5
_STRONG_EVIDENCE = 0.25
"""Of what the scan's used pairs have, that a pair has that isn't chance."""
_STRONG_RATIO = 2.0
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


class _Pair(NamedTuple):
    first: int
    second: int
    windows: tuple[tuple[slice, slice], tuple[slice, slice]]
    """Parts of both tiles that may be in common."""
    expected: tuple[float, float]
    """Where the second part's first pixel is expected in the first part."""


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
        If no tiles overlap, no more pairs match than chance would give, or a parameter can't work.

    Warns
    -----
    SigmaScaleWarning
        If tiles match nowhere, or most of their neighbours speak against them; they keep the
        position that they had.

    Notes
    -----
    The result depends on the pictures alone: not on the order in which they are read, nor on where
    the work runs. Only overlaps are held: of tiles in flight, and of those whose neighbours come
    later, about a row of the grid.
    """
    sides = min(min(tile.shape) for tile in layout)
    if search is None:
        search = max(_LEAST_SEARCH, _SEARCH_SHARE * sides)
    for name, value in (("search", search), ("tolerance", tolerance), ("stage_error", stage_error)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ParameterError(f"{name} must be a positive number of pixels, not {value}.")
    if len(layout) == 1:
        return Registration(layout, _table(layout, [], [], None), ())
    pairs = _overlapping(layout, search)
    if not pairs:
        raise ParameterError(
            "No two tiles overlap where the layout has them, so nothing can be compared. Check the "
            "positions and their unit, the overlap of the grid, or the stage's axes."
        )
    measured = _measure(layout, pairs, shared_image(layout.tiles, image), search)
    offsets = layout.offsets
    shifts = np.array([_shift(pair, found) for pair, found in zip(pairs, measured, strict=True)])
    covariances = np.array([_matrix(found) for found in measured])
    candidates = np.array([_is_sure(found) for found in measured])
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
    if n_used == 0 or n_used <= math.floor(by_chance):
        raise ParameterError(
            f"The overlaps don't match: of {len(pairs)} pairs of tiles {n_used} fit together, no "
            "more than chance would give. Check that the tiles are of one area and in the right "
            f"places (stage_axes, order, snake), or widen the search (now {search:g} pixels). To "
            "keep the given positions, leave the registration out."
        )
    matched = np.zeros(len(layout), dtype=bool)
    matched[numbers[fit.used].ravel()] = True
    positions = np.where(matched[:, None], fit.positions, offsets)
    unmatched = tuple(t.name for t, known in zip(layout, matched, strict=True) if not known)
    _warn(unmatched, search)
    table = _table(layout, pairs, measured, shifts)
    table["used"] = fit.used
    table["residual"] = np.linalg.norm(
        shifts - (positions[numbers[:, 1]] - positions[numbers[:, 0]]), axis=1
    )
    return Registration(layout.with_offsets(positions), table, unmatched)


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


def _is_sure(found: PairShift) -> bool:
    variance = np.linalg.eigvalsh(_matrix(found))[0]
    return bool(
        found.evidence > 0 and found.peak_ratio >= _LEAST_RATIO and variance < _WORST_ERROR**2
    )


def _matrix(found: PairShift) -> Floats:
    y, x, both = found.covariance
    return np.array([[y, both], [both, x]])


def _shift(pair: _Pair, found: PairShift) -> tuple[float, float]:
    (rows_a, columns_a), (rows_b, columns_b) = pair.windows
    return (
        found.dy + rows_a.start - rows_b.start,
        found.dx + columns_a.start - columns_b.start,
    )


def _overlapping(layout: TileLayout, search: float) -> list[_Pair]:
    from scipy.spatial import cKDTree

    offsets = layout.offsets
    shapes = np.array([tile.shape for tile in layout])
    reach = float(np.linalg.norm(shapes, axis=1).max())
    numbers = cKDTree(offsets + shapes / 2).query_pairs(reach, output_type="ndarray")
    numbers = numbers[np.lexsort((numbers[:, 1], numbers[:, 0]))]
    # The upper or left one is the first, so that the order of the tiles makes no difference.
    places = offsets @ (2.0, 1.0)
    turned = places[numbers[:, 0]] > places[numbers[:, 1]]
    numbers[turned] = numbers[turned, ::-1]
    a, b = numbers.T
    low = np.maximum(offsets[a], offsets[b])
    high = np.minimum(offsets[a] + shapes[a], offsets[b] + shapes[b])
    area = np.clip(high - low, 0, None).prod(axis=1)
    smaller = np.minimum(shapes[a].prod(axis=1), shapes[b].prod(axis=1))
    return [
        _pair(int(i), int(j), offsets, shapes, search)
        for i, j in numbers[area >= _LEAST_AREA * smaller]
    ]


def _pair(
    first: int, second: int, offsets: Floats, shapes: NDArray[np.int64], search: float
) -> _Pair:
    between = offsets[second] - offsets[first]
    windows = []
    for shift, own, other in ((between, first, second), (-between, second, first)):
        start = np.clip(np.floor(shift - search), 0, shapes[own] - 1).astype(int)
        stop = np.clip(np.ceil(shift + shapes[other] + search), start + 1, shapes[own]).astype(int)
        windows.append((slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1]))))
    starts = [np.array([part.start for part in window]) for window in windows]
    expected = between - starts[0] + starts[1]
    return _Pair(first, second, (windows[0], windows[1]), (float(expected[0]), float(expected[1])))


def _measure(
    layout: TileLayout, pairs: list[_Pair], image: ImageChoice, search: float
) -> list[PairShift]:
    """Measure all pairs; pictures are read once, tile by tile, and pairs as soon as both are."""
    wanted: list[list[tuple[int, int]]] = [[] for _ in layout]
    for number, pair in enumerate(pairs):
        wanted[pair.first].append((number, 0))
        wanted[pair.second].append((number, 1))
    reading = (
        (tile, image, [(number, end, pairs[number].windows[end]) for number, end in parts])
        for tile, parts in zip(layout, wanted, strict=True)
        if parts
    )

    def ready() -> Iterator[tuple[int, Floats, Floats, tuple[float, float], float]]:
        waiting: dict[int, Floats] = {}
        for strips in compute.stream(_read_strips, reading, description="Reading overlaps"):
            for number, end, strip in strips:
                if number not in waiting:
                    waiting[number] = strip
                    continue
                other = waiting.pop(number)
                both = (other, strip) if end else (strip, other)
                yield number, *both, pairs[number].expected, search

    found: dict[int, PairShift] = {}
    with progress.progress_bar("Comparing overlaps", total=len(pairs), unit="pair") as bar:
        for number, shift in compute.stream(_compare, ready(), description="Comparing overlaps"):
            found[number] = shift
            bar.update()
    return [found[number] for number in range(len(pairs))]


def _read_strips(
    job: tuple[Tile, ImageChoice, list[tuple[int, int, tuple[slice, slice]]]],
) -> list[tuple[int, int, Floats]]:
    tile, image, parts = job
    picture = tile.picture(image)
    return [(number, end, picture[window].astype(np.float64)) for number, end, window in parts]


def _compare(
    job: tuple[int, Floats, Floats, tuple[float, float], float],
) -> tuple[int, PairShift]:
    number, first, second, expected, search = job
    return number, measure_shift(first, second, expected, search)


def _table(
    layout: TileLayout, pairs: list[_Pair], measured: list[PairShift], shifts: Floats | None
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
