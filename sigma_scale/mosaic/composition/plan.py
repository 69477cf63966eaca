"""What a mosaic is made of, and which blocks of two mosaics hold the same counts."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np

from sigma_scale.errors import FileFormatError, ParameterError
from sigma_scale.mosaic.composition.common_axis import ChannelMap, channel_map
from sigma_scale.mosaic.composition.ownership import Window, owners_of, touching
from sigma_scale.mosaic.placement import whole_pixels
from sigma_scale.spectra import EnergyAxis
from sigma_scale.spectra.source import CHUNK_PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["MosaicPlan", "Overlap", "PlannedTile", "place_tiles", "same_blocks"]

Overlap: TypeAlias = Literal["seam", "sum"]

_OVERLAPS: dict[str, Overlap] = {"seam": "seam", "sum": "sum"}
_METHOD = 1
"""Number of the way in which counts are put together; another one makes other tokens."""
_TOKEN_BYTES = 16


@dataclass(frozen=True)
class PlannedTile:
    """
    A tile's part in a mosaic.

    Parameters
    ----------
    name : str
        Its name.
    identity : str
        What tells its counts from others.
    offset : tuple of int
        Row and column of its first pixel in the mosaic.
    shape : tuple of int
        Rows and columns.
    place : tuple of float
        The offset before it was rounded.
    energy : EnergyAxis
        Energies of its own channels.
    """

    name: str
    identity: str
    offset: tuple[int, int]
    shape: tuple[int, int]
    place: tuple[float, float]
    energy: EnergyAxis


@dataclass(frozen=True)
class MosaicPlan:
    """
    All that the counts of a mosaic depend on.

    Parameters
    ----------
    tiles : tuple of PlannedTile
        The tiles in order.
    overlap : {"seam", "sum"}
        What is done where tiles overlap.
    energy : EnergyAxis
        Energies of the mosaic's channels.
    dtype : str
        Type of its counts, such as ``"uint16"``.

    Raises
    ------
    ParameterError
        If there are no tiles, or overlap is another word.
    """

    tiles: tuple[PlannedTile, ...]
    overlap: Overlap
    energy: EnergyAxis
    dtype: str

    def __post_init__(self) -> None:
        if not self.tiles or self.overlap not in _OVERLAPS:
            raise ParameterError(
                f"A mosaic needs tiles, and overlap 'seam' or 'sum'; got {len(self.tiles)} tiles "
                f"and overlap {self.overlap!r}."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # What was worked out need not travel to other processes.
        return type(self), (self.tiles, self.overlap, self.energy, self.dtype)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """First and last-plus-one row, first and last-plus-one column of each tile: (tile, 4)."""
        offsets = np.array([tile.offset for tile in self.tiles], dtype=np.int64)
        ends = offsets + np.array([tile.shape for tile in self.tiles], dtype=np.int64)
        return np.stack([offsets[:, 0], ends[:, 0], offsets[:, 1], ends[:, 1]], axis=1)

    @cached_property
    def maps(self) -> tuple[ChannelMap, ...]:
        """Where the channels of each tile lie on the mosaic's axis: a :class:`ChannelMap` each."""
        known = {tile.energy: channel_map(tile.energy, self.energy) for tile in self.tiles}
        return tuple(known[tile.energy] for tile in self.tiles)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the mosaic."""
        return int(self.boxes[:, 1].max()), int(self.boxes[:, 3].max())

    @property
    def n_blocks(self) -> tuple[int, int]:
        """Number of blocks of 128 x 128 pixels from top to bottom and from left to right."""
        return -(-self.shape[0] // CHUNK_PIXELS), -(-self.shape[1] // CHUNK_PIXELS)

    @cached_property
    def hidden(self) -> tuple[str, ...]:
        """Names of tiles that own no pixel where each pixel is of one tile."""
        return tuple(
            tile.name for number, tile in enumerate(self.tiles) if not self._owns_pixels(number)
        )

    def _owns_pixels(self, number: int) -> bool:
        top, bottom, left, right = self.boxes[number].tolist()
        y, x = (top + bottom) // 2, (left + right) // 2
        # Most tiles own their middle, which is quickly seen.
        windows = Window(y, y + 1, x, x + 1), Window(top, bottom, left, right)
        return any(number in owners_of(self.boxes, window).numbers for window in windows)

    @cached_property
    def digest(self) -> str:
        """Identity of all counts, in hexadecimal digits."""
        return _digest(self.to_attrs())

    def token(self, row: int, column: int) -> str:
        """
        Identity of the counts of a block of 128 x 128 pixels.

        Blocks with equal tokens, of this or another mosaic, hold the same counts on the same
        channels; blocks at the map's end as if they were filled up with empty pixels.

        Parameters
        ----------
        row, column : int
            Number of the block from the top and from the left.

        Returns
        -------
        str
            Hexadecimal digits.

        Raises
        ------
        ParameterError
            If there is no such block.
        """
        n_rows, n_columns = self.n_blocks
        if not (0 <= row < n_rows and 0 <= column < n_columns):
            raise ParameterError(
                f"There is no block ({row}, {column}): the mosaic has {n_rows} x {n_columns}."
            )
        top, left = row * CHUNK_PIXELS, column * CHUNK_PIXELS
        window = Window(top, top + CHUNK_PIXELS, left, left + CHUNK_PIXELS)
        if self.overlap == "seam":
            # Tiles that own no pixel may come and go: the others' pixels remain theirs.
            numbers = owners_of(self.boxes, window).numbers
        else:
            numbers = touching(self.boxes, window)
        parts = []
        for number in numbers.tolist():
            tile, own = self.tiles[number], self.maps[number]
            y, x = tile.offset
            part: list[Any] = [tile.identity, y - top, x - left, *tile.shape, own.shift]
            if own.shift is None:
                part += [tile.name, own.start, own.ratio]
            parts.append(part)
        whole = [_METHOD, self.overlap if len(parts) > 1 else "", asdict(self.energy), self.dtype]
        return _digest([*whole, parts])

    def to_attrs(self) -> dict[str, Any]:
        """
        Attributes of a store that keep the plan, JSON types only.

        Returns
        -------
        dict
        """
        return {
            "method": _METHOD,
            "overlap": self.overlap,
            "dtype": self.dtype,
            "energy_axis": asdict(self.energy),
            "tiles": [
                {
                    "name": tile.name,
                    "identity": tile.identity,
                    "offset": list(tile.offset),
                    "shape": list(tile.shape),
                    "place": list(tile.place),
                    "energy_axis": asdict(tile.energy),
                }
                for tile in self.tiles
            ],
        }

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Self:
        """
        Plan from a store's attributes.

        Parameters
        ----------
        attrs : mapping
            What :meth:`to_attrs` gave.

        Returns
        -------
        MosaicPlan

        Raises
        ------
        FileFormatError
            If they are no plan, or one of another version of this package.
        """
        method = attrs.get("method")
        if method != _METHOD:
            raise FileFormatError(
                f"The mosaic was put together by method {method!r}, and this version of the "
                f"package uses method {_METHOD}. Compose it anew."
            )
        try:
            return cls(
                tuple(map(_planned, attrs["tiles"])),
                _OVERLAPS[attrs["overlap"]],
                EnergyAxis(**attrs["energy_axis"]),
                np.dtype(attrs["dtype"]).name,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(
                f"The plan of a mosaic can't be understood: {error!r}. Compose the mosaic anew."
            ) from error


def _planned(attrs: Mapping[str, Any]) -> PlannedTile:
    return PlannedTile(
        str(attrs["name"]),
        str(attrs["identity"]),
        _pair(attrs["offset"], int),
        _pair(attrs["shape"], int),
        _pair(attrs["place"], float),
        EnergyAxis(**attrs["energy_axis"]),
    )


def _pair(values: Sequence[Any], kind: type) -> tuple[Any, Any]:
    first, second = values
    return kind(first), kind(second)


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=_TOKEN_BYTES).hexdigest()


def place_tiles(
    offsets: NDArray[np.float64],
    names: Sequence[str],
    identities: Sequence[str],
    earlier: MosaicPlan | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """
    Round the places of tiles to whole pixels of the mosaic.

    Parameters
    ----------
    offsets : numpy.ndarray, shape (tile, 2), float64
        Row and column of each tile's first pixel, from any origin on.
    names, identities : sequence of str
        Each tile's name, and what tells its counts from others.
    earlier : MosaicPlan, optional
        Mosaic of some of the tiles whose blocks shall be found again: the origin is moved by whole
        blocks from there, so that up to 127 rows and columns at the beginning may be empty.

    Returns
    -------
    whole : numpy.ndarray, shape (tile, 2), int64
        Offsets in the mosaic.
    places : numpy.ndarray, shape (tile, 2), float64
        The same before rounding.
    """
    places = offsets - offsets.min(axis=0)
    known = {} if earlier is None else _found_again(earlier, names, identities)
    if not known:
        return whole_pixels(places), places
    moves = [np.array(tile.place) - places[number] for number, tile in known.items()]
    places = places + np.median(moves, axis=0)
    blocks = whole_pixels(places).min(axis=0) // CHUNK_PIXELS
    places = places - blocks * CHUNK_PIXELS
    return whole_pixels(places), places


def _found_again(
    earlier: MosaicPlan, names: Sequence[str], identities: Sequence[str]
) -> dict[int, PlannedTile]:
    """Tiles of an earlier mosaic by the numbers that they have now."""
    same_name = {(tile.name, tile.identity): tile for tile in earlier.tiles}
    # Tiles may have been renamed, but those without a count all look the same.
    often = Counter(tile.identity for tile in earlier.tiles) + Counter(identities)
    renamed = {tile.identity: tile for tile in earlier.tiles if often[tile.identity] <= 2}  # noqa: PLR2004
    found = {}
    for number, (name, identity) in enumerate(zip(names, identities, strict=True)):
        tile = same_name.get((name, identity), renamed.get(identity))
        if tile is not None:
            found[number] = tile
    return found


def same_blocks(earlier: MosaicPlan, now: MosaicPlan) -> dict[tuple[int, int], tuple[int, int]]:
    """
    Find the blocks of a mosaic that an earlier one holds already.

    Parameters
    ----------
    earlier : MosaicPlan
        Plan of the mosaic that is there.
    now : MosaicPlan
        Plan of the one that is to be made.

    Returns
    -------
    dict of (row, column) to (row, column)
        Blocks of the new mosaic with the ones of the earlier that hold the same counts. Empty
        where the blocks of the two don't lie on one grid; compose the new mosaic with
        ``earlier_plan`` so that they do.
    """
    names, identities = zip(*((tile.name, tile.identity) for tile in now.tiles), strict=True)
    moves = Counter(
        (now.tiles[number].offset[0] - y, now.tiles[number].offset[1] - x)
        for number, (y, x) in (
            (number, tile.offset)
            for number, tile in _found_again(earlier, names, identities).items()
        )
    )
    if not moves:
        return {}
    (down, right), _ = moves.most_common(1)[0]
    if down % CHUNK_PIXELS or right % CHUNK_PIXELS:
        return {}
    down, right = down // CHUNK_PIXELS, right // CHUNK_PIXELS
    n_rows, n_columns = now.n_blocks
    rows, columns = earlier.n_blocks
    return {
        (i, j): (i - down, j - right)
        for i in range(max(down, 0), min(n_rows, rows + down))
        for j in range(max(right, 0), min(n_columns, columns + right))
        if now.token(i, j) == earlier.token(i - down, j - right)
    }
