"""The main job gives the same bytes in memory, kept on disk, in threads and in processes."""

from __future__ import annotations

import shutil

import dask
import numpy as np
import pytest
import xarray as xr
from kept_runs import (
    METHODS,
    MOST_FITTED,
    SHAPE,
    arrays_of,
    assert_same_arrays,
    chunk_files,
    run,
    settings_for,
)

from sigma_scale import store
from sigma_scale.phases import unmix_pixels
from sigma_scale.preprocess import rebin
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow import job_steps, map_phases
from sigma_scale.workflow.outputs import write_results
from sigma_scale.workflow.step_store import StepStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    path = tmp_path_factory.mktemp("ingested") / "map.zarr"
    store.write_map(synthetic_map(SHAPE, seed=3).image, path)
    return path


@pytest.fixture(scope="module")
def client():
    """Two processes, as a cluster."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def _small_sample(monkeypatch):
    monkeypatch.setattr(job_steps, "MOST_FITTED", MOST_FITTED)


@pytest.fixture(scope="module")
def in_memory(ingested, tmp_path_factory):
    """What the job finds where nothing is kept, written to a store of its own."""
    done = {}

    def result_of(method):
        if method not in done:
            path = tmp_path_factory.mktemp("memory") / "map.zarr"
            shutil.copytree(ingested, path)
            write_results(path, map_phases(store.open_map(path), settings_for(method)))
            done[method] = path
        return done[method]

    return result_of


def copied(ingested, folder):
    return shutil.copytree(ingested, folder / "map.zarr")


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize("method", METHODS)
def test_threads_processes_and_memory_give_the_same(ingested, in_memory, client, tmp_path, method):
    expected = arrays_of(in_memory(method))
    assert {name.split("/")[0] for name in expected} >= {"binned", "latent", "phases"}
    labels = expected["phases/labels"]
    assert 2 <= labels.max() < 40
    places = {}
    for name, options in (
        ("two", {"num_workers": 2}),
        ("one", {"scheduler": "synchronous"}),
        ("seven", {"num_workers": 7}),
    ):
        (tmp_path / name).mkdir()
        with dask.config.set(options):
            places[name] = run(copied(ingested, tmp_path / name), tmp_path / name / "out", method)
    (tmp_path / "cluster").mkdir()
    with client.as_current():
        places["cluster"] = run(
            copied(ingested, tmp_path / "cluster"), tmp_path / "cluster" / "out", method
        )
    files = chunk_files(places["two"])
    for path in places.values():
        assert_same_arrays(arrays_of(path), expected)
        assert chunk_files(path) == files


def test_ingest_gives_the_same_files(client, ingested, tmp_path):
    with client.as_current():
        store.write_map(synthetic_map(SHAPE, seed=3).image, tmp_path / "map.zarr")
    for file in ingested.rglob("c/**/*"):
        if file.is_file():
            other = tmp_path / "map.zarr" / file.relative_to(ingested)
            assert other.read_bytes() == file.read_bytes(), file


@pytest.mark.parametrize("method", ["least_squares", "poisson"])
def test_abundance_gives_the_same(client, ingested, tmp_path, method):
    image = rebin(store.open_map(ingested), (4, 2))
    dense = image.to_xarray().to_numpy().reshape(-1, image.shape[2])
    spectra = np.stack([part.sum(axis=0) + 0.1 for part in np.array_split(dense, 3)])
    members = xr.DataArray(
        spectra,
        dims=("phase", "energy"),
        coords={"phase": [0, 1, 2], "energy": image.energy.values},
    )

    def abundance():
        return unmix_pixels(image, members, method=method)

    in_memory = unmix_pixels(image, members, method=method, lazy=False)
    threads = StepStore(tmp_path / "threads").keep("abundance", abundance)
    with client.as_current():
        processes = StepStore(tmp_path / "processes").keep("abundance", abundance)
    for name in ("abundance", "residual"):
        assert np.asarray(threads[name]).tobytes() == in_memory[name].to_numpy().tobytes()
        assert np.asarray(processes[name]).tobytes() == in_memory[name].to_numpy().tobytes()
