"""Writing a map to a store, so that an interruption loses nothing and pretends nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from sigma_scale.errors import OutputExistsError, SourceNotFoundError, StoreError
from sigma_scale.store.codec import Encoding
from sigma_scale.store.counts import write_counts
from sigma_scale.store.create import create
from sigma_scale.store.hashing import hashing
from sigma_scale.store.layout import COUNTS, STATE, finish, is_store, open_group, state_of
from sigma_scale.store.location import locate
from sigma_scale.store.places import place_at
from sigma_scale.store.stored import StoredCounts, open_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import zarr

    from sigma_scale.spectra import BlockSource, MapMetadata, SpectrumImage
    from sigma_scale.store.location import Location, PathOrUrl

__all__ = ["write_map"]

_logger = logging.getLogger(__name__)


def write_map(
    image: SpectrumImage,
    path: PathOrUrl,
    *,
    overwrite: bool = False,
    reuse: bool = False,
    encoding: Encoding | None = None,
    prefill: Callable[[zarr.Group], object] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> SpectrumImage:
    """
    Write a map to a store and open it from there.

    Each chunk is written once, by one task, wherever Dask runs it. If the same map was being
    written to the same place before and was interrupted, the finished chunks are kept.

    Parameters
    ----------
    image : SpectrumImage
        The map; its counts are written as measured, without the processing.
    path : path or URL
        Folder of the store; or its URL, ``s3://``, ``gs://``, ``memory://`` or ``file://``.
    overwrite : bool, default: False
        Replace a store that is there. Anything that is not a store is never replaced.
    reuse : bool, default: False
        Open a complete store of the same map instead of refusing to write it again.
    encoding : Encoding, optional
        How chunks are compressed.
    prefill : callable, optional
        Called with the group of the unfinished store before counts are written, also when an
        interrupted run goes on. Chunks that it puts there are kept; attributes may be added.
    storage_options : mapping, optional
        Options of the file system behind a URL, as fsspec takes them, besides those of its
        configuration. Credentials come from the environment, in each process.

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
        If writing fails, for example because the disk is full or a server is out of reach.
    ParameterError
        If the URL or an option can't be.

    Notes
    -----
    In a folder the store appears with its mark of an unfinished one, which is taken away at the
    end. In an object store the mark is the first object written, and taking it away the last:
    objects appear whole, so there is nothing half-written that looks finished. One writer at a
    time: there are no locks.
    """
    location = locate(path, storage_options)
    _refuse_own_source(image.source, location)
    encoding = encoding or Encoding()
    identity = _identity(image, encoding)
    if reuse and _holds(location, identity):
        _logger.info("%s holds this map already.", location)
        return open_map(location)
    if not _resumable(location, identity, overwrite=overwrite):
        create(location, image, identity, encoding)
    group = open_group(location, unfinished=True, mode="r+")
    if prefill is not None:
        prefill(group)
    with hashing(image.metadata) as hashes:
        write_counts(image.source, group, encoding)
        _check_there(location, identity)
        _finish(location, group, hashes.result())
    return open_map(location)


def _refuse_own_source(source: BlockSource, location: Location) -> None:
    """Keep a store from being overwritten with itself, which would delete it first."""
    if isinstance(source, StoredCounts) and place_at(location).holds(source.array.store):
        raise OutputExistsError(f"{location} is where the map is read from. Choose another name.")


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


def _holds(location: Location, identity: str) -> bool:
    """Whether a complete store of the same map is at the place."""
    if not is_store(location):
        return False
    state: Any = open_group(location, unfinished=True).attrs[STATE]
    return bool(state.get("state") == "complete" and state.get("identity") == identity)


def _resumable(location: Location, identity: str, *, overwrite: bool) -> bool:
    """Whether to go on with what is at the place; otherwise the way is free afterwards."""
    if not location.exists():
        return False
    if not is_store(location):
        if location.is_dir() and not any(location.iterdir()):
            return False
        raise OutputExistsError(
            f"{location} exists and is not a store of sigma-scale. Choose another name, or move it "
            "away."
        )
    group = open_group(location, unfinished=True)
    attrs = dict(group.attrs)
    unfinished = state_of(attrs) == "unfinished"
    if unfinished and cast("dict[str, Any]", attrs[STATE]).get("identity") == identity:
        if COUNTS in group:
            _logger.info("%s is unfinished: going on with it, finished chunks are kept.", location)
            return True
        overwrite = True  # It was not even laid out.
    if overwrite:
        _remove(location)
        return False
    if unfinished:
        raise OutputExistsError(
            f"{location} is an unfinished store of another map. Choose another name, or overwrite "
            "it (--overwrite; in Python overwrite=True)."
        )
    raise OutputExistsError(
        f"{location} exists already. Choose another name, or overwrite it "
        "(--overwrite; in Python overwrite=True)."
    )


def _remove(location: Location) -> None:
    try:
        place_at(location).remove()
    except OSError as error:
        raise StoreError(f"The store {location} can't be deleted: {error}") from error


def _check_there(location: Location, identity: str) -> None:
    """
    Refuse to finish what was moved or removed meanwhile.

    Chunks that are written make their folders anew, so that writing alone would not notice.
    """
    try:
        group = open_group(location, unfinished=True)
        own = cast("dict[str, Any]", group.attrs[STATE]).get("identity") == identity
        there = own and COUNTS in group
    except (SourceNotFoundError, StoreError):
        there = False
    if not there:
        raise StoreError(
            f"{location} was moved, removed or replaced while it was being written. What is there "
            "now is not complete: remove it, and run the same command again."
        )


def _finish(location: Location, group: zarr.Group, metadata: MapMetadata) -> None:
    """Take the mark of an unfinished store away, and what killed writers left with it."""
    place_at(location).tidy()
    group.attrs["sources"] = metadata.to_attrs()["sources"]
    finish(location)
