"""
UMAP on landmarks beside umap-learn: time, trustworthiness, clusters, rare phases, growth.

Pixels have the X-ray lines of ten minerals and a rare one, zircon, as Poisson counts over Poisson
totals, z-scored. In one run:

- umap-learn's ``fit_transform`` and ours on the same pixels (``--full``: on the full size, else on
  a quarter of it, from which the full time is extrapolated linearly, which favours the peer);
- trustworthiness (scikit-learn's, on a sample) and the adjusted Rand index of Gaussian mixtures
  and HDBSCAN against the true phases, for both;
- landmarks chosen uniformly, by leverage scores, and by us: the rare phase among them and found;
- time of ours beyond the fit at growing sizes;
- the rare phase on a map of four times the size: precision and recall of its cluster.

    python -m benchmarks.latent --full
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import umap as umap_learn
from sklearn.manifold import trustworthiness
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from benchmarks.common import Result, seconds
from sigma_scale.clustering import HDBSCAN
from sigma_scale.features import line_channels
from sigma_scale.latent import UMAP, choose_landmarks
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "P_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]
RARE = 10
"""Number of the rare phase."""
BATCH = 2**20
SAMPLE = 5000


def phases(n: int, *, counts: float, rare_share: float, seed: int = 0) -> tuple[Any, Any]:
    """
    Draw pixels: their z-scored features, float32, and their phases.

    Pixels are drawn a million at a time, each million from a seed of its own.
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
    return features, labels


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


def density_clusters(places: NDArray[Any], smallest: int) -> NDArray[np.int32]:
    """Clusters by HDBSCAN."""
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


def compare_with_peer(result: Result, pixels: int, peer_pixels: int, chosen: Any) -> None:
    """Time and quality of umap-learn and of ours."""
    figures = result.figures
    features, labels = phases(pixels, counts=chosen.counts, rare_share=chosen.rare_share)
    few, few_labels = features[:peer_pixels], labels[:peer_pixels]
    if not chosen.quick:
        warm_up(features)
    smallest = max(20, peer_pixels // 4000)
    figures["peer, pixels"] = peer_pixels
    peer_time, peer = timed(lambda: umap_learn.UMAP(n_jobs=-1).fit_transform(few))
    figures["umap-learn fit_transform, s"] = peer_time
    for name, data in {"peer's size": few, "full size": features}.items():
        model = UMAP(n_landmarks=chosen.landmarks, random_state=chosen.seed)
        fit, _ = timed(lambda data=data, model=model: model.fit(data))
        place, places = timed(lambda data=data, model=model: model.transform(data))
        figures[f"{name}: fit, s"], figures[f"{name}: placement, s"] = fit, place
        # umap-learn takes at least so much longer for so many more pixels.
        growth = len(data) / peer_pixels
        extrapolated = ", extrapolated" if growth > 1 else ""
        figures[f"{name}: share of umap-learn's time{extrapolated}"] = (fit + place) / (
            peer_time * growth
        )
        if data is few:
            ours = places
    for name, places in {"umap-learn": peer, "ours": ours}.items():
        figures[f"{name}: trustworthiness"] = sampled_trust(few, places)
        figures[f"{name}: Rand index, mixture"] = mixture_rand(places, few_labels)
        figures[f"{name}: Rand index, HDBSCAN"] = float(
            adjusted_rand_score(few_labels, density_clusters(places, smallest))
        )
    for figure in ("trustworthiness", "Rand index, mixture", "Rand index, HDBSCAN"):
        figures[f"lost of {figure}"] = figures[f"umap-learn: {figure}"] - figures[f"ours: {figure}"]


def compare_landmarks(result: Result, pixels: int, chosen: Any) -> None:
    """Landmarks chosen in three ways."""
    features, labels = phases(pixels, counts=chosen.counts, rare_share=chosen.rare_share)
    n = chosen.landmarks
    seconds_of_ours, ours = timed(lambda: choose_landmarks(features, n, random_state=chosen.seed))
    rows = {
        "ours": ours,
        "uniform": np.random.default_rng(0).permutation(pixels)[:n],
        "leverage": leverage_rows(features, n),
    }
    result.figures["landmarks: choice of ours, s"] = seconds_of_ours
    for name, numbers in rows.items():
        model = UMAP(n_landmarks=n, random_state=chosen.seed).fit(features[numbers])
        places = model.transform(features)
        clusters = density_clusters(places, max(20, pixels // 4000))
        precision, recall = found_rare(clusters, labels)
        figures = result.figures
        figures[f"landmarks {name}: of the rare phase"] = int(
            np.count_nonzero(labels[numbers] == RARE)
        )
        figures[f"landmarks {name}: trustworthiness"] = sampled_trust(features, places)
        figures[f"landmarks {name}: Rand index, HDBSCAN"] = float(
            adjusted_rand_score(labels, clusters)
        )
        figures[f"landmarks {name}: rare phase, precision"] = precision
        figures[f"landmarks {name}: rare phase, recall"] = recall


def measure_growth(result: Result, sizes: list[int], chosen: Any) -> None:
    """Time of the choice of landmarks and of the placement at growing sizes, with one layout."""
    features, _ = phases(max(sizes), counts=chosen.counts, rare_share=chosen.rare_share)
    model = UMAP(n_landmarks=chosen.landmarks, random_state=chosen.seed, n_epochs=50)
    model.fit(features[: min(sizes)])
    for size in sizes:
        part = features[:size]
        n = chosen.landmarks
        choice, _ = timed(lambda part=part, n=n: choose_landmarks(part, n, random_state=0))
        place, _ = timed(lambda part=part: model.transform(part))
        result.figures[f"{size:,} pixels: choice of landmarks, s"] = choice
        result.figures[f"{size:,} pixels: placement, s"] = place
        result.figures[f"{size:,} pixels: beyond the fit, s per million"] = (
            (choice + place) / size * 1e6
        )


def find_rare_phase(result: Result, pixels: int, chosen: Any) -> None:
    """Precision and recall of the rare phase's cluster on a large map."""
    features, labels = phases(pixels, counts=chosen.counts, rare_share=chosen.rare_share)
    model = UMAP(n_landmarks=chosen.landmarks, random_state=chosen.seed)
    time, places = timed(lambda: model.fit_transform(features))
    smallest = max(20, pixels // 4000)
    clustering, clusters = timed(lambda: density_clusters(places, smallest))
    precision, recall = found_rare(clusters, labels)
    result.figures.update(
        {
            "rare phase: pixels of the map": pixels,
            "rare phase: its pixels": int(np.count_nonzero(labels == RARE)),
            "rare phase: its landmarks": int(
                np.count_nonzero(labels[model.landmark_rows_] == RARE)
            ),
            "rare phase: UMAP, s": time,
            "rare phase: HDBSCAN, s": clustering,
            "rare phase: clusters": int(clusters.max() + 1),
            "rare phase: precision": precision,
            "rare phase: recall": recall,
            "rare phase: Rand index of all": float(adjusted_rand_score(labels, clusters)),
        }
    )


def warm_up(features: NDArray[Any]) -> None:
    """Let both compile before they are timed."""
    few = features[:2000]
    umap_learn.UMAP(n_epochs=5, random_state=0, n_jobs=1).fit(few)
    umap_learn.UMAP(n_epochs=5).fit(np.repeat(few, 3, axis=0) + np.float32(1e-3))
    UMAP(n_landmarks=500, n_epochs=5, random_state=0).fit_transform(few)


PARTS = ("peer", "landmarks", "growth", "rare")


def main(arguments: list[str] | None = None) -> Result:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=2**20, help="full size")
    parser.add_argument("--full", action="store_true", help="umap-learn on the full size too")
    parser.add_argument("--quick", action="store_true", help="a toy of 2**13 pixels")
    parser.add_argument("--landmarks", type=int, default=20_000)
    parser.add_argument("--counts", type=float, default=300.0, help="mean counts per pixel")
    parser.add_argument("--rare-share", type=float, default=0.0005)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.pixels, chosen.landmarks = 2**13, min(chosen.landmarks, 500)
        chosen.rare_share = max(chosen.rare_share, 0.01)
    pixels = chosen.pixels
    result = Result(
        "latent",
        {
            "pixels": pixels,
            "features": len(LINES),
            "landmarks": chosen.landmarks,
            "counts": chosen.counts,
            "rare share": chosen.rare_share,
        },
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if hasattr(os, "getloadavg"):
            result.figures["load when it began"] = os.getloadavg()[0]
        if "peer" in chosen.parts:
            compare_with_peer(result, pixels, pixels if chosen.full else pixels // 4, chosen)
        if "landmarks" in chosen.parts:
            compare_landmarks(result, pixels, chosen)
        if "growth" in chosen.parts:
            measure_growth(result, [pixels, 4 * pixels, 16 * pixels], chosen)
        if "rare" in chosen.parts:
            find_rare_phase(result, 4 * pixels, chosen)
    result.print()
    if chosen.out:
        result.write(chosen.out)
    return result


if __name__ == "__main__":
    main()
