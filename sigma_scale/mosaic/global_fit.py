"""Positions of all tiles at once from the shifts of pairs and the stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["GlobalFit", "fit_positions"]

_SCALES = (32.0, 16.0, 8.0, 4.0, 3.0)
_ROUNDS = 6
_LEAST_STAGE_ERROR = 0.5
_MAD = 1.4826
_PRECISION = 1e-10


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
    starts convex and isn't caught by them [1]_; those rejected at the end have none.

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
    positions = stage.copy()
    weights = candidates.astype(np.float64)
    for scale in _SCALES:
        positions = _solve(
            stage, positions, pairs, shifts, roots=roots, weights=weights, stage_error=stage_error
        )
        distance = _distance(shifts - _differences(positions, pairs), roots)
        weights = candidates / (1 + (distance / scale) ** 2) ** 2
    used = candidates
    for _ in range(_ROUNDS):
        positions = _solve(
            stage, positions, pairs, shifts, roots=roots, weights=weights, stage_error=stage_error
        )
        residuals = shifts - _differences(positions, pairs)
        bad = (np.linalg.norm(residuals, axis=1) > tolerance) & (
            _distance(residuals, roots) > _SCALES[-1]
        )
        before, used = used, candidates & ~bad
        weights = used.astype(np.float64)
        if (before == used).all():
            break
    positions = _solve(
        stage, positions, pairs, shifts, roots=roots, weights=weights, stage_error=stage_error
    )
    return GlobalFit(positions, shifts - _differences(positions, pairs), used)


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
    stage_error: float,
) -> Floats:
    """Least squares of all rows ``root @ (second - first - shift)`` and ``position - stage``."""
    from scipy import sparse
    from scipy.sparse.linalg import lsqr

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
            sparse.eye_array(2 * n_tiles) / stage_error,
        ],
        format="csr",
    )
    right = np.concatenate(
        [np.einsum("pij,pj->pi", scaled, shifts).ravel(), stage.ravel() / stage_error]
    )
    solved = lsqr(
        matrix, right, x0=start.ravel(), atol=_PRECISION, btol=_PRECISION,
        iter_lim=20 * n_tiles + 1000,
    )[0]  # fmt: skip
    positions: Floats = solved.reshape(-1, 2)
    return positions
