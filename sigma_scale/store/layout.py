"""
What a map on disk looks like, and whether it is complete.

A map is one zarr (v3) group. Its attributes hold the metadata of the map and, under
``sigma_scale``, the version of this layout, the state of the store and the identity of its
counts. A store is marked unfinished before its first chunk is written, and only the last step of
writing takes the mark away.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import zarr
from zarr.errors import (
    ContainsArrayError,
    GroupNotFoundError,
)

from sigma_scale.errors import SourceNotFoundError, StoreError, UnfinishedStoreError
from sigma_scale.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "COUNTS",
    "EDITS",
    "SCHEMA",
    "consolidate",
    "is_store",
    "open_group",
    "state_of",
]

SCHEMA = 1
COUNTS = "counts"
EDITS = "edits"
"""Group of the log of edits, and the beginning of the names of those that are kept aside."""
STATE = "sigma_scale"

State = Literal["unfinished", "complete"]


def is_store(path: str | Path) -> bool:
    """
    Whether there is a zarr group of ours at a path, complete or not.

    Parameters
    ----------
    path : path
        Folder that may be a store.

    Returns
    -------
    bool
    """
    if not (Path(path) / "zarr.json").is_file():
        return False
    try:
        return STATE in zarr.open_group(str(path), mode="r").attrs
    except (OSError, ValueError, KeyError, TypeError):
        return False


def state_of(attrs: Mapping[str, Any]) -> State:
    """Read whether a store is complete from its attributes."""
    state = attrs.get(STATE, {}).get("state")
    return "complete" if state == "complete" else "unfinished"


def open_group(path: str | Path, *, unfinished: bool = False, mode: str = "r") -> zarr.Group:
    """
    Open the group of a map.

    Parameters
    ----------
    path : path
        Folder of the store.
    unfinished : bool, default: False
        Accept a store whose writing was interrupted.
    mode : {"r", "r+"}, default: "r"
        Read only, or also write.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    StoreError
        If what is there is not a map, or one of a later layout.
    UnfinishedStoreError
        If writing was interrupted and ``unfinished`` is not set.
    """
    if not Path(path).exists():
        raise SourceNotFoundError(f"There is no store at {path}.")
    try:
        # Not from consolidated metadata: those of an interrupted run may be out of date.
        group = zarr.open_group(str(path), mode=mode, use_consolidated=False)  # type: ignore[arg-type]
    except (GroupNotFoundError, ContainsArrayError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is not a zarr group: {error}") from error
    attrs: dict[str, Any] = dict(group.attrs)
    if STATE not in attrs:
        raise StoreError(f"{path} is a zarr group, but not a map written by sigma-scale.")
    schema = attrs[STATE].get("schema")
    if schema != SCHEMA:
        raise StoreError(
            f"{path} has the layout {schema!r}, this program reads layout {SCHEMA}. "
            "Use the version of sigma-scale that wrote it, or ingest the map again."
        )
    if not unfinished and state_of(attrs) != "complete":
        raise UnfinishedStoreError(
            f"{path} is unfinished: its writing was interrupted. Run the same ingest again to "
            "complete it; finished chunks are kept."
        )
    if unfinished or COUNTS in group:
        return group
    raise StoreError(f"{path} has no array {COUNTS!r}: the store is damaged. Ingest the map again.")


def consolidate(path: str | Path) -> None:
    """Gather the metadata of a store in one place, which is where xarray looks first."""
    import json
    import warnings

    with warnings.catch_warnings():
        # zarr warns that consolidated metadata are not yet part of its v3 specification.
        warnings.filterwarnings("ignore", message="Consolidated metadata", category=UserWarning)
        zarr.consolidate_metadata(str(path))
    # Edits change without this being made again: a copy here would soon be an old one.
    file = Path(path) / "zarr.json"
    node = json.loads(file.read_bytes())
    members = node["consolidated_metadata"]["metadata"]
    kept = {name: member for name, member in members.items() if not name.startswith(EDITS)}
    if len(kept) < len(members):
        node["consolidated_metadata"]["metadata"] = kept
        write_atomically(file, json.dumps(node, indent=2).encode())
