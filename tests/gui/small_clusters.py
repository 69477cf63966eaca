"""What tests of the editor share: a small map with three heaps of points."""

from __future__ import annotations

import numpy as np

from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.workflow.datasets import SEMDataset
from sigma_scale.workflow.segmenter import PixelSegmenter

ROWS, COLUMNS = 30, 40
CENTRES = np.array([(0.0, 0.0), (10.0, 0.0), (0.0, 10.0)])


def make_segmenter(noise=()):
    """Three clusters in vertical stripes; pixels by number can be made noise."""
    rng = np.random.default_rng(0)
    image = SpectrumImage(
        ArraySource(rng.poisson(2.0, (ROWS, COLUMNS, 60)).astype(np.uint16)),
        EnergyAxis(60, 0.05), pixel_size=(2.0, 2.0), pixel_unit="µm",
        metadata=MapMetadata(instrument="SEM", beam_energy_kev=15.0),
    )  # fmt: skip
    dataset = SEMDataset(image)
    dataset.set_feature_list(["O_Ka", "Si_Ka"])
    dataset.normalisation(["zscore"])
    stripe = np.repeat([0, 1, 2], [12, 14, 14])
    labels = np.broadcast_to(stripe, (ROWS, COLUMNS)).ravel().copy()
    labels[list(noise)] = -1
    latent = CENTRES[np.broadcast_to(stripe, (ROWS, COLUMNS)).ravel()]
    latent = latent + rng.normal(0, 0.5, latent.shape)
    return PixelSegmenter.from_labels(latent, dataset, labels)
