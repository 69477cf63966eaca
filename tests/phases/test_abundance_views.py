"""Unmixing of processed maps, of some energies only, and with end-members of any origin."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from unmixing_oracles import AXIS, CHANNELS, drawn, oracle_least_squares, peaks

from sigma_scale.phases.nmf import unmix
from sigma_scale.phases.pixel_unmixing import unmix_pixels
from sigma_scale.phases.spectra import phase_spectra
from sigma_scale.spectra import SpectrumImage
from sigma_scale.synthetic import synthetic_map


def test_normalised_spectra_give_shares_of_the_total():
    members = peaks(4)
    dense = drawn(members, (6, 7))
    image = SpectrumImage.from_array(dense, AXIS).with_processing(zeroed_below=4, total_from=2)
    seen = image.to_xarray().to_numpy()
    used = np.arange(CHANNELS) >= 4
    amounts, residual = oracle_least_squares(members, seen, used)
    result = unmix_pixels(image, members)
    np.testing.assert_allclose(result["abundance"], amounts, atol=1e-6)
    np.testing.assert_allclose(result["residual"], residual, atol=1e-6)
    assert result["abundance"].attrs["units"] == result["residual"].attrs["units"] == "share"
    # The likelihood is that of the counts; only the amounts are divided.
    raw = image.with_processing(total_from=None)
    total = dense[..., 2:].sum(axis=2, keepdims=True)
    counted = unmix_pixels(raw, members, method="poisson")
    divided = unmix_pixels(image, members, method="poisson")
    expected = counted["abundance"] / np.maximum(total, 1)
    np.testing.assert_allclose(divided["abundance"], expected, rtol=1e-5)
    np.testing.assert_array_equal(divided["residual"], counted["residual"])


@pytest.mark.parametrize("method", ["least_squares", "poisson"])
def test_energies_that_are_left_out_do_not_count(method):
    members = peaks(3)
    dense = drawn(members, (5, 6))
    spoilt = dense.copy()
    spoilt[..., 10:20] = 200
    image, other = (SpectrumImage.from_array(values, AXIS) for values in (dense, spoilt))
    gap = [(AXIS.low + 9.6 * 0.05, AXIS.low + 19.6 * 0.05)]
    result = unmix_pixels(other, members, method=method, left_out=gap)
    assert result.attrs["recipe"]["n_channels_used"] == CHANNELS - 10
    xr.testing.assert_identical(result, unmix_pixels(image, members, method=method, left_out=gap))
    if method == "least_squares":
        used = (np.arange(CHANNELS) < 10) | (np.arange(CHANNELS) >= 20)
        amounts, residual = oracle_least_squares(members, dense, used)
        np.testing.assert_allclose(result["abundance"], amounts, atol=1e-6 * amounts.max())
        np.testing.assert_allclose(result["residual"], residual, rtol=1e-5)


def test_counts_where_no_end_member_has_any_are_left_out_of_the_likelihood():
    members = peaks(3)
    members[:, :5] = 0
    dense = drawn(members, (3, 4))
    spoilt = dense.copy()
    spoilt[..., :5] = 9
    first, second = (
        unmix_pixels(SpectrumImage.from_array(values, AXIS), members, method="poisson").load()
        for values in (dense, spoilt)
    )
    xr.testing.assert_identical(first, second)
    assert first.attrs["recipe"]["n_channels_used"] == CHANNELS - 5
    assert np.isfinite(first["residual"]).all()


@pytest.mark.parametrize("method", ["least_squares", "poisson"])
def test_shares_sum_to_one(method):
    members = peaks(4)
    image = SpectrumImage.from_array(drawn(members, (5, 6)), AXIS)
    amounts = unmix_pixels(image, members, method=method)["abundance"]
    shares = unmix_pixels(image, members, method=method, shares=True)["abundance"]
    assert np.isnan(shares[0, :2]).all()
    assert shares.attrs["units"] == "share"
    whole = shares.sum("phase", skipna=False).to_numpy().ravel()[2:]
    np.testing.assert_allclose(whole, 1, rtol=1e-6)
    whole_amounts = amounts.sum("phase").where(lambda sums: sums > 0)
    np.testing.assert_allclose(shares, (amounts / whole_amounts).data, rtol=1e-5)


def test_the_size_of_an_end_member_means_nothing():
    members = peaks(3)
    image = SpectrumImage.from_array(drawn(members, (5, 6)), AXIS)
    first = unmix_pixels(image, members)
    second = unmix_pixels(image, members * xr.DataArray([1e-3, 1.0, 1e5], dims="phase"))
    np.testing.assert_allclose(second["abundance"], first["abundance"], rtol=1e-5, atol=1e-5)


def test_end_members_from_phases_and_from_nmf():
    made = synthetic_map((48, 48), counts_per_pixel=200, grain_size=12)
    means = phase_spectra(made.image, made.labels)["mean"]
    of_phases = unmix_pixels(made.image, means, lazy=False)
    assert of_phases["phase"].dtype == means["phase"].dtype
    _, components = unmix(means, 3, random_state=0)
    of_nmf = unmix_pixels(made.image, components, lazy=False)
    assert of_nmf["phase"].to_numpy().tolist() == ["cpnt_0", "cpnt_1", "cpnt_2"]
    turned = xr.DataArray(components.to_numpy(), dims=("energy", "phase"))
    np.testing.assert_array_equal(
        unmix_pixels(made.image, turned)["abundance"], of_nmf["abundance"]
    )


def test_floats_that_are_no_counts():
    members = peaks(3)
    dense = drawn(members, (4, 5)).astype(np.float32) * np.float32(0.37)
    result = unmix_pixels(SpectrumImage.from_array(dense, AXIS), members)
    amounts, _ = oracle_least_squares(members, dense)
    np.testing.assert_allclose(result["abundance"], amounts, atol=1e-6 * amounts.max())
