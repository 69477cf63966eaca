"""Edits of clusters: what they do to all pixels, and that their log replays."""

from __future__ import annotations

import copy
import json
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot.palette import phase_colour
from sigma_scale.workflow.segmenter import PixelSegmenter
from sigma_scale.workflow.segmenter.selection import decode_mask, encode_mask

SHAPE = (20, 30)
GMM = {"n_components": 4, "random_state": 0, "init_params": "kmeans"}
ROWS, _ = make_blobs(600, centers=4, cluster_std=1.5, random_state=5)


def images():
    """A dataset without spectra."""
    return SimpleNamespace(
        shape=SHAPE,
        feature_list=["a", "b", "c"],
        normalised_elemental_data=np.random.default_rng(0).normal(size=(*SHAPE, 3)),
        processed=None,
    )


@cache
def fitted(method):
    arguments = {"GaussianMixture": GMM, "Kmeans": {"n_clusters": 4}}[method]
    return PixelSegmenter(ROWS, images(), method, arguments)


def segmenter(method="GaussianMixture"):
    """A segmenter of its own; the fit is made once."""
    ps = copy.copy(fitted(method))
    ps._history = copy.copy(ps._history)
    return ps


@pytest.fixture
def ps():
    return segmenter()


def snapshot(ps):
    """Everything that an edit could change."""
    return (
        ps.labels.tolist(), ps.prob_map.tolist(), ps.cluster_colors, ps.cluster_names,
        ps.edit_log, ps.n_components, ps.can_undo, ps.can_redo,
    )  # fmt: skip


def test_merging_sums_probabilities_and_closes_the_gap(ps):
    labels, shares, mu = ps.labels, ps.prob_map, ps.mu
    ps.rename_cluster(3, "last")
    assert ps.merge_clusters([2, np.int64(0), 2], name="both") == 0
    np.testing.assert_array_equal(ps.labels, np.array([0, 1, 0, 2])[labels])
    np.testing.assert_allclose(ps.prob_map[:, 0], shares[:, 0] + shares[:, 2], rtol=1e-6)
    np.testing.assert_array_equal(ps.prob_map[:, 1:], shares[:, [1, 3]])
    np.testing.assert_array_equal(ps.mu[1:], mu[[1, 3]])
    assert ps.n_components == 3
    assert ps.cluster_names == {0: "both", 1: "cluster_1", 2: "last"}
    assert list(ps.cluster_colors.values()) == [phase_colour(k) for k in (0, 1, 3)]
    assert ps.merge_clusters([0, 1, 2]) == 0
    np.testing.assert_allclose(ps.probability, 1, rtol=1e-6)


@pytest.mark.parametrize("method", ["GaussianMixture", "Kmeans"])
@pytest.mark.parametrize("kind", ["map", "flat", "numbers"])
def test_creating_a_cluster_from_pixels(method, kind):
    ps = segmenter(method)
    labels, shares = ps.labels, ps.prob_map
    mask = np.zeros(SHAPE, bool)
    mask[3:6, 10:20] = True
    pixels = {"map": mask, "flat": mask.ravel(), "numbers": np.flatnonzero(mask)}[kind]
    assert ps.create_cluster(pixels, name="grain", colour="red") == 4
    chosen = mask.ravel()
    assert (ps.labels[chosen] == 4).all()
    np.testing.assert_array_equal(ps.labels[~chosen], labels[~chosen])
    assert (ps.n_components, ps.cluster_names[4], ps.cluster_colors[4]) == (5, "grain", "#ff0000")
    assert (ps.probability[chosen] == 1).all()
    if method == "GaussianMixture":
        assert (ps.prob_map[chosen] == np.eye(5)[4]).all()
        assert not ps.prob_map[~chosen, 4].any()
        np.testing.assert_array_equal(ps.prob_map[~chosen, :4], shares[~chosen])
    np.testing.assert_array_equal(ps.cluster_sizes, np.bincount(ps.labels, minlength=5))


def test_polygon_in_latent_space(ps):
    corners = [[-4, -4], [6, -4], [6, 5], [-4, 5]]
    inside = ((ROWS > [-4, -4]) & (ROWS < [6, 5])).all(axis=1)
    assert 0 < inside.sum() < 600
    number = ps.create_cluster_from_polygon(corners)
    np.testing.assert_array_equal(ps.labels == number, inside)
    assert ps.edit_log[0]["polygon"] == corners
    assert ps.cluster_colors[number] == phase_colour(4)
    ps.relabel_polygon(corners, 1)
    assert (ps.labels[inside] == 1).all()
    assert ps.cluster_sizes[number] == 0


def test_relabelling_to_a_cluster_and_to_noise(ps):
    ps.relabel_pixels([0, 1, 2], 3)
    assert (ps.labels[:3] == 3).all()
    assert (ps.prob_map[:3] == np.eye(4)[3]).all()
    ps.relabel_pixels([1], -1)
    assert ps.labels[1] == -1
    assert not ps.prob_map[1].any()
    assert ps.probability[1] == 0
    ps.recolour_clusters([-1, 0], "k")
    assert ps.cluster_colors[-1] == ps.cluster_colors[0] == "#000000"


def test_empty_clusters_stay_until_they_are_dropped(ps):
    labels, shares = ps.labels, ps.prob_map
    ps.relabel_pixels(labels == 1, 0)
    assert ps.n_components == 4
    assert np.isnan(ps.mu[1]).all()
    ps.drop_empty_clusters()
    assert ps.n_components == 3
    np.testing.assert_array_equal(ps.labels, np.array([0, 0, 1, 2])[labels])
    np.testing.assert_array_equal(ps.prob_map[labels == 3][:, 1], shares[labels == 3][:, 2])


def test_free_colours_are_used_again(ps):
    ps.merge_clusters([1, 2])
    for pixel, colour in ((5, 2), (6, 4)):
        number = ps.create_cluster([pixel])
        assert ps.cluster_colors[number] == phase_colour(colour)


def test_undo_redo_and_reset(ps):
    states = [snapshot(ps)[:4]]
    ps.merge_clusters([0, 1])
    states.append(snapshot(ps)[:4])
    ps.create_cluster([1, 2, 3])
    states.append(snapshot(ps)[:4])
    ps.recolour_clusters(1, "#123456")
    states.append(snapshot(ps)[:4])
    for expected in states[-2::-1]:
        ps.undo()
        assert snapshot(ps)[:4] == expected
    with pytest.raises(ParameterError, match="undo"):
        ps.undo()
    for expected in states[1:]:
        ps.redo()
        assert snapshot(ps)[:4] == expected
    with pytest.raises(ParameterError, match="redo"):
        ps.redo()
    ps.reset()
    assert snapshot(ps)[:4] == states[0]
    assert (ps.can_undo, ps.can_redo, ps.edit_log) == (False, True, [])
    ps.redo()
    ps.rename_cluster(0, "new branch")
    assert not ps.can_redo
    assert [record["edit"] for record in ps.edit_log] == ["merge", "rename"]


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("merge_clusters"), st.lists(st.integers(0, 5), min_size=2, max_size=3)),
        st.tuples(st.just("create_cluster"), st.lists(st.integers(0, 599), min_size=1)),
        st.tuples(
            st.just("relabel_pixels"), st.lists(st.integers(0, 599), min_size=1), st.integers(-1, 5)
        ),
        st.tuples(st.just("recolour_clusters"), st.integers(0, 5), st.just("blue")),
        st.tuples(st.just("drop_empty_clusters")),
        st.tuples(st.just("undo")),
        st.tuples(st.just("redo")),
    ),
    max_size=8,
)
BASE = segmenter("Kmeans")
MIXED = segmenter()


@given(EDITS, st.sampled_from([BASE, MIXED]))
def test_any_log_replays_bit_by_bit(edits, ps):
    ps.reset()
    for name, *arguments in edits:
        before = snapshot(ps)
        try:
            getattr(ps, name)(*arguments)
        except ParameterError:
            assert snapshot(ps) == before
    log, expected = json.loads(json.dumps(ps.edit_log)), snapshot(ps)[:4]
    pixels = ps.labels
    assert ps.n_components == len(ps.cluster_names) == len(ps.cluster_sizes)
    assert ps.cluster_sizes.sum() == (pixels >= 0).sum()
    assert ((ps.probability > 0) == (pixels >= 0)).all()
    ps.reset()
    ps.replay_edits(log)
    assert snapshot(ps)[:4] == expected


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (("merge_clusters", [0]), ParameterError, "at least two"),
        (("merge_clusters", [1, 1]), ParameterError, "at least two"),
        (("merge_clusters", [0, 4]), ParameterError, "no cluster 4; they go from 0 to 3"),
        (("merge_clusters", [0, -1]), ParameterError, "no cluster -1"),
        (("merge_clusters", "01"), ParameterError, "numbers"),
        (("merge_clusters", [0, "a"]), ParameterError, "'a'"),
        (("merge_clusters", [0, True]), ParameterError, "True"),
        (("create_cluster", np.zeros(SHAPE, bool)), EmptyMapError, "no pixels"),
        (("create_cluster", []), EmptyMapError, "no pixels"),
        (("create_cluster", np.ones((30, 20), bool)), ShapeMismatchError, r"\(30, 20\)"),
        (("create_cluster", [600]), ParameterError, "0 to 599"),
        (("create_cluster", [-1]), ParameterError, "0 to 599"),
        (("create_cluster", [0.5]), ParameterError, "float64"),
        (("relabel_pixels", [0], 4), ParameterError, "and -1 is noise"),
        (("relabel_pixels", [0], -2), ParameterError, "-2"),
        (("relabel_pixels", [0], 1.5), ParameterError, "1.5"),
        (("relabel_pixels", [], 0), EmptyMapError, "no pixels"),
        (("recolour_clusters", 0, "blurple"), ParameterError, "not a colour"),
        (("recolour_clusters", [], "red"), ParameterError, "at least one"),
        (("rename_cluster", 0, ""), ParameterError, "text"),
        (("rename_cluster", 0, "taken"), ParameterError, "already"),
        (("rename_cluster", -1, "noise"), ParameterError, "no cluster -1"),
        (("create_cluster_from_polygon", [[0, 0], [1, 1]]), ParameterError, "three corners"),
        (("create_cluster_from_polygon", [[0, 0, 1]] * 3), ParameterError, "pair"),
        (("create_cluster_from_polygon", "abc"), ParameterError, "pairs"),
        (("create_cluster_from_polygon", [[0, 0], [1, 1], [np.nan, 0]]), ParameterError, "finite"),
        (
            ("create_cluster_from_polygon", [[90, 90], [91, 90], [90, 91]]),
            EmptyMapError,
            "inside",
        ),
        (("replay_edits", [{"edit": "melt"}]), ParameterError, "Edit 0.*no edit 'melt'"),
        (("replay_edits", [{"edit": "merge"}]), ParameterError, "lacks clusters"),
        (
            ("replay_edits", [{"edit": "merge", "clusters": [0, 1]}, {"edit": "create"}]),
            ParameterError,
            "Edit 1.*lacks pixels",
        ),
        (("replay_edits", [{"edit": "create", "pixels": [3]}]), ParameterError, "damaged"),
        (("replay_edits", [{"edit": "merge", "clusters": 3}]), ParameterError, "list of clusters"),
        (("replay_edits", [{"edit": object()}]), ParameterError, "written down"),
    ],
)
def test_edits_that_fail_change_nothing(ps, edit, error, message):
    ps.rename_cluster(2, "taken")
    ps.merge_clusters([2, 3])
    ps.undo()
    before = snapshot(ps)
    name, *arguments = edit
    with pytest.raises(error, match=message):
        getattr(ps, name)(*arguments)
    assert snapshot(ps) == before


def test_a_polygon_needs_two_components():
    ps = PixelSegmenter(ROWS[:, :1], images(), "Kmeans", {"n_clusters": 2})
    with pytest.raises(ParameterError, match="two components"):
        ps.create_cluster_from_polygon([[0, 0], [1, 0], [0, 1]])


def test_written_masks_come_back_or_are_refused():
    mask = np.random.default_rng(0).random(1003) < 0.3
    written = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(json.loads(json.dumps(written)), 1003), mask)
    with pytest.raises(ShapeMismatchError, match="1003 pixels, this one has 1004"):
        decode_mask(written, 1004)
    bomb = encode_mask(np.zeros(10**6, bool)) | {"size": 1003}
    for damaged in (
        written | {"encoding": "pickle"},
        written | {"data": "???"},
        written | {"data": written["data"][:-8]},
        written | {"data": 3},
        bomb,
    ):
        with pytest.raises(ParameterError):
            decode_mask(damaged, 1003)


def test_the_log_given_out_is_a_copy(ps):
    ps.create_cluster([1])
    ps.edit_log[0]["pixels"]["data"] = ""
    ps.reset()
    ps.redo()
    assert ps.labels[1] == 4
