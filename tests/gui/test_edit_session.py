"""What can be picked among clusters and pixels, and what edits make of it."""

import numpy as np
import pytest
from matplotlib.path import Path
from numpy.testing import assert_array_equal
from small_clusters import COLUMNS, ROWS, make_segmenter

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.gui.edit_session import EditSession

AROUND_FIRST = [(-3, -3), (3, -3), (3, 3), (-3, 3)]


@pytest.fixture
def session():
    return EditSession(make_segmenter())


def inside(ps, corners):
    return Path(corners).contains_points(ps.latent)


@pytest.mark.parametrize(
    "corners",
    [
        AROUND_FIRST,
        [(-2, -2), (12, 2), (12, -2), (-2, 2)],  # crosses itself
        [(-1, -1), (0.2, 3), (3, 0.1), (9, -4), (11, 11)],
    ],
)
def test_a_lasso_picks_and_relabels_every_pixel_inside(session, corners):
    ps = session.ps
    expected = inside(ps, corners)
    session.pick_polygon(corners)
    assert_array_equal(session.pixels, expected)
    assert session.n_pixels == expected.sum() > 0
    before = ps.labels.copy()
    made = session.create(name="new")
    assert made == 3
    assert_array_equal(ps.labels, np.where(expected, 3, before))
    assert ps.cluster_names[3] == "new"
    assert session.clusters == (3,)
    assert ps.edit_log[-1]["polygon"] == np.asarray(corners, float).tolist()


def test_noise_is_left_out_where_it_is_not_included():
    noise = [0, 5, 41]
    session = EditSession(make_segmenter(noise))
    session.include_noise = False
    assert session.hidden == {-1}
    expected = inside(session.ps, AROUND_FIRST)
    expected[noise] = False
    session.pick_polygon(AROUND_FIRST)
    assert_array_equal(session.pixels, expected)
    session.create()
    assert_array_equal(np.flatnonzero(session.ps.labels == -1), noise)
    assert_array_equal(session.ps.labels == 3, expected)


def test_a_lasso_around_noise_alone_says_so():
    session = EditSession(make_segmenter(range(ROWS * COLUMNS)))
    session.include_noise = False
    with pytest.raises(EmptyMapError, match="Include the noise"):
        session.pick_polygon(AROUND_FIRST)
    assert session.pixels is None


def test_an_empty_lasso_keeps_what_was_picked(session):
    session.pick_clusters([1])
    with pytest.raises(EmptyMapError, match="No pixel"):
        session.pick_polygon([(50, 50), (51, 50), (51, 51)])
    assert session.clusters == (1,)


def test_pixels_of_the_map_are_picked_and_moved(session):
    mask = np.zeros((ROWS, COLUMNS), bool)
    mask[3:7, 8:20] = True
    session.pick_pixels(mask)
    session.move(2)
    assert (session.ps.label_map.to_numpy()[mask] == 2).all()
    assert session.clusters == (2,)
    session.pick_pixels(mask)
    session.move(-1)
    assert (session.ps.label_map.to_numpy()[mask] == -1).all()


def test_a_tap_picks_the_cluster_that_most_points_near_it_belong_to(session):
    session.pick_near(10.0, 0.0, (1.0, 1.0))
    assert session.clusters == (1,)
    with pytest.raises(EmptyMapError):
        session.pick_near(50.0, 0.0, (1.0, 1.0))
    session.pick_cluster_of(4, 39)
    assert session.clusters == (2,)


def test_clusters_are_merged_recoloured_and_renamed(session):
    ps = session.ps
    sizes = ps.cluster_sizes
    session.pick_clusters([0, 2])
    session.recolour("#123456")
    assert [ps.cluster_colors[k] for k in (0, 2)] == ["#123456"] * 2
    assert session.merge() == 0
    assert session.clusters == (0,)
    assert_array_equal(ps.cluster_sizes, [sizes[0] + sizes[2], sizes[1]])
    session.rename(1, "quartz")
    assert ps.cluster_names == {0: "cluster_0", 1: "quartz"}


def test_undo_redo_and_reset_let_go_of_what_is_picked(session):
    ps, before = session.ps, session.ps.labels.copy()
    session.pick_clusters([0, 1])
    session.merge()
    after = ps.labels.copy()
    session.undo()
    assert session.clusters == ()
    assert_array_equal(ps.labels, before)
    session.redo()
    assert_array_equal(ps.labels, after)
    session.reset()
    assert_array_equal(ps.labels, before)


def test_what_is_marked(session):
    ps = session.ps
    assert session.marked(ps.state) is None
    session.pick_clusters([0, 2])
    assert_array_equal(session.marked(ps.state), np.isin(ps.labels, [0, 2]))
    # The same object for frames to come, so that pyramids are made once.
    assert session.marked(ps.state) is session.marked(ps.state)
    session.pick_polygon(AROUND_FIRST)
    assert_array_equal(session.marked(ps.state), inside(ps, AROUND_FIRST))
    session.clear()
    assert session.marked(ps.state) is None


def test_noise_is_marked_by_its_number():
    session = EditSession(make_segmenter([7]))
    session.pick_clusters([-1])
    assert np.flatnonzero(session.marked(session.ps.state)).tolist() == [7]


def test_clusters_that_someone_else_merged_are_let_go_of(session):
    session.pick_clusters([1, 2])
    session.ps.merge_clusters([0, 1])
    assert_array_equal(session.marked(session.ps.state), session.ps.labels == 1)
    session.forget_gone()
    assert session.clusters == (1,)


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda s: s.create(), EmptyMapError, "pick pixels first"),
        (lambda s: s.move(0), EmptyMapError, "pick pixels first"),
        (lambda s: s.merge(), ParameterError, "at least two"),
        (lambda s: s.recolour("red"), ParameterError, "Pick the clusters"),
        (lambda s: s.pick_clusters([7]), ParameterError, "no cluster 7"),
        (lambda s: s.undo(), ParameterError, "no edit to undo"),
        (lambda s: s.pick_polygon([(0, 0), (1, 1)]), ParameterError, "three corners"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(session, act, error, said):
    before = session.ps.labels.copy()
    with pytest.raises(error, match=said):
        act(session)
    assert session.ps.edit_log == []
    assert_array_equal(session.ps.labels, before)


def test_edits_go_through_whoever_saves_them():
    ps, names = make_segmenter(), []

    def edit(action):
        names.append("saved")
        return action(ps)

    session = EditSession(ps, edit)
    session.pick_clusters([0, 1])
    session.merge()
    session.undo()
    assert names == ["saved", "saved"]
    assert ps.n_components == 3
