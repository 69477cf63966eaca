"""What HDBSCAN's parameters may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from sigma_scale.clustering.density.estimator import HDBSCAN

__all__ = ["check_parameters", "samples_of"]

_SELECTION_METHODS = ("eom", "leaf")
_LEAST = {"min_cluster_size": 2, "min_samples": 1, "max_cluster_size": 0, "n_jobs": 1}
_OPTIONAL = ("min_samples", "n_jobs")
_DEFAULT_SAMPLES = 15


def samples_of(model: HDBSCAN) -> int:
    """Neighbours to measure a density with."""
    if model.min_samples is None:
        return min(model.min_cluster_size, _DEFAULT_SAMPLES)
    return model.min_samples


def check_parameters(model: HDBSCAN, n_rows: int) -> None:
    """
    Check a model's parameters against each other and the data.

    Raises
    ------
    ParameterError
        If one cannot work, or there are too few rows.
    """
    for name, least in _LEAST.items():
        value: object = getattr(model, name)
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise ParameterError(
                f"{name} must be at least {least} and a whole number, got {value!r}."
            )
    if model.cluster_selection_method not in _SELECTION_METHODS:
        raise ParameterError(
            f"cluster_selection_method must be one of {', '.join(_SELECTION_METHODS)}, "
            f"got {model.cluster_selection_method!r}."
        )
    if not 0 <= model.cluster_selection_epsilon < float("inf"):
        raise ParameterError(
            "cluster_selection_epsilon must be a distance, finite and not negative, "
            f"got {model.cluster_selection_epsilon}."
        )
    needed = max(model.min_cluster_size, samples_of(model) + 1)
    if n_rows < needed:
        raise ParameterError(
            f"HDBSCAN needs at least {needed} pixels for min_cluster_size="
            f"{model.min_cluster_size} and min_samples={model.min_samples}, but there are "
            f"fewer: n_samples={n_rows}. Lower min_cluster_size or min_samples."
        )
