"""Where an export goes: what may be replaced there, and that it is there whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import OutputExistsError, ParameterError, SigmaScaleError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

__all__ = [
    "MARK",
    "check_level",
    "check_target",
    "draft_of",
    "has_ending",
    "is_listed_folder",
    "marked_attributes",
    "read_json",
    "scratch_beside",
    "starts_with",
    "write_whole",
]

MARK = {"written_by": "sigma-scale export"}
"""Attribute of the zarr groups that are written here, so that they are known as such."""
_LARGEST_JSON = 64 * 2**20
_HIGHEST_LEVEL = 9


def check_level(level: int) -> None:
    """
    Refuse an effort of compression that there is not.

    Raises
    ------
    ParameterError
        If it is not 0 to 9.
    """
    if not 0 <= level <= _HIGHEST_LEVEL:
        raise ParameterError(f"level must be 0 (no compression) to 9, not {level}.")


def check_target(
    path: Path,
    image: SpectrumImage | None = None,
    *,
    overwrite: bool,
    replaceable: Callable[[Path], bool],
) -> None:
    """
    Refuse a target that must not be written to.

    Parameters
    ----------
    path : pathlib.Path
        The target.
    image : SpectrumImage, optional
        What is to be written; files that it is read from are no target.
    overwrite : bool
        Whether an earlier export may be replaced.
    replaceable : callable
        Tells such an export from everything else.

    Raises
    ------
    OutputExistsError
        If something is there that may not be replaced.
    """
    if not (path.exists() or path.is_symlink()):
        return
    sources = () if image is None else image.metadata.sources
    read_from = [source.path for source in sources if source.path is not None]
    if any(path.resolve() == source.resolve() for source in read_from):
        raise OutputExistsError(f"{path} is where the map is read from. Choose another name.")
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        return
    if not replaceable(path):
        raise OutputExistsError(
            f"{path} exists and is no exported {path.suffix.lower()} map. Choose another name, or "
            "move it away."
        )
    if not overwrite:
        raise OutputExistsError(
            f"{path} exists already. Choose another name, or overwrite it "
            "(--overwrite; in Python overwrite=True)."
        )


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """
    Name to write to, moved to its place if all went well and removed if not.

    What a writer to the same target left when it was killed is removed: its draft at once, and an
    earlier result that it had moved aside when the new one is in its place.

    Parameters
    ----------
    path : pathlib.Path
        The target; an earlier one is kept until the new one is whole.

    Yields
    ------
    pathlib.Path
        A hidden name in the same folder, where nothing is yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path, "part")
    token = uuid.uuid4().hex
    draft = path.with_name(f".{path.name}.{token}.part")
    try:
        yield draft
        if path.is_dir() and not path.is_symlink():
            # A folder can't be replaced in one step: the old one steps aside first.
            aside = path.with_name(f".{path.name}.{token}.old")
            path.rename(aside)
            try:
                draft.rename(path)
            except OSError:
                aside.rename(path)
                raise
        else:
            draft.replace(path)
        _remove_left(path, "old")
    finally:
        _remove(draft)


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """
    Folder beside a target for what is needed only while it is written.

    To be used within :func:`draft_of`, which removes what a killed writer left of it.

    Parameters
    ----------
    path : pathlib.Path
        The target.

    Yields
    ------
    pathlib.Path
        A hidden empty folder, removed at the end.
    """
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        _remove(scratch)


def write_whole(
    path: Path, write: Callable[[Path], None], *, is_export: Callable[[Path], bool]
) -> Path:
    """
    Write a draft beside a target and put it in its place once it is whole.

    Parameters
    ----------
    path : pathlib.Path
        The target.
    write : callable
        Called with the name to write to.
    is_export : callable
        Tells whether the draft is there after that.

    Returns
    -------
    pathlib.Path
        The target.

    Raises
    ------
    StoreError
        If it can't be written; nothing is left then.
    """
    try:
        with draft_of(path) as draft:
            write(draft)
            if not is_export(draft):
                raise StoreError(
                    f"{path} can't be written: its draft {draft.name} was removed meanwhile. Is "
                    "another export to the same place running?"
                )
    except SigmaScaleError:
        raise
    except OSError as error:
        # HDF5's messages have several lines.
        reason = " ".join(str(error).split())
        raise StoreError(f"{path} can't be written: {reason}") from error
    return path


def has_ending(path: Path, endings: tuple[str, ...], what: str) -> None:
    """
    Refuse a target whose name doesn't say what it will be.

    Raises
    ------
    ParameterError
        If it has none of the endings.
    """
    if not path.name.lower().endswith(endings):
        raise ParameterError(
            f"{what} can't be written to {path.name}: its name must end in {', '.join(endings)}."
        )


def starts_with(path: Path, *beginnings: bytes) -> bool:
    """Whether there is a file at a path that begins in one of these ways."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            first = stream.read(max(map(len, beginnings)))
    except OSError:
        return False
    return first.startswith(beginnings)


def is_listed_folder(path: Path, name: str, columns: Sequence[str], kinds: set[str]) -> bool:
    """
    Whether there is a folder of files that a table lists, and of nothing else.

    Parameters
    ----------
    path : pathlib.Path
        The folder.
    name : str
        Name of the table, a CSV file.
    columns : sequence of str
        Its header.
    kinds : set of str
        Endings that the other files may have.
    """
    try:
        with (path / name).open(encoding="utf-8") as stream:
            header = stream.readline().strip()
        others = {file.suffix for file in path.iterdir() if file.name != name}
    except (OSError, UnicodeDecodeError):
        return False
    return header == ",".join(columns) and others <= kinds


def _remove_left(path: Path, ending: str) -> None:
    """Remove the hidden names of a target: those with a token of ours and an ending."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{32}}\.{ending}")
    for found in [entry for entry in path.parent.iterdir() if ours.fullmatch(entry.name)]:
        _remove(found)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Object in a JSON file; empty where there is none, whatever is there instead."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_JSON:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def marked_attributes(path: Path) -> dict[str, Any]:
    """Attributes of a zarr 3 group with our mark; empty where there is no such group."""
    attributes = read_json(path / "zarr.json").get("attributes")
    if not isinstance(attributes, dict) or not attributes.items() >= MARK.items():
        return {}
    return attributes
