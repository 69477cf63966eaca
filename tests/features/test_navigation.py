"""The navigation image as a feature against scikit-image."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from skimage.transform import resize

from sigma_scale.features import append_navigation, zscore


def make_maps(shape=(12, 15, 2), **options):
    return xr.DataArray(
        np.random.default_rng(0).random(shape).astype(options.get("dtype", np.float32)),
        dims=("y", "x", "line"),
        coords={
            "y": ("y", np.arange(shape[0]) * 0.5, {"units": "µm"}),
            "x": ("x", np.arange(shape[1]) * 0.5, {"units": "µm"}),
            "line": ["Al_Ka", "Si_Ka"],
        },
        attrs={"recipe": {"function": "line_intensity"}},
    )


def picture(shape, seed=1):
    values = np.random.default_rng(seed).integers(0, 65535, shape).astype(np.uint16)
    return xr.DataArray(values, dims=("y", "x"))


@pytest.mark.parametrize("shape", [(48, 60), (37, 22), (6, 5), (12, 15), (1, 1)])
def test_the_image_is_resized_as_by_scikit_image(shape):
    image = picture(shape)
    joined = append_navigation(make_maps(), image)
    assert joined["line"].values.tolist() == ["Al_Ka", "Si_Ka", "Navigator"]
    assert joined.dims == ("y", "x", "line")
    assert joined.dtype == np.float32
    expected = resize(image.values.astype(float), (12, 15), anti_aliasing=True)
    np.testing.assert_allclose(joined.sel(line="Navigator"), expected, rtol=1e-6)


def test_an_image_of_the_same_size_keeps_its_values():
    image = picture((12, 15))
    joined = append_navigation(make_maps(), image)
    np.testing.assert_allclose(joined.sel(line="Navigator"), image, rtol=1e-6)


def test_maps_and_their_coordinates_are_kept():
    maps = make_maps()
    before = maps.copy(deep=True)
    joined = append_navigation(maps, picture((24, 30)))
    assert maps.identical(before)
    np.testing.assert_array_equal(joined[:, :, :2], maps)
    for name in ("y", "x"):
        assert joined[name].identical(maps[name])
    assert joined.attrs["recipe"]["function"] == "line_intensity"


def test_twice_does_not_add_it_twice():
    maps = make_maps()
    once = append_navigation(maps, picture((24, 30)), [zscore])
    again = append_navigation(once, picture((24, 30)), [zscore])
    np.testing.assert_array_equal(once, again)
    assert again["line"].values.tolist() == ["Al_Ka", "Si_Ka", "Navigator"]
    other = append_navigation(once, picture((24, 30), seed=2), [zscore])
    assert other.sizes["line"] == 3
    assert not np.array_equal(other, once)


def test_the_steps_are_applied_to_the_image_alone():
    maps = make_maps()
    joined = append_navigation(maps, picture((24, 30)), ["zscore"])
    navigator = joined.sel(line="Navigator").values
    assert navigator.mean() == pytest.approx(0, abs=1e-6)
    assert navigator.std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_array_equal(joined[:, :, :2], maps)


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_image_gives_zeros(value):
    image = xr.DataArray(np.full((12, 15), value, np.uint16), dims=("y", "x"))
    joined = append_navigation(make_maps(), image, ["neighbour_averaging", "zscore"])
    assert (joined.sel(line="Navigator").values == 0).all()


def test_a_constant_image_of_another_size_gives_zeros():
    image = xr.DataArray(np.full((31, 47), 0.1), dims=("y", "x"))
    joined = append_navigation(make_maps(), image, ["zscore"])
    assert (joined.sel(line="Navigator").values == 0).all()


def test_lazy_maps_stay_lazy():
    maps = make_maps()
    lazy = maps.copy(data=da.from_array(maps.values, chunks=(5, 4, 2)))
    joined = append_navigation(lazy, picture((24, 30)), ["zscore"])
    assert joined.chunks is not None
    np.testing.assert_array_equal(joined, append_navigation(maps, picture((24, 30)), ["zscore"]))
