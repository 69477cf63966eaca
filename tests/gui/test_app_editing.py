"""Editing clusters in a real browser: drawn with the mouse, kept in the store, seen by others."""

import shutil

import numpy as np
import pytest
from editor_page import button, draw_lasso, on_screen, open_editor, wait_until
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


def test_a_second_browser_sees_the_firsts_edits(page, project, new_page):
    other = new_page()
    open_editor(other, project)
    pick(page, 1, 3)
    button(page, "Merge").click()
    page.get_by_text("Cluster 1 picked").wait_for()
    wait_until(lambda: other.locator(".tabulator-row").count() == 3)
    # Another process, which this server hears of when it looks next, or when somebody edits.
    Project.open(project.path).edit(lambda ps: ps.rename_cluster(0, "quartz"))
    for one in (page, other):
        one.locator(".tabulator-row").get_by_text("quartz").wait_for()


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


def test_the_editor_can_be_read_and_its_noise_left_out_after_a_switch_of_the_theme(page, project):
    page.locator("#theme-toggle").click()
    for part in (".tabulator-col-title", ".tabulator-row .tabulator-cell"):
        letters, ground = page.locator(f"{part}:visible").last.evaluate(
            """found => {
              const letters = getComputedStyle(found).color
              let ground
              do { ground = getComputedStyle(found).backgroundColor; found = found.parentElement }
              while (ground === "rgba(0, 0, 0, 0)")
              return [letters, ground]
            }"""
        )
        assert brightness(letters) - brightness(ground) > 100, part
    project.edit(lambda ps: ps.relabel_pixels(np.flatnonzero(ps.labels == 3), -1))
    page.locator(".tabulator-row").get_by_text("noise").wait_for()
    page.get_by_text("Include noise").click()
    assert not page.get_by_label("Include noise").is_checked()
    noise = project.segmenter.labels == -1
    (low_x, low_y), (high_x, high_y) = (getattr(project.segmenter.latent, f)(axis=0)
                                        for f in ("min", "max"))  # fmt: skip
    corners = [(low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y)]
    draw_lasso(page, on_screen(page, project, corners))
    button(page, "Create cluster").click()
    wait_until(lambda: project.segmenter.edit_log[-1]["edit"] != "relabel")
    assert noise.any()
    assert_array_equal(project.segmenter.labels == -1, noise)


def brightness(colour):
    """Mean of red, green and blue, 0 to 255."""
    return sum(map(int, colour.partition("(")[2].rstrip(")").split(",")[:3])) / 3


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
