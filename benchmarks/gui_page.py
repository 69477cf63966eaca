"""
The page of a stored map: how long it takes until the first picture is seen.

A map of grains with ten lines, a latent space and clusters is written into a store; it is opened,
served and looked at by Chromium in processes of their own, as a user would. Part of
``benchmarks.gui``.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import LINES

COUNTS = 25.0
GRAIN = 40
WAIT_MS = 120_000

# The first tab shows a picture: some frame of a figure has come, and was painted.
SHOWN = """() => {
  const doc = window.Bokeh?.documents?.[0];
  return Boolean(doc) && [...doc._all_models.values()].some(
    (model) => model.name === "frames" && model.get_length() > 0);
}"""
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def write_store(path: Path, side: int, n_clusters: int) -> None:
    """Write a map with results of every step; its latent space and clusters are made up."""
    import xarray as xr

    from sigma_scale import store
    from sigma_scale.synthetic import synthetic_map
    from sigma_scale.workflow import RunSettings, job_steps, outputs
    from sigma_scale.workflow.project.stored_settings import with_settings

    store.write_map(synthetic_map((side, side), counts_per_pixel=COUNTS).image, path)
    image, settings = store.open_map(path), RunSettings(lines=LINES, bin=(1, 1))
    intensities = job_steps.line_intensities(image, settings)
    maps = job_steps.feature_maps(image, settings, intensities["line_intensity"])
    rng = np.random.default_rng(0)
    grains = rng.integers(0, n_clusters, (-(-side // GRAIN),) * 2, dtype=np.int32)
    labels = grains.repeat(GRAIN, axis=0).repeat(GRAIN, axis=1)[:side, :side]
    latent = rng.standard_normal((side, side, 2), dtype=np.float32)
    latent += rng.uniform(-8, 8, (n_clusters, 2)).astype(np.float32)[labels]
    clusters = {
        "labels": (("y", "x"), labels),
        "probability": (("y", "x"), rng.random((side, side), dtype=np.float32)),
    }
    groups = {
        "binned": outputs.binned_group(intensities, maps),
        "latent": outputs.latent_group(xr.DataArray(latent, dims=("y", "x", "component"))),
        "phases": xr.Dataset(clusters),
    }
    for name, group in groups.items():
        store.write_result(path, name, with_settings(group, settings))


def why_no_browser() -> str:
    """Say why pages can't be looked at here; empty where they can."""
    if find_spec("playwright") is None:
        return "playwright is not installed"
    return "" if _chromium() else "there is no chromium on this machine"


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def measure(side: int, n_clusters: int, repeats: int) -> dict[str, float]:
    """
    Open and look at a stored map.

    Seconds by what was done; without a browser, those of the page are missing.
    """
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.zarr"
        write_store(path, side, n_clusters)
        report = _reported("open", str(path), str(repeats))
        figures["open a project, the first of a process"] = report[0]
        figures["open a project"] = statistics.median(report[1:])
        missing = why_no_browser()
        if missing:
            print(f"The page is left out: {missing}.")
            return figures
        start = time.perf_counter()
        with _started("serve", str(path)) as server:
            address = json.loads(server.stdout.readline())  # type: ignore[union-attr]
            figures["start the server"] = time.perf_counter() - start
            try:
                views = _reported("view", address, str(repeats))
            finally:
                server.terminate()
        figures["first picture in a browser, the first of a server"] = views[0]
        figures["first picture in a browser"] = statistics.median(views)
    return figures


def _started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.gui_page", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _reported(*arguments: str) -> list[float]:
    with _started(*arguments) as process:
        out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"benchmarks.gui_page {arguments[0]} has failed")
    report: list[float] = json.loads(out.splitlines()[-1])
    return report


def report_opening(path: str, repeats: int) -> None:
    """Open a map several times, the libraries of the first time included."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        from sigma_scale.workflow.project import Project

        _ = Project.open(path).segmenter
        times.append(time.perf_counter() - start)
    print(json.dumps(times))


def serve(path: str) -> None:
    """Serve a map until the process is ended."""
    from sigma_scale.gui.app import make_server

    server = make_server([Path(path)])
    print(json.dumps(server.address), flush=True)
    server.serve()


def report_views(address: str, repeats: int) -> None:
    """Look at the page, each time in a browser without a cache; report seconds to its picture."""
    import playwright.sync_api as playwright

    times = []
    with playwright.sync_playwright() as running:
        chromium: Any = running.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        for _ in range(repeats):
            context = chromium.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            start = time.perf_counter()
            page.goto(address, wait_until="commit")
            page.wait_for_function(SHOWN, timeout=WAIT_MS)
            page.evaluate(PAINTED)
            times.append(time.perf_counter() - start)
            context.close()
        chromium.close()
    print(json.dumps(times))


def main(arguments: list[str]) -> None:
    """Do one part in this process."""
    part, given, *rest = arguments
    if part == "serve":
        serve(given)
    else:
        {"open": report_opening, "view": report_views}[part](given, int(rest[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
