"""The benchmark of scaling runs, on toys, so that it doesn't rot."""

import numpy as np
import pytest

from benchmarks.record import read_results
from benchmarks.scaling import growth, measuring, overhead, workers
from benchmarks.scaling.__main__ import main


def run(part, tmp_path):
    out = tmp_path / "results.json"
    results = main(["--part", part, "--quick", "--out", str(out)])
    assert read_results(out) == results
    for row in (row for result in results for row in result.rows):
        assert row.seconds > 0
        assert row.times_peer is None or row.times_peer > 0
        assert row.of_limit is None or row.of_limit > 0
    return results


@pytest.mark.slow
def test_growth(tmp_path):
    (result,) = run("growth", tmp_path)
    stages = [row.stage for row in result.rows]
    assert {"registration", growth.COMPOSITION, *growth.ROWS.values()} < {*stages}
    assert len(stages) == len({*stages}) <= 13
    *parts, whole = result.rows
    assert whole.stage == "all"
    assert whole.seconds == pytest.approx(sum(row.seconds for row in parts))
    assert 0 < whole.peak_memory < 4e9
    limited = {row.stage for row in parts if row.of_limit}
    assert limited == {growth.COMPOSITION, growth.READS_MAP}
    assert result.figures["Rand index with the truth"] > 0.2
    assert result.figures["Rand index with the truth, bins of one phase"] > 0.2
    assert result.figures["positions, rms error, pixels"] < 1
    assert result.figures["counts per pixel of the map"] == pytest.approx(25, rel=0.3)


def test_a_mosaic_is_compared_with_a_smaller_one():
    found = {
        "pixels": 4_000_000,
        "pixels of tiles": 5_000_000,
        "seconds": {growth.INGEST: 3.0, growth.COMPOSITION: 2.0},
        "memory": {growth.INGEST: 7, growth.COMPOSITION: 8},
        "limits": {growth.COMPOSITION: 0.5},
        "misplaced": 0.1,
        "rand": 0.9,
        "rand, unmixed": 0.99,
    }
    *_, smaller = growth.table({**found, "pixels": 1_000_000}, None)
    ingest, composition, whole = growth.table(found, smaller)
    assert (ingest.size, composition.size, whole.size) == (5_000_000, 4_000_000, 4_000_000)
    assert composition.of_limit == pytest.approx(0.25)
    assert (whole.seconds, whole.peak_memory) == (5.0, 8)
    assert smaller.times_peer is None
    assert whole.times_peer == pytest.approx(4)
    assert whole.peer == "the rate at 1 million pixels"


def test_bins_of_one_phase():
    truth = np.zeros((6, 9), np.int32)
    truth[:, 4:] = 1
    np.testing.assert_array_equal(growth.of_one_phase(truth), [[True, False, True]] * 2)
    truth[5, 0] = 2
    np.testing.assert_array_equal(growth.of_one_phase(truth)[:, 0], [True, False])


@pytest.mark.slow
def test_workers(tmp_path):
    (result,) = run("workers", tmp_path)
    assert [row.stage for row in result.rows] == [f"{name}, two workers" for name in workers.STAGES]
    assert [row.agreement for row in result.rows] == ["the same bytes", "equal", "equal"]
    assert all(row.times_peer and row.of_limit for row in result.rows)


@pytest.mark.slow
def test_overhead(tmp_path):
    (result,) = run("overhead", tmp_path)
    few, many, work = result.rows
    assert (few.unit, many.unit, work.unit) == ("tasks", "tasks", "pixels")
    assert few.size == many.size == 100
    busy = [value for name, value in result.figures.items() if "share of time" in name]
    assert len(busy) == 4
    assert all(0 < share <= 1 for share in busy)


def test_projection():
    # 64 cores do 640 tasks of 0.1 s in a second; a scheduler that needs 4 ms for each does 250.
    assert overhead.projected(64, 0.1, 0.001) == pytest.approx((640, 1))
    assert overhead.projected(64, 0.1, 0.004) == pytest.approx((250, 250 / 640))


def test_a_mosaic_becomes_words_and_back():
    for wanted in (*growth.TOYS, *growth.FULL):
        assert growth.from_words(wanted.words()) == wanted


def test_results_that_differ_are_noticed(tmp_path):
    import xarray as xr

    one = xr.Dataset({"counts": ("y", [1, 2])})
    assert workers.same(one, one.copy(deep=True))
    assert not workers.same(one, one + 1)
    (tmp_path / "file").write_bytes(b"1")
    digest = workers.digest(tmp_path)
    (tmp_path / "file").write_bytes(b"2")
    assert not workers.same(digest, workers.digest(tmp_path))


def test_memory_is_that_of_each_stage():
    with measuring.MemoryWatch() as watch:
        stages = measuring.Stages(watch)
        with stages.stage("one"):
            held = np.ones(10_000_000)
        with stages.stage("other"):
            held = held[:1].copy()
        with stages.stage("one"):
            pass
    assert {*stages.seconds} == {*stages.memory} == {"one", "other"}
    assert stages.memory["one"] > 80_000_000
