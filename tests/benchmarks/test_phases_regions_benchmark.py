"""The regions' benchmark runs, on a toy, so that it doesn't rot."""

import json

import pytest

from benchmarks import phases_regions


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


def test_phases_regions(tmp_path):
    result = phases_regions.main(["--quick", "--out", str(tmp_path / "result.json")])
    assert result is not None
    assert result.figures["times scikit-image"] > 0
    assert result.figures["regions"] > 100
    assert 0 < result.figures["statistics: peak memory of the process, GB"] < 2
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["figures"] == result.figures
