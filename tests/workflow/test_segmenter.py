"""PixelSegmenter: methods, attributes and bad input, against scikit-learn and plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import hdbscan
import numpy as np
import pytest
import sklearn.cluster
import sklearn.mixture
import xarray as xr
from sklearn.datasets import make_blobs

from sigma_scale import config
from sigma_scale.errors import (
    EmptyMapError,
    MemoryLimitError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
)
from sigma_scale.workflow.segmenter import PixelSegmenter

SHAPE = (20, 30)
GMM = {"n_components": 4, "random_state": 0, "init_params": "kmeans"}


@dataclass
class Dataset:
    """The least that a segmenter needs."""

    normalised_elemental_data: Any
    feature_list: list[str] = field(default_factory=lambda: ["Fe_Ka", "Si_Ka", "O_Ka"])
    shape: tuple[int, int] = SHAPE
    processed: Any = None
    nav_img: Any = None
    nav_img_bin: Any = None


@pytest.fixture(scope="module")
def latent():
    rows, _ = make_blobs(600, centers=4, cluster_std=0.8, random_state=5)
    return rows


@pytest.fixture
def dataset():
    return Dataset(np.random.default_rng(0).normal(size=(*SHAPE, 3)).astype(np.float32))


def test_gaussian_mixture_equals_scikit_learn(latent, dataset):
    ps = PixelSegmenter(latent=latent, dataset=dataset, method="GaussianMixture", method_args=GMM)
    peer = sklearn.mixture.GaussianMixture(**GMM).fit(latent)
    assert ps.labels.dtype == np.int32
    np.testing.assert_array_equal(ps.labels, peer.predict(latent))
    np.testing.assert_allclose(ps.prob_map, peer.predict_proba(latent), atol=1e-6)
    np.testing.assert_allclose(ps.probability, peer.predict_proba(latent).max(axis=1), atol=1e-6)
    assert (ps.n_components, ps.height, ps.width) == (4, *SHAPE)
    assert (ps.method, ps.method_args, ps.bic_list) == ("GaussianMixture", GMM, [])
    np.testing.assert_allclose(ps.mixture.covariances, peer.covariances_)
    np.testing.assert_allclose(ps.mixture.means, ps.model.means_)
    np.testing.assert_array_equal(ps.latent, latent)
    assert ps.recipe["parameters"]["random_state"] == 0


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("prior", ["dirichlet_process", "dirichlet_distribution"])
def test_variational_mixture_equals_scikit_learn(latent, dataset, covariance_type, prior):
    arguments = {
        "n_components": 5,
        "random_state": 1,
        "covariance_type": covariance_type,
        "weight_concentration_prior_type": prior,
        "max_iter": 30,
        "tol": 10.0,
    }
    ps = PixelSegmenter(latent, dataset, "BayesianGaussianMixture", arguments)
    peer = sklearn.mixture.BayesianGaussianMixture(**arguments).fit(latent)
    np.testing.assert_array_equal(ps.labels, peer.predict(latent))
    np.testing.assert_allclose(ps.prob_map, peer.predict_proba(latent), atol=1e-6)
    assert ps.n_components == 5
    assert len(ps.mu) == 5


def test_default_is_the_originals(latent, dataset):
    ps = PixelSegmenter(latent, dataset)
    assert ps.method == "BayesianGaussianMixture"
    assert ps.method_args == {"n_components": 8, "random_state": 4}
    assert ps.n_components == 8


def test_kmeans_and_birch_equal_scikit_learn(latent, dataset):
    kmeans = PixelSegmenter(latent, dataset, "Kmeans", {"n_clusters": 4})
    peer = sklearn.cluster.KMeans(n_clusters=4, random_state=0).fit(latent)
    np.testing.assert_array_equal(kmeans.labels, peer.labels_)
    assert kmeans.prob_map.shape == (600,)
    assert (kmeans.prob_map == 1).all()
    assert kmeans.mixture is None
    birch = PixelSegmenter(latent, dataset, "birch", {"n_clusters": 3})
    np.testing.assert_array_equal(
        birch.labels, sklearn.cluster.Birch(n_clusters=3).fit_predict(latent)
    )
    assert (kmeans.n_components, birch.n_components) == (4, 3)


def test_hdbscan_as_in_the_tutorial(latent, dataset, hdbscan_in_other_orders):
    arguments = {
        "min_cluster_size": 10,
        "min_samples": 10,
        "max_cluster_size": int(len(latent) / 3),
        "cluster_selection_epsilon": 1e-1,
    }
    ps = PixelSegmenter(latent=latent, dataset=dataset, method="HDBSCAN", method_args=arguments)
    peer = hdbscan.HDBSCAN(**arguments).fit(latent)
    # The library gives a pixel as far from one cluster as from another to either of them, as the
    # order of the rows has it; here it is noise. All others are equal.
    others = hdbscan_in_other_orders(latent, arguments, peer.labels_)
    open_to_order = np.ptp(others, axis=0) > 0
    np.testing.assert_array_equal(ps.labels, np.where(open_to_order, -1, peer.labels_))
    assert open_to_order.sum() == 1
    same = ~open_to_order
    np.testing.assert_allclose(ps.prob_map[same], peer.probabilities_[same], rtol=1e-6)
    assert ps.n_components == peer.labels_.max() + 1
    assert (ps.labels == -1).any()
    assert ps.cluster_colors[-1] == "#b3b3b3"
    unlimited = PixelSegmenter(latent, dataset, "HDBSCAN", arguments | {"max_cluster_size": None})
    assert unlimited.n_components <= ps.n_components


def test_any_clusterer_is_copied_and_numbered_from_zero(latent, dataset):
    given = sklearn.cluster.DBSCAN(eps=0.9)
    ps = PixelSegmenter(latent, dataset, given, {"min_samples": 8})
    peer = sklearn.cluster.DBSCAN(eps=0.9, min_samples=8).fit(latent)
    np.testing.assert_array_equal(ps.labels, peer.labels_)
    assert given.min_samples == 5
    assert not hasattr(given, "labels_")
    assert ps.method == "DBSCAN"
    mixture = PixelSegmenter(latent, dataset, sklearn.mixture.GaussianMixture(3, random_state=0))
    assert mixture.prob_map.shape == (600, 3)


class Odd(sklearn.cluster.KMeans):
    """Numbers its clusters with gaps."""

    def fit_predict(self, X, y=None):  # noqa: N803
        return 10 * super().fit_predict(X) - 2


def test_numbers_with_gaps_are_closed(latent, dataset):
    ps = PixelSegmenter(latent, dataset, Odd(n_clusters=3, random_state=0))
    assert np.unique(ps.labels).tolist() == [-1, 0, 1]


@pytest.mark.parametrize("kind", ["rows", "cube", "dataarray", "dask", "float32", "integers"])
def test_latent_of_any_kind(latent, dataset, kind):
    cube = latent.reshape(*SHAPE, 2)
    given = {
        "rows": latent,
        "cube": cube,
        "dataarray": xr.DataArray(cube, dims=("y", "x", "component")),
        "dask": da.from_array(latent, chunks=100),
        "float32": latent.astype(np.float32),
        "integers": (100 * latent).astype(int),
    }[kind]
    ps = PixelSegmenter(given, dataset, "Kmeans", {"n_clusters": 4})
    expected = PixelSegmenter(latent, dataset, "Kmeans", {"n_clusters": 4})
    assert np.mean(ps.labels == expected.labels) > 0.99
    assert ps.latent.dtype == (np.float32 if kind == "float32" else np.float64)


def test_pixels_without_coordinates_are_noise(latent, dataset):
    holed = latent.copy()
    holed[[3, 100], [0, 1]] = np.nan
    for method, name in (("GaussianMixture", "n_components"), ("Kmeans", "n_clusters")):
        ps = PixelSegmenter(holed, dataset, method, {name: 3})
        assert np.flatnonzero(ps.labels == -1).tolist() == [3, 100]
        assert not ps.prob_map[[3, 100]].any()
        assert (ps.probability[ps.labels >= 0] > 0).all()


def test_mean_features_of_clusters(latent, dataset):
    dataset.normalised_elemental_data[0, 0, 1] = np.nan
    ps = PixelSegmenter(latent, dataset, "GaussianMixture", GMM)
    rows = dataset.normalised_elemental_data.reshape(-1, 3)
    expected = [np.nanmean(rows[ps.labels == k], axis=0) for k in range(4)]
    np.testing.assert_allclose(ps.mu, expected, rtol=1e-5)
    for lazy in (
        da.from_array(dataset.normalised_elemental_data, chunks=(7, 11, 2)),
        xr.DataArray(dataset.normalised_elemental_data, dims=("y", "x", "line")),
    ):
        other = PixelSegmenter(latent, Dataset(lazy), "GaussianMixture", GMM)
        np.testing.assert_allclose(other.mu, ps.mu)
    assert ps.peak_list == ps.feature_list == ["Fe_Ka", "Si_Ka", "O_Ka"]
    assert ps.label_map.shape == SHAPE


def test_features_that_are_missing_or_of_other_pixels(latent):
    with pytest.raises(ParameterError, match="get_feature_maps"):
        _ = PixelSegmenter(latent, Dataset(None), "GaussianMixture", GMM).mu
    with pytest.raises(ShapeMismatchError, match="600 labels"):
        _ = PixelSegmenter(latent, Dataset(np.ones((3, 3, 2))), "GaussianMixture", GMM).mu


def test_large_maps_are_fitted_on_a_sample(latent, dataset):
    arguments = {"n_components": 4, "n_fit": 200}
    for method in ("GaussianMixture", "BayesianGaussianMixture"):
        ps = PixelSegmenter(latent, dataset, method, arguments)
        assert ps.recipe["n_fit"] == 200
        assert ps.recipe["n_pixels"] == 600
        np.testing.assert_array_equal(ps.labels, ps.model.predict(latent))
    sampled = PixelSegmenter(latent, dataset, "Kmeans", {"n_clusters": 4, "n_fit": 100})
    assert sampled.recipe["n_fit"] == 100
    np.testing.assert_array_equal(sampled.labels, sampled.model.predict(latent))


def test_seeded_without_a_seed(latent, dataset):
    first, second = (
        PixelSegmenter(latent, dataset, "Kmeans", {"n_clusters": 7, "init": "random", "n_init": 1})
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.labels, second.labels)


@pytest.mark.parametrize("model", ["GaussianMixture", "BayesianGaussianMixture"])
def test_bic_equals_the_formula(latent, model):
    arguments = {"random_state": 6, "covariance_type": "diag", "tol": 10.0}
    curve = PixelSegmenter.bic(latent, 3, model, arguments)
    expected = []
    for k in (1, 2, 3):
        peer = getattr(sklearn.mixture, model)(n_components=k, **arguments).fit(latent)
        free = 2 * k + 2 * k + k - 1
        expected.append(-2 * peer.score(latent) * 600 + free * np.log(600))
    np.testing.assert_allclose(curve, expected)
    assert PixelSegmenter.bic(latent, [3], model, arguments) == [curve[2]]


def test_bic_equals_scikit_learns_own(latent):
    for covariance_type in ("full", "tied", "spherical"):
        model = sklearn.mixture.GaussianMixture(
            3, random_state=0, covariance_type=covariance_type
        ).fit(latent)
        arguments = {"random_state": 0, "covariance_type": covariance_type}
        (found,) = PixelSegmenter.bic(latent, [3], "GaussianMixture", arguments)
        assert found == pytest.approx(model.bic(latent))


def test_auto_chooses_by_bic(dataset):
    rows, _ = make_blobs(600, centers=[[0, 0], [9, 0], [0, 9]], random_state=5)
    arguments = {"n_components": "auto", "random_state": 0}
    ps = PixelSegmenter(rows, dataset, "GaussianMixture", arguments)
    assert ps.bic_list == PixelSegmenter.bic(rows, 8, "GaussianMixture", {"random_state": 0})
    assert ps.n_components == ps.method_args["n_components"] == 3
    assert arguments["n_components"] == "auto"


def test_auto_asks_for_no_more_components_than_different_pixels(dataset):
    rows = np.repeat([[0.0, 0.0], [5.0, 5.0]], 300, axis=0)
    ps = PixelSegmenter(rows, dataset, "GaussianMixture", {"n_components": "auto"})
    assert ps.n_components == len(ps.bic_list) == 2


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (
            "Gaussian",
            {},
            "GaussianMixture, BayesianGaussianMixture, Kmeans, MiniBatchKmeans, Birch, HDBSCAN",
        ),
        ("HDBSCAN", {"min_size": 3}, "no parameter min_size; it has: min_cluster_size"),
        ("Kmeans", {"n_components": 3}, "no parameter n_components; it has: n_clusters"),
        ("GaussianMixture", {"n_components": 601}, "601 components cannot be fitted on 600"),
        (
            "BayesianGaussianMixture",
            {"n_components": 601},
            "601 components cannot be fitted on 600",
        ),
        ("Kmeans", {"n_clusters": 601}, "601 clusters cannot be made of n_samples=600"),
        ("Kmeans", {"n_clusters": "many"}, "'n_clusters' .* must be an int .* Got 'many'"),
        ("Kmeans", {"n_fit": 0}, "n_fit must be"),
        ("GaussianMixture", {"tol": "x"}, "cannot be fitted"),
        ("HDBSCAN", {"n_components": "auto"}, "needs a mixture"),
        ("HDBSCAN", {"min_cluster_size": 601}, "needs at least 601"),
        (sklearn.cluster.KMeans, {}, "not a class: KMeans"),
        (sklearn.cluster.DBSCAN(), {"radius": 3}, "no parameter radius"),
        (3, {}, "not a clusterer"),
    ],
)
def test_methods_that_cannot_work(latent, dataset, method, arguments, message):
    with pytest.raises(ParameterError, match=message):
        PixelSegmenter(latent, dataset, method, arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((3, "Kmeans"), ParameterError),
        ((0, "GaussianMixture"), EmptyMapError),
        ((2.5, "GaussianMixture"), ParameterError),
        (([], "GaussianMixture"), EmptyMapError),
        ((601, "GaussianMixture", {"tol": 10.0, "n_fit": 2}), ParameterError),
    ],
)
def test_bic_of_what_cannot_be(latent, arguments, error):
    with pytest.raises(error):
        PixelSegmenter.bic(latent, *arguments)
    with pytest.raises(EmptyMapError):
        PixelSegmenter.bic(latent[:0], 2)


def test_wrong_latents_are_refused(latent, dataset):
    with pytest.raises(ShapeMismatchError, match=r"599 pixels.*20 x 30 = 600"):
        PixelSegmenter(latent[:-1], dataset)
    with pytest.raises(ShapeMismatchError, match="30 x 20"):
        PixelSegmenter(latent.reshape(30, 20, 2), dataset)
    with pytest.raises(ParameterError, match=r"\(y, x, component\)"):
        PixelSegmenter(xr.DataArray(latent.reshape(30, 20, 2), dims=("x", "y", "c")), dataset)
    with pytest.raises(ParameterError, match="shape"):
        PixelSegmenter(latent.astype(str), dataset)
    with pytest.raises(ParameterError, match="infinity"):
        PixelSegmenter(np.where(latent > 0, np.inf, latent), dataset)
    with pytest.raises(EmptyMapError, match="No pixel"):
        PixelSegmenter(np.full_like(latent, np.nan), dataset)
    with pytest.raises(EmptyMapError, match="no components"):
        PixelSegmenter(latent[:, :0], dataset)


def test_all_noise_warns_and_can_be_edited(dataset):
    scattered = np.random.default_rng(0).uniform(size=(600, 2))
    with pytest.warns(SigmaScaleWarning, match="found no cluster"):
        ps = PixelSegmenter(scattered, dataset, "HDBSCAN", {"min_cluster_size": 300})
    assert ps.n_components == 0
    assert ps.mu.shape == (0, 3)
    assert not ps.probability.any()
    assert ps.cluster_colors == {-1: "#b3b3b3"}
    assert ps.create_cluster([1, 2]) == 0
    assert ps.probability.sum() == 2


def test_probabilities_that_would_not_fit(latent, dataset):
    ps = PixelSegmenter(latent, dataset, "GaussianMixture", GMM)
    with (
        config.options(memory_limit=1000),
        pytest.raises(MemoryLimitError, match="600 pixels and 4 clusters"),
    ):
        _ = ps.prob_map
    assert ps.probability.size == 600


def test_results_are_read_only_and_kept(latent, dataset):
    ps = PixelSegmenter(latent, dataset, "GaussianMixture", GMM)
    for name in ("labels", "prob_map", "probability", "mu", "latent"):
        values = getattr(ps, name)
        assert values is getattr(ps, name)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0
    assert "4 clusters of 20 x 30 pixels, 0 of them noise, 0 edits" in repr(ps)
