"""
What a map on disk looks like, and whether it is complete.

A map is one zarr (v3) group. Its attributes hold the metadata of the map and, under
``sigma_scale``, the version of this layout, the state of the store and the identity of its
counts. A store is marked unfinished before its first chunk is written, and only the last step of
writing takes the mark away.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Literal

import zarr
from zarr.errors import ContainsArrayError

from sigma_scale.errors import SourceNotFoundError, StoreError, UnfinishedStoreError
from sigma_scale.store.location import UrlPath, locate
from sigma_scale.store.places import place_at, zarr_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sigma_scale.store.location import Location, PathOrUrl

__all__ = [
    "COUNTS",
    "EDITS",
    "SCHEMA",
    "consolidate",
    "finish",
    "is_store",
    "open_group",
    "state_of",
]

SCHEMA = 1
COUNTS = "counts"
EDITS = "edits"
"""Group of the log of edits, and the beginning of the names of those that are kept aside."""
STATE = "sigma_scale"
_NODE = "zarr.json"

_consolidating = threading.Lock()

State = Literal["unfinished", "complete"]


def is_store(path: PathOrUrl, *, storage_options: Mapping[str, Any] | None = None) -> bool:
    """
    Whether there is a zarr group of ours at a place, complete or not.

    Parameters
    ----------
    path : path or URL
        What may be a store.
    storage_options : mapping, optional
        Options of the file system behind a URL.

    Returns
    -------
    bool

    Raises
    ------
    StoreError
        If an object store can't be reached, or refuses to be read.
    """
    location = locate(path, storage_options)
    try:
        content = (location / _NODE).read_bytes()
    except StoreError:
        raise
    except (OSError, ValueError):
        return False
    try:
        node = json.loads(content)
        return node["node_type"] == "group" and STATE in node["attributes"]
    except (ValueError, LookupError, TypeError):
        return False


def state_of(attrs: Mapping[str, Any]) -> State:
    """Read whether a store is complete from its attributes."""
    state = attrs.get(STATE, {}).get("state")
    return "complete" if state == "complete" else "unfinished"


def open_group(path: PathOrUrl, *, unfinished: bool = False, mode: str = "r") -> zarr.Group:
    """
    Open the group of a map.

    Parameters
    ----------
    path : path or URL
        The store.
    unfinished : bool, default: False
        Accept a store whose writing was interrupted.
    mode : {"r", "r+"}, default: "r"
        Read only, or also write.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the place.
    StoreError
        If what is there is not a map, or one of a later layout, or it can't be read.
    UnfinishedStoreError
        If writing was interrupted and ``unfinished`` is not set.
    """
    location = locate(path)
    try:
        # Not from consolidated metadata: those of an interrupted run may be out of date.
        target = zarr_store(location)
        group = zarr.open_group(target, mode=mode, zarr_format=3, use_consolidated=False)  # type: ignore[arg-type]
    except (FileNotFoundError, ContainsArrayError, ValueError, KeyError, TypeError) as error:
        if not location.exists():
            raise SourceNotFoundError(_nothing_at(location)) from error
        raise StoreError(f"{location} is not a zarr group: {error}") from error
    attrs: dict[str, Any] = dict(group.attrs)
    if STATE not in attrs:
        raise StoreError(f"{location} is a zarr group, but not a map written by sigma-scale.")
    schema = attrs[STATE].get("schema")
    if schema != SCHEMA:
        raise StoreError(
            f"{location} has the layout {schema!r}, this program reads layout {SCHEMA}. "
            "Use the version of sigma-scale that wrote it, or ingest the map again."
        )
    if not unfinished and state_of(attrs) != "complete":
        raise UnfinishedStoreError(
            f"{location} is unfinished: its writing was interrupted. Run the same ingest again to "
            "complete it; finished chunks are kept."
        )
    if unfinished or COUNTS in group:
        return group
    raise StoreError(
        f"{location} has no array {COUNTS!r}: the store is damaged. Ingest the map again."
    )


def _nothing_at(location: Location) -> str:
    if isinstance(location, UrlPath):
        return f"There is no store at {location}. Check the URL, its bucket and its endpoint."
    return f"There is no store at {location}."


def consolidate(path: PathOrUrl) -> None:
    """Gather the metadata of a store in one place, which is where xarray looks first."""
    import warnings

    location = locate(path)
    # What is done about warnings is one for all threads: two at once would undo each other's.
    with _consolidating, warnings.catch_warnings():
        # zarr warns that consolidated metadata are not yet part of its v3 specification.
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(zarr_store(location))
    # Edits change without this being made again: a copy here would soon be an old one.
    node = json.loads((location / _NODE).read_bytes())
    members = node["consolidated_metadata"]["metadata"]
    kept = {name: member for name, member in members.items() if not name.startswith(EDITS)}
    if len(kept) < len(members):
        node["consolidated_metadata"]["metadata"] = kept
        place_at(location).write(_NODE, json.dumps(node, indent=2).encode())


def finish(path: PathOrUrl) -> None:
    """Take the mark of an unfinished store away."""
    location = locate(path)
    consolidate(location)
    node = json.loads((location / _NODE).read_bytes())
    node["attributes"][STATE]["state"] = "complete"
    place_at(location).write(_NODE, json.dumps(node, indent=2).encode())
