import numpy as np
import pytest

from sigma_scale.errors import ParameterError, SigmaScaleError
from sigma_scale.latent import choose_landmarks


def test_chooses_the_number_asked_for_once_each_and_sorted() -> None:
    features = np.random.default_rng(0).normal(size=(5000, 4))
    chosen = choose_landmarks(features, 700, random_state=0)
    assert chosen.dtype == np.int64
    assert len(chosen) == 700
    assert (np.diff(chosen) > 0).all()


def test_the_seed_decides() -> None:
    features = np.random.default_rng(0).normal(size=(5000, 4))
    first = choose_landmarks(features, 500, random_state=3)
    np.testing.assert_array_equal(first, choose_landmarks(features, 500, random_state=3))
    assert not np.array_equal(first, choose_landmarks(features, 500, random_state=4))


@pytest.mark.parametrize("n", [10, 11])
def test_all_rows_where_there_are_few(n: int) -> None:
    features = np.random.default_rng(0).normal(size=(10, 3))
    np.testing.assert_array_equal(choose_landmarks(features, n), np.arange(10))


def test_a_rare_phase_gets_many_more_landmarks_than_its_share() -> None:
    rng = np.random.default_rng(0)
    n, n_rare, n_landmarks = 200_000, 100, 10_000
    features = rng.normal(size=(n, 9)) + 6 * rng.integers(0, 2, size=(n, 1))
    rare = rng.choice(n, n_rare, replace=False)
    features[rare] = rng.normal(size=(n_rare, 9)) * 1.0 + [0, 0, 0, 0, 0, 0, 0, 9, -9]
    chosen = choose_landmarks(features, n_landmarks, random_state=0)
    uniform = n_rare * n_landmarks / n
    assert np.isin(rare, chosen).sum() >= 5 * uniform


def test_common_phases_keep_half_of_their_landmarks() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(scale=0.01, size=(50_000, 3))  # a tight phase, 98 % of the pixels
    features[:1000] = rng.uniform(-5, 5, size=(1000, 3))
    chosen = choose_landmarks(features, 2000, random_state=0)
    assert (chosen >= 1000).sum() >= 950


def test_identical_rows_are_no_trouble() -> None:
    assert len(choose_landmarks(np.ones((1000, 3)), 100, random_state=0)) == 100
    few_values = np.repeat(np.eye(3), 400, axis=0)
    chosen = choose_landmarks(few_values, 100, random_state=0)
    assert len(np.unique(few_values[chosen], axis=0)) == 3


@pytest.mark.parametrize(
    ("features", "n", "words"),
    [
        (np.ones((4, 2)), 0, "n_landmarks"),
        (np.ones(4), 2, "one row per pixel"),
        (np.ones((0, 2)), 2, "0 sample"),
        (np.array([["a", "b"]]), 2, "real numbers"),
        (np.array([[1.0, 2.0], [np.nan, 1.0]]), 1, "first is row 1"),
        (np.array([[1e300, 2.0], [0.0, 1.0]]), 1, "first is row 0"),
    ],
)
def test_bad_input_is_named(features: np.ndarray, n: int, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        choose_landmarks(features, n)
    assert issubclass(ParameterError, SigmaScaleError)


def test_a_bad_seed_is_named() -> None:
    with pytest.raises(ParameterError, match="random_state"):
        choose_landmarks(np.eye(5), 2, random_state=-1)


def test_every_part_of_the_feature_space_has_a_landmark() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40_000, 3)).astype(np.float32)
    lonely = np.array([[60, 0, 0], [0, -60, 0], [60, 60, 60], [-60, 60, 0]], np.float32)
    features[[5, 700, 20_000, 39_999]] = lonely
    for seed in range(5):
        chosen = choose_landmarks(features, 400, random_state=seed)
        assert {5, 700, 20_000, 39_999} <= set(chosen)


def test_densities_are_kept_by_the_uniform_part() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(scale=1e-3, size=(30_000, 2))
    features[:3000] += 1
    chosen = choose_landmarks(features, 3000, random_state=0)
    share = (chosen < 3000).mean()
    assert 0.1 < share < 0.35  # 0.1 of the pixels, and half of the boxes
