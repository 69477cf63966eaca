"""An ingest that is killed at any moment goes on where it stopped, and ends the same."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from bruker_files import random_rows, write_bcf_stream

from sigma_scale.errors import UnfinishedStoreError
from sigma_scale.store import is_store, open_map

SHAPE = (1280, 1024, 1024)
CHUNKS = 80

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("killed") / "map.bcf"
    return write_bcf_stream(path, SHAPE, random_rows(SHAPE, 25.0))


def start(source, store):
    command = [sys.executable, "-m", "sigma_scale", "--quiet", "ingest", str(source), str(store)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 -- our own program


@pytest.fixture(scope="module")
def undisturbed(source):
    """Digests of the files of a store."""
    store = source.with_name("undisturbed.zarr")
    assert start(source, store).wait() == 0
    return digests(store)


def wait_for_chunks(store, writer, number):
    """Wait until a store is there and has so many chunks, or its writer is done."""
    give_up = time.monotonic() + 120
    while writer.poll() is None and time.monotonic() < give_up:
        if store.exists() and len(written(store)) >= number:
            return
        time.sleep(0.001)


def written(store):
    return {file: file.stat().st_mtime_ns for file in store.glob("counts/c/*/*/0")}


def digests(store):
    return {
        str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in store.rglob("*")
        if file.is_file()
    }


@pytest.fixture(scope="module")
def chunks_kept():
    """How many chunks each killed ingest had written."""
    return []


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_ingest_resumes_to_the_same_store(source, undisturbed, chunks_kept, seed):
    store = source.with_name(f"killed_{seed}.zarr")
    rng = np.random.default_rng(seed)
    writer = start(source, store)
    # One moment in each tenth, from the bare store to the last chunk and what follows it.
    wait_for_chunks(store, writer, round((seed + rng.random()) / 10 * CHUNKS))
    time.sleep(rng.uniform(0, 0.05))
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    kept = written(store)
    chunks_kept.append(len(kept))
    if is_store(store) and len(kept) < CHUNKS:
        with pytest.raises(UnfinishedStoreError):
            open_map(store)
    assert start(source, store).wait() == 0
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert digests(store) == undisturbed


def test_the_ingests_were_killed_on_their_way(chunks_kept):
    on_the_way = [number for number in chunks_kept if 0 < number < CHUNKS]
    assert len(on_the_way) >= len(chunks_kept) / 2


def test_another_file_does_not_go_on_with_an_unfinished_store(source, tmp_path):
    store = tmp_path / "map.zarr"
    writer = start(source, store)
    wait_for_chunks(store, writer, 1)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    before = digests(store)
    other = tmp_path / "map.bcf"
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    other.write_bytes(content)
    assert start(other, store).wait() == 2
    assert digests(store) == before
