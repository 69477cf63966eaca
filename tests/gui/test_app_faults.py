"""What goes wrong while somebody edits on the page: it is said, and nothing is lost."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import panel as pn
import pytest
from editor_page import button, draw_lasso, on_screen, open_editor, wait_until
from matplotlib.path import Path as Polygon
from numpy.testing import assert_array_equal

from sigma_scale import store
from sigma_scale.errors import ConflictError
from sigma_scale.gui.app.saved_edits import SavedEdits
from sigma_scale.gui.editor import LatentEditor
from sigma_scale.workflow.project import Project
from sigma_scale.workflow.project.lock import locked

HOLD = """
import sys
from pathlib import Path
from sigma_scale.workflow.project.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(with_clusters, tmp_path):
    """A store of the test's own, with four clusters."""
    return shutil.copytree(with_clusters, tmp_path / "granite.zarr")


@pytest.fixture
def shown(path):
    """The editor of a page, without a browser: as the tab Clusters puts it together."""
    return make_page(Project.open(path))


def make_page(project):
    page = SimpleNamespace(project=project, unsaved=[], follow=None)
    page.edits = SavedEdits(project, lambda: page.unsaved.append(project.unsaved))
    page.editor = LatentEditor(project.segmenter, edit=page.edits)

    def follow():
        page.edits.seen = project.revision
        page.editor.refresh()

    page.session, page.follow = page.editor.session, follow
    return page


def press(page, label):
    """Press a button, even one that can't be: a click may be on its way."""
    (found,) = [b for b in page.editor.layout.select(pn.widgets.Button) if b.name == label]
    found.clicks += 1
    return page.editor._remark.text


@pytest.fixture
def hold(path):
    """A function that lets another process lock the store, and one that ends it."""
    holders = []

    def start():
        command = [sys.executable, "-c", HOLD, str(path)]
        holder = subprocess.Popen(  # noqa: S603 -- our own program
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        holders.append(holder)
        assert holder.stdout.readline() == "held\n"
        return holder.communicate

    yield start
    for holder in holders:
        if holder.poll() is None:
            holder.kill()
            holder.communicate()


def full(_handle):
    raise OSError(errno.ENOSPC, "No space left on device")


def read_only(self, mode="r", *_arguments, **_options):
    raise OSError(errno.EROFS, "Read-only file system", str(self))


SAID = {
    "locked": ["Another program has been writing", "granite.zarr", "Wait for its end"],
    "full": ["No space left on device", "granite.zarr", "save them once that is mended"],
    "read-only": ["Read-only file system", "granite.zarr", "Make it writable"],
}


@pytest.mark.parametrize("trouble", SAID)
def test_the_page_says_why_an_edit_is_not_saved_and_keeps_it(
    shown, path, hold, monkeypatch, trouble
):
    release = hold() if trouble == "locked" else lambda: None
    with monkeypatch.context() as patch:
        if trouble == "locked":
            quick = partial(locked, timeout=0.1)
            patch.setattr("sigma_scale.workflow.project.edits.locked", quick)
        elif trouble == "full":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(type(path), "open", read_only)
        shown.session.pick_clusters([0, 1])
        said = press(shown, "Merge")
        assert "in effect, but not saved" in said
        assert [word for word in SAID[trouble] if word not in said] == []
        shown.session.pick_clusters([2])
        assert "2 edits are kept" in press(shown, "#882255")  # editing goes on
    assert shown.unsaved == [1, 2]
    release()
    shown.project.save_edits()
    again = Project.open(path).segmenter
    assert again.n_components == 3
    assert again.cluster_colors[2] == "#882255"


def merge_elsewhere(path, *clusters):
    Project.open(path).edit(lambda ps: ps.merge_clusters(clusters))


def test_picked_clusters_are_followed_when_another_process_merges(shown, path):
    ps = shown.project.segmenter
    is_last = ps.labels == 3
    shown.session.pick_clusters([1, 3])
    merge_elsewhere(path, 0, 1)
    shown.project.refresh()
    assert_array_equal(shown.session.marked(ps.state), is_last)
    shown.follow()
    # Number 1 is another cluster now, and so is what was number 3.
    assert shown.session.clusters == (2,)
    assert press(shown, "#882255") == ""
    assert_array_equal(ps.labels == 2, is_last)
    assert [k for k, colour in ps.cluster_colors.items() if colour == "#882255"] == [2]


def test_a_double_click_does_not_get_past_a_conflict(shown, path):
    shown.session.pick_clusters([1, 2])
    merge_elsewhere(path, 0, 1)
    for _click in range(2):
        assert "Someone else has edited" in press(shown, "Merge")
        shown.session._picked = (1, 2), shown.project.segmenter.state.pixels
    assert shown.project.segmenter.n_components == 3
    shown.follow()
    assert press(shown, "Merge") == ""
    assert Project.open(path).segmenter.n_components == 2


def test_in_a_notebook_edits_are_of_the_clusters_that_were_picked(path):
    project = Project.open(path)
    session = LatentEditor(project.segmenter, edit=project.edit).session
    is_last = project.segmenter.labels == 3
    session.pick_clusters([1, 3])
    merge_elsewhere(path, 0, 1)
    with pytest.raises(ConflictError, match="pick again"):
        session.merge()
    session.forget_gone()
    assert session.clusters == (2,)
    merge_elsewhere(path, 0, 1)
    session.recolour("#882255")
    assert project.segmenter.cluster_colors[1] == "#882255"
    assert_array_equal(project.segmenter.labels == 1, is_last)
    assert [edit["edit"] for edit in project.segmenter.edit_log] == ["merge", "merge", "recolour"]


def test_a_lasso_in_clusters_that_were_made_anew_changes_nothing(path):
    project = Project.open(path)
    session = LatentEditor(project.segmenter, edit=project.edit).session
    session.pick_pixels(np.arange(40))
    changed = store.open_result(path, "phases").load()
    changed["labels"][0, 0] = (changed["labels"][0, 0] + 1) % 4
    store.write_result(path, "phases", changed)
    with pytest.raises(ConflictError, match="made anew"):
        session.create()
    assert project.segmenter.edit_log == []
    assert project.segmenter is not session.ps


# In a browser


def test_a_page_closed_in_mid_edit(new_page, path, serve, hold, caplog):
    served = serve([path])
    project = served.workspace.maps[0].project
    project.address = served.address
    pages = []
    for _number in range(2):
        pages.append(new_page())
        open_editor(pages[-1], project)
    closed, other = pages
    boxes = closed.locator(".tabulator-row input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    closed.get_by_text("Clusters 0, 1 picked").wait_for()
    release = hold()
    button(closed, "Merge").click()
    wait_until(lambda: not project._lock.acquire(blocking=False) or project._lock.release())
    closed.context.close()
    assert len(project.segmenter.edit_log) == 0  # it waits for the store
    release()
    wait_until(lambda: other.locator(".tabulator-row").count() == 3)
    assert Project.open(path).segmenter.n_components == 3
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


SERVE = """
import sys
from pathlib import Path
from sigma_scale.gui.app import make_server
server = make_server([Path(sys.argv[1])], port=int(sys.argv[2]), token="always-the-same")
print(server.address, flush=True)
server.serve()
"""


@pytest.fixture
def start_server(path):
    """A function that serves the store from a process of its own, at one port."""
    running = []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def start():
        command = [sys.executable, "-c", SERVE, str(path), str(port)]
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)  # noqa: S603
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_a_lasso_that_crosses_itself_outlives_its_server(browser_page, path, start_server):
    server, address = start_server()
    before = Project.open(path)
    place = SimpleNamespace(address=address, segmenter=before.segmenter)
    open_editor(browser_page, place)
    latent = before.segmenter.latent
    low, high = np.quantile(latent, [0.15, 0.85], axis=0)
    star = [np.pi * (0.5 + 0.8 * k) for k in range(5)]
    corners = (low + high) / 2 + np.column_stack([np.cos(star), np.sin(star)]) * (high - low) / 2
    draw_lasso(browser_page, on_screen(browser_page, place, corners))
    button(browser_page, "Create cluster").click()
    browser_page.get_by_text("Cluster 4 picked").wait_for()
    server.kill()
    server.wait()
    browser_page.get_by_text("The connection to the server is lost").wait_for()

    assert start_server()[1] == address
    # Cookies end with their server, and the answer says what to do.
    assert "Open the whole address" in browser_page.reload().text()
    open_editor(browser_page, place)
    browser_page.locator(".tabulator-row").get_by_text("cluster_4").wait_for()
    after = Project.open(path).segmenter
    polygon = np.array(after.edit_log[-1]["polygon"])
    inside = even_odd(polygon, latent)
    assert_array_equal(after.labels == 4, inside)
    # The heart of the star, which its outline winds about twice, is not inside.
    around = Polygon(corners[[0, 2, 4, 1, 3]]).contains_points(latent)
    assert 0 < inside.sum() < around.sum()
    wait_until(button(browser_page, "Undo").is_enabled)
    button(browser_page, "Undo").click()
    wait_until(lambda: browser_page.locator(".tabulator-row").count() == 4)
    assert Project.open(path).segmenter.n_components == 4


def even_odd(corners, points):
    """Which points a ray to the right leaves through an odd number of edges."""
    x, y = points.T
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside
