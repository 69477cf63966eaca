"""Writing a mosaic to a store, and keeping what is finished of it when tiles are added."""

from __future__ import annotations

import logging
import shutil
import warnings
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from sigma_scale import compute, progress
from sigma_scale.errors import (
    CorruptChunkError,
    OutputExistsError,
    ParameterError,
    SigmaScaleWarning,
    StoreError,
)
from sigma_scale.mosaic.overview import layout_of, registration_summary
from sigma_scale.spectra import Scratch
from sigma_scale.store import Encoding, StoredCounts, is_store, open_map, write_map
from sigma_scale.store.chunks import EncodedChunks
from sigma_scale.store.layout import COUNTS, open_group
from sigma_scale.store.location import UrlPath, locate
from sigma_scale.store.places import place_at
from sigma_scale.store.zarr_codec import EventsCodec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    import zarr
    from numpy.typing import NDArray

    from sigma_scale.mosaic.composition import MosaicPlan
    from sigma_scale.mosaic.layout import TileLayout
    from sigma_scale.mosaic.registration import Registration
    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.store.location import Location

__all__ = ["MOSAIC", "mosaic_attrs", "restore_replaced", "write_mosaic"]

MOSAIC = "mosaic"
"""Attribute of a store that tells which tiles it was made of."""

_logger = logging.getLogger(__name__)


def write_mosaic(
    tiles: TileLayout | Registration,
    path: str | PathLike[str] | UrlPath,
    *,
    overlap: Literal["seam", "sum"] = "seam",
    doses: NDArray[Any] | Literal["equal"] | None = None,
    overwrite: bool = False,
    reuse: bool = False,
    earlier: str | PathLike[str] | UrlPath | None = None,
    encoding: Encoding | None = None,
    about: Mapping[str, Any] | None = None,
) -> SpectrumImage:
    """
    Compose a mosaic, write it to a store and open it from there.

    An interrupted mosaic goes on where it stopped. What an earlier mosaic holds of the same counts
    is copied from it, as it is on disk, instead of being composed again.

    Parameters
    ----------
    tiles : TileLayout or Registration
        The tiles, best each in its own store; see :func:`ingest_tiles`.
    path : path or URL
        Where the store goes.
    overlap : {"seam", "sum"}, default: "seam"
        What happens where tiles overlap: each pixel is of one tile, or their counts are added.
    doses : array or "equal", shape (tile,), optional
        Relative doses of the tiles; None: estimated from their overlaps. See :func:`compose`.
    overwrite : bool, default: False
        Replace a store that is there. If it is a mosaic, the new one is built beside it, copies
        from it what is the same, and takes its place once complete.
    reuse : bool, default: False
        Open a complete store of the same mosaic instead of refusing to write it again.
    earlier : path or URL, optional
        Store of a mosaic of some of the tiles to copy from.
    encoding : Encoding, optional
        How counts are compressed.
    about : mapping, optional
        What else to note in the store's attribute ``mosaic``, JSON types.

    Returns
    -------
    SpectrumImage
        The mosaic, reading from the store.

    Raises
    ------
    OutputExistsError
        If something is at the path that isn't an interrupted store of the same mosaic, or a tile
        is read from there.
    StoreError
        If ``earlier`` is no mosaic, or writing fails.
    ParameterError
        If a mosaic in an object store is to be replaced by one that copies from it.
    SigmaScaleError
        If a tile can't be read.

    Warns
    -----
    SigmaScaleWarning
        If results derived from the replaced store are dropped with it.
    """
    from sigma_scale.mosaic.composition import compose, same_blocks

    target = locate(path)
    _refuse_own_tiles(layout_of(tiles), target)
    restore_replaced(target)
    if earlier is None and overwrite and _is_mosaic(target):
        earlier = target
    before = None if earlier is None else _Earlier.opened(locate(earlier))
    composed = partial(compose, layout_of(tiles), overlap=overlap, doses=doses)
    image = composed(earlier_plan=None if before is None else before.plan)
    plan = cast("Any", image.source).plan
    if before is not None and not same_blocks(before.plan, plan):
        # Nothing can be kept, so it need not begin where the other one does.
        image = composed()
        plan = cast("Any", image.source).plan
    in_place = before is not None and before.place.resolve() == target.resolve()
    if before is not None and in_place and before.plan == plan:
        # The same mosaic, whole or interrupted: it can stay and go on.
        before, in_place = None, False
    if in_place and not overwrite:
        raise OutputExistsError(
            f"{target} exists already. Choose another name, or overwrite it "
            "(--overwrite; in Python overwrite=True)."
        )
    prefill = _Prefill(_attrs(tiles, plan, about), plan, before)
    if not in_place:
        return write_map(
            image, target, overwrite=overwrite, reuse=reuse, encoding=encoding, prefill=prefill
        )
    if isinstance(target, UrlPath):
        raise ParameterError(
            f"{target} can't be replaced by a mosaic that copies from it: objects can't be "
            "renamed. Give the new mosaic another name, and the old one as earlier."
        )
    draft = target.with_name(f".{target.name}.adding")
    write_map(image, draft, overwrite=True, reuse=True, encoding=encoding, prefill=prefill)
    _warn_of_results(target)
    _put_in_place(draft, target)
    return open_map(target)


def _refuse_own_tiles(layout: TileLayout, target: Location) -> None:
    """Keep a mosaic from taking the place of its own tiles, which would delete them first."""
    for tile in layout:
        if tile.image is not None:
            source = tile.image.source
            own = isinstance(source, StoredCounts) and place_at(target).holds(source.array.store)
        else:
            own = (
                tile.path is not None
                and isinstance(target, Path)
                and tile.path.resolve().is_relative_to(target.resolve())
            )
        if own:
            raise OutputExistsError(
                f"{target} is where {tile.label} is read from. Choose another name."
            )


def mosaic_attrs(path: str | PathLike[str] | UrlPath) -> dict[str, Any]:
    """
    Read which tiles a store was made of.

    Parameters
    ----------
    path : path
        Folder of the store, complete or not.

    Returns
    -------
    dict
        ``plan``; ``layout`` with ``unit`` and ``tiles``; ``registration``, where there was one; and
        what else was noted.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    StoreError
        If it isn't a mosaic.
    """
    attrs = open_group(path, unfinished=True).attrs
    if MOSAIC not in attrs:
        raise StoreError(f"{path} is not a mosaic: it doesn't say which tiles it was made of.")
    return cast("dict[str, Any]", attrs[MOSAIC])


def _is_mosaic(path: Location) -> bool:
    return is_store(path) and MOSAIC in open_group(path, unfinished=True).attrs


def restore_replaced(path: str | PathLike[str] | UrlPath) -> None:
    """
    Put a store back that was to be replaced when the program was killed between two steps.

    Parameters
    ----------
    path : path
        Folder of the store.
    """
    place = locate(path)
    # Those in object stores are never put aside.
    if isinstance(place, Path) and not place.exists() and _aside(place).exists():
        _aside(place).rename(place)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _put_in_place(draft: Path, path: Path) -> None:
    """Let a complete store take the place of another; one of them is always there whole."""
    aside = _aside(path)
    try:
        if aside.exists():
            shutil.rmtree(aside)
        path.rename(aside)
        draft.rename(path)
    except OSError as error:
        restore_replaced(path)
        raise StoreError(
            f"{path} can't be replaced: {error}. The new store is complete at {draft}."
        ) from error
    shutil.rmtree(aside, ignore_errors=True)


def _warn_of_results(path: Path) -> None:
    names = sorted(name for name, _ in open_group(path, unfinished=True).groups())
    if names:
        warnings.warn(
            f"These results were made from the mosaic before and are dropped: {', '.join(names)}. "
            "Run the analysis again.",
            SigmaScaleWarning,
            stacklevel=3,
        )


def _attrs(
    tiles: TileLayout | Registration, plan: MosaicPlan, about: Mapping[str, Any] | None
) -> dict[str, Any]:
    layout = layout_of(tiles)
    rows = [
        {
            "name": tile.name,
            "file": None if tile.path is None else tile.path.name,
            "row": tile.row,
            "column": tile.column,
            "y": float(tile.position[0]),
            "x": float(tile.position[1]),
            "shape": list(tile.shape),
        }
        for tile in layout
    ]
    attrs: dict[str, Any] = {
        **(about or {}),
        "plan": plan.to_attrs(),
        "layout": {"unit": layout.unit, "tiles": rows},
        "left_out": dict(layout.left_out),
    }
    if tiles is not layout:
        attrs["registration"] = registration_summary(cast("Registration", tiles))
    return attrs


@dataclass(frozen=True)
class _Earlier:
    """A mosaic to copy from."""

    place: Location
    plan: MosaicPlan
    counts: zarr.Array[Any] | None
    """None where the store has no counts yet, or not as chunks of events."""

    @classmethod
    def opened(cls, path: Location) -> _Earlier:
        from sigma_scale.mosaic.composition import MosaicPlan

        plan = MosaicPlan.from_attrs(mosaic_attrs(path)["plan"])
        group = open_group(path, unfinished=True)
        counts = cast("zarr.Array[Any]", group[COUNTS]) if COUNTS in group else None
        events = counts is not None and isinstance(counts.serializer, EventsCodec)
        return cls(path, plan, counts if events else None)


@dataclass(frozen=True)
class _Prefill:
    """Notes what a new store is made of, and copies into it what an earlier one has of it."""

    attrs: dict[str, Any]
    plan: MosaicPlan
    earlier: _Earlier | None

    def __call__(self, group: zarr.Group) -> None:
        group.attrs[MOSAIC] = self.attrs
        counts = cast("zarr.Array[Any]", group[COUNTS])
        if self.earlier is None or self.earlier.counts is None:
            return
        if not _interchangeable(self.earlier.counts, counts):
            _logger.info("%s is of another kind; nothing is copied.", self.earlier.place)
            return
        from sigma_scale.mosaic.composition import same_blocks

        pairs = [
            _Pair(now, before) for now, before in same_blocks(self.earlier.plan, self.plan).items()
        ]
        # All of a row come from one row.
        batches = [list(row) for _, row in groupby(sorted(pairs), key=lambda pair: pair.now[0])]
        copy = _Copy(self.earlier.counts, counts)
        with progress.progress_bar("Keeping blocks", total=len(pairs), unit="block") as bar:
            for number in compute.stream(copy, batches, description="Keeping blocks"):
                bar.update(number)
        _logger.info("%d blocks are kept from %s.", len(pairs), self.earlier.place)


def _interchangeable(one: zarr.Array[Any], other: zarr.Array[Any]) -> bool:
    """Whether chunks of one array can be read as chunks of another."""
    return (
        one.dtype == other.dtype
        and one.chunks == other.chunks
        and one.shape[2] == other.shape[2]
        and isinstance(other.serializer, EventsCodec)
    )


class _Pair(NamedTuple):
    now: tuple[int, int]
    before: tuple[int, int]


@dataclass(frozen=True)
class _Copy:
    """Copies encoded chunks that are not there yet; from any thread or process."""

    source: zarr.Array[Any]
    target: zarr.Array[Any]

    def __call__(self, batch: list[_Pair]) -> int:
        source, target = EncodedChunks(self.source), EncodedChunks(self.target)
        stored, scratch = StoredCounts(self.source), Scratch()
        written, there = (
            _present(chunks, [pair[end] for pair in batch])
            for end, chunks in enumerate((target, source))
        )
        for now, before in batch:
            # An interrupted mosaic may lack some.
            if now in written or before not in there:
                continue
            try:
                stored.read_block(*before, scratch)
            except CorruptChunkError as error:
                _logger.warning("%s It is composed again.", error)
                continue
            target.write((*now, 0), bytes(source.read((*before, 0))))
        return len(batch)


def _present(chunks: EncodedChunks, wanted: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Which chunks of one row are there."""
    columns = [column for _, column in wanted]
    row = wanted[0][0]
    return chunks.present(range(row, row + 1), range(min(columns), max(columns) + 1))
