"""Three maps in one picture."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import make_map, scale_bars

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.plot.rgb import plot_rgb_map


def maps():
    values = np.zeros((6, 8, 3))
    values[:3, :, 0], values[:, :4, 1], values[0, 0, 2] = 5.0, 2.0, np.nan
    return make_map(values, step=2.0).assign_coords(line=["Si_Ka", "Fe_Ka", "O_Ka"])


def test_each_map_has_its_colour():
    figure = plot_rgb_map(maps(), ["Fe_Ka", "Si_Ka"], title="Two")
    picture = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(picture[..., 0], np.tile([1.0] * 4 + [0.0] * 4, (6, 1)))
    np.testing.assert_array_equal(picture[:, 0, 1], [1, 1, 1, 0, 0, 0])
    assert not picture[..., 2].any()
    assert figure.axes[0].get_title(loc="left") == "Two"
    assert len(scale_bars(figure)) == 1


def test_missing_values_are_black_and_large_maps_are_thinned():
    figure = plot_rgb_map(maps(), ["O_Ka"], max_side=4)
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (3, 4, 3)
    assert np.isfinite(picture).all()


@pytest.mark.parametrize("lines", [[], ["Si_Ka", "Fe_Ka", "O_Ka", "Si_Ka"], ["Mg_Ka"]])
def test_wrong_names(lines):
    with pytest.raises(ParameterError, match="Si_Ka, Fe_Ka, O_Ka"):
        plot_rgb_map(maps(), lines)


def test_wrong_dimensions():
    with pytest.raises(ShapeMismatchError):
        plot_rgb_map(maps()[..., 0], ["Si_Ka"])
