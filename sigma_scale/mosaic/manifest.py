"""Manifests: tables of tiles and their places that can be edited by hand."""

from __future__ import annotations

import io
import json
import math
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import (
    FileFormatError,
    OutputExistsError,
    ParameterError,
    SourceNotFoundError,
)
from sigma_scale.files import save_file, yaml_fault
from sigma_scale.mosaic.tile import MICROMETRE, PIXEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sigma_scale.mosaic.tile import Tile

__all__ = ["read_entries", "write_entries"]

_POSITIONS = {MICROMETRE: ("y_um", "x_um"), PIXEL: ("y_px", "x_px")}
_COLUMNS = ("name", "path", "row", "column", "y_um", "x_um", "y_px", "x_px", "options")
_SEPARATORS = ",;\t"
_ENDINGS = (".csv", ".yaml", ".yml")
_VERSION = 1
_TOP = ("version", "tiles")


def write_entries(tiles: Sequence[Tile], unit: str, path: Path, *, overwrite: bool) -> Path:
    """
    Write a manifest; see :meth:`TileLayout.write_manifest`.

    Files below the manifest's folder are written relative to it, so that both can be moved.
    """
    ending = _ending(path)
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} is there already. Give overwrite=True to replace it, with what was edited."
        )
    rows = [_row(tile, unit, path.resolve().parent) for tile in tiles]
    if ending == ".csv":
        import csv

        import pandas as pd

        table = pd.DataFrame(rows).astype({"row": "Int64", "column": "Int64"})
        table["options"] = [json.dumps(row["options"]) if row["options"] else "" for row in rows]
        text = table.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    else:
        import yaml

        listed = [{k: v for k, v in row.items() if v is not None and v != {}} for row in rows]
        text = yaml.safe_dump(
            {"version": _VERSION, "tiles": listed}, sort_keys=False, allow_unicode=True
        )
    return save_file(path, text.encode())


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise ParameterError(
            f"The name of a manifest ends in {', '.join(_ENDINGS)}, not as {path.name!r} does."
        )
    return ending


def _row(tile: Tile, unit: str, folder: Path) -> dict[str, Any]:
    if tile.path is None:
        raise ParameterError(
            f"{tile.label} is a map in memory; a manifest lists files. Write it to a store first."
        )
    where = tile.path.resolve()
    inside = where.is_relative_to(folder)
    y, x = _POSITIONS[unit]
    return {
        "name": tile.name,
        "path": (where.relative_to(folder) if inside else where).as_posix(),
        "row": tile.row,
        "column": tile.column,
        y: float(tile.position[0]),
        x: float(tile.position[1]),
        "options": _plain(tile),
    }


def _plain(tile: Tile) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(tile.options)))
    except TypeError as error:
        raise ParameterError(
            f"The reader's options of {tile.label} can't be written to a manifest: {error}."
        ) from error
    return plain


def read_entries(path: Path) -> tuple[list[dict[str, Any]], str]:
    """
    Read a manifest.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    list of dict
        What each tile is made with, with its line.
    str
        Unit of the positions.

    Raises
    ------
    SourceNotFoundError
        If the manifest, or the file of a tile, isn't there.
    FileFormatError
        If there is a fault in it.
    """
    ending = _ending(path)
    if not path.is_file():
        raise SourceNotFoundError(f"There is no manifest {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(
            f"The manifest {path} can't be read as UTF-8: {error}. Save it as UTF-8 text."
        ) from error
    raw = _csv_rows(text, path) if ending == ".csv" else _yaml_rows(text, path)
    if not raw:
        raise FileFormatError(f"The manifest {path} lists no tiles.")
    lines: dict[str, int] = {}
    entries, units = [], set()
    for line, row in raw:
        entry, unit = _entry(row, line, path)
        if entry["name"] in lines:
            raise FileFormatError(
                f"{path}, line {line}: tile {entry['name']!r} is a duplicate; line "
                f"{lines[entry['name']]} names it already."
            )
        lines[entry["name"]] = line
        units.add(unit)
        entries.append(entry)
    if len(units) > 1:
        raise FileFormatError(
            f"{path} gives some positions in micrometres and some in pixels. Use one of them."
        )
    return entries, units.pop()


def _check_names(names: Iterable[Any], known: Sequence[str], where: str, what: str) -> None:
    for name in names:
        if name not in known:
            near = get_close_matches(str(name).strip().lower(), known, n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise FileFormatError(
                f"{where}: there is no {what} {name!r} in manifests; there are "
                f"{', '.join(known)}.{hint}"
            )


def _csv_rows(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    rows = list(_csv_cells(text, path))
    if not rows:
        raise FileFormatError(f"{path} is no table of tiles: there is nothing in it.")
    (top, header), *others = rows
    names = [name.strip() for name in header]
    if len(names) == 1 and any(separator in names[0] for separator in _SEPARATORS):
        raise FileFormatError(
            f"{path}, line {top}: all columns are in one cell, {names[0]!r}. A spreadsheet took "
            "the file apart wrongly: import it there with the comma as its separator, and save it "
            "anew."
        )
    _check_names(names, _COLUMNS, f"{path}, line {top}", "column")
    if len(set(names)) < len(names):
        raise FileFormatError(f"{path}, line {top}: a column is named twice.")
    table = []
    for line, cells in others:
        if any(cells[len(names) :]):
            raise FileFormatError(
                f"{path}, line {line}: there are {len(cells)} values for {len(names)} columns. "
                "Write decimals with a point, not a comma, and put quotation marks around names "
                "and options that hold a comma."
            )
        filled = [*cells, *[""] * len(names)]
        table.append((line, dict(zip(names, filled, strict=False))))
    return table


def _csv_cells(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a table that aren't blank, with their lines."""
    import csv

    blank = f" {_SEPARATORS}"
    header = next((line for line in text.splitlines() if line.strip(blank)), "")
    separator = max(_SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    line = 1
    try:
        for cells in reader:
            if any("\n" in cell or "\r" in cell for cell in cells):
                raise FileFormatError(
                    f"{path}, line {line}: a quotation mark is not closed in its line."
                )
            if any(cell.strip(blank) for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise FileFormatError(
            f"{path}, line {line}: this is no row of a table: {error}."
        ) from error


def _yaml_rows(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    import yaml

    try:
        content = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise FileFormatError(f"{path} isn't valid YAML: {yaml_fault(error)}.") from error
    except RecursionError as error:
        raise FileFormatError(f"{path} isn't a manifest: it is nested too deeply.") from error
    if not isinstance(content, dict) or not isinstance(content.get("tiles"), list):
        if isinstance(content, dict):
            _check_names(content, _TOP, str(path), "entry")
        raise FileFormatError(f"{path} has no list 'tiles'.")
    _check_names(content, _TOP, str(path), "entry")
    top = [] if node is None else node.value
    if len(top) > len(content):
        raise FileFormatError(f"{path}: an entry such as 'tiles' is given twice.")
    if content.get("version", _VERSION) != _VERSION:
        raise FileFormatError(
            f"{path} is a manifest of version {content['version']}; this program knows {_VERSION}."
        )
    nodes = next(value for key, value in top if key.value == "tiles").value
    rows = []
    for item, place in zip(content["tiles"], nodes, strict=True):
        line = place.start_mark.line + 1
        if not isinstance(item, dict):
            raise FileFormatError(f"{path}, line {line}: a tile has entries such as 'name: ...'.")
        _check_names(item, _COLUMNS, f"{path}, line {line}", "entry")
        keys = [key.value for key, _ in place.value]
        if len(set(keys)) < len(keys):
            raise FileFormatError(f"{path}, line {line}: an entry of this tile is given twice.")
        # As they are written: a name such as 007 is no number.
        texts = {
            key.value: value.value
            for key, value in place.value
            if key.value in {"name", "path"} and isinstance(value, yaml.ScalarNode)
        }
        rows.append((line, {**item, **texts}))
    return rows


def _entry(row: dict[str, Any], line: int, path: Path) -> tuple[dict[str, Any], str]:
    name = row.get("name", "")
    name = "" if name is None else str(name)
    where = f"{path}, line {line}: tile {name!r}"
    if not name.strip():
        raise FileFormatError(f"{path}, line {line}: the tile has no name.")
    given = row.get("path")
    if not given:
        raise FileFormatError(f"{where} has no path.")
    file = path.resolve().parent / str(given)
    try:
        there = file.exists()
    except (OSError, ValueError) as error:  # such as a name that is too long
        raise FileFormatError(f"{where}: the path can't be: {error}") from error
    if not there:
        near = get_close_matches(file.name, _beside(file), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise SourceNotFoundError(f"{where}: there is no file {file}.{hint}")
    present = [
        unit
        for unit, columns in _POSITIONS.items()
        if any(row.get(column) not in {None, ""} for column in columns)
    ]
    if len(present) != 1:
        what = "no position" if not present else "a position in micrometres and one in pixels"
        raise FileFormatError(f"{where} has {what}; give y_um and x_um, or y_px and x_px.")
    unit = present[0]
    y, x = (_number(row.get(column), column, where) for column in _POSITIONS[unit])
    entry: dict[str, Any] = {"name": name, "path": file, "position": (y, x), "line": line}
    for place in ("row", "column"):
        value = row.get(place)
        if value not in {None, ""}:
            number = _number(value, place, where)
            if not number.is_integer():
                raise FileFormatError(f"{where}: {place} must be a whole number, not {value!r}.")
            entry[place] = int(number)
    entry["options"] = _options(row.get("options"), where)
    return entry, unit


def _beside(file: Path) -> list[str]:
    return [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []


def _number(value: Any, column: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        hint = (
            " Write decimals with a point; spreadsheets take the sign from the system's language, "
            "or from their own settings."
            if "," in str(value)
            else ""
        )
        shown = "is missing" if value in {None, ""} else f"must be a number, not {value!r}"
        raise FileFormatError(f"{where}: {column} {shown}.{hint}")
    return number


def _options(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError as error:
            raise FileFormatError(
                f'{where}: options must be like {{"index": 1}}, not {value!r} ({error}).'
            ) from error
    if not value:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise FileFormatError(f"{where}: options must be names with values, not {value!r}.")
    return value
