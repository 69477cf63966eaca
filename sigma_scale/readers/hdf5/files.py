"""HDF5 files opened with care: one file only, no links out of it, no size taken on its word."""

from __future__ import annotations

import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.guard import check_plausible, decoding
from sigma_scale.readers.hdf5.filters import FILTER_NAMES, are_known, filters_of, most_per_byte

if TYPE_CHECKING:
    from collections.abc import Iterator

    import h5py

__all__ = [
    "check_stored",
    "dataset_at",
    "find",
    "groups_in",
    "members_of",
    "names_in",
    "opened",
]

_CHUNK_CACHE = 2**20
_SMALL_CHUNK = 16 * 2**20
_SMALL = 2**20


@contextmanager
def opened(path: Path, format_name: str, *, chunk_cache: int = _CHUNK_CACHE) -> Iterator[h5py.File]:
    """
    Open a file for reading.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    format_name : str
        For messages, such as ``"Velox .emd"``.
    chunk_cache : int, default: 1 MiB
        Bytes of decompressed chunks that the library keeps for each dataset that it reads.

    Raises
    ------
    FileFormatError
        If it isn't HDF5, or is found to be damaged while it is open.
    """
    import h5py

    with (
        decoding(path, format_name),
        h5py.File(path, "r", rdcc_nbytes=chunk_cache, locking="best-effort") as file,
    ):
        yield file


def names_in(group: h5py.Group) -> list[str]:
    """Names of what lies in a group itself: links to other places are passed over."""
    return [str(name) for name in group if _holds(group, name)]


def members_of(group: h5py.Group) -> dict[str, Any]:
    """Groups and datasets that lie in a group itself, by name."""
    return {name: group[name] for name in names_in(group)}


def groups_in(group: h5py.Group) -> dict[str, h5py.Group]:
    """Groups that lie in a group itself, by name."""
    import h5py

    found = members_of(group)
    return {name: item for name, item in found.items() if isinstance(item, h5py.Group)}


def _holds(group: h5py.Group, name: str) -> bool:
    import h5py

    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def find(parent: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """
    Group or dataset of a path such as ``"Data/Image"``, or None if there is none.

    Raises
    ------
    FileFormatError
        If the path leads through a link, perhaps to another file.
    """
    import h5py

    node: Any = parent
    for name in path.strip("/").split("/"):
        if not isinstance(node, h5py.Group) or name not in node:
            return None
        if not _holds(node, name):
            raise FileFormatError(
                f"{parent.file.filename}: {node.name}/{name} is a link to elsewhere, which is not "
                "followed. Copy the data into the file (h5repack or h5copy do it)."
            )
        node = node[name]
    return node


def dataset_at(
    parent: h5py.Group, path: str, *, sparse: bool = False, others: bool = False
) -> h5py.Dataset:
    """
    Dataset whose values lie in this file and can be read in bounded memory.

    Parameters
    ----------
    parent : h5py.Group
        Group or file, open.
    path : str
        Path within it, such as ``"1/EDS/Data/Spectrum"``.
    sparse, others : bool, default: False
        As for :func:`check_stored`.

    Raises
    ------
    FileFormatError
        If there is none, its values are in another file, it uses an unknown filter, or its
        size can't be true.
    """
    import h5py

    item = find(parent, path)
    if item is None:
        raise FileFormatError(f"{parent.file.filename} has no dataset {path!r}.")
    if not isinstance(item, h5py.Dataset):
        raise FileFormatError(f"{parent.file.filename}: {path!r} is a group, not a dataset.")
    check_stored(item, sparse=sparse, others=others)
    return item


def check_stored(dataset: h5py.Dataset, *, sparse: bool = False, others: bool = False) -> None:
    """
    Refuse a dataset that isn't in its file, or claims more than the file can hold.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of any type.
    sparse : bool, default: False
        Whether parts may be left out of the file, which then read as zeros, so that the whole
        may be larger than what the stored bytes can become.
    others : bool, default: False
        Whether filters that aren't known here are left to the library, which may know them.

    Raises
    ------
    FileFormatError
        If its values are in another file, it uses an unknown filter, or its size can't be true.
    """
    where = f"{dataset.file.filename}: {dataset.name!r}"
    if dataset.is_virtual or dataset.external:
        raise FileFormatError(
            f"{where} keeps its values in other files, which aren't opened. Copy them into the "
            "file, for example with h5repack."
        )
    if dataset.shape is None:
        raise FileFormatError(f"{where} has no values.")
    filters = filters_of(dataset)
    if not (others or are_known(filters)):
        raise FileFormatError(
            f"{where} is stored through HDF5 filter {' and '.join(map(str, filters))}; known are "
            f"{FILTER_NAMES}, not more than one that compresses. Rewrite the file with h5repack."
        )
    _check_sizes(dataset, most_per_byte(filters), where, sparse=sparse)


def _check_sizes(dataset: h5py.Dataset, most: int, where: str, *, sparse: bool) -> None:
    itemsize = dataset.dtype.itemsize
    file_size = Path(dataset.file.filename).stat().st_size
    claimed = math.prod(dataset.shape) * itemsize
    check_plausible(Path(dataset.file.filename), claimed, file_size)
    if not sparse:
        stored = dataset.id.get_storage_size()
        if claimed > _SMALL + most * stored or stored > file_size + _SMALL:
            raise FileFormatError(
                f"{where} claims {claimed:,} bytes, but {stored:,} are stored in a file of "
                f"{file_size:,}: it is damaged or was not written to its end."
            )
    chunk_bytes = math.prod(dataset.chunks or (0,)) * itemsize
    if chunk_bytes > max(_SMALL_CHUNK, most * file_size):
        raise FileFormatError(
            f"{where} has chunks of {chunk_bytes:,} bytes, more than the file's {file_size:,} "
            "bytes can hold: it is damaged."
        )
