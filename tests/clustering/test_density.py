import logging

import hdbscan
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

from sigma_scale.clustering import HDBSCAN
from sigma_scale.errors import ParameterError, ShapeMismatchError


def islands(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.array([[0, 0], [8, 0], [0, 9], [7, 8]])
    truth = rng.choice(4, n, p=[0.5, 0.3, 0.15, 0.05])
    rows = centres[truth] + rng.normal(scale=0.7, size=(n, 2))
    stray = rng.random(n) < 0.03
    rows[stray] = rng.uniform(-5, 14, size=(stray.sum(), 2))
    return rows, np.where(stray, -1, truth)


@pytest.mark.parametrize(
    "parameters",
    [
        {"min_cluster_size": 50, "min_samples": 5},
        {"min_cluster_size": 20, "min_samples": 10, "cluster_selection_method": "leaf"},
        {"min_cluster_size": 20, "min_samples": 5, "cluster_selection_epsilon": 0.5},
        {"min_cluster_size": 20, "min_samples": 5, "max_cluster_size": 700},
    ],
)
def test_few_rows_are_treated_as_by_the_library(parameters: dict[str, object]) -> None:
    rows, _ = islands(3000)
    ours = HDBSCAN(**parameters).fit(rows)
    theirs = hdbscan.HDBSCAN(**parameters).fit(rows)
    assert ours.labels_.dtype == np.int32
    assert ours.probabilities_.dtype == np.float32
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_allclose(ours.probabilities_, theirs.probabilities_, rtol=1e-6)
    assert ours.sample_share_ == 1


def test_a_sample_finds_the_same_clusters(caplog: pytest.LogCaptureFixture) -> None:
    rows, truth = islands(12_000)
    exact = HDBSCAN(min_cluster_size=200, min_samples=40).fit(rows)
    with caplog.at_level(logging.INFO):
        sampled = HDBSCAN(min_cluster_size=200, min_samples=40, n_fit=3000, random_state=0).fit(
            rows
        )
    assert sampled.sample_share_ == 0.25
    assert sampled.min_cluster_size_ == 50
    assert sampled.min_samples_ == 10
    assert "3000 of 12000 pixels: min_cluster_size=50 and min_samples=10" in caplog.text
    assert sampled.labels_.max() == exact.labels_.max() == 3
    assert adjusted_rand_score(exact.labels_, sampled.labels_) > 0.95
    assert adjusted_rand_score(truth, sampled.labels_) > 0.9
    again = clone(sampled).fit(rows)
    np.testing.assert_array_equal(again.labels_, sampled.labels_)
    assert (sampled.probabilities_[sampled.labels_ < 0] == 0).all()


def test_new_rows_are_assigned_one_by_one() -> None:
    rows, truth = islands(4000)
    model = HDBSCAN(min_cluster_size=100, min_samples=10).fit(rows[:3000])
    labels, probabilities = model.predict_proba_max(rows[3000:])
    assert adjusted_rand_score(truth[3000:], labels) > 0.9
    np.testing.assert_array_equal(labels, model.predict(rows[3000:]))
    order = np.random.default_rng(0).permutation(1000)
    parts = [model.predict_proba_max(p) for p in np.array_split(rows[3000:][order], 3)]
    np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), labels[order])
    np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), probabilities[order])
    assert model.predict([[100.0, 100.0]]) == [-1]


def test_noise_alone_gives_no_clusters_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    rows = np.random.default_rng(0).uniform(size=(400, 2))
    model = HDBSCAN(min_cluster_size=150, n_fit=300, random_state=0).fit(rows)
    assert (model.labels_ == -1).all()
    assert (model.predict(rows[:5]) == -1).all()
    assert [w for w in recwarn if "cluster" in str(w.message).lower()] == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"min_cluster_size": 1}, "min_cluster_size must be at least 2"),
        ({"min_cluster_size": 101}, "needs at least 101 pixels"),
        ({"min_cluster_size": 5, "min_samples": 200}, "Lower min_cluster_size or min_samples"),
        ({"min_samples": 0}, "min_samples must be at least 1"),
        ({"max_cluster_size": -1}, "max_cluster_size"),
        ({"n_fit": 1}, "n_fit"),
        ({"cluster_selection_method": "best"}, "eom, leaf"),
        ({"cluster_selection_epsilon": -0.1}, "cluster_selection_epsilon"),
        ({"cluster_selection_epsilon": np.nan}, "cluster_selection_epsilon"),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        HDBSCAN(**parameters).fit(islands(100)[0])


def test_bad_rows_are_named() -> None:
    rows, _ = islands(100)
    spoilt = rows.copy()
    spoilt[7] = np.nan
    with pytest.raises(ParameterError, match="first is row 7"):
        HDBSCAN(min_cluster_size=10).fit(spoilt)
    with pytest.raises(NotFittedError):
        HDBSCAN().predict(rows)
    with pytest.raises(ShapeMismatchError, match="fitted on 2"):
        HDBSCAN(min_cluster_size=10).fit(rows).predict(rows[:, :1])
