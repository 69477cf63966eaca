"""The benchmark of the feature pass runs, on a toy, so that it doesn't rot."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from benchmarks import feature_pass
from benchmarks.record import read_results


def test_one_thread_and_two_against_the_limit(tmp_path):
    path = tmp_path / "result.json"
    results = feature_pass.main(["--quick", "--no-peers", "--out", str(path)])
    assert read_results(path) == results
    (result,) = results
    two, one = result.rows
    for row, limit in ((two, "2 threads"), (one, "1 thread")):
        assert row.size == 512**2
        assert row.seconds > 0
        assert row.of_limit > 0
        assert row.limit.endswith(limit)
    assert two.peak_memory > 0
    assert result.figures["stored bytes per pixel"] > 0


def test_results_that_differ_are_not_timed(tmp_path):
    ours = xr.Dataset(
        {
            "line_intensity": (("y", "x", "line"), np.ones((2, 2, 1), np.uint32)),
            "total": (("y", "x"), np.ones((2, 2), np.uint32)),
            "sum_spectrum": ("energy", np.arange(3)),
        }
    )
    np.save(tmp_path / "lines.npy", ours["line_intensity"].astype(float))
    np.save(tmp_path / "total.npy", ours["total"])
    np.save(tmp_path / "sum_spectrum.npy", ours["sum_spectrum"])
    feature_pass.check_equal(ours, tmp_path)
    np.save(tmp_path / "sum_spectrum.npy", ours["sum_spectrum"] + [0, 0, 1])
    with pytest.raises(AssertionError, match="not equal"):
        feature_pass.check_equal(ours, tmp_path)


@pytest.mark.slow
def test_the_pass_takes_less_than_500_mb_above_its_outputs():
    result = feature_pass.alone(replace(feature_pass.FULL, repeats=1, counts=5.0))
    assert result.figures["peak memory above outputs, MB"] < 500
