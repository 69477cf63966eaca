"""The served page in a real browser: what it shows, and what becomes of what is pressed."""

from __future__ import annotations

import re
import shutil
import threading
import time
import zipfile

import pytest
from bokeh.plotting import figure

from sigma_scale import gui
from sigma_scale.progress import progress_bar
from sigma_scale.workflow.project import Project


@pytest.fixture
def page(browser_page, served):
    """The page with its first tab, and what it asked others than its server for."""
    elsewhere, broken = [], []
    here = f"127.0.0.1:{served.access.port}/"
    browser_page.on(
        "request",
        lambda asked: (
            None
            if re.match(rf"(https?|ws)://{re.escape(here)}|data:|blob:", asked.url)
            else elsewhere.append(asked.url)
        ),
    )
    browser_page.on("pageerror", lambda error: broken.append(str(error)))
    browser_page.goto(served.address)
    tab(browser_page, "Data").wait_for()
    yield browser_page
    assert elsewhere == []
    assert broken == []


def tab(page, name):
    return page.locator(".app-main .bk-tab").get_by_text(name, exact=True)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def message(page):
    return page.locator(".message")


def test_the_page_opens_with_the_maps_name_and_size(page, served):
    assert page.title() == "sigma-scale"
    assert "token" not in page.url
    assert page.locator(".map-name").first.inner_text() == served.workspace.maps[0].project.name
    assert page.locator(".map-size").first.inner_text() == "48 × 48 pixels"
    page.get_by_text("Drawing …").first.wait_for(state="detached")
    # Nothing runs out of a window of 1280 pixels.
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_tabs_are_built_when_they_are_looked_at(page):
    assert button(page, "Measure features").count() == 0
    tab(page, "Features").click()
    button(page, "Measure features").wait_for()
    assert button(page, "Embed").count() == 0
    for name, shown in [("Latent", "Embed"), ("Clusters", "Cluster"), ("Unmixing", "Unmix")]:
        tab(page, name).click()
        button(page, shown).wait_for()
    tab(page, "Phases").click()
    page.get_by_text("No phases yet").wait_for()


def theme(page):
    return page.evaluate("document.documentElement.dataset.theme")


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_theme_is_kept(page, served):
    assert theme(page) == "light"
    light = background(page)
    toggle = page.locator("#theme-toggle")
    assert toggle.get_attribute("aria-pressed") == "false"
    toggle.click()
    assert theme(page) == "dark"
    assert toggle.get_attribute("aria-pressed") == "true"
    dark = background(page)
    assert dark != light
    page.reload()  # with the cookie alone
    tab(page, "Data").wait_for()
    assert theme(page) == "dark"
    assert background(page) == dark


def test_the_theme_follows_the_browser_at_first(new_page, served):
    page = new_page(color_scheme="dark")
    page.goto(served.address)
    assert theme(page) == "dark"


def test_a_wrong_token_is_refused(browser_page, served):
    address, _, _ = served.address.partition("?")
    for query in ("", "?token=wrong"):
        answer = browser_page.goto(address + query)
        assert answer.status == 403
    assert "with its token" in browser_page.content()
    assert browser_page.locator(".bk-tab").count() == 0


class Slow:
    """A step that waits to be let on, and says how far it is."""

    def __init__(self):
        self.go_on = threading.Event()
        self.settings = None

    def __call__(self, settings):
        self.settings = settings
        with progress_bar("Reading counts", total=100) as bar:
            bar.update(25)
            while not self.go_on.wait(0.02):
                bar.update(0)


@pytest.fixture
def slow(served, monkeypatch):
    step = Slow()
    opened = served.workspace.maps[0]
    monkeypatch.setattr(opened.project, "measure_features", step)
    yield step
    step.go_on.set()
    if opened.task is not None:
        opened.task.wait(60)


def test_a_step_shows_its_progress_and_can_be_cancelled(page, slow, served):
    tab(page, "Features").click()
    page.get_by_label("X-ray lines").fill("O_Ka Si_Ka, Fe_Ka")
    page.get_by_label("Bin x").fill("2")
    button(page, "Measure features").click()
    bar = page.locator("progress")
    bar.wait_for()
    page.get_by_text("Measuring features: Reading counts").wait_for()
    assert float(bar.get_attribute("value")) == pytest.approx(0.25)
    assert slow.settings.lines == ("O_Ka", "Si_Ka", "Fe_Ka")
    # Another one at the same time is refused; the page still answers.
    button(page, "Measure features").click()
    message(page).get_by_text("still running").wait_for()
    button(page, "Cancel").click()
    message(page).get_by_text("was cancelled").wait_for()
    assert served.workspace.maps[0].task.state == "cancelled"
    bar.wait_for(state="hidden")
    button(page, "Dismiss").click()
    message(page).get_by_text("was cancelled").wait_for(state="detached")


def test_a_step_outlives_its_page(page, slow, served):
    tab(page, "Features").click()
    button(page, "Measure features").click()
    page.locator("progress").wait_for()
    page.reload()
    page.get_by_text("Measuring features: Reading counts").wait_for()
    slow.go_on.set()
    message(page).get_by_text("Measuring features is done.").wait_for()
    announced = page.locator("#announcer", has_text="Measuring features is done.")
    announced.wait_for(state="attached")


def test_a_failing_step_is_said_in_words(page, served, monkeypatch):
    def fail(settings):
        raise PermissionError(13, "Permission denied", "map.zarr")

    monkeypatch.setattr(served.workspace.maps[0].project, "measure_features", fail)
    tab(page, "Features").click()
    button(page, "Measure features").click()
    message(page).get_by_text("The disk can't be used as needed").wait_for()
    page.get_by_label("X-ray lines").fill("Xx_Ka")  # the page goes on


def test_what_is_typed_is_shown_as_text(page, served, monkeypatch):
    script = "<img src=x onerror=alert(1)>"

    def fail(settings):
        raise ValueError(script)

    monkeypatch.setattr(served.workspace.maps[0].project, "measure_features", fail)
    tab(page, "Features").click()
    button(page, "Measure features").click()
    message(page).get_by_text(script).wait_for()
    assert page.locator("img[src=x]").count() == 0


def test_a_store_that_is_away_is_said_and_comes_back(page, served):
    path = served.workspace.maps[0].project.path
    moved = path.rename(path.with_name("moved.zarr"))
    try:
        message(page).get_by_text("is not there any more").wait_for()
    finally:
        moved.rename(path)
    message(page).get_by_text("can be reached again").wait_for()
    tab(page, "Features").click()
    button(page, "Measure features").wait_for()


def test_a_lost_connection_is_said_and_a_reload_mends_it(page, served):
    lost = page.locator("#lost")
    assert not lost.is_visible()

    def hang_up():
        for session in served.server.get_sessions():
            for connection in list(session._subscribed_connections):
                connection._socket.close()

    served.server.io_loop.add_callback(hang_up)
    page.get_by_text("The connection to the server is lost").wait_for()
    page.reload()
    button(page, "Apply").wait_for()
    assert not lost.is_visible()


def test_maps_are_chosen_and_shown_side_by_side(page, served):
    names = [opened.project.name for opened in served.workspace.maps]
    page.locator(".app-choice select").select_option(index=1)
    page.locator(".app-title .map-name").get_by_text(names[1]).wait_for()
    tab(page, "Side by side").click()
    cards = page.locator(".app-main .map-name")
    cards.nth(1).wait_for()
    assert cards.all_inner_texts() == names
    left, right = (cards.nth(n).bounding_box() for n in range(2))
    assert left["y"] == pytest.approx(right["y"], abs=2)
    assert right["x"] > left["x"] + 400


def test_an_energy_is_looked_up_and_its_line_is_added(page, served):
    page.get_by_label("Energy (keV)").fill("7.478")
    page.get_by_label("Energy (keV)").press("Enter")
    added = page.get_by_role("button", name="+ Ni Kα", exact=True)
    added.click()
    features = page.get_by_label("Features", exact=True)
    page.wait_for_function("text => text.value.includes('Ni_Ka')", arg=features.element_handle())
    dataset = served.workspace.maps[0].project.dataset
    before = list(dataset.feature_list)
    button(page, "Apply").click()
    try:
        wait_until(page, lambda: list(dataset.feature_list) == [*before, "Ni_Ka"])
    finally:
        dataset.set_feature_list(before)


def test_figures_follow_the_theme(page, served):
    page.get_by_text("Sum spectrum").click()
    page.locator(".bk-Canvas:visible").first.wait_for()

    def documents():
        return {session.document for session in served.server.get_sessions()
                if session.connection_count}  # fmt: skip

    # Pages of earlier tests are closed, but the server may not have noticed.
    wait_until(page, lambda: len(documents()) == 1)
    (document,) = documents()

    def inks():
        return {one.axis[0].major_label_text_color for one in document.select({"type": figure})}

    dark, light = "#ccd3da", "#3b4652"
    page.locator("#theme-toggle").click()
    wait_until(page, lambda: dark in inks() and light not in inks())
    page.locator("#theme-toggle").click()
    wait_until(page, lambda: light in inks() and dark not in inks())


def wait_until(page, is_so):
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, "it never came true"
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def clustered(serve, with_clusters, tmp_path_factory):
    """A server of a map with four clusters."""
    path = tmp_path_factory.mktemp("clustered") / "third.zarr"
    shutil.copytree(with_clusters, path)
    return serve([path])


@pytest.fixture
def counted(monkeypatch):
    """Show the number of clusters in the place of the phase map, which other tests look at."""

    def view(segmenter, **_options):
        import panel as pn

        n_filled = sum(1 for size in segmenter.cluster_sizes if size)
        return pn.pane.HTML(f"<p>there are {n_filled} clusters</p>")

    monkeypatch.setattr(gui, "view_phase_map", view)


def test_others_edits_are_shown_at_once(new_page, clustered, counted):
    pages = [new_page() for _ in range(2)]
    for page in pages:
        page.goto(clustered.address)
        tab(page, "Phases").click()
        page.get_by_text("there are 4 clusters").wait_for()
    project = clustered.workspace.maps[0].project
    project.edit(lambda ps: ps.merge_clusters([0, 1]))
    for page in pages:
        page.get_by_text("there are 3 clusters").wait_for()
    # As another process would, with an object of its own.
    Project.open(project.path).edit(lambda ps: ps.undo())
    for page in pages:
        page.get_by_text("there are 4 clusters").wait_for()


def test_twelve_maps_fit_beside_the_form(browser_page, clustered, monkeypatch):
    project = clustered.workspace.maps[0].project
    elements = ("C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K")
    lines = [f"{element}_Ka" for element in elements]
    maps = project.maps.isel(line=[0] * len(lines)).assign_coords(line=lines)
    monkeypatch.setattr(type(project), "maps", maps)
    browser_page.goto(clustered.address)
    tab(browser_page, "Features").click()
    canvases = browser_page.locator(".bk-Canvas:visible")
    canvases.nth(len(lines) - 1).wait_for()
    ends = [box["x"] + box["width"] for box in (one.bounding_box() for one in canvases.all())]
    assert 1280 - 240 < max(ends) < 1280 - 12


def test_spectra_are_unmixed_and_the_end_members_saved(browser_page, clustered):
    browser_page.goto(clustered.address)
    tab(browser_page, "Unmixing").click()
    browser_page.get_by_label("End-members").fill("2")
    button(browser_page, "Unmix").click()
    message(browser_page).get_by_text("Unmixing is done.").wait_for()
    weights, components = clustered.workspace.maps[0].project.unmixing
    assert weights.shape[1] == components.shape[1] == 2
    saving = browser_page.get_by_text("CSV", exact=True).and_(browser_page.locator(":visible"))
    with browser_page.expect_download() as saved:
        saving.last.click()
    with zipfile.ZipFile(saved.value.path()) as archive:
        tables = {name: archive.read(name).decode().splitlines() for name in archive.namelist()}
    assert len(weights) + 1 in {len(lines) for lines in tables.values()}
