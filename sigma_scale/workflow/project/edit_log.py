"""
The log of edits in a store: a zarr group whose attributes say all but which pixels were selected.

The group ``edits`` has the attributes ``log`` (records of the edits, those that were undone
included), ``position`` (how many of them are in effect), ``revision`` (a number that grows with
each change) and ``labels`` (a hash of the labels that the edits start from). Selections of pixels
are arrays of the group, compressed as :func:`encode_mask` says and named by their hash; a record
names them under ``array``. The file with the attributes is replaced in one step, after the arrays
that it names have been written: whoever reads, or kills a writer, finds the old log or the new.
The store's consolidated metadata leave the group out, as it changes without them: xarray opens it
by ``xarray.open_zarr(store, group="edits", consolidated=False)``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3

from sigma_scale.errors import StoreError
from sigma_scale.files import write_atomically
from sigma_scale.store.layout import EDITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from sigma_scale.store import Location

__all__ = ["EditLog", "kept_logs", "labels_digest", "read_log", "set_aside", "write_log"]

_SCHEMA = 1
_HASH = re.compile(r"[0-9a-f]{32}")
_TRIES = 5
_META = "zarr.json"


@dataclass(frozen=True)
class EditLog:
    """
    Edits of the clusters of a map.

    Parameters
    ----------
    records : sequence of mapping
        The edits, those that were undone included.
    position : int
        How many of them are in effect.
    revision : int
        Grows with each change.
    labels : str
        What :func:`labels_digest` says of the labels before the edits.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    position: int = 0
    revision: int = 0
    labels: str = ""


def labels_digest(labels: NDArray[np.int32]) -> str:
    """
    Hash labels.

    Parameters
    ----------
    labels : array, shape (n,), int32
        Cluster of each pixel.

    Returns
    -------
    str
    """
    values = np.ascontiguousarray(labels, dtype="<i4")
    return f"blake3:{blake3(values.view(np.uint8).data).hexdigest()}"


def read_log(
    path: Location, known: Iterable[Mapping[str, Any]] = (), *, name: str = EDITS
) -> EditLog | None:
    """
    Read the edits of a store.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    known : iterable of mapping
        Records that are in memory already; selections that they share needn't be read.
    name : str, default: "edits"
        Name of the group.

    Returns
    -------
    EditLog or None
        None where there are none.

    Raises
    ------
    StoreError
        If they are damaged or can't be read.
    """
    group = path / name
    masks = {_hash(record["pixels"]["data"]): record["pixels"]["data"] for record in _masked(known)}
    for attempt in range(_TRIES):
        try:
            attributes = json.loads((group / _META).read_bytes())["attributes"]["sigma_scale"]
            return _parsed(group, attributes, masks)
        except FileNotFoundError as error:
            if not (group / _META).exists():
                return None
            # Someone saved between the two readings, and took away what is needed no more.
            if attempt == _TRIES - 1:
                raise StoreError(f"The edits in {group} lack {error.filename}.") from error
        except OSError as error:
            raise StoreError(f"The edits in {group} can't be read: {error}") from error
        except (LookupError, TypeError, ValueError, binascii.Error) as error:
            raise StoreError(f"The edits in {group} are damaged: {error}") from error
    return None


def _parsed(group: Location, attributes: dict[str, Any], masks: Mapping[str, str]) -> EditLog:
    if attributes["schema"] != _SCHEMA:
        raise ValueError(f"they have the layout {attributes['schema']!r}, not {_SCHEMA}")
    records, position, revision = (attributes[key] for key in ("log", "position", "revision"))
    good = isinstance(records, list) and all(isinstance(record, dict) for record in records)
    good = good and isinstance(attributes["labels"], str)
    if not good or type(position) is not int or type(revision) is not int:
        raise TypeError("an attribute is of the wrong kind")
    if not 0 <= position <= len(records):
        raise ValueError(f"{position} of {len(records)} edits can't be in effect")
    loaded = [_with_mask(group, record, masks) for record in records]
    return EditLog(loaded, position, revision, attributes["labels"])


def _with_mask(group: Location, record: dict[str, Any], masks: Mapping[str, str]) -> dict[str, Any]:
    pixels = record.get("pixels")
    if pixels is None:
        return record
    mark = pixels["array"]
    if not _HASH.fullmatch(mark):
        raise ValueError("a selection has no name")
    data = masks.get(mark)
    if data is None:
        data = base64.b64encode((group / mark / "c" / "0").read_bytes()).decode("ascii")
        if _hash(data) != mark:
            raise ValueError(f"the selection {mark} is not what was written")
    rest = {key: value for key, value in pixels.items() if key != "array"}
    return record | {"pixels": rest | {"data": data}}


def write_log(path: Path, log: EditLog, *, name: str = EDITS) -> None:
    """
    Write the edits of a store; only the holder of its lock may do so.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    log : EditLog
        The edits.
    name : str, default: "edits"
        Name of the group.

    Raises
    ------
    StoreError
        If they can't be written; those that were there are unharmed.
    """
    group = path / name
    records, marks = [], set()
    try:
        for record in log.records:
            pixels = record.get("pixels")
            if pixels is not None:
                mark = _hash(pixels["data"])
                marks.add(mark)
                _write_mask(group / mark, pixels["data"])
                rest = {key: value for key, value in pixels.items() if key != "data"}
                record = record | {"pixels": rest | {"array": mark}}  # noqa: PLW2901
            records.append(record)
        attributes = {
            "schema": _SCHEMA,
            "log": records,
            "position": log.position,
            "revision": log.revision,
            "labels": log.labels,
        }
        node = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"sigma_scale": attributes},
        }
        write_atomically(group / _META, json.dumps(node).encode(), durable=True)
    except OSError as error:
        raise StoreError(f"The edits can't be written to {group}: {error}") from error
    with suppress(OSError):  # What stays is no harm.
        _tidy(group, marks)


def _write_mask(folder: Path, data: str) -> None:
    """Write a selection as an array of bytes, as zarr would."""
    if (folder / _META).is_file():
        return
    content = base64.b64decode(data)
    size = [len(content)]
    node = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": size,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": size}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        "attributes": {"long_name": "selected pixels, as packed bits, compressed by zlib"},
        "dimension_names": [f"byte_{folder.name}"],
        "storage_transformers": [],
    }
    write_atomically(folder / "c" / "0", content, durable=True)
    write_atomically(folder / _META, json.dumps(node).encode(), durable=True)


def _tidy(group: Path, marks: set[str]) -> None:
    """Take away selections that no record names any more, and what killed writers left."""
    for entry in group.iterdir():
        if entry.name == _META or entry.name in marks:
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def set_aside(path: Path) -> str | None:
    """
    Give the edits of a store another name, under which they are kept.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.

    Returns
    -------
    str or None
        Name of the group; None where there were no edits.

    Raises
    ------
    StoreError
        If that can't be done.
    """
    if not (path / EDITS).exists():
        return None
    name = free_name(path)
    try:
        (path / EDITS).rename(path / name)
    except OSError as error:
        raise StoreError(f"The edits in {path} can't be kept as {name!r}: {error}") from error
    return name


def free_name(path: Path) -> str:
    """Name for edits that are kept, which no group of the store has."""
    number = 1
    while (path / f"{EDITS}_{number}").exists():
        number += 1
    return f"{EDITS}_{number}"


def kept_logs(path: Location) -> dict[str, EditLog]:
    """
    Read the edits that were kept aside.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.

    Returns
    -------
    dict of str to EditLog
        By the names of their groups.

    Raises
    ------
    StoreError
        If some are damaged.
    """
    found = {}
    for name in sorted(folder.name for folder in path.glob(f"{EDITS}_*")):
        log = read_log(path, name=name)
        if log is not None:
            found[name] = log
    return found


def _masked(records: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    return (record for record in records if isinstance(record.get("pixels"), dict))


def _hash(data: str) -> str:
    return blake3(data.encode("ascii")).hexdigest(length=16)
