"""Pairs of tiles that overlap, and the shifts that are measured between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale import compute, progress
from sigma_scale.mosaic.correlation import PairShift, measure_shift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sigma_scale.mosaic.contrast import ImageChoice
    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.tile import Tile

    Floats = NDArray[np.float64]

__all__ = ["Pair", "is_sure", "matrix_of", "measure_pairs", "overlapping_pairs", "shift_of"]

_LEAST_AREA = 0.02
"""Share of the smaller tile that an expected overlap has, or it isn't looked at."""
_LEAST_RATIO = 1.5
_WORST_ERROR = 2.0
"""Standard error in the better direction, in pixels, above which a shift says nothing."""


class Pair(NamedTuple):
    """Two tiles that overlap where they are expected."""

    first: int
    second: int
    """Numbers of the tiles, the upper or left one first."""
    windows: tuple[tuple[slice, slice], tuple[slice, slice]]
    """Parts of both tiles that may be in common."""
    expected: tuple[float, float]
    """Where the second part's first pixel is expected in the first part."""


def is_sure(found: PairShift) -> bool:
    """
    Whether a shift is probably no chance match.

    Parameters
    ----------
    found : PairShift
        What was measured.

    Returns
    -------
    bool
    """
    variance = np.linalg.eigvalsh(matrix_of(found))[0]
    return bool(
        found.evidence > 0 and found.peak_ratio >= _LEAST_RATIO and variance < _WORST_ERROR**2
    )


def matrix_of(found: PairShift) -> Floats:
    """
    Covariance of a shift.

    Parameters
    ----------
    found : PairShift
        What was measured.

    Returns
    -------
    numpy.ndarray, shape (2, 2), float64
        In y and x, in square pixels.
    """
    y, x, both = found.covariance
    return np.array([[y, both], [both, x]])


def shift_of(pair: Pair, found: PairShift) -> tuple[float, float]:
    """
    Where the second tile's first pixel lies from the first one's.

    Parameters
    ----------
    pair : Pair
        The tiles.
    found : PairShift
        What was measured between their parts.

    Returns
    -------
    tuple of float
        Rows and columns in pixels.
    """
    (rows_a, columns_a), (rows_b, columns_b) = pair.windows
    return (
        found.dy + rows_a.start - rows_b.start,
        found.dx + columns_a.start - columns_b.start,
    )


def overlapping_pairs(layout: TileLayout, search: float) -> list[Pair]:
    """
    Find the tiles that overlap where the layout has them.

    Parameters
    ----------
    layout : TileLayout
        The tiles.
    search : float
        How far each may be from there, in pixels, by which the parts to compare are larger.

    Returns
    -------
    list of Pair
        The same for any order of the tiles, but for their numbers.
    """
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
) -> Pair:
    between = offsets[second] - offsets[first]
    windows = []
    for shift, own, other in ((between, first, second), (-between, second, first)):
        start = np.clip(np.floor(shift - search), 0, shapes[own] - 1).astype(int)
        stop = np.clip(np.ceil(shift + shapes[other] + search), start + 1, shapes[own]).astype(int)
        windows.append((slice(int(start[0]), int(stop[0])), slice(int(start[1]), int(stop[1]))))
    starts = [np.array([part.start for part in window]) for window in windows]
    expected = between - starts[0] + starts[1]
    return Pair(first, second, (windows[0], windows[1]), (float(expected[0]), float(expected[1])))


def measure_pairs(
    layout: TileLayout, pairs: list[Pair], image: ImageChoice, search: float
) -> list[PairShift]:
    """
    Measure pairs; pictures are read once, tile by tile, and pairs compared as soon as both are.

    Parameters
    ----------
    layout : TileLayout
        The tiles.
    pairs : list of Pair
        What to compare.
    image : str or Contrast
        By what; see :meth:`Tile.picture`.
    search : float
        How far, in pixels, a shift may be from what is expected.

    Returns
    -------
    list of PairShift
        One for each pair, between its parts.

    Raises
    ------
    SigmaScaleError
        If a tile can't be read.
    """
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
