"""Frames of maps: majorities and means of blocks against plain Python, and what is seen where."""

import dask
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.plot import map_picture
from sigma_scale.plot.map_picture import LabelPicture, ValuePicture
from sigma_scale.plot.viewport import Viewport, packed_colours

COLOURS = {label: f"#{label + 2:02x}0000" for label in range(-1, 40)}


def labels_of(frame, opacity=255):
    """Labels that a frame shows, by the colours above; -9 where it is transparent."""
    found = frame.astype("<u4").view(np.uint8).reshape(*frame.shape, 4).astype(int)
    assert set(np.unique(found[..., 3])) <= {0, opacity}
    return np.where(found[..., 3] > 0, found[..., 0] - 2, -9)


def blocks(values, rows, columns):
    for top in range(0, values.shape[0], rows):
        yield [
            values[top : top + rows, left : left + columns].ravel()
            for left in range(0, values.shape[1], columns)
        ]


def majority(members):
    names, counts = np.unique(members, return_counts=True)
    return names[counts.argmax()]  # the first of the largest, and names ascend


def seen(picture, shape, factors):
    """Viewport in which each block is a pixel of the screen."""
    rows, columns = (-(-size // factor) for size, factor in zip(shape, factors, strict=True))
    return Viewport(
        (-0.5, columns * factors[1] - 0.5), (rows * factors[0] - 0.5, -0.5), columns, rows
    )


def covered(shape, factors):
    """Blocks whose centre lies in the map: that of a last one, cut off by its edge, may not."""
    rows, columns = (
        (np.arange(-(-size // factor)) + 0.5) * factor < size
        for size, factor in zip(shape, factors, strict=True)
    )
    return np.outer(rows, columns)


FACTORS = st.tuples(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4, 8]))


@given(st.integers(1, 37), st.integers(1, 37), FACTORS, st.integers(0, 1000))
def test_labels_are_majorities(rows, columns, factors, seed):
    labels = np.random.default_rng(seed).integers(-1, 4, (rows, columns), dtype=np.int32)
    picture = LabelPicture(labels)
    frame = picture.render(seen(picture, labels.shape, factors), COLOURS)
    wanted = [[majority(block) for block in line] for line in blocks(labels, *factors)]
    inside = covered(labels.shape, factors)
    np.testing.assert_array_equal(labels_of(frame), np.where(inside, wanted, -9))


@given(st.integers(1, 37), st.integers(1, 37), FACTORS, st.integers(0, 1000))
def test_values_are_means_without_nan(rows, columns, factors, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns))
    values[rng.random(values.shape) < 0.4] = np.nan
    picture = ValuePicture(values)
    frame = picture.render(seen(picture, values.shape, factors), "magma", (-1.5, 1.5))
    wanted = np.zeros(frame.shape, np.uint32)
    inside = covered(values.shape, factors)
    for row, line in enumerate(blocks(values, *factors)):
        for column, block in enumerate(line):
            known = block[np.isfinite(block)]
            if known.size and inside[row, column]:
                mean = np.float32(known.mean()) if factors != (1, 1) else known[0]
                share = mpl.colors.Normalize(-1.5, 1.5)(float(mean))
                red, green, blue, _ = mpl.colormaps["magma"](share, bytes=True)
                wanted[row, column] = int(red) | int(green) << 8 | int(blue) << 16 | 255 << 24
    # A mean on the border of two colours, to float32, may go either way.
    assert np.count_nonzero(frame != wanted) <= frame.size // 1000


def test_many_labels_and_threads_change_nothing(monkeypatch):
    labels = np.random.default_rng(0).integers(-1, 40, (300, 204), dtype=np.int32)
    wanted = [[majority(block) for block in line] for line in blocks(labels, 16, 16)]
    monkeypatch.setattr(map_picture, "_PART", 100)
    for workers in (1, 3):
        with dask.config.set(num_workers=workers):
            picture = LabelPicture(labels)
            frame = picture.render(seen(picture, labels.shape, (16, 16)), COLOURS)
        np.testing.assert_array_equal(labels_of(frame), wanted)


def test_only_the_visible_part_is_shown_and_the_nearest_pixel_where_it_is_magnified():
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    picture = LabelPicture(labels)
    frame = picture.render(Viewport((0.5, 2.5), (1.5, -0.5), 6, 4), COLOURS)
    np.testing.assert_array_equal(
        labels_of(frame), labels[:2, 1:3].repeat(2, axis=0).repeat(3, axis=1)
    )
    beyond = labels_of(picture.render(Viewport((-2.5, 5.5), (-1.5, 3.5), 8, 5), COLOURS))
    np.testing.assert_array_equal(beyond[1:4, 2:6], labels)
    assert (beyond == -9).sum() == 40 - 12


def test_the_first_row_of_the_map_is_the_first_of_the_frame_whichever_way_the_axis_runs():
    labels = np.array([[0], [1], [2]], np.int32)
    picture = LabelPicture(labels)
    assert picture.y_range == (2.5, -0.5)
    for y_range in (picture.y_range, picture.y_range[::-1]):
        frame = picture.render(Viewport(picture.x_range, y_range, 1, 3), COLOURS)
        assert labels_of(frame).ravel().tolist() == [0, 1, 2]


def test_no_block_is_larger_than_what_a_pixel_of_the_screen_covers():
    labels = np.random.default_rng(0).integers(0, 9, (100, 100), dtype=np.int32)
    picture = LabelPicture(labels)
    picture.render(Viewport((-0.5, 99.5), (-0.5, 99.5), 25, 15), COLOURS)  # 4 and 6.7 each
    assert list(picture._levels._kept) == [(4, 4)]
    picture.render(Viewport((-0.5, 99.5), (-0.5, 99.5), 60, 30), COLOURS)  # 1.7 and 3.3
    assert list(picture._levels._kept) == [(4, 4), (2, 1)]


def test_levels_are_kept_and_bounded(monkeypatch):
    picture = ValuePicture(np.random.default_rng(0).random((64, 300)))
    viewports = [Viewport((-0.5, 299.5), (-0.5, 63.5), width, 16) for width in range(20, 300, 20)]
    frames = [picture.render(viewport, "gray", (0, 1)) for viewport in viewports]
    assert len(picture._levels._kept) <= 6
    monkeypatch.setattr(map_picture, "block_means", None)
    np.testing.assert_array_equal(picture.render(viewports[-1], "gray", (0, 1)), frames[-1])


def test_hidden_labels_are_transparent():
    labels = np.array([[-1, 0, 1]], np.int32)
    picture = LabelPicture(labels)
    frame = picture.render(seen(picture, (1, 3), (1, 1)), COLOURS, hidden={0})
    assert labels_of(frame).ravel().tolist() == [-1, -9, 1]


@pytest.mark.parametrize("factor", [1, 4])
def test_selected_pixels_stand_out_in_their_own_colours(factor):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, (40, 31), dtype=np.int32)
    selected = rng.random(labels.shape) < 0.05
    picture = LabelPicture(labels)
    viewport = seen(picture, labels.shape, (factor, factor))
    frame = picture.render(viewport, COLOURS, selected=selected)
    opacity = frame >> 24
    marks = np.array([[b.any() for b in line] for line in blocks(selected, factor, factor)])
    assert (opacity[marks] == 255).all()
    assert (opacity[~marks] < 128).all()
    wanted = [
        [majority(b[m]) if m.any() else majority(b) for b, m in zip(*lines, strict=True)]
        for lines in zip(
            blocks(labels, factor, factor), blocks(selected, factor, factor), strict=True
        )
    ]
    np.testing.assert_array_equal((frame & 255).astype(int) - 2, wanted)
    flat = picture.render(viewport, COLOURS, selected=selected.ravel())
    np.testing.assert_array_equal(flat, frame)
    none = picture.render(viewport, COLOURS, selected=np.zeros_like(selected))
    assert (none >> 24 < 128).all()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_empty_maps_are_transparent(shape):
    for picture, arguments in (
        (LabelPicture(np.zeros(shape, np.int32)), ({},)),
        (ValuePicture(np.zeros(shape)), ("gray", (0, 1))),
    ):
        viewport = Viewport(picture.x_range, picture.y_range, 3, 2)
        assert not picture.render(viewport, *arguments).any()


def test_views_beside_the_map_are_transparent():
    picture = LabelPicture(np.zeros((4, 4), np.int32))
    assert not picture.render(Viewport((10, 20), (0, 3), 5, 5), COLOURS).any()
    assert not picture._levels._kept


@pytest.mark.parametrize("factor", [1, 4])
def test_gaps_are_not_drawn_but_for_pixels_with_a_label(factor):
    labels = np.repeat(np.repeat([[-1, -1, 0], [-1, 2, -1]], factor, axis=0), factor, axis=1)
    gaps = np.repeat(np.repeat([[1, 0, 1], [1, 1, 0]], factor, axis=0), factor, axis=1) > 0
    height, width = labels.shape
    colours = {-1: "#808080", 0: "#ff0000", 2: "#0000ff"}
    viewport = Viewport((-0.5, width - 0.5), (-0.5, height - 0.5), 3, 2)
    for given_gaps in (gaps, gaps.ravel()):
        frame = LabelPicture(labels, given_gaps).render(viewport, colours)
        np.testing.assert_array_equal(frame > 0, [[0, 1, 1], [0, 1, 1]])
        whole = LabelPicture(labels).render(viewport, colours)
        np.testing.assert_array_equal(frame[frame > 0], whole[frame > 0])
    hidden = LabelPicture(labels, gaps).render(viewport, colours, hidden=[-1])
    np.testing.assert_array_equal(hidden > 0, [[0, 0, 1], [0, 1, 0]])


def test_blocks_half_in_a_gap_show_what_they_hold_most_of():
    labels = np.full((4, 8), -1, np.int32)
    labels[:, 4:] = 3
    gaps = np.zeros((4, 8), bool)
    gaps[:, :3] = True
    gaps[:, 4:] = True
    viewport = Viewport((-0.5, 7.5), (-0.5, 3.5), 2, 1)
    frame = LabelPicture(labels, gaps).render(viewport, {-1: "#808080", 3: "#0000ff"})
    np.testing.assert_array_equal(frame > 0, [[False, True]])
    # What is selected is seen even so.
    picked = np.zeros((4, 8), bool)
    picked[0, 3] = True
    frame = LabelPicture(labels, gaps).render(
        viewport, {-1: "#808080", 3: "#0000ff"}, selected=picked
    )
    assert frame[0, 0] == 0xFF808080


def test_values_beyond_the_limits_and_limits_without_extent():
    picture = ValuePicture(np.array([[-5.0, 0.0, 5.0, np.inf]]))
    colours = packed_colours("viridis")
    frame = picture.render(seen(picture, (1, 4), (1, 1)), "viridis", (-1, 1))
    assert frame[0].tolist() == [colours[0], colours[128], colours[255], 0]
    frame = picture.render(seen(picture, (1, 4), (1, 1)), "viridis", (1, 1))
    assert frame[0].tolist() == [colours[0]] * 3 + [0]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.float32, bool])
def test_values_of_any_type(dtype):
    picture = ValuePicture(np.array([[0, 1]], dtype))
    frame = picture.render(seen(picture, (1, 2), (1, 1)), "gray", (0, 1))
    assert frame[0].tolist() == [0xFF000000, 0xFFFFFFFF]


def test_faults_are_named():
    with pytest.raises(ShapeMismatchError, match=r"\(4,\)"):
        LabelPicture(np.zeros(4, int))
    with pytest.raises(ParameterError, match="float64"):
        LabelPicture(np.zeros((4, 4)))
    with pytest.raises(ParameterError, match="-3"):
        LabelPicture(np.full((4, 4), -3))
    with pytest.raises(ShapeMismatchError, match=r"gaps have the shape \(3, 3\)"):
        LabelPicture(np.zeros((4, 4), int), np.zeros((3, 3), bool))
    with pytest.raises(ParameterError, match="complex"):
        ValuePicture(np.zeros((4, 4), complex))
    picture = LabelPicture(np.full((4, 4), 7, np.int32))
    viewport = seen(picture, (4, 4), (1, 1))
    with pytest.raises(ParameterError, match="Label 7 has no colour"):
        picture.render(viewport, {0: "red"})
    with pytest.raises(ShapeMismatchError, match=r"\(3, 3\)"):
        picture.render(viewport, COLOURS, selected=np.zeros((3, 3), bool))
    for limits in ((1, 0), (0, np.nan)):
        with pytest.raises(ParameterError, match="limits"):
            ValuePicture(np.zeros((4, 4))).render(viewport, "gray", limits)
