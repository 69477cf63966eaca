"""The interface's benchmark runs, on a toy, so that it doesn't rot."""

import json

import pytest

from benchmarks import gui, gui_page


@pytest.fixture(autouse=True)
def _root_on_path(monkeypatch, request):
    monkeypatch.syspath_prepend(str(request.config.rootpath))
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))


def test_gui(tmp_path):
    result = gui.main(["--quick", "--out", str(tmp_path / "result.json")])
    assert result is not None
    figures = result.figures
    assert all(value > 0 for value in figures.values())
    assert {"lasso to frame, s", "merge to frame, s", "datashader / frame after a zoom"} <= {
        *figures
    }
    assert 0 < figures["peak memory of the process, GB"] < 2
    assert "open project, s" in figures
    name = "page: first view of a stored map of 4096 pixels, s"
    assert (name in figures) != bool(gui_page.why_no_browser())
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["figures"] == figures


def test_the_edits_are_those_that_are_named():
    clusters = gui.Clusters(50, 5)
    clusters.open()
    clusters.lasso()
    assert 0 < clusters.state.pixels.sizes()[5] < 2500
    clusters.merge()
    assert clusters.state.pixels.n_clusters == 5
    clusters.recolour()
    assert [record["edit"] for record in clusters.edit_log] == ["create", "merge", "recolour"]
    clusters.take_back()
    assert len(clusters.edit_log) == 2


def test_without_a_browser_the_page_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(gui_page.shutil, "which", lambda _name: None)
    figures = gui_page.measure(24, 3, 1)
    assert not any("page" in name for name in figures)
    assert "The page is left out: " in capsys.readouterr().out
