"""Clusters of pixels in a latent space, and what can be done with their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.clustering.birch import Birch
    from sigma_scale.clustering.cluster import CLUSTERING_METHODS, cluster_latent
    from sigma_scale.clustering.density import HDBSCAN
    from sigma_scale.clustering.kmeans import KMeans, MiniBatchKMeans
    from sigma_scale.clustering.labels import (
        agreement,
        contingency,
        merge_by_majority,
        order_by_size,
        relabel,
    )
    from sigma_scale.clustering.mixture import GaussianMixture
    from sigma_scale.clustering.mixture_bayesian import BayesianGaussianMixture
    from sigma_scale.clustering.selection import (
        cluster_stability,
        information_curve,
        n_free_parameters,
        silhouette,
    )
    from sigma_scale.clustering.similar import merge_similar

__all__ = [
    "CLUSTERING_METHODS",
    "HDBSCAN",
    "BayesianGaussianMixture",
    "Birch",
    "GaussianMixture",
    "KMeans",
    "MiniBatchKMeans",
    "agreement",
    "cluster_latent",
    "cluster_stability",
    "contingency",
    "information_curve",
    "merge_by_majority",
    "merge_similar",
    "n_free_parameters",
    "order_by_size",
    "relabel",
    "silhouette",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "CLUSTERING_METHODS": ".cluster",
        "HDBSCAN": ".density",
        "BayesianGaussianMixture": ".mixture_bayesian",
        "Birch": ".birch",
        "GaussianMixture": ".mixture",
        "KMeans": ".kmeans",
        "MiniBatchKMeans": ".kmeans",
        "agreement": ".labels",
        "cluster_latent": ".cluster",
        "cluster_stability": ".selection",
        "contingency": ".labels",
        "information_curve": ".selection",
        "merge_by_majority": ".labels",
        "merge_similar": ".similar",
        "n_free_parameters": ".selection",
        "order_by_size": ".labels",
        "relabel": ".labels",
        "silhouette": ".selection",
    },
)
