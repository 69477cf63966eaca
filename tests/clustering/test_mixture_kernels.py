"""Compiled loops against plain NumPy and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from sigma_scale.clustering.kmeans_kernels import nearest_centres, sum_by_label
from sigma_scale.clustering.mixture_em import array_moments
from sigma_scale.clustering.mixture_kernels import exponential, most_likely, sum_moments
from sigma_scale.clustering.mixture_moments import Gaussians, Moments


@njit
def all_exponentials(values):
    result = np.empty_like(values)
    for i in range(len(values)):
        result[i] = exponential(values[i])
    return result


def test_exponential_is_right_to_13_digits():
    values = -np.concatenate([[0.0, 1e-300, 1e-9], np.linspace(0, 708, 100_001)])
    np.testing.assert_allclose(all_exponentials(values), np.exp(values), rtol=2e-14)
    assert all_exponentials(np.array([-np.inf, -1e9])).max() < 1e-300
    assert all_exponentials(np.zeros(1))[0] == 1.0


def mixture(n_features: int, *, n_components: int = 4, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_components, n_features)) * 3
    spread = rng.normal(size=(n_components, n_features, n_features))
    covariances = spread @ spread.transpose(0, 2, 1) + 0.3 * np.eye(n_features)
    weights = rng.dirichlet(np.ones(n_components))
    factors = np.stack([np.linalg.inv(np.linalg.cholesky(c)).T for c in covariances])
    return weights, means, covariances, Gaussians.of(means, factors, np.log(weights), "full")


def summed(rows: np.ndarray, gaussians: Gaussians) -> Moments:
    moments = Moments.zero(gaussians.means)
    moments.log_likelihood, moments.entropy = sum_moments(
        rows, gaussians.means, gaussians.factors, gaussians.log_weights,
        gaussians.only_diagonal, moments.weights, moments.first, moments.second,
    )  # fmt: skip
    return moments


@pytest.mark.parametrize("n_rows", [1, 127, 128, 129, 1000])
@pytest.mark.parametrize("n_features", [1, 2, 3, 6])
def test_sums_and_labels_equal_plain_numpy(n_rows, n_features):
    weights, means, covariances, gaussians = mixture(n_features)
    rows = np.random.default_rng(1).normal(size=(n_rows, n_features)) * 3
    density = np.stack(
        [
            np.log(w) + multivariate_normal(m, c).logpdf(rows).reshape(-1)
            for w, m, c in zip(weights, means, covariances, strict=True)
        ]
    )
    likelihood = logsumexp(density, axis=0)
    share = np.exp(density - likelihood)
    deviation = rows - means[:, np.newaxis]
    moments = summed(rows, gaussians)
    np.testing.assert_allclose(moments.log_likelihood, likelihood.sum(), rtol=1e-12)
    entropy = -(share * (density - likelihood)).sum()
    np.testing.assert_allclose(moments.entropy, entropy, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(moments.weights, share.sum(axis=1), rtol=1e-11)
    np.testing.assert_allclose(
        moments.first, np.einsum("kb,kbi->ki", share, deviation), rtol=1e-9, atol=1e-11
    )
    second = np.einsum("kb,kbi,kbj->kij", share, deviation, deviation)
    np.testing.assert_allclose(np.triu(moments.second), np.triu(second), rtol=1e-9, atol=1e-11)
    labels, probabilities = np.empty(n_rows, np.int32), np.empty(n_rows, np.float32)
    scores = np.empty(n_rows)
    most_likely(
        rows, gaussians.means, gaussians.factors, gaussians.log_weights,
        labels, probabilities, scores,
    )  # fmt: skip
    np.testing.assert_array_equal(labels, density.argmax(axis=0))
    np.testing.assert_allclose(probabilities, share.max(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scores, likelihood, rtol=1e-12)


def test_components_left_out_of_a_block_change_nothing():
    weights, means, _, _ = mixture(2, n_components=30, seed=3)
    far = np.arange(30)[:, np.newaxis] * 200.0 + means
    factors = np.tile(np.eye(2), (30, 1, 1))
    gaussians = Gaussians.of(far, factors, np.log(weights), "full")
    rng = np.random.default_rng(0)
    rows = np.repeat(far, 100, axis=0) + rng.normal(size=(3000, 2))
    in_order, mixed = summed(rows, gaussians), summed(rng.permutation(rows), gaussians)
    np.testing.assert_allclose(in_order.weights, 100, rtol=1e-12)
    np.testing.assert_allclose(in_order.log_likelihood, mixed.log_likelihood, rtol=1e-13)
    np.testing.assert_allclose(in_order.second, mixed.second, rtol=1e-12, atol=1e-9)


@given(st.integers(1, 400), st.integers(0, 400), st.sampled_from([1, 2, 3]))
def test_a_row_is_evaluated_alike_in_any_company(n_rows, first, n_features):
    _, means, _, gaussians = mixture(n_features)
    rows = np.random.default_rng(1).normal(size=(801, n_features))

    def evaluated(part):
        out = np.empty(len(part), np.int32), np.empty(len(part), np.float32), np.empty(len(part))
        most_likely(part, means, gaussians.factors, gaussians.log_weights, *out)
        return out

    for whole, part in zip(evaluated(rows), evaluated(rows[first : first + n_rows]), strict=True):
        np.testing.assert_array_equal(whole[first : first + n_rows], part)


def test_the_first_of_equal_components_wins():
    rows = np.zeros((3, 2))
    out = np.empty(3, np.int32), np.empty(3, np.float32), np.empty(3)
    most_likely(rows, np.zeros((4, 2)), np.tile(np.eye(2), (4, 1, 1)), np.zeros(4), *out)
    assert out[0].tolist() == [0, 0, 0]
    assert out[1].tolist() == [0.25] * 3


@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_diagonal_sums_are_the_diagonal(n_features):
    _, means, _, gaussians = mixture(n_features)
    rows = np.random.default_rng(1).normal(size=(300, n_features))
    diagonal = Gaussians(means, gaussians.factors, gaussians.log_weights, only_diagonal=True)
    np.testing.assert_allclose(
        np.diagonal(summed(rows, diagonal).second, axis1=1, axis2=2),
        np.diagonal(summed(rows, gaussians).second, axis1=1, axis2=2),
    )


@pytest.mark.parametrize("library", ["numpy", "array_api_strict"])
def test_the_gpu_path_gives_the_same_sums_on_its_twins(library):
    xp = pytest.importorskip(library)
    _, _, _, gaussians = mixture(3)
    rows = np.random.default_rng(1).normal(size=(700, 3))
    ours, theirs = (
        summed(rows, gaussians),
        array_moments(rows, gaussians, xp=xp, to_numpy=np.asarray),
    )
    for name in ("weights", "first", "log_likelihood", "entropy"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.triu(theirs.second), np.triu(ours.second), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_rows", [1, 128, 500])
def test_nearest_centres_and_sums_by_label(n_rows):
    rng = np.random.default_rng(0)
    rows, centres = rng.normal(size=(n_rows, 3)), rng.normal(size=(7, 3))
    squares = ((rows[:, np.newaxis] - centres) ** 2).sum(axis=2)
    labels, least = np.empty(n_rows, np.int32), np.empty(n_rows)
    nearest_centres(rows, centres, labels, least)
    np.testing.assert_array_equal(labels, squares.argmin(axis=1))
    np.testing.assert_allclose(least, squares.min(axis=1))
    row_weights = rng.uniform(size=n_rows)
    moments = Moments.zero(centres)
    sum_by_label(rows, labels, row_weights, centres, moments.weights, moments.first, moments.second)
    for k in range(7):
        deviation = (rows - centres[k])[labels == k]
        own = row_weights[labels == k]
        assert moments.weights[k] == pytest.approx(own.sum())
        np.testing.assert_allclose(moments.first[k], own @ deviation, atol=1e-12)
        second = np.triu((own[:, np.newaxis] * deviation).T @ deviation)
        np.testing.assert_allclose(moments.second[k], second, atol=1e-12)
