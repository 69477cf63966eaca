"""A command that is asked to end, as a batch system does when the time is up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from sigma_scale import cli

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no request to end")

SCRIPT = """
import os, signal, sys, time
from sigma_scale import cli, compute
from sigma_scale.workflow import describe

def slow():
    list(compute.stream(abs, range(4)))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

if __name__ == "__main__":
    describe.describe_installation = slow
    cli.main(["--quiet", "--scheduler", "processes:1", "--worker-memory", "1GB", "doctor"])
"""


def test_it_ends_as_if_interrupted_and_leaves_nothing(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.strip() == "Interrupted. Run the same command again to go on."


def test_what_a_signal_does_is_as_before(capsys):
    before = signal.getsignal(signal.SIGTERM)
    cli.main(["info", "--help"])
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_may_call_it_as_well(capsys):
    thread = threading.Thread(target=cli.main, args=(["info", "--help"],))
    thread.start()
    thread.join()
    assert "Usage: sigma-scale info" in capsys.readouterr().out
