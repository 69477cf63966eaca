"""The mixtures' benchmark runs, on a toy, so that it doesn't rot."""

import re
from argparse import Namespace

import numpy as np
import pytest

from benchmarks import mixture
from benchmarks.record import read_results


def check_steps(step, labels):
    apart = re.search(r"means differ by (\S+) of", step.agreement)
    assert float(apart.group(1)) < 1e-9
    assert labels.agreement.startswith("0 of ")
    for row in (step, labels):
        assert row.times_peer > 0
        assert row.of_limit > 0
        assert row.peer.startswith("scikit-learn 1.")


def test_steps_beside_the_library_of_this_environment(tmp_path):
    chosen = Namespace(components=3, steps=2, no_peers=True)
    step, labels = mixture.compare_steps(tmp_path, 101_000, chosen)
    check_steps(step, labels)
    assert step.size == 101_000
    assert 0 < step.peak_memory < 1e9


@pytest.mark.slow
def test_all_of_it(tmp_path):
    path = tmp_path / "mixture.json"
    results = mixture.main(["--quick", "--no-peers", "--out", str(path)])
    assert [result.name for result in results] == ["mixture", "mixture, many points"]
    step, labels, whole = results[0].rows
    check_steps(step, labels)
    ours, theirs = map(float, re.findall(r"(-\d+\.\d+) after", whole.agreement))
    assert ours == pytest.approx(theirs, abs=0.05)
    assert whole.times_peer > 0
    assert [row.size for row in results[1].rows] == [200_000, 200_000]
    assert all(row.seconds > 0 and row.of_limit > 0 for row in results[1].rows)
    assert read_results(path) == results


def test_the_start_is_one_for_both():
    rows = mixture.points(3000, 4)
    start = mixture.start_of(rows, 4)
    assert start["weights_init"].sum() == pytest.approx(1)
    assert {tuple(mean) for mean in start["means_init"]} <= {tuple(map(float, r)) for r in rows}
    covariance = np.cov(rows.T.astype(float)) / 4
    np.testing.assert_allclose(start["precisions_init"][2] @ covariance, np.eye(2), atol=1e-9)
