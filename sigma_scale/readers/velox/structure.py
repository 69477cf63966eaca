"""
The HDF5 tree of an .emd file, entered only through checks.

A damaged or malicious file may link to other files, or claim sizes that it doesn't hold. Both
are refused here, before anything is read, so that no other module needs to think of it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5 import files
from sigma_scale.readers.hdf5.filters import filters_of
from sigma_scale.readers.hdf5.texts import dataset_texts

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import h5py

__all__ = [
    "FORMAT",
    "check_stored",
    "children",
    "dataset",
    "group",
    "is_velox",
    "json_column",
    "json_text",
    "listing",
    "open_file",
    "rows_of_json",
    "text_or_none",
]

FORMAT = "Velox .emd"

_CHUNK_CACHE_BYTES = 32 * 2**20
_LARGEST_PACKED_CHUNK = _CHUNK_CACHE_BYTES
_LONGEST_JSON = 16 * 2**20


def open_file(path: Path) -> AbstractContextManager[h5py.File]:
    """Open a file for reading, with room for the large chunks that some programs write."""
    return files.opened(path, FORMAT, chunk_cache=_CHUNK_CACHE_BYTES)


def is_velox(file: h5py.File) -> bool:
    """Whether the file was written by Velox, which says so in a text named Version."""
    version = dataset(file, "Version")
    if version is None or version.shape != (1,):
        return False
    return json_text(version).get("format") in ("Velox", "DevelopersKit")


def group(parent: h5py.Group, path: str) -> h5py.Group | None:
    """
    Subgroup of a path such as ``"Data/Image"``, or None if there is none.

    Raises
    ------
    FileFormatError
        If the path leads through a link, perhaps to another file.
    """
    import h5py

    found = files.find(parent, path)
    return found if isinstance(found, h5py.Group) else None


def dataset(parent: h5py.Group, path: str) -> h5py.Dataset | None:
    """
    Dataset of a path, checked to hold what it claims, or None if there is none.

    Raises
    ------
    FileFormatError
        If the data are in another file, or its size is not that of what is stored.
    """
    import h5py

    found = files.find(parent, path)
    if not isinstance(found, h5py.Dataset):
        return None
    check_stored(found)
    return found


def check_stored(data: h5py.Dataset) -> None:
    """
    Refuse a dataset whose claimed size doesn't fit the bytes that the file stores for it.

    Raises
    ------
    FileFormatError
        If it doesn't, if the data are in other files, or if a packed chunk is too large to be
        unpacked in bounded memory.
    """
    files.check_stored(data)
    if data.chunks is not None and filters_of(data):
        chunk = math.prod(data.chunks) * data.dtype.itemsize
        if chunk > _LARGEST_PACKED_CHUNK:
            raise FileFormatError(
                f"{data.file.filename}: {data.name} is compressed in pieces of {chunk:,} bytes, "
                "too large to be read again and again. Write it in smaller ones, with h5repack "
                "for example."
            )


def children(parent: h5py.Group, path: str) -> list[str]:
    """Names in a group, none if there is no such group."""
    found = group(parent, path)
    return [] if found is None else [str(name) for name in found]


def json_text(data: h5py.Dataset) -> dict[str, Any]:
    """
    Content of a dataset that holds one JSON text.

    Raises
    ------
    ValueError
        If it is no JSON object.
    """
    import h5py

    kind = h5py.check_string_dtype(data.dtype)
    if data.shape not in ((), (1,)) or kind is None:
        raise ValueError(f"{data.name} is not a text")
    texts = dataset_texts(data) if kind.length is None else [data[()].tobytes()]
    if texts is None:
        raise ValueError(f"{data.name} is stored in a way that this reader doesn't know")
    text = texts[0]
    return _json_object(text.rstrip(b"\0"), str(data.name))


def json_column(data: h5py.Dataset, column: int) -> dict[str, Any]:
    """
    JSON text of one frame, a column of bytes filled up with zeros.

    Raises
    ------
    ValueError
        If it is no JSON object.
    """
    if data.ndim != 2 or data.dtype.itemsize != 1 or data.shape[0] > _LONGEST_JSON:  # noqa: PLR2004
        raise ValueError(f"{data.name} is not a table of texts: {data.shape} {data.dtype}")
    return _json_object(data[:, column].tobytes().split(b"\0", 1)[0], str(data.name))


def text_or_none(data: h5py.Dataset) -> dict[str, Any] | None:
    """Content of a dataset that holds one JSON text, or None if it can't be read."""
    try:
        return json_text(data)
    except (ValueError, RecursionError):
        return None


def rows_of_json(parent: h5py.Group, path: str) -> list[dict[str, Any]]:
    """JSON objects of a group's members; those that can't be read are left out."""
    members = [dataset(parent, f"{path}/{name}") for name in children(parent, path)]
    texts = [text_or_none(member) for member in members if member is not None]
    return [text for text in texts if text is not None]


def _json_object(text: bytes, name: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"{name} is not a JSON object")  # noqa: TRY004 -- the file's fault
    return content


def listing(file: h5py.File) -> str:
    """What a Velox file holds, for messages: kinds of data, how many, and their shapes."""
    kinds = []
    for kind in children(file, "Data"):
        names = children(file, f"Data/{kind}")
        shapes = []
        for name in names[:8]:
            data = dataset(file, f"Data/{kind}/{name}/Data")
            if data is not None:
                shapes.append(" x ".join(str(size) for size in data.shape))
        detail = f" ({', '.join(shapes)}{', ...' if len(names) > len(shapes) else ''})"
        kinds.append(f"{len(names)} of Data/{kind}{detail if shapes else ''}")
    return "; ".join(kinds) or "nothing under Data"
