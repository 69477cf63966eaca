import hdbscan
import numpy as np
import pytest
from density_cases import islands, same_groups
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import check_estimator

from sigma_scale import config
from sigma_scale.clustering import HDBSCAN
from sigma_scale.errors import MemoryLimitError, ParameterError, ShapeMismatchError


@pytest.mark.parametrize(
    "parameters",
    [
        {"min_cluster_size": 50, "min_samples": 5},
        {"min_cluster_size": 50, "min_samples": 15, "cluster_selection_method": "leaf"},
        {"min_cluster_size": 20, "min_samples": 5, "cluster_selection_epsilon": 0.5},
        {"min_cluster_size": 20, "min_samples": 5, "max_cluster_size": 900},
    ],
)
def test_clusters_are_those_of_the_library(parameters: dict[str, object]) -> None:
    rows, _ = islands(3000)
    ours = HDBSCAN(**parameters).fit(rows)
    theirs = hdbscan.HDBSCAN(**parameters, approx_min_span_tree=False).fit(rows)
    assert ours.labels_.dtype == np.int32
    assert ours.probabilities_.dtype == np.float32
    # What is as far from one cluster as from another goes to either with them, to neither here.
    assert adjusted_rand_score(theirs.labels_, ours.labels_) >= 0.98
    assert ours.n_clusters_ == theirs.labels_.max() + 1
    assert (ours.probabilities_[ours.labels_ < 0] == 0).all()


def test_the_order_of_the_rows_and_the_number_of_threads_do_not_matter() -> None:
    rows, _ = islands(4000)
    model = HDBSCAN(min_cluster_size=20, n_jobs=1).fit(rows)
    order = np.random.default_rng(0).permutation(4000)
    for threads in (1, 3):
        other = clone(model).set_params(n_jobs=threads).fit(rows[order])
        np.testing.assert_array_equal(other.labels_, model.labels_[order])
        np.testing.assert_array_equal(other.probabilities_, model.probabilities_[order])


def test_single_precision_is_kept_and_gives_the_same() -> None:
    rows = islands(2000)[0].astype(np.float32)
    single = HDBSCAN(min_cluster_size=50).fit(rows)
    double = HDBSCAN(min_cluster_size=50).fit(rows.astype(np.float64))
    assert single._tree.points.dtype == np.float32
    np.testing.assert_array_equal(single.labels_, double.labels_)
    np.testing.assert_array_equal(single.probabilities_, double.probabilities_)


@pytest.mark.parametrize("method", ["eom", "leaf"])
def test_fitted_rows_are_predicted_as_they_were_labelled(method: str) -> None:
    rows, _ = islands(3000)
    model = HDBSCAN(min_cluster_size=15, min_samples=5, cluster_selection_method=method).fit(rows)
    labels, probabilities = model.predict_proba_max(rows)
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_array_equal(probabilities, model.probabilities_)


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


def test_new_rows_go_to_the_nearest_mutual_reachability() -> None:
    """By brute force: a row that is denser than its neighbour's end goes with the neighbour."""
    rows, _ = islands(1500)
    fitted, new = rows[:1000], rows[1000:]
    k = 6
    model = HDBSCAN(min_cluster_size=30, min_samples=k).fit(fitted)
    cores = np.sort(cdist(fitted, fitted), axis=1)[:, k]
    distances = cdist(new, fitted)
    own = np.sort(distances, axis=1)[:, k]
    reach = np.maximum(np.maximum(distances, cores), own[:, None])
    best = reach.min(axis=1)
    nearest = np.where(reach == best[:, None], distances, np.inf).argmin(axis=1)
    labels, probabilities = model.predict_proba_max(new)
    # How dense a cluster is where the neighbour leaves it: the row is less dense or goes along.
    peaks = np.array(
        [
            (1 / cores[model.labels_ == label])[
                model.probabilities_[model.labels_ == label] == 1
            ].min()
            for label in range(model.n_clusters_)
        ]
    )
    assigned = labels >= 0
    np.testing.assert_array_equal(labels[assigned], model.labels_[nearest[assigned]])
    upper = np.minimum(1, 1 / best[assigned] / peaks[labels[assigned]])
    assert (probabilities[assigned] <= upper * 1.001).all()
    assert assigned.sum() > 400
    theirs = hdbscan.HDBSCAN(min_cluster_size=30, min_samples=k, prediction_data=True).fit(fitted)
    other, _ = hdbscan.approximate_predict(theirs, new)
    assert adjusted_rand_score(other, labels) >= 0.98


def test_noise_alone_gives_no_clusters_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    rows = np.random.default_rng(0).uniform(size=(400, 2))
    model = HDBSCAN(min_cluster_size=150).fit(rows)
    assert (model.labels_ == -1).all()
    assert model.n_clusters_ == 0
    labels, probabilities = model.predict_proba_max(rows[:5])
    assert (labels == -1).all()
    assert (probabilities == 0).all()
    assert [w for w in recwarn if "cluster" in str(w.message).lower()] == []


def test_equal_rows_are_no_cluster_alone_and_one_beside_others() -> None:
    alone = HDBSCAN(min_cluster_size=10).fit(np.ones((500, 2)))
    assert (alone.labels_ == -1).all()
    rows = np.repeat([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]], 200, axis=0)
    model = HDBSCAN(min_cluster_size=100).fit(rows)
    assert same_groups(model.labels_, np.repeat([0, 1, 2], 200))
    assert (model.probabilities_ == 1).all()
    np.testing.assert_array_equal(model.predict(rows), model.labels_)


def test_one_feature_and_a_constant_feature() -> None:
    column = np.concatenate([np.linspace(0, 1, 200), np.linspace(5, 6, 300)])
    expected = np.repeat([0, 1], [200, 300])
    for rows in (column[:, None], np.column_stack([column, np.full(500, 3.0)])):
        model = HDBSCAN(min_cluster_size=50).fit(rows)
        assert adjusted_rand_score(expected, model.labels_) > 0.95
        assert model.n_features_in_ == rows.shape[1]


def test_ten_features() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 900)
    rows = rng.normal(size=(3, 10))[truth] * 6 + rng.normal(scale=0.5, size=(900, 10))
    model = HDBSCAN(min_cluster_size=30).fit(rows)
    assert adjusted_rand_score(truth, model.labels_) > 0.99
    assert same_groups(model.labels_, hdbscan.HDBSCAN(30, 15).fit_predict(rows))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"min_cluster_size": 1}, "min_cluster_size must be at least 2"),
        ({"min_cluster_size": 7.5}, "min_cluster_size .*whole number"),
        ({"min_cluster_size": 101}, "needs at least 101 pixels"),
        ({"min_cluster_size": 5, "min_samples": 200}, "Lower min_cluster_size or min_samples"),
        ({"min_cluster_size": 5, "min_samples": 100}, "needs at least 101 pixels"),
        ({"min_samples": 0}, "min_samples must be at least 1"),
        ({"max_cluster_size": -1}, "max_cluster_size"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"cluster_selection_method": "best"}, "eom, leaf"),
        ({"cluster_selection_epsilon": -0.1}, "cluster_selection_epsilon"),
        ({"cluster_selection_epsilon": np.nan}, "cluster_selection_epsilon"),
        ({"cluster_selection_epsilon": np.inf}, "cluster_selection_epsilon"),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        HDBSCAN(**parameters).fit(islands(100)[0])


def test_bad_rows_are_named() -> None:
    rows, _ = islands(100)
    for value in (np.nan, np.inf):
        spoilt = rows.copy()
        spoilt[7] = value
        with pytest.raises(ParameterError, match="first is row 7"):
            HDBSCAN(min_cluster_size=10).fit(spoilt)
        with pytest.raises(ParameterError, match="first is row 7"):
            HDBSCAN(min_cluster_size=10).fit(rows).predict(spoilt)
    with pytest.raises(ParameterError, match="Scale them"):
        HDBSCAN(min_cluster_size=10).fit(rows * 1e200)
    with pytest.raises(NotFittedError):
        HDBSCAN().predict(rows)
    with pytest.raises(NotFittedError):
        HDBSCAN().recut(min_cluster_size=5)
    with pytest.raises(ShapeMismatchError, match="fitted on 2"):
        HDBSCAN(min_cluster_size=10).fit(rows).predict(rows[:, :1])


def test_what_does_not_fit_in_memory_is_refused() -> None:
    rows, _ = islands(2000)
    with config.options(memory_limit="100kB"), pytest.raises(MemoryLimitError, match="2000 pixels"):
        HDBSCAN().fit(rows)


def test_scikit_learns_contract() -> None:
    results = check_estimator(HDBSCAN(min_cluster_size=5), on_fail=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    assert len(results) > 30
