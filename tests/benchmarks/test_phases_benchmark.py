"""The benchmarks of phases run, on toys, so that they don't rot."""

import numpy as np

from benchmarks.phases.__main__ import PARTS, main
from benchmarks.record import Result, Row, read_results


def run(part, tmp_path):
    out = tmp_path / "results.json"
    (result,) = main(["--part", part, "--quick", "--out", str(out)])
    assert read_results(out) == [result]
    for row in result.rows:
        assert row.seconds > 0
        assert row.times_peer is None or row.times_peer > 0
        assert row.of_limit > 0
    return result


def test_spectra(tmp_path):
    result = run("spectra", tmp_path)
    first, *_ = result.rows
    assert len(result.rows) == 4
    assert first.agreement == "counts of all phases equal the map's"
    assert 0 < first.peak_memory < 1e9
    assert result.figures["phases"] > 1


def test_abundance(tmp_path):
    result = run("abundance", tmp_path)
    one, two, poisson, large = result.rows
    assert one.peer.startswith("SciPy ")
    assert "largest difference" in one.agreement
    assert two.peer == "one thread"
    assert poisson.peer == "least squares"
    assert 0 < large.peak_memory < 1e9
    assert large.size == 128**2


def test_regions(tmp_path):
    result = run("regions", tmp_path)
    compared, *others = result.rows
    assert compared.peer.startswith("scikit-image ")
    assert compared.agreement == "all areas equal"
    assert {row.stage for row in others} == {
        "statistics", "proportions", "contacts", "labelling, in memory", "labelling, streamed"
    }  # fmt: skip
    assert all(0 < row.peak_memory < 1e9 for row in others)
    assert result.figures["regions"] > 100


def test_both_find_the_same_regions(tmp_path):
    from benchmarks.phases import regions

    regions.write_grains(tmp_path / "labels.npy", 50, pixels_per_grain=60)
    labels = np.load(tmp_path / "labels.npy")
    ours, theirs = np.sort(regions.ours(labels)), np.sort(regions.theirs(labels))
    np.testing.assert_array_equal(ours, theirs)
    assert ours.sum() == (labels >= 0).sum()


def test_net_lines(tmp_path):
    net, stored = run("net_lines", tmp_path).rows
    assert net.peer == "gross intensities"
    assert "equal" in net.agreement
    assert 0 < stored.peak_memory < 1e9


def test_all_parts_go_to_one_file(tmp_path, monkeypatch):
    for part in PARTS:
        row = Row(stage=part, size=1, seconds=2.0)
        monkeypatch.setattr(
            f"benchmarks.phases.{part}.measure",
            lambda *, quick, part=part, row=row: Result(part, {"quick": quick}, rows=[row]),
        )
    out = tmp_path / "all.json"
    results = main(["--out", str(out)])
    assert [result.name for result in results] == list(PARTS)
    assert read_results(out) == results
    assert results[2].parameters == {"quick": False}
