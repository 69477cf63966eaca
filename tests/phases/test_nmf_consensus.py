"""Consensus over starts and the choice of a number, on spectra whose end-members are known."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist
from sklearn.decomposition import NMF

from sigma_scale.errors import EmptyMapError, ParameterError, SigmaScaleWarning
from sigma_scale.phases.nmf import Factors
from sigma_scale.phases.nmf_consensus import consensus_unmix, stability
from sigma_scale.phases.nmf_selection import knee, unmixing_curve

ENERGY = np.linspace(0, 10, 120)


def ends(number):
    return np.stack([np.exp(-0.5 * ((ENERGY - c) / 0.3) ** 2) for c in np.linspace(1, 9, number)])


def mixed(number, phases=9, noise=0.0):
    rng = np.random.default_rng(0)
    shares = np.vstack([np.eye(number), rng.dirichlet(np.ones(number), phases - number)])
    spectra = shares @ ends(number)
    spectra = spectra + noise * rng.random(spectra.shape)
    return xr.DataArray(
        spectra, dims=("phase", "energy"), coords={"phase": np.arange(phases), "energy": ENERGY}
    )


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_consensus_finds_the_end_members_and_is_stable(loss):
    result = consensus_unmix(mixed(3), 3, n_runs=6, loss=loss)
    assert dict(result.sizes) == {"component": 3, "energy": 120, "phase": 9, "run": 6}
    cosines = 1 - cdist(ends(3), result["components"], "cosine")
    assert sorted(cosines.argmax(axis=1)) == [0, 1, 2]
    assert cosines.max(axis=1).min() > 0.99
    assert result["stability"].min() > 0.99
    np.testing.assert_allclose(result["components"].sum("energy"), 1)
    assert (result["components_std"] < 0.2 * result["components"].max()).all()
    amounts = result["weights"].sum("phase").to_numpy()
    assert (np.diff(amounts) < 0.01 * amounts[0]).all()
    assert result["phase"].values[0] == "cluster_0"
    assert (result["reconstruction_error"] < 0.1).all()


def test_runs_are_scikit_learns_with_one_seed_each():
    spectra = mixed(3)
    result = consensus_unmix(spectra, 2, n_runs=3, normalised=False, random_state=5)
    for run in range(3):
        model = NMF(2, init="random", random_state=5 + run, max_iter=2000)
        weights = model.fit_transform(spectra.to_numpy())
        rest = spectra.to_numpy() - weights @ model.components_
        expected = np.linalg.norm(rest) / np.linalg.norm(spectra)
        assert float(result["reconstruction_error"][run]) == pytest.approx(expected)
        assert float(result["loss"][run]) == pytest.approx(model.reconstruction_err_)
    xr.testing.assert_identical(
        result, consensus_unmix(spectra, 2, n_runs=3, normalised=False, random_state=5)
    )


def test_order_and_scale_of_components_dont_count():
    components = ends(3)
    weights = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 0.0]])
    swapped = Factors(weights[:, [2, 0, 1]] / 7, 7 * components[[2, 0, 1]], 0.2, 1)
    runs = [Factors(weights, components, 0.1, 1), swapped]
    np.testing.assert_allclose(stability(runs), 1)


def test_stability_is_the_mean_cosine_with_the_best_run():
    weights = np.array([[2.0, 1.0]])
    best = Factors(weights, np.array([[1.0, 0, 0], [0, 1, 0]]), 0.1, 1)
    turned = Factors(weights, np.array([[0, 1.0, 1], [1, 0, 0]]), 0.2, 1)
    other = Factors(weights, np.array([[1.0, 0, 0], [0, 0, 1]]), 0.3, 1)
    np.testing.assert_allclose(stability([turned, best, other]), [1, np.sqrt(0.5) / 2])


def test_runs_that_end_too_early_are_marked():
    result = consensus_unmix(mixed(3, noise=0.1), 3, n_runs=2, method_args={"max_iter": 2})
    assert not result["converged"].any()


@pytest.mark.parametrize("number", [1, 2, 4])
def test_the_true_number_is_suggested(number):
    curve = unmixing_curve(mixed(number, noise=0.002), n_runs=4)
    assert curve["n_components"].values.tolist() == list(range(1, 10))
    assert curve.attrs["suggested"] == number
    assert curve.attrs["knee"] == number
    errors = curve["reconstruction_error"].to_numpy()
    assert errors[number - 1] < 0.1
    assert (np.diff(curve["loss"][: number + 1]) < 0).all()


def test_a_curve_without_a_stable_number_says_so():
    noise = xr.DataArray(
        np.random.default_rng(1).random((6, 50)),
        dims=("phase", "energy"),
        coords={"energy": np.arange(50.0)},
    )
    with pytest.warns(SigmaScaleWarning, match="No number of components"):
        curve = unmixing_curve(noise, [2, 4, 6], n_runs=3, stable=1.0)
    assert curve.attrs["suggested"] == curve.attrs["knee"]


def test_the_knee_lies_farthest_below_the_chord():
    numbers = np.arange(1, 6)
    assert knee(numbers, np.array([0.6, 0.3, 0.02, 0.01, 0.0])) == 3
    assert knee(numbers, np.array([0.01, 0.009, 0.008, 0.007, 0.006])) == 1
    assert knee(np.array([2, 4, 8]), np.array([0.4, 0.05, 0.04])) == 4
    assert knee(np.array([1]), np.array([1.0])) == 1


def test_bad_input_is_named():
    spectra = mixed(2, phases=4)
    for function in (consensus_unmix, lambda s, n, **k: unmixing_curve(s, [n], **k)):
        with pytest.raises(ParameterError, match="number of spectra, 4"):
            function(spectra, 5)
        with pytest.raises(ParameterError, match="at least 2"):
            function(spectra, 2, n_runs=1)
        with pytest.raises(ParameterError, match="not 'nndsvda'"):
            function(spectra, 2, method_args={"init": "nndsvda"})
        with pytest.raises(ParameterError, match="leave random_state out"):
            function(spectra, 2, method_args={"random_state": 1})
        with pytest.raises(ParameterError, match="no parameter alpha"):
            function(spectra, 2, method_args={"alpha": 1})
        with pytest.raises(ParameterError, match="spectra of cluster_0"):
            function(spectra - 1, 2)
        with pytest.raises(EmptyMapError):
            function(spectra * 0, 2)
    with pytest.raises(ParameterError, match="no number to try"):
        unmixing_curve(spectra, [])
