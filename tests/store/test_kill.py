"""A writer killed without warning leaves a store that says so and can be completed."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from sigma_scale.errors import UnfinishedStoreError
from sigma_scale.store import open_map

PROGRAM = """
import sys
from sigma_scale.store import write_map
from sigma_scale.synthetic import synthetic_map
write_map(synthetic_map((1024, 1024)).image, sys.argv[1])
"""

CHUNKS = 64


def start(path):
    command = [sys.executable, "-c", PROGRAM, str(path)]
    return subprocess.Popen(command)  # noqa: S603 -- our own program, above


def written(path):
    return list(path.glob("counts/c/*/*/0"))


def digests(path):
    return {
        file.relative_to(path): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file()
    }


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize("at_least", [1, 20])
def test_a_store_completed_after_a_kill_equals_an_undisturbed_one(tmp_path, at_least):
    path, undisturbed = tmp_path / "killed.zarr", tmp_path / "undisturbed.zarr"
    writer = start(path)
    give_up = time.monotonic() + 120
    while len(written(path)) < at_least and writer.poll() is None and time.monotonic() < give_up:
        time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    kept = {file: file.stat().st_mtime_ns for file in written(path)}
    assert at_least <= len(kept) < CHUNKS, "the writer was not killed on its way"
    with pytest.raises(UnfinishedStoreError):
        open_map(path)
    assert start(path).wait() == 0
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert start(undisturbed).wait() == 0
    assert {k: v for k, v in digests(path).items() if k.suffix != ".part"} == digests(undisturbed)
