import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sigma_scale.latent.sketch import (
    Sketch,
    SketchPlan,
    empty_sketch,
    join_sketches,
    sketch_rows,
)

rows_of_any_scale = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 60), st.integers(1, 4)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def facts(sketch: Sketch) -> tuple[object, ...]:
    uniform, spread = sorted(sketch.uniform.numbers), sorted(sketch.spread.numbers)
    return sketch.n_rows, sketch.level, uniform, spread


def plan_for(rows: np.ndarray, n_uniform: int = 7, n_boxes: int = 5) -> SketchPlan:
    return SketchPlan(rows.shape[1], n_uniform, n_boxes, seed=3)


@settings(max_examples=150, deadline=None)
@given(rows=rows_of_any_scale, data=st.data())
def test_the_sketch_of_the_whole_comes_from_any_parts(
    rows: np.ndarray, data: st.DataObject
) -> None:
    plan = plan_for(rows)
    numbers = np.arange(len(rows))
    whole = sketch_rows(plan, numbers, rows)
    part = data.draw(hnp.arrays(np.int64, len(rows), elements=st.integers(0, 3)))
    pieces = [sketch_rows(plan, numbers[part == n], rows[part == n]) for n in range(4)]
    assert facts(join_sketches(plan, pieces)) == facts(whole)
    assert facts(join_sketches(plan, pieces[::-1])) == facts(whole)
    one_by_one = empty_sketch(plan)
    for n in (2, 0, 3, 1):
        which = part == n
        one_by_one = sketch_rows(plan, numbers[which], rows[which], before=one_by_one)
    assert facts(one_by_one) == facts(whole)
    order = data.draw(st.permutations(range(len(rows))))
    assert facts(sketch_rows(plan, numbers[order], rows[order])) == facts(whole)


@settings(max_examples=60, deadline=None)
@given(rows=rows_of_any_scale)
def test_boxes_are_the_finest_that_are_not_too_many_and_each_has_a_row(rows: np.ndarray) -> None:
    """Boxes counted in exact whole numbers, by another way than the kernel's."""
    from fractions import Fraction

    plan = plan_for(rows)
    sketch = sketch_rows(plan, np.arange(len(rows)), rows)

    def boxes(level: int) -> list[tuple[int, ...]]:
        k = rows.shape[1]
        exponents = [-149 + level // k + (f < level % k) for f in range(k)]
        offsets = [Fraction(1 if e % 2 == 0 else 2, 3) for e in exponents]
        return [
            tuple(
                (Fraction(float(v)) / Fraction(2) ** e - o).__floor__()
                for v, e, o in zip(row, exponents, offsets, strict=True)
            )
            for row in rows
        ]

    at_level = boxes(sketch.level)
    assert len(set(at_level)) <= plan.n_boxes
    assert {at_level[n] for n in sketch.spread.numbers} == set(at_level)
    assert len(sketch.spread.numbers) == len(set(at_level))
    if sketch.level:
        # 2/3 and 1/3 are rounded: a border may shift by the last bit where numbers are huge.
        assert len(set(boxes(sketch.level - 1))) >= plan.n_boxes


def test_the_uniform_part_is_uniform() -> None:
    rows = np.zeros((400, 1), np.float32)
    counts = np.zeros(400)
    for seed in range(500):
        plan = SketchPlan(1, 40, 1, seed)
        counts[sketch_rows(plan, np.arange(400), rows).uniform.numbers] += 1
    assert counts.sum() == 500 * 40
    # Binomial with mean 50 and standard deviation 6.7; neighbours are independent.
    assert 15 < counts.min() < counts.max() < 85
    assert abs(np.corrcoef(counts[:-1], counts[1:])[0, 1]) < 0.2


def test_the_seed_decides() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    first, other = (
        sketch_rows(SketchPlan(2, 50, 20, seed), np.arange(500), rows) for seed in (1, 2)
    )
    assert facts(first)[2:] != facts(other)[2:]
    assert first.level == other.level


@pytest.mark.parametrize("centre", [0.0, 1.0, -0.5])
def test_a_cluster_is_not_cut_at_its_centre(centre: float) -> None:
    """Features with their mean taken off have it at zero: no border of boxes may lie there."""
    rng = np.random.default_rng(0)
    rows = (centre + 1e-3 * rng.normal(size=(2000, 6))).astype(np.float32)
    rows[:100] += 50
    sketch = sketch_rows(SketchPlan(6, 10, 40, 0), np.arange(2000), rows)
    assert len(sketch.spread.numbers) <= 40
    if centre == 0:
        far = (sketch.spread.rows[:, 0] > 25).sum()
        assert far >= 1
