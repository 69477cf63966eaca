"""Counts in arrays of HDF5, zarr and NetCDF 3 files, read part by part."""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sigma_scale.compute import check_memory
from sigma_scale.errors import FileFormatError
from sigma_scale.files import fingerprint_of, size_of
from sigma_scale.readers.guard import check_plausible
from sigma_scale.readers.hdf5.chunks import ChunkReader, read_part
from sigma_scale.readers.hdf5.files import dataset_at, opened
from sigma_scale.readers.lazy_arrays import ChunkedSource, chunks_of, plan_for
from sigma_scale.spectra import EventBlock, Scratch

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

    import zarr
    from numpy.typing import NDArray

    from sigma_scale.readers.layout import Layout

__all__ = [
    "Hdf5Source",
    "Netcdf3Source",
    "Packing",
    "StoredArraySource",
    "ZarrSource",
    "open_zarr",
    "refuse_pickle",
]

_PICKLES = ("pickle", "numcodecs.pickle")


@dataclass(frozen=True, slots=True)
class Packing:
    """
    How numbers are stored by the conventions of NetCDF.

    Parameters
    ----------
    fill : float, optional
        Value of what was not measured.
    scale, offset : float
        A stored number times ``scale`` plus ``offset`` is what was meant.
    """

    fill: float | None = None
    scale: float = 1.0
    offset: float = 0.0

    @property
    def scales(self) -> bool:
        """Whether stored numbers are not those that were meant."""
        return (self.scale, self.offset) != (1.0, 0.0)

    def unpacked(self, part: NDArray[Any]) -> NDArray[Any]:
        """
        Counts that were meant, shape (rows, columns, channels).

        Integers of pixels that were not measured become zero; floats become NaN.
        """
        unset = None if self.fill in (None, 0) else part == self.fill
        if self.scales:
            part = part * self.scale + self.offset
        if unset is None or not unset.any():
            return part
        if part.dtype.kind == "f":
            return np.where(unset, part.dtype.type(np.nan), part)
        return np.where(unset.all(axis=-1, keepdims=True), part.dtype.type(0), part)


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredArraySource(ChunkedSource):
    """
    Base of the sources of counts in an array with a name.

    Parameters
    ----------
    name : str
        Of the array in the file.
    packing : Packing
        How the numbers are stored.
    """

    name: str
    packing: Packing = Packing()

    @classmethod
    def of(
        cls, path: Path, format_name: str, array: Any, layout: Layout, packing: Packing = Packing()
    ) -> Self:
        """
        Source of an array of a file, after checks that the file can hold it.

        Parameters
        ----------
        path : pathlib.Path
            The file or folder.
        format_name : str
            For messages.
        array : array-like
            Has ``name``, ``shape``, ``dtype`` and perhaps ``chunks``.
        layout : Layout
            Positions of its dimensions.
        packing : Packing, optional
            How the numbers are stored.

        Raises
        ------
        EmptyMapError
            If there are no pixels or channels.
        FileFormatError
            If the file is too small for the array, or its type can't be that of counts.
        MemoryLimitError
            If its chunks are too large for the memory.
        """
        refuse_pickle(array)
        dtype = np.dtype(array.dtype)
        check_plausible(path, math.prod(map(int, array.shape)) * dtype.itemsize, size_of(path))
        chunks = chunks_of(array)
        if chunks is not None:
            check_memory(
                2 * math.prod(chunks) * dtype.itemsize,
                what=f"Reading a chunk of {path}",
                remedy="Write the file again with smaller chunks, or raise memory_limit.",
            )
        plan = plan_for(array, layout)
        return cls(
            path=path,
            format_name=format_name,
            shape=layout.of_map(array.shape),
            stored_dtype=np.dtype(np.float64) if packing.scales else dtype,
            chunk_shape=plan.chunk_shape,
            layout=layout,
            rows_at_once=plan.rows_at_once,
            columns_at_once=plan.columns_at_once,
            name=str(array.name),
            packing=packing,
        )

    def read_rows(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of the array, unpacked."""
        part = self._stored(self.layout.index(rows, columns))
        return self.packing.unpacked(self.layout.arranged(part))

    @abstractmethod
    def _stored(self, index: tuple[slice, ...]) -> NDArray[Any]:
        """Part of the array as it is stored."""


def refuse_pickle(array: Any) -> None:
    """
    Refuse a zarr array that is stored as pickled objects, which can run any program.

    Raises
    ------
    FileFormatError
        If it is.
    """
    metadata = getattr(array, "metadata", None)
    if metadata is None:  # of HDF5, which has no such filter
        return
    stages = [*(getattr(metadata, "filters", None) or ()), getattr(metadata, "compressor", None)]
    stages += list(getattr(metadata, "codecs", None) or ())
    names = {
        str(getattr(stage, "codec_id", "") or getattr(stage, "codec_name", "")) for stage in stages
    }
    if names.intersection(_PICKLES):
        raise FileFormatError(
            f"The array {array.path!r} is stored as pickled objects, which are never read: they "
            "could run any program. Save its numbers as a plain array."
        )


class Hdf5Source(StoredArraySource):
    """Counts in a dataset of an HDF5 file."""

    def read_piece(self, rows: slice, columns: slice) -> EventBlock:
        """
        Events of a part of the map, chunk by chunk while each is in the processor's cache.

        Raises
        ------
        FileFormatError
            If it can't be read.
        """
        step = self.columns_at_once or columns.stop - columns.start
        parts = []
        with opened(self.path, self.format_name) as file:
            dataset = dataset_at(file, self.name, sparse=True, others=True)
            reader = ChunkReader(dataset, Scratch())
            for left in range(columns.start, columns.stop, step):
                part = slice(left, min(left + step, columns.stop))
                dense = self.layout.arranged(reader.read(self.layout.index(rows, part)))
                parts.append(self.events_of(self.packing.unpacked(dense), rows, part))
        return EventBlock.beside(parts)

    def _stored(self, index: tuple[slice, ...]) -> NDArray[Any]:
        with opened(self.path, self.format_name) as file:
            return read_part(dataset_at(file, self.name, sparse=True, others=True), index)


class ZarrSource(StoredArraySource):
    """Counts in an array of a zarr folder or zip file."""

    def _stored(self, index: tuple[slice, ...]) -> NDArray[Any]:
        array: Any = open_zarr(self.path)[self.name.strip("/")]
        return np.asarray(array[index])

    def __dask_tokenize__(self) -> Hashable:
        # A folder keeps its size and time when a file somewhere below it is written again.
        files = fingerprint_of(self.path) if self.path.is_dir() else None
        return (super().__dask_tokenize__(), files)


class Netcdf3Source(StoredArraySource):
    """Counts in a variable of a NetCDF 3 file."""

    def _stored(self, index: tuple[slice, ...]) -> NDArray[Any]:
        with open_netcdf3(self.path) as file:
            return np.array(file.variables[self.name].data[index])


def open_zarr(path: Path) -> zarr.Group:
    """Group of a folder or zip file, opened once per process."""
    stat = path.stat()
    return _open_zarr(path, stat.st_mtime_ns, stat.st_size, os.getpid())


@lru_cache(maxsize=8)
def _open_zarr(path: Path, mtime: int, size: int, process: int) -> zarr.Group:  # noqa: ARG001
    import zarr
    from zarr.storage import LocalStore, ZipStore

    store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")
    # Each array's own metadata: those gathered in one place may be out of date.
    return zarr.open_group(store, mode="r", use_consolidated=False)


@contextmanager
def open_netcdf3(path: Path) -> Iterator[Any]:
    """NetCDF 3 file, mapped into memory; nothing of it may be kept."""
    import warnings

    from scipy.io import netcdf_file

    with warnings.catch_warnings():
        # Parts that an error on the way holds on to keep the map of the file open.
        warnings.filterwarnings(
            "ignore", message="Cannot close a netcdf_file", category=RuntimeWarning
        )
        with netcdf_file(path, "r", mmap=True) as file:
            yield file
