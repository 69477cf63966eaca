"""
Object stores, through fsspec and zarr.

All requests run in zarr's event loop, those of all threads side by side. Listings are never taken
from a cache: other processes write.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
from typing import TYPE_CHECKING, Any, cast

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore

from sigma_scale.errors import EngineUnavailableError, StoreError
from sigma_scale.store.remote_faults import named_faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from fsspec.asyn import AsyncFileSystem
    from zarr.core.buffer import Buffer, BufferPrototype

    from sigma_scale.store.location import UrlPath

__all__ = ["Objects", "UrlStore"]

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}
_DEFAULTS: dict[str, dict[str, Any]] = {
    # Chunks are small: looking at their size before reading them would double the requests.
    "s3": {"use_listings_cache": False, "max_concurrency": 1},
    "gs": {"use_listings_cache": False},
}
_AT_ONCE = 32
"""Requests of one operation that are under way together."""


def _file_system(place: UrlPath) -> AsyncFileSystem:
    from fsspec.config import conf

    settings = json.dumps(conf.get(place.protocol, {}), sort_keys=True, default=str)
    try:
        return _open_file_system(place.protocol, place.options_json, settings, os.getpid())
    except ImportError as error:
        package = _PACKAGES.get(place.protocol, "fsspec")
        raise EngineUnavailableError(
            f"{place.protocol}:// needs the package {package}: {error}. Install it with "
            "`pip install 'sigma-scale[cloud]'`, on each worker too."
        ) from error
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{place}: the storage options {sorted(place.options)} can't be used: {error}"
        ) from error


# One for all threads, each of which would otherwise open its own connections; not handed on to
# forked processes, which have no event loop of this one.
@functools.lru_cache(maxsize=32)
def _open_file_system(
    protocol: str,
    options_json: str,
    settings: str,  # noqa: ARG001 -- of fsspec, whose change makes another file system
    process: int,  # noqa: ARG001
) -> AsyncFileSystem:
    import fsspec

    options = {**_DEFAULTS.get(protocol, {}), **json.loads(options_json)}
    kind = fsspec.get_filesystem_class(protocol)
    if kind.async_impl:
        opened = kind(asynchronous=True, skip_instance_cache=True, **options)
        return cast("AsyncFileSystem", opened)
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    return AsyncFileSystemWrapper(kind(**options), asynchronous=True)


class UrlStore(FsspecStore):
    """
    zarr's view of a place in an object store, with errors that name it.

    Parameters
    ----------
    place : UrlPath
        The place.
    read_only : bool, default: False
        Refuse to write.
    watched : tuple of (str, bytes), optional
        Name of an object and what it held when reading began: what is read after it has changed
        is refused, as it may not belong together.
    """

    def __init__(
        self,
        place: UrlPath,
        *,
        read_only: bool = False,
        watched: tuple[str, bytes] | None = None,
    ) -> None:
        with named_faults(place.url):
            fs = _file_system(place)
        # The file system's own way: that of memory begins with a slash.
        path = str(type(getattr(fs, "sync_fs", fs))._strip_protocol(place.url))  # noqa: SLF001
        super().__init__(fs=fs, read_only=read_only, path=path)
        self.place = place
        self._watched = watched

    def with_read_only(self, read_only: bool = False) -> UrlStore:  # noqa: FBT001, FBT002 -- zarr's
        """Give the same place, to be written or not."""
        return type(self)(self.place, read_only=read_only, watched=self._watched)

    def __str__(self) -> str:
        return self.place.url

    def __repr__(self) -> str:
        return f"<UrlStore {self.place.url}>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UrlStore)
            and (self.place, self.read_only) == (other.place, other.read_only)
            and self._watched == other._watched
        )

    def __hash__(self) -> int:
        return hash((self.place, self.read_only, self._watched))

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the file system, which knows the credentials.
        process = os.getpid() if self.place.protocol == "memory" else None
        return _reopen, (self.place, self.read_only, self._watched, process)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        # What lies there may be replaced: two openings are never taken for the same.
        return ("UrlStore", self.place.url, id(self), os.urandom(16))

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: Any = None
    ) -> Buffer | None:
        """Read an object; None where there is none."""
        prototype = prototype or default_buffer_prototype()
        with named_faults(self.place.url):
            found = await super().get(key, prototype, byte_range)
            if self._watched is not None and not key.endswith("zarr.json"):
                name, content = self._watched
                now = await super().get(name, prototype)
                if now is None or now.to_bytes() != content:
                    raise StoreError(
                        f"{self.place}/{name} was replaced while it was read. Open it again."
                    )
            return found

    async def set(self, key: str, value: Buffer, byte_range: Any = None) -> None:
        """Write an object, which is there whole or not at all."""
        with named_faults(self.place.url):
            await super().set(key, value, byte_range)

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        with named_faults(self.place.url):
            return await super().exists(key)

    async def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        with named_faults(self.place.url):
            await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all objects of a folder."""
        await _delete(self, [key async for key in self.list_prefix(f"{prefix.rstrip('/')}/")])

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Give the names of all objects of a folder."""
        for key in await _found(self, prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Give the names in a folder, those of folders in it included."""
        folder = f"{self.path}/{prefix}".rstrip("/")
        try:
            with named_faults(self.place.url, missing_is_answer=True):
                listed = await self.fs._ls(folder, detail=False)  # noqa: SLF001
        except FileNotFoundError:
            return
        for path in listed:
            name = str(path).rstrip("/").removeprefix(folder).strip("/")
            if name:  # Some object stores keep an empty object of a folder's own name.
                yield name

    async def getsize(self, key: str) -> int:
        """Size of an object in bytes."""
        with named_faults(self.place.url, missing_is_answer=True):
            return await super().getsize(key)


def _reopen(
    place: UrlPath,
    read_only: bool,  # noqa: FBT001 -- as pickle gives it
    watched: tuple[str, bytes] | None,
    process: int | None,
) -> UrlStore:
    if process is not None and process != os.getpid():
        raise StoreError(
            f"{place} is in the memory of another process. Work with threads, or use a store that "
            "all workers can reach."
        )
    return UrlStore(place, read_only=read_only, watched=watched)


async def _found(store: UrlStore, prefix: str) -> list[str]:
    """Names of all objects of a folder, which ends with a slash unless it is the whole place."""
    folder = f"{store.path}/{prefix}".rstrip("/")
    try:
        with named_faults(store.place.url, missing_is_answer=True):
            paths = await store.fs._find(folder, detail=False, withdirs=False)  # noqa: SLF001
    except FileNotFoundError:
        return []
    beginning = f"{store.path}/"
    # An object that is called like the folder itself is none of its objects.
    return [
        path.removeprefix(beginning) for path in map(str, paths) if path.startswith(folder + "/")
    ]


async def _together(work: Callable[[Any], Awaitable[Any]], items: Collection[Any]) -> list[Any]:
    """Do the same with each, many at once; all that began has ended when this returns or fails."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Any) -> Any:
        async with slots:
            return await work(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _delete(store: UrlStore, keys: Collection[str]) -> None:
    await _together(store.delete, keys)


class Objects:
    """
    The objects of a place, by names below it.

    Parameters
    ----------
    place : UrlPath
        The place.

    Raises
    ------
    StoreError
        By every method, if the place can't be reached or used.
    """

    def __init__(self, place: UrlPath) -> None:
        self.store = UrlStore(place)

    def has(self, name: str) -> bool:
        """Whether there is an object."""
        try:
            with named_faults(str(self.store.place / name), missing_is_answer=True):
                about = sync(self.store.fs._info(f"{self.store.path}/{name}"))  # noqa: SLF001
        except FileNotFoundError:
            return False
        return bool(about["type"] == "file")

    def read(self, name: str) -> bytes | None:
        """Read an object; None where there is none."""
        found = sync(self.store.get(name, default_buffer_prototype()))
        return None if found is None else found.to_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write an object, which is there whole or not at all."""
        sync(self.store.set(name, default_buffer_prototype().buffer.from_bytes(content)))

    def names(self) -> list[str]:
        """Names of objects and folders that lie directly in the place."""
        return sync(_collected(self.store.list_dir("")))

    def find(self, *folders: str) -> list[str]:
        """Names of all objects in folders of the place; without any, of all objects in it."""

        async def listed(folder: str) -> list[str]:
            return await _found(self.store, folder)

        found = sync(_together(listed, folders or ("",)))
        return [name for names in found for name in names]

    def size(self, folder: str) -> int:
        """Sum of the sizes of all objects in a folder, in bytes."""
        path = f"{self.store.path}/{folder}"
        try:
            with named_faults(self.store.place.url, missing_is_answer=True):
                details = sync(self.store.fs._find(path, detail=True, withdirs=False))  # noqa: SLF001
        except FileNotFoundError:
            return 0
        return sum(int(about.get("size") or 0) for about in details.values())

    def delete(self, names: Collection[str]) -> None:
        """Delete objects."""
        sync(_delete(self.store, names))

    def copy_to(self, other: Objects, names: Collection[str]) -> None:
        """Copy objects to another place of the same object store, without reading them."""

        async def copied(name: str) -> None:
            source, target = (f"{each.store.path}/{name}" for each in (self, other))
            with named_faults(other.store.place.url):
                await self.store.fs._cp_file(source, target)  # noqa: SLF001

        sync(_together(copied, names))


async def _collected(names: AsyncIterator[str]) -> list[str]:
    return [name async for name in names]
