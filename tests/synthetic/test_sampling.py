from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sigma_scale.synthetic.sampling import AliasTables, poisson_tables


def probabilities(tables: AliasTables) -> np.ndarray:
    """What the tables draw, summed over slots."""
    keep = tables.threshold / 2.0**32
    result = np.zeros(keep.shape)
    for row in range(keep.shape[0]):
        result[row] += keep[row]
        np.add.at(result[row], tables.other[row], 1.0 - keep[row])
    return result / keep.shape[1]


@given(
    st.lists(
        st.lists(st.floats(0, 1e6) | st.just(0.0), min_size=7, max_size=7).filter(
            lambda row: sum(row) > 1e-3
        ),
        min_size=1,
        max_size=4,
    )
)
def test_tables_hold_the_distribution(rows: list[list[float]]) -> None:
    weights = np.array(rows)
    expected = weights / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        probabilities(AliasTables.from_weights(weights)), expected, rtol=0, atol=1e-8
    )


def test_what_is_impossible_is_never_drawn() -> None:
    tables = AliasTables.from_weights(np.array([[0.0, 1.0, 0.0, 3.0]]))
    assert probabilities(tables)[0, [0, 2]].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("mean", [0.01, 1.0, 60.0, 5000.0])
def test_poisson_tables_agree_with_scipy(mean: float) -> None:
    tables, lowest, highest = poisson_tables(np.array([mean, 1.2 * mean]))
    drawn = probabilities(tables)
    values = np.arange(lowest, highest + 1)
    for row, lam in enumerate((mean, 1.2 * mean)):
        np.testing.assert_allclose(drawn[row], stats.poisson.pmf(values, lam), atol=1e-8)
