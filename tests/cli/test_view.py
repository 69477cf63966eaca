"""`sigma-scale view`, up to the server: that is tested in tests/gui."""

from __future__ import annotations

import click
import pytest
from commands import refused

from sigma_scale.gui.app import server as app_server


class Server:
    """Stands in for a server: says its address and ends as by Ctrl-C."""

    def __init__(self, address):
        self.address = address

    def serve(self):
        raise KeyboardInterrupt


@pytest.fixture
def started(monkeypatch):
    """What servers were asked for, and which addresses a browser was."""
    asked, opened = [], []

    def make(paths, **options):
        asked.append({"paths": list(paths), **options})
        return Server("http://127.0.0.1:5006/?token=secret")

    monkeypatch.setattr(app_server, "make_server", make)
    monkeypatch.setattr(click, "launch", opened.append)
    return asked, opened


def test_the_address_is_printed_and_opened(call, started):
    asked, opened = started
    code, out, err = call("view", "a.zarr", "results")
    assert code == 0
    assert out.splitlines()[0] == "http://127.0.0.1:5006/?token=secret"
    assert "Ctrl-C" in out
    assert "Warning" not in err
    assert opened == ["http://127.0.0.1:5006/?token=secret"]
    (options,) = asked
    assert [path.name for path in options["paths"]] == ["a.zarr", "results"]
    assert options["address"] == "127.0.0.1"
    assert options["port"] == 0
    assert options["token"] == ""  # a random one


def test_options_are_passed_on(call, started):
    asked, opened = started
    assert call("view", "a.zarr", "--token", "mine", "--port", 8123, "--no-open")[0] == 0
    assert asked[0]["token"] == "mine"  # noqa: S105
    assert asked[0]["port"] == 8123
    assert opened == []


def test_what_is_open_to_others_is_warned_of(call, started):
    asked, _ = started
    _, _, err = call("view", "a.zarr", "--no-open", "--address", "0.0.0.0")  # noqa: S104
    assert "Warning: 0.0.0.0 is open to the network" in err
    _, _, err = call("view", "a.zarr", "--no-open", "--no-token")
    assert "without a token" in err
    assert asked[1]["token"] is None


@pytest.mark.parametrize("options", [("--token", "x", "--no-token"), ("--token", "")])
def test_tokens_that_contradict_are_refused(call, started, options):
    refused(call("view", "a.zarr", *options), "--token")
    assert started[0] == []


def test_a_map_that_is_not_there_is_said(call):
    refused(call("view", "nowhere.zarr", "--no-open"), "nowhere.zarr")


def test_a_map_is_needed(call):
    refused(call("view"), "STORES")
