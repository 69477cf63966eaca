"""Who finds the minimum spanning tree: this package, or one of three libraries."""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import config
from sigma_scale.errors import EngineUnavailableError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["ENGINES", "choose_engine", "library_edges"]

_LOGGER = logging.getLogger(__name__)

ENGINES = ("auto", "exact", "hdbscan", "fast_hdbscan", "cuml")
"""Engines by name."""

_ALIASES = {"cpu": "exact", "gpu": "cuml"}
_REMEDIES = {
    "hdbscan": "pip install hdbscan",
    "fast_hdbscan": "pip install 'sigma-scale[peers]'",
    "cuml": "pip install 'sigma-scale[gpu]', on a machine with a GPU of NVIDIA",
}
_MOST_FEATURES = 30  # beyond, fast_hdbscan takes approximate neighbours
_MOST_SAMPLES = 1023  # of cuML


def choose_engine(engine: str, *, min_samples: int, n_features: int) -> str:
    """
    Choose who finds the spanning tree, and refuse what it can't do.

    Parameters
    ----------
    engine : str
        One of ``ENGINES``, or "cpu" (exact) or "gpu" (cuml). "auto" follows the option
        ``engine``, and where that is "auto" too it is "exact", also on a machine with a GPU:
        it is the only one whose result doesn't depend on rounding and threads.
    min_samples : int
        Neighbours of a core distance, the point itself not counted.
    n_features : int
        Number of coordinates.

    Returns
    -------
    str
        "exact", "hdbscan", "fast_hdbscan" or "cuml".

    Raises
    ------
    ParameterError
        If there is no such engine, or it can't take a parameter.
    EngineUnavailableError
        If it is not installed, or there is no GPU for it.
    """
    known = (*ENGINES, *_ALIASES)
    if engine not in known:
        raise ParameterError(f"engine must be one of {', '.join(known)}, got {engine!r}.")
    chosen = engine
    if engine == "auto":
        asked = config.get("engine")
        chosen = "exact" if asked == "auto" or asked not in known else asked
    chosen = _ALIASES.get(chosen, chosen)
    if engine == "auto":
        # Its own code is the rule, and nothing to be told of.
        level = logging.DEBUG if chosen == "exact" else logging.INFO
        _LOGGER.log(level, "HDBSCAN is done by the engine %s", chosen)
    if chosen != "exact" and find_spec(chosen) is None:
        raise EngineUnavailableError(
            f"HDBSCAN's engine {chosen!r} is not installed: {_REMEDIES[chosen]}, or take "
            "engine='exact', which needs nothing else."
        )
    if chosen == "cuml" and min_samples > _MOST_SAMPLES:
        raise ParameterError(
            f"min_samples={min_samples} is more than engine 'cuml' can do ({_MOST_SAMPLES}); "
            "take engine='exact'."
        )
    if chosen == "fast_hdbscan" and n_features > _MOST_FEATURES:
        raise ParameterError(
            f"Engine 'fast_hdbscan' only approximates neighbours of more than {_MOST_FEATURES} "
            f"features, and there are {n_features}; take engine='exact'."
        )
    return chosen


def library_edges(
    engine: str, rows: NDArray[Any], *, min_samples: int, threads: int
) -> NDArray[np.int64]:
    """
    Let a library find the minimum spanning tree of the mutual reachability.

    All libraries mean the same by ``min_samples``: the core distance of a point is that to its
    k-th nearest other point. (scikit-learn's HDBSCAN counts the point itself, so its k is one
    more. The prediction data of the hdbscan library count it too; they are not used here.)

    Parameters
    ----------
    engine : {"hdbscan", "fast_hdbscan", "cuml"}
    rows : array, shape (n, d), float32 or float64
    min_samples : int
    threads : int
        Threads or processes that it may use.

    Returns
    -------
    array, shape (n - 1, 2), int64
        Rows joined by each edge. Weights are not taken over: libraries have them in single
        precision.
    """
    found = _LIBRARIES[engine](rows, min_samples, threads)
    return np.asarray(found)[:, :2].astype(np.int64)


def _by_hdbscan(rows: NDArray[Any], min_samples: int, threads: int) -> Any:
    import hdbscan

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="hdbscan")
        model = hdbscan.HDBSCAN(
            min_samples=min_samples,
            min_cluster_size=2,
            approx_min_span_tree=False,
            gen_min_span_tree=True,
            core_dist_n_jobs=threads,
        ).fit(rows)
    return model.minimum_spanning_tree_.to_numpy()


def _by_fast_hdbscan(rows: NDArray[Any], min_samples: int, threads: int) -> Any:
    from fast_hdbscan.hdbscan import (  # type: ignore[import-untyped,unused-ignore]
        compute_minimum_spanning_tree,
    )
    from numba import config as numba_config
    from numba import get_num_threads, set_num_threads

    before = get_num_threads()
    set_num_threads(min(threads, getattr(numba_config, "NUMBA_NUM_THREADS")))  # noqa: B009
    try:
        return compute_minimum_spanning_tree(
            np.asarray(rows, np.float64), min_samples=min_samples, reproducible=True
        )[0]
    finally:
        set_num_threads(before)


def _by_cuml(rows: NDArray[Any], min_samples: int, threads: int) -> Any:  # noqa: ARG001
    try:
        from cuml.cluster import HDBSCAN

        # It works in single precision, which is finest about the origin. What it makes of the
        # tree is not used: the largest cluster size makes it short.
        centred = rows - rows.mean(axis=0, dtype=np.float64)
        model = HDBSCAN(
            min_samples=min_samples, min_cluster_size=len(rows), gen_min_span_tree=True
        ).fit(centred.astype(np.float32))
    except (ImportError, RuntimeError) as error:
        raise EngineUnavailableError(
            f"HDBSCAN's engine 'cuml' can't be used here ({error}). It needs a GPU of NVIDIA; "
            "take engine='exact'."
        ) from error
    return model.minimum_spanning_tree_.to_numpy()


_LIBRARIES: dict[str, Callable[[NDArray[Any], int, int], Any]] = {
    "hdbscan": _by_hdbscan,
    "fast_hdbscan": _by_fast_hdbscan,
    "cuml": _by_cuml,
}
