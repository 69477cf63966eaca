"""Criteria, stability and silhouettes, against scikit-learn's."""

import json

import dask.array as da
import numpy as np
import pytest
from sklearn import mixture
from sklearn.metrics import silhouette_samples, silhouette_score

from sigma_scale.clustering.selection import (
    cluster_stability,
    information_curve,
    n_free_parameters,
    silhouette,
)
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError


def blobs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    own = rng.integers(0, 4, n)
    return np.array([[0, 0], [9, 1], [2, 9], [-8, 5]])[own] + rng.normal(size=(n, 2)), own


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_criteria_are_scikit_learns(covariance_type):
    rows, _ = blobs(800)
    arguments = {"covariance_type": covariance_type, "random_state": 0}
    curve = information_curve(rows, [1, 3, 4], method_args=arguments)
    for number in (1, 3, 4):
        peer = mixture.GaussianMixture(number, **arguments).fit(rows)
        own = curve.sel(n_components=number)
        assert own.bic == pytest.approx(peer.bic(rows))
        assert own.aic == pytest.approx(peer.aic(rows))
        assert own.log_likelihood == pytest.approx(peer.score(rows))
        assert n_free_parameters(covariance_type, number, 2) == peer._n_parameters()
    assert json.loads(json.dumps(curve.attrs["recipe"]))["parameters"]["n_components"] == [1, 3, 4]


def test_the_lowest_criterion_is_the_number_of_clusters():
    rows, _ = blobs(3000)
    arguments = {"random_state": 0}
    curve = information_curve(rows, range(1, 8), method_args=arguments, n_rows=1000)
    assert int(curve.bic.idxmin()) == 4
    assert curve.converged.all()
    assert curve.attrs["recipe"]["n_rows"] == 1000
    lazy = da.from_array(rows, chunks=(99, 2))
    assert information_curve(lazy, range(1, 8), method_args=arguments, n_rows=1000).equals(curve)
    variational = information_curve(
        rows, [2, 4], "BayesianGaussianMixture", {"random_state": 0, "tol": 1.0}
    )
    assert int(variational.bic.idxmin()) == 4


def test_criteria_that_cannot_be():
    rows, _ = blobs(100)
    with pytest.raises(ParameterError, match="need a mixture"):
        information_curve(rows, [2], "KMeans")
    with pytest.raises(EmptyMapError, match="at least one"):
        information_curve(rows, [])
    with pytest.raises(ParameterError, match="101 components"):
        information_curve(rows, [101])


def test_the_right_number_of_clusters_is_stable():
    rows, _ = blobs(2000)
    right, wrong = (
        cluster_stability(rows, "KMeans", {"n_clusters": number}, n_runs=4) for number in (4, 7)
    )
    assert right["mean"] > 0.98
    assert wrong["mean"] < 0.9
    assert right.n_clusters.values.tolist() == [4] * 4
    agreement = right.agreement.values
    np.testing.assert_array_equal(agreement, agreement.T)
    np.testing.assert_array_equal(np.diagonal(agreement), 1)
    assert right["mean"] == pytest.approx(agreement[np.triu_indices(4, 1)].mean())
    again = cluster_stability(rows, "KMeans", {"n_clusters": 4}, n_runs=4)
    np.testing.assert_array_equal(again.agreement, agreement)
    json.dumps(right.attrs["recipe"])


@pytest.mark.parametrize("method", ["GaussianMixture", "Birch", "HDBSCAN"])
def test_every_method_has_a_stability(method):
    rows, _ = blobs(1000)
    arguments = {
        "GaussianMixture": {"n_components": 4, "n_init": 5},
        "Birch": {"n_clusters": 4},
        "HDBSCAN": {"min_cluster_size": 50},
    }[method]
    result = cluster_stability(rows, method, arguments, n_runs=2, share=0.9)
    assert result["mean"] > 0.8
    assert (result.n_clusters == 4).all()


def test_seeds_alone_and_stabilities_that_cannot_be():
    rows, _ = blobs(300)
    result = cluster_stability(rows, "GaussianMixture", {"n_components": 1}, n_runs=2, share=1)
    assert result["mean"] == 1
    for wrong in ({"n_runs": 1}, {"share": 0}, {"share": 1.5}, {"n_evaluated": 0}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            cluster_stability(rows, **wrong)
    with pytest.raises(ParameterError, match="no clustering method"):
        cluster_stability(rows, "Guess")


def test_silhouettes_are_scikit_learns_where_all_rows_count():
    rows, own = blobs(600)
    labels = np.where(np.arange(600) % 50 == 0, -1, own)
    holed = np.where(labels[:, np.newaxis] < 0, np.nan, rows)
    result = silhouette(holed, labels.reshape(20, 30))
    kept = labels >= 0
    values = silhouette_samples(rows[kept], labels[kept])
    for cluster in range(4):
        expected = values[labels[kept] == cluster].mean()
        assert result.silhouette.sel(cluster=cluster) == pytest.approx(expected)
    assert result["mean"] == pytest.approx(silhouette_score(rows[kept], labels[kept]))
    assert result["size"].values.tolist() == np.bincount(labels[kept]).tolist()


def test_a_sample_gives_about_the_same_and_keeps_small_clusters():
    rows, own = blobs(4000)
    rows[:60] += 50
    own[:60] = 9
    whole, part = silhouette(rows, own), silhouette(rows, own, n_evaluated=400)
    np.testing.assert_allclose(part.silhouette, whole.silhouette, atol=0.05)
    assert part.attrs["recipe"]["n_evaluated"] < 700
    assert part.cluster.values.tolist() == [0, 1, 2, 3, 9]


def test_silhouettes_that_cannot_be():
    rows, own = blobs(60)
    with pytest.raises(ParameterError, match="two clusters"):
        silhouette(rows, np.zeros(60, int))
    with pytest.raises(ShapeMismatchError, match="60 rows, but 59"):
        silhouette(rows, own[:59])
    with pytest.raises(ParameterError, match="NaN"):
        silhouette(np.where(rows > 3, np.nan, rows), own)
