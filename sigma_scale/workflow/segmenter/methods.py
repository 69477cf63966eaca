"""Clustering methods by name, or any clusterer of scikit-learn, fitted to a latent space."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import clustering
from sigma_scale.clustering.labels import NOISE
from sigma_scale.errors import ParameterError, SigmaScaleError
from sigma_scale.latent.recipe import model_recipe
from sigma_scale.workflow.segmenter.mixture import Components

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["METHODS", "Clustering", "Method", "cluster_rows", "find_method", "make_model"]

_SEED = 0


class Method(NamedTuple):
    """Name of a method's estimator in ``sigma_scale.clustering``, and what it can do."""

    name: str
    mixture: bool = False
    """It fits Gaussians, which give every pixel a probability for every cluster."""


METHODS = {
    "GaussianMixture": Method("GaussianMixture", mixture=True),
    "BayesianGaussianMixture": Method("BayesianGaussianMixture", mixture=True),
    "Kmeans": Method("KMeans"),
    "MiniBatchKmeans": Method("MiniBatchKMeans"),
    "Birch": Method("Birch"),
    "HDBSCAN": Method("HDBSCAN"),
}
"""Methods by name."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Clustering:
    """
    What a method found.

    Parameters
    ----------
    labels : array, shape (n,), int32
        Cluster of each pixel; -1 is noise.
    n_clusters : int
        Number of clusters; of a mixture its components, whether or not they have pixels.
    mixture : Components, optional
        Components of a mixture.
    strength : array, shape (n,), float32, optional
        Of other methods: how strongly each pixel belongs to its cluster; 1 where a method does
        not say, 0 for noise.
    model : object
        The fitted estimator.
    recipe : dict
        How it was made, as plain values.
    is_blurred : bool
        Whether a mixture adds more to the variances than there is in the latent space.
    """

    labels: NDArray[np.int32]
    n_clusters: int
    mixture: Components | None
    strength: NDArray[np.float32] | None
    model: Any
    recipe: dict[str, Any]
    is_blurred: bool


def find_method(method: object) -> Method:
    """
    Find a method by its name.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    known = {name.lower(): entry for name, entry in METHODS.items()}
    if not isinstance(method, str) or method.lower() not in known:
        raise ParameterError(
            f"There is no clustering method {method!r}; there are: {', '.join(METHODS)}, and any "
            "clusterer object of scikit-learn, such as sklearn.cluster.MeanShift()."
        )
    return known[method.lower()]


def make_model(method: object, method_args: Mapping[str, Any]) -> Any:
    """
    Make the estimator of a method; not fitted yet.

    Parameters
    ----------
    method : str or estimator
        Name, or a clusterer object, of which a copy is made.
    method_args : mapping
        Its parameters. A seed that is not given is 0.

    Returns
    -------
    estimator

    Raises
    ------
    ParameterError
        If there is no such method, or it has no parameter of a name given.
    """
    if not isinstance(method, str):
        return _copy_of(method, method_args)
    name = find_method(method).name
    estimator = getattr(clustering, name)
    known = list(inspect.signature(estimator).parameters)
    arguments = dict(method_args)
    _check_names(name, arguments, known)
    if arguments.get("max_cluster_size", 0) is None:  # scikit-learn's word for no limit
        arguments["max_cluster_size"] = 0
    if "random_state" in known:
        arguments.setdefault("random_state", _SEED)
    return estimator(**arguments)


def _copy_of(method: object, method_args: Mapping[str, Any]) -> Any:
    from sklearn.base import clone

    if isinstance(method, type):
        raise ParameterError(
            f"Give an object, not a class: {method.__name__}(...), or the name of a method."
        )
    if not (hasattr(method, "fit_predict") and hasattr(method, "get_params")):
        raise ParameterError(
            f"{method!r} is not a clusterer. Give one of scikit-learn, with fit_predict(), or a "
            f"name: {', '.join(METHODS)}."
        )
    _check_names(type(method).__name__, method_args, list(method.get_params()))
    copy: Any = clone(method)
    return copy.set_params(**method_args)


def _check_names(model: str, arguments: Mapping[str, Any], known: list[str]) -> None:
    unknown = [str(name) for name in arguments if name not in known]
    if unknown:
        raise ParameterError(
            f"{model} has no parameter {', '.join(unknown)}; it has: {', '.join(known)}."
        )


def cluster_rows(rows: NDArray[Any], method: object, method_args: Mapping[str, Any]) -> Clustering:
    """
    Fit a method to a latent space and label all pixels.

    Parameters
    ----------
    rows : array, shape (n, component)
        Latent coordinates; pixels with NaN become noise.
    method, method_args
        See :func:`make_model`.

    Returns
    -------
    Clustering

    Raises
    ------
    ParameterError
        If the method or a parameter is unknown or can't work, as more components than pixels.
    """
    model = make_model(method, method_args)
    valid = ~np.isnan(rows).any(axis=1)
    all_valid = bool(valid.all())
    given = rows if all_valid else rows[valid]
    found, strength, mixture = _fitted(model, given)
    labels = found if all_valid else np.full(len(rows), NOISE, np.int32)
    labels[valid] = found
    if strength is not None and not all_valid:
        spread = np.zeros(len(rows), np.float32)
        spread[valid] = strength
        strength = spread
    recipe = model_recipe("sigma_scale.workflow.PixelSegmenter", model)
    recipe["n_pixels"] = len(given)
    recipe["n_fit"] = min(len(given), getattr(model, "n_fit", None) or len(given))
    return Clustering(
        labels=labels,
        n_clusters=_number_of(model, labels, mixture),
        mixture=mixture,
        strength=strength,
        model=model,
        recipe=recipe,
        is_blurred=mixture is not None and _is_blurred(model, given),
    )


def _fitted(
    model: Any, rows: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.float32] | None, Components | None]:
    try:
        if not hasattr(model, "predict_proba_max"):
            return _labelled_by_itself(model, rows)
        model.fit(rows)
        if hasattr(model, "precisions_cholesky_"):
            components = Components.of(model)
            return components.most_likely(rows)[0], None, components
        return _with_strength(model, model.labels_)
    except SigmaScaleError:
        raise
    except (ValueError, TypeError) as error:
        raise ParameterError(f"{type(model).__name__} can't be fitted: {error}") from error


def _labelled_by_itself(
    model: Any, rows: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.float32] | None, Components | None]:
    """Labels of a user's clusterer, numbered from 0 without gaps."""
    found = np.asarray(model.fit_predict(rows))
    if hasattr(model, "precisions_cholesky_"):
        components = Components.of(model)
        return components.most_likely(rows)[0], None, components
    if found.shape != (len(rows),) or found.dtype.kind not in "iu":
        raise ParameterError(
            f"{type(model).__name__}.fit_predict gives {found.dtype} of shape {found.shape} "
            f"instead of one number for each of {len(rows)} pixels."
        )
    clusters, labels = np.unique(np.maximum(found, NOISE), return_inverse=True)
    if clusters[0] == NOISE:
        labels = labels - 1
    return _with_strength(model, labels)


def _with_strength(
    model: Any, labels: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.float32], None]:
    labels = np.array(labels, np.int32)
    strength = getattr(model, "probabilities_", None)
    if strength is None or len(strength) != len(labels):
        strength = np.ones(len(labels))
    return labels, np.where(labels >= 0, strength, 0).astype(np.float32), None


def _is_blurred(model: Any, rows: NDArray[Any]) -> bool:
    """Whether no coordinate varies as much as a mixture adds to its variances, if it adds any."""
    added = getattr(model, "reg_covar", 0.0)
    return all(column.var(dtype=np.float64) < added for column in rows.T)


def _number_of(model: Any, labels: NDArray[np.int32], mixture: Components | None) -> int:
    if mixture is not None:
        return len(mixture)
    n_found = int(labels.max()) + 1
    centres = getattr(model, "cluster_centers_", None)
    return n_found if centres is None else max(n_found, len(centres))
