import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.decomposition import NMF

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.phases.nmf import unmix

ENERGY = np.linspace(0, 10, 200)
ENDS = np.stack([np.exp(-0.5 * ((ENERGY - centre) / 0.3) ** 2) for centre in (2, 5, 8)])
MIXTURES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])


def mixed(labels: object = None) -> xr.DataArray:
    spectra = (MIXTURES * [[100], [3], [50], [9], [1]]) @ ENDS
    labels = np.arange(5, dtype=np.int32) if labels is None else labels
    return xr.DataArray(
        spectra, dims=("phase", "energy"), coords={"phase": labels, "energy": ENERGY}
    )


def test_finds_the_end_members() -> None:
    weights, components = unmix(mixed(), 3, random_state=0)
    assert list(weights.index) == [f"cluster_{i}" for i in range(5)]
    assert list(weights.columns) == ["w_0", "w_1", "w_2"]
    assert list(components.columns) == ["cpnt_0", "cpnt_1", "cpnt_2"]
    np.testing.assert_array_equal(components.index, ENERGY)
    peaks = np.sort(ENERGY[components.to_numpy().argmax(axis=0)])
    np.testing.assert_allclose(peaks, [2, 5, 8], atol=0.1)
    normalised = mixed() / mixed().max("energy")
    np.testing.assert_allclose(weights.to_numpy() @ components.to_numpy().T, normalised, atol=0.02)


@pytest.mark.parametrize("normalised", [True, False])
def test_is_scikit_learns_nmf_of_the_spectra_over_their_maxima(*, normalised: bool) -> None:
    spectra = mixed().to_numpy()
    matrix = spectra / spectra.max(axis=1, keepdims=True) if normalised else spectra
    model = NMF(2, random_state=1, init="random", max_iter=2000)
    expected = model.fit_transform(matrix)
    weights, components = unmix(
        mixed(), 2, normalised=normalised, random_state=1, method_args={"init": "random"}
    )
    np.testing.assert_allclose(weights, expected)
    np.testing.assert_allclose(components, model.components_.T)


def test_phases_keep_their_labels_and_names() -> None:
    weights, _ = unmix(mixed([3, 0, 7, 1, 2]), 2, random_state=0)
    assert list(weights.index) == [f"cluster_{i}" for i in (3, 0, 7, 1, 2)]
    weights, _ = unmix(mixed(["quartz", "albite", "zircon", "b", "c"]), 2, random_state=0)
    assert weights.index[0] == "quartz"


def test_a_phase_without_counts_has_no_weights() -> None:
    spectra = mixed()
    spectra[1] = 0
    weights, _ = unmix(spectra, 2, random_state=0)
    assert (weights.loc["cluster_1"] < 1e-6).all()
    assert np.isfinite(weights).all(axis=None)


def test_kullback_leibler_is_scikit_learns_of_the_counts() -> None:
    counts = np.random.default_rng(0).poisson(50 * mixed() + 2)
    spectra = mixed().copy(data=counts)
    model = NMF(
        3, solver="mu", beta_loss="kullback-leibler", random_state=0, init="random", max_iter=2000
    )
    expected = model.fit_transform(counts.astype(float))
    weights, components = unmix(
        spectra,
        3,
        normalised=False,
        random_state=0,
        loss="kullback-leibler",
        method_args={"init": "random"},
    )
    np.testing.assert_allclose(weights, expected)
    np.testing.assert_allclose(components, model.components_.T)


def divergence(values: np.ndarray, model: np.ndarray) -> float:
    """Kullback-Leibler divergence of counts, term by term."""
    logs = values * np.log(np.where(values > 0, values / np.maximum(model, 1e-300), 1.0))
    return float((logs - values + model).sum())


def test_kullback_leibler_is_more_likely_for_counts() -> None:
    counts = np.random.default_rng(1).poisson(3 * mixed() + 0.2).astype(float)
    found = {}
    for loss in ("frobenius", "kullback-leibler"):
        weights, components = unmix(
            mixed().copy(data=counts), 3, normalised=False, random_state=0, loss=loss
        )
        found[loss] = divergence(counts, weights.to_numpy() @ components.to_numpy().T)
    assert found["kullback-leibler"] < found["frobenius"]


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_an_initial_guess_sets_order_and_is_kept_where_it_is_right(loss: str) -> None:
    guess = ENDS[[2, 0, 1]]
    given = [
        xr.DataArray(7 * guess, dims=("endmember", "energy")),
        pd.DataFrame(guess.T, index=ENERGY),
        [2, 0, 1],
    ]
    for initial in given:
        weights, components = unmix(mixed(), 3, initial=initial, loss=loss)
        peaks = ENERGY[components.to_numpy().argmax(axis=0)]
        np.testing.assert_allclose(peaks, [8, 2, 5], atol=0.1)
        rebuilt = weights.to_numpy() @ components.to_numpy().T
        np.testing.assert_allclose(rebuilt, mixed() / mixed().max("energy"), atol=1e-3)
        np.testing.assert_allclose(weights.loc["cluster_0"] > 0.01, [False, True, False])


def test_zeros_of_an_initial_guess_can_grow() -> None:
    guess = np.where(ENDS > 0.5, ENDS, 0)
    initial = xr.DataArray(guess, dims=("endmember", "energy"))
    for loss in ("frobenius", "kullback-leibler"):
        weights, components = unmix(mixed(), 3, initial=initial, loss=loss)
        rebuilt = weights.to_numpy() @ components.to_numpy().T
        np.testing.assert_allclose(rebuilt, mixed() / mixed().max("energy"), atol=0.02)


def test_a_bad_initial_guess_is_named() -> None:
    with pytest.raises(ShapeMismatchError, match=r"\(2, 200\) .* wanted"):
        unmix(mixed(), 3, initial=[0, 1])
    with pytest.raises(ShapeMismatchError, match="components, channels"):
        unmix(mixed(), 3, initial=xr.DataArray(ENDS[:, 1:], dims=("endmember", "energy")))
    with pytest.raises(ParameterError, match="no phase 9 to begin with"):
        unmix(mixed(), 2, initial=[0, 9])
    for bad in (-ENDS, np.nan * ENDS, 0 * ENDS):
        with pytest.raises(ParameterError, match="initial guess has"):
            unmix(mixed(), 3, initial=xr.DataArray(bad, dims=("endmember", "energy")))
    with pytest.raises(ParameterError, match="Choose one"):
        unmix(mixed(), 2, initial=[0, 1], method_args={"init": "random"})


def test_a_loss_and_what_contradicts_it_are_refused() -> None:
    with pytest.raises(ParameterError, match="no loss 'l1'"):
        unmix(mixed(), 2, loss="l1")
    with pytest.raises(ParameterError, match="needs solver='mu'"):
        unmix(mixed(), 2, loss="kullback-leibler", method_args={"solver": "cd"})


def test_bad_input_is_named() -> None:
    spectra = mixed()
    for n_components in (0, 6):
        with pytest.raises(ParameterError, match="number of spectra, 5"):
            unmix(spectra, n_components)
    for bad in (-1.0, np.nan, np.inf):
        spoilt = spectra.copy()
        spoilt[2, 7] = bad
        with pytest.raises(ParameterError, match="spectra of cluster_2 have"):
            unmix(spoilt, 2)
    with pytest.raises(EmptyMapError):
        unmix(spectra * 0, 2)
    with pytest.raises(ParameterError, match="no parameter alpha; it has: init"):
        unmix(spectra, 2, method_args={"alpha": 1})
    with pytest.raises(ParameterError, match="NMF cannot be run"):
        unmix(spectra, 2, method_args={"init": "nowhere"})
    with pytest.raises(ParameterError, match="phase, energy"):
        unmix(spectra[0], 1)
