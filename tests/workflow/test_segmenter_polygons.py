"""Pixels inside polygons, against matplotlib's paths."""

import dask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path

from sigma_scale.errors import EmptyMapError
from sigma_scale.workflow.segmenter import selection
from sigma_scale.workflow.segmenter.selection import inside_polygon


def found(rows, corners):
    try:
        return inside_polygon(rows, corners)
    except EmptyMapError:
        return np.zeros(len(rows), bool)


@given(
    st.integers(3, 60), st.integers(0, 10_000), st.sampled_from([np.float32, np.float64]),
    st.integers(2, 4),
)  # fmt: skip
def test_any_polygon_holds_what_a_path_holds(n_corners, seed, dtype, n_components):
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(n_corners, 2))  # crosses itself many times
    rows = rng.normal(size=(2000, n_components)).astype(dtype)
    # Points level with corners, or above them, meet the ends of edges.
    rows[:300, 1] = rng.choice(corners[:, 1], 300)
    rows[300:600, 0] = rng.choice(corners[:, 0], 300)
    rows[::50, seed % 2] = np.nan
    rows.flags.writeable = False
    np.testing.assert_array_equal(found(rows, corners), Path(corners).contains_points(rows[:, :2]))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=12))
def test_edges_along_the_axes_and_repeated_corners(corners):
    # No edge between corners on the grid meets these points: their coordinates are irrational.
    x, y = np.meshgrid(np.arange(-1, 7) + 1 / np.pi, np.arange(-1, 7) + np.e / 40)
    rows = np.c_[x.ravel(), y.ravel()]
    np.testing.assert_array_equal(
        found(rows, corners), Path(np.array(corners, float)).contains_points(rows)
    )


def test_points_level_with_corners_count_once():
    diamond = [[0, -2], [2, 0], [0, 2], [-2, 0]]
    rows = np.array([[-3.0, 0], [-1, 0], [0, 0], [1, 0], [3, 0], [0, 1], [0, 3], [0, -3]])
    assert inside_polygon(rows, diamond).tolist() == [
        False, True, True, True, False, True, False, False,
    ]  # fmt: skip


def test_a_star_is_hollow():
    angles = np.pi / 2 + np.arange(5) * 4 * np.pi / 5
    star = np.c_[np.cos(angles), np.sin(angles)]
    assert inside_polygon(np.array([[0.0, 0.0], [0.0, 0.8]]), star).tolist() == [False, True]


def test_threads_and_strided_rows_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    rows, corners = rng.normal(size=(5000, 5)), rng.normal(size=(9, 2))
    wanted = Path(corners).contains_points(rows[:, 1:3])
    monkeypatch.setattr(selection, "_PART", 300)
    for workers in (1, 3):
        with dask.config.set(num_workers=workers):
            np.testing.assert_array_equal(inside_polygon(rows[:, 1:3], corners), wanted)


@pytest.mark.parametrize("corners", [[[0, 0], [1, 0], [2, 0]], [[1, 1], [1, 1], [1, 1]]])
def test_polygons_without_area_hold_nothing(corners):
    with pytest.raises(EmptyMapError, match="inside the polygon"):
        inside_polygon(np.random.default_rng(0).random((50, 2)), corners)
