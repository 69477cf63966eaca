"""Workers and clients that are killed in the middle of each stage: nothing of it shows."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time

import pytest
import xarray as xr
import zarr
from kept_runs import (
    MOST_FITTED,
    SHAPE,
    AtStage,
    arrays_of,
    assert_same_arrays,
    run,
    run_and_die,
    run_and_die_linking,
)

from sigma_scale import store
from sigma_scale.compute.clusters import returning_workers
from sigma_scale.phases import unmix_pixels
from sigma_scale.preprocess import rebin
from sigma_scale.progress import observing
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow import job_steps, kept_steps, pipeline, step_store
from sigma_scale.workflow.step_store import StepStore

pytestmark = pytest.mark.slow

METHOD = "GaussianMixture"

STAGES = {
    "lines": ("Keeping line_intensity", 1),
    "moments": ("Means of the features", 1),
    "features": ("Keeping features", 1),
    "landmarks": ("Choosing landmarks", 1),
    "placement": ("Keeping latent", 1),
    "sample": ("Reading the latent space", 1),
    "clustering": ("Keeping placed", 1),
    "numbers": ("Counting pixels of the clusters", 1),
    "spectra": ("Summing phase spectra", 1),
}
UNNAMED = ["contacts", "regions"]
"""Stages that read labels band by band, and say nothing of it."""
FINISHED = {
    "lines": [],
    "moments": ["line_intensity"],
    "landmarks": ["line_intensity", "features"],
    "placement": ["line_intensity", "features", "umap"],
    "clustering": ["line_intensity", "features", "umap", "latent"],
    "spectra": ["line_intensity", "features", "umap", "latent", "placed"],
    "regions": ["line_intensity", "features", "umap", "latent", "placed", "spectra"],
}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    path = tmp_path_factory.mktemp("ingested") / "map.zarr"
    store.write_map(synthetic_map(SHAPE, seed=3).image, path)
    return path


@pytest.fixture(autouse=True)
def _small_sample(monkeypatch):
    monkeypatch.setattr(job_steps, "MOST_FITTED", MOST_FITTED)


@pytest.fixture(scope="module")
def undisturbed(ingested, tmp_path_factory):
    """Folder of a run in threads that nobody interrupts."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(job_steps, "MOST_FITTED", MOST_FITTED)
        run(shutil.copytree(ingested, folder / "map.zarr"), folder / "out", METHOD)
        return folder


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with (
        returning_workers(),  # else one that is killed twice in 15 seconds may be given up
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def assert_same(folder, other):
    """Compare the stores and the tables of two runs."""
    assert_same_arrays(arrays_of(folder / "map.zarr"), arrays_of(other / "map.zarr"))
    for table in (other / "out" / "tables").iterdir():
        assert (folder / "out" / "tables" / table.name).read_bytes() == table.read_bytes()


def kill_a_worker(client):
    """Kill the process of one that has work, or else results that are still wanted."""
    while True:  # The stage is under way: what it gives is held until this returns.
        working, holding = client.processing(), client.has_what()
        loads = {worker: (len(working[worker]), len(holding[worker])) for worker in working}
        victim = max(loads, key=loads.__getitem__)
        if any(loads[victim]):
            break
        time.sleep(0.001)
    os.kill(client.processes[victim], signal.SIGKILL)


def ready(client):
    """Wait for two workers, and learn their processes while they have nothing to do."""
    client.wait_for_workers(2)
    client.processes = client.run(os.getpid)


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_worker_changes_nothing(stage, ingested, undisturbed, client, tmp_path):
    ready(client)
    name, turn = STAGES[stage]
    observer = AtStage(name, lambda: kill_a_worker(client), turn)
    with client.as_current(), observing(observer):
        run(shutil.copytree(ingested, tmp_path / "map.zarr"), tmp_path / "out", METHOD)
    assert observer.acted, observer.seen
    assert_same(tmp_path, undisturbed)


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize("stage", UNNAMED)
def test_a_worker_killed_between_bands_changes_nothing(
    stage, ingested, undisturbed, client, tmp_path
):
    ready(client)
    observer = AtStage("", lambda: kill_a_worker(client), turn=-1)
    keep = getattr(pipeline, f"keep_{stage}")

    def keeps(*arguments):
        observer.now = True
        return keep(*arguments)

    with pytest.MonkeyPatch.context() as patched, client.as_current(), observing(observer):
        patched.setattr(pipeline, f"keep_{stage}", keeps)
        run(shutil.copytree(ingested, tmp_path / "map.zarr"), tmp_path / "out", METHOD)
    assert observer.acted
    assert_same(tmp_path, undisturbed)


def test_a_worker_killed_while_unmixing_changes_nothing(ingested, client, tmp_path):
    image = rebin(store.open_map(ingested), (2, 2))
    dense = image.to_xarray()[:60, :60].to_numpy().reshape(-1, image.shape[2])
    members = xr.DataArray(
        dense.reshape(3, -1, image.shape[2]).sum(axis=1) + 0.1,
        dims=("phase", "energy"),
        coords={"phase": [0, 1, 2], "energy": image.energy.values},
    )
    expected = unmix_pixels(image, members, lazy=False)
    ready(client)
    observer = AtStage("Keeping abundance", lambda: kill_a_worker(client))
    with client.as_current(), observing(observer):
        kept = StepStore(tmp_path).keep("abundance", lambda: unmix_pixels(image, members))
    assert observer.acted
    for name in ("abundance", "residual"):
        assert kept[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes()


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize("stage", FINISHED)
def test_after_a_killed_client_the_next_run_goes_on(
    stage, ingested, undisturbed, tmp_path, monkeypatch
):
    path, output = shutil.copytree(ingested, tmp_path / "map.zarr"), tmp_path / "out"
    process = multiprocessing.get_context("spawn").Process(
        target=run_and_die,
        args=(str(tmp_path), METHOD, *STAGES.get(stage, ("", 4))),
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not output.exists()
    steps = tmp_path / "out.unfinished" / "steps"
    done = [
        name
        for name in FINISHED[stage]
        if list(steps.glob(f"{name}-*.npz")) or _is_complete(steps / name)
    ]
    assert done == FINISHED[stage]
    made = []
    write, fit = step_store._write, kept_steps.fit_latent
    monkeypatch.setattr(
        step_store,
        "_write",
        lambda *arguments, **options: (
            made.append(options["name"]),
            write(*arguments, **options),
        )[1],
    )
    monkeypatch.setattr(
        kept_steps, "fit_latent", lambda *arguments: (made.append("umap"), fit(*arguments))[1]
    )
    run(path, output, METHOD)
    assert not set(made) & set(done)
    assert len(made) + len(done) >= len(FINISHED["regions"])
    assert_same(tmp_path, undisturbed)
    assert not (output / "steps").exists()


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize("turn", [0, 5, 30])
def test_a_client_killed_while_it_puts_maps_into_the_store(turn, ingested, undisturbed, tmp_path):
    path, output = shutil.copytree(ingested, tmp_path / "map.zarr"), tmp_path / "out"
    process = multiprocessing.get_context("spawn").Process(
        target=run_and_die_linking, args=(str(tmp_path), METHOD, turn)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(tmp_path.glob(".map.zarr.*.results"))
    assert not output.exists()
    for name in store.result_names(path):
        store.open_result(path, name).load()  # Whatever is there is whole.
    run(path, output, METHOD)
    assert_same(tmp_path, undisturbed)


def _is_complete(path):
    attrs = zarr.open_group(str(path), mode="r", use_consolidated=False).attrs
    return attrs["sigma_scale_step"]["complete"]
