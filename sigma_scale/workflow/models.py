"""Models that the settings ask for, with the values of their parameters checked by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale import config
from sigma_scale.clustering.cluster import make_clusterer
from sigma_scale.clustering.density import HDBSCAN, engines, parameters
from sigma_scale.engines import choose_engine
from sigma_scale.errors import ParameterError
from sigma_scale.latent import UMAP
from sigma_scale.latent.layout import check_parameters
from sigma_scale.workflow.settings import is_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sigma_scale.workflow.settings import RunSettings

__all__ = ["check_models", "clustering_arguments", "make_umap"]

_SMALLEST_CLUSTER = 10
_PIXELS_PER_CLUSTER = 2000
_MANY = 2**62
"""Pixels of a map that is not known yet: enough for any parameter."""


def make_umap(settings: RunSettings) -> UMAP:
    """
    Make the model of the latent space; not fitted yet.

    Parameters
    ----------
    settings : RunSettings
        Its parameters are in ``latent``.

    Returns
    -------
    UMAP

    Raises
    ------
    ParameterError
        If UMAP has no such parameter, or a value is of the wrong kind.
    """
    known = UMAP().get_params()
    unknown = [str(name) for name in settings.latent if name not in known]
    if unknown:
        raise ParameterError(
            f"UMAP has no parameter {', '.join(unknown)}; it has: {', '.join(known)}."
        )
    _check_kinds("UMAP", known, settings.latent)
    return UMAP(**{"random_state": settings.random_state, **settings.latent})


def clustering_arguments(settings: RunSettings, n_pixels: int) -> dict[str, Any]:
    """
    Give the parameters of the clustering, with the defaults that depend on the map.

    Parameters
    ----------
    settings : RunSettings
        The method is in ``clustering``, its parameters in ``clustering_args``.
    n_pixels : int
        Pixels of the binned map.

    Returns
    -------
    dict
        Parameters by name.

    Raises
    ------
    ParameterError
        If there is no such method or parameter, or a value is of the wrong kind.
    """
    arguments: dict[str, Any] = dict(settings.clustering_args)
    # What it would do without parameters, also to learn which ones it has.
    defaults = make_clusterer(settings.clustering)
    make_clusterer(settings.clustering, arguments)
    _check_kinds(settings.clustering, defaults.get_params(), arguments)
    if settings.clustering == "HDBSCAN":
        smallest = max(_SMALLEST_CLUSTER, n_pixels // _PIXELS_PER_CLUSTER)
        arguments = {
            "min_cluster_size": smallest,
            "min_samples": _SMALLEST_CLUSTER,
            **arguments,
        }
    if "random_state" in defaults.get_params():
        arguments = {"random_state": settings.random_state, **arguments}
    return arguments


def check_models(settings: RunSettings, n_features: int) -> None:
    """
    Refuse models that no map could be given to, and engines that are not here.

    Parameters
    ----------
    settings : RunSettings
        Settings.
    n_features : int
        Feature maps; two, the fewest there can be, if nobody knows yet.

    Raises
    ------
    ParameterError
        If a parameter can't work.
    EngineUnavailableError
        If an engine was asked for, by a parameter or for the session, that can't be used.
    """
    umap = make_umap(settings)
    check_parameters(umap.get_params(deep=False), n_features)
    engine = _asked(umap)
    if engine != "auto":
        choose_engine(engine, what="UMAP", needs=("cuml",))
    model = make_clusterer(settings.clustering, clustering_arguments(settings, 1))
    engine = _asked(model)
    if isinstance(model, HDBSCAN):
        parameters.check_parameters(model, _MANY)
        if engine != "auto":
            engines.choose_engine(
                engine, min_samples=parameters.samples_of(model), n_features=umap.n_components
            )
    elif engine != "auto":
        choose_engine(engine, what=settings.clustering)


def _asked(model: Any) -> str:
    """Engine that a model is asked to take, by its parameter or by the option; or "auto"."""
    own: str | None = getattr(model, "engine", None)
    if own is None:
        return "auto"  # It has no choice.
    return "gpu" if own == "auto" and config.get("engine") == "gpu" else own


def _check_kinds(model: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse words for numbers and numbers for words, which libraries answer with riddles."""
    for name, value in given.items():
        default = defaults[name]
        if isinstance(default, str):
            right, kind = isinstance(value, str), "a word"
        elif isinstance(default, int):
            right, kind = is_whole(value), "a whole number"
        else:
            right, kind = is_whole(value) or isinstance(value, float), "a number"
            right = right or (default is None and not isinstance(value, str | bool))
        if not right:
            raise ParameterError(f"{name} of {model} must be {kind}, not {value!r}.")
