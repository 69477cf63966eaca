"""What element maps must be, and what they give."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.spectra import MapMetadata
from sigma_scale.spectra.element_maps import ElementMaps


def make_maps(shape=(4, 5, 3), lines=("Fe", "Si", "Al_Ka"), dtype=np.float32):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return xr.DataArray(values, dims=("y", "x", "line"), coords={"line": list(lines)})


def image(shape=(4, 5)):
    return xr.DataArray(np.ones(shape), dims=("y", "x"))


def test_maps_with_names_images_and_scale():
    maps = ElementMaps(
        make_maps(),
        image(),
        {"SE": image((8, 10))},
        pixel_size=(0.5, 0.25),
        pixel_unit="µm",
        metadata=MapMetadata(title="a rock"),
    )
    assert maps.shape == (4, 5, 3)
    assert maps.lines == ("Fe", "Si", "Al_Ka")
    np.testing.assert_allclose(maps.maps.y, 0.5 * np.arange(4))
    np.testing.assert_allclose(maps.maps.x, 0.25 * np.arange(5))
    assert maps.maps.x.attrs["units"] == "µm"
    assert repr(maps) == "<ElementMaps 'a rock': 4 x 5 pixels, Fe, Si, Al_Ka>"
    with pytest.raises(TypeError):
        maps.images["SE"] = image()


def test_coordinates_that_are_there_are_kept():
    given = make_maps().assign_coords(x=np.arange(5) * 7.0)
    maps = ElementMaps(given)
    np.testing.assert_array_equal(maps.maps.x, np.arange(5) * 7.0)
    np.testing.assert_array_equal(maps.maps.y, np.arange(4))
    assert "y" not in given.coords


def test_missing_pixels_and_laziness_are_kept():
    values = make_maps()
    values[1, 2, 0] = np.nan
    maps = ElementMaps(values.chunk({"y": 2}))
    assert maps.maps.chunks is not None
    np.testing.assert_array_equal(maps.maps, values)


def test_maps_can_be_pickled():
    maps = ElementMaps(make_maps(), image(), {"SE": image((8, 10))}, pixel_unit="µm")
    again = pickle.loads(pickle.dumps(maps))  # noqa: S301
    xr.testing.assert_identical(again.maps, maps.maps)
    xr.testing.assert_identical(again.navigation, maps.navigation)
    assert set(again.images) == {"SE"}
    assert again.pixel_unit == "µm"


@pytest.mark.parametrize(
    ("maps", "error", "message"),
    [
        (make_maps().transpose("line", "y", "x"), ParameterError, "not line, y, x"),
        (make_maps()[..., 0], ParameterError, "not y, x"),
        (make_maps()[:0], EmptyMapError, "no pixels"),
        (make_maps()[..., :0], EmptyMapError, "no maps"),
        (make_maps().astype(complex), ParameterError, "complex"),
        (make_maps().drop_vars("line"), ParameterError, "names"),
        (make_maps().assign_coords(line=[1, 2, 3]), ParameterError, "texts"),
        (make_maps(lines=("Fe", "", "Si")), ParameterError, "texts"),
        (make_maps(lines=("Fe", "Si", "Fe")), ParameterError, "same name: Fe"),
    ],
)
def test_what_maps_cannot_be(maps, error, message):
    with pytest.raises(error, match=message):
        ElementMaps(maps)


def test_a_navigation_image_must_fit():
    with pytest.raises(ShapeMismatchError, match=r"\(5, 4\)"):
        ElementMaps(make_maps(), image((5, 4)))
    with pytest.raises(ParameterError, match="navigation="):
        ElementMaps(make_maps(), images={"navigation": image()})
