import dask.array as da
import numpy as np
import pytest
from drawing import bar_label, colour_at, make_map, pixels, scale_bars

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot import NOISE_COLOUR, phase_colours, plot_phase_map
from sigma_scale.plot.phase_map import area_shares, share_text


def stripes(*labels, rows=30):
    return np.repeat(np.array(labels, dtype=np.int32), 10)[None].repeat(rows, axis=0)


def legend_of(figure):
    legend = figure.axes[0].get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    return dict(zip(texts, legend.legend_handles, strict=True))


def test_pixels_have_their_phases_colours():
    figure = plot_phase_map(make_map(stripes(0, 4, -1), 1.0))
    ax = figure.axes[0]
    wanted = phase_colours([0, 4])
    assert colour_at(figure, ax, 5, 15) == wanted[0]
    assert colour_at(figure, ax, 15, 15) == wanted[4]
    assert colour_at(figure, ax, 25, 15) == NOISE_COLOUR


def test_given_colours_and_names_are_used_and_noise_comes_last():
    from matplotlib.colors import to_hex

    figure = plot_phase_map(
        make_map(stripes(-1, 0, 2, 2), 1.0), names={2: "Fe_2 O_3 & $x$"}, colours={2: "#123456"}
    )
    legend = legend_of(figure)
    assert list(legend) == ["Phase 0  25.0 %", r"Fe_2 O_3 & \$x\$  50.0 %", "Noise  25.0 %"]
    handle = list(legend.values())[1]
    assert to_hex(handle.get_facecolor()) == "#123456"
    assert colour_at(figure, figure.axes[0], 25, 15) == "#123456"


def test_phases_that_are_not_listed_are_counted_in_one_line():
    labels = make_map(stripes(-1, 0, 1, 2, 3), 1.0)
    figure = plot_phase_map(labels, listed=[0, 2, 9])
    entries = list(legend_of(figure))
    assert entries == ["Phase 0  20.0 %", "Phase 2  20.0 %", "Noise  20.0 %", "and 2 more  40.0 %"]
    assert colour_at(figure, figure.axes[0], 25, 15) == phase_colours([1])[1]
    assert len(legend_of(plot_phase_map(labels, listed=range(4)))) == 5


def test_areas_are_counted_over_all_pixels_of_a_lazy_map():
    rng = np.random.default_rng(0)
    labels = rng.choice([-1, 0, 7, 1000], p=[0.1, 0.6, 0.2998, 0.0002], size=(700, 900))
    shares = area_shares(make_map(da.from_array(labels.astype(np.int32), chunks=(128, 100))))
    assert sum(shares.values()) == pytest.approx(1)
    for label in (-1, 0, 7, 1000):
        assert shares[label] == np.count_nonzero(labels == label) / labels.size
    assert list(shares) == [-1, 0, 7, 1000]


def test_thinning_keeps_the_legend_exact():
    labels = np.zeros((400, 400), dtype=np.int32)
    labels[::20, ::20] = 1  # one pixel of each block: never its mode
    figure = plot_phase_map(make_map(labels), max_side=20)
    assert list(legend_of(figure)) == ["Phase 0  99.8 %", "Phase 1  0.25 %"]
    assert figure.axes[0].images[0].get_array().shape == (20, 20, 3)


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100 %"), (0.99999, "> 99.9 %"), (0.123, "12.3 %"), (0.0005, "0.05 %"),
     (0.00001, "< 0.01 %"), (0, "0 %")],
)  # fmt: skip
def test_rare_phases_are_not_rounded_away(share, text):
    assert share_text(share) == text


def test_sixty_phases_have_their_legend_inside_the_figure():
    labels = np.arange(60, dtype=np.int32).reshape(6, 10).repeat(8, 0).repeat(8, 1)
    figure = plot_phase_map(make_map(labels, 1.0))
    assert len(legend_of(figure)) == 60
    pixels(figure)
    width, height = figure.get_size_inches() * figure.dpi
    box = figure.axes[0].get_legend().get_window_extent()
    assert box.x1 <= width
    assert box.y0 >= 0
    assert box.y1 <= height
    assert box.x0 > figure.axes[0].get_window_extent().x1


def test_long_names_fit():
    figure = plot_phase_map(make_map(stripes(0)), names={0: "A very long name of a mineral " * 3})
    pixels(figure)
    box = figure.axes[0].get_legend().get_window_extent()
    assert box.x1 <= figure.get_size_inches()[0] * figure.dpi


def test_all_noise_and_one_row_draw():
    figure = plot_phase_map(make_map(np.full((5, 5), -1, np.int32), 1000.0))
    assert list(legend_of(figure)) == ["Noise  100 %"]
    assert colour_at(figure, figure.axes[0], 2500, 2500) == NOISE_COLOUR
    (bar,) = scale_bars(plot_phase_map(make_map(stripes(0, 1, 2, rows=1), 1.0)))
    assert bar_label(bar).startswith("5 µm")


def test_wrong_labels_are_refused():
    with pytest.raises(ParameterError, match="float64"):
        plot_phase_map(make_map(np.zeros((3, 3))))
    with pytest.raises(ParameterError, match="-5"):
        plot_phase_map(make_map(np.full((3, 3), -5)))
    with pytest.raises(ShapeMismatchError, match="'line'"):
        plot_phase_map(make_map(np.zeros((3, 3, 2), np.int32)))
    with pytest.raises(EmptyMapError, match="0 rows"):
        plot_phase_map(make_map(np.zeros((0, 3), np.int32)))
    with pytest.raises(ParameterError, match="'bluish'"):
        plot_phase_map(make_map(np.zeros((3, 3), np.int32)), colours={0: "bluish"})


@pytest.mark.parametrize("max_side", [2000, 20])
def test_gaps_are_neither_drawn_nor_counted(max_side):
    labels = make_map(stripes(0, 4, -1, -1), 1.0)
    measured = np.ones(labels.shape, bool)
    measured[:, 30:] = False
    measured[:, :5] = False  # these belong to a cluster all the same
    gapped = labels.assign_coords(measured=(("y", "x"), measured))
    assert area_shares(gapped) == {-1: 1 / 3, 0: 1 / 3, 4: 1 / 3}
    figure = plot_phase_map(gapped, max_side=max_side)
    ax = figure.axes[0]
    wanted = phase_colours([0, 4])
    assert colour_at(figure, ax, 2, 15) == wanted[0]
    assert colour_at(figure, ax, 15, 15) == wanted[4]
    assert colour_at(figure, ax, 25, 15) == NOISE_COLOUR
    assert colour_at(figure, ax, 35, 15) == "#ffffff"
    assert list(legend_of(figure)) == ["Phase 0  33.3 %", "Phase 4  33.3 %", "Noise  33.3 %"]


def test_a_map_with_noise_in_gaps_only_has_no_noise():
    labels = make_map(stripes(0, -1), 1.0)
    gapped = labels.assign_coords(measured=labels >= 0)
    assert area_shares(gapped) == {0: 1.0}
    assert list(legend_of(plot_phase_map(gapped))) == ["Phase 0  100 %"]
