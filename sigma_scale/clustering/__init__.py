"""Clusters of pixels in a latent space, and what can be done with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.clustering.cluster import CLUSTERING_METHODS, cluster_latent
    from sigma_scale.clustering.density import HDBSCAN
    from sigma_scale.clustering.labels import (
        agreement,
        contingency,
        merge_by_majority,
        order_by_size,
        relabel,
    )
    from sigma_scale.clustering.mixture import GaussianMixture
    from sigma_scale.clustering.similar import merge_similar

__all__ = [
    "CLUSTERING_METHODS",
    "HDBSCAN",
    "GaussianMixture",
    "agreement",
    "cluster_latent",
    "contingency",
    "merge_by_majority",
    "merge_similar",
    "order_by_size",
    "relabel",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "CLUSTERING_METHODS": ".cluster",
        "HDBSCAN": ".density",
        "GaussianMixture": ".mixture",
        "agreement": ".labels",
        "cluster_latent": ".cluster",
        "contingency": ".labels",
        "merge_by_majority": ".labels",
        "merge_similar": ".similar",
        "order_by_size": ".labels",
        "relabel": ".labels",
    },
)
