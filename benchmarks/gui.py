"""
The interface: from an edit or a zoom to the picture that it changes, in process.

Points of a latent space lie around one centre for each cluster, and their pixels form grains on
the map. Edits are those of PixelSegmenter, the record of each edit included; frames are those
that the page shows. datashader counts the same points by category and shades them, in the same
rounds. The memory is the peak of a process that does all of it once, imports and data included.
The page is that of a stored map, opened and served in a process of its own: see gui_page.

    python -m benchmarks.gui
    python -m benchmarks.gui --quick
"""

from __future__ import annotations

import argparse
import statistics
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import gui_page
from benchmarks.common import Result, median_ratio, peak_memory, report_memory, rounds, seconds
from sigma_scale.plot.map_picture import LabelPicture, ValuePicture
from sigma_scale.plot.point_picture import PointPicture
from sigma_scale.plot.viewport import Viewport
from sigma_scale.workflow.segmenter.clusters import first_state
from sigma_scale.workflow.segmenter.editing import EditableClusters
from sigma_scale.workflow.segmenter.history import History

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FRAME = 900, 600
GRAIN = 40
STRAY = 0.02
CORNERS = 120


class Clusters(EditableClusters):
    """Clusters as a segmenter holds and edits them, without a fit, and their pictures."""

    def __init__(self, side: int, n_clusters: int, size: tuple[int, int] = FRAME) -> None:
        rng = np.random.default_rng(0)
        self.size = size
        self.height = self.width = side
        self.centres = rng.uniform(-8, 8, (n_clusters, 2))
        grains = rng.integers(0, n_clusters, (-(-side // GRAIN),) * 2, dtype=np.int32)
        labels = grains.repeat(GRAIN, axis=0).repeat(GRAIN, axis=1)[:side, :side].ravel()
        stray = rng.random(labels.size, dtype=np.float32) < STRAY
        labels[stray] = rng.integers(-1, n_clusters, int(stray.sum()))
        self.latent = rng.standard_normal((labels.size, 2), dtype=np.float32)
        self.latent += self.centres.astype(np.float32)[labels]
        self._history = History(first_state(labels, n_clusters, 0))
        self._zooms = count(1)

    @property
    def state(self) -> Any:
        """Clusters after the edits."""
        return self._history.current

    def open(self) -> NDArray[np.uint32]:
        """Make the first frame of the latent space."""
        self.points = PointPicture(self.latent)
        self.viewport = Viewport(self.points.x_range, self.points.y_range, *self.size)
        return self.frame()

    def frame(self) -> NDArray[np.uint32]:
        """Draw the latent space as it is now."""
        state = self.state
        return self.points.render(self.viewport, state.pixels.labels, state.colours_by_number())

    def zoom(self) -> NDArray[np.uint32]:
        """Draw a part of the latent space that wasn't drawn before."""
        share = 0.001 * next(self._zooms)
        low, high = self.points.x_range
        inner = low + share * (high - low), high - share * (high - low)
        viewport = Viewport(inner, self.points.y_range, *self.size)
        state = self.state
        return self.points.render(viewport, state.pixels.labels, state.colours_by_number())

    def lasso(self) -> NDArray[np.uint32]:
        """Make a cluster of what lies inside a lasso around the first cluster, and draw."""
        turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
        radius = 1.5 + 0.5 * np.sin(5 * turn)
        outline = self.centres[0] + radius[:, None] * np.c_[np.cos(turn), np.sin(turn)]
        self.create_cluster_from_polygon(outline)
        return self.frame()

    def merge(self) -> NDArray[np.uint32]:
        """Make the last two clusters one, and draw."""
        self.merge_clusters([self.state.pixels.n_clusters - 2, self.state.pixels.n_clusters - 1])
        return self.frame()

    def recolour(self) -> NDArray[np.uint32]:
        """Give a cluster another colour, and draw."""
        self.recolour_clusters(1, f"#{next(self._zooms) % 256:02x}8040")
        return self.frame()

    def take_back(self) -> NDArray[np.uint32]:
        """Undo the last edit, and draw."""
        self.undo()
        return self.frame()

    def label_map(self) -> LabelPicture:
        """Draw the map for the first time after an edit."""
        shape = self.height, self.width
        picture = LabelPicture(self.state.pixels.labels.reshape(shape))
        self.map_frame(picture)
        return picture

    def map_frame(self, picture: LabelPicture) -> NDArray[np.uint32]:
        """Draw the whole map."""
        viewport = Viewport(picture.x_range, picture.y_range, *self.size)
        return picture.render(viewport, self.state.colours_by_number())

    def value_map(self) -> ValuePicture:
        """Draw a map of values for the first time."""
        picture = ValuePicture(self.latent[:, 0].reshape(self.height, self.width))
        self.value_frame(picture)
        return picture

    def value_frame(self, picture: ValuePicture) -> NDArray[np.uint32]:
        """Draw the whole map of values."""
        viewport = Viewport(picture.x_range, picture.y_range, *self.size)
        return picture.render(viewport, "viridis", (-8.0, 8.0))


def datashaded(clusters: Clusters) -> Callable[[], object]:
    """Give a function that makes datashader's picture of the same points."""
    import datashader as ds
    import datashader.transfer_functions as tf
    import pandas as pd

    colours = clusters.state.colours_by_number()
    names = [str(label) for label in sorted(colours)]
    codes = clusters.state.pixels.labels - min(colours)
    frame = pd.DataFrame({"x": clusters.latent[:, 0], "y": clusters.latent[:, 1]})
    frame["cluster"] = pd.Categorical.from_codes(codes, names)
    key = {name: colours[int(name)] for name in names}
    view = clusters.viewport
    canvas = ds.Canvas(*FRAME, x_range=view.x_range, y_range=view.y_range)
    return lambda: tf.shade(canvas.points(frame, "x", "y", ds.count_cat("cluster")), color_key=key)


def report_session(side: int, n_clusters: int) -> None:
    """Draw and edit once in this process; report its peak memory."""
    clusters = Clusters(side, n_clusters)
    for step in (clusters.open, clusters.zoom, clusters.lasso, clusters.merge, clusters.recolour):
        step()
    clusters.take_back()
    clusters.label_map()
    report_memory()


def run(*, points: int, n_clusters: int, repeats: int, pixels: int) -> Result:
    """Time each step in turn, beside datashader; then the page of a stored map."""
    side = max(round(points**0.5), 2)
    result = Result(
        "interface",
        {"points": side**2, "clusters": n_clusters, "frame": f"{FRAME[0]} x {FRAME[1]}"},
    )
    figures = result.figures
    toy = Clusters(60, n_clusters, (30, 20))  # compiles and imports
    toy.open()
    toy.lasso()
    toy.merge()
    toy.label_map()
    toy.value_map()
    clusters = Clusters(side, n_clusters)
    figures["first frame, s"] = seconds(clusters.open)
    figures["first frame of the phase map, s"] = seconds(clusters.label_map)
    figures["first frame of a map of values, s"] = seconds(clusters.value_map)
    labels, values = clusters.label_map(), clusters.value_map()
    # Each round leaves the clusters as they were, by the reset at the end of its edits.
    steps: dict[str, Callable[[], object]] = {
        "frame after a zoom": clusters.zoom,
        "frame at the same place": clusters.frame,
        "lasso to frame": clusters.lasso,
        "merge to frame": clusters.merge,
        "recolour to frame": clusters.recolour,
        "undo to frame": clusters.take_back,
        "redo": clusters.redo,
        "reset": clusters.reset,
        "phase map, after an edit": clusters.label_map,
        "phase map, further frames": lambda: clusters.map_frame(labels),
        "map of values, further frames": lambda: clusters.value_frame(values),
        "datashader by category": datashaded(clusters),
    }
    times = rounds(steps, repeats)
    for name, measured in times.items():
        figures[f"{name}, s"] = statistics.median(measured)
    theirs = times["datashader by category"]
    for name in ("frame after a zoom", "frame at the same place"):
        figures[f"datashader / {name}"] = median_ratio(theirs, times[name])
    report = peak_memory("benchmarks.gui", "--measure", str(side), str(n_clusters))
    figures["peak memory of the process, GB"] = report["peak"] / 1e9
    figures |= gui_page.measure(round(pixels**0.5), n_clusters, repeats)
    return result


def main(arguments: list[str] | None = None) -> Result | None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000_000, help="to the nearest square")
    parser.add_argument("--pixels", type=int, default=4_000_000, help="of the stored map")
    parser.add_argument("--clusters", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a toy, to see that it runs")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")
    parser.add_argument("--measure", nargs=2, type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.measure:
        report_session(*chosen.measure)
        return None
    if chosen.quick:
        chosen.points, chosen.repeats, chosen.pixels = 40_000, 1, 4096
    result = run(
        points=chosen.points,
        n_clusters=chosen.clusters,
        repeats=chosen.repeats,
        pixels=chosen.pixels,
    )
    result.print()
    if chosen.out:
        result.write(chosen.out)
    return result


if __name__ == "__main__":
    main()
