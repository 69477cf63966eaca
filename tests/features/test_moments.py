"""Exact sums against the same sums of fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sigma_scale.features.moments import add_sums, chunk_sums, mean_and_std

BIG = float(np.finfo(np.float32).max)
TINY = float(np.finfo(np.float32).smallest_subnormal)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
floats = hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=finite)


def fractions(column):
    exact = [Fraction(float(value)) for value in column]
    return sum(exact, Fraction(0)), sum((value * value for value in exact), Fraction(0))


def check(values):
    for number, sums in enumerate(chunk_sums(values)):
        first, second = fractions(values[..., number].ravel())
        assert sums.number == values[..., 0].size
        assert sums.first == first
        assert sums.second == second


@given(floats)
def test_sums_are_exact(values):
    check(values)


@pytest.mark.parametrize(
    "column",
    [
        [BIG, 1.0, -BIG],
        [BIG, TINY, -BIG, TINY],
        [TINY] * 1000 + [-TINY] * 999,
        [1e30, 1.0, -1e30] * 500 + [TINY],
        [BIG] * 3000,
        [-BIG] * 1000 + [BIG] * 1001,
        [0.0, -0.0],
        [1.0 / 3] * 100_003,
        [2.0**-k for k in range(149)] + [2.0**k for k in range(127)],
    ],
    ids=range(9),
)
def test_sums_of_adversarial_values_are_exact(column):
    values = np.array(column, dtype=np.float32)
    check(values[:, None])
    check(np.random.default_rng(0).permutation(values)[:, None])


@settings(max_examples=30)
@given(values=floats, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_sums_of_chunks_are_those_of_the_whole(values, cuts):
    parts = np.split(values, sorted(min(cut, len(values)) for cut in cuts))
    joined = add_sums([chunk_sums(part) for part in parts if len(part)])
    assert joined == chunk_sums(values)


@given(floats)
def test_mean_and_std_are_nearest_floats(values):
    mean, std = mean_and_std(chunk_sums(values))
    for number in range(values.shape[1]):
        first, second = fractions(values[:, number])
        exact = first / len(values)
        variance = second / len(values) - exact * exact
        assert mean[number] == float(exact)
        assert std[number] == math.sqrt(variance)


def test_mean_and_std_equal_numpy():
    values = np.random.default_rng(1).normal(5, 2, (50, 60, 3)).astype(np.float32)
    mean, std = mean_and_std(chunk_sums(values))
    np.testing.assert_allclose(mean, values.astype(float).mean(axis=(0, 1)), rtol=1e-13)
    np.testing.assert_allclose(std, values.astype(float).std(axis=(0, 1)), rtol=1e-12)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_values_that_are_infinite_give_nan_for_their_feature_only(bad):
    values = np.ones((4, 3), dtype=np.float32)
    values[2, 1] = bad
    whole = chunk_sums(values)
    joined = add_sums([chunk_sums(values[:2]), chunk_sums(values[2:]), chunk_sums(values[:1])])
    for sums in (whole, joined):
        mean, std = mean_and_std(sums)
        assert np.isnan([mean[1], std[1]]).all()
        assert mean[[0, 2]].tolist() == [1, 1]
        assert std[[0, 2]].tolist() == [0, 0]


def test_what_was_not_measured_takes_no_part():
    values = np.random.default_rng(2).normal(5, 2, (40, 50, 3)).astype(np.float32)
    values[:10, :, 1] = np.nan
    values[:, :, 2] = np.nan
    mean, std = mean_and_std(add_sums([chunk_sums(values[:25]), chunk_sums(values[25:])]))
    assert [mean[1], std[1]] == [*mean_and_std(chunk_sums(values[10:, :, 1:2])).ravel()]
    np.testing.assert_allclose(mean[:2], np.nanmean(values[..., :2].astype(float), axis=(0, 1)))
    np.testing.assert_allclose(std[:2], np.nanstd(values[..., :2].astype(float), axis=(0, 1)))
    assert np.isnan([mean[2], std[2]]).all()
