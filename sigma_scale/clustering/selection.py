"""How many clusters there are, and how far they can be trusted."""

from __future__ import annotations

import inspect
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sigma_scale.clustering.cluster import CLUSTERING_METHODS, make_clusterer
from sigma_scale.clustering.labels import NOISE
from sigma_scale.clustering.row_source import RowSource
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.latent.recipe import model_recipe
from sigma_scale.latent.rows import random_generator, seeded_sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.latent.rows import RandomState_

__all__ = ["cluster_stability", "information_curve", "n_free_parameters", "silhouette"]

_MIXTURES = ("GaussianMixture", "BayesianGaussianMixture")
_LEAST_CLUSTERS = 2
_LEAST_PER_CLUSTER = 50
_WORKING_MEMORY = 64  # MiB of distances at a time


def n_free_parameters(covariance_type: str, n_components: int, n_features: int) -> int:
    """
    Count the free parameters of a Gaussian mixture.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
        Shape of the Gaussians.
    n_components : int
        Number of Gaussians.
    n_features : int
        Dimensions of the latent space.

    Returns
    -------
    int
        Those of covariances and means, and of weights that add up to one.
    """
    one = n_features * (n_features + 1) // 2
    covariances = {
        "full": n_components * one,
        "tied": one,
        "diag": n_components * n_features,
        "spherical": n_components,
    }[covariance_type]
    return covariances + n_components * n_features + n_components - 1


def information_curve(
    X: ArrayLike,  # noqa: N803
    n_components: Iterable[int],
    method: str = "GaussianMixture",
    method_args: Mapping[str, Any] | None = None,
    *,
    n_rows: int | None = 100_000,
) -> xr.Dataset:
    """
    Fit mixtures of several numbers of components and rate them by information criteria.

    Parameters
    ----------
    X : array-like or dask.array.Array, shape (n, n_features)
        Latent coordinates of each pixel, without NaN.
    n_components : iterable of int
        Numbers to try.
    method : {"GaussianMixture", "BayesianGaussianMixture"}, default: "GaussianMixture"
        Kind of mixture.
    method_args : mapping, optional
        Its other parameters.
    n_rows : int, optional, default: 100_000
        Rows used at most, for the fits and for the criteria: a uniform sample; None: all.

    Returns
    -------
    xarray.Dataset
        ``bic``, ``aic`` and ``log_likelihood`` (mean of a row), float64, and ``converged``, over
        ``n_components``; of the criteria the lowest is best. ``attrs["recipe"]`` says how they
        were made.

    Raises
    ------
    ParameterError
        If the method is no mixture, a parameter cannot work, or there are fewer different rows
        than components.
    EmptyMapError
        If there are no rows, or no numbers to try.

    Notes
    -----
    BIC = -2 ln L + p ln n [1]_ and AIC = -2 ln L + 2 p [2]_, with p free parameters and n rows.

    References
    ----------
    .. [1] G. Schwarz: Estimating the dimension of a model. Annals of Statistics 6 (1978) 461-464.
    .. [2] H. Akaike: A new look at the statistical model identification. IEEE Transactions on
       Automatic Control 19 (1974) 716-723.
    """
    if method not in _MIXTURES:
        raise ParameterError(f"The criteria need a mixture: {', '.join(_MIXTURES)}; got {method}.")
    numbers = [int(number) for number in n_components]
    if not numbers:
        raise EmptyMapError("There are no numbers of components to try. Give at least one.")
    arguments = {k: v for k, v in (method_args or {}).items() if k != "n_components"}
    source = RowSource(X)
    if n_rows is not None and len(source) > n_rows:
        seed = arguments.get("random_state", 0)
        source = RowSource(source.sample(n_rows, random_state=seed))
    source = source.kept()
    curve: dict[str, list[Any]] = {"bic": [], "aic": [], "log_likelihood": [], "converged": []}
    for number in numbers:
        model: Any = make_clusterer(method, {**arguments, "n_components": number}).fit(source)
        score = model.score(source)
        free = n_free_parameters(model.covariance_type, number, source.n_features)
        curve["bic"].append(-2 * score * len(source) + free * np.log(len(source)))
        curve["aic"].append(-2 * score * len(source) + 2 * free)
        curve["log_likelihood"].append(score)
        curve["converged"].append(bool(model.converged_))
    recipe = model_recipe("sigma_scale.clustering.information_curve", model)
    recipe["parameters"]["n_components"] = numbers
    recipe["n_rows"] = len(source)
    return xr.Dataset(
        {name: ("n_components", values) for name, values in curve.items()},
        coords={"n_components": numbers},
        attrs={"recipe": recipe},
    )


def cluster_stability(
    X: ArrayLike,  # noqa: N803
    method: str = "GaussianMixture",
    method_args: Mapping[str, Any] | None = None,
    *,
    n_runs: int = 10,
    share: float = 0.8,
    n_evaluated: int = 20_000,
    random_state: RandomState_ = 0,
) -> xr.Dataset:
    """
    Cluster several resamples with several seeds and compare the labels.

    Each run fits its own part of the rows and then labels the same rows as all others. Clusters
    that depend on chance, such as too many of them, agree badly [1]_.

    Parameters
    ----------
    X : array-like or dask.array.Array, shape (n, n_features)
        Latent coordinates of each pixel, without NaN.
    method : str, default: "GaussianMixture"
        A method of :data:`CLUSTERING_METHODS`.
    method_args : mapping, optional
        Its parameters; a ``random_state`` among them gives way to the seeds of the runs.
    n_runs : int, default: 10
        Number of runs.
    share : float, default: 0.8
        Part of the rows that a run fits, drawn without repetition; 1: all, so that the seeds
        alone differ.
    n_evaluated : int, default: 20_000
        Rows that are labelled at most: a uniform sample.
    random_state : int, RandomState or None, default: 0
        Seed of the resamples, the seeds and the rows labelled.

    Returns
    -------
    xarray.Dataset
        ``agreement`` (run, other_run), float64: adjusted Rand index [2]_, 1 on the diagonal;
        ``mean``, float64: its mean over the pairs; ``n_clusters`` (run): clusters found.

    Raises
    ------
    ParameterError
        If the method or a parameter cannot work.

    References
    ----------
    .. [1] T. Lange, V. Roth, M. L. Braun, J. M. Buhmann: Stability-based validation of clustering
       solutions. Neural Computation 16 (2004) 1299-1323.
    .. [2] L. Hubert, P. Arabie: Comparing partitions. Journal of Classification 2 (1985) 193-218.
    """
    from sklearn.metrics import adjusted_rand_score

    if n_runs < _LEAST_CLUSTERS:
        raise ParameterError(f"n_runs must be at least 2, to compare them, got {n_runs}.")
    if not 0 < share <= 1:
        raise ParameterError(f"share must be above 0 and at most 1, got {share}.")
    if n_evaluated < 1:
        raise ParameterError(f"n_evaluated must be at least 1, got {n_evaluated}.")
    source = RowSource(X).kept()
    generator = random_generator(random_state)
    evaluated = source.sample(n_evaluated, random_state=generator)
    labels = []
    for _ in range(n_runs):
        arguments = dict(method_args or {})
        seed = int(generator.randint(2**31 - 1))
        if method in CLUSTERING_METHODS and _is_seeded(method):
            arguments["random_state"] = seed
        model: Any = make_clusterer(method, arguments)
        size = max(1, round(share * len(source)))
        part = source.sample(size, random_state=seed) if size < len(source) else source
        labels.append(model.fit(part).predict(evaluated))
    agreement = np.eye(n_runs)
    for one, other in combinations(range(n_runs), 2):
        agreement[one, other] = adjusted_rand_score(labels[one], labels[other])
        agreement[other, one] = agreement[one, other]
    recipe = model_recipe("sigma_scale.clustering.cluster_stability", model)
    recipe["parameters"].pop("random_state", None)
    recipe |= {"n_runs": n_runs, "share": share, "n_evaluated": len(evaluated)}
    pairs = agreement[np.triu_indices(n_runs, 1)]
    found = [len(np.unique(one[one != NOISE])) for one in labels]
    return xr.Dataset(
        {
            "agreement": (("run", "other_run"), agreement),
            "mean": ((), float(pairs.mean())),
            "n_clusters": ("run", found),
        },
        attrs={"recipe": recipe},
    )


def silhouette(
    X: ArrayLike,  # noqa: N803
    labels: ArrayLike,
    *,
    n_evaluated: int = 10_000,
    random_state: RandomState_ = 0,
) -> xr.Dataset:
    """
    Compare how near rows are to their own cluster and to the next one.

    Distances are taken between at most ``n_evaluated`` rows, drawn uniformly from each cluster;
    small clusters give at least 50 rows, or all they have.

    Parameters
    ----------
    X : array-like or dask.array.Array, shape (n, n_features)
        Latent coordinates of each pixel; those of noise may be NaN.
    labels : array-like, shape (n,), int
        Cluster of each pixel; those with -1 take no part.
    n_evaluated : int, default: 10_000
        Rows drawn at most, but for the 50 of each cluster.
    random_state : int, RandomState or None, default: 0
        Seed of the sample.

    Returns
    -------
    xarray.Dataset
        ``silhouette`` (cluster), float64: mean from -1 (nearer to another cluster) to 1 (far from
        all others); ``size`` (cluster), int64: pixels; ``mean``, float64: over all pixels.

    Raises
    ------
    ParameterError
        If there are fewer than two clusters, or a value of a cluster's row is NaN or infinite.
    ShapeMismatchError
        If there are not as many labels as rows.

    References
    ----------
    .. [1] P. J. Rousseeuw: Silhouettes: a graphical aid to the interpretation and validation of
       cluster analysis. Journal of Computational and Applied Mathematics 20 (1987) 53-65.
    """
    from sklearn import config_context
    from sklearn.metrics import silhouette_samples

    source = RowSource(X)
    numbers: NDArray[Any] = np.asarray(labels).reshape(-1)
    if len(numbers) != len(source):
        raise ShapeMismatchError(f"There are {len(source)} rows, but {len(numbers)} labels.")
    clusters, sizes = np.unique(numbers[numbers != NOISE], return_counts=True)
    if len(clusters) < _LEAST_CLUSTERS:
        raise ParameterError(f"A silhouette needs two clusters or more, got {len(clusters)}.")
    generator = random_generator(random_state)
    chosen = []
    for cluster, size in zip(clusters, sizes, strict=True):
        wanted = max(_LEAST_PER_CLUSTER, int(n_evaluated * size / sizes.sum()))
        rows = np.flatnonzero(numbers == cluster)
        chosen.append(rows[seeded_sample(len(rows), wanted, random_state=generator)])
    drawn = np.sort(np.concatenate(chosen))
    own = numbers[drawn]
    with config_context(working_memory=_WORKING_MEMORY):
        values = silhouette_samples(source.take(drawn), own)
    means = np.array([values[own == cluster].mean() for cluster in clusters])
    return xr.Dataset(
        {
            "silhouette": ("cluster", means),
            "size": ("cluster", sizes.astype(np.int64)),
            "mean": ((), float((means * sizes).sum() / sizes.sum())),
        },
        coords={"cluster": clusters},
        attrs={
            "recipe": {
                "function": "sigma_scale.clustering.silhouette",
                "n_evaluated": len(drawn),
            }
        },
    )


def _is_seeded(method: str) -> bool:
    return "random_state" in inspect.signature(type(make_clusterer(method))).parameters
