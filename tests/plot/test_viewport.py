"""What a frame shows, and the colours it is painted with."""

import numpy as np
import pytest

from sigma_scale.errors import ParameterError
from sigma_scale.plot.viewport import Viewport, colour_table, packed_colours


@pytest.mark.parametrize(
    ("ranges", "size", "message"),
    [
        (((0, np.nan), (0, 1)), (4, 4), "x range.*finite"),
        (((0, 1), (-np.inf, 1)), (4, 4), "y range.*finite"),
        (((0, 1), (-1e308, 1e308)), (4, 4), "y range.*finite"),
        (((1, 1), (0, 1)), (4, 4), "x range.*empty"),
        (((0, 1), (0, 1)), (0, 4), "0 x 4"),
    ],
)
def test_views_of_nothing_are_refused(ranges, size, message):
    with pytest.raises(ParameterError, match=message):
        Viewport(*ranges, *size)


def test_spans_ascend_whichever_way_the_ranges_run():
    viewport = Viewport((0, 4), (3.5, -0.5), 5, 6)
    assert (viewport.x_span, viewport.y_span) == ((0, 4), (-0.5, 3.5))


def test_colours_lie_in_memory_as_red_green_blue_opacity():
    table = colour_table({-1: "#102030", 1: "#405060", 2: "red"}, hidden=[2, 7])
    assert table.known.tolist() == [True, False, True, True]
    assert table.rgb[0].tolist() == [16, 32, 48, 1]
    assert not table.rgb[3].any()
    packed = table.packed(200)
    assert packed.astype("<u4").view(np.uint8).reshape(-1, 4).tolist() == [
        [16, 32, 48, 200], [0] * 4, [64, 80, 96, 200], [0] * 4,
    ]  # fmt: skip
    assert not colour_table({}).known.any()


def test_colour_maps_are_matplotlibs():
    from matplotlib import colormaps

    wanted = colormaps["magma"](np.arange(256), bytes=True)
    found = packed_colours("magma").astype("<u4").view(np.uint8).reshape(-1, 4)
    np.testing.assert_array_equal(found, wanted)


def test_wrong_colours_are_refused():
    with pytest.raises(ParameterError, match=r"'nix'.*label 3"):
        colour_table({3: "nix"})
    with pytest.raises(ParameterError, match="Label -2"):
        colour_table({-2: "red"})
    with pytest.raises(ParameterError, match="'none such'"):
        packed_colours("none such")
