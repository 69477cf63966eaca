"""scikit-learn's contract, for few rows and for many."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from sigma_scale.clustering import kmeans_base
from sigma_scale.clustering.birch import Birch
from sigma_scale.clustering.kmeans import KMeans, MiniBatchKMeans
from sigma_scale.clustering.mixture import GaussianMixture
from sigma_scale.clustering.mixture_bayesian import BayesianGaussianMixture

# scikit-learn expects the same of its own: other weights draw other starts.
WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "weights change the draw of the start",
    "check_sample_weight_equivalence_on_sparse_data": "sparse rows are refused",
}
EXPECTED = {"KMeans": WEIGHTS, "MiniBatchKMeans": WEIGHTS}
ESTIMATORS = [GaussianMixture, BayesianGaussianMixture, KMeans, MiniBatchKMeans, Birch]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rows", ["few", "many"])
@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_check_estimator(kind, rows, monkeypatch):
    if rows == "many":
        monkeypatch.setattr(kmeans_base, "SMALL_ROWS", 0)
    results = check_estimator(
        kind(), expected_failed_checks=EXPECTED.get(kind.__name__, {}), on_skip=None, on_fail=None
    )
    failed = [
        (one["check_name"], str(one["exception"])) for one in results if one["status"] == "failed"
    ]
    assert failed == []
    assert len(results) > 30


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_parameters_are_those_of_scikit_learn_and_survive_cloning(kind):
    peer = next(base for base in kind.__mro__ if base.__module__.startswith("sklearn."))
    ours, theirs = kind().get_params(), peer().get_params()
    assert {name: ours[name] for name in theirs} == theirs
    assert set(ours) - set(theirs) <= {"n_fit", "engine", "random_state"}
    model = kind(n_fit=77)
    assert clone(model).get_params() == model.get_params()
    assert np.ndim(model.n_fit) == 0
