"""One writer of a store's edits at a time, across threads, processes and machines."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sigma_scale.errors import SourceNotFoundError, StoreError
from sigma_scale.store import UrlPath
from sigma_scale.store.layout import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom
    from pathlib import Path

    from sigma_scale.store import Location

__all__ = ["locked", "writable_folder"]

_SECONDS = 10.0
"""How long to wait for another writer, which takes a fraction of a second."""
_PAUSE = 0.005
_FAR = 2**30
"""Byte that is locked on Windows, where what is locked can't be read: one that isn't there."""


def writable_folder(path: Location) -> Path:
    """
    Folder of a store, if it is in one: object stores have no locks.

    Raises
    ------
    StoreError
        If it is in an object store.
    """
    if isinstance(path, UrlPath):
        raise StoreError(
            f"The store {path} is not in a local folder, and without the locks of one two programs "
            "could overwrite each other's edits and results. Copy it to a local folder to work on "
            "it, or make its results by `sigma-scale run`."
        )
    return path


@contextmanager
def locked(path: Path, *, timeout: float = _SECONDS) -> Iterator[None]:
    """
    Be the only one who writes edits to a store.

    The operating system keeps the lock, on a file of the store that is never replaced, and gives
    it back when the process that holds it ends, however it ends: there are no stale locks.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.
    timeout : float, default: 10
        Seconds to wait for another writer.

    Yields
    ------
    None

    Raises
    ------
    SourceNotFoundError
        If the store isn't there any more.
    StoreError
        If it can't be written, or another writer doesn't come to an end.
    """
    file = path / COUNTS / "zarr.json"
    try:
        stream = file.open("r+b")
    except FileNotFoundError as error:
        raise SourceNotFoundError(
            f"The store {path} is not there any more. Put it back where it was."
        ) from error
    except OSError as error:
        raise StoreError(
            f"The store {path} can't be written: {error}. Make it writable, or work on a copy."
        ) from error
    with stream:
        give_up = time.monotonic() + timeout
        while not _try_lock(stream, path):
            if time.monotonic() > give_up:
                raise StoreError(
                    f"Another program has been writing to {path} for {timeout:g} seconds. Wait for "
                    "its end, or end it."
                )
            time.sleep(_PAUSE)
        yield


def _try_lock(stream: BufferedRandom, path: Path) -> bool:
    """Take the lock if it is free; closing the file gives it back."""
    try:
        if os.name == "nt":
            import msvcrt

            stream.seek(_FAR)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise StoreError(
            f"The file system of {path} has no locks ({error}), without which two programs could "
            "overwrite each other's edits. Move the store to another file system."
        ) from error
    return True
