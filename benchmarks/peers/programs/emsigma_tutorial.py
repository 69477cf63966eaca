"""
The tutorial's cells with the original program.

    python emsigma_tutorial.py MAP.hspy FOLDER BIN N_COMPONENTS LINE,LINE,...

Writes to the folder, as .npy: ``lines``, the line intensities of the binned counts, and
``features``, ``latent`` and ``labels`` as the tutorial makes them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path

# Importing the original rewrites the preferences of the user's HyperSpy: it gets its own home.
os.environ["HOME"] = os.environ["USERPROFILE"] = str(Path(sys.prefix) / "home")

import numpy as np
from reporting import report
from steps import Steps


def run(path: str, folder: Path, bin_size: int, n_components: int, lines: list[str]) -> Steps:
    """Run the cells one by one."""
    step = Steps()
    with step("import"):
        from sigma.src.segmentation import PixelSegmenter
        from sigma.utils import normalisation as norm
        from sigma.utils.load import SEMDataset
        from umap import UMAP
    with step("load"):
        sem = SEMDataset(path)
    with step("rebin"):
        sem.rebin_signal(size=(bin_size, bin_size))
    # Not one of the tutorial's cells, so that the counts themselves can be compared.
    np.save(folder / "lines.npy", sem.get_feature_maps(lines))
    with step("normalise"):
        sem.peak_intensity_normalisation()
        sem.remove_fist_peak(end=0.1)  # So it is called in this version.
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


def main(path: str, folder: str, bin_size: str, n_components: str, lines: str) -> None:
    """Run, and report times, memory and versions."""
    warnings.simplefilter("ignore")
    Path(os.environ["HOME"]).mkdir(exist_ok=True)
    with contextlib.redirect_stdout(sys.stderr):  # It tells what it does.
        step = run(path, Path(folder), int(bin_size), int(n_components), lines.split(","))
    report(**step.measures())


if __name__ == "__main__":
    main(*sys.argv[1:])
