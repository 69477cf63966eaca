"""Figures on the front page are those of the results that lie beside the benchmarks."""

from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks import front
from benchmarks.record import Result, Row, write_results
from benchmarks.suite import known_results

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {
    "processor": "processor",
    "cores": 2,
    "memory, GB": 8.0,
    "load before": 0.1,
    "python": "3.11",
    "versions": {},
    "commit": "abc",
}
PAGE = f"# Title\n\nBefore.\n\n{front.BEGIN}old\n{front.END}\nAfter.\n"


def test_the_front_page_shows_what_was_measured():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = known_results(ROOT / "benchmarks" / "results")
    assert front.with_figures(readme, results) == readme, (
        "Run: python -m benchmarks --page benchmarks/results --readme README.md"
    )


@pytest.mark.parametrize(("share", "shown"), [(0.01, 0.01), (0.0099, None)])
def test_a_limit_that_is_far_away_is_left_out(share, shown):
    row = Row(stage="zoom", size=1.0, seconds=1.0, limit="memory", of_limit=share)
    found = front.find(
        {"gui": [Result("gui", {}, {}, [row], MACHINE)]}, front.Entry("a", "gui", "gui", "zoom")
    )
    assert (found.stage, found.of_limit) == ("a", shown)


@pytest.fixture
def results(tmp_path, monkeypatch):
    entries = (front.Entry("a zoom", "gui", "gui: f", "zoom", -1),)
    monkeypatch.setattr(front, "ENTRIES", entries)
    rows = [Row(stage="zoom", size=3.0, seconds=1.0), Row(stage="another", size=7.0, seconds=2.0)]
    rows.append(Row(stage="zoom", size=10.0, seconds=2.0, peer="it", times_peer=3.0))
    parts = [
        Result("gui: frames", {}, {}, rows, MACHINE),
        Result("page", {}, {}, rows[:1], MACHINE),
    ]
    write_results(parts, tmp_path / "gui.json")
    return known_results(tmp_path)


def test_figures_take_the_place_between_the_marks(results, tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    arguments = ["--page", str(tmp_path), "--readme", str(tmp_path / "page.md")]
    assert entry.main(arguments) == 0
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Title\n\nBefore.\n")
    assert text.endswith("\nAfter.\n")
    assert "| a zoom | 10 pixels | 2 s | 5/s | 3 x it |" in text
    assert "another" not in text
    assert "old" not in text
    assert entry.main(arguments) == 0
    assert (tmp_path / "page.md").read_text() == text


def test_a_stage_that_was_not_measured_is_named(results, monkeypatch):
    monkeypatch.setattr(front, "ENTRIES", (front.Entry("", "gui", "gui: f", "lasso"),))
    with pytest.raises(front.FrontPageError, match="gui have no row called 'lasso'"):
        front.with_figures(PAGE, results)
    monkeypatch.setattr(front, "ENTRIES", (front.Entry("", "latent", "", "zoom"),))
    with pytest.raises(front.FrontPageError, match="latent"):
        front.with_figures(PAGE, results)


def test_a_page_without_marks_is_refused(results):
    with pytest.raises(front.FrontPageError, match="lacks the lines"):
        front.with_figures("# Title\n", results)


def test_the_front_page_needs_results(capsys):
    with pytest.raises(SystemExit):
        entry.main(["--readme", "README.md"])
    assert "--page" in capsys.readouterr().err
