"""Choosing where work is done, and what is said where that can't be."""

import json
import logging
import os
import socket
import subprocess
import sys
import time

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from processes import running, wait_for

from sigma_scale import compute, config
from sigma_scale.errors import (
    ClusterError,
    EngineUnavailableError,
    MemoryLimitError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
)


def test_threads_are_no_cluster_and_leave_nothing_behind():
    before = compute.local_workers()
    with compute.connect() as connection:
        assert connection.dashboard_link is None
        assert connection.client is None
        assert compute.local_workers() == before
    with compute.connect("threads", n_workers=before + 3):
        assert compute.local_workers() == before + 3
        assert not compute.on_cluster()
    assert compute.local_workers() == before
    connection = compute.connect("threads:7")
    assert compute.local_workers() == 7
    connection.close()
    connection.close()
    assert compute.local_workers() == before
    assert dask.config.get("num_workers", None) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scheduler": "nowhere"}, "There is no scheduler 'nowhere'"),
        ({"scheduler": "processes:many"}, "whole number"),
        ({"scheduler": "processes:"}, "whole number"),
        ({"scheduler": "processes:0"}, "n_workers must be at least 1"),
        ({"scheduler": "processes:2", "n_workers": 3}, "don't agree"),
        ({"scheduler": "processes", "threads_per_worker": 0}, "threads_per_worker"),
        ({"scheduler": "processes", "memory": "much"}, "memory must be a size"),
        ({"scheduler": "processes", "timeout": "long"}, "timeout must be a duration"),
        ({"scheduler": "threads", "memory": "1GB"}, "have no memory"),
        ({"scheduler": "threads", "queue": "long"}, "have no queue"),
        ({"scheduler": "processes:1", "foo": 1}, r"LocalCluster has no option 'foo'\."),
        ({"scheduler": "processes:1", "lifetimes": 1}, "Did you mean lifetime"),
        ({"scheduler": "tcp://127.0.0.1:1", "memory": "1GB"}, "run already"),
        ({"scheduler": "what://127.0.0.1:1"}, "can't be connected to"),
    ],
)
def test_what_makes_no_sense_is_named(arguments, words):
    with pytest.raises(ParameterError, match=words):
        compute.connect(**arguments)


def test_nobody_at_the_address():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ClusterError, match=f"No scheduler answers at {address} within 1 seconds"):
        compute.connect(address, timeout=1)


def test_scheduler_files_that_are_none(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"missing\.json"):
        compute.connect(tmp_path / "missing.json")
    for content in ("{", "[]", "{}"):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ParameterError, match="no scheduler file"):
            compute.connect(tmp_path / "bad.json")


def test_workers_need_memory_for_their_libraries():
    with (
        config.options(memory_limit="800MB"),
        pytest.raises(MemoryLimitError, match=r"Each of 2 workers .* fewer workers"),
    ):
        compute.connect("processes:2")


def test_without_slurm_its_absence_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(EngineUnavailableError, match="no command sbatch"):
        compute.connect("slurm:2")


def test_slurm_jobs_have_cores_and_memory(monkeypatch, tmp_path):
    pytest.importorskip("dask_jobqueue")
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'Invalid partition name' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ParameterError, match="--worker-memory"):
        compute.connect("slurm:2")
    with pytest.raises(ParameterError, match="nonsense"):
        compute.connect("slurm:2", memory="1GB", threads_per_worker=1, nonsense=1)
    with pytest.raises(ClusterError, match=r"SLURM refuses.*Invalid partition name"):
        compute.connect(
            "slurm:2", memory="1GB", threads_per_worker=1, interface="lo",
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
        )  # fmt: skip


@pytest.fixture(scope="module")
def connection():
    with compute.connect("processes:2", threads_per_worker=1, memory="1.5GB") as connection:
        yield connection


def test_processes_do_the_work(connection):
    assert compute.on_cluster()
    assert connection.dashboard_link.startswith("http://127.0.0.1:")
    pids = set(compute.stream(lambda _: (time.sleep(0.05), os.getpid())[1], range(20)))
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_a_task_has_its_workers_memory_and_no_cluster_of_its_own(connection):
    def look(_):
        return compute.memory_limit(), compute.on_cluster(), compute.local_workers()

    assert set(compute.stream(look, range(3))) == {(1_500_000_000, False, 1)}
    with config.options(memory_limit="1GB"):
        assert {limit for limit, _, _ in compute.stream(look, range(3))} == {1_000_000_000}
        assert compute.memory_limit() == 1_000_000_000


def test_options_travel_to_workers(connection):
    def engine(_):
        return config.get("engine"), config.get("progress")

    for chosen in ("cpu", "auto", "gpu"):
        with config.options(engine=chosen, progress=True):
            assert set(compute.stream(engine, range(4))) == {(chosen, False)}


def test_nested_work_stays_in_its_task(connection):
    def nested(number):
        (total,) = compute.run(da.ones(10, chunks=3).sum(), description="inner")
        return sum(compute.stream(lambda n: n + number, range(3))) + total

    assert sorted(compute.stream(nested, range(3))) == [13, 16, 19]


def test_run_joins_chunks_here_and_forgets_them(connection):
    values = np.arange(60.0).reshape(6, 10)
    lazy = da.from_array(values, chunks=(4, 3)) * 2
    dataset = xr.Dataset({"a": (("y", "x"), lazy), "b": ("x", values[0])}, attrs={"n": 1})
    array, found, number, total = compute.run(lazy, dataset, 5, lazy.sum(), description="Doubling")
    np.testing.assert_array_equal(array, values * 2)
    assert found.identical(dataset.compute(scheduler="synchronous"))
    assert (number, total) == (5, values.sum() * 2)
    client = connection.client
    deadline = time.monotonic() + 20
    while any(client.run(lambda dask_worker: len(dask_worker.data)).values()):
        assert time.monotonic() < deadline, "workers still hold results"
        time.sleep(0.05)


@pytest.mark.parametrize("work", ["run", "stream"])
def test_bars_go_to_the_terminal_as_everywhere(connection, capsys, work):
    from sigma_scale.progress import progress_bar

    with config.options(progress=True):
        if work == "run":
            compute.run(da.ones((4, 4), chunks=2) + 1, description="Adding up")
        else:
            with progress_bar("Adding up", total=4) as bar:
                for _ in compute.stream(abs, range(4), description="Adding up"):
                    bar.update()
    written = capsys.readouterr()
    assert written.out == ""
    assert "Adding up: 100%" in written.err


def test_scripts_need_no_terminal_noise(tmp_path):
    """Connect, work and leave as a script does: the remarks asked for, nothing else."""
    script = tmp_path / "script.py"
    script.write_text(
        "import logging\nfrom sigma_scale import compute\n"
        "if __name__ == '__main__':\n"
        "    logging.basicConfig(format='%(message)s')\n"
        "    logging.getLogger('sigma_scale').setLevel(logging.INFO)\n"
        "    with compute.connect('processes:1', memory='1GB') as connection:\n"
        "        print(sum(compute.stream(abs, range(5))), connection.dashboard_link)\n"
    )
    done = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=True
    )
    total, page = done.stdout.split()
    assert total == "10"
    assert page.startswith("http://127.0.0.1:")
    assert done.stderr.splitlines()[-1].startswith("Work goes to 1 worker(s)")
    assert page in done.stderr
    assert len([line for line in done.stderr.splitlines() if "Waiting for" not in line]) == 1


def test_workers_started_by_hand_neither_pause_nor_spill(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    # Any worker has taken more than this.
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE", "0.001")
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MEMORY__SPILL", "0.001")

    def look(dask_worker):
        manager = dask_worker.memory_manager
        never = manager.memory_pause_fraction == manager.memory_spill_fraction == float("inf")
        return never, dask_worker.status.name

    def assert_work_goes_on(client, number):
        deadline = time.monotonic() + 60
        while (found := [*client.run(look).values()]) != [(True, "running")] * number:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        pids = compute.stream(lambda _: (time.sleep(0.05), os.getpid())[1], range(10 * number))
        assert len(set(pids)) == number

    with running(tmp_path / "cluster", 1) as cluster:
        with distributed.Client(cluster.address) as client:
            client.wait_for_workers(1)
            wait_for(lambda: {s for _, s in client.run(look).values()} == {"paused"}, "pausing")
        with compute.connect(cluster.address) as connection:
            assert_work_goes_on(connection.client, 1)
            cluster.add_worker()  # also those that come later
            assert_work_goes_on(connection.client, 2)


def test_other_versions_are_told():
    distributed = pytest.importorskip("distributed")

    class Elsewhere(distributed.Client):
        """Says of its workers what a test wants."""

        said: dict

        def get_versions(self, check=False, packages=None):  # noqa: FBT002 -- as the client's
            found = super().get_versions(check=check, packages=packages)
            for state in found["workers"].values():
                state["packages"] = {**state["packages"], **self.said}
            return found

    with (
        distributed.LocalCluster(
            n_workers=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Elsewhere(cluster) as client,
    ):
        client.said = {"sigma-scale": None}
        with pytest.raises(ClusterError, match="no sigma-scale"):
            list(compute.stream(abs, range(2)))
        client.said = {"sigma-scale": "0.0.1"}
        with pytest.raises(ClusterError, match=r"sigma-scale 0\.0\.1"):
            compute.run(da.ones(3), description="")
        client.said = {"numpy": "1.2.3"}
        with pytest.warns(SigmaScaleWarning, match=r"numpy 1\.2\.3 \(here "):
            assert list(compute.stream(abs, [-2])) == [2]


def test_logging_is_as_before_after_a_failed_connection():
    before = logging.getLogger("distributed").level
    with pytest.raises(ClusterError):
        compute.connect("tcp://127.0.0.1:1", timeout=0.2)
    assert logging.getLogger("distributed").level == before
    assert json.dumps(dask.config.get("sigma_scale.engine")) == '"auto"'
