"""Spectra per phase against plain NumPy."""

from dataclasses import dataclass

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale import config
from sigma_scale.errors import (
    CorruptChunkError,
    EmptyMapError,
    MemoryLimitError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
)
from sigma_scale.features import feature_pass
from sigma_scale.phases.spectra import phase_spectra, soft_phase_spectra
from sigma_scale.spectra import ArraySource, EnergyAxis, EventBlock, SpectrumImage


def random_labels(shape, seed=0):
    return np.random.default_rng(seed).choice([-1, 0, 3, 7], shape).astype(np.int32)


def as_map(values):
    return xr.DataArray(values, dims=("y", "x"))


@pytest.mark.parametrize("factors", [(1, 1), (2, 3), (7, 5)])
@pytest.mark.parametrize("lazy", [True, False])
def test_sums_and_means_equal_numpy(image, counts, factors, lazy):
    seen = image.with_processing(bin_factors=factors, zeroed_below=25, total_from=10)
    dense = seen.to_xarray().values.astype(float)
    raw = image.with_processing(bin_factors=factors).to_xarray().values
    labels = random_labels(dense.shape[:2])
    given = as_map(labels).chunk(31) if lazy else as_map(labels)
    result = phase_spectra(seen, given)
    assert result["phase"].values.tolist() == [0, 3, 7]
    for phase in (0, 3, 7):
        mask = labels == phase
        one = result.sel(phase=phase)
        np.testing.assert_array_equal(one["counts"], raw[mask].sum(axis=0))
        np.testing.assert_allclose(one["mean"], dense[mask].mean(axis=0), rtol=1e-5, atol=1e-12)
        assert int(one["n_pixels"]) == mask.sum()


def test_given_totals_save_a_pass_and_change_nothing(image):
    seen = image.with_processing(bin_factors=(2, 2), total_from=0)
    labels = as_map(random_labels(seen.shape[:2]))
    total = feature_pass(seen, ["C_Ka"])["total"]
    xr.testing.assert_identical(
        phase_spectra(seen, labels), phase_spectra(seen, labels, total=total)
    )


def test_without_normalisation_the_mean_is_of_counts(image, counts):
    labels = random_labels(counts.shape[:2])
    result = phase_spectra(image, as_map(labels))
    np.testing.assert_allclose(result["mean"][0], counts[labels == 0].mean(axis=0))
    assert result["mean"].attrs["units"] == "counts"


def oracle(dense, labels, phase, *, weights=None, first=0, kept=0):
    """Sums and errors of one phase, from the dense counts and nothing else."""
    mask = labels == phase
    n = dense[mask].astype(float)
    w = np.ones(len(n)) if weights is None else weights[mask].astype(float)
    total = n[:, first:].sum(axis=1)
    c = np.divide(w, total, out=np.zeros_like(w), where=total > 0)
    keep = np.arange(dense.shape[2]) >= kept
    sums = {
        "counts": (w @ n, np.sqrt(w**2 @ n)),
        "normalised": (c @ n * keep, np.sqrt(c**2 @ n) * keep),
    }
    return sums | {f"mean_{name}": (a / w.sum(), b / w.sum()) for name, (a, b) in sums.items()}


def assert_is_oracle(result, expected):
    for name, (value, error) in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(result[f"{name}_error"], error, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("factors", [(1, 1), (2, 4), (3, 5), (64, 130)])
@pytest.mark.parametrize("way", ["plain", "weighted", "threshold"])
def test_raw_and_normalised_spectra_have_the_errors_of_their_counts(image, factors, way):
    seen = image.with_processing(bin_factors=factors, zeroed_below=25, total_from=10)
    dense = image.with_processing(bin_factors=factors).to_xarray().values
    rng = np.random.default_rng(3)
    labels = rng.integers(-1, 2, dense.shape[:2])
    labels.ravel()[:2] = 0, 1
    probability = rng.uniform(0.5, 1, labels.shape).astype(np.float32)
    probability.ravel()[:2] = 0.9
    options = {"probability": as_map(probability)} if way != "plain" else {}
    options |= {"threshold": 0.8} if way == "threshold" else {}
    result = phase_spectra(seen, as_map(labels), **options)
    taken = np.where(probability > 0.8, labels, -1) if way == "threshold" else labels
    weights = probability if way == "weighted" else None
    for phase in (0, 1):
        one = result.sel(phase=phase)
        expected = oracle(dense, taken, phase, weights=weights, first=10, kept=25)
        assert_is_oracle(one, expected)
        np.testing.assert_array_equal(one["mean"], one["mean_normalised"])
        np.testing.assert_array_equal(one["mean_error"], one["mean_normalised_error"])
        assert int(one["n_pixels"]) == (taken == phase).sum()
        np.testing.assert_allclose(one["total_counts"], expected["counts"][0].sum())
        if way == "weighted":
            np.testing.assert_allclose(one["weight"], weights[taken == phase].sum(dtype=float))
    assert result["counts"].dtype == (np.float64 if way == "weighted" else np.uint64)
    assert ("weight" in result) == (way == "weighted")
    assert result.attrs["recipe"]["threshold"] == (0.8 if way == "threshold" else None)


def test_errors_are_the_spread_of_repeated_measurements():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.2, 3, (12, 10, 40))
    labels = as_map(np.zeros((12, 10), int))
    weights = as_map(rng.random((12, 10)))
    runs = []
    for _ in range(300):
        counts = rng.poisson(rates).astype(np.uint16)
        image = SpectrumImage.from_array(counts, EnergyAxis(40, 0.1, 0))
        runs.append(phase_spectra(image, labels, probability=weights))
    for name, share in (("counts", 0), ("mean_counts", 0), ("mean_normalised", 1 / 40)):
        values = np.stack([run[name][0] for run in runs])
        stated = np.stack([run[f"{name}_error"][0] for run in runs])
        ratio = values.std(axis=0, ddof=1).mean() / stated.mean()
        assert ratio == pytest.approx(np.sqrt(1 - share), abs=0.03)


@dataclass(frozen=True, eq=False)
class Damaged(ArraySource):
    """A source whose blocks say that they have fewer channels than their events need."""

    @property
    def shape(self):
        return (*self.data.shape[:2], self.data.shape[2] - 1)

    def read_block(self, row, column, scratch=None):
        block = super().read_block(row, column, scratch)
        shape = (*block.shape[:2], block.shape[2] - 1)
        return EventBlock(shape, block.per_pixel, block.gap_low, block.gap_high, block.counts)


def test_a_damaged_block_is_refused_whatever_its_weights(counts):
    image = SpectrumImage(Damaged(counts), EnergyAxis(counts.shape[2] - 1, 0.01, 0))
    with pytest.raises(CorruptChunkError, match="past its last channel"):
        phase_spectra(image, as_map(np.zeros(counts.shape[:2], int)))


@settings(max_examples=25)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(3, 50), st.integers(3, 50)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from(["u1", "u2", "u4", "f4"]),
    st.integers(0, 2**32 - 1),
)
def test_blocks_and_threads_change_nothing(chunk, shape, factors, dtype, seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3, (*shape, 17)).astype(dtype)
    image = SpectrumImage(ArraySource(counts, chunk), EnergyAxis(17, 0.1, 0))
    seen = image.with_processing(bin_factors=factors, total_from=2)
    labels = as_map(rng.integers(-2, 5, seen.shape[:2]))
    labels[0, 0] = 1
    probability = as_map(rng.random(labels.shape))
    whole = SpectrumImage(ArraySource(counts, shape), image.energy, processing=seen.processing)
    for options in ({}, {"probability": probability}):
        expected = phase_spectra(whole, labels, noise=True, **options)
        found = phase_spectra(seen, labels, noise=True, **options)
        xr.testing.assert_allclose(found, expected, rtol=1e-12)
        np.testing.assert_array_equal(found["n_pixels"], expected["n_pixels"])
        with dask.config.set(scheduler="sync"):
            xr.testing.assert_identical(phase_spectra(seen, labels, noise=True, **options), found)


def test_a_map_that_is_not_normalised_has_normalised_spectra_too(image, counts):
    labels = random_labels(counts.shape[:2])
    seen = image.with_processing(zeroed_below=20)
    result = phase_spectra(seen, as_map(labels)).sel(phase=3)
    assert_is_oracle(result, oracle(counts, labels, 3, first=20, kept=20))
    expected = np.where(np.arange(300) >= 20, result["mean_counts"], 0)
    np.testing.assert_array_equal(result["mean"], expected)


def test_noise_is_a_phase_if_wanted(image, counts):
    labels = random_labels(counts.shape[:2])
    labels[0] = -5
    result = phase_spectra(image, as_map(labels), noise=True)
    assert result["phase"].values.tolist() == [-1, 0, 3, 7]
    np.testing.assert_array_equal(result["counts"].sum("phase"), counts.sum(axis=(0, 1)))
    np.testing.assert_array_equal(result["counts"][0], counts[labels < 0].sum(axis=0))


def test_huge_labels_are_as_good_as_small_ones(image, counts):
    labels = random_labels(counts.shape[:2]).astype(np.int64)
    large = np.where(labels > 0, labels * 10**12, labels)
    expected = phase_spectra(image, as_map(labels), noise=True)
    found = phase_spectra(image, as_map(large), noise=True)
    assert found["phase"].values.tolist() == [-1, 0, 3 * 10**12, 7 * 10**12]
    xr.testing.assert_identical(found.drop_vars("phase"), expected.drop_vars("phase"))


def test_a_phase_without_pixels_is_said_and_has_no_mean(image, counts):
    labels = random_labels(counts.shape[:2])
    with pytest.warns(SigmaScaleWarning, match=r"Phase 1, 99 has no pixels"):
        result = phase_spectra(image, as_map(labels), phases=[7, 1, 0, 99])
    assert result["phase"].values.tolist() == [7, 1, 0, 99]
    np.testing.assert_array_equal(result["counts"][0], counts[labels == 7].sum(axis=0))
    for phase in (1, 99):
        empty = result.sel(phase=phase)
        assert int(empty["n_pixels"]) == int(empty["counts"].sum()) == 0
        assert np.isnan(empty["mean"]).all()
        assert np.isnan(empty["mean_counts_error"]).all()
    unsure = as_map(np.where(labels == 3, 0.5, 1.0))
    with pytest.warns(SigmaScaleWarning, match="Phase 3 has"):
        result = phase_spectra(image, as_map(labels), probability=unsure, threshold=0.5)
    assert result["n_pixels"].sel(phase=3) == 0


def test_bad_probabilities_are_refused(image):
    labels = as_map(random_labels((150, 140)))
    sure = as_map(np.ones((150, 140)))
    with pytest.raises(ParameterError, match="needs probabilities"):
        phase_spectra(image, labels, threshold=0.8)
    with pytest.raises(ParameterError, match="threshold is"):
        phase_spectra(image, labels, probability=sure, threshold=1.0)
    with pytest.raises(ShapeMismatchError, match="probabilities have"):
        phase_spectra(image, labels, probability=sure[1:])
    with pytest.raises(ShapeMismatchError, match="totals have"):
        phase_spectra(image, labels, total=sure[1:])
    for bad in (-0.1, 1.1, np.nan):
        spoilt = sure.copy()
        spoilt.values[labels.values == 3] = bad
        with pytest.raises(ParameterError, match="between 0 and 1"):
            phase_spectra(image, labels, probability=spoilt)
    # What is no phase's needs no probability.
    phase_spectra(image, labels, probability=sure.where(labels >= 0))


def test_more_labels_than_the_memory_takes_are_refused_before(image):
    labels = as_map(np.arange(150 * 140).reshape(150, 140))
    with (
        config.options(memory_limit="50MB"),
        pytest.raises(MemoryLimitError, match="fewer at a time"),
    ):
        phase_spectra(image, labels)


def test_bad_labels_are_refused(image):
    with pytest.raises(ShapeMismatchError, match="150, 140"):
        phase_spectra(image, as_map(np.zeros((3, 3), int)))
    with pytest.raises(ParameterError, match="float"):
        phase_spectra(image, as_map(np.zeros((150, 140))))
    with pytest.raises(EmptyMapError, match="negative"):
        phase_spectra(image, as_map(np.full((150, 140), -1)))


def random_memberships(shape, seed=0):
    memberships = np.random.default_rng(seed).dirichlet(np.full(3, 0.5), shape)
    memberships[0, 0] = [0.7, 0.2, 0.1]
    return memberships


def as_memberships(values, **coords):
    return xr.DataArray(values, dims=("y", "x", "phase"), coords=coords)


@pytest.mark.parametrize("factors", [(1, 1), (2, 4), (3, 5)])
@pytest.mark.parametrize("threshold", [None, 0.4])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_pixels_of_several_phases_count_for_each(image, factors, threshold, dtype):
    seen = image.with_processing(bin_factors=factors, zeroed_below=25, total_from=10)
    dense = image.with_processing(bin_factors=factors).to_xarray().values
    shares = random_memberships(dense.shape[:2]).astype(dtype)
    shares[-1, -1] = np.nan
    given = as_memberships(shares, phase=[4, 0, 9])
    result = soft_phase_spectra(seen, given, threshold=threshold)
    assert result["phase"].values.tolist() == [4, 0, 9]
    # A phase is then all pixels, each with its own weight.
    everything = np.zeros(dense.shape[:2], int)
    for number, phase in enumerate((4, 0, 9)):
        weights = np.nan_to_num(shares[:, :, number])
        if threshold is not None:
            weights = (weights > threshold).astype(float)
        one = result.sel(phase=phase)
        expected = oracle(dense, everything, 0, weights=weights, first=10, kept=25)
        assert_is_oracle(one, expected)
        assert int(one["n_pixels"]) == np.count_nonzero(weights)
        np.testing.assert_allclose(one["total_counts"], expected["counts"][0].sum())
        if threshold is None:
            np.testing.assert_allclose(one["weight"], weights.sum(dtype=float))
    assert result["counts"].dtype == (np.uint64 if threshold else np.float64)
    assert ("weight" in result) == (threshold is None)
    assert result.attrs["recipe"]["threshold"] == threshold
    total = as_map(dense[:, :, 10:].sum(axis=2))
    again = soft_phase_spectra(seen, given, threshold=threshold, total=total)
    xr.testing.assert_identical(again, result)


def test_memberships_may_be_lazy_and_lie_in_any_order(image):
    shares = as_memberships(random_memberships((150, 140)))
    expected = soft_phase_spectra(image, shares)
    lazy = shares.transpose("phase", "y", "x").chunk(phase=1, y=37, x=61)
    xr.testing.assert_identical(soft_phase_spectra(image, lazy), expected)
    with dask.config.set(scheduler="sync"):
        xr.testing.assert_identical(soft_phase_spectra(image, shares), expected)


def test_memberships_of_0_and_1_are_labels(image):
    labels = random_labels((150, 140))
    shares = as_memberships(labels[:, :, None] == [0, 3, 7], phase=[0, 3, 7])
    found = soft_phase_spectra(image, shares, threshold=0.5)
    xr.testing.assert_equal(found, phase_spectra(image, as_map(labels)))


@settings(max_examples=15)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(3, 50), st.integers(3, 50)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from(["u1", "u2", "u4", "f4"]),
    st.integers(0, 2**32 - 1),
)
def test_blocks_change_no_soft_spectra(chunk, shape, factors, dtype, seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3, (*shape, 17)).astype(dtype)
    energy = EnergyAxis(17, 0.1, 0)
    whole, cut = (
        SpectrumImage(ArraySource(counts, size), energy).with_processing(bin_factors=factors)
        for size in (shape, chunk)
    )
    shares = as_memberships(random_memberships(whole.shape[:2], seed))
    expected = soft_phase_spectra(whole, shares)
    xr.testing.assert_allclose(soft_phase_spectra(cut, shares), expected, rtol=1e-12)


def test_bad_memberships_are_refused(image, counts):
    shares = random_memberships((150, 140))
    for bad in (-0.1, 1.1, np.inf):
        spoilt = shares.copy()
        spoilt[3, 4, 1] = bad
        with pytest.raises(ParameterError, match="between 0 and 1"):
            soft_phase_spectra(image, as_memberships(spoilt))
    with pytest.raises(ParameterError, match="threshold is"):
        soft_phase_spectra(image, as_memberships(shares), threshold=1.0)
    with pytest.raises(ParameterError, match="whole numbers"):
        soft_phase_spectra(image, as_memberships(shares, phase=[1, 1, 2]))
    with pytest.raises(ParameterError, match="dimensions"):
        soft_phase_spectra(image, as_map(shares[:, :, 0]))
    with pytest.raises(ShapeMismatchError, match="memberships have"):
        soft_phase_spectra(image, as_memberships(shares[1:]))
    with pytest.raises(ShapeMismatchError, match="totals have"):
        soft_phase_spectra(image, as_memberships(shares), total=as_map(shares[1:, :, 0]))
    with pytest.raises(EmptyMapError, match="no probabilities"):
        soft_phase_spectra(image, as_memberships(shares[:, :, :0]))
    with pytest.raises(EmptyMapError, match="No pixel belongs"):
        soft_phase_spectra(image, as_memberships(np.full_like(shares, np.nan)))
    shares[:, :, 1] = 0
    with pytest.warns(SigmaScaleWarning, match="Phase 1 has no pixels"):
        result = soft_phase_spectra(image, as_memberships(shares))
    assert np.isnan(result["mean"][1]).all()
    damaged = SpectrumImage(Damaged(counts), EnergyAxis(counts.shape[2] - 1, 0.01, 0))
    with pytest.raises(CorruptChunkError, match="past its last channel"):
        soft_phase_spectra(damaged, as_memberships(shares[:, :, ::2]))


def test_more_phases_than_the_memory_takes_are_refused_before(image):
    many = as_memberships(np.broadcast_to(np.float32(0), (150, 140, 20_000)))
    with config.options(memory_limit="50MB"), pytest.raises(MemoryLimitError, match="fewer"):
        soft_phase_spectra(image, many)
