"""Writing a map to a store, so that an interruption loses nothing and pretends nothing."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sigma_scale.errors import OutputExistsError
from sigma_scale.files import remove_drafts
from sigma_scale.store.codec import Encoding
from sigma_scale.store.counts import write_counts
from sigma_scale.store.create import create
from sigma_scale.store.hashing import hashing
from sigma_scale.store.layout import STATE, consolidate, is_store, open_group, state_of
from sigma_scale.store.stored import StoredCounts, open_map

if TYPE_CHECKING:
    import zarr

    from sigma_scale.spectra import BlockSource, MapMetadata, SpectrumImage

__all__ = ["write_map"]

_logger = logging.getLogger(__name__)


def write_map(
    image: SpectrumImage,
    path: str | Path,
    *,
    overwrite: bool = False,
    reuse: bool = False,
    encoding: Encoding | None = None,
) -> SpectrumImage:
    """
    Write a map to a store and open it from there.

    Each chunk is written once, by one task, wherever Dask runs it. If the same map was being
    written to the same place before and was interrupted, the finished chunks are kept.

    Parameters
    ----------
    image : SpectrumImage
        The map; its counts are written as measured, without the processing.
    path : path
        Folder of the store.
    overwrite : bool, default: False
        Replace a store that is there. Anything that is not a store is never replaced.
    reuse : bool, default: False
        Open a complete store of the same map instead of refusing to write it again.
    encoding : Encoding, optional
        How chunks are compressed.

    Returns
    -------
    SpectrumImage
        The map, reading from the store.

    Raises
    ------
    OutputExistsError
        If something is at the path that is not an interrupted store of the same map, or the map
        is read from there.
    StoreError
        If writing fails, for example because the disk is full.
    """
    path = Path(path)
    _refuse_own_source(image.source, path)
    encoding = encoding or Encoding()
    identity = _identity(image, encoding)
    if reuse and _holds(path, identity):
        _logger.info("%s holds this map already.", path)
        return open_map(path)
    if not _resumable(path, identity, overwrite=overwrite):
        create(path, image, identity, encoding)
    group = open_group(path, unfinished=True, mode="r+")
    with hashing(image.metadata) as hashes:
        write_counts(image.source, group, encoding)
        _finish(path, group, hashes.result())
    return open_map(path)


def _refuse_own_source(source: BlockSource, path: Path) -> None:
    """Keep a store from being overwritten with itself, which would delete it first."""
    root = getattr(source.array.store, "root", None) if isinstance(source, StoredCounts) else None
    if root is not None and Path(root).resolve() == path.resolve():
        raise OutputExistsError(f"{path} is where the map is read from. Choose another name.")


def _identity(image: SpectrumImage, encoding: Encoding) -> str:
    """What an interrupted store must agree in to be completed."""
    from dask.base import tokenize

    metadata = image.metadata
    files = metadata.sources
    # Name and size alone, without the file or its hash, don't tell one map from another.
    told = bool(files) and all(file.path or file.digest for file in files)
    fingerprints = [file.fingerprint() for file in files]
    origin: Any = (fingerprints, metadata.selection) if told else image.source
    return str(tokenize(origin, image.source.shape, image.energy, encoding))


def _holds(path: Path, identity: str) -> bool:
    """Whether a complete store of the same map is at the path."""
    if not is_store(path):
        return False
    state: Any = open_group(path, unfinished=True).attrs[STATE]
    return bool(state.get("state") == "complete" and state.get("identity") == identity)


def _resumable(path: Path, identity: str, *, overwrite: bool) -> bool:
    """Whether to go on with what is at the path; otherwise the way is free afterwards."""
    if not path.exists():
        return False
    if not is_store(path):
        if path.is_dir() and not any(path.iterdir()):
            return False
        raise OutputExistsError(
            f"{path} exists and is not a store of sigma-scale. Choose another name, or move it "
            "away."
        )
    attrs = dict(open_group(path, unfinished=True).attrs)
    unfinished = state_of(attrs) == "unfinished"
    if unfinished and cast("dict[str, Any]", attrs[STATE]).get("identity") == identity:
        _logger.info("%s is unfinished: going on with it, finished chunks are kept.", path)
        return True
    if overwrite:
        shutil.rmtree(path)
        return False
    if unfinished:
        raise OutputExistsError(
            f"{path} is an unfinished store of another map. Choose another name, or overwrite it."
        )
    raise OutputExistsError(f"{path} exists already. Choose another name, or overwrite it.")


def _finish(path: Path, group: zarr.Group, metadata: MapMetadata) -> None:
    """Take the mark of an unfinished store away, and what killed writers left with it."""
    remove_drafts(path)
    group.attrs["sources"] = metadata.to_attrs()["sources"]
    state = cast("dict[str, Any]", group.attrs[STATE])
    group.attrs[STATE] = {**state, "state": "complete"}
    consolidate(path)
