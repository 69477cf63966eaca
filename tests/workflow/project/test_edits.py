"""Edits of a stored map: saved at once, seen by others, never lost."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
import xarray as xr
import zarr
from editing import start, state
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale import store
from sigma_scale.errors import (
    ConflictError,
    ParameterError,
    SigmaScaleError,
    StoreError,
)
from sigma_scale.workflow.project import Project


def corner(project, rows, columns):
    mask = np.zeros((project.segmenter.height, project.segmenter.width), bool)
    mask[:rows, :columns] = True
    return mask


def test_edits_are_there_after_opening_again(project):
    first = state(project)
    assert project.edit(lambda ps: ps.merge_clusters([0, 2], name="both")) == 0
    number = project.edit(lambda ps: ps.create_cluster(corner(project, 5, 7)))
    project.edit(lambda ps: ps.recolour_clusters(number, "#123456"))
    project.edit(lambda ps: ps.undo())
    assert project.revision == 4
    again = Project.open(project.path)
    assert state(again) == state(project)
    assert again.revision == 4
    again.edit(lambda ps: ps.redo())
    assert again.segmenter.cluster_colors[number] == "#123456"
    again.edit(lambda ps: ps.reset())
    opened = Project.open(project.path)
    assert opened.segmenter.labels.tolist() == first[0]
    assert opened.segmenter.can_redo


def test_the_selection_in_the_store_is_the_selection(project):
    mask = corner(project, 9, 4)
    project.edit(lambda ps: ps.create_cluster(mask))
    group = zarr.open_group(str(project.path / "edits"), mode="r")
    (record,) = group.attrs["sigma_scale"]["log"]
    content = np.asarray(group[record["pixels"]["array"]][:]).tobytes()
    import zlib

    bits = np.unpackbits(np.frombuffer(zlib.decompress(content), np.uint8))
    np.testing.assert_array_equal(bits[: mask.size], mask.ravel())


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_the_store_stays_a_store(project, ingested):
    project.edit(lambda ps: ps.create_cluster(corner(project, 3, 3)))
    path = project.path
    assert "counts" in xr.open_zarr(path)
    opened = xr.open_zarr(path, group="edits", consolidated=False)
    assert opened.attrs["sigma_scale"]["revision"] == 1
    members = dict(zarr.open_group(str(path), mode="r", use_consolidated=False).members(None))
    assert "edits" in members
    image = store.open_map(path)
    assert store.verify_map(image, store.open_map(ingested)) == 64 * 48
    store.write_result(path, "another", xr.Dataset({"a": ("n", np.arange(3))}))
    consolidated = json.loads((path / "zarr.json").read_text())["consolidated_metadata"]
    assert not any(name.startswith("edits") for name in consolidated["metadata"])
    assert "another" in consolidated["metadata"]
    with pytest.raises(StoreError, match="edits"):
        store.write_result(path, "edits", xr.Dataset())


def test_selections_that_nobody_can_redo_go_away(project):
    for rows in (2, 3, 4):
        project.edit(lambda ps, rows=rows: ps.create_cluster(corner(project, rows, 2)))
        project.edit(lambda ps: ps.undo())
    assert len([entry for entry in (project.path / "edits").iterdir() if entry.is_dir()]) == 1


def test_an_action_that_fails_changes_nothing(project):
    before = state(project)
    events = []
    project.subscribe(events.append)

    def half(ps):
        ps.merge_clusters([0, 1])
        ps.merge_clusters([0, 99])

    with pytest.raises(ParameterError, match="99"):
        project.edit(half)
    assert state(project) == before
    assert (project.revision, events, project.unsaved) == (0, [], 0)
    assert not (project.path / "edits").exists()
    assert project.edit(lambda ps: ps.n_components) == before[-1]
    assert project.revision == 0


def test_subscribers_are_told_until_they_end_it(project, caplog):
    events = []
    end = project.subscribe(events.append)
    broken = project.subscribe(lambda event: 1 / 0)
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    assert events == ["edits"]
    assert "ZeroDivisionError" in caplog.text
    broken()
    end()
    end()
    project.edit(lambda ps: ps.undo())
    assert events == ["edits"]


def test_who_edits_second_sees_the_first_ones_edits(project):
    other, events = Project.open(project.path), []
    other.subscribe(events.append)
    seen = other.revision
    project.edit(lambda ps: ps.merge_clusters([0, 1]), seen=0)
    with pytest.raises(ConflictError, match="Someone else"):
        other.edit(lambda ps: ps.merge_clusters([2, 3]), seen=seen)
    assert events == ["edits"]
    assert state(other) == state(project)
    other.edit(lambda ps: ps.merge_clusters([2, 3]), seen=other.revision)
    assert project.refresh()
    assert not project.refresh()
    assert state(project) == state(other)
    assert len(project.segmenter.edit_log) == 2


def test_two_browsers_on_one_project(project):
    seen = project.revision
    project.edit(lambda ps: ps.recolour_clusters(0, "red"), seen=seen)
    with pytest.raises(ConflictError):
        project.edit(lambda ps: ps.recolour_clusters(0, "blue"), seen=seen)
    assert project.segmenter.cluster_colors[0] == "#ff0000"


def test_without_a_revision_edits_come_on_top_of_what_there_is(project):
    other = Project.open(project.path)
    project.edit(lambda ps: ps.recolour_clusters(0, "red"))
    other.edit(lambda ps: ps.recolour_clusters(1, "blue"))
    assert [record["clusters"] for record in other.segmenter.edit_log] == [[0], [1]]


ACTIONS = [
    lambda ps: ps.merge_clusters([0, 1]),
    lambda ps: ps.create_cluster(np.arange(0, 200, 3)),
    lambda ps: ps.relabel_pixels(np.arange(100, 300), 0),
    lambda ps: ps.recolour_clusters([0], "#00ff00"),
    lambda ps: ps.rename_cluster(0, f"name {len(ps.edit_log)}"),
    lambda ps: ps.undo(),
    lambda ps: ps.redo(),
    lambda ps: ps.reset(),
    lambda ps: ps.drop_empty_clusters(),
]


@settings(max_examples=5)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(ACTIONS), st.booleans()), max_size=10
    )
)
def test_any_edits_by_two_end_equal(with_results, tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("two") / "granite.zarr"
    shutil.copytree(with_results, path)
    projects = [Project.open(path), Project.open(path)]
    alone = Project.open(path).segmenter  # what the successful edits do to one object
    for who, action, careful in steps:
        project = projects[who]
        seen = project.revision if careful else None
        try:
            project.edit(action, seen=seen)
        except ConflictError:
            continue
        except SigmaScaleError:
            with pytest.raises(SigmaScaleError):
                action(alone)
        else:
            action(alone)
    for project in projects:
        project.refresh()
    assert state(projects[0]) == state(projects[1]) == state(Project.open(path))
    assert projects[0].segmenter.labels.tolist() == alone.labels.tolist()
    assert projects[0].segmenter.edit_log == alone.edit_log
    assert projects[0].revision == projects[1].revision


MANY = """
name = sys.argv[2]
for number in range(12):
    while True:
        try:
            project.edit(
                lambda ps: ps.rename_cluster(0, f"{name} {number}"), seen=project.revision
            )
            break
        except ConflictError:
            pass
"""


def test_two_processes_lose_none_of_their_edits(path):
    writers = []
    for name in ("one", "two"):
        program = MANY.replace("sys.argv[2]", repr(name))
        writers.append(start(program, path))
    assert [writer.wait(120) for writer in writers] == [0, 0]
    log = Project.open(path).segmenter.edit_log
    for name in ("one", "two"):
        mine = [record["name"] for record in log if record["name"].startswith(name)]
        assert mine == [f"{name} {number}" for number in range(12)]
    assert len(log) == 24


def test_threads_lose_none_of_their_edits(project):
    def work(name):
        for number in range(10):
            project.edit(lambda ps, n=number: ps.rename_cluster(0, f"{name} {n}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Project.open(project.path).segmenter.edit_log) == 30
    assert project.revision == 30


ENDLESS = """
print("ready", flush=True)
number = 0
while True:
    number += 1
    project.edit(lambda ps: ps.create_cluster(np.arange(number, number + 50)))
    print(number, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
def test_a_kill_during_a_save_leaves_the_old_or_the_new_log(path):
    done = 0
    for pause in (0.0, 0.017):
        writer = start(ENDLESS, path, stdout=subprocess.PIPE)
        assert writer.stdout.readline() == "ready\n"
        writer.stdout.readline()
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.wait()
        said = 1 + len(rest)
        project = Project.open(path)
        count = len(project.segmenter.edit_log)
        # One more may have been saved than was said.
        assert done + said <= count <= done + said + 1
        assert project.segmenter.n_components == 6 + count
        project.edit(lambda ps: ps.create_cluster([0]))  # the lock died with its holder
        done = count + 1
    xr.open_zarr(path)
