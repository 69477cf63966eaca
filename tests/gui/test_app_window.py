"""The page in windows of several heights, and what it takes from the tables of a run."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from small_clusters import make_segmenter

from sigma_scale.gui.app.run_tables import RunTables, read_tables
from sigma_scale.workflow.project import Project


def tab(page, name):
    return page.locator(".app-main .bk-tab").get_by_text(name, exact=True)


def frame_height(page):
    """Height of the largest canvas that is seen: a map with its toolbar."""
    heights = page.locator("canvas:visible").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().height)"
    )
    return max(heights, default=0)


def in_window(page):
    """Whether the buttons that save, and the map, are above the window's foot."""
    foot = page.locator(".app-footer").bounding_box()["y"]
    boxes = [
        page.get_by_role("button", name="PNG", exact=True).bounding_box(),
        page.locator("canvas:visible").first.bounding_box(),
    ]
    return all(box is not None and box["y"] + box["height"] <= foot + 1 for box in boxes)


@pytest.fixture(scope="module")
def results(with_clusters, tmp_path_factory):
    """A folder of results with tables of a run, as far as the page reads them."""
    folder = tmp_path_factory.mktemp("results")
    shutil.copytree(with_clusters, folder / "map.zarr")
    write_tables(folder, Project.open(folder / "map.zarr").segmenter)
    return folder / "map.zarr"


def write_tables(folder, segmenter):
    tables = folder / "tables"
    tables.mkdir()
    sizes = segmenter.cluster_sizes
    elements = ["O Si", None, *["O Fe"] * (len(sizes) - 2)]
    rows = {"phase": range(len(sizes)), "pixels": sizes, "elements": elements}
    pd.DataFrame(rows).to_csv(tables / "phases.csv", index=False)
    weights, components = segmenter.get_unmixed_spectra_profile(n_components=2)
    weights.rename_axis("cluster").to_csv(tables / "end_member_weights.csv")
    components.rename_axis("energy_kev").to_csv(tables / "end_members.csv")


def test_the_map_follows_the_height_of_the_window(browser_page, serve, results):
    page = browser_page
    page.set_viewport_size({"width": 1280, "height": 757})
    page.goto(serve([results]).address)
    tab(page, "Phases").click()
    page.get_by_role("button", name="PNG", exact=True).wait_for()
    page.wait_for_function("document.querySelector('.app-footer') !== null")
    page.locator("canvas:visible").first.wait_for()
    wait_until(page, lambda: in_window(page))
    low = frame_height(page)
    page.set_viewport_size({"width": 1280, "height": 957})
    wait_until(page, lambda: frame_height(page) == pytest.approx(low + 200, abs=2))
    assert in_window(page)
    page.set_viewport_size({"width": 1280, "height": 657})
    wait_until(page, lambda: frame_height(page) == pytest.approx(low - 100, abs=2))
    assert in_window(page)


def wait_until(page, holds, n_tries=150):
    for _ in range(n_tries):
        if holds():
            return
        page.wait_for_timeout(200)
    assert holds()


def test_end_members_of_a_run_are_shown(browser_page, serve, results):
    page = browser_page
    page.goto(serve([results]).address)
    tab(page, "Unmixing").click()
    page.get_by_text("As the run of this folder").wait_for()
    page.get_by_role("button", name="Abundance", exact=True).wait_for()
    tab(page, "Phases").click()
    page.get_by_text("O Si", exact=True).first.wait_for()


@pytest.fixture
def found(tmp_path):
    segmenter = make_segmenter()
    write_tables(tmp_path, segmenter)
    return SimpleNamespace(segmenter=segmenter, path=tmp_path / "map.zarr")


def test_tables_of_the_present_clusters_are_read(found):
    tables = read_tables(found)
    assert tables.elements == {0: "O Si", 2: "O Fe"}
    weights, components = found.segmenter.get_unmixed_spectra_profile(n_components=2)
    pd.testing.assert_frame_equal(tables.unmixing[0], weights, check_names=False)
    assert tables.unmixing[1].shape == components.shape


def test_tables_of_other_clusters_are_not(found):
    found.segmenter.relabel_pixels([0], 1)
    assert read_tables(found) == RunTables({2: "O Fe"})
    found.segmenter.undo()
    assert read_tables(found).unmixing is not None


def test_a_store_elsewhere_or_without_clusters_has_none(found, tmp_path):
    assert read_tables(SimpleNamespace(segmenter=None, path=found.path)) == RunTables()
    other = SimpleNamespace(segmenter=found.segmenter, path=tmp_path / "other.zarr")
    assert read_tables(other) == RunTables()


@pytest.mark.parametrize("name", ["phases.csv", "end_members.csv"])
@pytest.mark.parametrize("text", [None, b"", b"\xff\xfe\x00", b"a,b\n1,2\n"])
def test_tables_that_cant_be_read_are_left_out(found, tmp_path, name, text):
    file = tmp_path / "tables" / name
    file.unlink() if text is None else file.write_bytes(text)
    tables = read_tables(found)
    assert tables.unmixing is None
    assert bool(tables.elements) == (name != "phases.csv")
