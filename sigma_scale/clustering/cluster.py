"""Latent maps in, label maps out: any clustering applied to a map."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sigma_scale.clustering.labels import NOISE, order_by_size
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.latent.recipe import model_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

__all__ = ["CLUSTERING_METHODS", "cluster_latent", "make_clusterer"]

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
) -> xr.Dataset:
    """
    Group the pixels of a latent map into clusters.

    Parameters
    ----------
    latent : xarray.DataArray, shape (y, x, component)
        Latent coordinates of each pixel; a lazy map is read into memory. Pixels with NaN take
        no part.
    method : str, default: "GaussianMixture"
        How to cluster: one of :data:`CLUSTERING_METHODS`.
    method_args : mapping, optional
        Parameters of the method, such as ``{"n_components": 20, "random_state": 0}``.

    Returns
    -------
    xarray.Dataset
        ``labels`` (y, x), int32: the clusters in the order of their size, 0 the largest, -1
        noise and pixels with NaN; ``probability`` (y, x), float32: how sure each label is, 0 for
        noise and 1 where a method does not say. ``attrs["recipe"]`` says how they were made; its
        ``original_labels`` are the estimator's own numbers of clusters 0, 1, ....

    Raises
    ------
    ParameterError
        If the method or one of its parameters is unknown or cannot work, or the dimensions are
        others.
    EmptyMapError
        If no pixel has latent coordinates.
    """
    model = make_clusterer(method, method_args)
    if latent.dims[:2] != ("y", "x") or len(latent.dims[2:]) != 1:
        raise ParameterError(
            f"A latent map has the dimensions (y, x, component), got {tuple(latent.dims)}."
        )
    height, width, n_components = latent.shape
    rows = latent.to_numpy().reshape(-1, n_components)
    valid = ~np.isnan(rows).any(axis=1)
    if not valid.any():
        raise EmptyMapError("No pixel has latent coordinates: there is nothing to cluster.")
    labels = np.full(len(rows), NOISE, np.int32)
    probability = np.zeros(len(rows), np.float32)
    labels[valid], probability[valid] = _fitted_labels(model, rows[valid])
    ordered, original = order_by_size(labels)
    recipe = model_recipe("sigma_scale.clustering.cluster_latent", model)
    recipe["original_labels"] = original.tolist()
    recipe["sample_share"] = _sample_share(model, int(valid.sum()))
    if "recipe" in latent.attrs:
        recipe["latent"] = latent.attrs["recipe"]
    return xr.Dataset(
        {
            "labels": (("y", "x"), ordered.reshape(height, width)),
            "probability": (("y", "x"), probability.reshape(height, width)),
        },
        coords={name: latent.coords[name] for name in ("y", "x") if name in latent.coords},
        attrs={"recipe": recipe},
    )


def _fitted_labels(model: Any, rows: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Fit a model and label the rows, as it did itself where it labels what it is fitted on."""
    model.fit(rows)
    if hasattr(model, "labels_"):
        certain = (model.labels_ != NOISE).astype(np.float32)
        return model.labels_, getattr(model, "probabilities_", certain)
    labels, probabilities = model.predict_proba_max(rows)
    return labels, probabilities


def _sample_share(model: Any, n_rows: int) -> float:
    """Share of the pixels that the model was fitted on."""
    n_fit = getattr(model, "n_fit", None)
    return 1.0 if n_fit is None else min(1.0, float(n_fit / n_rows))
