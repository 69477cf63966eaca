"""A latent space whose pixels all lie in one place: mixtures warn of it, and of no other."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.base
import sklearn.mixture
from sklearn.datasets import make_blobs

from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.workflow.segmenter import PixelSegmenter

SHAPE = (20, 30)


@pytest.fixture(scope="module")
def latent():
    """Each coordinate with the variance 1."""
    rows, _ = make_blobs(600, centers=4, cluster_std=0.8, random_state=5)
    return (rows - rows.mean(axis=0)) / rows.std(axis=0)


@pytest.fixture(scope="module")
def dataset():
    return SimpleNamespace(
        shape=SHAPE,
        feature_list=["a", "b"],
        normalised_elemental_data=np.ones((*SHAPE, 2)),
        processed=None,
    )


class Unregularised(sklearn.base.ClusterMixin, sklearn.base.BaseEstimator):
    """A mixture of a user's own, with no parameter for what is added to the variances."""

    def __init__(self, n_components=2):
        self.n_components = n_components

    def fit_predict(self, X, y=None):  # noqa: N803
        fitted = sklearn.mixture.GaussianMixture(
            self.n_components, reg_covar=0, random_state=0, covariance_type="diag"
        ).fit(X)
        self.covariance_type = fitted.covariance_type
        for name in ("means_", "weights_", "precisions_cholesky_"):
            setattr(self, name, getattr(fitted, name))
        return fitted.predict(X)


COLLAPSED = {
    "mixture": ("GaussianMixture", {"n_components": 2}),
    "variational": ("BayesianGaussianMixture", {"n_components": 2}),
    "mixture object": (sklearn.mixture.GaussianMixture(2, random_state=0), {}),
    "variational object": (sklearn.mixture.BayesianGaussianMixture(n_components=2), {}),
}


@pytest.mark.parametrize("case", COLLAPSED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_collapsed_latent_space_warns(latent, dataset, case, dtype):
    method, arguments = COLLAPSED[case]
    collapsed = (0.9e-3 * latent).astype(dtype)
    with pytest.warns(
        SigmaScaleWarning, match=r"collapsed.*reg_covar=1e-06, which \w+Mixture adds"
    ):
        ps = PixelSegmenter(collapsed, dataset, method, arguments)
    assert ps.labels.size == 600
    holed = collapsed.copy()
    holed[0] = np.nan
    with pytest.warns(SigmaScaleWarning, match="collapsed"):
        PixelSegmenter(holed, dataset, method, arguments)


@pytest.mark.parametrize("case", COLLAPSED)
def test_a_latent_space_that_has_not_collapsed_does_not_warn(latent, dataset, case):
    method, arguments = COLLAPSED[case]
    one_wide = latent * [1.1e-3, 1e-9]  # one coordinate alone can tell clusters apart
    tiny = {"reg_covar": 1e-12}
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        PixelSegmenter(one_wide, dataset, method, arguments)
        PixelSegmenter(1e-5 * latent, dataset, method, arguments | tiny)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("Kmeans", {"n_clusters": 2}), (Unregularised(), {})],
)
def test_methods_that_add_nothing_to_variances_do_not_warn(latent, dataset, method, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        ps = PixelSegmenter(1e-4 * latent, dataset, method, arguments)
    assert ps.n_components == len(np.unique(ps.labels)) == 2
