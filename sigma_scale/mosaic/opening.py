"""Finding and opening the files of tiles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sigma_scale import compute
from sigma_scale.errors import (
    FileFormatError,
    ParameterError,
    SigmaScaleError,
    SourceNotFoundError,
)
from sigma_scale.mosaic.tile import Tile
from sigma_scale.readers import known_suffixes
from sigma_scale.spectra import SpectrumImage
from sigma_scale.store import is_store

__all__ = ["Sources", "files_in", "open_tiles"]

Sources: TypeAlias = "Sequence[str | Path] | Mapping[str, str | Path | SpectrumImage]"

_HEADERS = {".raw": (".rpl", ".par"), ".ser": (".emi",)}
"""Endings of files that are read by way of others."""


def files_in(folder: Path, pattern: str | None) -> list[Path]:
    """
    Files of a folder that may be maps, in the order of the numbers in their names.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look; not below.
    pattern : str, optional
        Such as ``"*.bcf"``; None: all files that a reader knows, and stores.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    SourceNotFoundError
        If there is no such folder, or no such file in it.
    FileFormatError
        If it is a file.
    """
    if folder.is_file():
        raise FileFormatError(
            f"{folder} is a file, but tiles are put together from a folder of them, or from a "
            "manifest (.csv, .yaml). A map of its own needs no mosaic: use sigma-scale run."
        )
    if not folder.is_dir():
        raise SourceNotFoundError(f"There is no folder {folder}.")
    found = [path for path in folder.glob(pattern or "*") if not path.name.startswith(".")]
    if pattern is None:
        found = [
            path for path in found if path.suffix.lower() in known_suffixes() or is_store(path)
        ]
        stems = {(path.stem, path.suffix.lower()) for path in found}
        found = [path for path in found if not _is_part(path, stems)]
    if not found:
        what = "file that a reader knows" if pattern is None else f"file {pattern}"
        raise SourceNotFoundError(f"There is no {what} in the folder {folder}.")
    return sorted(found, key=lambda path: _natural(path.name))


def _is_part(path: Path, stems: set[tuple[str, str]]) -> bool:
    headers = _HEADERS.get(path.suffix.lower(), ())
    names = {path.stem, path.stem.rpartition("_")[0]}
    return any((name, suffix) in stems for name in names for suffix in headers)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which tile_2 comes before tile_10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def open_tiles(
    sources: Sources,
    options: Mapping[str, Any] | None = None,
    unreadable: str = "raise",
    *,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[list[Tile], dict[str, str]]:
    """
    Open tiles, many at a time, and note what is known of them.

    Parameters
    ----------
    sources : sequence of path, or mapping of str to path or SpectrumImage
        Files, or files and maps in memory by the tiles' names.
    options : mapping, optional
        Options for the reader of every file.
    unreadable : {"raise", "skip"}, default: "raise"
        What to do with those that can't be read.
    details : mapping of str to mapping, optional
        What else is known of the tiles, by their names.

    Returns
    -------
    list of Tile
        In the order of the sources; not placed yet.
    dict of str to str
        Why tiles were skipped.

    Raises
    ------
    ParameterError
        If two files give a tile the same name.
    SigmaScaleError
        If a tile can't be read; the message names it.
    """
    if unreadable not in {"raise", "skip"}:
        raise ParameterError(f"unreadable must be 'raise' or 'skip', not {unreadable!r}.")
    shared = {} if options is None else {"options": dict(options)}
    jobs = [
        (number, name, source, {**shared, **(details or {}).get(name, {})})
        for number, (name, source) in enumerate(_named(sources))
    ]
    tiles: dict[int, Tile] = {}
    failed: dict[int, SigmaScaleError] = {}
    for number, result in compute.stream(_open, jobs, description="Opening tiles"):
        (tiles if isinstance(result, Tile) else failed)[number] = result
    if failed and (unreadable == "raise" or not tiles):
        number = min(failed)
        line = jobs[number][3].get("line")
        where = f" (line {line})" if line else ""
        error = failed[number]
        raise type(error)(f"Tile {jobs[number][1]!r}{where} can't be read: {error}") from error
    reasons = {jobs[number][1]: str(failed[number]) for number in sorted(failed)}
    return [tiles[number] for number in sorted(tiles)], reasons


def _named(sources: Sources) -> list[tuple[str, Path | SpectrumImage]]:
    if isinstance(sources, Mapping):
        return [
            (name, item if isinstance(item, SpectrumImage) else Path(item))
            for name, item in sources.items()
        ]
    named: dict[str, Path | SpectrumImage] = {}
    for path in map(Path, sources):
        name = path.stem
        if name in named:
            raise ParameterError(
                f"Two files would be the tile {name!r}: {named[name]} and {path}. Choose files of "
                "one kind, such as files='*.bcf', or give each its own name in a manifest."
            )
        named[name] = path
    return list(named.items())


def _open(job: tuple[int, str, Path | SpectrumImage, dict[str, Any]]) -> tuple[int, Any]:
    number, name, source, details = job
    try:
        return number, Tile.describe(source, name, **details)
    except SigmaScaleError as error:
        return number, error
