"""Unmixing of pixels against scipy's solvers."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from unmixing_oracles import (
    AXIS,
    CHANNELS,
    deviance,
    drawn,
    oracle_least_squares,
    oracle_poisson,
    peaks,
)

from sigma_scale.phases.pixel_unmixing import unmix_pixels
from sigma_scale.spectra import SpectrumImage
from sigma_scale.synthetic import synthetic_map


@pytest.mark.parametrize("n_members", [1, 3, 8])
def test_least_squares_equal_scipy(n_members):
    members = peaks(n_members)
    dense = drawn(members, (9, 11))
    result = unmix_pixels(SpectrumImage.from_array(dense, AXIS), members)
    amounts, residual = oracle_least_squares(members, dense)
    assert result["abundance"].dims == ("y", "x", "phase")
    assert result["phase"].to_numpy().tolist() == members["phase"].to_numpy().tolist()
    assert result["abundance"].dtype == result["residual"].dtype == np.float32
    assert result["abundance"].chunks is not None
    scale = amounts.max()
    np.testing.assert_allclose(result["abundance"] / scale, amounts / scale, atol=1e-6)
    np.testing.assert_allclose(result["residual"], residual, rtol=1e-5, atol=1e-7)
    assert (result["abundance"][0, 0] == 0).all()
    assert result["abundance"].attrs["units"] == result["residual"].attrs["units"] == "counts"
    assert result["residual"].attrs["kind"] == "root mean square"
    # The fitted spectra are the amounts times the end-members that come with them.
    fitted = np.asarray(result["abundance"]) @ np.asarray(result["end_member"])
    rms = np.sqrt(((dense - fitted) ** 2).mean(axis=2))
    np.testing.assert_allclose(result["residual"], rms, rtol=1e-5, atol=1e-6)


@settings(max_examples=60)
@given(
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(0, 2**31),
    st.floats(0.3, 1),
)
def test_any_spectra_give_what_scipy_gives(n_members, kind, seed, share):
    rng = np.random.default_rng(seed)
    values = rng.random((n_members, CHANNELS)) * (rng.random((n_members, CHANNELS)) < share)
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-300)
    sizes = np.linalg.svd(unit, compute_uv=False)
    assume(values.any(axis=1).all() and sizes[-1] > 2e-3 * sizes[0])
    members = xr.DataArray(values, dims=("phase", "energy"))
    mixed = rng.integers(0, 3, (2, 3, n_members)) @ values
    dense = [
        rng.poisson(3.0, (2, 3, CHANNELS)),
        rng.poisson(0.02, (2, 3, CHANNELS)),
        np.rint(1000 * mixed),  # Exact mixtures but for rounding, with amounts at the border.
        rng.integers(0, 65_000, (2, 3, CHANNELS)) * (rng.random(CHANNELS) < 0.1),
    ][kind].astype(np.uint16)
    result = unmix_pixels(SpectrumImage.from_array(dense, AXIS), members, lazy=False)
    amounts, residual = oracle_least_squares(members, dense)
    scale = max(amounts.max(), 1.0)
    np.testing.assert_allclose(result["abundance"] / scale, amounts / scale, atol=1e-6)
    np.testing.assert_allclose(result["residual"], residual, rtol=1e-4, atol=1e-6 * scale)


def test_end_members_that_are_hardly_independent_still_equal_scipy():
    members = peaks(4)
    members[1] = members[0] * (1 + 2e-3 * np.sin(np.arange(CHANNELS)))
    dense = drawn(members, (6, 7), counts=200)
    amounts, _ = oracle_least_squares(members, dense)
    result = unmix_pixels(SpectrumImage.from_array(dense, AXIS), members)
    np.testing.assert_allclose(
        result["abundance"] / amounts.max(), amounts / amounts.max(), atol=1e-6
    )


@pytest.mark.parametrize("n_members", [1, 3, 6])
@pytest.mark.parametrize("counts", [40, 3000])
def test_the_poisson_form_is_the_most_likely(n_members, counts):
    members = peaks(n_members)
    dense = drawn(members, (4, 6), counts=counts)
    result = unmix_pixels(
        SpectrumImage.from_array(dense, AXIS), members, method="poisson", lazy=False
    )
    profiles = np.asarray(result["end_member"]).T
    for y, x in np.ndindex(dense.shape[:2]):
        spectrum = dense[y, x].astype(float)
        ours = result["abundance"].to_numpy()[y, x].astype(float)
        if not spectrum.any():
            assert (ours == 0).all()
            continue
        theirs, least = oracle_poisson(members, spectrum)
        assert deviance(ours, profiles, spectrum) <= least + 1e-6 * spectrum.sum()
        np.testing.assert_allclose(ours, theirs, atol=2e-3 * spectrum.sum())
        np.testing.assert_allclose(ours.sum(), spectrum.sum(), rtol=1e-6)
        model = profiles @ ours
        chi_square = ((spectrum - model) ** 2 / model).sum() / (CHANNELS - (ours > 0).sum())
        np.testing.assert_allclose(result["residual"][y, x], chi_square, rtol=1e-5)
    assert "chi-square" in result["residual"].attrs["kind"]


@settings(max_examples=60)
@given(st.integers(1, 6), st.integers(0, 2**31), st.sampled_from([0.01, 0.1, 2.0, 200.0]))
def test_no_change_of_amounts_is_more_likely(n_members, seed, rate):
    rng = np.random.default_rng(seed)
    values = rng.random((n_members, CHANNELS)) * (rng.random((n_members, CHANNELS)) < 0.6) + 1e-5
    members = xr.DataArray(values, dims=("phase", "energy"))
    dense = rng.poisson(rate, (2, 3, CHANNELS)).astype(np.uint16)
    result = unmix_pixels(
        SpectrumImage.from_array(dense, AXIS), members, method="poisson", tolerance=1e-8, lazy=False
    )
    profiles = values.T / values.sum(axis=1)
    for spectrum, ours in zip(
        dense.reshape(-1, CHANNELS).astype(float),
        result["abundance"].to_numpy().reshape(-1, n_members).astype(float),
        strict=True,
    ):
        if spectrum.any():
            # At the maximum no end-member pulls harder than counts can: r <= 1.
            ratio = profiles.T @ (spectrum / (profiles @ ours))
            assert ratio.max() < 1 + 1e-4
            np.testing.assert_allclose(ratio @ ours, spectrum.sum(), rtol=1e-6)


def test_chi_square_tells_where_an_end_member_is_missing():
    made = synthetic_map((32, 32), counts_per_pixel=500, grain_size=8)
    whole = unmix_pixels(made.image, made.spectra, method="poisson", lazy=False)
    assert float(whole["residual"].mean()) == pytest.approx(1, abs=0.06)
    labels = made.labels.to_numpy()
    assert (labels == whole["abundance"].argmax("phase").to_numpy()).mean() > 0.98
    commonest = int(np.bincount(labels.ravel()).argmax())
    others = made.spectra[np.arange(len(made.spectra)) != commonest]
    without = unmix_pixels(made.image, others, method="poisson", lazy=False)
    rise = without["residual"].to_numpy() / whole["residual"].to_numpy()
    assert np.median(rise[labels == commonest]) > 1.08
    assert np.median(rise[labels != commonest]) == pytest.approx(1, abs=0.02)
