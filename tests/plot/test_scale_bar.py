import math

import numpy as np
import pytest
from drawing import make_map
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale.errors import EmptyMapError, ShapeMismatchError
from sigma_scale.plot.scale_bar import map_frame, scale_bar_length

TO_MICROMETRES = {"nm": 1e-3, "µm": 1.0, "mm": 1e3}


@pytest.mark.parametrize(
    ("width", "unit", "length", "label"),
    [
        (873.7, "µm", 200, "200 µm"),
        (100, "µm", 20, "20 µm"),
        (4.6, "µm", 1, "1 µm"),
        (1.0, "µm", 0.2, "200 nm"),
        (0.004, "µm", 0.001, "1 nm"),
        (5000, "µm", 1000, "1 mm"),
        (250, "nm", 50, "50 nm"),
        (20000, "nm", 5000, "5 µm"),
        (2, "mm", 0.5, "500 µm"),
        (512, "pixel", 100, "100 pixels"),
        (3, "pixel", 1, "1 pixel"),
        (90, "arcsec", 20, "20 arcsec"),
    ],
)
def test_lengths_are_nice(width, unit, length, label):
    bar = scale_bar_length(width, unit)
    assert bar.length == pytest.approx(length)
    assert bar.label == label


@given(st.floats(1e-6, 1e9))
def test_label_and_length_agree_and_fill_a_fifth_of_the_width(width):
    bar = scale_bar_length(width, "µm")
    number, unit = bar.label.split()
    assert float(number) * TO_MICROMETRES[unit] == pytest.approx(bar.length)
    assert 0.13 < bar.length / width < 0.36
    first = bar.length / 10 ** math.floor(math.log10(bar.length) + 1e-9)
    assert min(abs(first - n) for n in (1, 2, 5)) < 1e-6


def test_frame_is_that_of_the_pixels_outer_edges():
    frame = map_frame(make_map(np.zeros((3, 4)), 2.0))
    assert (frame.left, frame.right, frame.top, frame.bottom) == (0, 8, 0, 6)
    assert frame.unit == "µm"


@pytest.mark.parametrize("unit", ["", "pixel", "px", "Pixels"])
def test_maps_without_scale_are_in_pixels(unit):
    assert map_frame(make_map(np.zeros((3, 4)), 1.0, unit)).unit == "pixel"
    frame = map_frame(make_map(np.zeros((3, 4))))
    assert (frame.unit, frame.width, frame.height) == ("pixel", 4, 3)


def test_a_line_of_pixels_takes_its_height_from_its_width():
    assert map_frame(make_map(np.zeros((1, 50)), 5.0)).height == 5.0
    assert map_frame(make_map(np.zeros((50, 1)), 5.0)).width == 5.0
    assert map_frame(make_map(np.zeros((1, 1)), 5.0)).width == 1.0


def test_thin_maps_are_stretched_to_a_tenth():
    assert map_frame(make_map(np.zeros((1, 1000)))).drawn_ratio == pytest.approx(0.1)
    assert map_frame(make_map(np.zeros((1000, 1)))).drawn_ratio == pytest.approx(10)
    assert map_frame(make_map(np.zeros((10, 50)))).aspect == 1.0


def test_empty_and_foreign_arrays_are_refused():
    with pytest.raises(EmptyMapError, match="0 rows and 4 columns"):
        map_frame(make_map(np.zeros((0, 4))))
    with pytest.raises(ShapeMismatchError, match="'y' and 'x'"):
        map_frame(make_map(np.zeros((2, 4))).rename(x="column"))
