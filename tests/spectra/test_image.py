"""Spectrum images and their passes against plain NumPy."""

import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import (
    CorruptChunkError,
    EmptyMapError,
    ParameterError,
    ShapeMismatchError,
)
from sigma_scale.spectra import ArraySource, EnergyAxis, EventBlock, SpectrumImage, window_sums
from sigma_scale.spectra.regions import split_axis
from sigma_scale.spectra.window_sums import load_window_sums


def bin_dense(dense, factor_y, factor_x):
    rows, columns, channels = dense.shape
    rows, columns = rows // factor_y, columns // factor_x
    cut = dense[: rows * factor_y, : columns * factor_x].astype(np.uint64)
    return cut.reshape(rows, factor_y, columns, factor_x, channels).sum(axis=(1, 3))


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    chunk=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    factors=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    ends=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4),
    seed=st.integers(0, 99),
)
def test_window_sums_equal_numpy_for_any_chunks_bins_and_windows(shape, chunk, factors, ends, seed):
    factor_y, factor_x = (min(f, n) for f, n in zip(factors, shape, strict=True))
    dense = np.random.default_rng(seed).poisson(0.2, (*shape, 30)).astype(np.uint16)
    windows = [range(min(pair), max(pair)) for pair in ends]
    sums, spectrum = window_sums(ArraySource(dense, chunk), windows, (factor_y, factor_x))
    expected = bin_dense(dense, factor_y, factor_x)
    assert sums.shape == (*expected.shape[:2], len(windows))
    sums = sums.compute()
    for number, window in enumerate(windows):
        inside = expected[:, :, window.start : window.stop].sum(axis=-1)
        np.testing.assert_array_equal(sums[:, :, number], inside)
    np.testing.assert_array_equal(spectrum, dense.sum(axis=(0, 1)))


@pytest.mark.parametrize("factors", [(1, 1), (3, 2), (150, 140), (7, 129)])
def test_sums_computed_at_once_are_the_same(image, factors):
    windows = [range(300), range(5, 50), range(30, 31), range(7, 7)]
    lazy = window_sums(image.source, windows, factors)
    for now, later in zip(load_window_sums(image.source, windows, factors), lazy, strict=True):
        assert isinstance(now, np.ndarray)
        assert now.dtype == later.dtype
        np.testing.assert_array_equal(now, later)


def test_each_block_is_read_once(counts):
    class Counted(ArraySource):
        def __init__(self, data):
            super().__init__(data, (16, 16))
            object.__setattr__(self, "read", [])

        def read_block(self, row, column, scratch=None):
            self.read.append((row, column))
            return super().read_block(row, column)

    source = Counted(counts)
    load_window_sums(source, [range(300), range(9)], (4, 2))
    assert sorted(source.read) == [(i, j) for i in range(10) for j in range(9)]


@given(
    length=st.integers(1, 10_000),
    chunk=st.integers(1, 300),
    factor=st.integers(1, 400),
    target=st.integers(1, 2000),
)
def test_regions_cover_an_axis_and_cut_no_bin(length, chunk, factor, target):
    limits = split_axis(0, length, chunk=chunk, factor=factor, target=target)
    assert limits[0] == 0
    assert limits[-1] == length
    assert all(limit % factor == 0 for limit in limits[:-1])
    sizes = np.diff(limits)
    assert (sizes >= min(factor, length)).all()


def test_common_bins_never_cut_a_block():
    for factor in (1, 2, 3, 4, 5, 6, 8, 10):
        limits = split_axis(0, 20_000, chunk=128, factor=factor, target=512)
        assert all(limit % 128 == 0 for limit in limits[:-1])


def test_sums_that_could_overflow_32_bits_are_wider():
    dense = np.full((2, 2, 3), 2**32 - 1, np.uint32)
    sums, spectrum = window_sums(ArraySource(dense), [range(3)], (2, 2))
    assert sums.dtype == np.uint64
    assert int(sums.compute()[0, 0, 0]) == 12 * (2**32 - 1)
    np.testing.assert_array_equal(spectrum, [4 * (2**32 - 1)] * 3)


def test_a_pass_notices_events_past_the_last_channel():
    class Damaged(ArraySource):
        def read_block(self, row, column, scratch=None):
            good = super().read_block(row, column)
            streams = (good.per_pixel, good.gap_low, good.gap_high + 1, good.counts)
            return EventBlock(good.shape, *streams)

    with pytest.raises(CorruptChunkError, match="past its last channel"):
        window_sums(Damaged(np.ones((3, 3, 5), np.uint8)), [range(5)])[0].compute()


def test_floats_are_summed_as_floats(counts):
    sums, spectrum = window_sums(ArraySource(counts / np.float32(3)), [range(300)], (2, 2))
    expected = bin_dense(counts, 2, 2).sum(axis=-1) / 3
    np.testing.assert_allclose(sums[:, :, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(spectrum, counts.sum(axis=(0, 1)) / 3, rtol=1e-6)


def test_blocks_are_csr_arrays_of_the_counts(image, counts):
    assert image.n_blocks == (2, 2)
    block = image.block(1, 0)
    np.testing.assert_array_equal(block.toarray(), counts[128:, :128].reshape(-1, 300))
    assert block.has_canonical_format
    with pytest.raises(ParameterError, match="2 x 2"):
        image.block(2, 0)


def test_the_dense_view_is_lazy_and_equal(image, counts):
    view = image.to_xarray()
    assert view.chunks is not None
    assert view.dtype == np.uint8
    np.testing.assert_array_equal(view, counts)
    np.testing.assert_allclose(view["energy"], -0.2 + 0.01 * np.arange(300))
    assert view["energy"].attrs["units"] == "keV"


@pytest.mark.parametrize("factors", [(1, 1), (2, 3), (7, 5), (150, 140)])
def test_processed_views_equal_numpy(image, counts, factors):
    seen = image.with_processing(bin_factors=factors, zeroed_below=25, total_from=10)
    expected = bin_dense(counts, *factors).astype(float)
    total = expected[..., 10:].sum(axis=-1, keepdims=True)
    expected = np.divide(expected, total, out=np.zeros_like(expected), where=total > 0)
    expected[..., :25] = 0
    np.testing.assert_allclose(seen.to_xarray(), expected, rtol=1e-6)
    y, x = np.array(expected.shape[:2]) // 2
    np.testing.assert_allclose(seen.spectrum(y, x), expected[y, x], rtol=1e-12)
    mask = np.random.default_rng(0).random(expected.shape[:2]) < 0.5
    mask[0, 0] = True
    np.testing.assert_allclose(seen.region_spectrum(mask), expected[mask].sum(axis=0), rtol=1e-9)


def test_sum_spectrum_counts_every_pixel_whatever_the_bins(image, counts):
    seen = image.with_processing(bin_factors=(7, 11), zeroed_below=20)
    expected = counts.sum(axis=(0, 1), dtype=np.uint64)
    expected[:20] = 0
    np.testing.assert_array_equal(seen.sum_spectrum(), expected)


@pytest.mark.parametrize("bins", [(1, 1), (7, 11)])
@pytest.mark.parametrize(
    ("steps", "first"),
    [
        ({}, 0),
        ({"zeroed_below": 20}, 20),
        ({"total_from": 5}, 5),
        ({"total_from": 5, "zeroed_below": 20}, 5),
    ],
)
def test_total_counts_each_pixel(image, counts, bins, steps, first):
    seen = image.with_processing(bin_factors=bins, **steps)
    binned = bin_dense(counts, *bins)
    expected = binned[:, :, first:].sum(axis=2)
    total = seen.total()
    assert total.chunks is not None
    np.testing.assert_array_equal(total, expected)
    xr.testing.assert_equal(total["y"], seen.to_xarray()["y"])
    assert total.attrs == {"units": "counts", "recipe": {
        "function": "total", "bin_yx": list(bins),
        "zeroed_below_channel": steps.get("zeroed_below", 0),
        "normalised_from_channel": steps.get("total_from"),
    }}  # fmt: skip
    if "total_from" in steps:
        shares = seen.to_xarray()[..., 20:].astype(np.float64)
        np.testing.assert_allclose(shares * total, binned[:, :, 20:], rtol=1e-5)


def test_binned_coordinates_are_the_bins_centres(counts):
    image = SpectrumImage.from_array(
        counts, EnergyAxis(300, 0.01), pixel_size=(0.5, 0.25), pixel_unit="µm"
    )
    view = image.with_processing(bin_factors=(3, 2)).to_xarray()
    assert view["y"].values[:2].tolist() == [0.5, 2.0]
    assert view["x"].values[:2].tolist() == [0.125, 0.625]
    assert view["x"].attrs["units"] == "µm"


def test_images_travel_between_processes(image):
    twin = pickle.loads(pickle.dumps(image))  # noqa: S301 -- made here, a moment ago
    np.testing.assert_array_equal(twin.to_xarray(), image.to_xarray())


def test_what_does_not_fit_is_refused(counts, image):
    with pytest.raises(ShapeMismatchError, match="299"):
        SpectrumImage.from_array(counts, EnergyAxis(299, 0.01))
    with pytest.raises(EmptyMapError):
        SpectrumImage.from_array(counts[:0], EnergyAxis(300, 0.01))
    picture = xr.DataArray(np.zeros((9, 9)), dims=("y", "x"))
    with pytest.raises(ShapeMismatchError, match="navigation"):
        SpectrumImage.from_array(counts, EnergyAxis(300, 0.01), images={"navigation": picture})
    with pytest.raises(ParameterError, match="pixel"):
        image.spectrum(150, 0)
    with pytest.raises(ShapeMismatchError, match="mask"):
        image.region_spectrum(np.ones((3, 3), bool))
    with pytest.raises(EmptyMapError, match="no pixels"):
        image.region_spectrum(np.zeros((150, 140), bool))
