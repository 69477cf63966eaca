"""The suite runs benchmarks one by one, keeps what they wrote, and makes a page of it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as entry
from benchmarks import limits, suite
from benchmarks.page import write_page
from benchmarks.record import (
    Result,
    Row,
    in_seconds,
    publish,
    read_results,
    scaled,
    write_results,
)

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory, GB": 8.0,
    "load before": 0.1,
    "python": "3.11",
    "versions": {"numpy": "2"},
    "commit": "abc",
}


def result_of(name, **of_row):
    row = Row(**{"stage": f"stage of {name}", "size": 10.0, "seconds": 2.0, **of_row})
    return Result(name, {"pixels": 10000}, {"detail": 1.5}, [row], MACHINE)


@pytest.fixture
def fakes(monkeypatch):
    """Benchmarks that write a row at once, or fail with the exit code in ``codes``."""
    known = SimpleNamespace(commands=[], codes={})

    def run(words, **_):
        known.commands.append(words)
        name = words[2].removeprefix("benchmarks.")
        if name not in known.codes:
            out = Path(words[words.index("--out") + 1])
            write_results([result_of(name, peer="the peer", times_peer=3.0)], out)
        return SimpleNamespace(returncode=known.codes.get(name, 0))

    monkeypatch.setattr(suite.subprocess, "run", run)
    return known


@pytest.mark.slow
def test_each_benchmark_has_a_module_with_the_suite_s_options():
    for name in suite.BENCHMARKS:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", f"benchmarks.{name}", "--help"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(suite.__file__).parents[1],
        )
        assert {"--quick", "--out"} <= set(done.stdout.replace(",", " ").split()), name
        assert ("--no-peers" in done.stdout) == (name in suite.WITH_PEERS), name


def test_commands_say_what_is_asked_for(tmp_path):
    words = suite.command("latent", tmp_path, quick=True, peers=False)
    assert words[:3] == [sys.executable, "-m", "benchmarks.latent"]
    assert words[3:] == ["--out", str(tmp_path / "latent.json"), "--quick", "--no-peers"]
    assert "--no-peers" not in suite.command("gui", tmp_path, quick=True, peers=False)
    assert "--quick" not in suite.command("gui", tmp_path, quick=False, peers=True)


def test_all_run_in_their_order(tmp_path, fakes, capsys):
    assert entry.main(["--quick", "--out", str(tmp_path / "new")]) == 0
    assert [words[2] for words in fakes.commands] == [f"benchmarks.{n}" for n in suite.BENCHMARKS]
    record = json.loads((tmp_path / "new" / "suite.json").read_text())
    assert record["quick"] is True
    assert [run["name"] for run in record["runs"]] == list(suite.BENCHMARKS)
    page = (tmp_path / "new" / "README.md").read_text()
    out = capsys.readouterr().out
    for name in suite.BENCHMARKS:
        assert f"stage of {name}" in page
        assert f"stage of {name}" in out


def test_only_some_run_and_others_stay_in_the_page(tmp_path, fakes, capsys):
    assert entry.main(["--only", "gui", "limits", "--out", str(tmp_path)]) == 0
    assert [words[2] for words in fakes.commands] == ["benchmarks.limits", "benchmarks.gui"]
    assert entry.main(["--only", "latent", "--out", str(tmp_path)]) == 0
    assert list(suite.known_results(tmp_path)) == ["limits", "latent", "gui"]
    with pytest.raises(SystemExit):
        entry.main(["--only", "nonsense"])
    assert "nonsense" in capsys.readouterr().err


def test_a_failure_does_not_stop_the_others_nor_leave_old_figures(tmp_path, fakes, capsys):
    write_results([result_of("old")], tmp_path / "limits.json")
    fakes.codes["limits"] = 3
    assert entry.main(["--only", "limits", "gui", "--out", str(tmp_path)]) == 1
    assert "Failed: limits" in capsys.readouterr().err
    assert list(suite.known_results(tmp_path)) == ["gui"]
    codes = [r["exit_code"] for r in json.loads((tmp_path / "suite.json").read_text())["runs"]]
    assert codes == [3, 0]


def test_a_page_needs_results(tmp_path, capsys):
    assert entry.main(["--page", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    write_results([result_of("gui")], tmp_path / "gui.json")
    assert entry.main(["--page", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").is_file()


def test_results_come_back_as_they_were(tmp_path):
    results = [result_of("a", peer="b", times_peer=2.0, peak_memory=5), result_of("c")]
    write_results(results, tmp_path / "r.json")
    assert read_results(tmp_path / "r.json") == results


def test_results_are_written_after_each_part(tmp_path):
    def parts():
        yield result_of("first")
        assert [r.name for r in read_results(tmp_path / "r.json")] == ["first"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(parts(), tmp_path / "r.json")
    assert [r.name for r in read_results(tmp_path / "r.json")] == ["first"]


def test_the_page_shows_rows_figures_and_plots(tmp_path):
    results = {
        "latent": [
            result_of("fit", peer="umap-learn 0.5", times_peer=28.0, agreement="Rand index 0.99"),
            result_of("placement", limit="memory", of_limit=0.25, peak_memory=1_500_000_000),
        ]
    }
    text = write_page(results, tmp_path).read_text()
    assert (
        "| stage of fit | 10 pixels | 2 s | 5/s | 28 x umap-learn 0.5 | Rand index 0.99 |" in text
    )
    assert "| stage of placement | 10 pixels | 2 s | 5/s | 0.25 of memory | 1.5 GB |" in text
    assert "pixels: 10,000" in text
    assert "| detail | 1.5 |" in text
    for plot, said in (
        ("peers", "28 x umap-learn"),
        ("limits", "0.25 of memory"),
        ("memory", "1.5"),
    ):
        assert f"plots/{plot}.svg" in text
        assert said in (tmp_path / "plots" / f"{plot}.svg").read_text()


def test_the_page_says_which_commits_were_measured(tmp_path):
    old, new = result_of("a"), result_of("b")
    text = write_page({"gui": [old], "latent": [old]}, tmp_path).read_text()
    assert f"(commit {old.machine['commit']})" in text
    new = replace(new, machine={**new.machine, "commit": "0123abc"})
    text = write_page({"gui": [old], "latent": [new], "mixture": [new]}, tmp_path).read_text()
    assert f"(commit {old.machine['commit']}: gui; commit 0123abc: latent, mixture)" in text


def test_a_page_without_peers_has_no_plot_of_them(tmp_path):
    write_page({"gui": [result_of("a", peer="p 1.0", times_peer=2.0)]}, tmp_path)
    assert (tmp_path / "plots" / "peers.svg").is_file()
    text = write_page({"gui": [result_of("a")]}, tmp_path).read_text()
    assert "plots/" not in text
    assert not list((tmp_path / "plots").iterdir())


def test_the_same_results_give_the_same_bytes(tmp_path):
    results = {"gui": [result_of("a", peer="p 1.0", times_peer=2.0)]}
    once = write_page(results, tmp_path / "1").parent
    again = write_page(results, tmp_path / "2").parent
    for name in ("README.md", "plots/peers.svg"):
        assert (once / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "500 ms"), (12.34, "12.3 s"), (3.2e-5, "32 µs"), (4321.0, "4,321 s"), (1.0, "1 s")],
)
def test_durations(value, text):
    assert in_seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(999, "999"), (16_777_216, "16.8 M"), (1.5e9, "1.5 G"), (2048, "2.05 k")]
)
def test_sizes(value, text):
    assert scaled(value) == text


def test_limits(tmp_path):
    out = tmp_path / "limits.json"
    results = limits.main(["--quick", "--out", str(out)])
    assert [r.name for r in results] == ["limits: memory", "limits: storage", "limits: chunks"]
    assert read_results(out) == results
    assert all(row.rate > 0 for result in results for row in result.rows)
