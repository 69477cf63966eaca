"""Hierarchical density clustering (HDBSCAN) of maps of any size."""

from __future__ import annotations

from sigma_scale.clustering.density.estimator import HDBSCAN

__all__ = ["HDBSCAN"]
