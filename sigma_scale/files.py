"""Files that are there whole or not at all, and what tells one from every other."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["fingerprint_of", "remove_drafts", "sha256_of", "size_of", "write_atomically"]

_PIECE = 4 * 2**20
_SAMPLES, _SAMPLE = 256, 16 * 2**10


def write_atomically(path: Path, content: bytes) -> Path:
    """
    Write a file so that it is there whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        File to write or replace; its folder is made where it is missing.
    content : bytes
        What to write.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def size_of(path: Path) -> int:
    """
    Size of a file in bytes; of a folder, the sum of its files' sizes.

    Parameters
    ----------
    path : pathlib.Path
        File or folder.

    Returns
    -------
    int
    """
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def sha256_of(path: Path, report: Callable[[int], object] | None = None) -> str:
    """
    SHA-256 of a file; of a folder, the hash of its files' names and hashes.

    Parameters
    ----------
    path : pathlib.Path
        File or folder.
    report : callable, optional
        Called with the number of bytes each time that some have been read.

    Returns
    -------
    str
        In hexadecimal digits.
    """
    if path.is_file():
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
                if report is not None:
                    report(len(piece))
        return digest.hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    names = [f"{file.relative_to(path).as_posix()} {sha256_of(file, report)}\n" for file in files]
    return hashlib.sha256("".join(names).encode()).hexdigest()


def fingerprint_of(path: Path) -> str:
    """
    What tells a file from others without reading all of it; changes when it is written to.

    Made of the size, the time of the last change, and samples from all over the file; of a
    folder, of the sizes and times of its files.

    Parameters
    ----------
    path : pathlib.Path
        File or folder.

    Returns
    -------
    str
        In hexadecimal digits.
    """
    if not path.is_file():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        names = [f"{file.relative_to(path).as_posix()} {_stamp(file)}\n" for file in files]
        return hashlib.sha256("".join(names).encode()).hexdigest()
    digest = hashlib.sha256(_stamp(path).encode())
    step = max(_SAMPLE, path.stat().st_size // _SAMPLES)
    with path.open("rb", buffering=0) as stream:
        for place in range(0, path.stat().st_size, step):
            stream.seek(place)
            digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def remove_drafts(folder: Path) -> None:
    """
    Remove what writers that were killed have left half-written.

    Both our own drafts and those of zarr go.

    Parameters
    ----------
    folder : pathlib.Path
        Folder that nobody else is writing to.
    """
    for pattern in ("*.part", "*.partial"):
        for draft in folder.rglob(pattern):
            draft.unlink(missing_ok=True)
