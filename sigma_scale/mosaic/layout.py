"""Where the tiles of a mosaic lie."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.mosaic import checks
from sigma_scale.mosaic.opening import Sources, files_in, open_tiles
from sigma_scale.mosaic.placement import (
    STAGE_AXES,
    GridRule,
    grid_gaps,
    place_by_fields,
    place_by_stage,
    place_in_grid,
)
from sigma_scale.mosaic.tile import MICROMETRE, PIXEL, Tile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sigma_scale.mosaic.checks import Finding

__all__ = ["TileLayout"]

_Unreadable = Literal["raise", "skip"]


@dataclass(frozen=True, eq=False, repr=False)
class TileLayout:
    """
    Tiles and where they lie.

    Parameters
    ----------
    tiles : tuple of Tile
        The tiles, each with its own name.
    unit : {"µm", "pixel"}
        Unit of their positions.
    left_out : mapping of str to str
        Files that couldn't be read and were to be left out, with the reason.

    Raises
    ------
    EmptyMapError
        If there is no tile.
    ParameterError
        If tiles are duplicates, of different instruments or pixel sizes, or too far apart.
    """

    tiles: tuple[Tile, ...]
    unit: str = MICROMETRE
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.tiles:
            raise EmptyMapError("There are no tiles to make a mosaic of.")
        if self.unit not in {MICROMETRE, PIXEL}:
            raise ParameterError(f"Positions are in 'µm' or 'pixel', not {self.unit!r}.")
        checks.refuse(self.findings)
        if self.unit == MICROMETRE and self.tiles[0].pixel_unit != MICROMETRE:
            raise ParameterError(
                "The tiles have no pixel size in micrometres, so their positions must be in pixels."
            )
        checks.refuse_far_apart(self.tiles, self.offsets)

    def __repr__(self) -> str:
        from sigma_scale.mosaic.overview import summary_of

        return summary_of(self)

    def __len__(self) -> int:
        return len(self.tiles)

    def __iter__(self) -> Iterator[Tile]:
        return iter(self.tiles)

    def __getitem__(self, name: str) -> Tile:
        for tile in self.tiles:
            if tile.name == name:
                return tile
        from difflib import get_close_matches

        near = get_close_matches(str(name), [tile.name for tile in self.tiles], n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ParameterError(f"There is no tile {name!r}.{hint}")

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """In what tiles differ from the others; see :class:`~sigma_scale.mosaic.Finding`."""
        return tuple(checks.find(self.tiles))

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Height and width of the mosaic's pixels in its unit: the commonest of the tiles."""
        if self.unit == PIXEL:
            return 1.0, 1.0
        return Counter(tile.pixel_size for tile in self.tiles).most_common(1)[0][0]

    @property
    def offsets(self) -> NDArray[np.float64]:
        """Row and column of each tile's first pixel in the mosaic, shape (tile, 2), from 0 on."""
        positions = np.array([tile.position for tile in self.tiles]) / self.pixel_size
        offsets: NDArray[np.float64] = positions - positions.min(axis=0)
        return offsets

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that the tiles reach over."""
        ends = np.ceil(self.offsets + np.array([tile.shape for tile in self.tiles]) - 1e-6)
        return int(ends[:, 0].max()), int(ends[:, 1].max())

    @property
    def missing(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the grid, if it is known, where there is no tile."""
        return grid_gaps(self.tiles)

    def with_offsets(self, offsets: NDArray[np.float64]) -> Self:
        """
        Layout of the same tiles at other places.

        Parameters
        ----------
        offsets : numpy.ndarray, shape (tile, 2), float64
            Row and column of each tile's first pixel, in pixels from where ``offsets`` begin now.

        Raises
        ------
        ShapeMismatchError
            If there isn't a row and column for each tile.
        """
        places = np.asarray(offsets, dtype=np.float64)
        if places.shape != (len(self), 2):
            raise ShapeMismatchError(
                f"{len(self)} tiles need offsets of shape ({len(self)}, 2), not {places.shape}."
            )
        # From where the first row and column were: stage coordinates keep their sense.
        origin = np.array([tile.position for tile in self.tiles]).min(axis=0)
        moved = (origin + places * self.pixel_size).tolist()
        tiles = (
            replace(tile, position=(y, x)) for tile, (y, x) in zip(self.tiles, moved, strict=True)
        )
        return replace(self, tiles=tuple(tiles))

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        files: str | None = None,
        grid: GridRule | None = None,
        positions: Literal["auto", "stage", "fields", "grid"] = "auto",
        stage_axes: tuple[str, str] = STAGE_AXES,
        options: Mapping[str, Any] | None = None,
        unreadable: _Unreadable = "raise",
    ) -> Self:
        """
        Lay out all maps of a folder.

        Parameters
        ----------
        folder : path
            Folder with one file (or store) for each tile.
        files : str, optional
            Which of its files, such as ``"*.bcf"``; None: all that a reader knows.
        grid : GridRule, optional
            Rule of rows and columns.
        positions : {"auto", "stage", "fields", "grid"}, default: "auto"
            What the places are taken from; ``"auto"``: from ``grid`` if it is given, else from
            montage fields if all files have them, else from the stage.
        stage_axes : tuple of str, default: ("-y", "x")
            Stage axis, with its sign, that goes down the image and the one that goes to the right.
        options : mapping, optional
            Options for the reader of every file.
        unreadable : {"raise", "skip"}, default: "raise"
            What to do with files that can't be read; those skipped are in ``left_out``.

        Returns
        -------
        TileLayout

        Raises
        ------
        SourceNotFoundError
            If there is no such folder, or no map in it.
        ParameterError
            If the places can't be found out, or the tiles don't belong together.
        """
        sources = files_in(Path(folder), files)
        tiles, left_out = open_tiles(sources, options, unreadable)
        if positions not in {"auto", "stage", "fields", "grid"}:
            raise ParameterError(
                f"positions must be 'auto', 'stage', 'fields' or 'grid', not {positions!r}."
            )
        if positions == "grid" and grid is None:
            raise ParameterError("Positions from a grid need its rule: give grid=GridRule(...).")
        if positions == "grid" or (positions == "auto" and grid is not None):
            return cls(*_gridded(tiles, grid or GridRule()), left_out)
        overlap = 0.1 if grid is None else grid.overlaps[0]
        if positions == "fields" or (positions == "auto" and _have_fields(tiles)):
            placed, unit = place_by_fields(tiles, overlap)
            return cls(tuple(placed), unit, left_out)
        return cls(tuple(place_by_stage(tiles, stage_axes)), MICROMETRE, left_out)

    @classmethod
    def from_stage(
        cls,
        sources: Sources,
        *,
        stage_axes: tuple[str, str] = STAGE_AXES,
        options: Mapping[str, Any] | None = None,
        unreadable: _Unreadable = "raise",
    ) -> Self:
        """
        Lay out maps by the stage's position at their centres.

        Parameters
        ----------
        sources : sequence of path, or mapping of str to path or SpectrumImage
            Files, or files and maps in memory by the tiles' names.
        stage_axes, options, unreadable
            See :meth:`from_folder`.

        Returns
        -------
        TileLayout

        Raises
        ------
        ParameterError
            If a file has no stage position, or the tiles don't belong together.
        """
        tiles, left_out = open_tiles(sources, options, unreadable)
        return cls(tuple(place_by_stage(tiles, stage_axes)), MICROMETRE, left_out)

    @classmethod
    def from_fields(
        cls,
        sources: Sources,
        *,
        overlap: float = 0.1,
        options: Mapping[str, Any] | None = None,
        unreadable: _Unreadable = "raise",
    ) -> Self:
        """
        Lay out maps by the montage fields (LAM) of their H5OINA files.

        Parameters
        ----------
        sources : sequence of path, or mapping of str to path or SpectrumImage
            Files, or files and maps in memory by the tiles' names.
        overlap : float, default: 0.1
            Share of a tile in common with the next, where the coordinates only count fields.
        options, unreadable
            See :meth:`from_folder`.

        Returns
        -------
        TileLayout

        Raises
        ------
        ParameterError
            If a file has no montage fields or several, or the tiles don't belong together.
        """
        tiles, left_out = open_tiles(sources, options, unreadable)
        placed, unit = place_by_fields(tiles, overlap)
        return cls(tuple(placed), unit, left_out)

    @classmethod
    def from_grid(
        cls,
        sources: Sources,
        rule: GridRule,
        *,
        options: Mapping[str, Any] | None = None,
        unreadable: _Unreadable = "raise",
    ) -> Self:
        """
        Lay out maps by a rule of rows and columns.

        Parameters
        ----------
        sources : sequence of path, or mapping of str to path or SpectrumImage
            Files, or files and maps in memory by the tiles' names.
        rule : GridRule
            The rule.
        options, unreadable
            See :meth:`from_folder`.

        Returns
        -------
        TileLayout

        Raises
        ------
        ParameterError
            If the tiles don't fit the rule, or don't belong together.
        """
        if unreadable == "skip" and rule.pattern is None:
            raise ParameterError(
                "Tiles that are counted move up if one is left out. Give a pattern of their names."
            )
        tiles, left_out = open_tiles(sources, options, unreadable)
        return cls(*_gridded(tiles, rule), left_out)

    @classmethod
    def read_manifest(cls, path: str | Path, *, unreadable: _Unreadable = "raise") -> Self:
        """
        Lay out the tiles that a manifest lists.

        Parameters
        ----------
        path : path
            File ending in ``.csv``, ``.yaml`` or ``.yml``.
        unreadable : {"raise", "skip"}, default: "raise"
            What to do with tiles that can't be read.

        Returns
        -------
        TileLayout

        Raises
        ------
        SourceNotFoundError
            If the manifest or a tile's file isn't there.
        FileFormatError
            If the manifest has a fault; the message names tile and line.
        ParameterError
            If the tiles don't belong together.
        """
        from sigma_scale.mosaic.manifest import read_entries

        entries, unit = read_entries(Path(path))
        details = {entry.pop("name"): entry for entry in entries}
        tiles, left_out = open_tiles(
            {name: entry.pop("path") for name, entry in details.items()},
            None,
            unreadable,
            details=details,
        )
        return cls(tuple(tiles), unit, left_out)

    def write_manifest(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """
        Write the layout to a file that can be edited and read again.

        Parameters
        ----------
        path : path
            File ending in ``.csv``, ``.yaml`` or ``.yml``.
        overwrite : bool, default: False
            Replace a manifest that is there.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        OutputExistsError
            If it is there and ``overwrite`` is not set.
        ParameterError
            If the ending is another one, or a tile has no file.
        """
        from sigma_scale.mosaic.manifest import write_entries

        return write_entries(self.tiles, self.unit, Path(path), overwrite=overwrite)


def _gridded(tiles: list[Tile], rule: GridRule) -> tuple[tuple[Tile, ...], str]:
    placed, unit = place_in_grid(tiles, rule)
    return tuple(placed), unit


def _have_fields(tiles: Sequence[Tile]) -> bool:
    return all({"lam_field_x", "lam_field_y"} <= set(tile.read().images) for tile in tiles)
