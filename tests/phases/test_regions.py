"""Regions across bands and chunks against scikit-image on the whole map."""

from unittest import mock

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from skimage.measure import label

from sigma_scale import config
from sigma_scale.errors import EmptyMapError, MemoryLimitError, ParameterError
from sigma_scale.phases import label_bands
from sigma_scale.phases.label_bands import row_bands
from sigma_scale.phases.regions import region_labels

MAPS = npst.arrays(
    st.sampled_from([np.int8, np.int32, np.int64]),
    npst.array_shapes(min_dims=2, max_dims=2, max_side=14),
    elements=st.integers(-2, 2),
)


def small_bands(pixels: int):
    return mock.patch.object(label_bands, "_BAND_PIXELS", pixels)


@settings(max_examples=60, deadline=None)
@given(
    MAPS,
    st.sampled_from([1, 2]),
    st.booleans(),
    st.integers(1, 60),
    st.tuples(*[st.integers(1, 9)] * 2),
)
def test_regions_are_those_of_scikit_image(labels, connectivity, noise, band, chunks):
    clean = np.maximum(labels, -1).astype(int)
    background = -5 if noise else -1
    expected = label(clean, background=background, connectivity=connectivity)
    with small_bands(band):
        for given_labels in (labels, da.from_array(labels, chunks=chunks)):
            found = region_labels(given_labels, connectivity=connectivity, noise=noise)
            np.testing.assert_array_equal(found.to_numpy(), expected)
            assert found.dtype == np.int32


def test_combs_that_join_in_the_last_row_are_one_region():
    labels = np.zeros((41, 40), np.int32)
    labels[1:, ::2] = 1
    labels[-1] = 1
    expected = label(labels, background=-1, connectivity=1)
    assert expected.max() == 2
    with small_bands(40):
        np.testing.assert_array_equal(region_labels(labels, connectivity=1), expected)


def test_numbers_follow_the_first_pixel_and_labels_stay():
    labels = np.array([[3, -1, 3], [3, 3, 3], [-7, 0, 1]], np.int16)
    before = labels.copy()
    found = region_labels(labels)
    assert found.to_numpy().tolist() == [[1, 0, 1], [1, 1, 1], [0, 2, 3]]
    np.testing.assert_array_equal(labels, before)
    assert found.attrs["recipe"]["connectivity"] == 2


def test_some_phases_only():
    labels = np.random.default_rng(0).integers(-1, 4, (30, 20))
    kept = np.isin(labels, [1, 3])
    expected = label(np.where(kept, labels, -1), background=-1, connectivity=2)
    np.testing.assert_array_equal(region_labels(labels, phases=[3, 1, 3]), expected)
    lazy = region_labels(da.from_array(labels, chunks=7), phases=[3, 1])
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy, expected)
    with_noise = label(np.where(kept | (labels < 0), labels, -5), background=-5, connectivity=2)
    np.testing.assert_array_equal(region_labels(labels, phases=[1, 3], noise=True), with_noise)


def test_coordinates_are_kept():
    labels = xr.DataArray(
        np.zeros((4, 6), int),
        dims=("y", "x"),
        coords={"y": np.arange(4.0)},
        attrs={"recipe": {"a": 1}},
    )
    found = region_labels(labels.T)
    xr.testing.assert_equal(found["y"], labels["y"])
    assert found.dims == ("y", "x")
    assert found.attrs["recipe"]["labels"] == {"a": 1}


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 50), st.integers(1, 400), st.integers(1, 300))
def test_bands_cover_the_map_once(height, width, pixels, chunk):
    for arrays in ([], [da.zeros((height, width), chunks=(chunk, 3))]):
        bands = row_bands((height, width), arrays, pixels=pixels)
        starts, stops = zip(*bands, strict=True)
        assert starts == (0, *stops[:-1])
        assert stops[-1] == height
        assert all(start < stop for start, stop in bands)
        assert max(b - a for a, b in bands) <= 4 * max(pixels // width, 1)


def test_bands_are_of_whole_chunks():
    lazy = da.zeros((100, 10), chunks=(15, 10))
    assert row_bands((100, 10), [lazy, None], pixels=400) == [
        (0, 30),
        (30, 60),
        (60, 100),
    ]
    assert row_bands((100, 10), [lazy], pixels=100)[:2] == [(0, 15), (15, 30)]


def test_bad_input_is_named():
    labels = np.zeros((3, 4), int)
    with pytest.raises(ParameterError, match=r"whole numbers.*float64"):
        region_labels(labels * 1.0)
    with pytest.raises(ParameterError, match="whole numbers"):
        region_labels(labels == 0)
    with pytest.raises(ParameterError, match=r"2 dimensions"):
        region_labels(labels[0])
    with pytest.raises(ParameterError, match=r"\(y, x\)"):
        region_labels(xr.DataArray(labels, dims=("a", "b")))
    with pytest.raises(EmptyMapError):
        region_labels(labels[:0])
    with pytest.raises(ParameterError, match="connectivity"):
        region_labels(labels, connectivity=8)
    for phases in ([], [-1], [0.5]):
        with pytest.raises(ParameterError, match="phases"):
            region_labels(labels, phases=phases)
    with pytest.raises(ParameterError, match="too large"):
        region_labels(np.full((2, 2), 2**63, np.uint64))


def test_labels_that_change_between_passes_are_refused():
    calls = iter(range(10))

    def changing(block):
        return block + np.arange(block.size).reshape(block.shape) * next(calls)

    labels = da.zeros((5, 5), dtype=int, chunks=5).map_blocks(changing, meta=np.empty((0, 0), int))
    with pytest.raises(ParameterError, match="changed between"):
        region_labels(labels).to_numpy()


def test_a_map_of_regions_that_would_not_fit_is_refused():
    labels = np.zeros((1000, 1000), np.int8)
    with config.options(memory_limit="1MB"), pytest.raises(MemoryLimitError, match="Dask"):
        region_labels(labels)
    noisy = np.arange(10**6).reshape(1000, 1000)
    with config.options(memory_limit="1MB"), pytest.raises(MemoryLimitError, match="regions"):
        region_labels(noisy)
