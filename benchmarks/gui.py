"""
The interface: from an edit or a zoom to the picture that it changes, in process.

Points of a latent space lie around one centre for each cluster, and their pixels form grains on
the map. Edits are those of PixelSegmenter, the record of each edit included; frames are those
that the page shows. Datashader counts the same points by category and shades them, in the same
rounds. The limit is to read from memory, once, the points and the label of each; where a frame is
the same place again, the cell of each point instead of the point. The peak is that of a process
that does all of it once, imports and data included. The page is that of a stored map, opened and
served in a process of its own: see gui_page.

    python -m benchmarks.gui
    python -m benchmarks.gui --quick
"""

from __future__ import annotations

import argparse
import statistics
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import gui_page
from benchmarks.common import median_ratio, peak_memory, report_memory, rounds, seconds
from benchmarks.libraries import of_memory
from benchmarks.limits import memory_read_rate
from benchmarks.record import Result, Row, publish
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


class Datashader:
    """Datashader's pictures of the same points, by category."""

    def __init__(self, clusters: Clusters) -> None:
        import datashader as ds
        import pandas as pd

        colours = clusters.state.colours_by_number()
        names = [str(label) for label in sorted(colours)]
        codes = clusters.state.pixels.labels - min(colours)
        self._frame = pd.DataFrame({"x": clusters.latent[:, 0], "y": clusters.latent[:, 1]})
        self._frame["cluster"] = pd.Categorical.from_codes(codes, pd.Index(names))
        self._key = {name: colours[int(name)] for name in names}
        view = clusters.viewport
        self._canvas = ds.Canvas(*clusters.size, x_range=view.x_range, y_range=view.y_range)

    def count(self) -> Any:
        """Count the points of each category in each cell."""
        import datashader as ds

        return self._canvas.points(self._frame, "x", "y", ds.count_cat("cluster"))

    def frame(self) -> object:
        """Draw the points."""
        import datashader.transfer_functions as tf

        return tf.shade(self.count(), color_key=self._key)

    def covered(self, frame: NDArray[np.uint32]) -> float:
        """Share of the cells with points, as Datashader counts them, that a frame shows."""
        occupied = self.count().to_numpy().sum(axis=2) > 0
        return float((frame[occupied] != 0).mean())


def report_session(side: int, n_clusters: int) -> None:
    """Draw and edit once in this process; report its peak memory."""
    clusters = Clusters(side, n_clusters)
    for step in (clusters.open, clusters.zoom, clusters.lasso, clusters.merge, clusters.recolour):
        step()
    clusters.take_back()
    clusters.label_map()
    report_memory()


def first_frames(n_clusters: int, clusters: Clusters) -> dict[str, float]:
    """Seconds of the first frames, after a toy has been drawn so that all is compiled."""
    toy = Clusters(60, n_clusters, (30, 20))
    for step in (toy.open, toy.lasso, toy.merge, toy.label_map, toy.value_map):
        step()
    return {
        "first frame": seconds(clusters.open),
        "first frame of the phase map": seconds(clusters.label_map),
        "first frame of a map of values": seconds(clusters.value_map),
    }


def measure_frames(points: int, n_clusters: int, repeats: int) -> Result:
    """Time each step in turn, beside Datashader."""
    side = max(round(points**0.5), 2)
    result = Result(
        "gui: frames",
        {"points": side**2, "clusters": n_clusters, "frame": f"{FRAME[0]} x {FRAME[1]}"},
    )
    clusters = Clusters(side, n_clusters)
    firsts = first_frames(n_clusters, clusters)
    labels, values = clusters.label_map(), clusters.value_map()
    theirs = Datashader(clusters)
    covered = theirs.covered(clusters.frame())
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
        "phase map after an edit": clusters.label_map,
        "further frames of the phase map": lambda: clusters.map_frame(labels),
        "further frames of a map of values": lambda: clusters.value_frame(values),
        "theirs": theirs.frame,
    }
    times = rounds(steps, repeats)
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    memory = peak_memory("benchmarks.gui", "--report", str(side), str(n_clusters))
    rate, label_bytes = memory_read_rate(), clusters.state.pixels.labels.nbytes
    read = {
        "first frame": clusters.latent.nbytes + label_bytes,
        "frame after a zoom": clusters.latent.nbytes + label_bytes,
        "frame at the same place": 2 * label_bytes,
        "lasso to frame": clusters.latent.nbytes + label_bytes,
        "merge to frame": 2 * label_bytes,
        "recolour to frame": 2 * label_bytes,
        "phase map after an edit": label_bytes,
    }
    for name, taken in ({**firsts, **medians}).items():
        if name not in read:
            if name != "theirs":
                result.figures[f"{name}, ms"] = taken * 1e3
            continue
        peer: dict[str, Any] = {}
        if name.startswith("frame "):
            peer = {
                "peer": f"Datashader {version('datashader')}, by category",
                "times_peer": median_ratio(times["theirs"], times[name]),
            }
        if name == "frame at the same place":
            peer["agreement"] = f"shows {covered:.2%} of the cells with points in Datashader's"
        result.rows.append(
            Row(
                stage=name,
                size=side**2,
                unit="points",
                seconds=taken,
                peak_memory=memory["peak"] if name == "first frame" else None,
                **of_memory(read[name], taken, rate),
                **peer,
            )
        )
    result.figures["share of Datashader's cells that are shown"] = covered
    return result


def measure_page(pixels: int, n_clusters: int, repeats: int) -> Result:
    """Time the page of a stored map, from opening it to the picture in a browser."""
    side = max(round(pixels**0.5), 2)
    result = Result("gui: page", {"pixels": side**2, "clusters": n_clusters})
    for stage, taken in gui_page.measure(side, n_clusters, repeats).items():
        result.rows.append(Row(stage=stage, size=side**2, seconds=taken))
    return result


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=10_000_000, help="to the nearest square")
    parser.add_argument("--pixels", type=int, default=4_000_000, help="of the stored map")
    parser.add_argument("--clusters", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="a toy size, to see that it runs")
    parser.add_argument("--out", type=Path, help="file for the results as JSON")
    parser.add_argument("--report", nargs=2, type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.report:
        report_session(*chosen.report)
        return []
    repeats = 7
    if chosen.quick:
        chosen.points, chosen.pixels, repeats = 40_000, 4096, 1
    parts: dict[Callable[[int, int, int], Result], int] = {
        measure_frames: chosen.points,
        measure_page: chosen.pixels,
    }
    return publish(
        (measure(size, chosen.clusters, repeats) for measure, size in parts.items()), chosen.out
    )


if __name__ == "__main__":
    main()
