"""Workers, the scheduler and the client killed at work, and workers that take too much memory."""

import os
import signal
import subprocess
import sys
import threading
import time

import dask
import dask.array as da
import numpy as np
import processes
import pytest

from sigma_scale import compute, config, store
from sigma_scale.errors import ClusterError, UnfinishedStoreError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Hashes of the store that threads write."""
    path = tmp_path_factory.mktemp("undisturbed") / "map.zarr"
    store.write_map(processes.slow_map(), path)
    return processes.digests(path)


class Writing:
    """A map being written to a store by a thread of this process."""

    def __init__(self, path):
        self.path = path
        self.error = None
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self):
        try:
            store.write_map(processes.slow_map(), self.path)
        except ClusterError as error:
            self.error = error

    def n_chunks(self):
        return len(list(self.path.rglob("counts/c/*/*/0")))

    def end(self):
        self._thread.join(processes.PATIENCE)
        assert not self._thread.is_alive()
        return self.error


def test_killed_workers_change_nothing(tmp_path, undisturbed):
    rng = np.random.default_rng(0)
    with (
        processes.running(tmp_path / "cluster", 2) as cluster,
        compute.connect(cluster.address, n_workers=2, timeout="2m"),
    ):
        writing = Writing(tmp_path / "map.zarr")
        for number in range(3):
            processes.wait_for(lambda n=number: writing.n_chunks() >= 2 + 5 * n, "a few chunks")
            time.sleep(rng.uniform(0, 0.3))
            working = processes.wait_for(cluster.working, "a worker")
            working[rng.integers(len(working))].kill()
        assert writing.n_chunks() < 25, "the workers were not killed on their way"
        assert writing.end() is None
    assert processes.digests(tmp_path / "map.zarr") == undisturbed


def test_a_worker_comes_back_however_late():
    """Dask's cluster would give up its guard, here while the process is still starting."""
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}),
        compute.connect("processes:1", threads_per_worker=1) as connection,
    ):
        for _ in range(2):
            (pid,) = connection.client.run(os.getpid).values()
            os.kill(pid, signal.SIGKILL)
            processes.wait_for(lambda: not connection.client.nthreads(), "the loss")
            connection.client.wait_for_workers(1, timeout=60)
        assert list(compute.stream(abs, [-1])) == [1]


def test_results_on_a_killed_worker_are_made_again(tmp_path):
    with (
        processes.running(tmp_path / "cluster", 2) as cluster,
        compute.connect(cluster.address, n_workers=2, timeout="2m"),
    ):
        values = np.arange(400).reshape(20, 20)

        def slowly(block):
            time.sleep(0.1)
            return block * 3

        lazy = da.from_array(values, chunks=4).map_blocks(slowly, dtype=values.dtype)
        killer = threading.Timer(1, cluster.working()[0].kill)
        killer.start()
        (found,) = compute.run(lazy, description="Tripling")
        killer.join()
        np.testing.assert_array_equal(found, values * 3)


def test_workers_that_come_later_help(tmp_path):
    with (
        processes.running(tmp_path / "cluster", 1) as cluster,
        compute.connect(cluster.address, timeout="2m"),
    ):
        table = np.zeros(1_000_000, np.uint8)

        def where(number):
            time.sleep(0.2)
            return os.getpid() + int(table[0])

        cluster.add_worker()
        pids = set()
        for pid in compute.stream(where, range(300)):
            pids.add(pid)
            if len(pids) == 2:
                break
        assert len(pids) == 2


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_lost_scheduler_leaves_a_store_that_threads_complete(tmp_path, undisturbed, how):
    path = tmp_path / "map.zarr"
    with (
        processes.running(tmp_path / "cluster", 2) as cluster,
        compute.connect(cluster.file, n_workers=2, timeout="2m"),
    ):
        writing = Writing(path)
        processes.wait_for(lambda: writing.n_chunks() >= 5, "five chunks")
        cluster.scheduler.send_signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
        error = writing.end()
    assert isinstance(error, ClusterError)
    assert "scheduler was lost" in str(error)
    assert "run the same command again" in str(error)
    with pytest.raises(UnfinishedStoreError):
        store.open_map(path)
    kept = len(list(path.rglob("counts/c/*/*/0")))
    assert 5 <= kept < 25
    store.write_map(processes.slow_map(), path)
    assert processes.digests(path) == undisturbed


def fill_by_stream():
    list(compute.stream(processes.fill_memory, range(3), description="Filling"))


def fill_by_run():
    lazy = da.ones(4, chunks=2).map_blocks(
        lambda block: block * processes.fill_memory(1), dtype=float, meta=np.empty(0)
    )
    compute.run(lazy, description="Filling")


@pytest.mark.parametrize("work", [fill_by_stream, fill_by_run])
def test_a_worker_out_of_memory_names_step_and_remedy(tmp_path, work):
    with (
        processes.running(tmp_path / "cluster", 1, failures=0, memory="600MB") as cluster,
        compute.connect(cluster.file, timeout="2m"),
        pytest.raises(ClusterError) as caught,
    ):
        work()
    for words in ("'Filling' stopped", "out of memory", "572.20 MiB", "--worker-memory", "again"):
        assert words in str(caught.value)


def test_without_workers_for_long_it_is_told(tmp_path):
    with (
        processes.running(tmp_path / "cluster", 1) as cluster,
        compute.connect(cluster.file, timeout="2m"),
        config.options(worker_timeout="3s"),
    ):
        for _ in compute.stream(time.sleep, [0.01] * 5):
            cluster.workers[0].kill()
            for worker in cluster.working():
                worker.kill()
            break
        with pytest.raises(ClusterError, match=r"'Waiting' stopped.*no workers for 3 seconds"):
            list(compute.stream(time.sleep, [0.1] * 50, description="Waiting"))


PROGRAM = """
import sys, processes
from sigma_scale import compute, store
with compute.connect(sys.argv[1], n_workers=2, timeout="2m"):
    store.write_map(processes.slow_map(), sys.argv[2])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_client_leaves_a_store_that_is_completed(tmp_path, undisturbed, how):
    path = tmp_path / "map.zarr"
    with processes.running(tmp_path / "cluster", 2) as cluster:
        client = subprocess.Popen(  # noqa: S603 -- our own program, above
            [sys.executable, "-c", PROGRAM, str(cluster.file), str(path)],
            cwd=processes.HERE, stderr=subprocess.PIPE,
        )  # fmt: skip
        processes.wait_for(lambda: len(list(path.rglob("counts/c/*/*/0"))) >= 5, "five chunks")
        client.send_signal(how)
        client.communicate(timeout=60)
        assert client.returncode != 0
        time.sleep(2)  # What has begun ends.
        assert len(list(path.rglob("counts/c/*/*/0"))) < 25
        with compute.connect(cluster.file, n_workers=2, timeout="2m"):
            store.write_map(processes.slow_map(), path)
    assert processes.digests(path) == undisturbed
