"""What a model's result was made with, as plain values for the attributes of an array."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

__all__ = ["library_versions", "model_recipe"]

_PLAIN = (bool, int, float, str, type(None))
_VERSIONS = ("sigma-scale", "numpy", "scikit-learn", "umap-learn", "cuml", "hdbscan")


def model_recipe(function: str, model: BaseEstimator) -> dict[str, Any]:
    """
    Write down a function, its model with all parameters (the seed among them), and versions.

    Parameters
    ----------
    function : str
        Name of the function, such as ``"sigma_scale.latent.embed"``.
    model : sklearn.base.BaseEstimator
        Fitted model.

    Returns
    -------
    dict
        Plain values only, so that it can be written as JSON.
    """
    parameters = {
        name: value if isinstance(value, _PLAIN) else repr(value)
        for name, value in model.get_params(deep=False).items()
    }
    return {
        "function": function,
        "model": f"{type(model).__module__}.{type(model).__name__}",
        "parameters": parameters,
        "versions": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Versions of the libraries that results depend on."""
    found = {}
    for package in _VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # run from a checkout, or a package that this model does not need
    return found
