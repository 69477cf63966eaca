"""How a command ends: interrupted, warned, out of memory, or by a fault."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from commands import QUICK, refused

from sigma_scale import store
from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.spectra import EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.workflow import job


def test_an_interrupted_command_says_how_to_go_on(call, map_store, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    for step, left in (("map_phases", []), ("write_results", ["out.unfinished"])):
        with monkeypatch.context() as patch:
            patch.setattr(job, step, interrupt)
            code, _, err = call("run", map_store, "-o", "out", *QUICK)
        assert code == 130
        assert err.strip() == "Interrupted. Run the same command again to go on."
        assert [path.name for path in tmp_path.iterdir()] == left  # None with nothing in it.
    assert call("run", map_store, "-o", "out", *QUICK)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_our_warnings_are_notes_and_those_of_libraries_are_not_shown(call, map_store, monkeypatch):
    import warnings

    from sigma_scale.workflow import describe

    def warn(source, **options):
        warnings.warn("a library is unhappy", RuntimeWarning, stacklevel=1)
        warnings.warn("a column is left out", SigmaScaleWarning, stacklevel=1)
        return {"title": "granite"}

    monkeypatch.setattr(describe, "describe_map", warn)
    assert call("info", map_store) == (0, "title  granite\n", "Note: a column is left out\n")


def test_memory_errors_without_a_message_still_say_something(call, map_store, monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(job, "run_job", fail)
    refused(call("run", map_store), "MemoryError")


def test_a_fault_of_the_program_is_not_hidden(call, map_store, monkeypatch):
    def fail(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(job, "run_job", fail)
    with pytest.raises(ZeroDivisionError):
        call("run", map_store)


def test_a_process_of_its_own(map_store, tmp_path):
    """As users run it: the remarks, an error's exit code, and no traceback."""
    command = [sys.executable, "-m", "sigma_scale"]
    quiet = SpectrumImage.from_array(
        np.zeros((30, 30, 300), np.uint8), EnergyAxis(300, 0.01), metadata=MapMetadata(title="dark")
    )
    store.write_map(quiet, tmp_path / "dark.zarr")
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "run", "dark.zarr"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: The map 'dark' holds no counts.\n"
    assert not (tmp_path / "dark-phases").exists()
