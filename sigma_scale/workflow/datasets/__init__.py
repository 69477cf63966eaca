"""Datasets as the tutorial's notebooks hold them: thin objects over the pure functions."""

from __future__ import annotations

from sigma_scale.workflow.datasets.feature_dataset import FeatureDataset
from sigma_scale.workflow.datasets.spectrum_dataset import (
    SEMDataset,
    SpectrumDataset,
    TEMDataset,
)

__all__ = ["FeatureDataset", "SEMDataset", "SpectrumDataset", "TEMDataset"]
