"""KMeans, MiniBatchKMeans and Birch: scikit-learn's own for few rows, streamed for many."""

import dask
import dask.array as da
import numpy as np
import pytest
from sklearn import cluster
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from sigma_scale.clustering import kmeans_base
from sigma_scale.clustering.birch import Birch
from sigma_scale.clustering.kmeans import KMeans, MiniBatchKMeans
from sigma_scale.clustering.row_source import BATCH_ROWS
from sigma_scale.errors import ParameterError, ShapeMismatchError

ALL = [KMeans, MiniBatchKMeans, Birch]
CENTRES = np.array([[0, 0], [9, 1], [2, 9], [-8, 5]])


def blobs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    own = rng.integers(0, 4, n)
    return CENTRES[own] + rng.normal(size=(n, 2)), own


@pytest.fixture
def streaming(monkeypatch):
    monkeypatch.setattr(kmeans_base, "SMALL_ROWS", 0)


def seeded(kind, **parameters):
    return kind(n_clusters=4, random_state=0, **parameters)


@pytest.mark.parametrize("kind", ALL)
def test_few_rows_are_treated_as_by_scikit_learn(kind):
    rows, _ = blobs(2000)
    peer = getattr(cluster, kind.__name__)(n_clusters=4)
    if kind is not Birch:
        peer.set_params(random_state=0)
    with threadpool_limits(1):  # as here: more of them round sums differently
        peer.fit(rows)
    model = seeded(kind).fit(rows)
    np.testing.assert_array_equal(model.labels_, peer.labels_)
    assert model.labels_.dtype == np.int32
    np.testing.assert_array_equal(model.predict(rows), peer.predict(rows))
    np.testing.assert_array_equal(model.predict(da.from_array(rows, chunks=300)), model.labels_)
    np.testing.assert_array_equal(model.fit_predict(rows), peer.labels_)
    np.testing.assert_allclose(model.transform(rows), peer.transform(rows))
    if kind is not Birch:
        assert model.inertia_ == peer.inertia_
        np.testing.assert_array_equal(model.cluster_centers_, peer.cluster_centers_)


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("init", ["k-means++", CENTRES + 0.5, "random"])
def test_steps_over_many_rows_end_where_scikit_learns_do(streaming, init):
    rows, _ = blobs(5000)
    weights = np.random.default_rng(1).uniform(0.5, 2, 5000)
    for sample_weight in (None, weights):
        model = seeded(KMeans, init=init, tol=0).fit(rows, sample_weight=sample_weight)
        peer = cluster.KMeans(4, init=CENTRES, n_init=1, tol=0)
        peer.fit(rows, sample_weight=sample_weight)
        order = np.argmin(((model.cluster_centers_[:, None] - CENTRES) ** 2).sum(2), axis=0)
        np.testing.assert_allclose(model.cluster_centers_[order], peer.cluster_centers_, rtol=1e-9)
        assert model.inertia_ == pytest.approx(peer.inertia_)
        np.testing.assert_array_equal(order[peer.labels_], model.labels_)
        assert model.score(rows) == pytest.approx(peer.score(rows))


def test_small_batches_find_clear_clusters(streaming):
    rows, own = blobs(30_000)
    model = seeded(MiniBatchKMeans).fit(rows)
    assert adjusted_rand_score(own, model.labels_) > 0.99
    distance = np.sqrt(((model.cluster_centers_[:, None] - CENTRES) ** 2).sum(2)).min(axis=0)
    assert distance.max() < 0.1
    np.testing.assert_allclose(-model.score(rows), model.inertia_)
    assert not hasattr(seeded(MiniBatchKMeans, compute_labels=False).fit(rows[:50]), "labels_")


@pytest.mark.parametrize("kind", ALL)
def test_chunks_and_threads_change_no_bit(streaming, kind):
    rows = blobs(2 * BATCH_ROWS + 5)[0].astype(np.float32)
    n_rows = 3000 if kind is Birch else len(rows)  # a loop in Python
    n_fit = {"n_fit": None} if kind is Birch else {}
    given = rows[:n_rows]
    with dask.config.set(scheduler="sync"):
        expected = seeded(kind, **n_fit).fit(given)
    for chunks in ((1000, 1), (n_rows, 2)):
        with dask.config.set(scheduler="threads", num_workers=3):
            found = seeded(kind, **n_fit).fit(da.from_array(given, chunks=chunks))
        np.testing.assert_array_equal(found.labels_, expected.labels_)
        name = "subcluster_centers_" if kind is Birch else "cluster_centers_"
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        np.testing.assert_array_equal(found.predict(rows), expected.predict(rows))


@pytest.mark.parametrize("kind", ALL)
def test_a_sample_is_fitted_and_all_rows_are_labelled(kind):
    rows, own = blobs(5000)
    model = seeded(kind, n_fit=1000).fit(rows)
    assert len(model.labels_) == 5000
    assert adjusted_rand_score(own, model.labels_) > 0.98
    np.testing.assert_array_equal(model.labels_, model.predict(rows))
    again = seeded(kind, n_fit=1000).fit(rows)
    np.testing.assert_array_equal(again.labels_, model.labels_)


def test_birch_in_batches_is_birch_at_once():
    rows = blobs(BATCH_ROWS + 500)[0] / 3
    model = Birch(n_fit=None, threshold=0.4).fit(da.from_array(rows, chunks=(700, 2)))
    peer = cluster.Birch(threshold=0.4).fit(rows)
    np.testing.assert_array_equal(model.subcluster_centers_, peer.subcluster_centers_)
    np.testing.assert_array_equal(model.labels_, peer.labels_)
    alone = Birch(n_clusters=None, threshold=0.4).fit(rows[:1000])
    assert len(np.unique(alone.labels_)) <= len(alone.subcluster_centers_)


def test_centres_that_still_move_are_warned_of(streaming):
    rows = np.random.default_rng(0).uniform(size=(3000, 2))
    with pytest.warns(ConvergenceWarning, match="after 1 steps"):
        KMeans(20, max_iter=1, tol=0, random_state=0).fit(rows)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("parameters", "rows", "words"),
    [
        ({"n_clusters": 60}, blobs(50)[0], "60 clusters"),
        ({"n_clusters": 3}, np.ones((50, 2)), "1 are different"),
        ({"n_clusters": 0}, blobs(50)[0], "cannot be fitted"),
        ({"n_clusters": "many"}, blobs(50)[0], "cannot be fitted"),
        ({"n_fit": 0}, blobs(50)[0], "n_fit"),
        ({"random_state": "x"}, blobs(50)[0], "random_state"),
        ({}, np.full((50, 2), np.nan), "NaN"),
        ({}, np.ones(50), "one row per pixel"),
    ],
)
def test_bad_input_is_named(kind, parameters, rows, words, small, monkeypatch):  # noqa: PLR0917
    monkeypatch.setattr(kmeans_base, "SMALL_ROWS", 10_000 if small else 0)
    with pytest.raises(ParameterError, match=words):
        kind(**parameters).fit(rows)


def test_bad_weights_and_starts_are_named(streaming):
    rows, _ = blobs(50)
    with pytest.raises(ShapeMismatchError, match="50 rows"):
        KMeans(2).fit(rows, sample_weight=np.ones(49))
    with pytest.raises(ParameterError, match="not all zero"):
        KMeans(2).fit(rows, sample_weight=np.zeros(50))
    with pytest.raises(ParameterError, match="n_fit=20"):
        KMeans(2, n_fit=20).fit(rows, sample_weight=np.ones(50))
    with pytest.raises(ShapeMismatchError, match=r"shape \(2, 2\)"):
        KMeans(2, init=np.ones((3, 2))).fit(rows)


@pytest.mark.parametrize("kind", ALL)
def test_bad_rows_are_named_when_applied(kind):
    model = seeded(kind).fit(blobs(100)[0])
    with pytest.raises(ShapeMismatchError, match="fitted on 2"):
        model.predict(np.ones((5, 3)))
    with pytest.raises(ParameterError, match="first is row 1"):
        model.predict(np.array([[0, 0], [np.inf, 0]]))
    with pytest.raises(NotFittedError):
        seeded(kind).predict(np.ones((5, 2)))
