"""What is found in a store, and what is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import zarr
from editing import SETTINGS

from sigma_scale import store
from sigma_scale.errors import (
    FileFormatError,
    SigmaScaleWarning,
    SourceNotFoundError,
    StoreError,
    UnfinishedStoreError,
)
from sigma_scale.workflow import SEMDataset, TEMDataset
from sigma_scale.workflow.job_steps import preprocess_map
from sigma_scale.workflow.project import Project


def no_pass(monkeypatch):
    """Fail if a chunk of counts is read."""

    def refuse(self, *_arguments):
        raise AssertionError("counts were read")

    monkeypatch.setattr(store.StoredCounts, "read_block", refuse)


def attribute(path, name, **changes):
    file = path / name / "zarr.json"
    node = json.loads(file.read_text())
    node["attributes"].update(changes)
    file.write_text(json.dumps(node))


def test_results_of_a_run_are_all_there(path, mapped_phases, monkeypatch):
    no_pass(monkeypatch)
    project = Project.open(path)
    assert project.name == "granite"
    assert isinstance(project.dataset, SEMDataset)
    assert project.dataset.shape == mapped_phases.latent.shape[:2]
    assert project.dataset.processed.processing == mapped_phases.image.processing
    ours, theirs = project.settings, mapped_phases.settings
    for name in ("lines", "bin", "normalise", "normalisation", "navigation", "latent"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert (ours.clustering, ours.clustering_args) == ("GaussianMixture", {"n_components": 6})
    np.testing.assert_array_equal(project.maps, mapped_phases.features)
    np.testing.assert_array_equal(project.latent, mapped_phases.latent)
    ps = project.segmenter
    np.testing.assert_array_equal(ps.labels, mapped_phases.clusters["labels"].data.ravel())
    np.testing.assert_array_equal(
        ps.probability, mapped_phases.clusters["probability"].data.ravel()
    )
    assert ps.method == "GaussianMixture"
    assert project.revision == 0
    assert project.unsaved == 0


def test_features_come_from_the_store(path, mapped_phases, monkeypatch):
    no_pass(monkeypatch)
    project = Project.open(path)
    dataset = project.dataset
    np.testing.assert_array_equal(dataset.normalised_elemental_data, mapped_phases.features)
    np.testing.assert_array_equal(dataset.feature_maps, mapped_phases.intensities["line_intensity"])
    labels, maps = project.segmenter.labels, mapped_phases.features.data.reshape(labels_size(path))
    expected = [maps[labels == k].mean(axis=0, dtype=float) for k in range(6)]
    np.testing.assert_allclose(project.segmenter.mu, expected, rtol=1e-5, atol=1e-6)


def labels_size(path):
    size = store.open_result(path, "binned").sizes
    return size["y"] * size["x"], size["feature"]


def test_other_steps_make_other_features(project):
    before = np.array(project.dataset.feature_maps)
    project.dataset.rebin_signal((4, 4))
    assert project.dataset.feature_maps.shape[0] == before.shape[0] // 2
    project.dataset.rebin_signal((2, 2))
    np.testing.assert_array_equal(project.dataset.feature_maps, before)


def test_a_bare_store_has_settings_that_would_be_chosen(empty, mapped_phases, monkeypatch):
    no_pass(monkeypatch)
    project = Project.open(empty)
    assert (project.maps, project.latent, project.segmenter) == (None, None, None)
    assert project.settings.lines == mapped_phases.settings.lines
    assert project.dataset.feature_list == list(mapped_phases.settings.lines)
    assert project.settings.bin != "auto"


def test_total_counts_are_those_written_with_the_counts(empty, monkeypatch):
    image = store.open_map(empty)
    expected = np.asarray(image.to_xarray()).sum(axis=2)
    no_pass(monkeypatch)
    from sigma_scale.workflow.datasets.sources import total_counts

    np.testing.assert_array_equal(total_counts(image), expected)


def test_a_folder_of_results(path, tmp_path, mapped_phases):
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.move(path, folder / "map.zarr")
    (folder / "settings.yaml").write_text(mapped_phases.settings.to_yaml())
    for given in (folder, folder / "map.zarr"):
        project = Project.open(given)
        assert project.name == "results"
        assert project.settings == mapped_phases.settings
    # Settings of another run than the results that are there.
    other = mapped_phases.settings.to_yaml().replace("normalise: true", "normalise: false")
    (folder / "settings.yaml").write_text(other)
    assert Project.open(folder).settings.normalise
    shutil.rmtree(folder / "map.zarr")
    with pytest.raises(StoreError, match="lies elsewhere"):
        Project.open(folder)


def test_the_instrument_decides_on_the_dataset(path):
    attribute(path, "", instrument="TEM")
    store.layout.consolidate(path)
    assert isinstance(Project.open(path).dataset, TEMDataset)


def test_the_dataset_sees_what_the_main_job_sees(empty):
    project = Project.open(empty)
    expected = preprocess_map(store.open_map(empty), project.settings)
    assert project.dataset.processed.processing == expected.processing


def test_what_is_no_store_is_refused(tmp_path, empty):
    with pytest.raises(SourceNotFoundError, match="no store"):
        Project.open(tmp_path / "nothing")
    with pytest.raises(StoreError):
        Project.open(tmp_path)
    file = tmp_path / "map.hspy"
    file.write_bytes(b"x")
    with pytest.raises(FileFormatError, match=r"ingest \S*/map\.hspy \S*/map\.zarr$"):
        Project.open(file)
    file = file.rename(tmp_path / "my map.hspy")
    with pytest.raises(FileFormatError, match=r"ingest '\S*/my map\.hspy' '\S*/my map\.zarr'$"):
        Project.open(file)
    other = tmp_path / "other.zarr"
    xr.Dataset({"a": ("x", [1])}).to_zarr(other, consolidated=False)
    with pytest.raises(StoreError, match="not a map"):
        Project.open(other)
    group = zarr.open_group(str(empty), mode="r+", use_consolidated=False)
    group.attrs["sigma_scale"] = {**group.attrs["sigma_scale"], "state": "unfinished"}
    with pytest.raises(UnfinishedStoreError):
        Project.open(empty)


def test_results_that_do_not_belong_together_are_left_out(path):
    attribute(path, "latent", sigma_scale={"state": "unfinished"})
    with pytest.warns(SigmaScaleWarning, match="latent.*unfinished"):
        project = Project.open(path)
    assert project.maps is not None
    assert project.latent is None
    assert project.segmenter is None


def test_a_latent_space_of_other_features_is_left_out(path, mapped_phases):
    other = mapped_phases.latent.copy()
    other.attrs = {"recipe": {"features": {"lines": ["O_Ka"]}}}
    store.write_result(path, "latent", other.to_dataset(name="latent"))
    with pytest.warns(SigmaScaleWarning, match="'latent'.*not made of"):
        assert Project.open(path).latent is None


def test_importing_it_is_light():
    program = "import sigma_scale, sys; print([m for m in sys.modules if 'workflow.project' in m])"
    run = [sys.executable, "-c", program]
    out = subprocess.run(run, capture_output=True, check=True, text=True)  # noqa: S603
    assert out.stdout.strip() == "[]"


def test_settings_of_the_fixture_are_used(project):
    assert project.settings.latent == SETTINGS.latent
