"""Encoded chunks of a zarr array, read and written as they are."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from sigma_scale.errors import StoreError

if TYPE_CHECKING:
    import zarr

__all__ = ["has_chunk", "read_chunk", "write_chunk"]


def _key(array: zarr.Array[Any], index: tuple[int, ...]) -> str:
    key = array.metadata.encode_chunk_key(index)
    return f"{array.path}/{key}" if array.path else key


def _local_path(array: zarr.Array[Any], index: tuple[int, ...]) -> Path | None:
    """Path of a chunk on local disk, where zarr's event loop would only cost time."""
    if isinstance(array.store, LocalStore):
        return Path(array.store.root) / _key(array, index)
    return None


def has_chunk(array: zarr.Array[Any], index: tuple[int, ...]) -> bool:
    """Whether a chunk has been written."""
    path = _local_path(array, index)
    if path is not None:
        return path.is_file()
    return bool(sync(array.store.exists(_key(array, index))))


def read_chunk(array: zarr.Array[Any], index: tuple[int, ...]) -> bytes:
    """
    Read a chunk's bytes.

    Raises
    ------
    StoreError
        If the chunk is missing or can't be read.
    """
    path = _local_path(array, index)
    try:
        if path is not None:
            return path.read_bytes()
        buffer = sync(array.store.get(_key(array, index), default_buffer_prototype()))
    except FileNotFoundError:
        buffer = None
    except OSError as error:
        raise StoreError(f"The chunk {_key(array, index)} can't be read: {error}") from error
    if buffer is None:
        raise StoreError(
            f"The chunk {_key(array, index)} is missing from {array.store}. Restore the store "
            "from a copy or ingest the map again."
        )
    return bytes(buffer.to_bytes())


def write_chunk(array: zarr.Array[Any], index: tuple[int, ...], data: bytes) -> None:
    """
    Write a chunk's bytes; whoever looks sees all of them or none.

    Raises
    ------
    StoreError
        If the chunk can't be written, for example because the disk is full.
    """
    path = _local_path(array, index)
    try:
        if path is None:
            buffer = default_buffer_prototype().buffer.from_bytes(data)
            sync(array.store.set(_key(array, index), buffer))
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)  # noqa: PTH105 -- the one call that replaces at once
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"The chunk {_key(array, index)} can't be written: {error}. Once there is room, run "
            "the same command again: finished chunks are kept."
        ) from error
