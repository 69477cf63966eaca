"""Linear steps on spectrum images and pictures against plain NumPy."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import BinningError, EnergyRangeError, ParameterError, SigmaScaleWarning
from sigma_scale.preprocess import normalise, rebin, rebin_image, rebin_labels, remove_first_peak
from sigma_scale.spectra import EnergyAxis, Processing, SpectrumImage

AXIS = EnergyAxis(40, 0.05, -0.2)


def make_counts(shape=(12, 18), seed=3):
    counts = np.random.default_rng(seed).poisson(0.5, (*shape, 40)).astype(np.uint8)
    counts[0, 0] = 0
    return counts


@pytest.fixture
def counts():
    return make_counts()


@pytest.fixture
def image(counts):
    return SpectrumImage.from_array(counts, AXIS, pixel_size=(0.5, 0.25), pixel_unit="µm")


def summed(values, factor_x, factor_y):
    rows, columns = values.shape[0] // factor_y, values.shape[1] // factor_x
    return np.array(
        [
            [
                values[y * factor_y : (y + 1) * factor_y, x * factor_x : (x + 1) * factor_x].sum(
                    axis=(0, 1)
                )
                for x in range(columns)
            ]
            for y in range(rows)
        ]
    )


def shares(values, start=0):
    total = values[..., start:].sum(axis=-1, keepdims=True).astype(float)
    return values / np.where(total > 0, total, 1) * (total > 0)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 4), (18, 12), (1, 12)])
def test_rebin_sums_blocks_x_first(image, counts, size):
    seen = rebin(image, size)
    assert seen.shape == (12 // size[1], 18 // size[0], 40)
    np.testing.assert_array_equal(seen.to_xarray(), summed(counts.astype(int), *size))


@pytest.mark.parametrize("size", [np.array([3, 2]), [3, 2], (np.int64(3), np.uint8(2))])
def test_whole_numbers_of_any_kind_serve(image, size):
    assert rebin(image, size).shape == (6, 6, 40)


def test_what_is_left_out_is_named(image, counts):
    with pytest.warns(SigmaScaleWarning, match=r"5 x 7.*18 x 12.*3 columns and 5 rows at the end"):
        seen = rebin(image, (5, 7))
    np.testing.assert_array_equal(seen.to_xarray(), summed(counts.astype(int), 5, 7))
    with pytest.warns(SigmaScaleWarning, match=": 2 rows at the end"):
        rebin(image, (6, 5))


def test_factors_that_divide_the_map_give_no_warning(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rebin(image, (6, 4))


@pytest.mark.parametrize(
    "size",
    [
        (0, 1),
        (1, 0),
        (-2, 1),
        (1, -2),
        (2.0, 2),
        (1, 1.5),
        ("2", "2"),
        (2,),
        (2, 2, 2),
        (),
        2,
        None,
        (19, 1),
        (1, 13),
        (12, 18),
    ],
)
def test_bad_factors_are_refused(image, size):
    with pytest.raises(BinningError):
        rebin(image, size)
    with pytest.raises(BinningError):
        rebin_image(xr.DataArray(np.zeros((12, 18)), dims=("y", "x")), size)
    with pytest.raises(BinningError):
        rebin_labels(xr.DataArray(np.zeros((12, 18), int), dims=("y", "x")), size)


def test_rebin_after_normalise_is_refused(image):
    with pytest.raises(ParameterError, match="before"):
        rebin(normalise(image), (2, 2))


def test_repeated_rebins_multiply(image, counts):
    seen = rebin(rebin(image, (3, 2)), (2, 3))
    assert seen.shape == (2, 3, 40)
    np.testing.assert_array_equal(seen.to_xarray(), summed(counts.astype(int), 6, 6))
    with pytest.raises(BinningError, match="3 x 2"):
        rebin(seen, (4, 1))


def test_a_repeated_rebin_leaves_out_incomplete_bins_of_bins(image, counts):
    with pytest.warns(SigmaScaleWarning):
        once = rebin(image, (4, 5))
    with pytest.warns(SigmaScaleWarning):
        twice = rebin(once, (3, 2))
    expected = summed(summed(counts.astype(int), 4, 5), 3, 2)
    np.testing.assert_array_equal(twice.to_xarray(), expected)


def test_normalise_divides_by_all_channels(image, counts):
    seen = normalise(rebin(image, (3, 2)))
    expected = shares(summed(counts.astype(int), 3, 2))
    np.testing.assert_allclose(seen.to_xarray(), expected, rtol=1e-6)
    empty = normalise(image).to_xarray()[0, 0].values
    assert (empty == 0).all()


def test_normalising_twice_is_normalising_once(image):
    once = normalise(image)
    assert normalise(once).processing == once.processing
    later = normalise(remove_first_peak(once, 0.5))
    assert later.processing.total_from == 0


@pytest.mark.parametrize("end", [-0.2, 0.0, 0.1, 0.51, 1.7])
def test_order_of_normalise_and_remove_matters(image, counts, end):
    first = int(np.argmin(np.abs(AXIS.values - end)))
    kept = counts.astype(float)
    kept[..., :first] = 0
    removed_first = normalise(remove_first_peak(image, end))
    np.testing.assert_allclose(removed_first.to_xarray(), shares(kept), rtol=1e-6)
    divided_first = remove_first_peak(normalise(image), end)
    expected = shares(counts)
    expected[..., :first] = 0
    np.testing.assert_allclose(divided_first.to_xarray(), expected, rtol=1e-6)
    if first:
        assert not np.allclose(removed_first.to_xarray(), divided_first.to_xarray())


@pytest.mark.parametrize("end", [0.1, 0.31, 1.72])
def test_remove_first_peak_equals_hyperspy(image, counts, end):
    hs = pytest.importorskip("hyperspy.api")
    signal = hs.signals.Signal1D(counts.copy())
    energy = signal.axes_manager[-1]
    energy.scale, energy.offset, energy.units = AXIS.scale_kev, AXIS.offset_kev, "keV"
    signal.isig[:end] = 0
    seen = remove_first_peak(image, end)
    assert seen.energy == image.energy
    np.testing.assert_array_equal(seen.to_xarray(), signal.data)


def test_removing_less_later_brings_nothing_back(image):
    seen = remove_first_peak(remove_first_peak(image, 0.8), 0.3)
    assert seen.processing == remove_first_peak(image, 0.8).processing


@pytest.mark.parametrize("end", [-5.0, -0.2001, -0.2])
def test_energies_below_the_axis_remove_nothing(image, end):
    assert remove_first_peak(image, end).processing == Processing()


@pytest.mark.parametrize("end", [1.8, 2.0, 1e6])
def test_energies_beyond_the_axis_are_refused(image, end):
    with pytest.raises(EnergyRangeError, match="keV"):
        remove_first_peak(image, end)


@pytest.mark.parametrize("end", [float("nan"), float("inf"), -float("inf")])
def test_energies_that_are_no_numbers_are_refused_in_our_words(image, end):
    with pytest.raises(ParameterError):
        remove_first_peak(image, end)


def test_nothing_is_mutated(image, counts):
    before = counts.copy()
    seen = remove_first_peak(normalise(rebin(image, (3, 2))), 0.2)
    seen.to_xarray().compute()
    assert image.processing == Processing()
    assert image.shape == (12, 18, 40)
    np.testing.assert_array_equal(image.to_xarray(), before)
    assert seen.source is image.source
    assert seen.metadata is image.metadata


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.uint8, np.uint64),
        (np.uint16, np.uint64),
        (np.int16, np.int64),
        (np.float32, np.float64),
        (np.float64, np.float64),
        (np.bool_, np.uint64),
    ],
)
def test_rebin_image_sums_without_overflow(dtype, expected):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, (13, 11)) * 250
    values = (values > 0) if dtype == np.bool_ else values.astype(np.uint8).astype(dtype)
    picture = xr.DataArray(values, dims=("y", "x"), attrs={"long_name": "BSE"})
    result = rebin_image(picture, (3, 4))
    assert result.dtype == expected
    assert result.attrs == {"long_name": "BSE"}
    np.testing.assert_array_equal(result, summed(values.astype(float), 3, 4))
    np.testing.assert_array_equal(picture, values)


def test_rebin_image_moves_coordinates_to_the_bins_centres():
    picture = xr.DataArray(np.ones((4, 6)), dims=("y", "x"), coords={"x": np.arange(6) * 0.5})
    assert rebin_image(picture, (3, 2))["x"].values.tolist() == [0.5, 2.0]


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 99),
)
def test_rebin_labels_is_the_majority_the_lowest_of_several(shape, size, seed):
    size = (min(size[0], shape[1]), min(size[1], shape[0]))
    values = np.random.default_rng(seed).integers(-1, 3, shape).astype(np.int32)
    labels = xr.DataArray(values, dims=("y", "x"), attrs={"n": 3})
    result = rebin_labels(labels, size)
    assert result.dtype == np.int32
    assert result.attrs == {"n": 3}
    assert result.shape == (shape[0] // size[1], shape[1] // size[0])
    for y, x in np.ndindex(result.shape):
        block = values[y * size[1] : (y + 1) * size[1], x * size[0] : (x + 1) * size[0]]
        members = block.ravel().tolist()
        most = max(members.count(label) for label in members)
        assert result.values[y, x] == min(m for m in members if members.count(m) == most)
