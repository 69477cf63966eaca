"""Frames of points: their counts, colours and opacities, against NumPy and datashader."""

import dask
import datashader as ds
import datashader.transfer_functions as tf
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.plot import point_picture
from sigma_scale.plot.palette import phase_colour, phase_colours
from sigma_scale.plot.point_picture import PointPicture, sum_colours
from sigma_scale.plot.viewport import Viewport, colour_table

COLOURS = phase_colours(range(-1, 5))


def cloud(n=20_000, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)).astype(dtype), rng.integers(-1, 5, n, dtype=np.int32)


def channels(frame):
    """Red, green, blue and opacity, shape (height, width, 4)."""
    return frame.astype("<u4").view(np.uint8).reshape(*frame.shape, 4)


def counts(picture, viewport):
    sums = sum_colours(
        picture._cells(viewport), viewport.width * viewport.height, None, colour_table({-1: "red"})
    )
    return sums[0, :, 3].reshape(viewport.height, viewport.width)


def wide(picture, width=90, height=60):
    return Viewport(picture.x_range, picture.y_range, width, height)


@given(
    st.integers(0, 400), st.tuples(st.integers(1, 40), st.integers(1, 40)), st.booleans(),
    st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_counts_are_those_of_numpy(n, size, inverted, dtype):
    width, height = size
    points, _ = cloud(n, n, dtype)
    points[::5, 0] = np.nan
    points[1::7, 1] = -np.inf
    x_range, y_range = (-0.7, 1.3), (-1.1, 2.0)
    viewport = Viewport(x_range, y_range[::-1] if inverted else y_range, width, height)
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    wanted, *_ = np.histogram2d(
        finite[:, 1], finite[:, 0], bins=(height, width), range=(y_range, x_range)
    )
    np.testing.assert_array_equal(counts(PointPicture(points), viewport), wanted)


def test_colours_are_those_of_datashaders_shading_by_category():
    points, labels = cloud(200_000)
    picture = PointPicture(points)
    viewport = wide(picture)
    canvas = ds.Canvas(90, 60, x_range=picture.x_range, y_range=picture.y_range)
    names = [str(k) for k in range(-1, 5)]
    frame = pd.DataFrame(points.astype(np.float64), columns=["x", "y"])
    frame["c"] = pd.Categorical.from_codes(labels + 1, names)
    grid = canvas.points(frame, "x", "y", ds.count_cat("c"))
    key = dict(zip(names, COLOURS.values(), strict=True))
    theirs = tf.shade(grid, color_key=key, min_alpha=255, how="linear").to_numpy()
    ours = channels(picture.render(viewport, labels, COLOURS))
    number = grid.to_numpy().sum(axis=-1)
    dense = number > 3
    np.testing.assert_array_equal(ours[..., 3] > 0, number > 0)
    difference = ours[dense, :3].astype(int) - channels(theirs)[dense, :3]
    # Theirs cuts off what ours rounds; a point at the border of cells may go either way.
    assert (np.abs(difference).max(axis=1) <= 1).mean() > 0.999
    assert dense.sum() > 1000


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_frames_are_the_same_for_any_number_of_threads(workers, monkeypatch):
    points, labels = cloud(5000)
    wanted = PointPicture(points)
    frame = wanted.render(wide(wanted), labels, COLOURS, selected=labels == 2)
    monkeypatch.setattr(point_picture, "_PART", 1000)
    monkeypatch.setattr(point_picture, "_MOST_SUMMED", 700)
    with dask.config.set(num_workers=workers):
        picture = PointPicture(points)
        again = picture.render(wide(picture), labels, COLOURS, selected=labels == 2)
    assert (picture.x_range, picture.y_range) == (wanted.x_range, wanted.y_range)
    np.testing.assert_array_equal(again, frame)


def test_opacity_grows_with_the_number_of_points_and_ignores_labels():
    points, labels = cloud(100_000)
    picture = PointPicture(points)
    viewport = wide(picture)
    opacity = channels(picture.render(viewport, labels, COLOURS))[..., 3]
    number = counts(picture, viewport)
    order = np.argsort(number[number > 0])
    assert (np.diff(opacity[number > 0][order].astype(int)) >= 0).all()
    assert opacity[number > 0].min() >= 80  # a single point is seen
    assert opacity.max() == 255
    other = channels(picture.render(viewport, np.zeros_like(labels), COLOURS))
    np.testing.assert_array_equal(other[..., 3], opacity)
    assert (other[number > 0, :3] == channels(np.array([0xFFB27200], np.uint32))[0, :3]).all()


def test_a_new_labelling_is_drawn_from_kept_cells(monkeypatch):
    points, labels = cloud()
    picture = PointPicture(points)
    picture.render(wide(picture), labels, COLOURS)
    fresh = PointPicture(points).render(wide(picture), labels[::-1], COLOURS)
    monkeypatch.setattr(point_picture, "find_cells", None)
    np.testing.assert_array_equal(picture.render(wide(picture), labels[::-1], COLOURS), fresh)
    with pytest.raises(TypeError):
        picture.render(wide(picture, 91), labels, COLOURS)


def test_hidden_labels_leave_no_trace():
    points, labels = cloud()
    picture = PointPicture(points)
    shown = labels != 3
    wanted = PointPicture(np.where(shown[:, None], points, np.nan))
    np.testing.assert_array_equal(
        picture.render(wide(picture), labels, COLOURS, hidden=[3]),
        wanted.render(wide(picture), labels, COLOURS),
    )
    assert not picture.render(wide(picture), labels, COLOURS, hidden=range(-1, 5)).any()


def test_selected_points_stand_out():
    points = np.repeat([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], [50, 50, 50], axis=0)
    labels = np.repeat([0, 1, 2], 50).astype(np.int32)
    labels[:10] = 3
    selected = labels == 3
    viewport = Viewport((-0.5, 2.5), (-0.5, 1.5), 3, 2)
    frame = channels(PointPicture(points).render(viewport, labels, COLOURS, selected=selected))
    assert "#{:02x}{:02x}{:02x}".format(*frame[0, 0, :3]) == COLOURS[3]  # over its 40 neighbours
    assert "#{:02x}{:02x}{:02x}".format(*frame[1, 1, :3]) == COLOURS[1]
    assert frame[0, 0, 3] == 255
    assert 0 < frame[1, 1, 3] < 80


def test_few_points_are_discs():
    picture = PointPicture([[0.0, 0.0], [10.0, 10.0]])
    frame = picture.render(wide(picture, 900, 600), np.zeros(2, np.int32), COLOURS)
    assert np.count_nonzero(frame) == 2 * 21
    rows, columns = np.nonzero(frame)
    assert np.ptp(rows[rows < 300]) == np.ptp(columns[columns < 450]) == 4
    assert (channels(frame)[frame > 0, 3] == 255).all()


def test_the_first_row_lies_at_the_smallest_y_whichever_way_the_axis_runs():
    points = np.array([[0.0, 0.0]] * 3 + [[3.0, 9.0]])
    for y_range in ((-0.5, 9.5), (9.5, -0.5)):
        frame = PointPicture(points).render(Viewport((-0.5, 3.5), y_range, 4, 10), None, {})
        assert frame[0, 0] != 0
        assert frame[9, 3] != 0


def test_density_has_one_colour():
    points, _ = cloud()
    picture = PointPicture(points)
    frame = channels(picture.render(wide(picture), None, {}))
    found = {tuple(colour) for colour in frame[frame[..., 3] > 0, :3].tolist()}
    assert {"#{:02x}{:02x}{:02x}".format(*colour) for colour in found} == {phase_colour(0)}


@pytest.mark.parametrize(
    "points",
    [np.zeros((0, 2)), np.full((5, 2), np.nan), np.zeros((5, 3), np.float32), np.ones((1, 2), int)],
)
def test_degenerate_points_draw_or_are_empty(points):
    picture = PointPicture(points)
    frame = picture.render(wide(picture), np.zeros(len(points), np.int32), COLOURS)
    assert frame.shape == (60, 90)
    assert frame.any() == np.isfinite(points).any()
    far = picture.render(Viewport((50, 60), (50, 60), 9, 6), None, {})
    assert not far.any()


def test_points_are_kept_as_they_are_or_only_their_first_two_columns():
    points = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    points.flags.writeable = False
    assert PointPicture(points)._points is points
    strided = points[:, 1:3]
    assert PointPicture(strided)._points.dtype == np.float32
    np.testing.assert_array_equal(PointPicture(strided)._points, strided)


def test_faults_are_named():
    picture = PointPicture(np.zeros((4, 2)))
    with pytest.raises(ShapeMismatchError, match=r"\(4,\)"):
        PointPicture(np.zeros(4))
    with pytest.raises(ParameterError, match="complex"):
        PointPicture(np.zeros((4, 2), complex))
    with pytest.raises(ShapeMismatchError, match=r"4 points.*labels.*\(3,\)"):
        picture.render(wide(picture), np.zeros(3, np.int32), COLOURS)
    with pytest.raises(ShapeMismatchError, match="selection"):
        picture.render(wide(picture), None, {}, selected=np.zeros(3, bool))
    for label in (7, -2):
        with pytest.raises(ParameterError, match=f"Label {label} has no colour"):
            picture.render(wide(picture), np.full(4, label, np.int32), COLOURS)
