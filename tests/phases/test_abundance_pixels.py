"""Unmixing of pixels against scipy's solvers, and what it refuses."""

from __future__ import annotations

import itertools

import dask
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.optimize as so
import xarray as xr
from hypothesis import assume, given, settings

from sigma_scale import config
from sigma_scale.errors import (
    EnergyRangeError,
    MemoryLimitError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
)
from sigma_scale.phases.nmf import unmix
from sigma_scale.phases.pixel_unmixing import unmix_pixels
from sigma_scale.phases.spectra import phase_spectra
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage
from sigma_scale.synthetic import synthetic_map

CHANNELS = 60
AXIS = EnergyAxis(CHANNELS, 0.05, 0.1)


def peaks(n_members: int, *, seed: int = 0) -> xr.DataArray:
    """Peaks on a falling background, of different sums."""
    rng = np.random.default_rng(seed)
    channels = np.arange(CHANNELS)
    centres = rng.uniform(5, CHANNELS - 5, (n_members, 3, 1))
    heights = rng.uniform(1, 9, (n_members, 3, 1))
    spectra = (heights * np.exp(-((channels - centres) ** 2) / 8)).sum(axis=1) + 0.3
    spectra *= rng.uniform(0.1, 10, (n_members, 1))
    names = [f"phase {i}" for i in range(n_members)]
    return xr.DataArray(spectra, dims=("phase", "energy"), coords={"phase": names})


def drawn(members: xr.DataArray, shape: tuple[int, int], *, counts: float = 60, seed=1):
    """Poisson counts of mixtures, with pixels without any."""
    rng = np.random.default_rng(seed)
    profiles = members / members.sum("energy")
    amounts = rng.dirichlet(np.full(len(members), 0.4), shape) * counts
    dense = rng.poisson(amounts @ profiles.to_numpy())
    dense[0, :2] = 0
    return dense.astype(np.uint8)


def oracle_least_squares(members, dense, used=None):
    """Scipy's amounts as counts, and the root mean square."""
    used = np.ones(CHANNELS, bool) if used is None else used
    spectra = np.asarray(members)[:, used].T
    flat = dense.reshape(-1, CHANNELS)[:, used].astype(float)
    fits = [so.nnls(spectra, spectrum) for spectrum in flat]
    amounts = np.array([fit[0] for fit in fits]) * spectra.sum(axis=0)
    residual = np.array([fit[1] for fit in fits]) / np.sqrt(used.sum())
    return amounts.reshape(*dense.shape[:2], -1), residual.reshape(dense.shape[:2])


def deviance(amounts, profiles, spectrum):
    """Negative log-likelihood of Poisson counts, less what doesn't depend on the amounts."""
    model = profiles @ amounts
    seen = spectrum > 0
    if (model[seen] <= 0).any():
        return np.inf
    return model.sum() - (spectrum[seen] * np.log(model[seen])).sum()


def oracle_poisson(members, spectrum):
    """Amounts in counts of the largest likelihood, by a general minimiser."""
    profiles = np.asarray(members / members.sum("energy")).T
    seen = spectrum > 0

    def slope(amounts):
        return 1 - profiles[seen].T @ (spectrum[seen] / (profiles[seen] @ amounts))

    start = np.full(len(members), spectrum.sum() / len(members))
    best = so.minimize(
        deviance,
        start,
        args=(profiles, spectrum),
        jac=lambda amounts, *_: slope(amounts),
        method="L-BFGS-B",
        bounds=[(1e-12, None)] * len(members),
        options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10},
    )
    return best.x, best.fun


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


@pytest.mark.parametrize("method", ["least_squares", "poisson"])
def test_chunks_and_threads_change_nothing(method):
    members = peaks(5)
    dense = drawn(members, (70, 50))
    results = []
    chunks = [(128, 128), (16, 24), (7, 50)]
    for factors, chunk in itertools.product([(1, 1), (3, 2)], chunks):
        image = SpectrumImage(ArraySource(dense, chunk), AXIS).with_processing(bin_factors=factors)
        for workers in (1, 3):
            with dask.config.set(scheduler="threads", num_workers=workers):
                results.append(unmix_pixels(image, members, method=method).load())
    for same in (results[:6], results[6:]):
        for other in same[1:]:
            xr.testing.assert_identical(other, same[0])
    now = unmix_pixels(image, members, method=method, lazy=False)
    assert now["abundance"].chunks is None
    xr.testing.assert_identical(now, results[-1])


def test_regions_of_a_map_are_joined_in_place(monkeypatch):
    from sigma_scale.spectra import passes

    members = peaks(3)
    dense = drawn(members, (70, 50))
    image = SpectrumImage(ArraySource(dense, (8, 8)), AXIS)
    whole = unmix_pixels(image, members, lazy=False)
    monkeypatch.setattr(passes, "_REGION_SIDES", (20, 20))
    parts = unmix_pixels(image, members)
    assert parts["abundance"].data.npartitions > 4
    xr.testing.assert_identical(parts.load(), whole)


def test_blocks_that_are_wider_than_a_region():
    members = peaks(3)
    dense = drawn(members, (3, 5000))
    wide = SpectrumImage(ArraySource(dense, (2, 2100)), AXIS)
    result = unmix_pixels(wide, members)
    assert 2100 not in np.cumsum(result["abundance"].chunks[1])
    expected = unmix_pixels(SpectrumImage.from_array(dense, AXIS), members)
    xr.testing.assert_identical(result.load(), expected.load())


@pytest.mark.parametrize("method", ["least_squares", "poisson"])
def test_binned_pixels_are_sums_of_pixels(method):
    members = peaks(4)
    dense = drawn(members, (21, 23))
    image = SpectrumImage(ArraySource(dense, (8, 8)), AXIS)
    binned = dense[:20, :21].reshape(10, 2, 7, 3, CHANNELS).sum(axis=(1, 3)).astype(np.uint16)
    result = unmix_pixels(image.with_processing(bin_factors=(2, 3)), members, method=method)
    expected = unmix_pixels(SpectrumImage.from_array(binned, AXIS), members, method=method)
    for name in ("abundance", "residual"):
        np.testing.assert_array_equal(result[name], expected[name])
    np.testing.assert_allclose(result["x"], image.coordinates()["x"][1][:21].reshape(7, 3).mean(1))


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


def test_what_cannot_work_is_named():
    members = peaks(4)
    image = SpectrumImage.from_array(drawn(members, (3, 4)), AXIS)
    double = members.copy()
    double[2] = 7 * double[0]
    with pytest.raises(ParameterError, match="end-members phase 0, phase 2 are singular"):
        unmix_pixels(image, double)
    double[2] = double[0] + 2 * double[3]
    with pytest.raises(ParameterError, match="phase 0, phase 2, phase 3 are singular"):
        unmix_pixels(image, double, method="poisson")
    with pytest.raises(ParameterError, match=r"4 end-members .* 2 channels"):
        unmix_pixels(image, members, left_out=[(AXIS.low + 0.1, 99)])
    negative = members.copy()
    negative[1, 3] = -1
    with pytest.raises(ParameterError, match="phase 1 have negative"):
        unmix_pixels(image, negative)
    missing = members.copy()
    missing[3, :10] = np.nan
    with pytest.raises(ParameterError, match=r"phase 3 .* 10 channels between 0\.100 and 0\.550"):
        unmix_pixels(image, missing)
    unmix_pixels(image, missing, left_out=[(0, 0.6)])
    empty = members.copy()
    empty[1, 20:] = 0
    with pytest.raises(ParameterError, match="phase 1 have no counts"):
        unmix_pixels(image, empty, left_out=[(0, AXIS.low + 1.5)])
    with pytest.raises(ParameterError, match="method 'als'"):
        unmix_pixels(image, members, method="als")
    with pytest.raises(ParameterError, match="tolerance must be positive"):
        unmix_pixels(image, members, method="poisson", tolerance=0)
    with pytest.raises(EnergyRangeError, match="No channel"):
        unmix_pixels(image, members, left_out=[(0, 99)])
    with pytest.raises(EnergyRangeError, match=r"from 2\.0 to 1\.0"):
        unmix_pixels(image, members, left_out=[(2.0, 1.0)])
    with pytest.raises(EnergyRangeError, match="outside the measured"):
        unmix_pixels(image, members, left_out=[(50.0, 60.0)])


def test_end_members_of_another_map_are_refused():
    members = peaks(3)
    image = SpectrumImage.from_array(drawn(members, (3, 4)), AXIS)
    with pytest.raises(ShapeMismatchError, match="59 channels, the map 60"):
        unmix_pixels(image, members[:, 1:])
    with pytest.raises(ShapeMismatchError, match=r"one calibration"):
        unmix_pixels(image, members.assign_coords(energy=image.coordinates()["energy"][1] + 0.01))
    with pytest.raises(ParameterError, match=r"dimensions \(phase, energy\)"):
        unmix_pixels(image, members[0])
    with pytest.raises(ParameterError, match="no end-members"):
        unmix_pixels(image, members[:0])
    table = pd.DataFrame(members.to_numpy().T, columns=["a", "b", "a"])
    with pytest.raises(ParameterError, match="same name: a"):
        unmix_pixels(image, table)


def test_work_that_would_not_fit_is_refused():
    members = peaks(3)
    made = synthetic_map((4096, 4096), channels=CHANNELS)
    with config.options(memory_limit="300MB"), pytest.raises(MemoryLimitError, match="lazy=True"):
        unmix_pixels(made.image, members.drop_vars("energy", errors="ignore"), lazy=False)


def test_a_tolerance_that_cannot_be_reached_is_told():
    members = peaks(3)
    image = SpectrumImage.from_array(drawn(members, (6, 6)), AXIS)
    with pytest.warns(SigmaScaleWarning, match="did not reach the tolerance"):
        unmix_pixels(image, members, method="poisson", tolerance=1e-300, lazy=False)
