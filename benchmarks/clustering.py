"""
HDBSCAN: agreement, time and memory beside the hdbscan library and fast_hdbscan, and growth.

Two kinds of points in two dimensions. "map": the latent space of a synthetic map (its line
intensities, averaged over neighbours, z-scores, UMAP); more points than the map has pixels are its
points again, each moved by a little noise. "groups": clusters of random shape, size and density,
threads between some of them, and stray points.

Every fit runs in a process of its own, after one on a few points, so that nothing is compiled while
the clock runs; the memory is the peak of that process with all that it imports and the points.

    python -m benchmarks.clustering
    python -m benchmarks.clustering --quick
    python -m benchmarks.clustering --largest 100000000
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.common import LINES, peak_memory, report_memory, seconds
from benchmarks.libraries import add_options, named, of_memory, run_library
from benchmarks.limits import memory_read_rate
from benchmarks.record import Result, Row, publish, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

KINDS = ("map", "groups")
MIN_SAMPLES = 15
PIXELS_PER_CLUSTER = 1000  # the smallest cluster is this fraction of all pixels
WARM_UP = 3000
NEW_POINTS = 200_000
BYTES_PER_POINT = 8
JITTER = 0.02
THREADS, STRAY = 0.05, 0.02  # shares of the points
_CHUNK = 2**20


def groups(n_rows: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Draw points of clusters of very different densities, threads between them, and noise."""
    rng = np.random.default_rng(seed)
    n_groups = 40
    centres = rng.uniform(-15, 15, (n_groups, 2))
    shapes = rng.normal(size=(n_groups, 2, 2)) * rng.uniform(0.05, 0.5, (n_groups, 1, 1))
    weights = rng.dirichlet(np.full(n_groups, 0.8))
    result = np.empty((n_rows, 2), np.float32)
    for first in range(0, n_rows, _CHUNK):
        part = result[first : first + _CHUNK]
        own = rng.choice(n_groups, len(part), p=weights)
        points = centres[own] + np.einsum(
            "bi,bij->bj", rng.normal(size=(len(part), 2)), shapes[own]
        )
        kind = rng.random(len(part))
        thread = kind < THREADS
        other = (own[thread] + 1) % n_groups
        along = rng.random((int(thread.sum()), 1))
        points[thread] = centres[own[thread]] * along + centres[other] * (1 - along)
        points[thread] += rng.normal(scale=0.05, size=(int(thread.sum()), 2))
        stray = kind > 1 - STRAY
        points[stray] = rng.uniform(-18, 18, (int(stray.sum()), 2))
        part[:] = points
    return result


def map_latent(n_rows: int, side: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Place the pixels of a synthetic map with UMAP; more rows are these again, moved a little."""
    from sigma_scale import UMAP
    from sigma_scale.features import feature_pass, normalise_features
    from sigma_scale.synthetic import synthetic_map

    image = synthetic_map((side, side), counts_per_pixel=100.0).image
    maps = feature_pass(image, LINES, lazy=False)["line_intensity"]
    features = normalise_features(maps.astype(np.float32), ["neighbour_averaging", "zscore"])
    rows = np.asarray(features).reshape(-1, len(LINES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        latent = np.asarray(UMAP(random_state=0).fit_transform(rows), np.float32)
    rng = np.random.default_rng(seed)
    if n_rows <= len(latent):
        return latent[np.sort(rng.choice(len(latent), n_rows, replace=False))]
    result = np.empty((n_rows, 2), np.float32)
    for first in range(0, n_rows, len(latent)):
        part = result[first : first + len(latent)]
        part[:] = latent[: len(part)]
        if first:
            part += rng.normal(scale=JITTER, size=part.shape).astype(np.float32)
    return result


def smallest_cluster(n_rows: int) -> int:
    """Pixels of the smallest cluster asked for."""
    return max(n_rows // PIXELS_PER_CLUSTER, 20)


def report_fit(path: str, n_rows: int, labels: str) -> None:
    """Fit in this process; report seconds and peak memory, and write the labels."""
    from sigma_scale.clustering import HDBSCAN

    rows = np.array(np.load(path, mmap_mode="r")[:n_rows])
    few, smallest = rows[:WARM_UP], smallest_cluster(n_rows)
    model = HDBSCAN(min_cluster_size=20, min_samples=MIN_SAMPLES).fit(few)
    model.recut(min_cluster_size=40)
    model.predict(few)
    model = HDBSCAN(min_cluster_size=smallest, min_samples=MIN_SAMPLES)
    details: dict[str, float] = {"fit": seconds(lambda: model.fit(rows))}
    np.save(labels, model.labels_.astype(np.int32))
    rng = np.random.default_rng(1)
    new = rows[rng.choice(n_rows, min(n_rows, NEW_POINTS), replace=False)]
    new += rng.normal(scale=JITTER, size=new.shape).astype(np.float32)
    details["new points"] = len(new)
    details["assigning"] = seconds(lambda: model.predict(new))
    details["recut"] = seconds(lambda: model.recut(min_cluster_size=2 * smallest))
    report_memory(**details)


def fit_ours(path: Path, n_rows: int) -> tuple[dict[str, Any], NDArray[np.int32]]:
    """Fit in a process of its own; give its report and the labels."""
    labels = path.parent / "ours.npy"
    report = peak_memory("benchmarks.clustering", "--fit", str(path), str(n_rows), str(labels))
    return report, np.load(labels)


def fit_library(
    library: str, path: Path, n_rows: int, *, installed: bool
) -> tuple[dict[str, Any], NDArray[np.int32]]:
    """Fit a library's model; give its report and the labels."""
    labels = path.parent / f"{library}.npy"
    report = run_library(
        "density_fit",
        library,
        path,
        n_rows,
        smallest_cluster(n_rows),
        MIN_SAMPLES,
        labels,
        installed=installed,
    )
    return report, np.load(labels)


class Bench:
    """
    Points of one kind in a file, clustered by ours and by libraries.

    Parameters
    ----------
    path : pathlib.Path
        The points, in random order: any number of first ones is a sample of all.
    result : Result
        Where rows and figures go.
    installed : bool
        Whether the libraries are those of this environment.
    """

    def __init__(self, path: Path, result: Result, *, installed: bool) -> None:
        self.path = path
        self.result = result
        self.installed = installed
        self.memory_rate = memory_read_rate()

    def compare(self, n_rows: int, library: str) -> dict[str, Any]:
        """Fit with ours and with a library, and give our report."""
        ours, labels = fit_ours(self.path, n_rows)
        theirs, expected = fit_library(library, self.path, n_rows, installed=self.installed)
        self._note(
            n_rows,
            ours,
            peer=named(library, theirs),
            times_peer=theirs["fit"] / ours["fit"],
            agreement=f"Rand index of the labels {adjusted_rand_score(expected, labels):.6f}, "
            f"{labels.max() + 1} clusters",
        )
        self.result.figures[f"{library}, {n_rows:,} points: peak memory, MB"] = theirs["peak"] / 1e6
        return ours

    def alone(self, n_rows: int) -> dict[str, Any]:
        """Fit with ours, and give its report."""
        ours, labels = fit_ours(self.path, n_rows)
        self._note(n_rows, ours, agreement=f"{labels.max() + 1} clusters")
        return ours

    def afterwards(self, n_rows: int, ours: dict[str, Any]) -> None:
        """Add what can be done after a fit: other sizes of clusters, and new points."""
        self.result.rows.append(
            Row(
                stage="clusters of another smallest size",
                size=n_rows,
                unit="points",
                seconds=ours["recut"],
                peer="a new fit",
                times_peer=ours["fit"] / ours["recut"],
            )
        )
        new = ours["new points"]
        self.result.rows.append(
            Row(
                stage=f"new points, among {scaled(n_rows)}",
                size=new,
                unit="points",
                seconds=ours["assigning"],
                **of_memory(new * BYTES_PER_POINT, ours["assigning"], self.memory_rate),
            )
        )

    def _note(self, n_rows: int, ours: dict[str, Any], **compared: Any) -> None:
        self.result.rows.append(
            Row(
                stage="HDBSCAN",
                size=n_rows,
                unit="points",
                seconds=ours["fit"],
                **of_memory(n_rows * BYTES_PER_POINT, ours["fit"], self.memory_rate),
                peak_memory=ours["peak"],
                **compared,
            )
        )


def measured(folder: Path, chosen: argparse.Namespace) -> Iterator[Result]:
    """Measure on each kind of points."""
    few, some, many = chosen.sizes
    for kind in chosen.kinds:
        most = max(few, some, many, chosen.largest)
        points = groups(most) if kind == "groups" else map_latent(most, chosen.side)
        path = folder / "points.npy"
        np.save(path, np.random.default_rng(2).permutation(points))
        del points
        result = Result(f"density clustering, {kind}", {"min_samples": MIN_SAMPLES})
        bench = Bench(path, result, installed=chosen.no_peers)
        bench.compare(few, "hdbscan")
        bench.compare(some, "fast_hdbscan")
        # The library takes minutes for that many: on one kind of points it says enough.
        beside = kind == chosen.kinds[-1]
        ours = bench.compare(many, "fast_hdbscan") if beside else bench.alone(many)
        bench.afterwards(many, ours)
        if chosen.largest:
            bench.alone(chosen.largest)
        yield result


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="of points; a toy has groups")
    parser.add_argument(
        "--sizes",
        nargs=3,
        type=int,
        default=[200_000, 1_000_000, 10_000_000],
        help="points beside hdbscan, beside fast_hdbscan, and beside it on the last kind alone",
    )
    parser.add_argument("--side", type=int, default=1024, help="of the synthetic map, in pixels")
    parser.add_argument("--largest", type=int, default=0, help="points of one more fit of ours")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    add_options(parser)
    parser.add_argument("--fit", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.fit:
        path, n_rows, labels = chosen.fit
        report_fit(path, int(n_rows), labels)
        return []
    if chosen.quick:
        chosen.sizes, chosen.side = [4000, 6000, 9000], 64
    chosen.kinds = chosen.kinds or (["groups"] if chosen.quick else list(KINDS))
    with tempfile.TemporaryDirectory() as folder:
        return publish(measured(Path(folder), chosen), chosen.out)


if __name__ == "__main__":
    main()
