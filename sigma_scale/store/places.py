"""
What a store needs of the place where it is, in a folder or in an object store.

In a folder, what is built beside its final name is moved there in one step. Objects can't be moved,
but each appears whole; so a store is made in place with its mark first, and results are copied on
the server from drafts beside the store (:mod:`sigma_scale.store.remote_place`).
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zarr.storage import LocalStore

from sigma_scale.files import remove_drafts, write_atomically
from sigma_scale.store.location import UrlPath

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator
    from contextlib import AbstractContextManager

    from zarr.abc.store import Store

    from sigma_scale.store.location import Location

__all__ = ["Drafts", "LocalPlace", "Place", "place_at", "watched_group", "zarr_store"]


class Drafts(Protocol):
    """Groups that are written beside a store, to be put into it once they are complete."""

    location: Location
    """Where to write them, each by its name."""

    def publish(
        self, names: Collection[str], remove: Collection[str], finish: Callable[[], None]
    ) -> None:
        """
        Put groups into the store in place of those of the same names.

        Parameters
        ----------
        names : collection of str
            The groups that were written.
        remove : collection of str
            Groups of the store to take away.
        finish : callable
            What is to be done at the end, before it counts.
        """


class Place(Protocol):
    """Place of one store."""

    def write(self, name: str, content: bytes) -> None:
        """Write a small file or object, which is there whole or not at all."""

    def building(self) -> AbstractContextManager[Location]:
        """Where to build the store, which is in its place at the end."""

    def remove(self) -> None:
        """Delete the store and all that is in it; half of it never looks like a finished one."""

    def tidy(self) -> None:
        """Remove what killed writers have left half-written in the store."""

    def size(self, name: str) -> int:
        """Size of a part in bytes."""

    def stamp(self, name: str) -> Hashable:
        """Give what tells a file or object from another of that name; None where there is none."""

    def holds(self, store: Store) -> bool:
        """Whether zarr's store is this place."""

    def recover(self, finish: Callable[[], None]) -> None:
        """Complete what a killed writer has begun to publish."""

    def drafts(self) -> AbstractContextManager[Drafts]:
        """Somewhere to write results before they are published."""


def place_at(location: Location) -> Place:
    """Place of the store at a location."""
    if isinstance(location, UrlPath):
        from sigma_scale.store.remote_place import RemotePlace

        return RemotePlace(location)
    return LocalPlace(location)


def zarr_store(location: Location) -> Any:
    """Give what zarr and xarray take for a location."""
    if isinstance(location, UrlPath):
        from sigma_scale.store.remote import UrlStore

        return UrlStore(location)
    return str(location.absolute())  # workers may run in other folders


def watched_group(location: Location, name: str) -> Any:
    """
    Give what zarr and xarray take for a group that may be replaced while it is read lazily.

    In an object store, chunks that are read after that raise :class:`StoreError`.
    """
    if isinstance(location, UrlPath):
        from sigma_scale.store.remote import UrlStore

        node = f"{name}/zarr.json"
        return UrlStore(location, read_only=True, watched=(node, (location / node).read_bytes()))
    return str(location.absolute())  # workers may run in other folders


class LocalPlace:
    """
    A folder.

    Parameters
    ----------
    path : pathlib.Path
        The folder of the store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, which is there whole or not at all."""
        write_atomically(self.path / name, content)

    @contextmanager
    def building(self) -> Iterator[Path]:
        """Folder beside the store's, which becomes the store."""
        path = self.path
        building = path.with_name(f".{path.name}.creating")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if building.exists():
                shutil.rmtree(building)
            yield building
            if path.exists():
                path.rmdir()
            building.rename(path)
        except OSError:
            shutil.rmtree(building, ignore_errors=True)
            raise

    def remove(self) -> None:
        """Delete the store."""
        shutil.rmtree(self.path)

    def tidy(self) -> None:
        """Remove what killed writers have left half-written in the store."""
        remove_drafts(self.path)

    def size(self, name: str) -> int:
        """Size of a part in bytes."""
        files = (self.path / name).rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())

    def stamp(self, name: str) -> Hashable:
        """Give what tells a file from another of that name; None where there is none."""
        try:
            stat = (self.path / name).stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def holds(self, store: Store) -> bool:
        """Whether zarr's store is this folder."""
        return isinstance(store, LocalStore) and store.root.resolve() == self.path.resolve()

    def recover(self, finish: Callable[[], None]) -> None:
        """Do nothing: folders are moved in one step each."""

    @contextmanager
    def drafts(self) -> Iterator[LocalDrafts]:
        """Folder beside the store."""
        folder = self.path.resolve()
        drafts = Path(tempfile.mkdtemp(".results", f".{folder.name}.", folder.parent))
        try:
            yield LocalDrafts(folder, drafts)
        finally:
            shutil.rmtree(drafts, ignore_errors=True)


class LocalDrafts:
    """
    Groups in a folder beside a store.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the store.
    location : pathlib.Path
        Where to write.
    """

    def __init__(self, folder: Path, location: Path) -> None:
        self.folder = folder
        self.location: Location = location
        self._drafts = location

    def publish(
        self, names: Collection[str], remove: Collection[str], finish: Callable[[], None]
    ) -> None:
        """Move groups into the store; if that fails, what there was comes back."""
        replaced = self._drafts / "replaced"
        replaced.mkdir()
        moved: list[tuple[Path, Path]] = []
        try:
            # What follows from the others goes first: whoever looks, or kills this, finds too
            # little, but nothing that doesn't belong together.
            for name in [*remove, *names]:
                if (self.folder / name).exists():
                    (self.folder / name).rename(replaced / name)
                    moved.append((self.folder / name, replaced / name))
            for name in names:
                (self._drafts / name).rename(self.folder / name)
                moved.append((self._drafts / name, self.folder / name))
            finish()
        except OSError:
            for before, after in reversed(moved):
                after.rename(before)
            raise
