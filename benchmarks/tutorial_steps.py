"""
The tutorial's cells as this project runs them, in a process of their own.

    python -m benchmarks.tutorial_steps cells MAP.hspy FOLDER BIN N_COMPONENTS LINE,LINE,...
    python -m benchmarks.tutorial_steps lines MAP.hspy FOLDER BIN LINE,LINE,...

Step by step as the peers' programs do: ``cells`` as ``emsigma_tutorial`` with the same calls, and
``lines`` as ``hyperspy_lines``.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

from benchmarks.common import report_memory
from benchmarks.peers.programs.steps import Steps


def cells(path: str, folder: Path, bin_size: int, n_components: int, lines: list[str]) -> Steps:
    """Run the tutorial's cells."""
    step = Steps()
    with step("import"):
        from sigma_scale import UMAP, PixelSegmenter, SEMDataset, norm, xray

        # The table of X-ray lines is eXSpy's, whose import the original has in its import cell too.
        xray.symbols()
    with step("load"):
        sem = SEMDataset(path)
    with step("rebin"):
        sem.rebin_signal(size=(bin_size, bin_size))
    # Not one of the tutorial's cells, so that the counts themselves can be compared; a dataset of
    # its own, so that nothing is known already when the tutorial's cells go on.
    apart = SEMDataset(path)
    apart.rebin_signal(size=(bin_size, bin_size))
    np.save(folder / "lines.npy", apart.get_feature_maps(lines))
    del apart
    with step("normalise"):
        sem.peak_intensity_normalisation()
        sem.remove_first_peak(end=0.1)
    with step("feature maps"):
        sem.set_feature_list(lines)
        sem.normalisation([norm.neighbour_averaging, norm.zscore])
    features = sem.normalised_elemental_data
    np.save(folder / "features.npy", features)
    with step("UMAP"):
        model = UMAP(n_neighbors=15, min_dist=0.02, n_components=2, metric="euclidean")
        latent = model.fit_transform(features.reshape(-1, len(lines)))
    np.save(folder / "latent.npy", latent)
    with step("GMM"):
        settings = {"n_components": n_components, "random_state": 0, "init_params": "kmeans"}
        segmenter = PixelSegmenter(
            latent=latent, dataset=sem, method="GaussianMixture", method_args=settings
        )
    np.save(folder / "labels.npy", segmenter.labels.reshape(features.shape[:2]))
    return step


def line_maps(path: str, folder: Path, bin_size: int, lines: list[str]) -> Steps:
    """Make what ``hyperspy_lines`` makes, without the rows and columns that don't fill a bin."""
    step = Steps()
    with step("import"):
        from sigma_scale import feature_pass, read, rebin, xray
        from sigma_scale.workflow.datasets.cropped import crop

        xray.symbols()
    with step("load"):
        image = read(path)
    with step("rebin"):
        rows, columns = (n - n % bin_size for n in image.shape[:2])
        binned = rebin(crop(image, (rows, columns)), (bin_size, bin_size))
    with step("lines"):
        results = feature_pass(binned, lines, lazy=False)
    np.save(folder / "lines.npy", results["line_intensity"])
    np.save(folder / "total.npy", results["total"])
    np.save(folder / "sum_spectrum.npy", results["sum_spectrum"])
    return step


def main(what: str, path: str, folder: str, bin_size: str, *rest: str) -> None:
    """Run, and report times and memory."""
    lines = rest[-1].split(",")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if what == "cells":
            step = cells(path, Path(folder), int(bin_size), int(rest[0]), lines)
        else:
            step = line_maps(path, Path(folder), int(bin_size), lines)
    report_memory(**step.measures())


if __name__ == "__main__":
    main(*sys.argv[1:])
