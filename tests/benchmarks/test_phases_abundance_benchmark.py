"""The benchmark of abundance maps runs, on a toy, so that it doesn't rot."""

import json

import pytest

from benchmarks import phases_abundance


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


def test_phases_abundance(tmp_path):
    result = phases_abundance.main(["--quick", "--out", str(tmp_path / "result.json")])
    assert result is not None
    assert result.figures["largest difference from scipy's, of the largest amount"] < 1e-6
    assert result.figures["times scipy's speed, 1 thread"] > 0
    assert result.figures["16,384 pixels: result, MB"] > 0
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["figures"] == result.figures
