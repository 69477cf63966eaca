"""Long steps of a project: the same as the main job, all or nothing."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from editing import SETTINGS, state

from sigma_scale import phases, store
from sigma_scale.errors import (
    BusyError,
    CancelledError,
    ConflictError,
    ParameterError,
    SigmaScaleWarning,
    StoreError,
)
from sigma_scale.workflow import job_steps
from sigma_scale.workflow.background import Task
from sigma_scale.workflow.project import Project

GROUPS = ("binned", "latent", "phases")


def groups(path):
    return [name for name in GROUPS if (path / name).exists()]


def files(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_step_by_step_gives_what_the_main_job_gives(empty, with_results):
    project, events = Project.open(empty), []
    project.subscribe(events.append)
    with pytest.raises(ParameterError, match="Measure the features first"):
        project.embed()
    with pytest.raises(ParameterError, match="Embed the features first"):
        project.cluster()
    with pytest.raises(ParameterError, match="Cluster the map first"):
        project.edit(lambda ps: ps.undo())
    project.measure_features(SETTINGS)
    project.embed()
    project.cluster()
    assert [event for event in events if event != "edits"] == [
        "features", "latent", "clusters", "latent", "clusters", "clusters",
    ]  # fmt: skip
    for name in GROUPS:
        ours, theirs = store.open_result(empty, name), store.open_result(with_results, name)
        xr.testing.assert_equal(ours, theirs)
    again = Project.open(empty)
    assert again.settings == project.settings
    assert again.settings.clustering_args == SETTINGS.clustering_args
    assert state(again) == state(project)


def test_what_followed_goes_and_edits_are_kept(project):
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    changed = {**SETTINGS.clustering_args, "n_components": 4}
    with pytest.warns(SigmaScaleWarning, match="'edits_1'"):
        project.cluster(replace(SETTINGS, clustering_args=changed))
    assert project.segmenter.n_components == 4
    assert project.settings.lines is not None
    assert project.segmenter.edit_log == []
    assert [record["edit"] for record in project.kept_edits["edits_1"]] == ["merge"]
    assert project.revision == 2
    project.embed()
    assert project.segmenter is None
    assert groups(project.path) == ["binned", "latent"]
    project.measure_features()
    assert (project.latent, groups(project.path)) == (None, ["binned"])
    reopened = Project.open(project.path)
    assert reopened.latent is None


def failing(error):
    def fail(*_arguments, **_options):
        raise error

    return fail


@pytest.mark.parametrize(
    ("module", "function", "step"),
    [
        (job_steps, "line_intensities", "measure_features"),
        (job_steps, "embed_features", "embed"),
        (phases, "phase_spectra", "cluster"),
    ],
)
def test_a_step_that_fails_leaves_everything(project, monkeypatch, module, function, step):
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    before, on_disk = state(project), files(project.path)
    monkeypatch.setattr(module, function, failing(ParameterError("no")))
    with pytest.raises(ParameterError, match="no"):
        getattr(project, step)()
    assert state(project) == before
    assert files(project.path) == on_disk
    monkeypatch.undo()
    project.unmix(2)  # nothing is said to be running


def test_a_disk_that_is_full_leaves_everything(project, monkeypatch):
    before, on_disk = state(project), files(project.path)
    monkeypatch.setattr(xr.Dataset, "to_zarr", failing(OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match="No space left"):
        project.cluster()
    assert state(project) == before
    assert files(project.path) == on_disk
    assert [entry.name for entry in project.path.parent.iterdir()] == [project.path.name]


def test_a_cancelled_step_leaves_everything(project, monkeypatch):
    before, on_disk = state(project), files(project.path)
    started, go_on = threading.Event(), threading.Event()
    real = job_steps.cluster_pixels

    def slow(*arguments):
        started.set()
        go_on.wait(30)
        return real(*arguments)

    monkeypatch.setattr(job_steps, "cluster_pixels", slow)
    with Task(project.cluster, "Clustering") as task:
        assert started.wait(30)
        with pytest.raises(BusyError, match="is still running"):
            project.embed()
        project.edit(lambda ps: ps.n_components)  # looking is allowed
        task.cancel()
        go_on.set()
        assert task.wait(60)
    assert task.state == "cancelled"
    assert isinstance(task.error, CancelledError)
    assert state(project) == before
    assert files(project.path) == on_disk


def test_results_replaced_by_another_process_are_not_replaced_in_turn(project, monkeypatch):
    other = Project.open(project.path)
    real = job_steps.cluster_pixels

    def meanwhile(*arguments):
        monkeypatch.undo()
        other.embed()
        return real(*arguments)

    monkeypatch.setattr(job_steps, "cluster_pixels", meanwhile)
    with pytest.raises(ConflictError, match="Another process has replaced"):
        project.cluster()
    assert project.segmenter is None
    np.testing.assert_array_equal(project.latent, other.latent)
    assert groups(project.path) == ["binned", "latent"]


def test_unmixing_is_of_the_clusters_as_they_are(project):
    events = []
    project.subscribe(events.append)
    weights, components = project.unmix(2)
    assert weights.shape[0] == project.segmenter.n_components
    assert components.shape[1] == 2
    assert project.unmixing[0] is weights
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    assert project.unmixing is None
    assert events == ["unmixing", "edits"]
