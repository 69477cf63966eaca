"""Editing clusters in a real browser: drawn with the mouse, kept in the store, seen by others."""

import shutil
import time

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from numpy.testing import assert_array_equal

from sigma_scale.workflow.project import Project


@pytest.fixture
def project(with_clusters, serve, tmp_path):
    """A store of the test's own, served."""
    path = tmp_path / "granite.zarr"
    shutil.copytree(with_clusters, path)
    served = serve([path])
    served.workspace.maps[0].project.address = served.address
    return served.workspace.maps[0].project


@pytest.fixture
def page(browser_page, project):
    broken = []
    browser_page.on("pageerror", lambda error: broken.append(str(error)))
    open_editor(browser_page, project)
    yield browser_page
    assert broken == []


def open_editor(page, project):
    page.goto(project.address)
    page.locator(".app-main .bk-tab").get_by_text("Clusters", exact=True).click()
    page.get_by_role("button", name="Create cluster").wait_for()
    frame(page)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def frame(page):
    """Left, top, width and height of the latent space's frame on the screen."""
    canvas = page.locator(".bk-Canvas:visible").first
    canvas.wait_for()
    box = canvas.bounding_box()
    # The frame is what is left of the canvas beside borders of five pixels, below the toolbar.
    return box["x"] + 5, box["y"] + box["height"] - 5 - 400, 410, 400


def on_screen(page, project, points):
    """Where points of the latent space are on the screen."""
    from sigma_scale.plot.point_picture import PointPicture

    seen = PointPicture(project.segmenter.latent)
    left, top, width, height = frame(page)
    x, y = np.asarray(points, float).T
    across = (x - seen.x_range[0]) / (seen.x_range[1] - seen.x_range[0])
    up = (y - seen.y_range[0]) / (seen.y_range[1] - seen.y_range[0])
    return np.column_stack([left + across * width, top + (1 - up) * height])


def draw_lasso(page, corners):
    """Draw around something with the mouse."""
    page.locator('[title="Lasso Select"]:visible').first.click()
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    page.get_by_text("pixels are picked").wait_for()


def around_cluster(project, cluster):
    """Corners of a triangle around some points of a cluster."""
    inside = project.segmenter.latent[project.segmenter.labels == cluster]
    centre, reach = np.median(inside, axis=0), 1.5 * inside.std(axis=0) + 0.2
    return centre + np.array([(-1.0, -1.0), (1.2, -0.8), (0.1, 1.1)]) * reach


def test_a_lasso_relabels_all_points_inside_and_the_edit_is_kept(page, project):
    latent = project.segmenter.latent
    corners = around_cluster(project, 1)
    draw_lasso(page, on_screen(page, project, corners))
    button(page, "Create cluster").click()
    page.get_by_text("Cluster 4 picked").wait_for()
    polygon = np.array(project.segmenter.edit_log[-1]["polygon"])
    # What the mouse drew is what was meant, to a pixel of the screen.
    drawn = on_screen(page, project, polygon)
    assert np.abs(drawn.min(axis=0) - on_screen(page, project, corners).min(axis=0)).max() < 3
    inside = Polygon(polygon).contains_points(latent)
    assert inside.sum() > 10
    assert_array_equal(project.segmenter.labels == 4, inside)

    open_editor(page, project)  # anew
    page.locator(".tabulator-row").get_by_text("cluster_4").wait_for()
    assert_array_equal(Project.open(project.path).segmenter.labels == 4, inside)


def test_clusters_are_merged_recoloured_undone_and_redone(page, project):
    before = project.segmenter.labels.copy()
    pick(page, 0, 2)
    button(page, "Merge").click()
    page.get_by_text("Cluster 0 picked").wait_for()
    merged = project.segmenter.labels
    assert_array_equal(merged, np.array([0, 1, 0, 2])[before])
    button(page, "#882255").click()
    wait_until(lambda: project.segmenter.cluster_colors[0] == "#882255")
    wait_until_enabled(button(page, "Undo")).click()
    wait_until(lambda: project.segmenter.cluster_colors[0] != "#882255")
    wait_until_enabled(button(page, "Undo")).click()
    wait_until(lambda: project.segmenter.n_components == 4)
    assert_array_equal(project.segmenter.labels, before)
    wait_until_enabled(button(page, "Redo")).click()
    wait_until(lambda: project.segmenter.n_components == 3)
    assert_array_equal(Project.open(project.path).segmenter.labels, merged)


def test_a_second_browser_sees_the_firsts_edits(page, project, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    other = context.new_page()
    open_editor(other, project)
    pick(page, 1, 3)
    button(page, "Merge").click()
    page.get_by_text("Cluster 1 picked").wait_for()
    wait_until(lambda: other.locator(".tabulator-row").count() == 3)
    # Another process, which this server hears of when it looks next, or when somebody edits.
    Project.open(project.path).edit(lambda ps: ps.rename_cluster(0, "quartz"))
    for one in (page, other):
        one.locator(".tabulator-row").get_by_text("quartz").wait_for()
    context.close()


def test_an_edit_meant_for_what_another_process_changed_is_a_conflict(page, project):
    page.wait_for_timeout(100)
    project.refresh = lambda: False  # it has not looked yet
    Project.open(project.path).edit(lambda ps: ps.merge_clusters([2, 3]))
    pick(page, 0, 1)
    button(page, "Merge").click()
    page.get_by_text("Someone else has edited these clusters meanwhile").first.wait_for()
    wait_until(lambda: page.locator(".tabulator-row").count() == 3)
    assert project.segmenter.n_components == 3
    assert [edit["clusters"] for edit in project.segmenter.edit_log] == [[2, 3]]


def test_edits_wait_in_memory_while_the_store_is_away(page, project):
    moved = project.path.rename(project.path.with_name("away.zarr"))
    pick(page, 0, 1)
    button(page, "Merge").click()
    page.get_by_text("The edit is in effect, but not saved").first.wait_for()
    assert project.segmenter.n_components == 3
    moved.rename(project.path)
    page.get_by_role("button", name="Save 1 unsaved edit").click()
    page.get_by_text("All edits are saved").first.wait_for()
    assert Project.open(project.path).segmenter.n_components == 3


def pick(page, *clusters):
    """Tick clusters in the table."""
    rows = page.locator(".tabulator-row input[type=checkbox]")
    for cluster in clusters:
        rows.nth(cluster).check()
    listed = ", ".join(map(str, clusters))
    page.get_by_text(f"Clusters {listed} picked").wait_for()


def wait_until_enabled(found):
    wait_until(found.is_enabled)
    return found


def wait_until(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
