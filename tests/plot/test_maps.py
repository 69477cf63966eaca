import dask.array as da
import numpy as np
import pytest
from drawing import bar_label, bar_size, colour_at, make_map, pixels, scale_bars

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot import plot_element_maps, plot_image
from sigma_scale.plot.contrast import contrast_limits


def picture_of(figure):
    return figure.axes[0].images[0]


def test_bright_and_dark_pixels_are_where_the_map_has_them():
    values = np.zeros((20, 30))
    values[:10, :15] = 100
    figure = plot_image(make_map(values, 2.0), title="BSE")
    ax = figure.axes[0]
    assert colour_at(figure, ax, 10, 5) == "#ffffff"
    assert colour_at(figure, ax, 50, 5) == "#000000"
    assert colour_at(figure, ax, 10, 35) == "#000000"
    assert ax.get_title(loc="left") == "BSE"


def test_scale_bar_is_true():
    figure = plot_image(make_map(np.random.default_rng(0).random((75, 100)), 8.74))
    (bar,) = scale_bars(figure)
    assert bar_label(bar) == "200 µm"
    assert bar_size(bar)[0] == 200
    # On paper too: its share of the drawn map is 200 of 874 µm.
    pixels(figure)
    (patch,) = bar.size_bar.get_children()
    drawn = patch.get_window_extent().width / figure.axes[0].get_window_extent().width
    assert drawn == pytest.approx(200 / 874, rel=0.01)


def test_map_keeps_its_proportions():
    figure = plot_image(make_map(np.random.default_rng(0).random((30, 90)), 1.0))
    pixels(figure)
    box = figure.axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(3, rel=0.01)


def test_everything_lies_within_the_figure():
    figure = plot_image(make_map(np.random.default_rng(0).random((30, 90)), 1.0), title="A title")
    pixels(figure)
    box = figure.axes[0].get_tightbbox()
    width, height = figure.get_size_inches() * figure.dpi
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_large_maps_are_thinned_before_drawing_lazy_or_not():
    values = np.random.default_rng(0).random((2500, 300)).astype(np.float32)
    eager = picture_of(plot_image(make_map(values), max_side=200))
    lazy = picture_of(plot_image(make_map(da.from_array(values, chunks=128)), max_side=200))
    assert eager.get_array().shape == (193, 150)
    np.testing.assert_allclose(eager.get_array(), lazy.get_array())


@pytest.mark.parametrize("step", [1.0, -1.0])
def test_row_zero_is_on_top_whatever_the_coordinates_direction(step):
    values = np.zeros((10, 10))
    values[:5] = 1
    figure = plot_image(make_map(values, step))
    assert colour_at(figure, figure.axes[0], 5 * step, 2 * step) == "#ffffff"
    (bar,) = scale_bars(figure)
    pixels(figure)
    assert bar.get_window_extent().width > 0


def test_missing_pixels_are_grey_and_an_empty_map_says_so():
    values = np.random.default_rng(0).random((20, 20))
    values[:10] = np.nan
    figure = plot_image(make_map(values))
    assert colour_at(figure, figure.axes[0], 10, 4) == "#dfe3e8"
    figure = plot_image(make_map(np.full((20, 20), np.nan)))
    assert [text.get_text() for text in figure.axes[0].texts] == ["no data"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_slender_maps_draw(shape):
    figure = plot_image(make_map(np.random.default_rng(0).random(shape), 0.5))
    picture = pixels(figure)
    assert min(picture.shape[:2]) > 60
    (bar,) = scale_bars(figure)
    stretched = "not" in bar_label(bar)
    assert stretched == (max(shape) == 300)


def test_bar_of_a_column_stands_upright():
    (bar,) = scale_bars(plot_image(make_map(np.random.default_rng(0).random((300, 1)), 0.5)))
    assert bar_size(bar)[1] == 50
    assert bar_label(bar).startswith("50 µm")


def test_contrast_ignores_a_hot_pixel():
    values = np.random.default_rng(0).random(10_000)
    values[3] = 1e9
    limits = contrast_limits(values)
    assert limits.high < 1.01
    assert limits.extend == "both"
    np.testing.assert_allclose(limits[:2], np.percentile(values, [0.5, 99.5]))


def test_contrast_of_special_maps():
    assert contrast_limits(np.full(9, 7))[:2] == (3.5, 10.5)
    assert contrast_limits(np.zeros(9))[:2] == (-0.5, 0.5)
    assert contrast_limits(np.full(9, np.nan))[:3] == (0.0, 1.0, "neither")
    sparse = np.zeros(10_000)
    sparse[:5] = 3
    assert contrast_limits(sparse)[:2] == (0, 3)
    with pytest.raises(ParameterError, match="percentiles"):
        contrast_limits(np.zeros(9), (90, 10))


def test_image_goes_into_a_given_axes():
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_image(make_map(np.eye(5)), ax=right) is figure
    assert len(right.images) == 1
    assert not left.images


def test_wrong_images_are_refused():
    with pytest.raises(ShapeMismatchError, match="'line'"):
        plot_image(make_map(np.zeros((3, 3, 2))))
    with pytest.raises(EmptyMapError, match="0 columns"):
        plot_image(make_map(np.zeros((3, 0))))
    with pytest.raises(ParameterError, match="'greyish'"):
        plot_image(make_map(np.zeros((3, 3))), cmap="greyish")


def element_maps(n, shape=(12, 16)):
    values = np.random.default_rng(0).poisson(5, (*shape, n)).astype(np.uint32)
    return make_map(values, 1.0).assign_coords(line=[f"Fe_Ka{i}" for i in range(n)])


@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_each_line_has_its_map_and_title_and_one_scale_bar_serves_all(n):
    maps = element_maps(n)
    figure = plot_element_maps(maps)
    panels = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title(loc="left") for ax in panels] == [f"Fe Kα{i}" for i in range(n)]
    for index, ax in enumerate(panels):
        np.testing.assert_array_equal(ax.images[0].get_array(), maps[..., index])
    assert len(scale_bars(figure)) == 1


def test_maps_do_not_overlap():
    figure = plot_element_maps(element_maps(10), title="All")
    pixels(figure)
    boxes = [ax.get_tightbbox() for ax in figure.axes if ax.images]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_each_map_has_its_own_contrast():
    maps = element_maps(2)
    maps.values[..., 1] *= 1000
    first, second = (ax.images[0].get_clim() for ax in plot_element_maps(maps).axes if ax.images)
    assert second[1] == pytest.approx(1000 * first[1], rel=0.2)


def test_wrong_element_maps_are_refused():
    with pytest.raises(EmptyMapError, match="no lines"):
        plot_element_maps(element_maps(0))
    with pytest.raises(ShapeMismatchError, match="'line'"):
        plot_element_maps(make_map(np.zeros((3, 3))))
    with pytest.raises(ParameterError, match="columns"):
        plot_element_maps(element_maps(2), columns=0)
