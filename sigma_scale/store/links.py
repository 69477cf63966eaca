"""Chunks that an array has in common with another one, without a copy of their bytes."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import zarr

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["link_chunks"]

_LOGGER = logging.getLogger(__name__)

_META = "zarr.json"
_NAMES = ("attributes", "dimension_names")
"""What says nothing of the chunks' bytes."""


def link_chunks(source: Path, target: Path) -> bool:
    """
    Give an array that has no chunks yet those of another one of the same making, as hard links.

    Either array may be removed afterwards, and the other keeps its chunks. That holds for writing
    as well, since chunks are never changed in place: a new file takes the name of the old one.

    Parameters
    ----------
    source, target : pathlib.Path
        Folders of two zarr arrays.

    Returns
    -------
    bool
        False, and nothing is linked, where the arrays are not made alike, or the folders lie on
        file systems that have no links between them.
    """
    if _making(source) != _making(target):
        return False
    linked: list[Path] = []
    try:
        for chunk in source.rglob("*"):
            if chunk.is_dir() or chunk.name == _META:
                continue
            place = target / chunk.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(chunk, place)
            linked.append(place)
    except OSError as error:
        _LOGGER.info("%s is copied, since it can't be linked: %s", source, error)
        for place in linked:
            place.unlink()
        return False
    return True


def _making(array: Path) -> dict[str, Any]:
    """Shape, type, chunks and codecs of an array."""
    metadata = zarr.open_array(str(array), mode="r", zarr_format=3).metadata.to_dict()
    return {name: value for name, value in metadata.items() if name not in _NAMES}
