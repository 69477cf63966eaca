"""The mixtures' benchmark runs, on a toy, so that it doesn't rot."""

import json

import pytest

from benchmarks import mixture


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


def test_mixture(tmp_path):
    result = mixture.main(["--quick", "--out", str(tmp_path / "result.json")])
    assert result is not None
    assert result.figures["EM step, 110,000 rows: ours, s"] > 0
    assert abs(result.figures["fit, 110,000 rows: ours above theirs, %"]) < 5
    assert 0 < result.figures["ten steps, 200,000 rows: peak memory of the process, MB"] < 1000
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["figures"] == result.figures
