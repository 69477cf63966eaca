"""A fitted model in one file: an npz archive that is read without running anything in it."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import FileFormatError, OutputExistsError, SourceNotFoundError
from sigma_scale.files import ARCHIVE_DAMAGE, check_archive, save_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["read_model", "write_model"]

_SCHEMA = 1
_DOCUMENT = "model.json"
_SUFFIX = ".npy"
_DTYPES = ("<f4", "<f8", "<i8")


def write_model(
    path: str | Path, kind: str, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
) -> Path:
    """
    Write a model so that its file is there whole or not at all.

    Parameters
    ----------
    path : path
        File to write. A model of the same kind that is there is replaced.
    kind : str
        What the model is, such as ``"umap"``.
    arrays : mapping of str to numpy.ndarray
        Arrays of float32, float64 or int64.
    document : mapping
        All else, as plain values.

    Returns
    -------
    pathlib.Path
        That file.

    Raises
    ------
    OutputExistsError
        If something else is there.
    StoreError
        If it can't be written, for example because its folder is read-only or the disk full.
    """
    target = Path(path)
    if _is_there(target) and not _is_model(target, kind):
        raise OutputExistsError(
            f"{target} exists and is no saved {kind} model. Choose another name, or move it away."
        )
    entries = {f"{name}{_SUFFIX}": _npy(array) for name, array in arrays.items()}
    full = {**document, "kind": kind, "schema": _SCHEMA, "sha256": _digests(entries)}
    entries[_DOCUMENT] = json.dumps(full, indent=1).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return save_file(target, buffer.getvalue())


def read_model(path: str | Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """
    Read a model, all of it or nothing.

    Parameters
    ----------
    path : path
        File that :func:`write_model` wrote.
    kind : str
        What the model must be.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
    document : dict

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    FileFormatError
        If it is no such model, or is damaged. What the archive says of its sizes is compared
        with that of the file before memory is taken.
    MemoryLimitError
        If it would not fit into memory.
    """
    source = Path(path)
    if not source.is_file():
        raise SourceNotFoundError(f"There is no saved model {source}.")
    try:
        with zipfile.ZipFile(source) as archive:
            check_archive(source, archive)
            document = _document(archive, kind)
            compute.check_memory(
                2 * source.stat().st_size,
                what=f"The model in {source.name}",
                remedy="Raise memory_limit.",
            )
            entries = {name: archive.read(name) for name in archive.namelist() if name != _DOCUMENT}
        if document["sha256"] != _digests(entries):
            raise ValueError("its content is not what was written")
        arrays = {name.removesuffix(_SUFFIX): _array(entry) for name, entry in entries.items()}
    except ARCHIVE_DAMAGE as error:
        raise FileFormatError(
            f"{source} is not a saved {kind} model, or is damaged: {error}. Models are written "
            "by their method save."
        ) from error
    return arrays, document


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # What can't even be looked at can't be written, which says why.
        return False


def _is_model(path: Path, kind: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive)
            return bool(_document(archive, kind))
    except ARCHIVE_DAMAGE:
        return False


def _document(archive: zipfile.ZipFile, kind: str) -> dict[str, Any]:
    document = json.loads(archive.read(_DOCUMENT))
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise ValueError(f"it holds no {kind} model")
    if document.get("schema") != _SCHEMA:
        raise ValueError(
            f"it has the layout {document.get('schema')!r}, this version of sigma_scale reads "
            f"{_SCHEMA}"
        )
    return document


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    np.lib.format.write_array(buffer, little, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _array(entry: bytes) -> NDArray[Any]:
    """Read an array whose header can be true."""
    stream = io.BytesIO(entry)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array has an unknown version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if fortran or dtype.str not in _DTYPES:
        raise ValueError(f"an array has the type {dtype}")
    data = entry[stream.tell() :]
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array's shape and its size don't agree")
    values = np.frombuffer(data, dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def _digests(entries: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(entries[name]).hexdigest() for name in sorted(entries)}
