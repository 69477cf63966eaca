"""
Gaussian mixtures: likelihood and time per EM step beside scikit-learn's, memory, and growth.

Points in two dimensions, from as many overlapping Gaussians of random shape, size and weight as the
mixture has components, in random order (the order of a map is kinder: neighbours are alike, and
components far from all rows of a block are left out of it). Both libraries begin with the same
means, weights and precisions and take the same number of steps; the quality is that of fits from
scratch. The memory is that of a process that opens float32 points as a memory-mapped file and fits,
with everything that it imports.

    python -m benchmarks.mixture
    python -m benchmarks.mixture --quick
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import mixture as peer
from sklearn.exceptions import ConvergenceWarning

from benchmarks.common import Result, peak_memory, report_memory, seconds
from sigma_scale.clustering.mixture import GaussianMixture
from sigma_scale.clustering.mixture_em import Likeliest, run_em
from sigma_scale.clustering.mixture_moments import precision_factors
from sigma_scale.clustering.row_source import RowSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 2**18


def points(n_rows: int, n_components: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Draw points of overlapping clusters, in random order."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-20, 20, (n_components, 2))
    shapes = rng.normal(size=(n_components, 2, 2)) * rng.uniform(0.3, 1.5, (n_components, 1, 1))
    weights = rng.dirichlet(np.full(n_components, 3.0))
    result = np.empty((n_rows, 2), np.float32)
    for first in range(0, n_rows, _CHUNK):
        part = result[first : first + _CHUNK]
        own = rng.choice(n_components, len(part), p=weights)
        noise = rng.normal(size=(len(part), 2))
        part[:] = centres[own] + np.einsum("bi,bij->bj", noise, shapes[own])
    return result


def start_of(rows: NDArray[np.float32], n_components: int) -> dict[str, NDArray[np.float64]]:
    """Means of random rows, equal weights, and the precision of a part of the points."""
    rng = np.random.default_rng(1)
    spread = np.cov(rows[: 10 * _CHUNK].T.astype(float)) / n_components
    return {
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": rows[rng.choice(len(rows), n_components, replace=False)].astype(float),
        "precisions_init": np.tile(np.linalg.inv(spread), (n_components, 1, 1)),
    }


def our_steps(rows: NDArray[np.float32], start: dict[str, Any], steps: int) -> float:
    """Seconds of an EM step of ours; the first is not timed."""
    covariances = np.linalg.inv(start["precisions_init"])
    model = Likeliest(
        start["weights_init"],
        start["means_init"],
        covariances,
        precision_factors(covariances, "full"),
        "full",
        1e-6,
        len(rows),
    )
    source = RowSource(rows)
    run_em(source, model, tol=0, max_iter=1)
    return seconds(lambda: run_em(source, model, tol=0, max_iter=steps)) / steps


def their_steps(rows: NDArray[np.float64], start: dict[str, Any], steps: int) -> float:
    """
    Seconds of an EM step of scikit-learn's.

    A fit evaluates all rows once more at its end, to label them. That counts as a whole step, in
    favour of scikit-learn.
    """
    model = peer.GaussianMixture(len(start["means_init"]), max_iter=steps, tol=0, **start)
    return seconds(lambda: model.fit(rows)) / (steps + 1)


def compare_steps(n_rows: int, n_components: int, *, steps: int, figures: dict[str, float]) -> None:
    """Time EM steps of both libraries from the same start, in turn."""
    rows = points(n_rows, n_components)
    wide = rows.astype(np.float64)
    start = start_of(rows, n_components)
    times = [
        (our_steps(rows, start, max(steps, 5)), their_steps(wide, start, steps)) for _ in range(2)
    ]
    name = f"EM step, {n_rows:,} rows"
    figures[f"{name}: ours, s"] = min(ours for ours, _ in times)
    figures[f"{name}: scikit-learn, s"] = min(theirs for _, theirs in times)
    figures[f"{name}: times faster, the lower of two"] = min(
        theirs / ours for ours, theirs in times
    )


def compare_fits(n_rows: int, n_components: int, figures: dict[str, float]) -> None:
    """Fit from scratch with both libraries and compare the likelihood of all rows."""
    rows = points(n_rows, n_components)
    model = GaussianMixture(n_components, random_state=0)
    name = f"fit, {n_rows:,} rows"
    figures[f"{name}: ours, s"] = seconds(lambda: model.fit(rows))
    figures[f"{name}: our steps"] = model.n_iter_
    theirs = peer.GaussianMixture(n_components, random_state=0)
    figures[f"{name}: scikit-learn, s"] = seconds(lambda: theirs.fit(rows.astype(np.float64)))
    figures[f"{name}: scikit-learn's steps"] = theirs.n_iter_
    # The difference of two means, against the size of theirs.
    ours_mean, theirs_mean = model.score(rows), float(theirs.lower_bound_)
    figures[f"{name}: our mean log-likelihood"] = ours_mean
    figures[f"{name}: scikit-learn's mean log-likelihood"] = theirs_mean
    figures[f"{name}: ours above theirs, %"] = 100 * (ours_mean - theirs_mean) / abs(theirs_mean)


def report_fit(path: str, n_components: int) -> None:
    """Fit and label a file of points in this process, and report time and peak memory."""
    rows = np.load(path, mmap_mode="r")
    model = GaussianMixture(n_components, random_state=0, max_iter=10, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitting = seconds(lambda: model.fit(rows))
    labelling = seconds(lambda: model.predict(rows))
    report_memory(fitting=fitting, labelling=labelling)


def large_fit(n_rows: int, n_components: int, figures: dict[str, float]) -> None:
    """Fit many points in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        np.save(path, points(n_rows, n_components))
        report = peak_memory(
            "benchmarks.mixture", "--fit-of", str(path), "--components", str(n_components)
        )
    name = f"ten steps, {n_rows:,} rows"
    figures[f"{name}: fit, s"] = report["fitting"]
    figures[f"{name}: labels, s"] = report["labelling"]
    figures[f"{name}: peak memory of the process, MB"] = report["peak"] / 1e6


def run(n_rows: int, n_large: int, *, n_components: int, steps: int) -> Result:
    """Measure steps, fits and memory."""
    result = Result(
        "mixture",
        {"Gaussians": n_components, "features": 2, "covariances": "full", "fits on": n_rows},
    )
    result.figures["load of the machine at the start"] = os.getloadavg()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        compare_steps(n_rows, n_components, steps=steps, figures=result.figures)
        compare_fits(n_rows, n_components, result.figures)
    large_fit(n_large, n_components, result.figures)
    result.figures["load of the machine at the end"] = os.getloadavg()[0]
    return result


def main(arguments: list[str] | None = None) -> Result | None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="beside scikit-learn")
    parser.add_argument("--large", type=int, default=10_000_000, help="for time and memory")
    parser.add_argument("--components", type=int, default=50)
    parser.add_argument("--steps", type=int, default=3, help="EM steps of scikit-learn's to time")
    parser.add_argument("--quick", action="store_true", help="a toy size")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--fit-of", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.fit_of:
        report_fit(chosen.fit_of, chosen.components)
        return None
    if chosen.quick:
        chosen.rows, chosen.large, chosen.components, chosen.steps = 110_000, 200_000, 5, 1
    result = run(chosen.rows, chosen.large, n_components=chosen.components, steps=chosen.steps)
    result.print()
    if chosen.out:
        result.write(chosen.out)
    return result


if __name__ == "__main__":
    main()
