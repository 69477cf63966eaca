"""
Stores in object stores: how they are made, replaced and given results.

What readers see while results are published, and after a writer was killed:

- until publishing begins, all of the old results;
- from then on the results that are replaced or removed say that they are unfinished, and opening
  them is refused;
- at the end, each new result as a whole. Results that were opened before and are read afterwards
  raise an error, as their chunks may be those of the new ones.

Before publishing begins, its plan is written beside the complete drafts. If the writer is killed
later than that, the next writer completes what the plan says; before it the old results are
untouched, and drafts without a plan are just left beside the store, as ``.NAME.TOKEN.results``.
There are no locks: one writer at a time.
"""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sigma_scale.store.remote import Objects, UrlStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from zarr.abc.store import Store

    from sigma_scale.store.location import Location, UrlPath

__all__ = ["RemoteDrafts", "RemotePlace"]

_NODE = "zarr.json"
_PLAN = "publish.json"
_ENDING = ".results"
_STATE = "sigma_scale"


class RemotePlace:
    """
    A place in an object store.

    Parameters
    ----------
    url : UrlPath
        The place of the store.
    """

    def __init__(self, url: UrlPath) -> None:
        self.url = url
        self._objects = Objects(url)

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, which is there whole or not at all."""
        self._objects.write(name, content)

    @contextmanager
    def building(self) -> Iterator[UrlPath]:
        """Give the place itself: a store is made there with its mark first."""
        for left in self._left():  # They were of another store.
            left.remove()
        yield self.url

    def remove(self) -> None:
        """Delete the store; until it is gone, it is an unfinished one."""
        _mark_unfinished(self._objects, _NODE)
        self._objects.delete([name for name in self._objects.find() if name != _NODE])
        self._objects.delete([_NODE])

    def tidy(self) -> None:
        """Do nothing: objects are never half-written."""

    def size(self, name: str) -> int:
        """Size of a part in bytes."""
        return self._objects.size(name)

    def stamp(self, name: str) -> bytes | None:
        """Give the content of a small object; None where there is none."""
        return self._objects.read(name)

    def holds(self, store: Store) -> bool:
        """Whether zarr's store is this place."""
        return isinstance(store, UrlStore) and store.place.url == self.url.url

    def recover(self, finish: Callable[[], None]) -> None:
        """Complete what killed writers have begun to publish."""
        for left in self._left():
            left.complete(finish)

    def _left(self) -> list[RemoteDrafts]:
        """Drafts that writers are at, or that killed ones have left."""
        return [
            RemoteDrafts(self.url, self.url.with_name(name))
            for name in Objects(self.url.parent).names()
            if name.startswith(f".{self.url.name}.") and name.endswith(_ENDING)
        ]

    @contextmanager
    def drafts(self) -> Iterator[RemoteDrafts]:
        """Somewhere beside the store."""
        drafts = RemoteDrafts(
            self.url, self.url.with_name(f".{self.url.name}.{uuid.uuid4().hex}{_ENDING}")
        )
        try:
            yield drafts
        finally:
            # Once publishing has begun, they are what it is completed from.
            if not drafts.begun:
                drafts.remove()


class RemoteDrafts:
    """
    Groups beside a store.

    Parameters
    ----------
    store : UrlPath
        The store.
    location : UrlPath
        Where to write.
    """

    def __init__(self, store: UrlPath, location: UrlPath) -> None:
        self.location: Location = location
        self.begun = False
        self._store = Objects(store)
        self._drafts = Objects(location)

    def publish(
        self, names: Collection[str], remove: Collection[str], finish: Callable[[], None]
    ) -> None:
        """Copy groups into the store; if that fails, the next writer completes it."""
        plan = {"names": list(names), "remove": list(remove), "token": uuid.uuid4().hex}
        self.begun = True  # Before it is: a request that fails may have been carried out.
        self._drafts.write(_PLAN, json.dumps(plan).encode())
        self.complete(finish)

    def complete(self, finish: Callable[[], None]) -> None:
        """Do what the plan says, or what is left of it; without a plan, nothing."""
        content = self._drafts.read(_PLAN)
        if content is None:
            return
        plan: dict[str, Any] = json.loads(content)
        names, remove = plan["names"], plan["remove"]
        # What follows from the others goes first: whoever looks, or kills this, finds too little,
        # but nothing that doesn't belong together.
        for name in remove:
            _mark_unfinished(self._store, f"{name}/{_NODE}")
        for name in names:
            _mark_unfinished(self._store, f"{name}/{_NODE}", create=True)
        marks = {f"{name}/{_NODE}" for name in [*remove, *names]}
        if marks:
            old = self._store.find(*(f"{name}/" for name in [*remove, *names]))
            self._store.delete([name for name in old if name not in marks])
        self._store.delete([f"{name}/{_NODE}" for name in remove])
        if names:
            new = self._drafts.find(*(f"{name}/" for name in names))
            self._drafts.copy_to(self._store, [name for name in new if name not in marks])
        for name in names:
            node = json.loads(self._drafts.read(f"{name}/{_NODE}") or b"{}")
            # Tells these results from others of the same recipe.
            node["attributes"][_STATE]["written"] = plan["token"]
            self._store.write(f"{name}/{_NODE}", json.dumps(node, indent=2).encode())
        finish()
        self.remove()

    def remove(self) -> None:
        """Delete the drafts, the plan first: without all of them it can't be followed."""
        self._drafts.delete([_PLAN])
        self._drafts.delete(self._drafts.find())


def _mark_unfinished(objects: Objects, name: str, *, create: bool = False) -> None:
    """Say of a group that it is unfinished, if it is there or is to be made."""
    content = objects.read(name)
    if content is None and not create:
        return
    node = json.loads(content or b'{"zarr_format": 3, "node_type": "group"}')
    attributes = node.setdefault("attributes", {})
    attributes[_STATE] = {**attributes.get(_STATE, {}), "state": "unfinished"}
    attributes[_STATE].pop("identity", None)
    node.pop("consolidated_metadata", None)
    objects.write(name, json.dumps(node, indent=2).encode())
