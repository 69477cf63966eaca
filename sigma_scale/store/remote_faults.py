"""What goes wrong with object stores, in the user's words."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sigma_scale.errors import SigmaScaleError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["named_faults"]

_LIBRARIES = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
    "google.auth.exceptions": ("GoogleAuthError",),
    "gcsfs.retry": ("HttpError", "NonRetryableError", "ChecksumError"),
}
"""Errors of the file systems' libraries that are no OSError."""
_NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "SSOTokenLoadError",
    "DefaultCredentialsError",
    "RefreshError",
}
_NO_CONNECTION = {
    "EndpointConnectionError",
    "ClientConnectorError",
    "ClientConnectorDNSError",
    "ConnectionClosedError",
    "ServerDisconnectedError",
    "ProxyConnectionError",
    "SSLError",
    "TransportError",
}
_DENIED = (401, 403)
_MISSING = 404


def _known_errors() -> tuple[type[BaseException], ...]:
    """Errors that file systems raise; of libraries that are not loaded there can't be any."""
    # The last two: options that their libraries look at only when they connect.
    found: list[type[BaseException]] = [OSError, TypeError, ValueError]
    for module, names in _LIBRARIES.items():
        loaded = sys.modules.get(module)
        found += [getattr(loaded, name) for name in names if hasattr(loaded, name)]
    return tuple(found)


@contextmanager
def named_faults(url: str, *, missing_is_answer: bool = False) -> Iterator[None]:
    """
    Turn what a file system raises into an error that names the place and the remedy.

    Parameters
    ----------
    url : str
        The place.
    missing_is_answer : bool, default: False
        Let ``FileNotFoundError`` through.

    Raises
    ------
    StoreError
        Instead of the file system's error.
    """
    try:
        yield
    except SigmaScaleError:
        raise
    except _known_errors() as error:
        if missing_is_answer and (isinstance(error, FileNotFoundError) or _code(error) == _MISSING):
            raise FileNotFoundError(2, "There is nothing", url) from error
        raise StoreError(f"{url}: {_reason(error)}") from error


def _code(error: BaseException) -> int | None:
    code = str(getattr(error, "code", ""))
    return int(code) if code.isdecimal() else None


def _reason(error: BaseException) -> str:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, TypeError | ValueError) and "ClientError" not in kinds:
        return (
            f"the file system can't be used so ({said}). Check the storage options and the "
            "configuration."
        )
    if isinstance(error, PermissionError) or _code(error) in _DENIED:
        return (
            f"access was refused ({said}). Renew the credentials if they have expired, and make "
            "sure that they may read, list, write and delete there."
        )
    if kinds & _NO_CREDENTIALS:
        return (
            f"there are no usable credentials ({said}). Put them into the environment or the "
            "provider's configuration, on each worker too; for public data give the storage "
            "option anon."
        )
    if isinstance(error, FileNotFoundError) or _code(error) == _MISSING:
        return (
            f"there is no such bucket or object ({said}). Check the name; a bucket has to be made "
            "first."
        )
    timed_out = isinstance(error, TimeoutError) or any("Timeout" in kind for kind in kinds)
    if timed_out or isinstance(error, ConnectionError) or kinds & _NO_CONNECTION:
        return (
            f"the server can't be reached or doesn't answer ({said}). Check the network and the "
            "storage option endpoint_url, then run the same command again."
        )
    return (
        f"the server reports an error ({said}). Run the same command again later: what is finished "
        "is kept."
    )
