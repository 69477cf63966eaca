"""The benchmark of density clustering runs, on a toy."""

import json

import pytest

from benchmarks import clustering


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


@pytest.mark.slow
def test_density_clustering(tmp_path):
    pytest.importorskip("fast_hdbscan", reason="fast_hdbscan is not installed")
    results = clustering.main(["--quick", "--out", str(tmp_path)])
    assert [result.name for result in results] == [
        "density clustering, map",
        "density clustering, groups",
    ]
    for kind in ("map", "groups"):
        figures = json.loads((tmp_path / f"clustering_{kind}.json").read_text())["figures"]
        assert figures["4,000 points: Rand index with hdbscan"] > 0.9
        assert figures["6,000 points: Rand index with fast_hdbscan"] > 0.9
        assert figures["10,000 points: clusters"] > 1
        assert figures["10,000 points: peak memory, GB"] < 2


def test_points_are_finite_and_as_many_as_asked_for():
    points = clustering.groups(1_100_000)
    assert points.shape == (1_100_000, 2)
    assert abs(points).max() < 50
