"""Where the command has its work done."""

import pytest
from commands import refused

from sigma_scale import compute
from sigma_scale.workflow import describe


@pytest.fixture
def asked(monkeypatch):
    """What the command asks of connect, and whether it has closed what it got."""
    seen = {"open": 0}
    connect = compute.connect

    def watched(**arguments):
        seen["arguments"] = arguments
        connection = connect("threads", n_workers=3)
        seen["open"] += 1
        connection._resources.callback(lambda: seen.update(open=seen["open"] - 1))
        return connection

    monkeypatch.setattr(compute, "connect", watched)
    return seen


def test_options_reach_the_connection(call, asked):
    options = (
        "--scheduler", "slurm:2", "--worker-memory", "8GB", "--scheduler-option", "cores=4",
        "--scheduler-option", "walltime=10:00:00", "--scheduler-option", "queue=long",
    )  # fmt: skip
    assert call(*options, "doctor")[0] == 0
    assert asked == {
        "open": 0,
        "arguments": {
            "scheduler": "slurm:2", "memory": "8GB", "cores": 4, "walltime": "10:00:00",
            "queue": "long",
        },
    }  # fmt: skip


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (MemoryError, 2)])
def test_the_connection_is_closed_however_a_command_ends(call, asked, monkeypatch, error, code):
    def fail():
        assert asked["open"] == 1
        raise error

    monkeypatch.setattr(describe, "describe_installation", fail)
    assert call("doctor")[0] == code
    assert asked["open"] == 0


def test_help_and_mistakes_start_no_workers(call, asked):
    assert call("--scheduler", "processes:2", "run", "--help")[0] == 0
    assert call("--scheduler", "processes:2", "run")[0] == 2
    assert "arguments" not in asked


def test_what_is_known_to_fail_starts_no_workers(call, asked, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    workers = ("--scheduler", "processes:2")
    refused(call(*workers, "run", "a.zarr", "-o", "out"), "out exists already", "--overwrite")
    refused(call(*workers, "demo", "-o", "out"), "out exists already", "--overwrite")
    refused(call(*workers, "run", "a.zarr", "--lines", "Xx_Ka"), "Xx_Ka")
    refused(call(*workers, "ingest", "a.bcf", "a.hspy"), "ends in .zarr")
    refused(call(*workers, "mosaic", "tiles", "out"), "out exists and is not a store")
    assert "arguments" not in asked


def test_what_can_not_be_connected_to_is_one_line(call):
    refused(call("--scheduler", "nowhere", "doctor"), "There is no scheduler 'nowhere'")
    refused(
        call("--scheduler", "tcp://127.0.0.1:1", "--scheduler-option", "timeout=0.5", "doctor"),
        "No scheduler answers at tcp://127.0.0.1:1",
    )
    refused(call("--workers", "0", "doctor"), "n_workers must be at least 1")
    refused(call("--workers", "2", "--scheduler-option", "n_workers=3", "doctor"), "was said twice")


def test_without_options_nothing_is_asked_for(call, asked):
    assert call("doctor")[0] == 0
    assert asked["arguments"] == {}
