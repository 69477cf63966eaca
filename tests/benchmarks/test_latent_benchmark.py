"""The benchmark of latent spaces runs, on a toy, so that it does not rot."""

import re

import numpy as np
import pytest

from benchmarks import latent
from benchmarks.record import read_results


@pytest.mark.slow
def test_all_of_it(tmp_path):
    path = tmp_path / "latent.json"
    spaces, rare = latent.main(["--quick", "--no-peers", "--out", str(path)])
    choice, few, full, large, *placements = spaces.rows
    assert choice.times_peer > 0
    assert [row.size for row in (few, full, large)] == [2048, 8192, 32768]
    assert few.times_peer > 0
    assert full.times_peer > 0
    assert few.peer.startswith("umap-learn 0.5")
    assert full.peer.endswith("extrapolated linearly")
    quality = [float(number) for number in re.findall(r" (\d\.\d{4})", few.agreement)]
    assert len(quality) == 3
    assert min(quality) > 0.8
    assert 0 < large.peak_memory < 2e9
    assert [row.size for row in placements] == [2048, 8192, 32768]
    assert all(row.of_limit > 0 for row in spaces.rows)
    landmarks = [int(row.agreement.split()[0]) for row in rare.rows]
    ours, _, uniform, _ = landmarks
    assert ours > uniform
    assert float(re.search(r"precision (\S+),", rare.rows[0].agreement).group(1)) > 0.9
    assert read_results(path) == [spaces, rare]


def test_pixels_are_drawn_in_the_shares_asked_for():
    drawn = latent.phases(20_000, counts=300.0, rare_share=0.01)
    assert drawn.features.shape == (20_000, len(latent.LINES))
    np.testing.assert_allclose(drawn.features.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(drawn.features.std(axis=0), 1, atol=1e-3)
    assert np.mean(drawn.labels == latent.RARE) == pytest.approx(0.01, abs=0.002)
    assert len(drawn.first(7).features) == len(drawn.first(7).labels) == 7


def test_precision_and_recall_are_those_of_the_cluster_with_most_of_it():
    labels = np.array([latent.RARE] * 4 + [0] * 6)
    clusters = np.array([1, 1, 1, -1, 1, 0, 0, 0, 0, 0])
    assert latent.found_rare(clusters, labels) == (0.75, 0.75)
    assert latent.found_rare(np.full(10, -1), labels) == (0.0, 0.0)


def test_rows_that_matter_most_are_among_those_chosen_by_leverage():
    features = np.random.default_rng(0).normal(size=(5000, 3)).astype(np.float32)
    features[:20] *= 1000
    rows = latent.leverage_rows(features, 20)
    assert len(np.unique(rows)) == 20
    assert np.count_nonzero(rows < 20) >= 10
