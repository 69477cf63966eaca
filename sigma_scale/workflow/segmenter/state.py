"""A saved segmentation: one file, a zarr group in a zip archive, checked before it is trusted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import OutputExistsError, StoreError
from sigma_scale.export.target import draft_of
from sigma_scale.workflow.segmenter.archive import KIND, is_archive, read_archive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sigma_scale.workflow.segmenter.mixture import Components

__all__ = ["SavedState", "read_state", "write_state"]

_SCHEMA = 1
_CHUNK_SIDE = 1024
_KEYS = {
    "method": str,
    "method_args": dict,
    "bic_list": list,
    "n_clusters": int,
    "log": list,
    "position": int,
    "colours": dict,
    "names": dict,
    "identity": dict,
    "recipe": dict,
}
_MAP_ARRAYS = {"labels": "int32", "initial_labels": "int32", "probability": "float32"}


@dataclass(frozen=True, eq=False, kw_only=True)
class SavedState:
    """
    All that a segmentation is made of.

    Parameters
    ----------
    latent : array, shape (y * x, component)
        Latent coordinates.
    initial_labels, labels : array, shape (y * x,), int32
        Labels before and after the edits.
    probability : array, shape (y * x,), float32
        Probability of each pixel for its cluster, after the edits.
    strength : array, shape (y * x,), float32, optional
        How strongly each pixel belonged to its cluster before the edits; None for mixtures.
    mixture : Components, optional
        Components of a mixture.
    document : dict
        Everything else as plain values: ``method``, ``method_args``, ``bic_list``,
        ``n_clusters`` before the edits, ``log``, ``position``, ``colours``, ``names``,
        ``identity`` of the map, ``recipe``.
    """

    latent: NDArray[Any]
    initial_labels: NDArray[np.int32]
    labels: NDArray[np.int32]
    probability: NDArray[np.float32]
    strength: NDArray[np.float32] | None
    mixture: Components | None
    document: dict[str, Any]


def write_state(path: str | Path, state: SavedState, shape: tuple[int, int]) -> Path:
    """
    Write a state so that it is there whole or not at all.

    Parameters
    ----------
    path : path
        File to write. A state that is there is replaced.
    state : SavedState
        The state.
    shape : tuple of int
        Rows and columns of the map.

    Returns
    -------
    pathlib.Path
        That file.

    Raises
    ------
    OutputExistsError, StoreError
        See :meth:`PixelSegmenter.save_state`.
    """
    target = Path(path)
    if (target.exists() or target.is_symlink()) and not is_archive(target):
        raise OutputExistsError(
            f"{target} exists and is no saved segmentation. Choose another name, or move it away."
        )
    arrays = _arrays(state, shape)
    document = json.loads(json.dumps(state.document))
    document |= {"kind": KIND, "schema": _SCHEMA}
    document["digest"] = _digest(arrays, document)
    try:
        with draft_of(target) as draft:
            _write_archive(draft, arrays, document)
    except OSError as error:
        raise StoreError(
            f"The segmentation can't be written to {target}: {error.strerror or error}. Mend that, "
            "or choose another place, and save it again."
        ) from error
    return target


def read_state(path: str | Path, shape: tuple[int, int]) -> SavedState:
    """
    Read a state, all of it or nothing.

    Parameters
    ----------
    path : path
        File that :func:`write_state` wrote.
    shape : tuple of int
        Rows and columns that the map must have.

    Returns
    -------
    SavedState

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    StoreError
        If the file is no saved segmentation, or is damaged. Nothing in it is ever run: pickle
        files are refused like any other.
    ShapeMismatchError
        If it is of a map of another shape.
    MemoryLimitError
        If it would not fit into memory.
    """
    from sigma_scale.workflow.segmenter.mixture import Components

    arrays, document = read_archive(Path(path), shape)
    _check_document(path, document)
    if document.pop("digest", None) != _digest(arrays, document):
        raise StoreError(f"{path} is damaged: its content is not what was written.")
    _check_arrays(path, arrays, shape)
    mixture = None
    if "component_mean" in arrays:
        mixture = Components(
            arrays["component_mean"], arrays["component_factor"], arrays["component_log_weight"]
        )
    latent = arrays["latent"].reshape(-1, arrays["latent"].shape[2])
    latent.flags.writeable = False
    strength = arrays.get("initial_probability")
    return SavedState(
        latent=latent,
        initial_labels=arrays["initial_labels"].ravel(),
        labels=arrays["labels"].ravel(),
        probability=arrays["probability"].ravel(),
        strength=None if strength is None else strength.ravel(),
        mixture=mixture,
        document=document,
    )


def _arrays(state: SavedState, shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "labels": state.labels.reshape(shape),
        "probability": state.probability.reshape(shape),
        "latent": state.latent.reshape(*shape, -1),
        "initial_labels": state.initial_labels.reshape(shape),
    }
    if state.strength is not None:
        arrays["initial_probability"] = state.strength.reshape(shape)
    if state.mixture is not None:
        arrays["component_mean"] = state.mixture.means
        arrays["component_factor"] = state.mixture.factors
        arrays["component_log_weight"] = state.mixture.log_weights
    return arrays


def _dimensions(name: str, n_dims: int) -> list[str]:
    if name.startswith("component_"):
        return ["gaussian", "component", "other_component"][:n_dims]
    return ["y", "x", "component"][:n_dims]


def _write_archive(
    path: Path, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
) -> None:
    import zarr
    from zarr.codecs import ZstdCodec
    from zarr.storage import ZipStore

    with ZipStore(path, mode="w") as store:
        group = zarr.create_group(store, attributes={"sigma_scale": dict(document)})
        for name, values in arrays.items():
            sides = (min(_CHUNK_SIDE, max(1, size)) for size in values.shape)
            group.create_array(
                name,
                data=values,
                chunks=tuple(sides),
                compressors=ZstdCodec(level=3),
                dimension_names=_dimensions(name, values.ndim),
            )


def _digest(arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(values.view(np.uint8).data if values.size else b"")
    return digest.hexdigest()


def _check_document(path: str | Path, document: Mapping[str, Any]) -> None:
    if document.get("kind") != KIND:
        raise StoreError(f"{path} is not a saved segmentation.")
    if document.get("schema") != _SCHEMA:
        raise StoreError(
            f"{path} has the layout {document.get('schema')!r}, this program reads {_SCHEMA}. "
            "Use the version of sigma-scale that wrote it."
        )
    wrong = [name for name, kind in _KEYS.items() if not isinstance(document.get(name), kind)]
    if wrong:
        raise StoreError(f"{path} is damaged: {', '.join(wrong)} missing or of the wrong kind.")


def _check_arrays(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int]
) -> None:
    """Check that the arrays fit each other; the archive has checked each on its own."""
    kinds = dict(_MAP_ARRAYS)
    latent = arrays.get("latent")
    good = latent is not None and latent.ndim == 3 and latent.dtype.kind == "f"  # noqa: PLR2004
    if "component_mean" in arrays and latent is not None:
        d = latent.shape[-1]
        k = len(arrays["component_mean"])
        expected = {
            "component_mean": (k, d),
            "component_factor": (k, d, d),
            "component_log_weight": (k,),
        }
        good = good and all(
            name in arrays and arrays[name].shape == size and arrays[name].dtype == np.float64
            for name, size in expected.items()
        )
    else:
        kinds["initial_probability"] = "float32"
    good = good and all(
        name in arrays and arrays[name].shape == tuple(shape) and arrays[name].dtype == kind
        for name, kind in kinds.items()
    )
    if not good:
        raise StoreError(f"{path} is damaged: its arrays don't fit each other.")
