import logging

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as Reference

from sigma_scale.clustering import GaussianMixture
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError


def blobs(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.array([[0, 0], [6, 1], [2, 7], [-5, 4]])
    return centres[rng.integers(0, 4, n)] + rng.normal(size=(n, 2)) @ [[1.0, 0.5], [0.0, 0.6]]


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_few_rows_are_treated_as_by_scikit_learn(covariance_type: str) -> None:
    rows = blobs(1500)
    parameters = {"n_components": 6, "covariance_type": covariance_type, "random_state": 3}
    ours, theirs = GaussianMixture(**parameters).fit(rows), Reference(**parameters).fit(rows)
    np.testing.assert_array_equal(ours.means_, theirs.means_)
    labels, probabilities = ours.predict_proba_max(rows)
    assert labels.dtype == np.int32
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(labels, theirs.predict(rows))
    np.testing.assert_array_equal(ours.predict(rows), labels)
    np.testing.assert_allclose(probabilities, theirs.predict_proba(rows).max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), rtol=1e-9)
    assert ours.bic(rows) == pytest.approx(theirs.bic(rows))
    assert ours.aic(rows) == pytest.approx(theirs.aic(rows))
    np.testing.assert_array_equal(ours.fit_predict(rows), labels)


def test_the_batch_and_the_order_make_no_difference() -> None:
    rows = blobs(5000).astype(np.float32)
    model = GaussianMixture(8, random_state=0).fit(rows)
    labels, probabilities = model.predict_proba_max(rows)
    order = np.random.default_rng(0).permutation(len(rows))
    parts = [model.predict_proba_max(part) for part in np.array_split(rows[order], 7)]
    np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), labels[order])
    np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), probabilities[order])


def test_fits_on_a_seeded_sample_of_many_rows(caplog: pytest.LogCaptureFixture) -> None:
    rows = blobs(20_000)
    with caplog.at_level(logging.INFO):
        model = GaussianMixture(4, n_fit=2000, random_state=0).fit(rows)
    assert "2000 of 20000 pixels" in caplog.text
    again = GaussianMixture(4, n_fit=2000, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.means_, again.means_)
    other = GaussianMixture(4, n_fit=2000, random_state=1).fit(rows)
    assert not np.array_equal(np.sort(model.means_, axis=0), np.sort(other.means_, axis=0))
    whole = Reference(4, random_state=0).fit(rows)
    assert model.score(rows) == pytest.approx(whole.score(rows), abs=0.01)
    assert len(model.predict(rows)) == 20_000


def test_far_rows_still_get_the_nearest_component() -> None:
    model = GaussianMixture(4, random_state=0).fit(blobs(500))
    far = np.array([[1e5, 0.0], [-1e5, 1e4]])
    labels, probabilities = model.predict_proba_max(far)
    np.testing.assert_array_equal(labels, Reference.predict(model, far))
    assert np.isfinite(probabilities).all()


def test_parameters_survive_cloning() -> None:
    model = GaussianMixture(5, n_fit=77, tol=0.1)
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize(
    ("parameters", "rows", "words"),
    [
        ({"n_components": 0}, blobs(50), "n_components must be at least 1"),
        ({"n_components": 60}, blobs(50), "60 components"),
        ({"n_components": 3}, np.ones((50, 2)), "1 are different"),
        ({"n_fit": 0}, blobs(50), "n_fit"),
        ({"covariance_type": "round"}, blobs(50), "covariance_type"),
        ({}, np.full((50, 2), np.nan), "NaN"),
        ({}, np.ones(50), "one row per pixel"),
    ],
)
def test_bad_input_is_named(parameters: dict[str, object], rows: np.ndarray, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        GaussianMixture(**parameters).fit(rows)


def test_bad_rows_are_named_when_applied() -> None:
    model = GaussianMixture(2, random_state=0).fit(blobs(100))
    with pytest.raises(ShapeMismatchError, match="fitted on 2"):
        model.predict(np.ones((5, 3)))
    with pytest.raises(EmptyMapError):
        model.predict(np.ones((0, 2)))
    with pytest.raises(ParameterError, match="first is row 1"):
        model.predict(np.array([[0, 0], [np.inf, 0]]))
    with pytest.raises(NotFittedError):
        GaussianMixture(2).predict(blobs(5))
