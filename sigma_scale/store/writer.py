"""Writing a map to a store, so that an interruption loses nothing and pretends nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import zarr

from sigma_scale import compute
from sigma_scale.errors import OutputExistsError, StoreError
from sigma_scale.spectra import window_sums
from sigma_scale.spectra.passes import lazy_pass, plan_regions
from sigma_scale.store.chunks import EncodedChunks
from sigma_scale.store.codec import Encoding, encode
from sigma_scale.store.layout import (
    COUNTS,
    SCHEMA,
    STATE,
    consolidate,
    is_store,
    open_group,
    state_of,
)
from sigma_scale.store.stored import StoredCounts, open_map
from sigma_scale.store.zarr_codec import EventsCodec

if TYPE_CHECKING:
    import xarray as xr

    from sigma_scale.spectra import BlockSource, SpectrumImage

__all__ = ["write_map"]

_IMAGE_CHUNK = 2048
_FLOAT_CHUNK = 32


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
        return open_map(path)
    if not _resumable(path, identity, overwrite=overwrite):
        _create(path, image, identity, encoding)
    group = open_group(path, unfinished=True, mode="r+")
    counts = cast("zarr.Array[Any]", group[COUNTS])
    _write_counts(image.source, counts, encoding)
    _finish(path, group)
    return open_map(path)


def _refuse_own_source(source: BlockSource, path: Path) -> None:
    """Keep a store from being overwritten with itself, which would delete it first."""
    root = getattr(source.array.store, "root", None) if isinstance(source, StoredCounts) else None
    if root is not None and Path(root).resolve() == path.resolve():
        raise OutputExistsError(f"{path} is where the map is read from. Choose another name.")


def _identity(image: SpectrumImage, encoding: Encoding) -> str:
    """What an interrupted store must agree in to be completed."""
    from dask.base import tokenize

    files = image.metadata.sources
    origin: Any = files or image.source
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
        return True
    if overwrite:
        shutil.rmtree(path)
        return False
    if unfinished:
        raise OutputExistsError(
            f"{path} is an unfinished store of another map. Choose another name, or overwrite it."
        )
    raise OutputExistsError(f"{path} exists already. Choose another name, or overwrite it.")


def _create(path: Path, image: SpectrumImage, identity: str, encoding: Encoding) -> None:
    """
    Lay out an unfinished store with everything but the counts and what follows from them.

    It is built beside its final place and moved there, so that what is found there is whole.
    """
    building = path.with_name(f".{path.name}.creating")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if building.exists():
            shutil.rmtree(building)
        _lay_out(building, image, identity, encoding)
        if path.exists():
            path.rmdir()
        building.rename(path)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise StoreError(f"The store {path} can't be created: {error}") from error


def _lay_out(path: Path, image: SpectrumImage, identity: str, encoding: Encoding) -> None:
    attrs = {
        **image.metadata.to_attrs(),
        "pixel_size": list(image.pixel_size),
        "energy_axis": {
            "scale_kev": image.energy.scale_kev,
            "offset_kev": image.energy.offset_kev,
        },
        "images": list(image.images),
        STATE: {"schema": SCHEMA, "state": "unfinished", "identity": identity},
    }
    dataset = _images_dataset(image).assign_attrs(attrs)
    dataset.to_zarr(path, mode="w-", consolidated=False, zarr_format=3)
    group = zarr.open_group(str(path), mode="r+")
    source = image.source
    events = source.dtype.kind == "u"
    chunks = source.chunk_shape if events else (_FLOAT_CHUNK, _FLOAT_CHUNK)
    details: dict[str, Any] = {}
    if events:
        serializer = EventsCodec(encoding.compressor, encoding.level)
        details = {"serializer": serializer, "compressors": None, "filters": None}
    counts = group.create_array(
        COUNTS,
        shape=source.shape,
        dtype=source.dtype,
        chunks=(*chunks, source.shape[2]),
        dimension_names=("y", "x", "energy"),
        **details,
    )
    counts.attrs["long_name"] = "X-ray counts"


def _images_dataset(image: SpectrumImage) -> xr.Dataset:
    """Build the images and coordinates; images of another size get dimensions of their own."""
    import xarray as xr

    raw = image.with_processing(bin_factors=(1, 1))
    dataset = xr.Dataset(coords=raw.coordinates())
    for name, data in image.images.items():
        own_grid = data.shape != image.source.shape[:2]
        names = {dim: f"{dim}_{name}" for dim in ("y", "x")} if own_grid else {}
        plain = data if own_grid else data.drop_vars(("y", "x"), errors="ignore")
        dataset[name] = plain.rename(names).chunk(_IMAGE_CHUNK)
    return dataset


def _write_counts(source: BlockSource, counts: zarr.Array[Any], encoding: Encoding) -> None:
    if isinstance(counts.serializer, EventsCodec):
        chunk_shape = (counts.chunks[0], counts.chunks[1])
        plan = plan_regions(source, (1, 1))
        work = lazy_pass(
            _write_region,
            source,
            plan,
            (str(counts.store_path), "write"),
            counts=counts,
            chunk_shape=chunk_shape,
            encoding=encoding,
        )
    else:
        plan = plan_regions(source, (1, 1), target=1)
        work = lazy_pass(
            _write_dense_region, source, plan, (str(counts.store_path), "write"), counts=counts
        )
    compute.run(work, description="Writing counts")


def _write_region(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    counts: zarr.Array[Any],
    chunk_shape: tuple[int, int],
    encoding: Encoding,
) -> int:
    """Write the chunks of a region that are not there yet; the number written."""
    top, bottom, left, right = limits
    height, width = chunk_shape
    chunks = EncodedChunks(counts)
    written = 0
    for row in range(top // height, -(-bottom // height)):
        for column in range(left // width, -(-right // width)):
            if not chunks.has((row, column, 0)):
                block = source.read_block(row, column).padded(height, width)
                chunks.write((row, column, 0), encode(block, encoding))
                written += 1
    return written


def _write_dense_region(
    source: BlockSource, limits: tuple[int, int, int, int], counts: zarr.Array[Any]
) -> int:
    top, bottom, left, right = limits
    height, width = source.chunk_shape
    counts[top:bottom, left:right] = source.read_block(top // height, left // width).to_dense()
    return 1


def _finish(path: Path, group: zarr.Group) -> None:
    """
    Read the counts back for the totals, then take the mark of an unfinished store away.

    What is summed is what was written, so a store that reaches its end has been read in full.
    """
    import dask.array as da

    stored = StoredCounts(cast("zarr.Array[Any]", group[COUNTS]))
    totals, spectrum = window_sums(stored, [range(stored.shape[2])])
    total = totals[:, :, 0]
    target: Any = group.create_array(
        "total",
        shape=total.shape,
        dtype=total.dtype,
        chunks=total.chunksize,
        dimension_names=("y", "x"),
        attributes={"long_name": "total counts"},
        overwrite=True,
    )
    stores = da.store(total, target, lock=False, compute=False)
    values, _ = compute.run(spectrum, stores, description="Summing spectra")
    group.create_array(
        "sum_spectrum",
        data=np.asarray(values),
        dimension_names=("energy",),
        attributes={"long_name": "sum spectrum"},
        overwrite=True,
    )
    state = cast("dict[str, Any]", group.attrs[STATE])
    group.attrs[STATE] = {**state, "state": "complete"}
    consolidate(path)
