"""
Gaussian mixtures: likelihood and time beside scikit-learn's, memory, and growth.

Points in two dimensions, from as many overlapping Gaussians of random shape, size and weight as the
mixture has components, in random order (the order of a map is kinder: neighbours are alike, and
components far from all rows of a block are left out of it).

- Steps: both begin with the same weights, means and precisions and take the same number of steps,
  after which their means and labels are compared.
- Fits from scratch, each with its own start: how likely the points are in the end.
- Many points, by ours alone.

Every fit runs in a process of its own, after a short one, so that nothing is compiled while the
clock runs. The memory is the peak of that process, which opens float32 points as a memory-mapped
file, with everything that it imports. A fit of scikit-learn's evaluates all rows once more at its
end; that counts as a whole step, in its favour.

    python -m benchmarks.mixture
    python -m benchmarks.mixture --quick
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks.common import peak_memory, report_memory, seconds
from benchmarks.libraries import add_options, named, of_memory, run_library
from benchmarks.limits import memory_read_rate
from benchmarks.record import Result, Row, publish
from sigma_scale.clustering import GaussianMixture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CHUNK = 2**18
WARM_UP = 110_000
"""Rows that are streamed; up to 100,000 are scikit-learn's own affair."""


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


def start_of(rows: NDArray[np.float32], n_components: int) -> dict[str, Any]:
    """Means of random rows, equal weights, and the precision of a part of the points."""
    rng = np.random.default_rng(1)
    spread = np.cov(rows[: 10 * _CHUNK].T.astype(float)) / n_components
    return {
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": rows[rng.choice(len(rows), n_components, replace=False)].astype(float),
        "precisions_init": np.tile(np.linalg.inv(spread), (n_components, 1, 1)),
    }


def report_fit(path: Path, n: int, result: Path, start: Path | None, steps: int) -> None:
    """Fit and label a file of points in this process; report times, and write what was found."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = np.load(path, mmap_mode="r")
    GaussianMixture(n, max_iter=1, init_params="random_from_data").fit(rows[:WARM_UP])
    given = dict(np.load(start)) if start else {}
    limited: dict[str, Any] = {"max_iter": steps, "tol": 0} if steps else {}
    model = GaussianMixture(n, random_state=0, **given, **limited)
    fit = seconds(lambda: model.fit(rows))
    labels: list[NDArray[np.int32]] = []
    predict = seconds(lambda: labels.append(model.predict(rows)))
    np.savez(result, means=model.means_, labels=labels[0])
    report_memory(fit=fit, predict=predict, steps=model.n_iter_, bound=model.lower_bound_)


def fit_ours(
    path: Path, n: int, result: Path, *, start: Path | None = None, steps: int = 0
) -> dict[str, Any]:
    """Fit in a process of its own."""
    words = ["--fit", str(path), str(result), "--components", str(n), "--steps", str(steps)]
    if start:
        words += ["--start", str(start)]
    return peak_memory("benchmarks.mixture", *words)


def compare_steps(folder: Path, n_rows: int, chosen: argparse.Namespace) -> Iterator[Row]:
    """Take steps with both libraries from the same start."""
    n, steps, rate = chosen.components, chosen.steps, memory_read_rate()
    rows = points(n_rows, n)
    path, start = folder / "points.npy", folder / "start.npz"
    np.save(path, rows)
    np.savez(start, **start_of(rows, n))
    found = [folder / "ours.npz", folder / "theirs.npz"]
    ours = fit_ours(path, n, found[0], start=start, steps=steps)
    theirs = run_library("mixture_fit", path, n, found[1], start, steps, installed=chosen.no_peers)
    peer = named("scikit-learn", theirs)
    means, labels = zip(*((f["means"], f["labels"]) for f in map(np.load, found)), strict=True)
    apart = float(np.abs(means[0] - means[1]).max() / np.ptp(means[1]))
    step = ours["fit"] / steps
    yield Row(
        stage=f"EM step, {n} Gaussians",
        size=n_rows,
        unit="points",
        seconds=step,
        peer=peer,
        times_peer=theirs["fit"] / (steps + 1) / step,
        **of_memory(rows.nbytes, step, rate),
        peak_memory=ours["peak"],
        agreement=f"after {steps} steps means differ by {apart:.1g} of their spread",
    )
    yield Row(
        stage=f"labels, {n} Gaussians",
        size=n_rows,
        unit="points",
        seconds=ours["predict"],
        peer=peer,
        times_peer=theirs["predict"] / ours["predict"],
        **of_memory(rows.nbytes, ours["predict"], rate),
        agreement=f"{np.count_nonzero(labels[0] != labels[1])} of {n_rows:,} labels differ",
    )


def compare_fits(
    folder: Path, n_rows: int, chosen: argparse.Namespace, figures: dict[str, float]
) -> Row:
    """Fit from scratch with both libraries."""
    n = chosen.components
    rows = points(n_rows, n)
    path = folder / "points.npy"
    np.save(path, rows)
    ours = fit_ours(path, n, folder / "ours.npz")
    theirs = run_library("mixture_fit", path, n, folder / "theirs.npz", installed=chosen.no_peers)
    figures["whole fit: scikit-learn's peak memory, MB"] = theirs["peak"] / 1e6
    likely = [f"{fit['bound']:.3f} after {fit['steps']} steps" for fit in (ours, theirs)]
    return Row(
        stage=f"whole fit, {n} Gaussians",
        size=n_rows,
        unit="points",
        seconds=ours["fit"],
        peer=named("scikit-learn", theirs),
        times_peer=theirs["fit"] / ours["fit"],
        **of_memory(rows.nbytes, ours["fit"], memory_read_rate()),
        peak_memory=ours["peak"],
        agreement=f"mean log-likelihood {likely[0]}; theirs {likely[1]}",
    )


def fit_many(folder: Path, n_rows: int, chosen: argparse.Namespace) -> Iterator[Row]:
    """Take steps over many points."""
    n, steps = chosen.components, chosen.steps
    rows = points(n_rows, n)
    path, start, rate = folder / "points.npy", folder / "start.npz", memory_read_rate()
    np.save(path, rows)
    np.savez(start, **start_of(rows, n))
    ours = fit_ours(path, n, folder / "ours.npz", start=start, steps=steps)
    for stage, taken in {"EM step": ours["fit"] / steps, "labels": ours["predict"]}.items():
        yield Row(
            stage=f"{stage}, {n} Gaussians",
            size=n_rows,
            unit="points",
            seconds=taken,
            **of_memory(rows.nbytes, taken, rate),
            peak_memory=ours["peak"],
        )


def measured(folder: Path, chosen: argparse.Namespace) -> Iterator[Result]:
    """Measure beside scikit-learn, and on many points."""
    steps, scratch, many = chosen.sizes
    described = {"Gaussians": chosen.components, "features": 2, "covariances": "full"}
    result = Result("mixture", described)
    result.rows += compare_steps(folder, steps, chosen)
    result.rows.append(compare_fits(folder, scratch, chosen, result.figures))
    yield result
    result = Result("mixture, many points", described)
    result.rows += fit_many(folder, many, chosen)
    yield result


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes",
        nargs=3,
        type=int,
        default=[1_000_000, 300_000, 10_000_000],
        help="points for steps and for whole fits beside scikit-learn, and alone",
    )
    parser.add_argument("--components", type=int, default=50)
    parser.add_argument("--steps", type=int, default=5, help="EM steps to compare")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    add_options(parser)
    parser.add_argument("--fit", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.fit:
        report_fit(chosen.fit[0], chosen.components, chosen.fit[1], chosen.start, chosen.steps)
        return []
    if chosen.quick:
        chosen.sizes, chosen.components = [120_000, 110_000, 200_000], 5
    with tempfile.TemporaryDirectory() as folder:
        return publish(measured(Path(folder), chosen), chosen.out)


if __name__ == "__main__":
    main()
