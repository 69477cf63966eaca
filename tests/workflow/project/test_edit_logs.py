"""Logs of edits that do not belong to the clusters, or are damaged."""

import json

import numpy as np
import pytest
from editing import state

from sigma_scale import store
from sigma_scale.errors import ConflictError, SigmaScaleWarning, StoreError
from sigma_scale.workflow.project import Project, edit_log


def test_edits_of_other_clusters_are_kept_and_not_applied(project):
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    path = project.path
    changed = store.open_result(path, "phases").load()
    changed["labels"][0, 0] = (changed["labels"][0, 0] + 1) % 6
    store.write_result(path, "phases", changed)
    with pytest.warns(SigmaScaleWarning, match=r"not applied.*other clusters.*'edits_1'"):
        again = Project.open(path)
    assert again.segmenter.edit_log == []
    assert [record["edit"] for record in again.kept_edits["edits_1"]] == ["merge"]
    again.edit(lambda ps: ps.merge_clusters([2, 3]))
    # The first one learns of the other clusters.
    events = []
    project.subscribe(events.append)
    with pytest.raises(ConflictError):
        project.edit(lambda ps: ps.undo(), seen=project.revision)
    assert "clusters" in events
    assert state(project) == state(again)


def damage_json(group):
    (group / "zarr.json").write_text("{")


def damage_position(group):
    node = json.loads((group / "zarr.json").read_text())
    node["attributes"]["sigma_scale"]["position"] = 99
    (group / "zarr.json").write_text(json.dumps(node))


def damage_name(group):
    node = json.loads((group / "zarr.json").read_text())
    node["attributes"]["sigma_scale"]["log"][0]["pixels"]["array"] = "../../../../etc"
    (group / "zarr.json").write_text(json.dumps(node))


def damage_record(group):
    node = json.loads((group / "zarr.json").read_text())
    node["attributes"]["sigma_scale"]["log"][0]["edit"] = "explode"
    (group / "zarr.json").write_text(json.dumps(node))


def damage_selection(group):
    (file,) = group.glob("*/c/0")
    file.write_bytes(b"\x00" * 10)


def lose_selection(group):
    (file,) = group.glob("*/c/0")
    file.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        damage_position, damage_name, damage_record, damage_selection,
        lose_selection,
    ],
)  # fmt: skip
def test_damaged_edits_are_kept_and_said_so(project, damage):
    before = state(project)
    project.edit(lambda ps: ps.create_cluster([1, 2, 3]))
    damage(project.path / "edits")
    with pytest.warns(SigmaScaleWarning, match="not applied"):
        again = Project.open(project.path)
    assert state(again) == before
    assert (project.path / "edits_1").is_dir()
    again.edit(lambda ps: ps.merge_clusters([0, 1]))
    assert state(Project.open(project.path)) == state(again)


def test_edits_that_are_no_json_are_named_and_not_thrown_away(project):
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    damage_json(project.path / "edits")
    with pytest.raises(StoreError, match=r"edits.*move that folder"):
        Project.open(project.path)
    (project.path / "edits").rename(project.path.with_name("broken"))
    assert Project.open(project.path).segmenter.edit_log == []


def test_the_digest_tells_labels_apart():
    labels = np.arange(10, dtype=np.int32)
    other = labels.copy()
    other[3] = 4
    assert edit_log.labels_digest(labels) == edit_log.labels_digest(labels.copy())
    assert edit_log.labels_digest(labels) != edit_log.labels_digest(other)
