"""Where tiles lie: by the stage, by the fields of a montage, or by a rule of rows and columns."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.mosaic.tile import MICROMETRE, PIXEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.mosaic.tile import Tile

__all__ = [
    "STAGE_AXES",
    "GridRule",
    "place_by_fields",
    "place_by_stage",
    "place_in_grid",
    "whole_pixels",
]

STAGE_AXES = ("-y", "x")
"""Stage axes that go down and to the right in the image: y of a stage usually points upwards."""

_AXES = {"x": (0, 1), "-x": (0, -1), "+x": (0, 1), "y": (1, 1), "-y": (1, -1), "+y": (1, 1)}
_UM_PER_MM = 1e3
_DIGITS = 6
"""Digits of a pixel that count when places are rounded, so that noise doesn't decide."""
_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "m": 1e6, "nm": 1e-3}
_FIELDS = ("row", "column", "index")
_MOST_OVERLAP = 0.9
_Order = Literal["row-wise", "column-wise"]


@dataclass(frozen=True, kw_only=True)
class GridRule:
    """
    How tiles follow each other in a grid.

    Parameters
    ----------
    rows, columns : int, optional
        Size of the grid; what the tiles' names say may be left out.
    order : {"row-wise", "column-wise"}, default: "row-wise"
        Whether the second tile is right of the first or below it; for tiles that are counted.
    snake : bool, default: False
        Whether every second row (or column) was taken backwards; for tiles that are counted.
    overlap : float or tuple of float, default: 0.1
        Share of a tile that it has in common with the next, in y and x; 0 to 0.9.
    pattern : str, optional
        How names tell the place, such as ``"tile_{row}_{column}"`` or ``"map {index}"``; without
        it, tiles are counted in the order in which they are given.
    first : int, optional
        Number of the first row, column or index; None: the lowest that there is.

    Raises
    ------
    ParameterError
        If a value cannot work.
    """

    rows: int | None = None
    columns: int | None = None
    order: _Order = "row-wise"
    snake: bool = False
    overlap: float | tuple[float, float] = 0.1
    pattern: str | None = None
    first: int | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ParameterError(f"{name} of the grid must be at least 1, got {value}.")
        if self.order not in {"row-wise", "column-wise"}:
            near = get_close_matches(str(self.order), ("row-wise", "column-wise"), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ParameterError(
                f"order must be 'row-wise' or 'column-wise', not {self.order!r}.{hint}"
            )
        if not all(0 <= share <= _MOST_OVERLAP for share in self.overlaps):
            raise ParameterError(
                f"overlap is a share of a tile, 0 to {_MOST_OVERLAP:g}; got {self.overlap}."
            )

    @property
    def overlaps(self) -> tuple[float, float]:
        """Overlap in y and in x."""
        both = self.overlap if isinstance(self.overlap, tuple) else (self.overlap, self.overlap)
        return float(both[0]), float(both[1])

    def cells(self, names: Sequence[str]) -> list[tuple[int, int]]:
        """
        Row and column of each tile, counted from 0.

        Parameters
        ----------
        names : sequence of str
            Names of the tiles.

        Returns
        -------
        list of tuple of int

        Raises
        ------
        ParameterError
            If a name doesn't follow the pattern, or a place is outside the grid.
        """
        if self.pattern is None:
            return self._counted(names, list(range(len(names))), complete=True)
        fields, expression = self._expression(self.pattern)
        numbers = np.array([_numbers(name, expression, self.pattern, fields) for name in names])
        numbers = numbers - (numbers.min(axis=0) if self.first is None else self.first)
        if fields == ("index",):
            return self._counted(names, numbers[:, 0].tolist(), complete=False)
        cells = [(int(row), int(column)) for row, column in numbers]
        for name, cell in zip(names, cells, strict=True):
            self._check(name, cell, (self.rows, self.columns))
        return cells

    def _expression(self, pattern: str) -> tuple[tuple[str, ...], re.Pattern[str]]:
        parts = re.split(r"\{(.*?)\}", pattern)
        found = parts[1::2]
        for field in found:
            if field not in _FIELDS:
                near = get_close_matches(field, _FIELDS, n=1)
                hint = f" Did you mean {{{near[0]}}}?" if near else ""
                raise ParameterError(
                    f"There is no field {{{field}}} in patterns of names ({pattern!r}); there are "
                    f"{{row}} with {{column}}, or {{index}}.{hint}"
                )
        if sorted(found) not in (["column", "row"], ["index"]):
            raise ParameterError(
                f"The pattern {pattern!r} must hold {{row}} and {{column}}, or {{index}}, once."
            )
        texts = [re.escape(part) for part in parts[::2]]
        groups = [rf"(?P<{field}>\d+)" for field in found]
        joined = "".join(a + b for a, b in zip(texts, [*groups, ""], strict=True))
        return ("index",) if found == ["index"] else ("row", "column"), re.compile(joined)

    def _counted(
        self, names: Sequence[str], numbers: list[int], *, complete: bool
    ) -> list[tuple[int, int]]:
        wanted = len(names) if complete else max(numbers) + 1
        rows, columns = self.rows, self.columns
        if rows is None and columns is None:
            raise ParameterError(
                "Tiles that are counted need the rows or columns of the grid: give rows=, columns= "
                "or both."
            )
        if rows is None or columns is None:
            other = -(-wanted // (rows or columns or 1))
            rows, columns = rows or other, columns or other
        if complete and rows * columns != len(names):
            raise ParameterError(
                f"A grid of {rows} x {columns} has {rows * columns} tiles, and there are "
                f"{len(names)}. If some are missing, give a pattern of their names, such as "
                "'tile_{index}'."
            )
        by_row = self.order == "row-wise"
        length = columns if by_row else rows
        cells = []
        for name, number in zip(names, numbers, strict=True):
            line, place = divmod(number, length)
            if self.snake and line % 2:
                place = length - 1 - place
            cell = (line, place) if by_row else (place, line)
            self._check(name, cell, (rows, columns))
            cells.append(cell)
        return cells

    def _check(self, name: str, cell: tuple[int, int], size: tuple[int | None, int | None]) -> None:
        for what, place, count in zip(("row", "column"), cell, size, strict=True):
            if place < 0 or (count is not None and place >= count):
                raise ParameterError(
                    f"Tile {name!r} would be in {what} {place} (counted from 0), outside the grid "
                    f"of {size[0] or 'any'} rows and {size[1] or 'any'} columns. Check the size, "
                    "the pattern and first."
                )


def _numbers(
    name: str, expression: re.Pattern[str], pattern: str, fields: tuple[str, ...]
) -> list[int]:
    match = expression.fullmatch(name)
    if match is None:
        raise ParameterError(f"The name of tile {name!r} doesn't follow the pattern {pattern!r}.")
    return [int(match[field]) for field in fields]


def place_in_grid(tiles: Sequence[Tile], rule: GridRule) -> tuple[list[Tile], str]:
    """
    Place tiles in a grid of equal steps.

    Parameters
    ----------
    tiles : sequence of Tile
        In the order in which they are counted.
    rule : GridRule
        The grid.

    Returns
    -------
    list of Tile
        With positions.
    str
        Their unit.

    Raises
    ------
    ParameterError
        If the tiles don't fit the rule.

    Notes
    -----
    Steps are those of the commonest size of tile.
    """
    cells = rule.cells([tile.name for tile in tiles])
    shape = Counter(tile.shape for tile in tiles).most_common(1)[0][0]
    scaled = all(tile.pixel_unit == MICROMETRE for tile in tiles)
    size = tiles[0].pixel_size if scaled else (1.0, 1.0)
    steps = [
        (1.0 - share) * pixels * pixel
        for share, pixels, pixel in zip(rule.overlaps, shape, size, strict=True)
    ]
    placed = [
        replace(tile, row=row, column=column, position=(row * steps[0], column * steps[1]))
        for tile, (row, column) in zip(tiles, cells, strict=True)
    ]
    return placed, MICROMETRE if scaled else PIXEL


def place_by_stage(tiles: Sequence[Tile], axes: tuple[str, str] = STAGE_AXES) -> list[Tile]:
    """
    Place tiles by the stage's position at their centres.

    Parameters
    ----------
    tiles : sequence of Tile
        Tiles with a scale.
    axes : tuple of str, default: ("-y", "x")
        Stage axis, with its sign, that goes down the image and the one that goes to the right.

    Returns
    -------
    list of Tile
        With positions in micrometres.

    Raises
    ------
    ParameterError
        If a tile has no stage position or no scale, or the axes are none.
    """
    chosen = [_AXES.get(axis) for axis in axes]
    if len(chosen) != 2 or None in chosen or chosen[0][0] == chosen[1][0]:  # type: ignore[index] # noqa: PLR2004
        raise ParameterError(
            f"stage_axes must be one of x, -x and one of y, -y, such as ('-y', 'x'); got {axes}."
        )
    for tile in tiles:
        if tile.stage_mm is None:
            raise ParameterError(
                f"The file of {tile.label} has no stage position. Use a grid rule or a manifest."
            )
    centres = np.array([tile.stage_mm for tile in tiles]) * _UM_PER_MM
    down_right = np.stack([sign * centres[:, axis] for axis, sign in chosen], axis=1)  # type: ignore[misc]
    return _centred(tiles, down_right)


def _centred(tiles: Sequence[Tile], centres_um: NDArray[np.float64]) -> list[Tile]:
    placed = []
    for tile, centre in zip(tiles, centres_um, strict=True):
        if tile.pixel_unit != MICROMETRE:
            raise ParameterError(
                f"{tile.label} has no pixel size in micrometres, so its stage position doesn't "
                "tell its place. Use a grid rule, or a manifest in pixels."
            )
        y, x = (
            float(middle - (count - 1) / 2 * size)
            for middle, count, size in zip(centre, tile.shape, tile.pixel_size, strict=True)
        )
        placed.append(replace(tile, position=(y, x)))
    return placed


def place_by_fields(tiles: Sequence[Tile], overlap: float = 0.1) -> tuple[list[Tile], str]:
    """
    Place tiles by the montage fields (LAM) of their H5OINA files.

    Parameters
    ----------
    tiles : sequence of Tile
        One field each.
    overlap : float, default: 0.1
        Share of a tile in common with the next, where the coordinates only count fields.

    Returns
    -------
    list of Tile
        With positions; with rows and columns where the coordinates count fields.
    str
        Their unit.

    Raises
    ------
    ParameterError
        If a file has no montage fields, or more than one.

    Notes
    -----
    Coordinates with a unit of length are taken as the place of a field's centre, x to the right
    and y downwards; those without one as the number of its column and row.
    """
    found = [_field_of(tile) for tile in tiles]
    units = {unit for _, unit in found}
    if len(units) > 1:
        raise ParameterError(f"The montage fields have different units: {sorted(units)}.")
    unit = units.pop()
    coordinates = np.array([place for place, _ in found])
    if unit in _UM:
        return _centred(tiles, coordinates * _UM[unit]), MICROMETRE
    cells = np.round(coordinates - coordinates.min(axis=0)).astype(int)
    names = [f"{row}-{column}" for row, column in cells]
    renamed = [replace(tile, name=name) for tile, name in zip(tiles, names, strict=True)]
    rule = GridRule(pattern="{row}-{column}", overlap=overlap)
    placed, positions_in = place_in_grid(renamed, rule)
    back = [replace(new, name=old.name) for new, old in zip(placed, tiles, strict=True)]
    return back, positions_in


def _field_of(tile: Tile) -> tuple[tuple[float, float], str]:
    images = tile.read().images
    if not {"lam_field_x", "lam_field_y"} <= set(images):
        raise ParameterError(
            f"The file of {tile.label} has no montage fields (LAM). Use its stage position, a grid "
            "rule or a manifest."
        )
    place = []
    for name in ("lam_field_y", "lam_field_x"):
        values = np.asarray(images[name].values, dtype=np.float64)
        values = values[np.isfinite(values)]
        if not values.size or np.ptp(values) > 1e-6 * max(1.0, np.abs(values).max()):
            n_fields = len(np.unique(values))
            raise ParameterError(
                f"The file of {tile.label} holds {n_fields or 'no'} fields of a montage, not one: "
                "it is a map that was put together already. Read it as one map, without a mosaic."
            )
        place.append(float(values[0]))
    return (place[0], place[1]), str(images["lam_field_x"].attrs.get("units", ""))


def grid_gaps(tiles: Sequence[Tile]) -> tuple[tuple[int, int], ...]:
    """Cells of the grid, as far as its tiles reach, that have no tile."""
    cells = {(t.row, t.column) for t in tiles if t.row is not None and t.column is not None}
    if not cells:
        return ()
    rows, columns = ([int(cell[axis] or 0) for cell in cells] for axis in (0, 1))
    return tuple(
        (row, column)
        for row in range(min(rows), max(rows) + 1)
        for column in range(min(columns), max(columns) + 1)
        if (row, column) not in cells
    )


def whole_pixels(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """
    Round places to whole pixels: halves upwards wherever the origin is, and noise passed over.

    Parameters
    ----------
    places : numpy.ndarray, float64
        Rows and columns in pixels.

    Returns
    -------
    numpy.ndarray of int64, same shape
    """
    rounded: NDArray[np.int64] = np.floor(np.round(places, _DIGITS) + 0.5).astype(np.int64)
    return rounded
