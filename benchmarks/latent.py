"""
UMAP on landmarks beside umap-learn: time, trustworthiness, clusters, rare phases, growth.

Pixels have the X-ray lines of ten minerals and a rare one, zircon, as Poisson counts over Poisson
totals, z-scored. In one run:

- umap-learn's ``fit_transform`` and ours on the same pixels, a quarter of the full size; for the
  full size its time is extrapolated linearly, which favours it;
- trustworthiness (scikit-learn's, on a sample) and the adjusted Rand index of Gaussian mixtures
  and HDBSCAN against the true phases, for both;
- landmarks chosen by us, by leverage scores and uniformly, and precision and recall of the cluster
  that the rare phase becomes;
- the same on a map of four times the size, ours alone.

Our fits run in a process of their own and those of umap-learn in another, after one on a few
pixels, so that nothing is compiled while the clock runs; the memory is the peak of that process
after all of its fits, with all that it imports.

    python -m benchmarks.latent
    python -m benchmarks.latent --quick
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.manifold import trustworthiness
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from benchmarks.common import LINES, peak_memory, report_memory, seconds
from benchmarks.libraries import add_options, named, of_memory, run_library
from benchmarks.limits import memory_read_rate
from benchmarks.record import Result, Row, publish
from sigma_scale.clustering import HDBSCAN
from sigma_scale.features import line_channels
from sigma_scale.latent import UMAP, choose_landmarks
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

RARE = 10
"""Number of the rare phase."""
BATCH = 2**20
SAMPLE = 5000
FEW = 2000
"""Pixels to warm up on."""
OTHERS = {"leverage": "by leverage scores", "uniform": "uniform"}
"""Choices of landmarks beside ours."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """
    Pixels that were drawn.

    Parameters
    ----------
    features : array, shape (n, n_features), float32
        Z-scored over all pixels that were drawn.
    labels : array, shape (n,), int32
        Their phases.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int32]

    def first(self, n: int) -> Drawn:
        """Give the first of them."""
        return Drawn(self.features[:n], self.labels[:n])


def phases(n: int, *, counts: float, rare_share: float, seed: int = 0) -> Drawn:
    """
    Draw pixels of the phases.

    They are drawn a million at a time, each million from a seed of its own.
    """
    described = synthetic_map((64, 64), counts_per_pixel=counts)
    spectra = described.spectra.to_numpy()
    windows = line_channels(described.image, LINES)
    lines = np.stack([spectra[:, w.start : w.stop].sum(axis=1) for w in windows], axis=1)
    totals = spectra.sum(axis=1)
    features = np.empty((n, len(LINES)), np.float32)
    labels = np.empty(n, np.int32)
    for first in range(0, n, BATCH):
        rng = np.random.default_rng((seed, first))
        part = slice(first, min(first + BATCH, n))
        size = part.stop - first
        labels[part] = rng.integers(0, RARE, size)
        labels[part][rng.random(size) < rare_share] = RARE
        features[part] = rng.poisson(lines[labels[part]])
        features[part] /= np.maximum(rng.poisson(totals[labels[part]]), 1)[:, np.newaxis]
    mean, std = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    for first in range(0, n, BATCH):
        part = slice(first, first + BATCH)
        features[part] = (features[part] - mean) / std
    return Drawn(features, labels)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one call, and its result."""
    kept: list[Any] = []
    return seconds(lambda: kept.append(function())), kept[0]


def sampled_trust(features: NDArray[Any], places: NDArray[Any]) -> float:
    """Trustworthiness on a sample of the pixels."""
    rows = np.random.default_rng(1).permutation(len(features))[:SAMPLE]
    return float(trustworthiness(features[rows], places[rows], n_neighbors=15))


def mixture_rand(places: NDArray[Any], labels: NDArray[Any]) -> float:
    """Adjusted Rand index of as many Gaussians as there are phases; the best of three seeds."""
    rows = np.random.default_rng(2).permutation(len(places))[: 10 * SAMPLE]
    models = [GaussianMixture(RARE + 1, random_state=seed).fit(places[rows]) for seed in range(3)]
    best = max(models, key=lambda model: model.lower_bound_)
    return float(adjusted_rand_score(labels, best.predict(places)))


def density_clusters(places: NDArray[Any]) -> NDArray[np.int32]:
    """Clusters by HDBSCAN."""
    smallest = max(20, len(places) // 4000)
    clusters: NDArray[np.int32] = (
        HDBSCAN(min_cluster_size=smallest, min_samples=10).fit(places).labels_
    )
    return clusters


def found_rare(clusters: NDArray[Any], labels: NDArray[Any]) -> tuple[float, float]:
    """Precision and recall of the cluster that holds most of the rare phase."""
    held = clusters[(labels == RARE) & (clusters >= 0)]
    if not len(held):
        return 0.0, 0.0
    own = np.bincount(held).argmax()
    both = np.count_nonzero((clusters == own) & (labels == RARE))
    return both / np.count_nonzero(clusters == own), both / np.count_nonzero(labels == RARE)


def leverage_rows(features: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Rows drawn by their leverage scores, the peer of the choice of landmarks."""
    exact = features.astype(np.float64)
    scores = np.einsum("ij,jk,ik->i", exact, np.linalg.pinv(exact.T @ exact), exact)
    rng = np.random.default_rng(0)
    # The n smallest of exponential times with these rates: weighted, without repetition.
    rows = np.argsort(rng.exponential(size=len(scores)) / np.maximum(scores, 1e-300))[:n]
    return np.sort(rows).astype(np.int64)


def agreement(drawn: Drawn, ours: NDArray[Any], theirs: Path) -> str:
    """How good two latent spaces of the same pixels are; the library's figures in brackets."""
    measures: dict[str, Callable[[NDArray[Any]], float]] = {
        "trustworthiness": lambda places: sampled_trust(drawn.features, places),
        "Rand index by mixture": lambda places: mixture_rand(places, drawn.labels),
        "by HDBSCAN": lambda places: float(
            adjusted_rand_score(drawn.labels, density_clusters(places))
        ),
    }
    expected = np.load(theirs)
    return ", ".join(
        f"{name} {measure(ours):.4f} ({measure(expected):.4f})"
        for name, measure in measures.items()
    )


def report_fits(folder: Path, chosen: argparse.Namespace) -> None:
    """Fit and place all that the folder asks for in this process; report times, write places."""
    warnings.simplefilter("ignore")
    features = np.load(folder / "features.npy", mmap_mode="r")
    UMAP(n_landmarks=500, n_epochs=5, random_state=0).fit_transform(features[:FEW])
    times = {}
    for name, size in json.loads((folder / "jobs.json").read_text()).items():
        rows = np.array(features[:size])
        given = folder / f"{name}_landmarks.npy"
        fitted = rows[np.load(given)] if given.exists() else rows
        model = UMAP(n_landmarks=chosen.landmarks, random_state=chosen.seed)
        fit = seconds(partial(model.fit, fitted))
        place, places = timed(partial(model.transform, rows))
        np.save(folder / f"{name}.npy", places)
        if not given.exists():
            np.save(given, model.landmark_rows_)
        times[name] = {"fit": fit, "place": place}
    report_memory(**times)


def fit_ours(folder: Path, jobs: dict[str, int], chosen: argparse.Namespace) -> dict[str, Any]:
    """Fit and place the first pixels of the folder's features, so many for each job."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    words = ["--landmarks", str(chosen.landmarks), "--seed", str(chosen.seed)]
    return peak_memory("benchmarks.latent", "--fit", str(folder), *words)


def compare_spaces(folder: Path, drawn: Drawn, chosen: argparse.Namespace) -> Result:
    """Fit everything, and compare time and quality with umap-learn's."""
    sizes = {"few": chosen.pixels // 4, "full": chosen.pixels, "large": 4 * chosen.pixels}
    result = Result("latent space", described(chosen))
    np.save(folder / "features.npy", drawn.features)
    rate = memory_read_rate()
    result.rows.append(choose(folder, drawn.first(sizes["full"]), chosen, rate))
    ours = fit_ours(folder, {**sizes, **dict.fromkeys(OTHERS, sizes["full"])}, chosen)
    few = drawn.first(sizes["few"])
    np.save(folder / "few_features.npy", few.features)
    places = folder / "umap_learn.npy"
    theirs = run_library("umap_fit", folder / "few_features.npy", places, installed=chosen.no_peers)
    peer = named("umap-learn", theirs)
    result.figures["umap-learn: peak memory, MB"] = theirs["peak"] / 1e6
    compared: dict[str, dict[str, Any]] = {
        "few": {"peer": peer, "agreement": agreement(few, np.load(folder / "few.npy"), places)},
        "full": {"peer": f"{peer}, extrapolated linearly"},
        "large": {"peak_memory": ours["peak"]},
    }
    placements = []
    for name, size in sizes.items():
        place, taken = ours[name]["place"], ours[name]["fit"] + ours[name]["place"]
        n_bytes = drawn.first(size).features.nbytes
        more = compared[name]
        if "peer" in more:
            more["times_peer"] = theirs["fit"] * size / sizes["few"] / taken
        share = of_memory(2 * n_bytes, taken, rate)  # once to fit, once to place
        result.rows.append(
            Row(stage="fit and placement", size=size, seconds=taken, **share, **more)
        )
        share = of_memory(n_bytes, place, rate)
        placements.append(Row(stage="placement alone", size=size, seconds=place, **share))
    result.rows += placements
    return result


def choose(folder: Path, drawn: Drawn, chosen: argparse.Namespace, rate: float) -> Row:
    """Choose landmarks in our way, and in others for later."""
    features, n = drawn.features, chosen.landmarks
    choose_landmarks(features[:FEW], n, random_state=chosen.seed)
    taken, _ = timed(lambda: choose_landmarks(features, n, random_state=chosen.seed))
    peer_taken, leverage = timed(lambda: leverage_rows(features, n))
    uniform = np.random.default_rng(0).permutation(len(features))[:n]
    for name, numbers in zip(OTHERS, (leverage, uniform), strict=True):
        np.save(folder / f"{name}_landmarks.npy", numbers)
    return Row(
        stage="choice of landmarks",
        size=len(features),
        seconds=taken,
        peer="leverage scores",
        times_peer=peer_taken / taken,
        **of_memory(features.nbytes, taken, rate),
    )


def find_rare_phase(folder: Path, drawn: Drawn, chosen: argparse.Namespace) -> Result:
    """Look for the rare phase among the clusters of latent spaces with different landmarks."""
    result = Result("rare phase", described(chosen))
    for name, choice in {"full": "ours", **OTHERS, "large": "ours"}.items():
        places, landmarks = (np.load(folder / f"{name}{end}.npy") for end in ("", "_landmarks"))
        labels = drawn.labels[: len(places)]
        taken, clusters = timed(partial(density_clusters, places))
        precision, recall = found_rare(clusters, labels)
        rare = labels == RARE
        result.rows.append(
            Row(
                stage=f"HDBSCAN, landmarks {choice}",
                size=len(places),
                seconds=taken,
                agreement=f"{np.count_nonzero(rare[landmarks])} landmarks among its "
                f"{np.count_nonzero(rare):,} pixels; precision {precision:.3f}, "
                f"recall {recall:.3f}",
            )
        )
    return result


def described(chosen: argparse.Namespace) -> dict[str, Any]:
    """What is measured on."""
    return {
        "features": len(LINES),
        "landmarks": chosen.landmarks,
        "counts per pixel": chosen.counts,
        "share of the rare phase": chosen.rare_share,
    }


def measured(folder: Path, chosen: argparse.Namespace) -> Iterator[Result]:
    """Measure all parts."""
    drawn = phases(4 * chosen.pixels, counts=chosen.counts, rare_share=chosen.rare_share)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield compare_spaces(folder, drawn, chosen)
        yield find_rare_phase(folder, drawn, chosen)


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pixels", type=int, default=2**20, help="full size")
    parser.add_argument("--landmarks", type=int, default=20_000)
    parser.add_argument("--counts", type=float, default=300.0, help="mean counts per pixel")
    parser.add_argument("--rare-share", type=float, default=0.0005)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    add_options(parser)
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.fit:
        report_fits(chosen.fit, chosen)
        return []
    if chosen.quick:
        chosen.pixels, chosen.landmarks, chosen.rare_share = 2**13, 500, 0.01
    with tempfile.TemporaryDirectory() as folder:
        return publish(measured(Path(folder), chosen), chosen.out)


if __name__ == "__main__":
    main()
