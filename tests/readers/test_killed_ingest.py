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
    """Digests of the files of a store, and the seconds it took from its first chunk."""
    store = source.with_name("undisturbed.zarr")
    writer = start(source, store)
    began = wait_for_store(store, writer)
    assert writer.wait() == 0
    return digests(store), time.monotonic() - began


def wait_for_store(store, writer):
    give_up = time.monotonic() + 120
    while not store.exists() and writer.poll() is None and time.monotonic() < give_up:
        time.sleep(0.002)
    return time.monotonic()


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
    expected, seconds = undisturbed
    store = source.with_name(f"killed_{seed}.zarr")
    moment = np.random.default_rng(seed).uniform(0, 0.95) * seconds
    writer = start(source, store)
    began = wait_for_store(store, writer)
    time.sleep(max(0.0, began + moment - time.monotonic()))
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    kept = written(store)
    chunks_kept.append(len(kept))
    if is_store(store) and len(kept) < CHUNKS:
        with pytest.raises(UnfinishedStoreError):
            open_map(store)
    assert start(source, store).wait() == 0
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert digests(store) == expected


def test_the_ingests_were_killed_on_their_way(chunks_kept):
    on_the_way = [number for number in chunks_kept if 0 < number < CHUNKS]
    assert len(on_the_way) >= len(chunks_kept) / 2


def test_another_file_does_not_go_on_with_an_unfinished_store(source, tmp_path):
    store = tmp_path / "map.zarr"
    writer = start(source, store)
    wait_for_store(store, writer)
    while not written(store) and writer.poll() is None:
        time.sleep(0.002)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    before = digests(store)
    other = tmp_path / "map.bcf"
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    other.write_bytes(content)
    assert start(other, store).wait() == 2
    assert digests(store) == before
