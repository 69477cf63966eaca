"""The interface's benchmark runs, on a toy, so that it doesn't rot."""

import numpy as np
import pytest

from benchmarks import gui, gui_page
from benchmarks.record import read_results


@pytest.mark.slow
def test_gui(tmp_path):
    out = tmp_path / "result.json"
    frames, page = gui.main(["--quick", "--out", str(out)])
    assert read_results(out) == [frames, page]
    rows = {row.stage: row for row in frames.rows}
    assert {"first frame", "frame after a zoom", "lasso to frame", "merge to frame"} < {*rows}
    assert all(row.seconds > 0 and row.of_limit > 0 for row in frames.rows)
    assert rows["frame after a zoom"].times_peer > 0
    assert rows["frame at the same place"].peer.startswith("Datashader ")
    assert 0 < rows["first frame"].peak_memory < 2e9
    assert all(value > 0 for value in frames.figures.values())
    assert frames.figures["share of Datashader's cells that are shown"] > 0.99
    stages = [row.stage for row in page.rows]
    assert "open a project" in stages
    assert ("first picture in a browser" in stages) != bool(gui_page.why_no_browser())


def test_what_a_frame_lacks_is_noticed():
    clusters = gui.Clusters(60, 5, (90, 60))
    frame = clusters.open()
    theirs = gui.Datashader(clusters)
    assert theirs.covered(frame) > 0.99
    half = np.array(frame)
    half[:, ::2] = 0
    assert 0.2 < theirs.covered(half) < 0.8


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
    assert "open a project" in figures
    assert not any("browser" in name for name in figures)
    assert "The page is left out: " in capsys.readouterr().out
