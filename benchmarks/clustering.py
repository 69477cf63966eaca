"""
HDBSCAN: agreement, time and memory beside the hdbscan library and fast_hdbscan, and growth.

Two kinds of points in two dimensions. "map": the latent space of a synthetic map (its line
intensities, averaged over neighbours, z-scores, UMAP); more points than the map has pixels are its
points again, each moved by a little noise. "groups": clusters of random shape, size and density,
threads between some of them, and stray points.

Every fit runs in a process of its own, after one on a few points, so that nothing is compiled while
the clock runs; the memory is the peak of that process with all that it imports and the points. The
time of fast_hdbscan for more points than it is run with is extrapolated from its growth between a
quarter of these points and all of them.

    python -m benchmarks.clustering
    python -m benchmarks.clustering --quick
    python -m benchmarks.clustering --largest 100000000
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import Result, peak_memory, report_memory, seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "P_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]
ENGINES = ("ours", "hdbscan", "fast_hdbscan")
MIN_SAMPLES = 15
PIXELS_PER_CLUSTER = 1000  # the smallest cluster is this fraction of all pixels
WARM_UP = 3000
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


def make(engine: str, n_rows: int) -> Any:
    """Make a model of ours or a library's own, exact, with its defaults otherwise."""
    arguments = {"min_cluster_size": smallest_cluster(n_rows), "min_samples": MIN_SAMPLES}
    if engine == "ours":
        from sigma_scale.clustering import HDBSCAN

        return HDBSCAN(**arguments)
    if engine == "hdbscan":
        import hdbscan

        # Its default approximates the tree, which alone costs 0.025 of the Rand index on "groups".
        return hdbscan.HDBSCAN(
            **arguments, approx_min_span_tree=False, core_dist_n_jobs=os.cpu_count()
        )
    import fast_hdbscan

    return fast_hdbscan.HDBSCAN(**arguments)


def report_fit(engine: str, path: str, n_rows: int, labels: str) -> None:
    """Fit in this process; report seconds and peak memory, and write the labels."""
    warnings.simplefilter("ignore")
    # float32, as the points come, for us; libraries make of them what they take.
    rows = np.load(path, mmap_mode="r")[:n_rows]
    make(engine, WARM_UP).fit(np.array(rows[:: max(n_rows // WARM_UP, 1)][:WARM_UP]))
    rows = np.array(rows)
    model = make(engine, n_rows)
    details: dict[str, float] = {"fit": seconds(lambda: model.fit(rows))}
    np.save(labels, model.labels_.astype(np.int32))
    if engine == "ours":
        details["recut"] = seconds(
            lambda: model.recut(min_cluster_size=2 * smallest_cluster(n_rows))
        )
        rng = np.random.default_rng(1)
        new = rows[rng.choice(n_rows, min(n_rows, 200_000), replace=False)]
        new += rng.normal(scale=JITTER, size=new.shape).astype(np.float32)
        model.predict(new[:WARM_UP])
        details["assigning"] = seconds(lambda: model.predict(new)) / len(new) * 1e6
    report_memory(clusters=int(model.labels_.max()) + 1, **details)


def fit(engine: str, path: Path, n_rows: int) -> tuple[dict[str, Any], NDArray[np.int32]]:
    """Fit in a process of its own; give its report and the labels."""
    labels = path.parent / f"{engine}_{n_rows}.npy"
    report = peak_memory(
        "benchmarks.clustering", "--fit", engine, str(path), str(n_rows), str(labels)
    )
    return report, np.load(labels)


def run(kind: str, *, sizes: tuple[int, int, int], side: int, largest: int) -> Result:
    """
    Measure on one kind of points.

    ``sizes`` are the numbers of points beside hdbscan, beside fast_hdbscan, and alone.
    """
    from sklearn.metrics import adjusted_rand_score

    result = Result(
        f"density clustering, {kind}",
        {
            "points": f"{sizes[0]:,}, {sizes[1]:,} and {sizes[2]:,}",
            "min_samples": MIN_SAMPLES,
            "load before": round(os.getloadavg()[0], 1),
        },
    )
    figures = result.figures
    most = max(*sizes, largest)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        points = groups(most) if kind == "groups" else map_latent(most, side)
        # So that any number of first points is a sample of all.
        np.save(path, np.random.default_rng(2).permutation(points))
        del points
        ours, labels = fit("ours", path, sizes[0])
        peer, expected = fit("hdbscan", path, sizes[0])
        name = f"{sizes[0]:,} points: "
        figures[name + "clusters"] = ours["clusters"]
        figures[name + "Rand index with hdbscan"] = adjusted_rand_score(expected, labels)
        figures[name + "times hdbscan"] = peer["fit"] / ours["fit"]
        quarter, _ = fit("fast_hdbscan", path, sizes[1] // 4)
        ours, labels = fit("ours", path, sizes[1])
        peer, expected = fit("fast_hdbscan", path, sizes[1])
        name = f"{sizes[1]:,} points: "
        figures[name + "clusters"] = ours["clusters"]
        figures[name + "Rand index with fast_hdbscan"] = adjusted_rand_score(expected, labels)
        figures[name + "seconds"] = ours["fit"]
        figures[name + "share of fast_hdbscan's time"] = ours["fit"] / peer["fit"]
        power = max(math.log(peer["fit"] / quarter["fit"], 4), 1.0)
        figures["fast_hdbscan grows with the power"] = power
        for n_rows in (sizes[2], *([largest] if largest > sizes[2] else [])):
            ours, _ = fit("ours", path, n_rows)
            name = f"{n_rows:,} points: "
            extrapolated = peer["fit"] * (n_rows / sizes[1]) ** power
            figures[name + "clusters"] = ours["clusters"]
            figures[name + "seconds"] = ours["fit"]
            figures[name + "share of fast_hdbscan's time, extrapolated"] = (
                ours["fit"] / extrapolated
            )
            figures[name + "peak memory, GB"] = ours["peak"] / 1e9
            figures[name + "recut, seconds"] = ours["recut"]
            figures[name + "assigning a new pixel, microseconds"] = ours["assigning"]
    return result


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=["map", "groups"], choices=["map", "groups"])
    parser.add_argument("--sizes", nargs=3, type=int, default=[200_000, 1_000_000, 10_000_000])
    parser.add_argument("--side", type=int, default=1024, help="of the synthetic map, in pixels")
    parser.add_argument("--largest", type=int, default=0, help="points of one more fit of ours")
    parser.add_argument("--quick", action="store_true", help="a toy, to see that it runs")
    parser.add_argument("--out", type=Path, help="folder for the figures as JSON")
    parser.add_argument("--fit", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.fit:
        engine, path, n_rows, labels = chosen.fit
        report_fit(engine, path, int(n_rows), labels)
        return []
    if chosen.quick:
        chosen.sizes, chosen.side, chosen.largest = [4000, 6000, 9000], 64, 10_000
    results = []
    for kind in chosen.kinds:
        sizes = (chosen.sizes[0], chosen.sizes[1], chosen.sizes[2])
        result = run(kind, sizes=sizes, side=chosen.side, largest=chosen.largest)
        result.print()
        if chosen.out:
            result.write(chosen.out / f"clustering_{kind}.json")
        results.append(result)
    return results


if __name__ == "__main__":
    main()
