"""The benchmark of density clustering runs, on a toy."""

import re

import numpy as np
import pytest

from benchmarks import clustering
from benchmarks.record import Result, read_results


def rand_index(row):
    return float(re.search(r"Rand index of the labels (\S+),", row.agreement).group(1))


def test_beside_the_library_of_this_environment(tmp_path):
    np.save(tmp_path / "points.npy", clustering.groups(4000))
    result = Result("groups", {})
    bench = clustering.Bench(tmp_path / "points.npy", result, installed=True)
    ours = bench.compare(3500, "hdbscan")
    bench.afterwards(3500, ours)
    fit, recut, new = result.rows
    assert fit.size == 3500
    assert fit.times_peer > 0
    assert fit.peer.startswith("hdbscan 0.8")
    assert 0 < fit.peak_memory < 1e9
    assert rand_index(fit) > 0.95
    assert recut.times_peer > 0
    assert new.of_limit > 0
    assert result.figures["hdbscan, 3,500 points: peak memory, MB"] > 0


@pytest.mark.slow
def test_all_of_it(tmp_path):
    pytest.importorskip("fast_hdbscan", reason="fast_hdbscan is not installed")
    path = tmp_path / "clustering.json"
    arguments = ["--quick", "--no-peers", "--kinds", "map", "groups", "--out", str(path)]
    results = clustering.main(arguments)
    assert [result.name for result in results] == [
        "density clustering, map",
        "density clustering, groups",
    ]
    for result, beside in zip(results, (2, 3), strict=True):
        fits = [row for row in result.rows if row.stage == "HDBSCAN"]
        assert [row.size for row in fits] == [4000, 6000, 9000]
        for row in fits[:beside]:
            assert row.times_peer > 0
            assert rand_index(row) > 0.9
        assert all(row.of_limit > 0 for row in fits)
    assert read_results(path) == results


def test_points_are_finite_and_as_many_as_asked_for():
    points = clustering.groups(1_100_000)
    assert points.shape == (1_100_000, 2)
    assert abs(points).max() < 50
