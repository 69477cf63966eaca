"""Environments of peers are made once, and anew when they have to be; what fails is told."""

import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks import feature_pass, peers, tutorial
from benchmarks.record import read_results

PINNED = re.compile(r"^[\w.-]+==[\w.]+( ; .+)?$")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder of requirements and programs in place of the project's own."""
    monkeypatch.setattr(peers, "HERE", tmp_path)
    monkeypatch.setenv("SIGMA_SCALE_PEERS", str(tmp_path / "environments"))
    (tmp_path / "programs").mkdir()
    (tmp_path / "toy.txt").write_text("toy==1.0\n")
    return tmp_path


@pytest.fixture
def commands(monkeypatch):
    """What would be run to make environments; nothing is."""
    done = []

    def run(*command):
        done.append([str(part) for part in command])
        if "venv" in done[-1]:
            Path(done[-1][-1]).mkdir(parents=True)

    monkeypatch.setattr(peers, "_run", run)
    return done


@pytest.mark.parametrize("name", peers.NAMES)
def test_every_requirement_is_pinned(name):
    lines = (peers.HERE / f"{name}.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted
    for line in wanted:
        assert PINNED.match(line), line


def test_an_environment_is_made_once(kept, commands):
    python = peers.python_of("toy")
    assert python.is_relative_to(kept / "environments" / "toy")
    made, installed = commands
    assert made[1:] == ["-m", "venv", str(kept / "environments" / "toy")]
    assert installed[:4] == [str(python), "-m", "pip", "install"]
    assert "--no-deps" in installed
    assert installed[-2:] == ["-r", str(kept / "toy.txt")]
    assert peers.python_of("toy") == python
    assert len(commands) == 2


def test_changed_requirements_make_it_anew(kept, commands):
    peers.python_of("toy")
    (kept / "environments" / "toy" / "of the old one").write_text("")
    (kept / "toy.txt").write_text("toy==1.1\n")
    peers.python_of("toy")
    assert len(commands) == 4
    assert not (kept / "environments" / "toy" / "of the old one").exists()


def test_a_half_made_environment_is_made_anew(kept, commands, monkeypatch):
    working = peers._run

    def fail(*command):
        working(*command)
        if "pip" in command:
            raise peers.PeerError("no network")

    monkeypatch.setattr(peers, "_run", fail)
    with pytest.raises(peers.PeerError, match="no network"):
        peers.python_of("toy")
    assert (kept / "environments" / "toy").is_dir()
    monkeypatch.setattr(peers, "_run", working)
    peers.python_of("toy")
    assert len(commands) == 4


def test_a_command_that_fails_is_told_with_its_end():
    with pytest.raises(peers.PeerError, match=r"-c .* failed:[\s\S]*the very end"):
        peers._run(sys.executable, "-c", "raise SystemExit('the very end')")


def test_a_python_that_is_needed_is_looked_for(kept, commands, monkeypatch):
    monkeypatch.setattr(peers, "NEEDS_PYTHON", {"toy": ("9.8", "9.9")})
    monkeypatch.setenv("PATH", str(kept))
    with pytest.raises(peers.PeerError, match=r"toy needs Python 9\.8 or 9\.9"):
        peers.python_of("toy")
    # Version managers leave names that don't start.
    idle = kept / "python9.8"
    idle.write_text(f"#!{sys.executable}\nraise SystemExit(127)\n")
    idle.chmod(0o755)
    with pytest.raises(peers.PeerError, match="needs Python"):
        peers.python_of("toy")
    (kept / "python9.9").symlink_to(sys.executable)
    peers.python_of("toy")
    assert commands[0][0] == str(kept / "python9.9")


def test_a_program_that_fails_is_told_with_its_end(kept):
    program = kept / "programs" / "broken.py"
    program.write_text("import sys\nsys.exit(f'no such map: {sys.argv[1]}')\n")
    with pytest.raises(peers.PeerError, match=r"broken failed .*:\n.*no such map: here\.npy"):
        peers.run_peer(None, "broken", Path("here.npy"))


@pytest.mark.parametrize("printed", ["", "done"])
def test_a_program_without_a_report_is_told(kept, printed):
    (kept / "programs" / "quiet.py").write_text(f"print({printed!r}, end='')\n")
    with pytest.raises(peers.PeerError, match=f"quiet reported nothing; it wrote:\n{printed}"):
        peers.run_peer(None, "quiet")


def test_the_last_line_is_the_report(kept):
    (kept / "programs" / "toy.py").write_text("print('hello')\nprint('{\"peak\": 3}')\n")
    assert peers.run_peer(None, "toy") == {"peak": 3}


def test_steps_are_measured_one_by_one(kept, request):
    programs = Path(request.config.rootpath) / "benchmarks" / "peers" / "programs"
    for name in ("reporting", "steps"):
        (kept / "programs" / f"{name}.py").write_text((programs / f"{name}.py").read_text())
    (kept / "programs" / "toy.py").write_text(
        "from reporting import report\n"
        "from steps import Steps\n"
        "import time\n"
        "step = Steps()\n"
        "with step('large'):\n    bytearray(300_000_000)\n"
        "with step('small'):\n    time.sleep(0.2)\n"
        "report(**step.measures())\n"
    )
    report = peers.run_peer(None, "toy")
    assert list(report["times"]) == ["large", "small"]
    assert report["times"]["small"] >= 0.2
    assert report["processor"]["small"] < 0.1
    if report["peaks"]:
        assert report["peaks"]["large"] > 300_000_000 > report["peaks"]["small"]
        assert report["peak"] == report["peaks"]["large"]


@pytest.mark.slow
def test_an_environment_holds_what_is_pinned_and_nothing_else(kept):
    # A package that asks for one that doesn't exist: requirements are complete, none is looked for.
    wheel = kept / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("toy.py", "ANSWER = 42\n")
        about = "toy-1.0.dist-info"
        file.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\nRequires-Dist: toy-not-there\n",
        )
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
    (kept / "toy.txt").write_text(f"toy @ {wheel.as_uri()}\n")
    (kept / "programs" / "ask.py").write_text(
        "import importlib.util, json, toy\n"
        "own = importlib.util.find_spec('sigma_scale') or importlib.util.find_spec('numpy')\n"
        "print(json.dumps({'answer': toy.ANSWER, 'others': own is not None}))\n"
    )
    assert peers.run_peer("toy", "ask") == {"answer": 42, "others": False}


@pytest.mark.slow
def test_the_dense_peer_in_its_environment(tmp_path):
    import zarr

    counts = np.random.default_rng(0).integers(0, 9, (8, 6, 32), np.uint8)
    array = zarr.create_array(
        str(tmp_path / "dense.zarr"), shape=counts.shape, dtype=np.uint8, chunks=(4, 4, 32)
    )
    array[:] = counts
    report = peers.run_peer(
        "dense", "dense_pass", tmp_path / "dense.zarr", tmp_path, "2", "3-7,10-30"
    )
    binned = counts.reshape(4, 2, 3, 2, 32).sum(axis=(1, 3), dtype=np.uint64)
    lines = np.stack([binned[..., 3:7].sum(-1), binned[..., 10:30].sum(-1)], axis=-1)
    np.testing.assert_array_equal(np.load(tmp_path / "lines.npy"), lines)
    np.testing.assert_array_equal(np.load(tmp_path / "total.npy"), binned.sum(-1))
    np.testing.assert_array_equal(np.load(tmp_path / "sum_spectrum.npy"), counts.sum(axis=(0, 1)))
    assert report["times"]["pass"] > 0
    assert report["peak"] > 0
    pins = (peers.HERE / "dense.txt").read_text()
    for name in ("dask", "xarray", "zarr"):
        assert f"{name}=={report['versions'][name]}" in pins


@pytest.mark.slow
def test_the_feature_pass_beside_its_peers(tmp_path, monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    path = tmp_path / "result.json"
    results = feature_pass.main(["--quick", "--out", str(path)])
    assert read_results(path) == results
    _, dense, lazy = results
    for result, name in ((dense, "dense zarr and Dask 20"), (lazy, "lazy HyperSpy 2")):
        (row,) = result.rows
        assert row.peer.startswith(name)
        assert row.times_peer > 0
        assert row.agreement == "equal"
        assert all(value > 0 for value in result.figures.values())


@pytest.mark.slow
def test_the_tutorial_beside_the_original(tmp_path, monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath))
    path = tmp_path / "result.json"
    results = tutorial.main(["--quick", "--out", str(path)])
    assert read_results(path) == results
    cells, lines = results
    whole, _, mixture, _ = cells.rows
    for row in cells.rows:
        assert row.peer == "emsigma 0.2.1"
        assert row.times_peer > 0
    assert whole.agreement.startswith("line counts equal, z-scores within ")
    assert float(re.search(r"within (\S+) of", whole.agreement)[1]) < 1e-5
    scores = [float(score) for score in re.findall(r"0\.\d{3}", mixture.agreement)]
    assert len(scores) == 2
    assert min(scores) > 0.7
    assert [row.peer for row in lines.rows] == ["eager HyperSpy 2.5.0", "lazy HyperSpy 2.5.0"]
    for row in lines.rows:
        assert row.times_peer > 0
        assert row.agreement.startswith("equal; ")
