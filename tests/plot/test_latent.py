import itertools
import tracemalloc

import numpy as np
import pytest
from drawing import colour_at, pixels

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot import NOISE_COLOUR, phase_colours, plot_latent
from sigma_scale.plot.latent_raster import BATCH, rasterise_latent
from sigma_scale.plot.number_places import place_numbers

SIZE = (90, 70)


def cloud(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


@pytest.mark.parametrize("labelled", [False, True])
def test_every_finite_point_is_counted_once(labelled):
    points = cloud(BATCH + 12_345)
    points[::7, 0] = np.nan
    points[3::11, 1] = np.inf
    labels = np.arange(len(points)) % 5 if labelled else None
    raster = rasterise_latent(points, labels, phase_colours(range(5)), SIZE)
    assert raster.counts.sum() == np.isfinite(points).all(axis=1).sum()
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    wanted, _, _ = np.histogram2d(
        finite[:, 1], finite[:, 0], bins=SIZE[::-1], range=[raster.y_range, raster.x_range]
    )
    assert np.count_nonzero(raster.counts) == np.count_nonzero(wanted)
    # Points on the edge between cells may go either way.
    assert np.abs(raster.counts - wanted).sum() < 20


def test_cells_have_the_mean_colour_of_their_points():
    points = np.array([[0.0, 0.0]] * 3 + [[1.0, 1.0]])
    raster = rasterise_latent(
        points, np.array([0, 0, 1, -1]), {0: "#ff0000", 1: "#0000ff", -1: "#808080"}, SIZE
    )
    cells = np.argwhere(raster.counts)
    mixed, single = (raster.colour[tuple(cell)] for cell in cells)
    np.testing.assert_allclose(mixed, [2 / 3, 0, 1 / 3])
    np.testing.assert_allclose(single, [128 / 255] * 3)


def test_medians_are_those_of_the_points():
    points, labels = cloud(50_001), np.arange(50_001) % 3
    points += np.array([[0, 0], [5, 2], [-4, 9]])[labels]
    raster = rasterise_latent(points, labels, phase_colours(range(3)), (900, 700))
    for label in range(3):
        wanted = np.median(points[labels == label], axis=0)
        np.testing.assert_allclose(raster.medians[label], wanted, atol=0.03)


def test_medians_begin_with_the_phase_of_most_points():
    labels = np.repeat([0, 1, 2, -1], [10, 30, 20, 99])
    raster = rasterise_latent(cloud(labels.size), labels, phase_colours([-1, 0, 1, 2]), SIZE)
    assert list(raster.medians) == [1, 2, 0]


def test_numbers_stand_at_the_medians_and_noise_has_none():
    points = cloud(9000) * 0.1
    labels = np.arange(9000) % 3 - 1
    points += np.array([[0, 0], [5, 2], [-4, 9]])[labels]
    figure = plot_latent(points, labels, names={1: "Iron"})
    texts = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert set(texts) == {"0", "1"}
    np.testing.assert_allclose(texts["1"], (5, 2), atol=0.1)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["Phase 0", "1  Iron", "Noise"]


def test_only_listed_phases_are_named_and_numbered():
    points = np.repeat([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0], [3.0, 2.0]], 50, axis=0)
    names = {0: "0: Si O", 1: "1: Fe", 2: "2: Ca"}
    figure = plot_latent(points, np.repeat([0, 1, 2, -1], 50), names=names, listed=[1])
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["1"]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["1: Fe", "Noise", "and 2 more"]


def test_numbers_of_neighbours_do_not_overlap():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), np.arange(40, 0, -1) * 20)
    points = rng.uniform(0, 0.2, (40, 2))[labels] + rng.normal(0, 0.2, (labels.size, 2))
    figure = plot_latent(points, labels)
    pixels(figure)
    texts = {int(text.get_text()): text for text in figure.axes[0].texts}
    assert 0 in texts
    assert 10 < len(texts) < 40
    boxes = [super(type(text), text).get_window_extent() for text in texts.values()]
    for first, second in itertools.combinations(boxes, 2):
        # A line's box is higher than its digits.
        assert abs(first.x0 + first.x1 - second.x0 - second.x1) >= 0.9 * (
            first.width + second.width
        ) or abs(first.y0 + first.y1 - second.y0 - second.y1) >= 0.7 * (
            first.height + second.height
        )


def test_places_of_numbers():
    alone = {7: (10.0, 10.0), 12: (200.0, 10.0)}
    assert place_numbers(alone, 10) == alone
    crowd = dict.fromkeys(range(8), (50.0, 50.0))
    places = place_numbers(crowd, 10)
    assert list(places) == [0, 1, 2, 3, 4]
    assert places[0] == (50.0, 50.0)
    assert len(set(places.values())) == 5
    fewer = place_numbers({k: crowd[k] for k in range(3)}, 10)
    assert fewer == {k: places[k] for k in range(3)}
    assert place_numbers({}, 10) == {}


def test_labelled_points_have_their_colours_on_paper():
    points = np.repeat([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], 500, axis=0)
    figure = plot_latent(points, np.repeat([0, 1, -1], 500))
    ax = figure.axes[0]
    wanted = phase_colours([0, 1, -1])
    assert colour_at(figure, ax, 0, 0) == wanted[0]
    assert colour_at(figure, ax, 1, 1) == wanted[1]
    assert colour_at(figure, ax, 2, 0) == NOISE_COLOUR


def test_maps_are_taken_as_they_are():
    points = cloud(600)
    flat = plot_latent(points, np.arange(600) % 2)
    shaped = plot_latent(points.reshape(20, 30, 2), (np.arange(600) % 2).reshape(20, 30))
    np.testing.assert_array_equal(pixels(flat), pixels(shaped))


@pytest.mark.parametrize(
    "points", [np.zeros((1, 2)), np.full((1000, 2), 3e6), np.array([[0.0, 1.0], [0.0, 2.0]])]
)
@pytest.mark.parametrize("labelled", [False, True])
def test_points_without_extent_draw(points, labelled):
    figure = plot_latent(points, np.zeros(len(points), int) if labelled else None)
    ax = figure.axes[0]
    (picture,) = ax.images
    assert np.count_nonzero(np.asarray(picture.get_array())[..., 3]) > 0
    x, y = points[0]
    assert ax.get_xlim()[0] < x < ax.get_xlim()[1]
    assert ax.get_ylim()[0] < y < ax.get_ylim()[1]
    drawn = pixels(figure)
    column, row = (round(v) for v in ax.transData.transform((x, y)))
    row = drawn.shape[0] - row
    assert drawn[row - 3 : row + 3, column - 3 : column + 3, :3].min() < 255


def test_memory_is_bounded_whatever_the_points_and_labels():
    points, labels = cloud(2_500_000), np.arange(2_500_000) % 100
    plot_latent(points[:1000], labels[:1000])  # imports and compiles
    tracemalloc.start()
    try:
        plot_latent(points, labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 250e6


def test_wrong_latents_are_refused():
    with pytest.raises(ShapeMismatchError, match=r"\(5, 3\)"):
        plot_latent(np.zeros((5, 3)))
    with pytest.raises(ShapeMismatchError, match=r"\(4,\).*\(5,\)"):
        plot_latent(np.zeros((5, 2)), np.zeros(4, int))
    with pytest.raises(EmptyMapError, match="no point"):
        plot_latent(np.full((5, 2), np.nan))
    with pytest.raises(EmptyMapError, match="no point"):
        plot_latent(np.zeros((0, 2)))
    with pytest.raises(ParameterError, match="float64"):
        plot_latent(np.zeros((5, 2)), np.zeros(5))
    with pytest.raises(ParameterError, match="-3"):
        plot_latent(np.zeros((5, 2)), np.full(5, -3))
    with pytest.raises(ParameterError, match="'best'"):
        plot_latent(np.zeros((5, 2)), how="best")
    with pytest.raises(ParameterError, match="size"):
        plot_latent(np.zeros((5, 2)), size=(0, 5))
