"""Encoded chunks of a zarr array, read and written as they are."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from sigma_scale.errors import StoreError
from sigma_scale.files import write_atomically
from sigma_scale.spectra import Scratch

if TYPE_CHECKING:
    import numpy as np
    import zarr
    from numpy.typing import NDArray
    from zarr.abc.store import Store

__all__ = ["EncodedChunks"]


class EncodedChunks:
    """
    The chunks of an array as bytes.

    Parameters
    ----------
    array : zarr.Array
        The array. Chunks on local disk are read and written directly, because zarr's event loop
        would take as long as the reading itself.
    """

    def __init__(self, array: zarr.Array[Any]) -> None:
        self._store = array.store
        self._metadata = array.metadata
        self._prefix = f"{array.path}/" if array.path else ""
        self._root = str(array.store.root) if isinstance(array.store, LocalStore) else None

    def _key(self, index: tuple[int, ...]) -> str:
        return self._prefix + self._metadata.encode_chunk_key(index)

    def any(self) -> bool:
        """Whether any chunk has been written."""
        folder = self._key((0, 0, 0)).rsplit("/", 3)[0]
        if self._root is not None:
            return any(Path(self._root, folder).glob("*"))
        return sync(_has_any(self._store, folder))

    def present(self, rows: range, columns: range) -> set[tuple[int, int]]:
        """
        Rows and columns of the chunks that have been written, of an array of three dimensions.

        Elsewhere than on local disk, each row is listed once: that is one request, not one for
        each of its chunks.
        """
        keys = {(row, column): self._key((row, column, 0)) for row in rows for column in columns}
        if self._root is not None:
            return {index for index, key in keys.items() if Path(self._root, key).is_file()}
        folders = {key.rsplit("/", 2)[0] + "/" for key in keys.values()}
        there = sync(_listed(self._store, sorted(folders)))
        return {index for index, key in keys.items() if key in there}

    def read(
        self, index: tuple[int, ...], scratch: Scratch | None = None
    ) -> bytes | NDArray[np.uint8]:
        """
        Read a chunk.

        Parameters
        ----------
        index : tuple of int
            Number of the chunk along each dimension.
        scratch : Scratch, optional
            Memory for the bytes, which are then good until it is used again.

        Raises
        ------
        StoreError
            If the chunk is missing or can't be read.
        """
        key = self._key(index)
        try:
            if self._root is not None:
                return _read_file(f"{self._root}/{key}", scratch or Scratch())
            buffer = sync(self._store.get(key, default_buffer_prototype()))
        except FileNotFoundError:
            buffer = None
        except OSError as error:
            raise StoreError(f"The chunk {key} can't be read: {error}") from error
        if buffer is None:
            raise StoreError(
                f"The chunk {key} is missing from {self._store}. Restore the store from a copy "
                "or ingest the map again."
            )
        return bytes(buffer.to_bytes())

    def write(self, index: tuple[int, ...], data: bytes) -> None:
        """
        Write a chunk; whoever looks sees all of it or nothing.

        Raises
        ------
        StoreError
            If the chunk can't be written, for example because the disk is full.
        """
        key = self._key(index)
        try:
            if self._root is not None:
                write_atomically(Path(self._root, key), data)
            else:
                buffer = default_buffer_prototype().buffer.from_bytes(data)
                sync(self._store.set(key, buffer))
        except OSError as error:
            raise StoreError(
                f"The chunk {key} can't be written: {error}. Once that is mended, run the same "
                "command again: finished chunks are kept."
            ) from error


async def _has_any(store: Store, folder: str) -> bool:
    async for _ in store.list_dir(folder):
        return True
    return False


async def _listed(store: Store, folders: list[str]) -> set[str]:
    async def keys(folder: str) -> list[str]:
        return [key async for key in store.list_prefix(folder)]

    return {key for found in await asyncio.gather(*map(keys, folders)) for key in found}


def _read_file(path: str, scratch: Scratch) -> NDArray[np.uint8]:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- a path object costs time here
        size = os.fstat(file.fileno()).st_size
        buffer = scratch.take("stored", size)
        target: Any = memoryview(buffer)  # type: ignore[arg-type]
        filled = 0
        while filled < size and (number := file.readinto(target[filled:])):
            filled += number
    return buffer[:filled]
