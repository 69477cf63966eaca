"""Stores that can't be written while they are open: edits wait in memory, and nothing is lost."""

import errno
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from editing import start, state

from sigma_scale.errors import (
    ConflictError,
    SigmaScaleWarning,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.workflow.project import Project
from sigma_scale.workflow.project.lock import locked


def replaced(path):
    """Where a store is put while it is away."""
    return path.with_name("away.zarr")


@pytest.mark.parametrize("trouble", ["moved", "locked", "full", "read-only"])
def test_edits_stay_in_memory_until_they_can_be_saved(project, monkeypatch, trouble):
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    path = project.path
    with monkeypatch.context() as patch:
        if trouble == "moved":
            path.rename(replaced(path))
        elif trouble == "locked":

            def refuse(_path, **_options):
                raise StoreError("Another program has been writing")

            patch.setattr("sigma_scale.workflow.project.edits.locked", refuse)
        elif trouble == "full":

            def no_space(_handle):
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(os, "fsync", no_space)
        else:

            def forbid(self, mode="r", *arguments, **options):
                if mode == "r+b":
                    raise PermissionError(errno.EACCES, "Permission denied", str(self))
                return real(self, mode, *arguments, **options)

            real = type(path).open
            patch.setattr(type(path), "open", forbid)
        for number, colour in enumerate(("red", "blue"), start=1):
            with pytest.raises(StoreError, match="in effect, but not saved"):
                project.edit(lambda ps, c=colour: ps.recolour_clusters(0, c))
            assert project.unsaved == number
        assert project.segmenter.cluster_colors[0] == "#0000ff"
        with pytest.raises((StoreError, SourceNotFoundError)):
            project.save_edits()
        assert project.unsaved == 2
    if trouble == "moved":
        replaced(path).rename(path)
    assert len(Project.open(path).segmenter.edit_log) == 1
    project.save_edits()
    assert project.unsaved == 0
    again = Project.open(path)
    assert state(again) == state(project)
    assert again.revision == project.revision


def test_a_deleted_store_is_named_and_the_state_can_be_saved_elsewhere(project, tmp_path):
    shutil.rmtree(project.path)
    with pytest.raises(StoreError, match="not there any more"):
        project.edit(lambda ps: ps.merge_clusters([0, 1]))
    with pytest.raises(SourceNotFoundError, match="not there any more"):
        project.refresh()
    assert len(project.segmenter.edit_log) == 1
    assert project.unsaved == 1


def test_a_real_lock_is_waited_for_and_then_reported(project):
    with locked(project.path):
        second = locked(project.path, timeout=0.05)
        with pytest.raises(StoreError, match="Another program has been writing"):
            second.__enter__()
    with locked(project.path, timeout=0.05):
        pass


def test_unsaved_edits_are_kept_when_someone_else_was_quicker(project, monkeypatch):
    other = Project.open(project.path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(StoreError):
            project.edit(lambda ps: ps.recolour_clusters(0, "red"))
    other.edit(lambda ps: ps.merge_clusters([0, 1]))
    with (
        pytest.warns(SigmaScaleWarning, match="edits_1"),
        pytest.raises(ConflictError, match="edits_1"),
    ):
        project.save_edits()
    assert state(project) == state(other)
    assert project.unsaved == 0
    (record,) = project.kept_edits["edits_1"]
    assert record["colour"] == "red"
    project.edit(lambda ps: ps.replay_edits(project.kept_edits["edits_1"]))
    assert project.segmenter.cluster_colors[0] == "#ff0000"


HOLD = """
from pathlib import Path
from sigma_scale.workflow.project.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_store_that_another_process_has_locked(project, monkeypatch):
    quick = partial(locked, timeout=0.1)
    holder = start(HOLD, project.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    with monkeypatch.context() as patch:
        patch.setattr("sigma_scale.workflow.project.edits.locked", quick)
        with pytest.raises(
            StoreError, match=r"in effect, but not saved.*Another program.*granite\.zarr.*end it"
        ):
            project.edit(lambda ps: ps.create_cluster(np.arange(50)))
        assert not project.refresh()
        assert Project.open(project.path).segmenter.edit_log == []  # looking needs no lock
    holder.kill()
    holder.communicate()
    project.save_edits()
    assert project.unsaved == 0
    assert state(Project.open(project.path)) == state(project)


@pytest.fixture
def read_only(with_results):
    """A store that this process may read and not write, and a function that makes it writable."""
    # Not below tmp_path, where other users may not look.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(shutil.copytree(with_results, Path(folder) / "granite.zarr"))
        inside = [path, *path.rglob("*")]
        for entry in inside:
            entry.chmod(0o555 if entry.is_dir() else 0o444)
        is_root = os.geteuid() == 0

        def unlock():
            if is_root:
                os.seteuid(0)
            for entry in inside:
                entry.chmod(0o755 if entry.is_dir() else 0o644)

        try:
            if is_root:  # whom nothing is forbidden
                os.seteuid(65534)
            yield path, unlock
        finally:
            unlock()


@pytest.mark.skipif(os.name == "nt", reason="modes of folders mean nothing on Windows")
def test_a_store_that_may_not_be_written(read_only):
    path, unlock = read_only
    project = Project.open(path)
    for number in (1, 2):
        with pytest.raises(StoreError, match=r"not saved.*granite\.zarr.*Make it writable"):
            project.edit(lambda ps: ps.recolour_clusters(0, "red"), seen=project.revision)
        assert project.unsaved == number
    assert not project.refresh()
    with pytest.raises(StoreError, match="Make it writable"):
        project.save_edits()
    assert not (path / "edits").exists()
    unlock()
    project.save_edits()
    assert state(Project.open(path)) == state(project)
    assert len(project.segmenter.edit_log) == 2


@pytest.mark.parametrize("last", range(3))
def test_a_disk_that_is_full_within_a_save(project, monkeypatch, last):
    """The selection, its description and the log are written in turn; each may be cut short."""
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    saved, written = state(project), []
    real = Path.open

    def open_(self, mode="r", *arguments, **options):
        stream = real(self, mode, *arguments, **options)
        if mode == "wb":
            written.append(self)
            if len(written) > last:
                return Full(stream)
        return stream

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_)
        with pytest.raises(StoreError, match=r"not saved.*edits.*No space left.*save them once"):
            project.edit(lambda ps: ps.create_cluster(np.arange(90)))
    assert len(written) == last + 1
    assert state(Project.open(project.path)) == saved
    assert list(project.path.rglob("*.part")) == []
    project.save_edits()
    assert state(Project.open(project.path)) == state(project) != saved


class Full:
    """A file of a disk that has room for half of what is written."""

    def __init__(self, stream):
        self._stream = stream

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._stream.close()

    def write(self, content):
        self._stream.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")
