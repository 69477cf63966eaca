"""Whether the files of a tile are still those that a layout was made of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sigma_scale.errors import FileFormatError
from sigma_scale.store import StoredCounts
from sigma_scale.store.layout import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

__all__ = ["is_quick", "stamp_of", "stamp_of_store"]

_NS_PER_TICK = 1000
"""File systems that show the same file to several machines keep times to a microsecond at least."""
_BYTES = 12


def stamp_of(path: Path, image: SpectrumImage) -> str:
    """
    What changes when a map's files are replaced or written to; quick, since nothing is read.

    Parameters
    ----------
    path : pathlib.Path
        The map's file or folder.
    image : SpectrumImage
        What was read of it, which names further files that belong to it.

    Returns
    -------
    str
        Hexadecimal digits, of the sizes of all files and the times of their last change. Of a
        store, of the description of its counts, which is written once: results that are added to
        the store change nothing.

    Raises
    ------
    FileFormatError
        If a file can't be looked at.
    """
    if isinstance(image.source, StoredCounts):
        return stamp_of_store(path)
    sources = {file.path for file in image.metadata.sources if file.path is not None}
    return _stamp({path.absolute(), *sources})


def stamp_of_store(path: Path) -> str:
    """
    Stamp of a store of ours; see :func:`stamp_of`.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the store.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    FileFormatError
        If it has no counts, or can't be looked at.
    """
    return _stamp({path.absolute() / COUNTS / "zarr.json"})


def is_quick(path: Path, image: SpectrumImage) -> bool:
    """
    Whether a map's stamp takes a look at a few files only.

    Parameters
    ----------
    path : pathlib.Path
        The map's file or folder.
    image : SpectrumImage
        What was read of it.

    Returns
    -------
    bool
    """
    return isinstance(image.source, StoredCounts) or not path.is_dir()


def _stamp(files: set[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        try:
            for line in _lines(file):
                digest.update(line.encode())
        except OSError as error:
            raise FileFormatError(f"{file} can't be read: {error}") from error
    return digest.hexdigest()[: 2 * _BYTES]


def _lines(file: Path) -> Iterator[str]:
    parts = [file]
    if file.is_dir():
        parts = sorted(entry for entry in file.rglob("*") if entry.is_file())
    for part in parts:
        stat = part.stat()
        name = part.relative_to(file.parent).as_posix()
        yield f"{name} {stat.st_size} {stat.st_mtime_ns // _NS_PER_TICK}\n"
