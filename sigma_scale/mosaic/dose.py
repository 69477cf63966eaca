"""How many counts each tile has relative to the others, by what they see in common."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale import compute, progress
from sigma_scale.mosaic.registration import Registration
from sigma_scale.spectra.window_sums import ChannelGroups, region_window_sums
from sigma_scale.store import stored_total

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.tile import Tile
    from sigma_scale.spectra import BlockSource

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Window = tuple[int, int, int, int]

__all__ = ["tile_doses"]

_MISPLACED = 0.4
"""Pixels by which a strip's edges may miss those of the other tile: rounding, rms of both axes."""
_CONTRAST = 0.3
"""Standard deviation of the counts of neighbouring grains relative to their mean."""
_GRAIN = 10.0
"""Pixels of an edge that see the same grain, about."""
_LEAST_ERROR = 2e-3
_SCALES = (32.0, 16.0, 8.0, 4.0, 3.0, 3.0, 3.0, 3.0)
_MAD = 1.4826
_PRECISION = 1e-12


class _Strip(NamedTuple):
    pair: int
    end: int
    """0 for the first tile of the pair, 1 for the second."""
    window: Window
    """First and last-plus-one row and column in the tile."""


def tile_doses(tiles: TileLayout | Registration) -> Floats:
    """
    Estimate the tiles' doses from the counts that they have where they overlap.

    Parameters
    ----------
    tiles : TileLayout or Registration
        Tiles where they lie.

    Returns
    -------
    numpy.ndarray, shape (tile,), float64
        Counts of each tile relative to what the mean tile would have there, with the geometric
        mean 1. Tiles that overlap no other are compared by their live times per pixel, where
        files have them; else they are taken as 1.

    Raises
    ------
    SigmaScaleError
        If a tile's counts can't be read.

    Notes
    -----
    The logarithm of the ratio of two tiles' counts in their common pixels, at positions rounded to
    whole ones, is the difference of the logarithms of their doses. All are solved by least
    squares, weighted by the errors of counting and of the positions. Pairs that contradict the
    others, such as those of a tile that lies elsewhere, lose their weight by Geman and McClure's
    function, whose scale falls from round to round.

    Only the blocks that overlap others are read, one at a time and each once; where a tile is a
    store, its totals are read instead. The result depends neither on the tiles' order nor on where
    the work runs.
    """
    layout = tiles.layout if isinstance(tiles, Registration) else tiles
    strips, pixels, perimeters = _overlaps(layout)
    counts, live_times = _measure(layout, strips, len(pixels))
    numbers = np.zeros((len(pixels), 2), np.int64)
    for tile, parts in enumerate(strips):
        for strip in parts:
            numbers[strip.pair, strip.end] = tile
    known = (counts > 0).all(axis=1)
    numbers, counts = numbers[known], counts[known]
    ratios = np.log(counts[:, 1] / counts[:, 0])
    misplaced = _CONTRAST * _MISPLACED * np.sqrt(_GRAIN * perimeters[known]) / pixels[known]
    errors = np.sqrt((1.0 / counts).sum(axis=1) + misplaced**2 + _LEAST_ERROR**2)
    logarithms = _fit(len(layout), numbers, ratios, errors)
    sizes = np.array([math.prod(tile.shape) for tile in layout])
    logarithms = _tied(logarithms, numbers, np.log(live_times / sizes))
    doses: Floats = np.exp(logarithms - logarithms.mean())
    return doses


def _overlaps(layout: TileLayout) -> tuple[list[list[_Strip]], Floats, Floats]:
    """Strips of each tile, and the pixels and the perimeter of each pair's overlap."""
    from scipy.spatial import cKDTree

    starts = np.round(layout.offsets).astype(np.int64)
    shapes = np.array([tile.shape for tile in layout])
    reach = float(np.linalg.norm(shapes, axis=1).max())
    found = cKDTree(starts + shapes / 2).query_pairs(reach, output_type="ndarray")
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    low = np.maximum(starts[found[:, 0]], starts[found[:, 1]])
    high = np.minimum(*((starts + shapes)[found[:, end]] for end in (0, 1)))
    overlap = (high > low).all(axis=1)
    found, low, high = found[overlap], low[overlap], high[overlap]
    strips: list[list[_Strip]] = [[] for _ in layout]
    for pair, (tiles, first, last) in enumerate(zip(found.tolist(), low, high, strict=True)):
        for end, tile in enumerate(tiles):
            top, left = (first - starts[tile]).tolist()
            bottom, right = (last - starts[tile]).tolist()
            strips[tile].append(_Strip(pair, end, (top, bottom, left, right)))
    sides = (high - low).astype(np.float64)
    return strips, sides.prod(axis=1), 2.0 * sides.sum(axis=1)


def _measure(layout: TileLayout, strips: list[list[_Strip]], n_pairs: int) -> tuple[Floats, Floats]:
    """Counts of both tiles of each pair, and each tile's live time in seconds (NaN: not known)."""
    counts = np.zeros((n_pairs, 2))
    live_times = np.full(len(layout), np.nan)
    jobs = (
        (number, tile, parts)
        for number, (tile, parts) in enumerate(zip(layout, strips, strict=True))
    )
    with progress.progress_bar("Comparing doses", total=len(layout), unit="tile") as bar:
        for number, sums, live_time in compute.stream(
            _read_tile, jobs, description="Comparing doses"
        ):
            for strip, total in zip(strips[number], sums, strict=True):
                counts[strip.pair, strip.end] = total
            live_times[number] = live_time
            bar.update()
    return counts, live_times


def _read_tile(job: tuple[int, Tile, list[_Strip]]) -> tuple[int, list[float], float]:
    number, tile, strips = job
    image = tile.read()
    live_time = image.metadata.live_time_s
    usable = live_time is not None and math.isfinite(live_time) and live_time > 0
    windows = [strip.window for strip in strips]
    sums = _strip_sums(image.source, windows) if windows else []
    return number, sums, float(live_time or 0.0) if usable else math.nan


def _strip_sums(source: BlockSource, windows: list[Window]) -> list[float]:
    """Sum the counts in windows of a map, reading each block that they touch once."""
    stored = stored_total(source)
    if stored is not None:
        return [float(stored[a:b, c:d].sum(dtype=np.float64)) for a, b, c, d in windows]
    rows, columns, n_channels = source.shape
    height, width = source.chunk_shape
    groups = ChannelGroups.from_windows((range(n_channels),), n_channels)
    sums = np.zeros(len(windows))
    for top in range(0, rows, height):
        for left in range(0, columns, width):
            block = (top, min(top + height, rows), left, min(left + width, columns))
            common = [(k, _common(block, window)) for k, window in enumerate(windows)]
            touching = [(k, (a, b, c, d)) for k, (a, b, c, d) in common if a < b and c < d]
            if not touching:
                continue
            totals = region_window_sums(source, block, (1, 1), groups).sums[..., 0]
            for k, (a, b, c, d) in touching:
                part = totals[a - top : b - top, c - left : d - left]
                sums[k] += part.sum(dtype=np.float64)
    return [float(total) for total in sums]


def _common(one: Window, other: Window) -> Window:
    return (
        max(one[0], other[0]),
        min(one[1], other[1]),
        max(one[2], other[2]),
        min(one[3], other[3]),
    )


def _fit(n_tiles: int, numbers: Ints, ratios: Floats, errors: Floats) -> Floats:
    """
    Logarithms of the doses that fit most ratios.

    Their mean is 0 over each set of tiles that overlap: the least of all solutions.
    """
    if not len(ratios):
        return np.zeros(n_tiles)
    roots = np.ones(len(ratios))
    for scale in _SCALES:
        solved = _solve(n_tiles, numbers, ratios, roots / errors)
        distance = np.abs(ratios - (solved[numbers[:, 1]] - solved[numbers[:, 0]])) / errors
        # Errors are no smaller than most residuals say, so that no good pair is lost.
        spread = max(1.0, _MAD * float(np.median(distance)))
        roots = 1 / (1 + (distance / (scale * spread)) ** 2)
    return _solve(n_tiles, numbers, ratios, roots / errors)


def _solve(n_tiles: int, numbers: Ints, ratios: Floats, roots: Floats) -> Floats:
    """Least squares of ``root * (second - first - ratio)``; of many solutions the least."""
    from scipy import sparse
    from scipy.sparse.linalg import lsqr

    rows = np.arange(len(ratios))
    # Scaled to about 1 for the sake of the solver's tolerances.
    scaled = roots / roots.max()
    matrix = sparse.csr_array(
        (
            np.concatenate([-scaled, scaled]),
            (np.concatenate([rows, rows]), np.concatenate([numbers[:, 0], numbers[:, 1]])),
        ),
        shape=(len(ratios), n_tiles),
    )
    solved: Floats = lsqr(
        matrix, scaled * ratios, atol=_PRECISION, btol=_PRECISION, conlim=0.0,
        iter_lim=20 * n_tiles + 1000,
    )[0]  # fmt: skip
    return solved


def _tied(logarithms: Floats, numbers: Ints, from_time: Floats) -> Floats:
    """Shift sets of tiles that overlap each other against the others, by live times per pixel."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    n_tiles = len(logarithms)
    graph = sparse.coo_array(
        (np.ones(len(numbers)), (numbers[:, 0], numbers[:, 1])), shape=(n_tiles, n_tiles)
    )
    n_sets, member = connected_components(graph, directed=False)
    shifted = logarithms.copy()
    timed = np.isfinite(from_time)
    tied = np.zeros(n_tiles, dtype=bool)
    for number in range(n_sets):
        tiles = member == number
        shifted[tiles] -= shifted[tiles].mean()
        known = tiles & timed
        if known.any():
            shifted[tiles] += np.mean(from_time[known] - shifted[known])
            tied |= tiles
    if tied.any():
        # Sets without any live time are taken as the mean of the others.
        shifted[tied] -= shifted[tied].mean()
    return shifted
