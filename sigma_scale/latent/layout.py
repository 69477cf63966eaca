"""Layouts of landmarks in a latent space, by umap-learn on processors or cuML on a GPU."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import config
from sigma_scale.errors import ParameterError
from sigma_scale.latent.placement import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.random import RandomState
    from numpy.typing import NDArray

__all__ = ["check_gpu_parameters", "check_parameters", "lay_out"]

_LAYOUT_PARAMETERS = (
    "n_neighbors",
    "n_components",
    "metric",
    "n_epochs",
    "learning_rate",
    "init",
    "min_dist",
    "spread",
    "set_op_mix_ratio",
    "local_connectivity",
    "repulsion_strength",
    "negative_sample_rate",
    "a",
    "b",
    "target_n_neighbors",
    "target_metric",
    "target_weight",
    "densmap",
    "dens_lambda",
    "dens_frac",
    "dens_var_shift",
    "disconnection_distance",
)
"""Parameters that go to umap-learn as they are."""

_ONLY_CPU = ("densmap", "dens_lambda", "dens_frac", "dens_var_shift", "disconnection_distance")
_GPU_INITS = ("spectral", "random")
_GPU_TARGET_METRICS = ("categorical", "euclidean", "l2")


def lay_out(
    landmarks: NDArray[np.float32],
    neighbours: tuple[NDArray[np.int32], NDArray[np.float32]],
    parameters: Mapping[str, Any],
    *,
    targets: NDArray[Any] | None,
    generator: RandomState | None,
    n_jobs: int,
    engine: str,
) -> NDArray[np.float32]:
    """
    Lay out landmarks, given their exact neighbours.

    Parameters
    ----------
    landmarks : numpy.ndarray, shape (m, k), float32
        All different.
    neighbours : tuple of numpy.ndarray, shape (m, n_neighbors)
        Numbers (int32) and distances (float32) of each one's neighbours, itself first.
    parameters : mapping
        Parameters of :class:`~sigma_scale.latent.UMAP`.
    targets : numpy.ndarray, shape (m,), optional
        What supervises the layout.
    generator : RandomState, optional
        None: the layout may run in many threads and comes out differently each time.
    n_jobs : int
        Threads of umap-learn; -1: all processors.
    engine : {"cpu", "gpu"}
        Where.

    Returns
    -------
    numpy.ndarray, shape (m, n_components), float32

    Raises
    ------
    ParameterError
        If the library refuses a parameter, or the layout has no finite result.
    """
    arguments = {name: parameters[name] for name in _LAYOUT_PARAMETERS}
    if engine == "gpu":
        model = _on_gpu(arguments, neighbours, generator)
    else:
        model = _on_cpu(arguments, neighbours, generator, n_jobs)
    with warnings.catch_warnings():
        # Its transform is not used, so it needs no search index.
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]", category=UserWarning)
        # Separate phases are separate parts of the graph: what is expected here.
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        try:
            model.fit(landmarks, targets)
        except (ValueError, TypeError) as error:
            library = "cuML" if engine == "gpu" else "umap-learn"
            raise ParameterError(f"{library} refuses the parameters: {error}") from error
    embedding = np.asarray(model.embedding_, np.float32)
    if not np.isfinite(embedding).all():
        raise ParameterError(
            "The layout of UMAP ran out of bounds. Lower learning_rate="
            f"{parameters['learning_rate']} or repulsion_strength="
            f"{parameters['repulsion_strength']}."
        )
    return embedding


def check_parameters(parameters: Mapping[str, Any], n_features: int) -> None:
    """
    Refuse parameters that cannot work, as far as umap-learn does not check them.

    Parameters
    ----------
    parameters : mapping
        Parameters of :class:`~sigma_scale.latent.UMAP`.
    n_features : int
        Number of features.

    Raises
    ------
    ParameterError
        If one cannot work.
    """
    if n_features == 1:
        raise ParameterError(
            "UMAP needs at least two features, got 1 feature(s). Choose more X-ray lines."
        )
    if parameters["metric"] not in METRICS:
        raise ParameterError(
            f"metric must be one of {', '.join(METRICS)}, got {parameters['metric']!r}. For angles "
            "between spectra, scale each row to unit length and use 'euclidean'."
        )
    if parameters["n_jobs"] == 0:
        raise ParameterError("n_jobs must be a number of threads or -1, got 0.")
    for name, least in (("n_neighbors", 2), ("n_components", 1), ("n_landmarks", 1)):
        if parameters[name] < least:
            raise ParameterError(f"{name} must be at least {least}, got {parameters[name]}.")
    if not 0 <= parameters["min_dist"] <= parameters["spread"]:
        raise ParameterError(
            f"min_dist must lie between 0 and spread={parameters['spread']}, got "
            f"{parameters['min_dist']}."
        )


def check_gpu_parameters(parameters: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """
    Refuse what cuML cannot do, by name.

    Parameters
    ----------
    parameters, defaults : mapping
        Parameters of :class:`~sigma_scale.latent.UMAP`, and what they are by default.

    Raises
    ------
    ParameterError
        If a parameter has a value that cuML would ignore or not know.
    """
    changed = [name for name in _ONLY_CPU if parameters[name] != defaults[name]]
    init, target = parameters["init"], parameters["target_metric"]
    if isinstance(init, str) and init not in _GPU_INITS:
        changed.append(f"init={init!r} (it has: {', '.join(_GPU_INITS)}, or an array)")
    if target not in _GPU_TARGET_METRICS:
        changed.append(f"target_metric={target!r} (it has: {', '.join(_GPU_TARGET_METRICS)})")
    if int(parameters["local_connectivity"]) != parameters["local_connectivity"]:
        changed.append("local_connectivity that is no whole number")
    if changed:
        raise ParameterError(
            f"UMAP on a GPU (cuML) has no {'; '.join(changed)}. Use engine='cpu', or leave "
            "them at their defaults."
        )


def _on_cpu(
    arguments: dict[str, Any],
    neighbours: tuple[NDArray[np.int32], NDArray[np.float32]],
    generator: RandomState | None,
    n_jobs: int,
) -> Any:
    import umap

    return umap.UMAP(
        **arguments,
        random_state=generator,
        # With a seed umap-learn is single-threaded, and warns unless it is told so.
        n_jobs=n_jobs if generator is None else 1,
        tqdm_kwds={"disable": not config.get("progress"), "desc": "UMAP layout"},
        precomputed_knn=neighbours,
    )


def _on_gpu(
    arguments: dict[str, Any],
    neighbours: tuple[NDArray[np.int32], NDArray[np.float32]],
    generator: RandomState | None,
) -> Any:
    import cuml

    known = {name: value for name, value in arguments.items() if name not in _ONLY_CPU}
    known["local_connectivity"] = int(known["local_connectivity"])
    seed = None if generator is None else int(generator.randint(0, 2**31))
    return cuml.UMAP(**known, random_state=seed, precomputed_knn=neighbours, output_type="numpy")
