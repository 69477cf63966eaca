"""
Lay out points with umap-learn, after a warm-up on a few of them.

    python umap_fit.py POINTS.npy PLACES.npy

With its defaults, and without a seed, which lets it use all cores.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import numpy as np
import umap
from reporting import report

FEW = 5000
"""About so many warm up, or all: up to 4,096 points other code is compiled than for more."""


def main(points: str, places: str) -> None:
    """Fit, and report seconds, memory and versions."""
    warnings.simplefilter("ignore")
    rows: Any = np.load(points)
    few = rows[:: max(len(rows) // FEW, 1)]
    umap.UMAP(n_epochs=5, n_jobs=-1).fit(few)
    start = time.perf_counter()
    result = umap.UMAP(n_jobs=-1).fit_transform(rows)
    fit = time.perf_counter() - start
    np.save(places, result)
    report(fit=fit)


if __name__ == "__main__":
    main(*sys.argv[1:])
