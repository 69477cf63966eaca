"""The tutorial's benchmark runs, on a toy, so that it doesn't rot."""

import json

import pytest

from benchmarks import tutorial


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


@pytest.mark.slow
def test_tutorial(tmp_path, capsys):
    result = tutorial.main(
        ["--side", "60", "--components", "3", "--out", str(tmp_path / "result.json")]
    )
    assert result is not None
    for step in tutorial.ORIGINAL:
        assert result.figures[f"{step}, s"] > 0
        assert result.figures[f"{step}, peak memory, MB"] > 0
    assert result.figures["binned pixels"] == 400
    assert result.figures["clusters found"] == 3
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["figures"] == result.figures
    assert "original, s" in capsys.readouterr().out
