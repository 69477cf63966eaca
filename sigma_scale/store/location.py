"""
Where a store is: a folder, or a URL of an object store.

A folder is a :class:`pathlib.Path`. A URL can't be one, which would make ``s3:/a/b`` of
``s3://a/b``, so there is :class:`UrlPath` with those of its methods that are needed to look at a
store. What a store needs beyond looking is in :mod:`sigma_scale.store.places`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Location", "PathOrUrl", "UrlPath", "local_path", "locate"]

_PROTOCOLS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "memory": "memory"}
"""What may be before ``://``, by the one name that is used here."""
_SECRETS = re.compile(r"(^|_)(key|secret|password|passwd|secret_key|session_token)$")
_TOKEN = "token"  # noqa: S105 -- the name of an option
_MAGIC = re.compile(r"[*?\[\]]")
_COLLAPSED = re.compile(r"^([a-z0-9]{2,}):/(?!/)")


@dataclass(frozen=True)
class UrlPath:
    """
    A place in an object store.

    It behaves like a :class:`pathlib.Path` as far as a store has to be looked at. It travels to
    other processes with its options, but without credentials, which each process takes from its
    own environment.

    Parameters
    ----------
    url : str
        Such as ``"s3://bucket/folder/map.zarr"``.
    options_json : str, default: "{}"
        Options of the file system.
    """

    url: str
    options_json: str = field(default="{}", repr=False)

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> UrlPath:
        return self._at(f"{self.key}/{name}" if self.key else name)

    def _at(self, key: str) -> UrlPath:
        return UrlPath(f"{self.protocol}://{key}", self.options_json)

    @property
    def protocol(self) -> str:
        """What is before ``://``."""
        return self.url.partition("://")[0]

    @property
    def key(self) -> str:
        """What follows ``://``: the bucket and the name of the object."""
        return self.url.partition("://")[2]

    @property
    def options(self) -> dict[str, Any]:
        """Options of the file system."""
        options: dict[str, Any] = json.loads(self.options_json)
        return options

    @property
    def name(self) -> str:
        """Last part."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Last part without its ending."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """Ending of the last part."""
        return Path(self.name).suffix

    @property
    def parent(self) -> UrlPath:
        """What it lies in."""
        return self._at(self.key.rpartition("/")[0])

    def with_name(self, name: str) -> UrlPath:
        """Give the place of another name beside it."""
        return self.parent / name

    def resolve(self) -> UrlPath:
        """Give itself: a URL is whole."""
        return self

    def exists(self) -> bool:
        """
        Whether there is an object of this name, or one in it.

        Raises
        ------
        StoreError
            If that can't be found out.
        """
        # In this order: what refuses a question about one object does not say why.
        return self.is_dir() or self.is_file()

    def is_file(self) -> bool:
        """
        Whether there is an object of this name.

        Raises
        ------
        StoreError
            If that can't be found out.
        """
        from sigma_scale.store.remote import Objects

        return Objects(self.parent).has(self.name)

    def is_dir(self) -> bool:
        """
        Whether there is an object in it.

        Raises
        ------
        StoreError
            If that can't be found out.
        """
        return next(self.iterdir(), None) is not None

    def iterdir(self) -> Iterator[UrlPath]:
        """
        Give what lies in it.

        Raises
        ------
        StoreError
            If that can't be found out.
        """
        from sigma_scale.store.remote import Objects

        return (self / name for name in Objects(self).names())

    def glob(self, pattern: str) -> Iterator[UrlPath]:
        """
        Give what fits a pattern of one or more parts.

        Raises
        ------
        StoreError
            If that can't be found out.
        """
        from fnmatch import fnmatchcase

        first, _, rest = pattern.partition("/")
        for found in self.iterdir():
            if fnmatchcase(found.name, first):
                if not rest:
                    yield found
                elif _MAGIC.search(rest):
                    yield from found.glob(rest)
                elif (found / rest).is_file():
                    yield found / rest

    def read_bytes(self) -> bytes:
        """
        Read the object.

        Raises
        ------
        FileNotFoundError
            If there is none.
        StoreError
            If it can't be read.
        """
        from sigma_scale.store.remote import Objects

        content = Objects(self.parent).read(self.name)
        if content is None:
            raise FileNotFoundError(2, "There is no object", self.url)
        return content


Location: TypeAlias = Path | UrlPath
"""Where something is."""
PathOrUrl: TypeAlias = str | os.PathLike[str] | UrlPath
"""What users may give for it."""


def locate(place: PathOrUrl, storage_options: Mapping[str, Any] | None = None) -> Location:
    """
    Understand where something is.

    Parameters
    ----------
    place : path, or str
        Folder or file; or URL: ``file://``, ``s3://``, ``gs://`` or ``memory://``.
    storage_options : mapping, optional
        Options of the file system behind a URL, as fsspec takes them, such as
        ``{"endpoint_url": "https://..."}``; added to those of fsspec's configuration. JSON types
        only. Credentials are refused: they belong in the environment or the provider's own
        configuration, from where each worker takes them.

    Returns
    -------
    pathlib.Path or UrlPath

    Raises
    ------
    ParameterError
        If it is a URL that can't name a store, or an option is a credential.
    """
    if isinstance(place, UrlPath):
        return place if storage_options is None else _url_path(place.url, storage_options)
    text = os.fspath(place)
    if match := _COLLAPSED.match(text.replace(os.sep, "/")):
        raise ParameterError(
            f"{text} is no path and no URL: a pathlib.Path can't hold one. Give it as text, "
            f"{match[1]}://..."
        )
    protocol, separator, _ = text.partition("://")
    if separator and protocol.isalnum() and protocol.lower() != "file":
        return _url_path(text, storage_options)
    if storage_options:
        raise ParameterError(f"{text} is a local path, which has no storage options.")
    return _local(text) if separator and protocol.lower() == "file" else Path(place)


def local_path(place: PathOrUrl, what: str) -> Path:
    """
    Understand where something is that can only be in a folder of this machine.

    Parameters
    ----------
    place : path, or str
        Folder or file, or its ``file://`` URL.
    what : str
        What to call it, in the plural.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ParameterError
        If it is elsewhere.
    """
    found = locate(place)
    if isinstance(found, UrlPath):
        raise ParameterError(
            f"{what} go to a local file or folder, not to {found}. Name a local one, and copy it "
            "there afterwards."
        )
    return found


def _local(url: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path:
        raise ParameterError(
            f"{url} names no file of this machine. Such a URL has three slashes: file:///folder."
        )
    return Path(url2pathname(parts.path))


def _url_path(text: str, storage_options: Mapping[str, Any] | None) -> UrlPath:
    given, _, rest = text.partition("://")
    key = rest.strip("/") if given == "memory" else rest.rstrip("/")
    bucket, _, name = key.partition("/")
    if "@" in bucket or ":" in bucket:
        raise ParameterError(
            f"A URL {given}://... must not hold credentials. Put them into the environment "
            "or the provider's configuration."
        )
    protocol = _PROTOCOLS.get(given.lower())
    if protocol is None:
        raise ParameterError(
            f"{text}: stores can't be at {given}://. They can be in local folders and at s3://, "
            "gs://, memory:// and file://. Copy it to one of these first."
        )
    # An object store has no "..", and its file systems take these for patterns when they delete.
    bad = _MAGIC.search(key) or not {"", ".", ".."}.isdisjoint(key.split("/"))
    if bad or not key.isprintable():
        raise ParameterError(
            f"{text} can't be the URL of a store: its parts must not be empty, '.' or '..', or "
            "contain any of * ? [ ]. Choose another name."
        )
    if protocol != "memory" and not name:
        raise ParameterError(
            f"{text} is a whole bucket. A store needs a name in it: {protocol}://{bucket}/map.zarr."
        )
    return UrlPath(f"{protocol}://{key}", _as_json(protocol, storage_options or {}))


def _as_json(protocol: str, options: Mapping[str, Any]) -> str:
    secret = next(_secrets(protocol, options), None)
    if secret is not None:
        raise ParameterError(
            f"The storage option {secret!r} is a credential, which would travel with every task. "
            "Put it into the environment or the provider's configuration, on each worker too."
        )
    try:
        return json.dumps(dict(options), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"Storage options must be JSON types: {error}") from error


def _secrets(protocol: str, options: Mapping[str, Any]) -> Iterator[str]:
    """Names of options that hold credentials."""
    for name, value in options.items():
        if isinstance(value, dict):
            if name == _TOKEN:
                yield name
            yield from _secrets(protocol, value)
        # Google's file system has also ways to come by a token under this name.
        elif _SECRETS.search(str(name)) or (name == _TOKEN and protocol != "gs"):
            yield str(name)
