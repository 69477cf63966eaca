"""A fitted UMAP in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.latent.recipe import library_versions
from sigma_scale.latent.saving import read_model, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["SavedUMAP", "read_umap", "write_umap"]

_KIND = "umap"
_MATRIX = 2  # dimensions


@dataclass(frozen=True, kw_only=True)
class SavedUMAP:
    """
    What a fitted model is made of.

    Parameters
    ----------
    parameters : dict
        Those it was made with.
    landmarks : numpy.ndarray, shape (m, k), float32
        Features of the landmarks.
    landmark_rows : numpy.ndarray, shape (m,), int64
        Their row numbers in the fit.
    embedding : numpy.ndarray, shape (m, c), float32
        Their places in the latent space.
    feature_names : tuple of str, optional
        Names of the features.
    engine : str
        Where it was laid out.
    """

    parameters: dict[str, Any]
    landmarks: NDArray[np.float32]
    landmark_rows: NDArray[np.int64]
    embedding: NDArray[np.float32]
    feature_names: tuple[str, ...] | None
    engine: str


def write_umap(path: str | Path, model: SavedUMAP) -> Path:
    """
    Write a model; see :meth:`sigma_scale.latent.UMAP.save`.

    Parameters
    ----------
    path : path
        File to write.
    model : SavedUMAP
        The model.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    OutputExistsError, StoreError
        See :func:`~sigma_scale.latent.saving.write_model`.
    """
    parameters = dict(model.parameters)
    arrays: dict[str, NDArray[Any]] = {
        "landmarks": model.landmarks,
        "landmark_rows": model.landmark_rows,
        "embedding": model.embedding,
    }
    if not isinstance(parameters["init"], str):
        arrays["init"] = np.asarray(parameters.pop("init"), np.float64)
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = None  # its state has gone on: it would fit nothing again
    document = {
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "feature_names": model.feature_names,
        "engine": model.engine,
        "versions": library_versions(),
    }
    return write_model(path, _KIND, arrays, document)


def read_umap(path: str | Path) -> SavedUMAP:
    """
    Read a model; see :meth:`sigma_scale.latent.UMAP.load`.

    Parameters
    ----------
    path : path
        File that :func:`write_umap` wrote.

    Returns
    -------
    SavedUMAP

    Raises
    ------
    SourceNotFoundError, MemoryLimitError
        See :func:`~sigma_scale.latent.saving.read_model`.
    FileFormatError
        If it is no saved UMAP, or is damaged.
    """
    arrays, document = read_model(path, _KIND)
    try:
        parameters = dict(document["parameters"])
        if "init" in arrays:
            parameters["init"] = arrays["init"]
        names = document["feature_names"]
        model = SavedUMAP(
            parameters=parameters,
            landmarks=arrays["landmarks"],
            landmark_rows=arrays["landmark_rows"],
            embedding=arrays["embedding"],
            feature_names=None if names is None else tuple(str(name) for name in names),
            engine=str(document["engine"]),
        )
        good = _fits_together(model)
    except (LookupError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} is no saved UMAP, or is damaged: {error!r}") from error
    if not good:
        raise FileFormatError(f"{path} is damaged: its arrays don't fit each other.")
    return model


def _fits_together(model: SavedUMAP) -> bool:
    landmarks, embedding = model.landmarks, model.embedding
    return (
        landmarks.dtype == embedding.dtype == np.float32
        and landmarks.ndim == embedding.ndim == _MATRIX
        and len(landmarks) == len(embedding) > int(model.parameters["n_neighbors"])
        and model.landmark_rows.shape == landmarks.shape[:1]
        and bool(np.isfinite(landmarks).all())
        and bool(np.isfinite(embedding).all())
        and (model.feature_names is None or len(model.feature_names) == landmarks.shape[1])
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
