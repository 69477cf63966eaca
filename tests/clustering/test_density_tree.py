"""The k-d tree and the spanning tree, against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse.csgraph import minimum_spanning_tree

from sigma_scale.clustering.density.hierarchy import build_dendrogram
from sigma_scale.clustering.density.kd_tree import build_tree, core_distances
from sigma_scale.clustering.density.spanning_tree import spanning_tree


def squared(points: np.ndarray) -> np.ndarray:
    points = points.astype(np.float64)
    return ((points[:, None] - points[None]) ** 2).sum(axis=2)


def check_against_brute_force(rows: np.ndarray, k: int) -> None:
    tree = build_tree(rows)
    assert sorted(tree.order) == list(range(len(rows)))
    np.testing.assert_array_equal(tree.points, rows[tree.order])
    cores, node_cores = core_distances(tree, k)
    distances = squared(tree.points)
    expected = np.sort(distances, axis=1)[:, k]
    np.testing.assert_allclose(cores, expected, rtol=1e-12, atol=1e-300)
    for node, (start, stop) in enumerate(tree.starts):
        inside = tree.points[start:stop]
        np.testing.assert_array_equal(tree.lower[node], inside.min(axis=0))
        np.testing.assert_array_equal(tree.upper[node], inside.max(axis=0))
        assert node_cores[node] == cores[start:stop].min()
    reachability = np.maximum(np.maximum(distances, cores), cores[:, None])
    edges, weights = spanning_tree(tree, cores, node_cores)
    np.testing.assert_allclose(weights, reachability[edges[:, 0], edges[:, 1]], rtol=1e-12)
    assert build_dendrogram(tree, edges, weights).sizes[-1] == len(rows)  # it spans all
    # scipy takes zeros for missing edges.
    oracle = minimum_spanning_tree(np.triu(reachability + 1, 1)).sum() - (len(rows) - 1)
    np.testing.assert_allclose(weights.sum(), oracle, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("n_features", [1, 2, 3, 5])
def test_trees_are_those_of_brute_force(n_features: int, kind: type) -> None:
    rows = np.random.default_rng(0).normal(size=(401, n_features)).astype(kind)
    check_against_brute_force(rows, 7)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_many_equal_points_and_equal_distances(k: int) -> None:
    rng = np.random.default_rng(1)
    check_against_brute_force(rng.integers(0, 6, size=(300, 2)).astype(np.float64), k)
    rows = rng.normal(size=(300, 2))
    rows[:150] = rows[0]
    check_against_brute_force(rows, k)
    check_against_brute_force(np.ones((100, 2)), k)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(5, 60), st.just(2)),
           elements=st.integers(-4, 4).map(float) | st.floats(-1e6, 1e6)),
    st.integers(1, 4),
)  # fmt: skip
def test_any_points(rows: np.ndarray, k: int) -> None:
    check_against_brute_force(rows, k)


@pytest.mark.parametrize("step", [None, 0.5])
def test_the_order_of_the_rows_and_the_threads_do_not_matter(step: float | None) -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(5000, 2))
    if step is not None:  # points coincide, and distances too
        rows = np.round(rows / step) * step
    first = _all_of(rows, threads=1)
    for threads in (1, 2, 5):
        for found, expected in zip(
            _all_of(rng.permutation(rows), threads=threads), first, strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def _all_of(rows: np.ndarray, threads: int) -> list[np.ndarray]:
    tree = build_tree(rows, threads=threads)
    cores, node_cores = core_distances(tree, 5, threads=threads)
    edges, weights = spanning_tree(tree, cores, node_cores, threads=threads)
    dendrogram = build_dendrogram(tree, edges, weights)
    return [tree.points, cores, edges, weights, dendrogram.children, dendrogram.heights]


def test_the_tree_takes_sorted_rows_and_those_that_alternate() -> None:
    ramp = np.arange(20_000.0)
    for column in (ramp, ramp[::-1], np.minimum(ramp, ramp[::-1]), ramp % 2):
        tree = build_tree(np.column_stack([column, ramp]))
        sizes = np.diff(tree.starts[-tree.n_leaves :]).ravel()
        assert sizes.max() <= 12
        assert sizes.max() - sizes.min() <= 1
