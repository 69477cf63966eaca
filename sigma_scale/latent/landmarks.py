"""
Landmarks: the few pixels that a model is fitted on, chosen so that rare phases are among them.

One half of the landmarks is a uniform sample, which keeps the densities. The other half covers
the feature space evenly, after the geometric sketching of Hie et al. [1]_: the space is cut
into equal boxes, as many of them being occupied as rows are wanted, and one row is drawn from
each. A phase that fills a corner of the feature space of its own is thus kept however few
pixels it has.

References
----------
.. [1] B. Hie, H. Cho, B. DeMeo, B. Bryson, B. Berger: Geometric sketching compactly summarizes
   the single-cell transcriptomic landscape. Cell Systems 8 (2019) 483-493.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.latent.rows import as_rows, random_generator

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.latent.rows import RandomState_

__all__ = ["choose_landmarks"]

_SPREAD_SHARE = 0.5
_SLACK = 1.2  # occupied boxes per row wanted that ends the search for the size of the boxes
_MAXIMUM_STEPS = 40
_FINEST = 2.0**30  # boxes per axis, so that their numbers fit in 32 bits


def choose_landmarks(
    features: ArrayLike, n_landmarks: int, *, random_state: RandomState_ = None
) -> NDArray[np.int64]:
    """
    Choose rows to fit a model on: half of them uniformly, half spread over the feature space.

    Parameters
    ----------
    features : array-like, shape (n, k)
        Features of each pixel, on scales that may be compared with each other.
    n_landmarks : int
        Number of rows to choose.
    random_state : int, RandomState or None, default: None
        Seed; the same seed and features give the same rows.

    Returns
    -------
    numpy.ndarray, shape (min(n, n_landmarks),), int64
        Sorted row numbers, each one once; all rows where there are not more than asked for.

    Raises
    ------
    ParameterError
        If ``n_landmarks`` is not positive, or the features are not a table of finite numbers.
    """
    rows = as_rows(features, name="features", dtype=np.float32)
    if n_landmarks < 1:
        raise ParameterError(f"n_landmarks must be at least 1, got {n_landmarks}.")
    if len(rows) <= n_landmarks:
        return np.arange(len(rows))
    generator = random_generator(random_state)
    chosen = np.zeros(len(rows), bool)
    chosen[_spread_rows(rows, int(_SPREAD_SHARE * n_landmarks), generator)] = True
    # Uniform among the rows not yet chosen, so that the number is exactly the one asked for.
    order = generator.permutation(len(rows))
    order = order[~chosen[order]]
    chosen[order[: n_landmarks - np.count_nonzero(chosen)]] = True
    return np.flatnonzero(chosen)


def _spread_rows(rows: NDArray[Any], n_wanted: int, generator: RandomState) -> NDArray[np.int64]:
    """Draw one row from each of at most ``n_wanted`` boxes of equal size."""
    if n_wanted < 1:
        return np.empty(0, np.int64)
    order = generator.permutation(len(rows))
    boxes = _boxes(rows, n_wanted)[order]
    # The first of each box in a random order is a random row of that box.
    first = np.unique(boxes, return_index=True)[1]
    drawn = generator.permutation(order[first])
    return drawn[:n_wanted]


def _boxes(rows: NDArray[Any], n_wanted: int) -> NDArray[np.uint64]:
    """Number each row's box, with boxes so small that at least ``n_wanted`` are occupied."""
    low = rows.min(axis=0).astype(np.float64)
    extent = float((rows.max(axis=0) - low).max())
    if extent == 0:
        return np.zeros(len(rows), np.uint64)
    coarse, fine = 1.0, _FINEST  # boxes along the longest axis
    per_axis = min(max(2.0, n_wanted ** (1 / rows.shape[1])), _FINEST)
    for _ in range(_MAXIMUM_STEPS):
        boxes = _hashed(rows, low, extent / per_axis)
        n_occupied = len(np.unique(boxes))
        if n_wanted <= n_occupied <= _SLACK * n_wanted:
            break
        if n_occupied < n_wanted:
            coarse = per_axis
        else:
            fine = per_axis
        # Doubling until the answer is bracketed, then halving the bracket in the logarithm.
        doubled = 2.0 * per_axis
        per_axis = doubled if fine == _FINEST and doubled < fine else float(np.sqrt(coarse * fine))
    return boxes


def _hashed(rows: NDArray[Any], low: NDArray[np.float64], side: float) -> NDArray[np.uint64]:
    """
    Fold the numbers of each row's box along the axes into one number.

    Two boxes of n share a number with a probability of n**2 / 2**65, which costs one landmark.
    """
    multiplier = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio, odd
    folded = np.zeros(len(rows), np.uint64)
    for column, lowest in zip(rows.T, low, strict=True):
        folded ^= ((column - lowest) / side).astype(np.uint64)
        folded *= multiplier
        folded ^= folded >> np.uint64(29)
    return folded
