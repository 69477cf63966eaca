"""
Fit a mixture with scikit-learn, after a warm-up on a few points.

    python mixture_fit.py POINTS.npy N_COMPONENTS RESULT.npz
    python mixture_fit.py POINTS.npy N_COMPONENTS RESULT.npz START.npz STEPS

From scratch, or so many steps from a given start. In float64, in which this project computes too.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import numpy as np
from reporting import report
from sklearn.mixture import GaussianMixture

FEW = 2000


def main(points: str, n_components: str, result: str, start: str = "", steps: str = "") -> None:
    """Fit and label, and report seconds, steps, memory and versions."""
    warnings.simplefilter("ignore")
    rows: Any = np.load(points).astype(np.float64)
    n = int(n_components)
    GaussianMixture(n, max_iter=2).fit(rows[:FEW]).predict(rows[:FEW])
    model = GaussianMixture(n, random_state=0)
    if start:
        given = dict(np.load(start))
        model = GaussianMixture(n, tol=0, max_iter=int(steps), **given)
    begin = time.perf_counter()
    model.fit(rows)
    fitted = time.perf_counter()
    labels = model.predict(rows)
    end = time.perf_counter()
    np.savez(
        result,
        weights=model.weights_,
        means=model.means_,
        covariances=model.covariances_,
        labels=labels.astype(np.int32),
    )
    report(
        fit=fitted - begin,
        predict=end - fitted,
        steps=int(model.n_iter_),
        bound=float(model.lower_bound_),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
