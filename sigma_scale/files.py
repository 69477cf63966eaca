"""Files that are there whole or not at all, and what tells one from every other."""

from __future__ import annotations

import hashlib
import os
import uuid
import zipfile
from typing import TYPE_CHECKING

from blake3 import blake3

from sigma_scale.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from yaml import YAMLError

__all__ = [
    "ARCHIVE_DAMAGE",
    "check_archive",
    "digest_of",
    "fingerprint_of",
    "remove_drafts",
    "save_file",
    "size_of",
    "write_atomically",
    "yaml_fault",
]

# RuntimeError includes NotImplementedError, which zipfile raises for what it can't unpack, and
# RecursionError of json; a size such as Infinity overflows.
ARCHIVE_DAMAGE = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    OverflowError,
)
"""What reading a damaged zip archive of ours, and the documents in it, may raise."""

_PIECE = 2**20
_SAMPLES, _SAMPLE = 256, 16 * 2**10


def write_atomically(path: Path, content: bytes, *, durable: bool = False) -> Path:
    """
    Write a file so that it is there whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        File to write or replace; its folder is made where it is missing.
    content : bytes
        What to write.
    durable : bool, default: False
        Wait until it would outlive a power cut.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with draft.open("wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        draft.replace(path)
        if durable:
            _sync_names(path.parent)
    finally:
        draft.unlink(missing_ok=True)
    return path


def save_file(path: Path, content: bytes) -> Path:
    """
    Write a file that a user has asked for, so that it is there whole or not at all.

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

    Raises
    ------
    StoreError
        If it can't be written, for example because its folder is read-only or the disk full.
    """
    try:
        return write_atomically(path, content)
    except OSError as error:
        raise StoreError(
            f"{path} can't be written: {error.strerror or error}. Mend that, or choose another "
            "place, and do the same again."
        ) from error


def _sync_names(folder: Path) -> None:
    """Make the names in a folder outlive a power cut, where a system can do so."""
    if os.name == "nt":  # which can't open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """
    Refuse a zip archive whose entries can't be what they claim, before memory is taken for them.

    Parameters
    ----------
    path : pathlib.Path
        The archive's file.
    archive : zipfile.ZipFile
        The archive, opened.

    Raises
    ------
    ValueError
        If entries are compressed, which ours never are, or claim more bytes than the file has.
    """
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its entries are compressed")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("its entries claim more bytes than the file has")


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


def digest_of(path: Path, report: Callable[[int], object] | None = None) -> str:
    """
    BLAKE3 hash of a file; of a folder, the hash of its files' names and hashes.

    It is several times as fast as SHA-256, which took longer than reading a dense map.

    Parameters
    ----------
    path : pathlib.Path
        File or folder.
    report : callable, optional
        Called with the number of bytes each time that some have been read.

    Returns
    -------
    str
        The algorithm and hexadecimal digits, such as ``"blake3:af13..."``.
    """
    return f"blake3:{_blake3_of(path, report)}"


def _blake3_of(path: Path, report: Callable[[int], object] | None) -> str:
    if not path.is_file():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{f.relative_to(path).as_posix()} {_blake3_of(f, report)}\n" for f in files]
        return blake3("".join(lines).encode()).hexdigest()
    digest = blake3()
    # Read, not mapped: a mapped file would count as memory, and end the program if it shrank.
    piece = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as stream:
        while number := stream.readinto(piece):
            digest.update(piece[:number])
            if report is not None:
                report(number)
    return digest.hexdigest()


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
    # Too little for the speed of the hash to matter, and unfinished stores know this one.
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


def yaml_fault(error: YAMLError) -> str:
    """
    Say what is wrong with a text that is no YAML, and where, in one line.

    The parser's own message calls every text "<unicode string>".

    Parameters
    ----------
    error : yaml.YAMLError
        What the parser raised.

    Returns
    -------
    str
    """
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "context", None)
    if mark is not None:
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem or 'no YAML'}"
    position = getattr(error, "position", None)
    if position is not None:
        return f"character {position + 1} of the text is none that YAML allows"
    return " ".join(str(error).split())
