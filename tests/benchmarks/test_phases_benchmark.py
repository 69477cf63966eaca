"""The benchmarks of phases run, on toys, so that they don't rot."""

import json

import pytest

from benchmarks.phases.__main__ import PARTS, main


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


def run(part, tmp_path):
    out = tmp_path / "result.json"
    (result,) = main(["--part", part, "--quick", "--out", str(out)])
    assert json.loads(out.read_text())[part]["figures"] == result.figures
    return result.figures


def test_spectra(tmp_path):
    figures = run("spectra", tmp_path)
    assert figures["labels"] > 1
    assert figures["with totals, share of the limit"] > 0
    assert figures["weighted in every phase, share of the limit"] > 0
    assert figures["peak memory of the process, MB"] > 0


def test_abundance(tmp_path):
    figures = run("abundance", tmp_path)
    assert figures["largest difference from scipy's, of the largest amount"] < 1e-6
    assert figures["times scipy's speed, 1 thread"] > 0
    assert figures["16,384 pixels: result, MB"] > 0


def test_regions(tmp_path):
    figures = run("regions", tmp_path)
    assert figures["times scikit-image"] > 0
    assert figures["regions"] > 100
    assert 0 < figures["statistics: peak memory of the process, GB"] < 2


def test_net_lines(tmp_path):
    figures = run("net_lines", tmp_path)
    assert figures["net over gross, time"] > 0
    for kind in ("streamed", "in memory"):
        assert figures[f"{kind}: peak memory of the process, MB"] > 0
        assert figures[f"{kind}: time, s, 2 threads"] > 0


def test_all_parts_go_to_one_file(tmp_path, monkeypatch):
    from benchmarks.common import Result

    for part in PARTS:
        monkeypatch.setattr(
            f"benchmarks.phases.{part}.measure",
            lambda *, quick, part=part: Result(part, {"quick": quick}, {"figure": 1.0}),
        )
    out = tmp_path / "all.json"
    results = main(["--out", str(out)])
    assert [result.name for result in results] == list(PARTS)
    written = json.loads(out.read_text())
    assert list(written) == list(PARTS)
    assert written["regions"]["parameters"] == {"quick": False}
