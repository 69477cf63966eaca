"""Writing each tile of a mosaic to a store of its own."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

from sigma_scale import compute, progress
from sigma_scale.errors import (
    CorruptChunkError,
    FileFormatError,
    OutputExistsError,
    ParameterError,
    SigmaScaleError,
    SigmaScaleWarning,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.mosaic.file_state import stamp_of_store
from sigma_scale.mosaic.registration import Registration
from sigma_scale.mosaic.stored_tiles import damage_of
from sigma_scale.spectra.processing import Processing
from sigma_scale.store import Encoding, StoredCounts, is_store, write_map
from sigma_scale.store.location import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from os import PathLike

    import numpy as np

    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.tile import Tile
    from sigma_scale.spectra import BlockSource, EventBlock, Scratch, SpectrumImage

__all__ = ["folder_names", "ingest_tiles"]

_Tiles = TypeVar("_Tiles", bound="TileLayout | Registration")

_LARGE = 32 * 1024**2
"""
Pixels above which a tile is written by all workers together.

Such a tile has 32 regions of the largest size, work enough for many; as one task it would keep one
worker busy long after the others have nothing left to do. Smaller ones are better taken many at a
time: opening a file, hashing it and closing its store are work for one.
"""
_LONGEST_NAME = 60
_DIGITS = 8
_NAMED = 8
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_RESERVED = re.compile(r"(?i)con|prn|aux|nul|com\d|lpt\d")
"""What Windows doesn't take as the name of a file."""
_NOT_READ = (FileFormatError, SourceNotFoundError, ParameterError, CorruptChunkError)
"""Errors by which a tile is known to be at fault, not the place where its store goes."""


def ingest_tiles(
    tiles: _Tiles,
    folder: str | PathLike[str],
    *,
    encoding: Encoding | None = None,
    unreadable: Literal["raise", "skip"] = "raise",
    overwrite: bool = False,
) -> _Tiles:
    """
    Write each tile to a store, many at a time, and lay out the stores.

    An interrupted ingest goes on where it stopped: stores that are complete are kept, others are
    completed. Tiles that are stores already are taken as they are, if all their chunks are there;
    where tiles may be skipped, those are decoded too.

    Parameters
    ----------
    tiles : TileLayout or Registration
        The tiles.
    folder : path
        Where the stores go, one folder ``NAME.zarr`` each; a name that isn't of letters, digits,
        ``_`` and ``-`` alone is made so, and ends in a hash of itself.
    encoding : Encoding, optional
        How counts are compressed.
    unreadable : {"raise", "skip"}, default: "raise"
        What to do with tiles that can't be read, or whose channels are too different.
    overwrite : bool, default: False
        Replace stores of other maps that are in the way, such as of a file that has changed.

    Returns
    -------
    TileLayout or Registration
        What was given, of the stores, at the same places; tiles that were skipped are in the
        ``left_out`` of the layout.

    Raises
    ------
    SigmaScaleError
        If a tile can't be read; of the kind that reading it raised. The message names the tile,
        its line of the manifest and its file.
    StoreError
        If a store can't be written, for example because the disk is full.
    OutputExistsError
        If another map's store is in the way.
    ParameterError
        If a tile is too different, has been processed, or another tile is in the way.

    Warns
    -----
    SigmaScaleWarning
        If tiles are left out.
    """
    if unreadable not in {"raise", "skip"}:
        raise ParameterError(f"unreadable must be 'raise' or 'skip', not {unreadable!r}.")
    given = tiles.layout if isinstance(tiles, Registration) else tiles
    layout = _ingested(given, folder, encoding, unreadable, overwrite=overwrite)
    if not isinstance(tiles, Registration):
        return cast("_Tiles", layout)
    kept = {tile.name for tile in layout}
    known = tiles.pairs["tile_a"].isin(kept) & tiles.pairs["tile_b"].isin(kept)
    unmatched = tuple(name for name in tiles.unmatched if name in kept)
    pairs = tiles.pairs[known].reset_index(drop=True)
    return replace(tiles, layout=layout, pairs=pairs, unmatched=unmatched)


def _ingested(
    layout: TileLayout,
    folder: str | PathLike[str],
    encoding: Encoding | None,
    unreadable: str,
    *,
    overwrite: bool,
) -> TileLayout:
    jobs = _jobs(layout, local_path(folder, "The stores of tiles").absolute())
    failed: dict[int, SigmaScaleError] = {}

    def note(number: int, error: SigmaScaleError) -> None:
        told = _named_error(layout.tiles[number], error)
        if unreadable == "raise" or not isinstance(error, _NOT_READ):
            raise told from error
        failed[number] = told

    for number, error in _too_different(layout):
        note(number, error)
    for number, error in _damaged(layout, decode=unreadable == "skip"):
        note(number, error)
    jobs = [job for job in jobs if job.number not in failed]
    write = _TileWriter(encoding, overwrite=overwrite)
    total = sum(job.pixels for job in jobs)
    with progress.progress_bar("Writing tiles", total=total) as bar:
        for job, found in _written(write, jobs):
            if found is not None:
                note(job.number, found)
            bar.update(job.pixels)
    if failed and len(failed) == len(layout):
        raise failed[min(failed)]
    _warn([layout.tiles[number].name for number in sorted(failed)])
    stores = {job.number: job.target for job in jobs}
    tiles = (
        _stored(tile, stores[number]) if number in stores else tile
        for number, tile in enumerate(layout)
        if number not in failed
    )
    left_out = {layout.tiles[number].name: str(failed[number]) for number in sorted(failed)}
    return replace(layout, tiles=tuple(tiles), left_out={**layout.left_out, **left_out})


def _stored(tile: Tile, path: Path) -> Tile:
    """Return the tile as its own store has it."""
    return replace(tile, path=path, options={}, image=None, stamp=stamp_of_store(path))


def folder_names(names: Sequence[str]) -> list[str]:
    """
    Names of folders for tiles: safe on every system, each its own, the same every time.

    Parameters
    ----------
    names : sequence of str
        Names of tiles, each its own.

    Returns
    -------
    list of str
        The name itself where it is of letters, digits, ``_`` and ``-`` alone; otherwise it ends in
        a hash of the name.
    """
    # Names that differ in capitals alone are one name to some systems.
    alike = Counter(name.lower() for name in names)
    return [_folder_name(name, plain=alike[name.lower()] == 1) for name in names]


def _folder_name(name: str, *, plain: bool) -> str:
    safe = _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name) and len(name) <= _LONGEST_NAME
    if plain and safe:
        return name
    digits = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    start = "".join(part if _PLAIN.fullmatch(part) else "_" for part in name[:_LONGEST_NAME])
    return f"{start}-{digits}"


class _Job(NamedTuple):
    number: int
    tile: Tile
    target: Path

    @property
    def pixels(self) -> int:
        return self.tile.shape[0] * self.tile.shape[1]


def _jobs(layout: TileLayout, folder: Path) -> list[_Job]:
    names = folder_names([tile.name for tile in layout])
    jobs = [
        _Job(number, tile, folder / f"{name}.zarr")
        for number, (tile, name) in enumerate(zip(layout, names, strict=True))
        if not _is_stored(tile)
    ]
    taken = {path.resolve(): tile for tile in layout if (path := _place(tile)) is not None}
    for job in jobs:
        other = taken.get(job.target.resolve())
        if other is not None:
            raise ParameterError(
                f"The store of {job.tile.label} would be {job.target}, which is the file of "
                f"{other.label}. Choose another folder for the stores of tiles."
            )
    return jobs


def _place(tile: Tile) -> Path | None:
    """Where a tile is read from, also if it is in memory as the map of a store."""
    if tile.image is None or not isinstance(tile.image.source, StoredCounts):
        return tile.path
    root = getattr(tile.image.source.array.store, "root", None)
    return None if root is None else Path(root)


def _is_stored(tile: Tile) -> bool:
    return tile.image is None and tile.path is not None and is_store(tile.path)


def _too_different(layout: TileLayout) -> Iterator[tuple[int, SigmaScaleError]]:
    number = {tile.name: n for n, tile in enumerate(layout)}
    for finding in layout.findings:
        if finding.verdict == "too different":
            yield number[finding.tile], ParameterError(finding.message)


def _damaged(layout: TileLayout, *, decode: bool) -> Iterator[tuple[int, SigmaScaleError]]:
    """Stores among the tiles that have lost counts, which composition would find out late."""
    stores = [(number, tile, decode) for number, tile in enumerate(layout) if _is_stored(tile)]
    if stores:
        for number, error in compute.stream(damage_of, stores, description="Checking tiles"):
            if error is not None:
                yield number, error


def _named_error(tile: Tile, error: SigmaScaleError) -> SigmaScaleError:
    """Error of the same kind that names the tile and says what can be done."""
    file = "" if tile.path is None else f" from {tile.path}"
    start = tile.heading
    if isinstance(error, OutputExistsError):
        return type(error)(
            f"{start} can't be stored: {error} If its file has changed since, remove the store, "
            "or give overwrite=True (--overwrite)."
        )
    if not isinstance(error, _NOT_READ):
        return type(error)(f"{start} can't be stored: {error}")
    return type(error)(
        f"{start} can't be read{file}: {error} Mend it, take it out, or leave out what can't be "
        "read by unreadable='skip' (--skip-unreadable)."
    )


def _warn(names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        warnings.warn(
            f"Left out, since they can't be read: {', '.join(names[:_NAMED])}{more}.",
            SigmaScaleWarning,
            stacklevel=3,
        )


def _written(
    write: Callable[[_Job], SigmaScaleError | None], jobs: Sequence[_Job]
) -> Iterator[tuple[_Job, SigmaScaleError | None]]:
    """Write small tiles many at a time, then large ones with many workers each."""
    small = [job for job in jobs if job.pixels <= _LARGE]
    yield from compute.stream(_Alone(write), small, description="Writing tiles")
    for job in jobs:
        if job.pixels > _LARGE:
            yield job, write(job)


@dataclass(frozen=True)
class _Alone:
    """Writes a tile as one task: in the thread that it is given, and without bars of its own."""

    write: Callable[[_Job], SigmaScaleError | None]

    def __call__(self, job: _Job) -> tuple[_Job, SigmaScaleError | None]:
        with compute.inline(), progress.hidden():
            return job, self.write(job)


@dataclass(frozen=True)
class _TileWriter:
    """Writes a tile to its store, or says why it can't; from any thread or process."""

    encoding: Encoding | None
    overwrite: bool

    def __call__(self, job: _Job) -> SigmaScaleError | None:
        try:
            image = _readable(job.tile)
            write_map(
                image, job.target, reuse=True, overwrite=self.overwrite, encoding=self.encoding
            )
        except (*_NOT_READ, StoreError, OutputExistsError) as error:
            return error
        except SigmaScaleError:
            raise
        except OSError as error:
            return StoreError(
                f"{job.target} can't be written: {error}. Once that is mended, do the same again: "
                "what is finished is kept."
            )
        return None


def _readable(tile: Tile) -> SpectrumImage:
    """Open a tile's map; what the system says of its file is an error of the file from now on."""
    try:
        image = tile.read()
    except SigmaScaleError:
        raise
    except OSError as error:
        raise FileFormatError(str(error)) from error
    if image.processing != Processing():
        raise ParameterError(
            f"Its counts are seen through {image.processing}, and tiles are written as measured. "
            "Give the map without these steps."
        )
    if isinstance(image.source, StoredCounts):
        return image
    return replace(image, source=cast("BlockSource", _Reading(image.source)))


@dataclass(frozen=True, eq=False)
class _Reading:
    """Counts of a source, whose troubles can be told from those of writing."""

    source: BlockSource

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def chunk_shape(self) -> tuple[int, int]:
        return self.source.chunk_shape

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        try:
            return self.source.read_block(row, column, scratch)
        except _NOT_READ:
            raise
        except OSError as error:
            raise FileFormatError(str(error)) from error

    def __dask_tokenize__(self) -> Hashable:
        return self.source.__dask_tokenize__()
