"""Sizes and shapes of regions against scikit-image's regionprops on the whole map."""

from unittest import mock

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage
from skimage.measure import label, regionprops_table

from sigma_scale import config
from sigma_scale.errors import (
    EmptyMapError,
    MemoryLimitError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
)
from sigma_scale.phases import label_bands, regions_statistics
from sigma_scale.phases.regions import region_labels
from sigma_scale.phases.regions_statistics import region_statistics

NAMES = {
    "area": "area_{}2",
    "equivalent_diameter_area": "equivalent_diameter_{}",
    "axis_major_length": "major_axis_{}",
    "perimeter": "perimeter_{}",
    "centroid-0": "centroid_y_{}",
    "centroid-1": "centroid_x_{}",
    "bbox-0": "row_min",
    "bbox-1": "column_min",
    "bbox-2": "row_max",
    "bbox-3": "column_max",
}


def grains(shape=(90, 110), seed=0, n_phases=3, *, noise=True):
    """Blobs of phases, -1 to n_phases - 1."""
    rng = np.random.default_rng(seed)
    smooth = [ndimage.gaussian_filter(rng.normal(size=shape), 3) for _ in range(n_phases + noise)]
    return np.argmax(smooth, axis=0).astype(np.int32) - noise


def as_map(values, step=(1.0, 1.0), origin=(0.0, 0.0), units="µm"):
    coords = {
        name: (name, o + s * np.arange(n), {"units": units})
        for name, n, s, o in zip("yx", values.shape[:2], step, origin, strict=True)
    }
    dims = ("y", "x", "line")[: values.ndim]
    return xr.DataArray(values, dims=dims, coords=coords)


def line_maps(shape, n=2, dtype=float, seed=0):
    values = np.random.default_rng(seed).gamma(2.0, 50.0, (*shape, n)).astype(dtype)
    return xr.DataArray(
        values,
        dims=("y", "x", "line"),
        coords={"line": ["Fe_Ka", "Si_Ka", "O_Ka"][:n]},
        attrs={"units": "counts"},
    )


def bands_of(pixels):
    return mock.patch.object(regions_statistics, "_BAND_VALUES", 4 * pixels)


def check(table, labels, *, connectivity=2, spacing=(1.0, 1.0), unit="px", background=-1):
    numbers = label(np.maximum(labels, -1), background=background, connectivity=connectivity)
    square = spacing[0] == spacing[1]
    wanted = ["area", "equivalent_diameter_area", "axis_major_length", "axis_minor_length"]
    wanted += ["centroid", "orientation", *(["perimeter"] if square else [])]
    expected = regionprops_table(numbers, properties=wanted, spacing=spacing)
    expected |= regionprops_table(numbers, properties=["bbox"])
    assert list(table.index) == list(range(1, numbers.max() + 1))
    for theirs, ours in NAMES.items():
        if theirs in expected:
            name = ours.format(unit)
            np.testing.assert_allclose(table[name], expected[theirs], 1e-9, 1e-9, err_msg=name)
    major, minor = expected["axis_major_length"], expected["axis_minor_length"]
    # Of lines without width scikit-image's eigenvalues are 0 up to rounding, and their root is not.
    scale = major.max() ** 2 * 1e-14
    np.testing.assert_allclose(table[f"minor_axis_{unit}"] ** 2, minor**2, 1e-9, scale)
    wide = minor > 1e-5
    np.testing.assert_allclose(
        table["aspect_ratio"][wide], (major / np.where(wide, minor, 1))[wide]
    )
    assert np.isnan(table["aspect_ratio"][~wide]).all()
    turned = table["orientation_rad"] - expected["orientation"]
    turned = (turned + np.pi / 2) % np.pi - np.pi / 2
    # A round region has no direction, but for what rounding makes of it.
    long = major - minor > 1e-3 * major
    np.testing.assert_allclose(turned[long], 0, atol=1e-9)
    height, width = labels.shape
    at_border = (table["row_min"] == 0) | (table["column_min"] == 0)
    at_border |= (table["row_max"] == height) | (table["column_max"] == width)
    assert (table["touches_border"] == at_border).all()
    first = np.array([np.flatnonzero(numbers == i)[0] for i in table.index])
    np.testing.assert_array_equal(table["phase"], np.maximum(labels, -1).ravel()[first])


@settings(max_examples=40, deadline=None)
@given(
    npst.arrays(
        np.int32,
        npst.array_shapes(min_dims=2, max_dims=2, max_side=14),
        elements=st.integers(-1, 2),
    ).filter(lambda labels: (labels >= 0).any()),
    st.sampled_from([1, 2]),
    st.integers(1, 60),
    st.tuples(*[st.integers(1, 9)] * 2),
)
def test_random_maps_in_any_chunks(labels, connectivity, band, chunks):
    with bands_of(band):
        lazy = region_statistics(da.from_array(labels, chunks=chunks), connectivity=connectivity)
    eager = region_statistics(labels, connectivity=connectivity)
    pd.testing.assert_frame_equal(lazy, eager, check_exact=True)
    check(eager, labels, connectivity=connectivity)


@pytest.mark.parametrize("connectivity", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_grains_equal_scikit_image(connectivity, seed):
    labels = grains(seed=seed)
    check(region_statistics(labels, connectivity=connectivity), labels, connectivity=connectivity)
    check(
        region_statistics(labels, connectivity=connectivity, noise=True),
        labels,
        connectivity=connectivity,
        background=-9,
    )


@pytest.mark.parametrize("step", [(0.3, 0.3), (0.25, 0.7)])
def test_lengths_in_micrometres(step):
    labels = grains((60, 50))
    table = None
    if step[0] == step[1]:
        table = region_statistics(as_map(labels, step))
    else:
        with pytest.warns(SigmaScaleWarning, match="not square"):
            table = region_statistics(as_map(labels, step))
        assert table["perimeter_um"].isna().all()
    check(table, labels, spacing=step, unit="um")
    assert table.attrs["units"]["area_um2"] == "µm²"
    assert table.attrs["units"]["perimeter_um"] == "µm"
    assert table.attrs["units"]["row_min"] == "pixel"
    assert set(table.attrs["units"]) == set(table.columns)


def test_a_given_pixel_size_and_none():
    labels = grains((40, 50))
    given_size = region_statistics(as_map(labels, units="pixel"), pixel_size=0.1)
    check(given_size, labels, spacing=(0.1, 0.1), unit="um")
    for unscaled in (labels, as_map(labels, (0.5, 0.5), units="pixel")):
        table = region_statistics(unscaled)
        check(table, labels)
        assert not any("_um" in name for name in table.columns)
        assert table.attrs["units"]["equivalent_diameter_px"] == "pixel"
        assert table.attrs["recipe"]["pixel_size_um"] is None


def test_centroids_are_in_the_coordinates_of_the_map():
    labels = as_map(grains((40, 50)), (0.5, 0.5), origin=(100.0, -3.0))
    table = region_statistics(labels)
    numbers = region_labels(labels)
    for region in (1, 2, len(table)):
        mask = numbers == region
        inside = np.nonzero(mask.to_numpy())
        row = table.loc[region]
        np.testing.assert_allclose(row["centroid_y_um"], labels["y"].to_numpy()[inside[0]].mean())
        np.testing.assert_allclose(row["centroid_x_um"], labels["x"].to_numpy()[inside[1]].mean())
    flipped = region_statistics(labels[::-1])
    np.testing.assert_allclose(
        sorted(flipped["centroid_y_um"]), sorted(table["centroid_y_um"]), rtol=1e-12
    )


@pytest.mark.parametrize("dtype", [np.uint32, np.float64, np.uint64, np.int16, ">f8"])
def test_lines_equal_scikit_image(dtype):
    labels = grains((50, 60))
    lines = line_maps(labels.shape, 3, dtype)
    with bands_of(300):
        table = region_statistics(labels, lines.chunk({"y": 11, "x": 13, "line": 2}))
    numbers = label(labels, background=-1, connectivity=2)
    for k, name in enumerate(["Fe_Ka", "Si_Ka", "O_Ka"]):
        kinds = ("min", "mean", "max")
        expected = regionprops_table(
            numbers,
            lines.to_numpy()[..., k].astype(float),
            properties=[f"intensity_{kind}" for kind in kinds],
        )
        for kind in kinds:
            np.testing.assert_allclose(
                table[f"{name}_{kind}"], expected[f"intensity_{kind}"], rtol=1e-9
            )
            assert table.attrs["units"][f"{name}_{kind}"] == "counts"
    assert table.attrs["recipe"]["lines"] == ["Fe_Ka", "Si_Ka", "O_Ka"]


def test_lines_do_not_depend_on_bands_and_chunks():
    labels, lines = grains((50, 60)), line_maps((50, 60))
    whole = region_statistics(labels, lines)
    for band, chunks in ((60, 7), (500, 20)):
        with bands_of(band):
            part = region_statistics(
                da.from_array(labels, chunks=chunks), lines.chunk({"y": 9, "x": 16})
            )
        pd.testing.assert_frame_equal(part, whole, check_exact=True)


def test_missing_intensities_are_nan_in_their_region_only():
    labels = np.array([[0, 0, 1], [0, 0, 1]])
    lines = line_maps(labels.shape)
    lines[0, 1, 0] = np.nan
    table = region_statistics(labels, lines)
    assert table.loc[1, ["Fe_Ka_min", "Fe_Ka_mean", "Fe_Ka_max"]].isna().all()
    assert table.drop(columns="aspect_ratio").notna().to_numpy().sum() == table.size - 2 - 3


def test_moments_that_overflow_whole_numbers_are_summed_as_floats():
    # Only maps too large for a test need it, so the limit is lowered instead.
    labels = grains((60, 50))
    exact = region_statistics(labels)
    with mock.patch.object(regions_statistics, "_LARGEST_SUM", 0):
        rounded = region_statistics(labels)
    pd.testing.assert_frame_equal(exact, rounded, rtol=1e-12)


def test_far_from_the_origin_nothing_cancels():
    labels = np.full((30, 200_000), -1, np.int8)
    small = grains((30, 40), noise=True)
    labels[:, -40:] = small
    far = region_statistics(labels)
    near = region_statistics(np.pad(small, ((0, 0), (5, 0)), constant_values=-1))
    for name in ("major_axis_px", "minor_axis_px", "orientation_rad", "perimeter_px"):
        np.testing.assert_array_equal(far[name], near[name])


def test_some_phases_and_those_without_pixels():
    labels = grains((40, 50))
    table = region_statistics(labels, phases=[1])
    whole = region_statistics(labels)
    expected = whole[whole["phase"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(table.reset_index(drop=True), expected, check_exact=True)
    with pytest.warns(SigmaScaleWarning, match="phase 7, 9: "):
        same = region_statistics(labels, phases=[1, 9, 7])
    pd.testing.assert_frame_equal(same, table)
    with pytest.raises(EmptyMapError, match="no regions"):
        region_statistics(labels, phases=[9])
    with pytest.raises(EmptyMapError, match="No pixel"):
        region_statistics(np.full((3, 3), -1))


def test_bad_input_is_named():
    labels = grains((20, 30))
    with pytest.raises(ShapeMismatchError, match=r"\(20, 30\).*\(20, 31\)"):
        region_statistics(labels, line_maps((20, 31)))
    with pytest.raises(ParameterError, match="line"):
        region_statistics(labels, xr.DataArray(labels, dims=("y", "x")))
    with pytest.raises(ParameterError, match="ndarray"):
        region_statistics(labels, np.zeros((20, 30, 2)))
    with pytest.raises(ParameterError, match="once"):
        region_statistics(labels, line_maps((20, 30)).assign_coords(line=["a", "a"]))
    with pytest.raises(ParameterError, match="float64"):
        region_statistics(labels.astype(float))
    for size in (0, -1.0, np.nan, (1.0, np.inf), (1, 2, 3)):
        with pytest.raises(ParameterError, match="pixel_size"):
            region_statistics(labels, pixel_size=size)


def test_a_table_that_would_not_fit_is_refused():
    noisy = np.arange(10_000).reshape(100, 100)
    with (
        config.options(memory_limit="1MB"),
        pytest.raises(MemoryLimitError, match="10,000 regions"),
    ):
        region_statistics(noisy)


def test_nothing_is_changed():
    labels, lines = as_map(grains((20, 30))), line_maps((20, 30))
    before = labels.copy(deep=True), lines.copy(deep=True)
    region_statistics(labels, lines)
    xr.testing.assert_identical(labels, before[0])
    xr.testing.assert_identical(lines, before[1])


def test_band_height_follows_the_lines():
    # Bands hold fewer rows the more lines are read with them.
    labels, lines = grains((64, 64)), line_maps((64, 64), 2)
    with (
        bands_of(64 * 8),
        mock.patch.object(label_bands.compute, "run", wraps=label_bands.compute.run) as run,
    ):
        region_statistics(labels, lines.chunk({"y": 1}))
    shapes = [call.args[0].shape for call in run.call_args_list]
    assert max(shape[0] for shape in shapes) == 64 * 8 * 4 // 6 // 64
