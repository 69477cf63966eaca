"""The benchmark of net line maps runs, on a toy, so that it doesn't rot."""

import json

import pytest

from benchmarks import phases_net_lines


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))


def test_net_lines(tmp_path):
    result = phases_net_lines.main(["--quick", "--out", str(tmp_path / "result.json")])
    assert result.figures["net over gross, time"] > 0
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["figures"] == result.figures
