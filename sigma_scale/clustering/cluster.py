"""Latent maps in, label maps out: any clustering applied to a map."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.clustering.latent_rows import read_rows
from sigma_scale.clustering.placed import number_clusters, place_pixels, placer_of, scattered
from sigma_scale.errors import ParameterError
from sigma_scale.latent.recipe import model_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from sklearn.base import BaseEstimator

    from sigma_scale.clustering.latent_rows import LatentRows
    from sigma_scale.clustering.placed import Placer

__all__ = [
    "CLUSTERING_METHODS",
    "FittedClusters",
    "cluster_latent",
    "fit_clusters",
    "make_clusterer",
]

_SMALLEST = 2
_PIXEL_NUMBERS = ("min_cluster_size", "max_cluster_size")
"""Parameters that count pixels of the whole map."""

CLUSTERING_METHODS = {
    "GaussianMixture": "sigma_scale.clustering.mixture",
    "HDBSCAN": "sigma_scale.clustering.density",
    "BayesianGaussianMixture": "sigma_scale.clustering.mixture_bayesian",
    "KMeans": "sigma_scale.clustering.kmeans",
    "MiniBatchKMeans": "sigma_scale.clustering.kmeans",
    "Birch": "sigma_scale.clustering.birch",
}
"""Methods by name, and the modules that their estimators live in."""


def make_clusterer(method: str, method_args: Mapping[str, Any] | None = None) -> BaseEstimator:
    """
    Make a clustering estimator by name.

    Parameters
    ----------
    method : str
        One of :data:`CLUSTERING_METHODS`.
    method_args : mapping, optional
        Its parameters.

    Returns
    -------
    sklearn.base.BaseEstimator
        Not fitted yet.

    Raises
    ------
    ParameterError
        If there is no method of that name, or it has no parameter of a name given.
    """
    if method not in CLUSTERING_METHODS:
        raise ParameterError(
            f"There is no clustering method {method!r}; there are: {', '.join(CLUSTERING_METHODS)}."
        )
    estimator = getattr(import_module(CLUSTERING_METHODS[method]), method)
    arguments = dict(method_args or {})
    known = list(inspect.signature(estimator).parameters)
    unknown = [str(name) for name in arguments if name not in known]
    if unknown:
        raise ParameterError(
            f"{method} has no parameter {', '.join(unknown)}; it has: {', '.join(known)}."
        )
    model: BaseEstimator = estimator(**arguments)
    return model


def cluster_latent(
    latent: xr.DataArray,
    method: str = "GaussianMixture",
    method_args: Mapping[str, Any] | None = None,
    *,
    n_fit: int | None = None,
) -> xr.Dataset:
    """
    Group the pixels of a latent map into clusters.

    Parameters
    ----------
    latent : xarray.DataArray, shape (y, x, component)
        Latent coordinates of each pixel, lazy or not. Pixels with NaN take no part.
    method : str, default: "GaussianMixture"
        How to cluster: one of :data:`CLUSTERING_METHODS`.
    method_args : mapping, optional
        Parameters of the method, such as ``{"n_components": 20, "random_state": 0}``. Those that
        count pixels, such as ``min_cluster_size``, count those of the whole map.
    n_fit : int, optional
        Pixels to fit on, about: of a larger map a uniform sample is fitted, and every pixel is
        placed in it. None: all, which are then held in memory.

    Returns
    -------
    xarray.Dataset
        ``labels`` (y, x), int32: the clusters in the order of their size, 0 the largest, -1
        noise and pixels with NaN; ``probability`` (y, x), float32: how sure each label is, 0 for
        noise and 1 where a method does not say. ``attrs["recipe"]`` says how they were made; its
        ``original_labels`` are the estimator's own numbers of clusters 0, 1, .... Where a lazy
        map's pixels are placed, the result is lazy, and they are placed once to be counted too.

    Raises
    ------
    ParameterError
        If the method or one of its parameters is unknown or cannot work, or the dimensions are
        others.
    EmptyMapError
        If no pixel has latent coordinates.
    MemoryLimitError
        If what it is fitted on doesn't fit into memory.
    """
    return number_clusters(fit_clusters(latent, method, method_args, n_fit=n_fit).place(latent))


@dataclass(frozen=True, eq=False)
class FittedClusters:
    """
    A clustering that is fitted to a latent map.

    Parameters
    ----------
    model : sklearn.base.BaseEstimator
        The fitted estimator.
    recipe : dict
        How it was made, as plain values.
    own : xarray.Dataset, optional
        ``labels`` and ``probability`` that the estimator gave the pixels itself, where it did so
        and was fitted on all of them.
    """

    model: Any
    recipe: dict[str, Any]
    own: xr.Dataset | None

    def place(self, latent: xr.DataArray, placer: Placer | None = None) -> xr.Dataset:
        """
        Assign every pixel of the map to the clusters, as the estimator numbers them.

        Parameters
        ----------
        latent : xarray.DataArray, shape (y, x, component)
            The map that was fitted.
        placer : callable, optional
            What assigns rows of a lazy map; None: that of the model.

        Returns
        -------
        xarray.Dataset
            ``labels`` and ``probability`` (y, x); lazy where the map is and the estimator did not
            label its pixels itself.
        """
        if self.own is not None:
            placed = self.own
        elif latent.chunks is not None:
            placed = place_pixels(latent, placer or placer_of(self.model))
        else:
            pixels = read_rows(latent)
            placed = scattered(latent, pixels.numbers, *_predicted(self.model, pixels.rows))
        return placed.assign_attrs(recipe=self.recipe)


def fit_clusters(
    latent: xr.DataArray,
    method: str = "GaussianMixture",
    method_args: Mapping[str, Any] | None = None,
    *,
    n_fit: int | None = None,
) -> FittedClusters:
    """
    Fit a clustering to a latent map, without placing pixels that it is not fitted on.

    Parameters
    ----------
    latent, method, method_args, n_fit
        As for :func:`cluster_latent`.

    Returns
    -------
    FittedClusters

    Raises
    ------
    ParameterError, EmptyMapError, MemoryLimitError
        As for :func:`cluster_latent`.
    """
    model = make_clusterer(method, method_args)
    dims = getattr(latent, "dims", type(latent).__name__)
    if dims[:2] != ("y", "x") or len(dims[2:]) != 1:
        raise ParameterError(
            f"A latent map has the dimensions (y, x, component), got {dims}. Make one of feature "
            "maps by embed(maps, UMAP())."
        )
    if n_fit is not None and n_fit < 1:
        raise ParameterError(f"n_fit must be at least 1, or None for all, got {n_fit}.")
    pixels = read_rows(latent, n_fit, random_state=getattr(model, "random_state", 0))
    fitted = model if pixels.share == 1 else _for_sample(method, model, pixels.share)
    fitted.fit(pixels.rows)
    recipe = model_recipe("sigma_scale.clustering.cluster_latent", model)
    recipe["sample_share"] = _sample_share(model, pixels)
    if "recipe" in latent.attrs:
        recipe["latent"] = latent.attrs["recipe"]
    own = None
    if pixels.share == 1 and hasattr(fitted, "labels_"):
        certain = (fitted.labels_ != NOISE).astype(np.float32)
        probability = getattr(fitted, "probabilities_", certain)
        own = scattered(latent, pixels.numbers, fitted.labels_, probability)
    return FittedClusters(fitted, recipe, own)


def _for_sample(method: str, model: Any, share: float) -> Any:
    """Another model for a share of the pixels: there are as many fewer in each cluster."""
    arguments = model.get_params(deep=False)
    for name in _PIXEL_NUMBERS:
        if arguments.get(name):  # 0 stands for no limit
            arguments[name] = max(_SMALLEST, round(share * arguments[name]))
    return make_clusterer(method, arguments)


def _predicted(model: Any, rows: Any) -> Any:
    if hasattr(model, "predict_proba_max"):
        return model.predict_proba_max(rows)
    return model.predict(rows), np.ones(len(rows), np.float32)


def _sample_share(model: Any, pixels: LatentRows) -> float:
    """Share of the pixels that the model was fitted on."""
    own = getattr(model, "n_fit", None)
    n_rows = len(pixels.numbers)
    return pixels.share * (1.0 if own is None else min(1.0, float(own / n_rows)))
