"""Workers that are jobs of a real SLURM, one of them cancelled half-way."""

import shutil
import tempfile
import threading
from pathlib import Path

import dask
import numpy as np
import processes
import pytest
import slurm as one_node
import xarray as xr

from sigma_scale import compute, store
from sigma_scale.errors import ClusterError
from sigma_scale.synthetic import synthetic_map

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(one_node.missing()),
        reason=f"no {', '.join(one_node.missing())} (Debian's packages slurm-wlm and munge)",
    ),
]

JOB = {
    "queue": "debug", "cores": 1, "memory": "1GiB", "walltime": "00:10:00", "interface": "lo",
    "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
}  # fmt: skip


@pytest.fixture(scope="module")
def slurm():
    pytest.importorskip("dask_jobqueue")
    # Not in pytest's folder: the name of a socket may have about a hundred letters.
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    try:
        with one_node.running(folder) as slurm:
            yield slurm
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def job(slurm, monkeypatch, tmp_path):
    """Options of jobs whose workers can import what is beside this test."""
    for name, value in slurm.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}):
        yield JOB | {
            "log_directory": str(tmp_path),
            "job_script_prologue": [f"export PYTHONPATH={processes.HERE}"],
        }
    processes.wait_for(lambda: not slurm.jobs(), "the end of the jobs")


def test_a_cancelled_job_changes_nothing(slurm, job, tmp_path):
    image = processes.slow_map()
    path = tmp_path / "slurm.zarr"
    with compute.connect("slurm:2", timeout="2m", **job) as connection:
        first = set(processes.wait_for(lambda: len(slurm.jobs()) == 2 and slurm.jobs(), "two jobs"))
        writing = threading.Thread(target=store.write_map, args=(image, path))
        writing.start()
        processes.wait_for(lambda: len(list(path.rglob("counts/c/*/*/0"))) >= 5, "five chunks")
        slurm.call("scancel", min(first))
        processes.wait_for(lambda: set(slurm.jobs()) - first, "a job in its place")
        writing.join(processes.PATIENCE)
        assert not writing.is_alive()
        assert connection.dashboard_link.startswith("http://127.0.0.1:")
    with compute.inline():
        store.write_map(image, tmp_path / "here.zarr")
    assert processes.digests(path) == processes.digests(tmp_path / "here.zarr")


def test_jobs_that_never_start_are_given_up(slurm, job):
    held = job | {"job_extra_directives": ["--hold"]}
    with pytest.raises(ClusterError, match=r"slurm:1 has 0 of 1 workers after 3 seconds.*squeue"):
        compute.connect("slurm:1", timeout=3, **held)
    assert slurm.call("squeue", "-h") == ""


def test_jobs_that_slurm_refuses_are_told(job):
    with pytest.raises(ClusterError, match=r"SLURM refuses.*nowhere|SLURM refuses.*partition"):
        compute.connect("slurm:1", **(job | {"queue": "nowhere"}))


def test_the_command_maps_phases_by_jobs(slurm, job, tmp_path):
    """Ingest and the whole pipeline, a job cancelled half-way, against threads."""
    store.write_map(synthetic_map((256, 256), seed=3).image, tmp_path / "map.zarr")
    common = (
        "run", "map.zarr", "--latent", "n_landmarks=500", "--latent", "n_epochs=30", "-o",
    )  # fmt: skip
    values = {name: value for name, value in job.items() if name != "job_script_prologue"}
    options = [
        word for name, value in values.items() for word in ("--scheduler-option", f"{name}={value}")
    ]
    shutil.copytree(tmp_path / "map.zarr", tmp_path / "there" / "map.zarr")
    (tmp_path / "there").mkdir(exist_ok=True)
    by_jobs = processes.process(
        tmp_path / "there", "command", "sigma_scale", "--scheduler", "slurm:2", *options, *common,
        "out", DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT="1s",
    )  # fmt: skip
    jobs = processes.wait_for(lambda: len(slurm.jobs()) == 2 and slurm.jobs(), "two jobs")
    log = tmp_path / "there" / "command.log"
    processes.wait_for(lambda: "Work goes to" in log.read_text(), "the first worker")
    slurm.call("scancel", min(jobs))
    assert by_jobs.wait(600) == 0, log.read_text()
    here = processes.process(tmp_path, "here", "sigma_scale", *common, "out")
    assert here.wait(600) == 0, (tmp_path / "here.log").read_text()
    compared = 0
    for group in ("", "binned", "latent", "phases"):
        one, other = (
            xr.open_zarr(folder / "map.zarr", group=group or None, consolidated=False)
            for folder in (tmp_path, tmp_path / "there")
        )
        assert set(one.variables) == set(other.variables)
        for name in one.variables:
            np.testing.assert_array_equal(one[name], other[name], err_msg=f"{group}/{name}")
            compared += 1
    assert compared > 10
