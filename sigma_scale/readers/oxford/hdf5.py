"""HDF5 files read with care: one file only, no links out of it, no size taken on its word."""

from __future__ import annotations

import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.guard import check_plausible, decoding
from sigma_scale.readers.oxford.texts import attribute_text, dataset_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py
    from numpy.typing import NDArray

__all__ = [
    "FORMAT",
    "attribute",
    "dataset_at",
    "groups_in",
    "names_in",
    "opened",
    "small_values",
]

FORMAT = "Oxford .h5oina"

_NO_CACHE = 2**20
_SMALL_CHUNK = 16 * 2**20
_SMALL_DATASET = 64 * 2**20
_SMALL_BYTES = 2**20
_SMALL_VALUES = 64

# The most that a byte can become, by the code of the filter: deflate's limit is 1,032, LZF copies
# at most 264 bytes for 3.
_MOST_PER_BYTE = {1: 1_032, 2: 1, 3: 1, 32_000: 88}
_FILTER_NAMES = "gzip, shuffle, fletcher32 and LZF"
_DEFLATE = 1


@contextmanager
def opened(path: Path, *, chunk_cache: int = _NO_CACHE) -> Iterator[h5py.File]:
    """
    Open a file for reading.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    chunk_cache : int, default: 1 MiB
        Bytes of decompressed chunks to keep for the next read, for each dataset.

    Raises
    ------
    FileFormatError
        If it isn't HDF5, or is found to be damaged while it is open.
    """
    import h5py

    with (
        decoding(path, FORMAT),
        h5py.File(path, "r", rdcc_nbytes=chunk_cache, locking="best-effort") as file,
    ):
        yield file


def names_in(group: h5py.Group) -> list[str]:
    """Names of what lies in a group itself: links to other places are passed over."""
    import h5py

    return [str(name) for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]


def groups_in(group: h5py.Group) -> dict[str, h5py.Group]:
    """Groups that lie in a group itself, by name."""
    import h5py

    found = {name: group[name] for name in names_in(group)}
    return {name: item for name, item in found.items() if isinstance(item, h5py.Group)}


def dataset_at(file: h5py.File, name: str, *, sparse: bool = False) -> h5py.Dataset:
    """
    Dataset whose values lie in this file and can be read in bounded memory.

    Parameters
    ----------
    file : h5py.File
        The file, open.
    name : str
        Path within the file, such as ``"1/EDS/Data/Spectrum"``.
    sparse : bool, default: False
        Whether parts may be left out of the file, which then read as zeros, so that the whole
        may be larger than what the file's bytes can become.

    Raises
    ------
    FileFormatError
        If there is none, its values are in another file, it uses an unknown filter, or its
        size can't be true.
    """
    import h5py

    item: Any = file
    for part in name.strip("/").split("/"):
        if not isinstance(item, h5py.Group) or not _holds(item, part):
            raise FileFormatError(f"{file.filename} has no dataset {name!r}.")
        item = item[part]
    if not isinstance(item, h5py.Dataset):
        raise FileFormatError(f"{file.filename}: {name!r} is a group, not a dataset.")
    _check_storage(file, item, sparse=sparse)
    return item


def _holds(group: h5py.Group, name: str) -> bool:
    """Whether a name is in the group itself, not behind a link to elsewhere."""
    import h5py

    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def _check_storage(file: h5py.File, dataset: h5py.Dataset, *, sparse: bool) -> None:
    path = Path(file.filename)
    name = dataset.name
    if dataset.is_virtual or dataset.external:
        raise FileFormatError(
            f"{path}: the values of {name!r} are in another file, which isn't opened. Copy them "
            "into the file, for example with h5repack."
        )
    if dataset.shape is None or any(size < 0 for size in dataset.shape):
        raise FileFormatError(f"{path}: {name!r} has no values.")
    most = 1
    filters = _filters(dataset)
    for code in filters:
        if code not in _MOST_PER_BYTE:
            raise FileFormatError(
                f"{path}: {name!r} is compressed by the HDF5 filter {code}; known are "
                f"{_FILTER_NAMES}. Rewrite the file with h5repack."
            )
        most *= _MOST_PER_BYTE[code]
    if _DEFLATE in filters[:-1]:
        # Only chunks that can be inflated outside of HDF5 have a limit to what they become.
        raise FileFormatError(
            f"{path}: {name!r} is filtered once more after gzip, which isn't known. Rewrite the "
            "file with h5repack."
        )
    itemsize = dataset.dtype.itemsize
    stored = path.stat().st_size
    claimed = math.prod(dataset.shape) * itemsize
    check_plausible(path, claimed, stored)
    if not sparse and claimed > max(_SMALL_DATASET, most * stored):
        raise FileFormatError(
            f"{path} is damaged: {name!r} is said to have {claimed:,} bytes, more than the file's "
            f"{stored:,} bytes can hold."
        )
    if dataset.chunks is not None:
        chunk_bytes = math.prod(dataset.chunks) * itemsize
        if chunk_bytes > max(_SMALL_CHUNK, most * stored):
            raise FileFormatError(
                f"{path} is damaged: {name!r} has chunks of {chunk_bytes:,} bytes, more than the "
                f"file's {stored:,} bytes can hold."
            )


def _filters(dataset: h5py.Dataset) -> list[int]:
    properties = dataset.id.get_create_plist()
    return [int(properties.get_filter(i)[0]) for i in range(properties.get_nfilters())]


def small_values(dataset: h5py.Dataset) -> NDArray[Any] | str | None:
    """
    Values of a header entry: a flat array of numbers, a text, or None if it is neither.

    Header entries come as scalars or in the shapes (1,), (1, 1) and (1, n), texts as variable
    or fixed length strings.
    """
    if dataset.shape is None or not _is_small(dataset.shape, dataset.dtype):
        return None
    if dataset.dtype.kind == "O":
        return dataset_text(dataset) if _is_text(dataset.dtype) else None
    return _plain(dataset[()])


def attribute(item: h5py.Dataset, name: str) -> NDArray[Any] | str | None:
    """Attribute of a dataset as a flat array of numbers or a text; None where there is none."""
    if name not in item.attrs:
        return None
    stored = item.attrs.get_id(name)
    if not _is_small(stored.shape, stored.dtype):
        return None
    if stored.dtype.kind == "O":
        return attribute_text(item, name) if _is_text(stored.dtype) else None
    return _plain(item.attrs[name])


def _is_small(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    few = 0 < math.prod(shape) <= _SMALL_VALUES
    return few and dtype.itemsize <= _SMALL_BYTES and dtype.kind in "biufSO"


def _is_text(dtype: np.dtype[Any]) -> bool:
    import h5py

    return h5py.check_string_dtype(dtype) is not None


def _plain(value: Any) -> NDArray[Any] | str:
    """Numbers as a flat array; the first of texts, however they are wrapped."""
    values = np.asarray(value).ravel()
    if values.dtype.kind in "biuf":
        return values
    first = values[0]
    text = first.decode("utf-8", errors="replace") if isinstance(first, bytes) else str(first)
    return text.strip("\0 ")
