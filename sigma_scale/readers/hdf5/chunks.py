"""
Parts of HDF5 datasets, decompressed outside of the HDF5 library where that is possible.

Chunks of the usual filters are taken as they are stored, which is all that the library's lock is
held for, and decompressed here; other datasets are read by the library.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any
from zlib import error as ZlibError  # noqa: N812

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5.filters import LZF, are_known, filters_of, most_stored, undo
from sigma_scale.readers.hdf5.kernels import lzf_decode_chunks
from sigma_scale.spectra import Scratch

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

__all__ = ["ChunkReader", "read_part"]


def read_part(dataset: h5py.Dataset, index: tuple[slice, ...]) -> NDArray[Any]:
    """
    Read a part of a dataset.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of numbers.
    index : tuple of slice
        With start and stop, or whole, one per dimension.

    Returns
    -------
    array
        Of the dataset's type.

    Raises
    ------
    FileFormatError
        If a chunk is damaged.
    """
    return ChunkReader(dataset).read(index)


class ChunkReader:
    """
    Reads parts of a dataset; the chunk that was needed in part last is kept for the next part.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of numbers, in an open file.
    scratch : Scratch, optional
        Memory for the parts and chunks; a part is good until the next is read.
    purpose : str, default: "hdf5"
        Name of this reader's memory in the scratch.
    stored_dtype : numpy.dtype, optional
        Type of what is stored, if it isn't what the library makes of it: references to texts.
    """

    def __init__(
        self,
        dataset: h5py.Dataset,
        scratch: Scratch | None = None,
        *,
        purpose: str = "hdf5",
        stored_dtype: np.dtype[Any] | None = None,
    ) -> None:
        self._dataset = dataset
        self._scratch = scratch
        self._own = Scratch() if scratch is None else scratch
        self._purpose = purpose
        self._shape = dataset.shape
        self._dtype = dataset.dtype if stored_dtype is None else stored_dtype
        self._fill = dataset.fillvalue if stored_dtype is None else np.zeros((), stored_dtype)
        self._chunks: tuple[int, ...] = dataset.chunks or ()
        self._filters = filters_of(dataset) if self._chunks else ()
        usual = bool(self._filters) and are_known(self._filters) and _is_plain(dataset)
        self._outside = usual or stored_dtype is not None
        self._kept: tuple[tuple[int, ...], NDArray[Any]] | None = None

    def read(self, index: tuple[slice, ...]) -> NDArray[Any]:
        """
        Read a part of the dataset.

        Raises
        ------
        FileFormatError
            If a chunk is damaged.
        """
        if not self._outside:
            whole: NDArray[Any] = self._dataset[index]
            return whole
        limits = [part.indices(size)[:2] for part, size in zip(index, self._shape, strict=True)]
        result = self._empty([max(stop - start, 0) for start, stop in limits])
        if self._read_run(limits, result):
            return result
        touched = [
            range(start - start % chunk, stop, chunk)
            for (start, stop), chunk in zip(limits, self._chunks, strict=True)
        ]
        for corner in itertools.product(*touched):
            inside, target = [], []
            for place, chunk, (start, stop) in zip(corner, self._chunks, limits, strict=True):
                low, high = max(place, start), min(place + chunk, stop)
                inside.append(slice(low - place, high - place))
                target.append(slice(low - start, high - start))
            part = result[tuple(target)]
            if part.shape == self._chunks and part.flags.c_contiguous:
                self._read_chunk(corner, part)
            else:
                part[...] = self._chunk(corner)[tuple(inside)]
        return result

    def _read_run(self, limits: list[tuple[int, int]], result: NDArray[Any]) -> bool:
        """
        Read whole chunks that follow each other, unpacked by one call; False if they aren't such.

        Threads that come and go in calls of some microseconds each would wait for each other
        longer than they work.
        """
        first, last = limits[0]
        length = self._chunks[0]
        whole = self._chunks[1:] == self._shape[1:] == tuple(stop for _, stop in limits[1:])
        if self._filters != (LZF,) or not whole or first % length or (last - first) % length:
            return False
        if any(start for start, _ in limits[1:]) or last <= first:
            return False
        chunk_bytes = math.prod(self._chunks) * self._dtype.itemsize
        most = most_stored(chunk_bytes)
        corners = [(place, *(0 for _ in self._chunks[1:])) for place in range(first, last, length)]
        room = self._own.take(f"{self._purpose}_run", most * len(corners))
        ends = np.zeros(len(corners) + 1, dtype=np.int64)
        for i, corner in enumerate(corners):
            stored = self._stored(corner, room[ends[i] : ends[i] + most])
            if stored is None or stored[0]:
                return False
            ends[i + 1] = ends[i] + stored[1]
        content = result.reshape(-1).view(np.uint8).reshape(len(corners), chunk_bytes)
        bad = lzf_decode_chunks(room[: ends[-1]], ends, content)
        if bad >= 0:
            raise FileFormatError(
                f"{self._dataset.file.filename} is damaged: the chunk at {corners[bad]} of "
                f"{self._dataset.name!r} can't be decompressed: its LZF stream makes no sense."
            )
        return True

    def _empty(self, shape: list[int]) -> NDArray[Any]:
        if self._scratch is None:
            return np.empty(shape, dtype=self._dtype)
        size = math.prod(shape) * self._dtype.itemsize
        part = self._scratch.take(f"{self._purpose}_part", size)
        return part.view(self._dtype).reshape(shape)

    def _chunk(self, corner: tuple[int, ...]) -> NDArray[Any]:
        """Whole chunk, edge chunks with their padding."""
        if self._kept is not None and self._kept[0] == corner:
            return self._kept[1]
        self._kept = None
        size = math.prod(self._chunks) * self._dtype.itemsize
        memory = self._own.take(f"{self._purpose}_chunk", size)
        chunk = memory.view(self._dtype).reshape(self._chunks)
        self._read_chunk(corner, chunk)
        self._kept = (corner, chunk)
        return chunk

    def _read_chunk(self, corner: tuple[int, ...], target: NDArray[Any]) -> None:
        room = self._own.take(f"{self._purpose}_stored", most_stored(target.nbytes))
        stored = self._stored(corner, room)
        if stored is None:
            target[...] = self._fill
            return
        mask, size = stored
        try:
            undo(room[:size], self._filters, mask, target, self._own)
        except (ValueError, ZlibError) as error:
            raise FileFormatError(
                f"{self._dataset.file.filename} is damaged: the chunk at {corner} of "
                f"{self._dataset.name!r} can't be decompressed: {error}."
            ) from error

    def _stored(self, corner: tuple[int, ...], room: NDArray[np.uint8]) -> tuple[int, int] | None:
        """Mask of the filters that were left out and size of a chunk; None if it is not stored."""
        try:
            mask, content = self._dataset.id.read_direct_chunk(corner, out=room)
        except ValueError as error:
            raise FileFormatError(
                f"{self._dataset.file.filename} is damaged: the chunk at {corner} of "
                f"{self._dataset.name!r} can't be as large as it is said to be: {error}."
            ) from error
        except (OSError, RuntimeError) as error:
            # Looking a chunk up goes through all of them, so it is done where there is none.
            if "not allocated" not in str(error):
                info = self._dataset.id.get_chunk_info_by_coord(corner)
                if info.byte_offset is not None:
                    raise
            return None
        return int(mask), len(content)


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Whether numbers are stored just as NumPy has them."""
    from h5py import h5t

    if dataset.dtype.hasobject:
        return False
    return bool(dataset.id.get_type() == h5t.py_create(dataset.dtype))
