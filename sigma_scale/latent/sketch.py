"""
Sketches: what is kept of the rows seen so far to choose landmarks from.

A sketch keeps the rows that a sample needs and no others: the rows of the smallest priorities,
which are a uniform sample, and of each occupied box of a grid over the feature space the row of
the smallest priority. A row's priority is a hash of its number and the seed. The boxes start as
fine as numbers are and double their side, one feature after the other, whenever more of them are
occupied than may be; their borders nest, so doubling only joins boxes. Both parts are therefore
functions of the set of rows alone: sketches of parts of a map can be joined in any grouping and
order, and give the sketch of the whole.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale.latent.sketch_kernels import occupied_boxes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = [
    "Candidates",
    "Sketch",
    "SketchPlan",
    "empty_sketch",
    "join_sketches",
    "row_priorities",
    "sketch_rows",
]

_FINEST, _COARSEST = -149, 130  # exponents: the step of float32, and more than its range


class Candidates(NamedTuple):
    """
    Rows that may become landmarks.

    Attributes
    ----------
    numbers : numpy.ndarray, shape (m,), int64
        Their numbers.
    priorities : numpy.ndarray, shape (m,), uint64
        Their priorities; the smallest is taken first.
    rows : numpy.ndarray, shape (m, k), float32
        Their features.
    """

    numbers: NDArray[np.int64]
    priorities: NDArray[np.uint64]
    rows: NDArray[np.float32]

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Candidates:
        """Give some of the rows."""
        return Candidates(self.numbers[which], self.priorities[which], self.rows[which])


class SketchPlan(NamedTuple):
    """
    What a sketch keeps.

    Attributes
    ----------
    n_features : int
    n_uniform : int
        Rows of the uniform part.
    n_boxes : int
        Boxes that may be occupied.
    seed : int
        Seed of the priorities.
    """

    n_features: int
    n_uniform: int
    n_boxes: int
    seed: int


class Sketch(NamedTuple):
    """
    Rows kept of those seen.

    Attributes
    ----------
    n_rows : int
        Rows seen.
    uniform : Candidates
        Rows of the smallest priorities.
    level : int
        Size of the boxes; larger is coarser.
    spread : Candidates
        One row per occupied box.
    """

    n_rows: int
    uniform: Candidates
    level: int
    spread: Candidates


def empty_sketch(plan: SketchPlan) -> Sketch:
    """Sketch of no rows."""
    none = Candidates(
        np.empty(0, np.int64), np.empty(0, np.uint64), np.empty((0, plan.n_features), np.float32)
    )
    return Sketch(0, none, 0, none)


def sketch_rows(
    plan: SketchPlan,
    numbers: NDArray[np.int64],
    rows: NDArray[np.float32],
    *,
    before: Sketch | None = None,
) -> Sketch:
    """
    Sketch some rows.

    Parameters
    ----------
    plan : SketchPlan
        What to keep.
    numbers : numpy.ndarray, shape (n,), int64
        Numbers of the rows, all different.
    rows : numpy.ndarray, shape (n, k), float32
        Features of the rows, finite.
    before : Sketch, optional
        Sketch of other rows to join with.

    Returns
    -------
    Sketch
        Of these rows and those before.
    """
    new = Candidates(numbers, row_priorities(numbers, plan.seed), rows)
    if before is None:
        level, spread = _boxed(plan, 0, new)
        return Sketch(len(rows), _first(new, plan.n_uniform), level, spread)
    uniform = new
    if len(before.uniform.numbers) == plan.n_uniform:  # most rows come too late for it
        uniform = new.take(new.priorities < before.uniform.priorities.max())
    # Boxes only ever grow, so these rows may start with those that are there.
    level, spread = _boxed(plan, before.level, new)
    return join_sketches(plan, [before, Sketch(len(rows), uniform, level, spread)])


def join_sketches(plan: SketchPlan, sketches: Iterable[Sketch]) -> Sketch:
    """
    Join sketches of different rows.

    Parameters
    ----------
    plan : SketchPlan
        That of all of them.
    sketches : iterable of Sketch
        In any order.

    Returns
    -------
    Sketch
        Of all the rows.
    """

    def join(one: Sketch, other: Sketch) -> Sketch:
        uniform = _first(_joined(one.uniform, other.uniform), plan.n_uniform)
        together = _joined(one.spread, other.spread)
        level, spread = _boxed(plan, max(one.level, other.level), together)
        return Sketch(one.n_rows + other.n_rows, uniform, level, spread)

    return reduce(join, sketches)


def _joined(one: Candidates, other: Candidates) -> Candidates:
    return Candidates(
        np.concatenate([one.numbers, other.numbers]),
        np.concatenate([one.priorities, other.priorities]),
        np.concatenate([one.rows, other.rows]),
    )


def _first(candidates: Candidates, most: int) -> Candidates:
    if len(candidates.numbers) <= most:
        return candidates
    return candidates.take(np.argpartition(candidates.priorities, most - 1)[:most])


def row_priorities(numbers: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """
    Hash row numbers, different ones to different values (the finaliser of SplitMix64).

    Parameters
    ----------
    numbers : numpy.ndarray, shape (n,), int64
        Row numbers.
    seed : int
        Other seeds give other priorities.

    Returns
    -------
    numpy.ndarray, shape (n,), uint64
        As good as uniform over all 64 bits.
    """
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += _mixed(np.array([seed], np.uint64))
    return _mixed(mixed)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _boxed(plan: SketchPlan, level: int, candidates: Candidates) -> tuple[int, Candidates]:
    """Keep one row per box, with the finest boxes from a level on that are not too many."""
    top = (_COARSEST - _FINEST) * plan.n_features

    def boxes(level: int) -> NDArray[np.int64] | None:
        return _representatives(plan, level, candidates)

    chosen = boxes(level)
    if chosen is not None:
        return level, candidates.take(chosen)
    # Steps of 1, 2, 4, ... until they are few enough, then halving.
    too_fine, step = level, 1
    level = min(level + step, top)
    while (chosen := boxes(level)) is None:
        too_fine, step = level, 2 * step
        level = min(level + step, top)
    while level - too_fine > 1:
        middle = (level + too_fine) // 2
        if (fewer := boxes(middle)) is None:
            too_fine = middle
        else:
            level, chosen = middle, fewer
    return level, candidates.take(chosen)


def _representatives(
    plan: SketchPlan, level: int, candidates: Candidates
) -> NDArray[np.int64] | None:
    exponents = np.full(plan.n_features, _FINEST + level // plan.n_features)
    exponents[: level % plan.n_features] += 1
    # Borders a third into the box, then two thirds, in turn: the only nesting grid that has no
    # border at or near zero in any size, where features with their mean taken off are densest.
    offsets = np.where(exponents % 2 == 0, 1 / 3, 2 / 3)
    chosen = np.empty(plan.n_boxes, np.int64)
    found = occupied_boxes(
        candidates.rows,
        candidates.priorities,
        np.ldexp(1.0, -exponents),
        offsets,
        plan.n_boxes,
        chosen,
    )
    return None if found < 0 else chosen[:found]
