"""Positions of all tiles at once from the shifts of pairs and the stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CHANCE", "GlobalFit", "fit_positions", "misplaced_tiles"]

_SCALES = (32.0, 16.0, 8.0, 4.0, 3.0)
_ROUNDS = 6
_LEAST_STAGE_ERROR = 0.5
_FAR = 5.0
"""Standard errors of the stage, beyond which its place for a tile is probably wrong."""
_MAD = 1.4826
_PRECISION = 1e-10
CHANCE = 0.06
"""Share of pairs of unrelated pictures of grains that seem to match."""
_MOST_MATCHING = 0.9
"""Share of true overlaps that match, at most: some are bad for reasons of their own."""


class GlobalFit(NamedTuple):
    """Positions, and which pairs they agree with."""

    positions: Floats
    """Row and column of each tile in pixels, shape (tile, 2)."""
    residuals: Floats
    """Measured less fitted shift of each pair in pixels, shape (pair, 2)."""
    used: NDArray[np.bool_]
    """Pairs that were not rejected, shape (pair,)."""


def fit_positions(
    stage: Floats,
    pairs: Ints,
    shifts: Floats,
    covariances: Floats,
    candidates: NDArray[np.bool_],
    *,
    tolerance: float,
    stage_error: float | None = None,
) -> GlobalFit:
    """
    Solve for the positions that fit most pairs, near the stage's.

    Parameters
    ----------
    stage : numpy.ndarray, shape (tile, 2), float64
        Row and column by the stage, in pixels.
    pairs : numpy.ndarray, shape (pair, 2), int64
        Numbers of both tiles.
    shifts : numpy.ndarray, shape (pair, 2), float64
        Position of the second less that of the first tile.
    covariances : numpy.ndarray, shape (pair, 2, 2), float64
        Of the shifts, in square pixels.
    candidates : numpy.ndarray, shape (pair,), bool
        Pairs that may be used.
    tolerance : float
        A pair is rejected if its residual is larger than this many pixels and more than three of
        its standard errors.
    stage_error : float, optional
        Standard error of the stage in pixels; None: from the pairs.

    Returns
    -------
    GlobalFit

    Notes
    -----
    Weighted linear least squares with the stage as Gaussian prior. Wrong pairs lose their weight
    by Geman and McClure's function, whose scale falls from round to round, so that the solution
    starts convex and isn't caught by them [1]_; those rejected at the end have none. So that a
    tile whose place was given wrongly isn't torn off its pairs, the prior of those loses weight
    that come to lie farther from it than any error of the stage takes them.

    References
    ----------
    .. [1] Black and Rangarajan, Int. J. Comput. Vis. 19 (1996) 57-91.
    """
    roots = np.linalg.cholesky(np.linalg.inv(covariances)).transpose(0, 2, 1)
    if stage_error is None:
        off = shifts[candidates] - _differences(stage, pairs[candidates])
        centre = np.median(off, axis=0) if len(off) else 0.0
        spread = _MAD * np.median(np.abs(off - centre)) / np.sqrt(2) if len(off) else 0.0
        stage_error = max(float(spread), _LEAST_STAGE_ERROR)

    def solve(start: Floats, weights: Floats) -> Floats:
        far = np.linalg.norm(start - stage, axis=1) / (_FAR * stage_error)
        errors = stage_error * np.maximum(far, 1.0)
        return _solve(
            stage, start, pairs, shifts, roots=roots, weights=weights, stage_errors=errors
        )

    positions = stage.copy()
    weights = candidates.astype(np.float64)
    for scale in _SCALES:
        positions = solve(positions, weights)
        distance = _distance(shifts - _differences(positions, pairs), roots)
        weights = candidates / (1 + (distance / scale) ** 2) ** 2
    used = candidates
    for _ in range(_ROUNDS):
        positions = solve(positions, weights)
        residuals = shifts - _differences(positions, pairs)
        bad = (np.linalg.norm(residuals, axis=1) > tolerance) & (
            _distance(residuals, roots) > _SCALES[-1]
        )
        before, used = used, candidates & ~bad
        weights = used.astype(np.float64)
        if (before == used).all():
            break
    positions = solve(positions, weights)
    return GlobalFit(positions, shifts - _differences(positions, pairs), used)


def misplaced_tiles(
    pairs: Ints,
    used: NDArray[np.bool_],
    strong: NDArray[np.bool_],
    telling: NDArray[np.bool_],
    *,
    n_tiles: int,
    agreement: float,
) -> Ints:
    """
    Find tiles whose used pairs are probably chance, by the pairs that should match and don't.

    Parameters
    ----------
    pairs : numpy.ndarray, shape (pair, 2), int64
        Numbers of both tiles.
    used, strong, telling : numpy.ndarray, shape (pair,), bool
        Pairs that the solution uses; that chance doesn't give; whose pictures have anything to
        compare.
    n_tiles : int
        Number of tiles.
    agreement : float
        Probability that a chance match agrees with another one.

    Returns
    -------
    numpy.ndarray, shape (misplaced,), int64
        Numbers of tiles; of neighbours, only the least likely one, since the other may look
        misplaced because of it.

    Notes
    -----
    A tile with a strong pair is in place. For each other one the likelihoods are compared that it
    is in place and that it isn't: pairs are used with the scan's own share of pairs that match if
    it is, and with `CHANCE` if it isn't; the second and further ones must also agree with the
    first. A rejected pair counts if the neighbour is used with a third tile; of others nothing is
    known.
    """
    telling = telling | used
    matching = min((used.sum() + 1) / (telling.sum() + 2), _MOST_MATCHING)
    for_used = np.log(matching / CHANCE)
    for_rejected = np.log((1 - matching) / (1 - CHANCE))
    ends, neighbours = pairs.T.ravel(), pairs[:, ::-1].T.ravel()
    n_used = np.bincount(ends[np.tile(used, 2)], minlength=n_tiles)
    # A rejected pair isn't used, so whatever its neighbour is used with is a third tile.
    against = np.tile(telling & ~used, 2) & (n_used[neighbours] > 0)
    n_against = np.bincount(ends[against], minlength=n_tiles)
    score = n_used * for_used - np.maximum(n_used - 1, 0) * np.log(agreement)
    score = score + n_against * for_rejected
    suspect = (n_used > 0) & (score < 0)
    suspect[ends[np.tile(used & strong, 2)]] = False
    rank = np.empty(n_tiles, dtype=np.int64)
    rank[np.lexsort((np.arange(n_tiles), score))] = np.arange(n_tiles)
    beaten = suspect[ends] & suspect[neighbours] & (rank[neighbours] < rank[ends])
    suspect[ends[beaten]] = False
    found: Ints = np.flatnonzero(suspect)
    return found


def _differences(positions: Floats, pairs: Ints) -> Floats:
    between: Floats = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    return between


def _distance(residuals: Floats, roots: Floats) -> Floats:
    """Residuals in units of their standard errors."""
    found: Floats = np.linalg.norm(np.einsum("pij,pj->pi", roots, residuals), axis=1)
    return found


def _solve(
    stage: Floats,
    start: Floats,
    pairs: Ints,
    shifts: Floats,
    *,
    roots: Floats,
    weights: Floats,
    stage_errors: Floats,
) -> Floats:
    """Least squares of all rows ``root @ (second - first - shift)`` and ``position - stage``."""
    from scipy import sparse
    from scipy.sparse.linalg import lsqr

    trust = np.repeat(1 / stage_errors, 2)
    n_pairs, n_tiles = len(pairs), len(stage)
    scaled = np.sqrt(weights)[:, None, None] * roots
    rows = np.broadcast_to(np.arange(2 * n_pairs).reshape(-1, 2, 1), scaled.shape)
    columns = [
        np.broadcast_to(2 * pairs[:, end, None, None] + np.arange(2), scaled.shape)
        for end in (0, 1)
    ]
    entries = np.concatenate([-scaled.ravel(), scaled.ravel()])
    places = (
        np.concatenate([rows.ravel(), rows.ravel()]),
        np.concatenate([columns[0].ravel(), columns[1].ravel()]),
    )
    matrix = sparse.vstack(
        [
            sparse.coo_array((entries, places), shape=(2 * n_pairs, 2 * n_tiles)),
            sparse.diags_array(trust),
        ],
        format="csr",
    )
    right = np.concatenate([np.einsum("pij,pj->pi", scaled, shifts).ravel(), trust * stage.ravel()])
    solved = lsqr(
        matrix, right, x0=start.ravel(), atol=_PRECISION, btol=_PRECISION,
        iter_lim=20 * n_tiles + 1000,
    )[0]  # fmt: skip
    positions: Floats = solved.reshape(-1, 2)
    return positions
