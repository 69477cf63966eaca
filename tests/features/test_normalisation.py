"""Normalisations against loops, SciPy and the same maps in other chunks."""

import math

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sigma_scale.errors import ParameterError
from sigma_scale.features import (
    NORMALISATIONS,
    neighbour_averaging,
    normalise_features,
    softmax,
    zscore,
)
from sigma_scale.synthetic import synthetic_map


def make_maps(shape, seed=0, dtype=np.float32):
    values = np.random.default_rng(seed).gamma(2.0, 30.0, shape).astype(dtype)
    return xr.DataArray(
        values,
        dims=("y", "x", "line"),
        coords={"line": [f"E{n}_Ka" for n in range(shape[2])]},
        attrs={"units": "counts", "recipe": {"function": "line_intensity"}},
    )


def in_chunks(maps, chunk):
    return maps.copy(data=da.from_array(maps.values, chunks=chunk))


def naive_average(values):
    rows, columns, features = values.shape
    result = np.empty(values.shape)
    for y in range(rows):
        for x in range(columns):
            for feature in range(features):
                around = [
                    float(values[j, i, feature])
                    for j in range(max(y - 1, 0), min(y + 2, rows))
                    for i in range(max(x - 1, 0), min(x + 2, columns))
                ]
                result[y, x, feature] = math.fsum(around) / len(around)
    return result


@pytest.mark.parametrize("step", [*NORMALISATIONS.values(), lambda m: normalise_features(m, [])])
def test_what_is_no_feature_maps_is_refused(step):
    image = synthetic_map((64, 64)).image
    with pytest.raises(ParameterError, match=r"not SpectrumImage\. .*line_intensity\(image"):
        step(image)
    with pytest.raises(ParameterError, match=r"\(y, x, line\), not the dimensions \('y', 'x'\)"):
        step(make_maps((3, 4, 2))[:, :, 0])


SHAPES = [(7, 9, 3), (1, 8, 2), (8, 1, 2), (1, 1, 3), (2, 2, 1), (2, 5, 1), (5, 2, 2)]


@pytest.mark.parametrize("dtype", [np.float32, np.uint32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_neighbour_averaging_equals_loops(shape, dtype):
    maps = make_maps(shape, dtype=dtype)
    averaged = neighbour_averaging(maps)
    assert averaged.dtype == np.float32
    np.testing.assert_allclose(averaged, naive_average(maps.values), rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_neighbour_averaging_of_a_constant_changes_nothing(shape):
    maps = make_maps(shape)
    maps[:] = 3.0
    np.testing.assert_array_equal(neighbour_averaging(maps), maps)


chunkings = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
map_shapes = st.tuples(st.integers(1, 14), st.integers(1, 14), st.integers(1, 3))


@pytest.mark.parametrize("step", [neighbour_averaging, zscore, softmax])
@settings(max_examples=25)
@given(shape=map_shapes, chunk=chunkings, seed=st.integers(0, 99))
def test_lazy_equals_eager_to_the_last_bit(step, shape, chunk, seed):
    maps = make_maps(shape, seed)
    maps[..., 0] *= 10.0 ** np.random.default_rng(seed).integers(-20, 20, shape[:2])
    lazy = step(in_chunks(maps, chunk))
    assert lazy.chunks is not None
    assert lazy.dtype == np.float32
    computed = lazy.compute(scheduler="synchronous")
    assert computed.dtype == np.float32
    np.testing.assert_array_equal(
        computed.values.view(np.uint32), step(maps).values.view(np.uint32)
    )
    assert lazy.attrs == step(maps).attrs


@settings(max_examples=15)
@given(shape=map_shapes, chunk=chunkings)
def test_all_steps_together_do_not_depend_on_chunks(shape, chunk):
    maps = make_maps(shape)
    steps = ["neighbour_averaging", "zscore", "softmax"]
    lazy = normalise_features(in_chunks(maps, chunk), steps).compute(scheduler="synchronous")
    np.testing.assert_array_equal(lazy, normalise_features(maps, steps))


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.uint32, np.float64])
def test_zscore_equals_scipy(dtype, lazy):
    maps = make_maps((20, 30, 4), dtype=dtype)
    expected = stats.zscore(maps.values.astype(float), axis=(0, 1), ddof=0)
    scores = zscore(in_chunks(maps, (7, 11, 3)) if lazy else maps)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e30, 1e-40])
def test_a_constant_feature_gives_zeros(value, lazy):
    maps = make_maps((11, 13, 3))
    maps[:, :, 1] = np.float32(value)
    scores = zscore(in_chunks(maps, (4, 5, 3)) if lazy else maps).values
    assert (scores[:, :, 1] == 0).all()
    np.testing.assert_allclose(scores[:, :, [0, 2]].std(axis=(0, 1)), 1, rtol=1e-5)


def test_a_single_pixel_gives_zeros():
    assert (zscore(make_maps((1, 1, 4))).values == 0).all()


def test_infinity_spoils_its_own_feature_only():
    maps = make_maps((5, 6, 2))
    maps[2, 3, 1] = np.inf
    scores = zscore(maps).values
    assert np.isnan(scores[:, :, 1]).all()
    assert np.isfinite(scores[:, :, 0]).all()


@pytest.mark.parametrize("lazy", [True, False])
def test_softmax_equals_its_formula(lazy):
    maps = make_maps((6, 7, 4)) / 50
    expected = np.exp(maps.values.astype(float))
    expected /= expected.sum(axis=-1, keepdims=True)
    shares = softmax(in_chunks(maps, (4, 3, 2)) if lazy else maps)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, expected, rtol=1e-6)


@pytest.mark.parametrize("shift", [1e4, -1e4, 3e38])
def test_softmax_of_huge_values_does_not_overflow(shift):
    maps = make_maps((1, 1, 3))
    maps[0, 0] = np.array([shift, shift, -shift], dtype=np.float32)
    expected = [0.5, 0.5, 0] if shift > 0 else [0, 0, 1]
    assert softmax(maps).values[0, 0].tolist() == expected


def test_steps_go_by_name_or_function_in_their_order():
    maps = make_maps((6, 5, 3))
    by_name = normalise_features(maps, ["neighbour_averaging", "zscore"])
    by_function = normalise_features(maps, [neighbour_averaging, zscore])
    np.testing.assert_array_equal(by_name, by_function)
    np.testing.assert_array_equal(by_name, zscore(neighbour_averaging(maps)))
    other_order = normalise_features(maps, ["zscore", "neighbour_averaging"])
    assert not np.array_equal(by_name, other_order)
    assert normalise_features(maps, []).identical(maps)
    assert set(NORMALISATIONS) == {"neighbour_averaging", "zscore", "softmax"}


def test_an_unknown_step_is_named_with_those_there_are():
    with pytest.raises(ParameterError, match=r"'zscores'.*neighbour_averaging, zscore, softmax"):
        normalise_features(make_maps((2, 2, 2)), ["zscores"])


def test_recipe_records_the_steps_and_nothing_is_mutated():
    maps = make_maps((4, 5, 2))
    before = maps.copy(deep=True)
    result = normalise_features(maps, ["neighbour_averaging", "zscore", "softmax"])
    assert result.attrs["recipe"] == {
        "function": "line_intensity",
        "normalisation": ["neighbour_averaging", "zscore", "softmax"],
    }
    assert result.attrs["units"] == ""
    assert maps.identical(before)
    assert maps.attrs["recipe"] == {"function": "line_intensity"}
    assert result["line"].identical(maps["line"])


# Gaps


def with_gaps(shape=(12, 14, 3), seed=0):
    maps = make_maps(shape, seed=seed)
    missing = np.random.default_rng(seed + 1).random(shape[:2]) < 0.2
    missing[3:8, 4:9] = True
    maps.values[missing] = np.nan
    maps.values[0, 0, 1] = np.nan  # one feature only
    return maps


def naive_average_of_known(values):
    result = np.full(values.shape, np.nan)
    for y, x, feature in np.argwhere(~np.isnan(values)):
        around = values[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2, feature].astype(float)
        known = around[~np.isnan(around)]
        result[y, x, feature] = math.fsum(known) / len(known)
    return result


def test_neighbour_averaging_leaves_gaps_out():
    maps = with_gaps()
    averaged = neighbour_averaging(maps)
    assert averaged.dtype == np.float32
    np.testing.assert_allclose(averaged, naive_average_of_known(maps.values), rtol=1e-6)


def test_gaps_change_nothing_that_they_do_not_touch():
    whole = make_maps((12, 14, 3))
    cut = whole.copy(deep=True)
    cut.values[:3] = np.nan
    np.testing.assert_array_equal(neighbour_averaging(cut)[4:], neighbour_averaging(whole)[4:])
    np.testing.assert_array_equal(softmax(cut)[3:], softmax(whole)[3:])


def test_zscore_leaves_gaps_out():
    maps = with_gaps()
    values = maps.values.astype(float)
    expected = (values - np.nanmean(values, axis=(0, 1))) / np.nanstd(values, axis=(0, 1))
    np.testing.assert_allclose(zscore(maps), expected, rtol=1e-5, atol=1e-6)
    constant = maps.where(np.isnan(maps), 4.0)
    scores = zscore(constant).values
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(maps.values))
    assert (scores[~np.isnan(scores)] == 0).all()


def test_softmax_keeps_gaps():
    maps = with_gaps()
    shares = softmax(maps / 30.0).values
    missing = np.isnan(maps.values).any(axis=2)
    assert np.isnan(shares[missing]).all()
    np.testing.assert_allclose(shares[~missing].sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("step", NORMALISATIONS)
@pytest.mark.parametrize("chunk", [(5, 4, 2), (12, 14, 3), (1, 1, 1), (3, 14, 3)])
def test_maps_with_gaps_are_the_same_for_any_chunks(step, chunk):
    maps = with_gaps()
    expected = NORMALISATIONS[step](maps)
    np.testing.assert_array_equal(NORMALISATIONS[step](in_chunks(maps, chunk)), expected)
