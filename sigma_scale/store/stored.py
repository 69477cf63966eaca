"""Maps that are read from a store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sigma_scale.errors import CorruptChunkError, StoreError
from sigma_scale.spectra import EnergyAxis, EventBlock, MapMetadata, Scratch, SpectrumImage
from sigma_scale.store.chunks import EncodedChunks
from sigma_scale.store.codec import decode
from sigma_scale.store.layout import COUNTS, open_group
from sigma_scale.store.location import locate
from sigma_scale.store.places import zarr_store
from sigma_scale.store.zarr_codec import EventsCodec

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import xarray as xr
    import zarr

    from sigma_scale.store.location import PathOrUrl

__all__ = ["StoredCounts", "open_map"]


@dataclass(frozen=True, eq=False)
class StoredCounts:
    """
    Counts in a zarr array, read chunk by chunk as events.

    Parameters
    ----------
    array : zarr.Array, shape (y, x, energy)
        The counts. Chunks of the codec ``sigma_scale.events`` are never made dense.
    """

    array: zarr.Array[Any]

    # zarr works these out anew each time, which would take as long as reading a chunk.

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels."""
        return cast("tuple[int, int, int]", self.array.shape)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the counts."""
        return np.dtype(self.array.dtype)

    @cached_property
    def chunk_shape(self) -> tuple[int, int]:
        """Rows and columns of a chunk."""
        return self.array.chunks[0], self.array.chunks[1]

    @property
    def n_chunks(self) -> tuple[int, int]:
        """Number of chunks from top to bottom and from left to right."""
        height, width = self.chunk_shape
        return -(-self.shape[0] // height), -(-self.shape[1] // width)

    def missing(self) -> set[tuple[int, int]]:
        """
        Find the chunks that are not there, without reading any.

        Returns
        -------
        set of (row, column)
            Empty for arrays of other codecs, in which a chunk that isn't there has no counts.
        """
        if self._chunks is None:
            return set()
        rows, columns = map(range, self.n_chunks)
        every = {(row, column) for row in rows for column in columns}
        return every - self._chunks.present(rows, columns)

    @cached_property
    def _chunks(self) -> EncodedChunks | None:
        """Chunks of events; None where another codec made the array's chunks."""
        is_events = isinstance(self.array.serializer, EventsCodec)
        return EncodedChunks(self.array) if is_events else None

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        """
        Read the events of a chunk.

        Raises
        ------
        CorruptChunkError
            If the chunk is truncated or altered; the message names it.
        StoreError
            If the chunk is missing or can't be read.
        """
        height, width = self.chunk_shape
        rows = min(height, self.shape[0] - row * height)
        columns = min(width, self.shape[1] - column * width)
        if self._chunks is None:
            top, left = row * height, column * width
            dense = self.array[top : top + rows, left : left + columns]
            return EventBlock.from_dense(np.asarray(dense))
        data = self._chunks.read((row, column, 0), scratch)
        try:
            block = decode(data, (height, width, self.shape[2]), self.dtype, scratch)
            return block.clipped(rows, columns)
        except CorruptChunkError as error:
            where = f"chunk ({row}, {column}) of {self.array.store_path}"
            raise CorruptChunkError(f"{where}: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        # What was worked out need not travel to other processes.
        return type(self), (self.array,)

    def __dask_tokenize__(self) -> Hashable:
        return ("StoredCounts", str(self.array.store_path), str(self.array.metadata))


def open_map(path: PathOrUrl, *, storage_options: Mapping[str, Any] | None = None) -> SpectrumImage:
    """
    Open the map in a store; its counts are read when they are needed.

    Parameters
    ----------
    path : path or URL
        Folder of the store; or its URL, ``s3://``, ``gs://``, ``memory://`` or ``file://``.
    storage_options : mapping, optional
        Options of the file system behind a URL, as fsspec takes them, besides those of its
        configuration. Credentials come from the environment, in each process.

    Returns
    -------
    SpectrumImage

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    UnfinishedStoreError
        If writing the store was interrupted.
    StoreError
        If it is not a map or it is damaged, or an object store can't be read.
    ParameterError
        If the URL or an option can't be.
    """
    import xarray as xr

    location = locate(path, storage_options)
    group = open_group(location)
    dataset = xr.open_zarr(zarr_store(location), consolidated=False, zarr_format=3)
    try:
        counts = cast("zarr.Array[Any]", group[COUNTS])
        axis = cast("dict[str, float]", group.attrs["energy_axis"])
        energy = EnergyAxis(counts.shape[2], axis["scale_kev"], axis["offset_kev"])
        height, width = cast("list[float]", group.attrs["pixel_size"])
        unit = str(dataset["x"].attrs.get("units", "pixel"))
        names = cast("list[str]", group.attrs.get("images", []))
        images = {name: _image(dataset[name]) for name in names}
    except KeyError as error:
        raise StoreError(f"{location} lacks {error}: the store is damaged.") from error
    return SpectrumImage(
        source=StoredCounts(counts),
        energy=energy,
        pixel_size=(height, width),
        pixel_unit=unit,
        metadata=MapMetadata.from_attrs(dict(group.attrs)),
        images=images,
    )


def _image(stored: xr.DataArray) -> xr.DataArray:
    """Image with the dimensions y and x, whatever they had to be called in the store."""
    return stored.rename(dict(zip(stored.dims, ("y", "x"), strict=True)))
