"""Arrays in a zip archive, read only if every claim of the archive about them can be true."""

from __future__ import annotations

import json
import math
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ShapeMismatchError, SourceNotFoundError, StoreError
from sigma_scale.files import ARCHIVE_DAMAGE, check_archive

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["KIND", "is_archive", "read_archive"]

KIND = "pixel_segmenter"

_LARGEST_JSON = 2**30
_CODECS = ["bytes", "zstd"]
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_HEADER_SIZE = 18
_DTYPES = {"int32", "float32", "float64"}
_MOST_COMPONENTS = 100_000
_MOST_DIMENSIONS = 1024


def is_archive(path: Path) -> bool:
    """Whether a file is a saved segmentation, as far as its first metadata say."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(_document(path, archive)["kind"] == KIND)
    except ARCHIVE_DAMAGE:
        return False


def read_archive(
    path: Path, shape: tuple[int, int]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """
    Read all arrays of an archive, and the document in its attributes.

    Parameters
    ----------
    path : pathlib.Path
        The archive.
    shape : tuple of int
        Rows and columns of the map; arrays over its pixels must have them.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
    document : dict

    Raises
    ------
    SourceNotFoundError
        If there is no such file.
    StoreError
        If it is no such archive, or is damaged.
    ShapeMismatchError
        If it is of a map of another shape.
    MemoryLimitError
        If the arrays would not fit into memory.
    """
    if not path.exists():
        raise SourceNotFoundError(f"There is no saved segmentation at {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            document, needed = _checked(path, archive, shape)
        compute.check_memory(
            2 * needed,
            what=f"The segmentation in {path.name}",
            remedy="Raise memory_limit.",
        )
        return _read(path), document
    except StoreError as error:
        raise StoreError(f"{path} is not a saved segmentation, or is damaged: {error}") from error
    except ShapeMismatchError:
        raise
    except ARCHIVE_DAMAGE as error:
        raise StoreError(
            f"{path} is not a saved segmentation, or is damaged: {error}. "
            "States are zip archives made by save_state."
        ) from error


def _read(path: Path) -> dict[str, NDArray[Any]]:
    import zarr
    from zarr.storage import ZipStore

    with ZipStore(path, mode="r") as store:
        group = zarr.open_group(store, mode="r", zarr_format=3, use_consolidated=False)
        return {name: np.asarray(array[...]) for name, array in group.arrays()}


def _node(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    # ZipStore appends: of entries with the same name the last one counts.
    entry = archive.getinfo(name)
    if entry.file_size > _LARGEST_JSON:
        raise StoreError(f"{name} claims {entry.file_size} bytes")
    node = json.loads(archive.read(entry))
    if not isinstance(node, dict) or node.get("zarr_format") != 3:  # noqa: PLR2004
        raise StoreError(f"{name} is no zarr (v3) metadata")
    return node


def _document(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """Document of an archive whose entries can be what they claim."""
    check_archive(path, archive)
    document = _node(archive, "zarr.json")["attributes"]["sigma_scale"]
    if not isinstance(document, dict):
        raise StoreError("its attributes are no document")
    return document


def _checked(
    path: Path, archive: zipfile.ZipFile, shape: tuple[int, int]
) -> tuple[dict[str, Any], int]:
    """Check what the archive claims; return its document and the bytes of its arrays."""
    document = _document(path, archive)
    saved = document["identity"]["shape"]
    if saved != [int(size) for size in shape]:
        raise ShapeMismatchError(
            f"The state is of a map of {' x '.join(map(str, saved))} pixels, the dataset has "
            f"{shape[0]} x {shape[1]}. Bin the dataset as it was when the state was saved."
        )
    needed = 0
    chunk_sizes = {}
    chunks = []
    for name in sorted(set(archive.namelist())):
        array, _, last = name.rpartition("/")
        if last != "zarr.json":
            chunks.append(name)
        elif array:
            size, chunk_sizes[array] = _checked_array(array, _node(archive, name), shape)
            needed += size
    for name in chunks:
        _check_chunk(archive, name, chunk_sizes[name.partition("/")[0]])
    return document, needed


def _checked_array(name: str, node: dict[str, Any], shape: tuple[int, int]) -> tuple[int, int]:
    """Check the metadata of an array; return its size and that of a chunk, in bytes."""
    size = [int(length) for length in node["shape"]]
    grid = [int(side) for side in node["chunk_grid"]["configuration"]["chunk_shape"]]
    codecs = [codec["name"] for codec in node["codecs"]]
    if node["data_type"] not in _DTYPES or codecs != _CODECS:
        raise StoreError(f"{name} is of a kind that is never saved")
    if name.startswith("component_"):
        limits = [_MOST_COMPONENTS, _MOST_DIMENSIONS, _MOST_DIMENSIONS][: len(size)]
        fits = len(size) == len(limits) and all(
            length <= limit for length, limit in zip(size, limits, strict=True)
        )
    else:
        fits = size[:2] == list(shape) and math.prod(size[2:]) <= _MOST_DIMENSIONS
    chunks_fit = len(grid) == len(size) and all(
        1 <= side <= max(1, length) for side, length in zip(grid, size, strict=True)
    )
    if not (fits and chunks_fit and all(length >= 0 for length in size)):
        raise StoreError(f"{name} claims the shape {size} in chunks of {grid}")
    itemsize = np.dtype(node["data_type"]).itemsize
    return math.prod(size) * itemsize, math.prod(grid) * itemsize


def _check_chunk(archive: zipfile.ZipFile, name: str, size: int) -> None:
    """Check that a chunk says that it becomes as many bytes as it has to: zstd believes it."""
    with archive.open(name) as chunk:
        claimed = _content_size(chunk.read(_ZSTD_HEADER_SIZE))
    if claimed != size:
        raise StoreError(f"{name} claims {claimed} bytes instead of {size}")


def _content_size(header: bytes) -> int | None:
    """
    Size that a zstd frame says its content has; None if it doesn't.

    Notes
    -----
    Section 3.1.1.1 of RFC 8878.
    """
    if not header.startswith(_ZSTD_MAGIC):
        return None
    descriptor = header[len(_ZSTD_MAGIC)]
    single_segment = descriptor >> 5 & 1
    window = 1 - single_segment
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    n_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
    start = len(_ZSTD_MAGIC) + 1 + window + dictionary
    if n_bytes == 0:
        return None
    field = int.from_bytes(header[start : start + n_bytes], "little")
    return field + 256 if n_bytes == 2 else field  # noqa: PLR2004
