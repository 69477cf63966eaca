"""
Cluster points with hdbscan or fast_hdbscan, after a warm-up on a few of them.

    python density_fit.py LIBRARY POINTS.npy N_POINTS MIN_CLUSTER_SIZE MIN_SAMPLES LABELS.npy

The first N_POINTS of the file are taken. With their defaults otherwise, but for hdbscan's tree,
which is approximate by default.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from typing import Any

import numpy as np
from reporting import report

FEW = 3000


def model(library: str, min_cluster_size: int, min_samples: int) -> Any:
    """Make a model of a library."""
    if library == "hdbscan":
        import hdbscan

        return hdbscan.HDBSCAN(
            min_cluster_size=min_cluster_size,
            min_samples=min_samples,
            approx_min_span_tree=False,
            core_dist_n_jobs=os.cpu_count(),
        )
    import fast_hdbscan

    return fast_hdbscan.HDBSCAN(min_cluster_size=min_cluster_size, min_samples=min_samples)


def main(  # noqa: PLR0917
    library: str, points: str, n_points: str, min_cluster_size: str, min_samples: str, labels: str
) -> None:
    """Fit, and report seconds, memory and versions."""
    warnings.simplefilter("ignore")
    rows: Any = np.array(np.load(points, mmap_mode="r")[: int(n_points)])
    model(library, 20, int(min_samples)).fit(rows[:FEW])
    made = model(library, int(min_cluster_size), int(min_samples))
    start = time.perf_counter()
    made.fit(rows)
    fit = time.perf_counter() - start
    np.save(labels, np.asarray(made.labels_, np.int32))
    report(fit=fit)


if __name__ == "__main__":
    main(*sys.argv[1:])
