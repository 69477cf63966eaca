"""One Chromium for all tests of pages, and a server of two small maps."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from sigma_scale import store
from sigma_scale.synthetic import synthetic_map

# Lets test modules share small_clusters.py, whatever pytest's import mode.
sys.path.insert(0, str(Path(__file__).parent))

TOKEN = "a-token-of-the-tests"  # noqa: S105
PATIENCE = 60  # seconds: machines that run several tests at once are slow


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window."""
    # In continuous integration these tests must not go missing.
    give_up = pytest.fail if os.environ.get("CI") else pytest.skip
    try:
        import playwright.sync_api as playwright
    except ImportError:
        give_up("playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        give_up("there is no chromium on this machine")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def new_page(browser):
    """A function that opens an empty page of 1280 x 800 pixels, with its own cookies."""
    contexts = []

    def start(**options):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        return context.new_page()

    yield start
    for context in contexts:
        context.close()


@pytest.fixture
def browser_page(new_page):
    """An empty page, for a browser that prefers light colours."""
    return new_page(color_scheme="light")


@pytest.fixture(scope="session")
def map_stores(tmp_path_factory):
    """Stores of two small maps, without results."""
    folder = tmp_path_factory.mktemp("maps")
    for number, name in enumerate(("first", "second")):
        image = synthetic_map((48, 48), counts_per_pixel=150, seed=number).image
        store.write_map(image, folder / f"{name}.zarr")
    return [folder / "first.zarr", folder / "second.zarr"]


@pytest.fixture(scope="session")
def with_clusters(map_stores, tmp_path_factory):
    """A store with features, a latent space and four clusters; not to be changed."""
    from sigma_scale.workflow.project import Project

    path = tmp_path_factory.mktemp("clusters") / "granite.zarr"
    shutil.copytree(map_stores[0], path)
    project = Project.open(path)
    settings = replace(
        project.settings,
        lines=("O_Ka", "Si_Ka", "Fe_Ka"),
        bin=(1, 1),
        latent={"n_landmarks": 300, "n_epochs": 20},
        clustering="GaussianMixture",
        clustering_args={"n_components": 4},
    )
    project.measure_features(settings)
    project.embed(settings)
    project.cluster(settings)
    return path


@pytest.fixture(scope="session")
def serve():
    """A function that serves maps in a thread, until the tests are over."""
    running = []

    def start(paths, **options):
        from sigma_scale.gui.app import make_server

        ready = Queue()

        def run():
            try:
                server = make_server(paths, **{"token": TOKEN, **options})
            except BaseException as error:
                ready.put(error)
                raise
            ready.put(server)
            server.serve()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        server = ready.get(timeout=PATIENCE)
        if isinstance(server, BaseException):
            raise server
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.stop()
        thread.join(PATIENCE)


@pytest.fixture(scope="session")
def served(serve, map_stores):
    """A server of the two maps."""
    return serve(map_stores)
