"""
Landmarks: the few pixels that a model is fitted on, chosen so that rare phases are among them.

Each occupied box of a grid over the feature space has a landmark, as in the geometric sketching
of Hie et al. [1]_, and the other landmarks are a uniform sample, which keeps the densities. A
phase that fills a corner of the feature space of its own is thus kept however few pixels it has.

The pixels are read once, and only a sample of them is held. The choice depends on the seed, the
pixels and their places in the map, and on nothing else: not on chunks, workers or their order.

References
----------
.. [1] B. Hie, H. Cho, B. DeMeo, B. Bryson, B. Berger: Geometric sketching compactly summarizes
   the single-cell transcriptomic landscape. Cell Systems 8 (2019) 483-493.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.latent.rows import in_threads, random_generator
from sigma_scale.latent.sketch import (
    Sketch,
    SketchPlan,
    empty_sketch,
    join_sketches,
    sketch_rows,
)
from sigma_scale.latent.sources import FeatureSource, feature_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.latent.rows import RandomState_

__all__ = ["Landmarks", "choose_landmarks", "find_landmarks"]

_SPREAD_SHARE = 0.5
_JOINED_AT_ONCE = 8


class Landmarks(NamedTuple):
    """
    Landmarks and what they were chosen from.

    Attributes
    ----------
    numbers : numpy.ndarray, shape (m,), int64
        Their row numbers, sorted.
    rows : numpy.ndarray, shape (m, k), float32
        Their features.
    n_rows : int
        Rows that had features.
    """

    numbers: NDArray[np.int64]
    rows: NDArray[np.float32]
    n_rows: int


def choose_landmarks(
    features: Any, n_landmarks: int, *, random_state: RandomState_ = None
) -> NDArray[np.int64]:
    """
    Choose rows to fit a model on: one of each part of the feature space, the rest uniformly.

    Parameters
    ----------
    features : array-like, shape (n, k) or (y, x, k)
        Features of each pixel, on scales that may be compared with each other: an array, a Dask
        array, a map as an xarray.DataArray, or anything else that
        :func:`~sigma_scale.latent.sources.feature_source` takes. Pixels of a map that have NaN
        are left out.
    n_landmarks : int
        Number of rows to choose.
    random_state : int, RandomState or None, default: None
        Seed; the same seed and features give the same rows, however the features are chunked.

    Returns
    -------
    numpy.ndarray, shape (min(n, n_landmarks),), int64
        Sorted row numbers (``y * width + x`` in a map), each one once; all rows where there are
        not more than asked for.

    Raises
    ------
    ParameterError
        If ``n_landmarks`` is not positive, or the features are not finite numbers.
    EmptyMapError
        If no pixel has features.
    """
    return find_landmarks(feature_source(features), n_landmarks, random_state=random_state).numbers


def find_landmarks(
    source: FeatureSource, n_landmarks: int, *, random_state: RandomState_ = None
) -> Landmarks:
    """
    Choose landmarks and give their features, reading the source once.

    Parameters
    ----------
    source : FeatureSource
        All rows.
    n_landmarks, random_state
        As for :func:`choose_landmarks`.

    Returns
    -------
    Landmarks

    Raises
    ------
    ParameterError, EmptyMapError
        As for :func:`choose_landmarks`.
    MemoryLimitError
        If that many landmarks don't fit into memory.
    """
    if n_landmarks < 1:
        raise ParameterError(f"n_landmarks must be at least 1, got {n_landmarks}.")
    wanted = min(n_landmarks, source.n_rows)
    plan = SketchPlan(
        n_features=source.n_features,
        n_uniform=wanted,
        n_boxes=max(1, int(_SPREAD_SHARE * wanted)),
        seed=_seed(random_state),
    )
    workers = compute.local_workers()
    compute.check_memory(
        # Of each worker a sketch of both parts, once more while they are joined.
        4 * workers * wanted * (4 * source.n_features + 16),
        what=f"Choosing {wanted:,} landmarks",
        remedy="Lower n_landmarks, or raise memory_limit.",
    )
    sketch = _lazily(source, plan) if source.is_lazy else _in_memory(source, plan, workers)
    if not sketch.n_rows:
        raise EmptyMapError("No pixel has features: each one has NaN in a feature at least.")
    return _chosen(sketch, wanted)


def _chosen(sketch: Sketch, wanted: int) -> Landmarks:
    """Take the rows that stand for boxes, and fill up with the uniform sample."""
    uniform, spread = sketch.uniform, sketch.spread
    uniform = uniform.take(np.argsort(uniform.priorities))
    uniform = uniform.take(~np.isin(uniform.numbers, spread.numbers))
    uniform = uniform.take(np.arange(min(len(uniform.numbers), wanted - len(spread.numbers))))
    numbers = np.concatenate([uniform.numbers, spread.numbers])
    order = np.argsort(numbers)
    rows = np.concatenate([uniform.rows, spread.rows])
    return Landmarks(numbers[order], np.ascontiguousarray(rows[order]), sketch.n_rows)


def _in_memory(source: FeatureSource, plan: SketchPlan, workers: int) -> Sketch:
    """Let each thread sketch its share of the batches, then join."""
    batches = list(source.batches())

    def share(first: int) -> Sketch:
        sketch = empty_sketch(plan)
        for batch in batches[first::workers]:
            sketch = sketch_rows(plan, *source.table.valid_rows(*batch), before=sketch)
        return sketch

    return join_sketches(plan, in_threads(share, range(min(workers, len(batches))), workers))


def _lazily(source: FeatureSource, plan: SketchPlan) -> Sketch:
    """Sketch each chunk where it is computed, and join some at a time."""
    from dask.delayed import delayed

    table = source.table  # not the source, which would take the whole graph along

    def of_chunk(values: NDArray[Any], origin: tuple[int, ...]) -> Sketch:
        return sketch_rows(plan, *table.valid_rows(values, origin))

    def joined(sketches: list[Sketch]) -> Sketch:
        return join_sketches(plan, sketches)

    of_chunk_later, joined_later = delayed(of_chunk), delayed(joined)
    parts = [of_chunk_later(chunk, origin) for chunk, origin in source.chunks()]
    while len(parts) > 1:
        parts = [
            joined_later(parts[first : first + _JOINED_AT_ONCE])
            for first in range(0, len(parts), _JOINED_AT_ONCE)
        ]
    (sketch,) = compute.run(parts[0], description="Choosing landmarks")
    found: Sketch = sketch
    return found


def _seed(random_state: RandomState_) -> int:
    if isinstance(random_state, (int, np.integer)):
        random_generator(int(random_state))  # refuses what is no seed
        return int(random_state)
    return int(random_generator(random_state).randint(0, 2**31))
