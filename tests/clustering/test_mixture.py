"""The mixtures: scikit-learn's own results and steps, any chunking and sample, bad input."""

import logging

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from sigma_scale import config
from sigma_scale.clustering import mixture_starts
from sigma_scale.clustering.mixture import GaussianMixture
from sigma_scale.clustering.mixture_bayesian import BayesianGaussianMixture
from sigma_scale.clustering.row_source import BATCH_ROWS
from sigma_scale.errors import (
    EmptyMapError,
    EngineUnavailableError,
    MemoryLimitError,
    ParameterError,
    ShapeMismatchError,
)

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]
BOTH = [GaussianMixture, BayesianGaussianMixture]
LEARNED = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]


def blobs(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.array([[0, 0], [6, 1], [2, 7], [-5, 4]])
    return centres[rng.integers(0, 4, n)] + rng.normal(size=(n, 2)) @ [[1.0, 0.5], [0.0, 0.6]]


def far_blobs(n_features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clusters far from zero, where sums of squares would lose digits."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-8, 8, (4, n_features)) + 100
    mixing = np.triu(rng.normal(size=(n_features, n_features)) + np.eye(n_features))
    return centres, centres[rng.integers(0, 4, 3000)] + rng.normal(size=(3000, n_features)) @ mixing


def reference_of(kind):
    return getattr(mixture, kind.__name__)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_few_rows_are_treated_as_by_scikit_learn(kind, covariance_type):
    rows = blobs(1500)
    parameters = {
        "n_components": 6, "covariance_type": covariance_type, "random_state": 3, "tol": 1.0,
    }  # fmt: skip
    ours, theirs = kind(**parameters).fit(rows), reference_of(kind)(**parameters).fit(rows)
    for name in LEARNED:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9)
    labels, probabilities = ours.predict_proba_max(rows)
    assert labels.dtype == np.int32
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(labels, theirs.predict(rows))
    np.testing.assert_array_equal(ours.predict(rows), labels)
    np.testing.assert_allclose(probabilities, theirs.predict_proba(rows).max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(rows), theirs.predict_proba(rows), atol=1e-9)
    np.testing.assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), rtol=1e-9)
    assert ours.score(rows) == pytest.approx(theirs.score(rows))
    np.testing.assert_array_equal(ours.fit_predict(rows), labels)
    drawn, own = ours.sample(50)
    assert drawn.shape == (50, 2)
    assert len(own) == 50
    if kind is GaussianMixture:
        assert ours.bic(rows) == pytest.approx(theirs.bic(rows))
        assert ours.aic(da.from_array(rows, chunks=400)) == pytest.approx(theirs.aic(rows))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_steps_over_many_rows_are_those_of_scikit_learn(covariance_type, n_features):
    for seed in range(2):
        centres, rows = far_blobs(n_features, seed)
        start = {
            "full": np.tile(np.eye(n_features), (4, 1, 1)),
            "tied": np.eye(n_features),
            "diag": np.ones((4, n_features)),
            "spherical": np.ones(4),
        }[covariance_type]
        parameters = {
            "n_components": 4, "covariance_type": covariance_type, "tol": 0, "max_iter": 10,
            "weights_init": np.full(4, 0.25), "means_init": centres + 0.5, "precisions_init": start,
        }  # fmt: skip
        ours = GaussianMixture(**parameters).fit(rows)
        theirs = mixture.GaussianMixture(**parameters).fit(rows)
        for name in LEARNED:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
        assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-9)
        np.testing.assert_array_equal(ours.predict(rows), theirs.predict(rows))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("prior", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("n_features", [1, 2, 4])
def test_variational_steps_are_those_of_scikit_learn(prior, covariance_type, n_features):
    priors = {
        "mean_precision_prior": 3.0,
        "mean_prior": [99.0] * n_features,
        "weight_concentration_prior": 20.0,
        "degrees_of_freedom_prior": n_features + 2.5,
    }
    for seed, given in enumerate(({}, priors)):
        _, rows = far_blobs(n_features, seed)
        parameters = {
            "n_components": 5, "covariance_type": covariance_type, "tol": 0, "max_iter": 8,
            "weight_concentration_prior_type": prior, "init_params": "random", "random_state": seed,
            **given,
        }  # fmt: skip
        ours = BayesianGaussianMixture(**parameters).fit(rows)
        theirs = mixture.BayesianGaussianMixture(**parameters).fit(rows)
        learned = [
            *LEARNED, "mean_precision_", "degrees_of_freedom_", "mean_prior_", "covariance_prior_",
            "weight_concentration_", "mean_precision_prior_", "weight_concentration_prior_",
        ]  # fmt: skip
        for name in learned:
            np.testing.assert_allclose(
                getattr(ours, name), getattr(theirs, name), rtol=1e-6, err_msg=name
            )
        # The bound's additive constants are scikit-learn's too.
        np.testing.assert_allclose(ours.lower_bound_, theirs.lower_bound_, rtol=1e-9)
        np.testing.assert_allclose(ours.predict_proba(rows), theirs.predict_proba(rows), atol=1e-6)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random_from_data"])
def test_every_start_finds_clear_clusters(init_params):
    rows = blobs(4000)
    model = GaussianMixture(4, init_params=init_params, random_state=1, n_init=5, tol=1e-5).fit(
        rows
    )
    peer = mixture.GaussianMixture(4, random_state=0, tol=1e-5).fit(rows)
    assert model.converged_
    assert model.score(rows) == pytest.approx(peer.score(rows), abs=1e-3)
    assert model.n_iter_ == len(model.lower_bounds_)
    assert (np.diff(model.lower_bounds_) > -1e-9).all()


@pytest.mark.parametrize("kind", BOTH)
def test_chunks_and_threads_change_no_bit(kind):
    rows = blobs(2 * BATCH_ROWS + 77).astype(np.float32)
    parameters = {"n_components": 5, "random_state": 0, "max_iter": 6, "tol": 1e9}
    with dask.config.set(scheduler="sync"):
        expected = kind(**parameters).fit(rows)
    forms = [
        rows,
        np.asfortranarray(rows),
        da.from_array(rows, chunks=(1000, 1)),
        da.from_array(rows, chunks=(30_000, 2)),
        xr.DataArray(rows, dims=("pixel", "component")).chunk({"pixel": 9999}),
    ]
    for form in forms:
        with dask.config.set(scheduler="threads", num_workers=3):
            found = kind(**parameters).fit(form)
            labels, probabilities = found.predict_proba_max(form)
        for name in (*LEARNED, "lower_bound_"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        np.testing.assert_array_equal(labels, expected.predict(rows))
        assert found.score(form) == expected.score(rows)
        np.testing.assert_array_equal(probabilities, expected.predict_proba_max(rows)[1])


def test_the_batch_and_the_order_make_no_difference():
    rows = blobs(5000).astype(np.float32)
    model = GaussianMixture(8, random_state=0).fit(rows)
    labels, probabilities = model.predict_proba_max(rows)
    order = np.random.default_rng(0).permutation(len(rows))
    parts = [model.predict_proba_max(part) for part in np.array_split(rows[order], 7)]
    np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), labels[order])
    np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), probabilities[order])


def test_the_seam_between_few_and_many_rows_is_narrow(monkeypatch):
    rows = blobs(3000)
    few = GaussianMixture(4, random_state=0, tol=1e-6).fit(rows)
    monkeypatch.setattr(mixture_starts, "SAMPLE_ROWS", 2000)
    many = GaussianMixture(4, random_state=0, tol=1e-6).fit(rows)
    assert many.score(rows) == pytest.approx(few.score(rows), abs=1e-5)


@pytest.mark.parametrize("kind", BOTH)
def test_fits_on_a_seeded_sample_of_many_rows(kind, caplog):
    rows = blobs(20_000)
    parameters = {"n_components": 4, "n_fit": 2000, "tol": 0.01}
    with caplog.at_level(logging.INFO):
        model = kind(**parameters, random_state=0).fit(rows)
    assert "2000 of 20000 pixels" in caplog.text
    again = kind(**parameters, random_state=0).fit(da.from_array(rows, chunks=(777, 2)))
    np.testing.assert_array_equal(model.means_, again.means_)
    other = kind(**parameters, random_state=1).fit(rows)
    assert not np.array_equal(np.sort(model.means_, axis=0), np.sort(other.means_, axis=0))
    whole = mixture.GaussianMixture(4, random_state=0).fit(rows)
    assert model.score(rows) == pytest.approx(whole.score(rows), abs=0.02)
    assert len(model.predict(rows)) == 20_000


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", BOTH)
def test_a_warm_start_goes_on(kind):
    rows = blobs(3000)
    parameters = {"n_components": 4, "random_state": 2, "tol": 1e-9, "init_params": "random"}
    whole = kind(**parameters, max_iter=9).fit(rows)
    parts = kind(**parameters, max_iter=3, warm_start=True)
    for _ in range(3):
        parts.fit(rows)
    np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-9)
    assert parts.lower_bound_ == pytest.approx(whole.lower_bound_)
    assert parts.n_iter_ == 3


@pytest.mark.parametrize("kind", BOTH)
def test_too_few_steps_are_warned_of(kind):
    with pytest.warns(ConvergenceWarning, match="did not converge in 2 steps"):
        model = kind(n_components=4, max_iter=2, tol=1e-12, random_state=0).fit(blobs(1000))
    assert not model.converged_


def test_far_rows_still_get_the_nearest_component():
    model = GaussianMixture(4, random_state=0).fit(blobs(500))
    far = np.array([[1e5, 0.0], [-1e5, 1e4]])
    labels, probabilities = model.predict_proba_max(far)
    np.testing.assert_array_equal(labels, mixture.GaussianMixture.predict(model, far))
    assert np.isfinite(probabilities).all()


def test_probabilities_of_all_components_respect_the_memory_limit():
    rows = blobs(50_000)
    model = GaussianMixture(10, random_state=0, n_fit=500).fit(rows)
    with config.options(memory_limit="1MB"):
        with pytest.raises(MemoryLimitError, match="predict_proba_max"):
            model.predict_proba(rows)
        assert len(model.predict(rows)) == len(rows)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("parameters", "rows", "words"),
    [
        ({"n_components": 0}, blobs(50), "n_components must be at least 1"),
        ({"n_components": 60}, blobs(50), "60 components"),
        ({"n_components": 3}, np.ones((50, 2)), "1 are different"),
        ({"n_fit": 0}, blobs(50), "n_fit"),
        ({"tol": "x"}, blobs(50), "cannot be fitted.*tol"),
        ({"random_state": "x"}, blobs(50), "random_state"),
        ({"covariance_type": "round"}, blobs(50), "covariance_type"),
        ({"init_params": "guess"}, blobs(50), "init_params"),
        ({"engine": "tpu"}, blobs(50), "engine must be"),
        ({}, np.full((50, 2), np.nan), "NaN"),
        ({}, da.from_array(np.full((50, 2), np.inf), chunks=10), "infinity"),
        ({}, np.ones(50), "one row per pixel"),
        (
            {"reg_covar": 0, "n_components": 2},
            np.repeat([[0.0, 1], [5, 5]], 9, axis=0),
            "collapsed",
        ),
    ],
)
def test_bad_input_is_named(kind, parameters, rows, words):
    model = kind(**parameters)
    if "collapsed" in words and kind is BayesianGaussianMixture:
        pytest.skip("the prior keeps components from collapsing")
    with pytest.raises(ParameterError, match=words):
        model.fit(rows)
    assert not hasattr(model, "means_")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"weights_init": [0.5, 0.4]}, "add up to 1"),
        ({"weights_init": [1.0]}, r"shape \(2,\)"),
        ({"means_init": np.zeros((2, 3))}, r"shape \(2, 2\)"),
        ({"means_init": np.full((2, 2), np.nan)}, "NaN"),
        ({"precisions_init": -np.ones((2, 2, 2))}, "positive definite"),
        ({"precisions_init": np.ones((2, 2)), "covariance_type": "full"}, "shape"),
        ({"precisions_init": [-1.0, 1.0], "covariance_type": "spherical"}, "positive definite"),
    ],
)
def test_bad_starts_are_named(parameters, words):
    with pytest.raises(ParameterError, match=words):
        GaussianMixture(2, **parameters).fit(blobs(50))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"degrees_of_freedom_prior": 0.5}, "degrees_of_freedom_prior"),
        ({"mean_prior": [1.0]}, "mean_prior"),
        ({"covariance_prior": np.eye(3)}, "covariance_prior"),
        ({"covariance_prior": np.full((2, 2), np.nan)}, "covariance_prior"),
    ],
)
def test_bad_priors_are_named(parameters, words):
    with pytest.raises(ParameterError, match=words):
        BayesianGaussianMixture(n_components=2, **parameters).fit(blobs(50))


@pytest.mark.parametrize("kind", BOTH)
def test_odd_features_are_fitted(kind):
    constant = np.column_stack([blobs(400)[:, 0], np.full(400, 3.0)])
    for rows in (constant, constant[:, :1], np.ones((30, 2))):
        n_components = 1 if rows.var() == 0 else 3
        model = kind(n_components=n_components, random_state=0, tol=1.0).fit(rows)
        assert np.isfinite(model.means_).all()
        assert len(np.unique(model.predict(rows))) == n_components


def test_bad_rows_are_named_when_applied():
    model = GaussianMixture(2, random_state=0).fit(blobs(100))
    with pytest.raises(ShapeMismatchError, match="fitted on 2"):
        model.predict(np.ones((5, 3)))
    with pytest.raises(EmptyMapError):
        model.predict(np.ones((0, 2)))
    with pytest.raises(ParameterError, match="first is row 1"):
        model.predict(np.array([[0, 0], [np.inf, 0]]))
    with pytest.raises(NotFittedError):
        GaussianMixture(2).predict(blobs(5))


def test_an_engine_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("sigma_scale.engines.gpu_obstacle", lambda needs: "no cupy")
    with pytest.raises(EngineUnavailableError, match="GaussianMixture can't run on a GPU"):
        GaussianMixture(2, engine="gpu").fit(blobs(50))


@pytest.mark.parametrize("kind", BOTH)
def test_the_gpu_path_fits_the_same_mixture(kind, monkeypatch):
    class Twin:
        """NumPy in CuPy's place."""

        asnumpy = staticmethod(np.asarray)

        def __getattr__(self, name):
            return getattr(np, name)

    monkeypatch.setitem(__import__("sys").modules, "cupy", Twin())
    monkeypatch.setattr("sigma_scale.engines.gpu_obstacle", lambda needs: "")
    rows = blobs(3000)
    parameters = {"n_components": 4, "random_state": 0, "tol": 0.01}
    on_gpu = kind(**parameters, engine="gpu").fit(rows)
    on_cpu = kind(**parameters, engine="cpu").fit(rows)
    np.testing.assert_allclose(on_gpu.means_, on_cpu.means_, rtol=1e-6)
    np.testing.assert_allclose(on_gpu.covariances_, on_cpu.covariances_, rtol=1e-6)


@pytest.mark.gpu
def test_a_gpu_fits_the_same_mixture():
    rows = blobs(200_000)
    parameters = {"n_components": 4, "random_state": 0}
    on_gpu = GaussianMixture(**parameters, engine="gpu").fit(rows)
    on_cpu = GaussianMixture(**parameters, engine="cpu").fit(rows)
    np.testing.assert_allclose(on_gpu.means_, on_cpu.means_, rtol=1e-6)
