"""What stands in the way of putting tiles together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from sigma_scale.mosaic.tile import Tile
    from sigma_scale.spectra import EnergyAxis

__all__ = ["AXIS_TOLERANCE", "Finding", "find", "refuse", "refuse_far_apart"]

_SIZE_TOLERANCE = 0.005
AXIS_TOLERANCE = 1e-6
"""Difference in keV that is none: axes are stored with so many digits."""
_MOST_WIDTH_RATIO = 2.0
_LEAST_COMMON_ENERGY = 0.5
_SHOWN = 5
_ANY_SIZE = 1e8
_MOST_EMPTY = 1000.0
"""Pixels that a map may have, in any case and for each one of its tiles."""


@dataclass(frozen=True)
class Finding:
    """
    Something in which a tile differs from the others.

    Parameters
    ----------
    tile : str
        Name of the tile.
    kind : {"duplicate", "instrument", "pixel size", "energy axis"}
        What differs.
    verdict : {"refused", "too different", "rebinned"}
        ``"refused"``: no layout is made of them; ``"too different"``: its channels can't be
        rebinned onto the others', so no map can be made with it; ``"rebinned"``: they can.
    message : str
        The whole sentence, with tile and line.
    """

    tile: str
    kind: Literal["duplicate", "instrument", "pixel size", "energy axis"]
    verdict: Literal["refused", "too different", "rebinned"]
    message: str


def find(tiles: Sequence[Tile], *, size_tolerance: float = _SIZE_TOLERANCE) -> list[Finding]:
    """
    Compare tiles with each other.

    Parameters
    ----------
    tiles : sequence of Tile
        The tiles.
    size_tolerance : float, default: 0.005
        Largest difference of pixel sizes from the commonest, as a share of it.

    Returns
    -------
    list of Finding
        The worst first.
    """
    findings = [
        *_duplicates(tiles),
        *_instruments(tiles),
        *_sizes(tiles, size_tolerance),
        *_axes(tiles),
    ]
    order = ("refused", "too different", "rebinned")
    return sorted(findings, key=lambda finding: order.index(finding.verdict))


def refuse(findings: Sequence[Finding]) -> None:
    """
    Raise an error if there is a reason to.

    Raises
    ------
    ParameterError
        With the first few reasons.
    """
    reasons = [finding.message for finding in findings if finding.verdict == "refused"]
    if reasons:
        more = f" And {len(reasons) - _SHOWN} more like these." if len(reasons) > _SHOWN else ""
        raise ParameterError(" ".join(reasons[:_SHOWN]) + more)


def refuse_far_apart(tiles: Sequence[Tile], offsets: NDArray[np.float64]) -> None:
    """
    Refuse places that are so far apart that there must be a mistake in them.

    A map is as large as the box around its tiles, and empty blocks take time as well.

    Parameters
    ----------
    tiles : sequence of Tile
        The tiles.
    offsets : numpy.ndarray, shape (tile, 2), float64
        Row and column of each tile's first pixel, in pixels from 0 on.

    Raises
    ------
    ParameterError
        If the map would be large and have more than 1,000 pixels for each one of its tiles, or
        rows and columns of the grid are as far apart.
    """
    shapes = np.array([tile.shape for tile in tiles], dtype=np.float64)
    _refuse_empty(tiles, offsets, shapes, "pixels", _ANY_SIZE)
    placed = [tile for tile in tiles if tile.row is not None and tile.column is not None]
    if placed:
        cells = np.array([(tile.row, tile.column) for tile in placed], dtype=np.float64)
        first = cells.min(axis=0)
        _refuse_empty(placed, cells - first, np.ones_like(cells), "cells of the grid", 1.0)


def _refuse_empty(
    tiles: Sequence[Tile],
    starts: NDArray[np.float64],
    shapes: NDArray[np.float64],
    what: str,
    always: float,
) -> None:
    # Places such as 1e300 are beyond float64 when they are multiplied.
    with np.errstate(over="ignore"):
        size = (starts + shapes).max(axis=0)
        if size.prod() <= max(always, _MOST_EMPTY * shapes.prod(axis=1).sum()):
            return
        distance = np.abs(starts - np.median(starts, axis=0)).max(axis=1)
    farthest = tiles[int(distance.argmax())]
    raise ParameterError(
        f"The map would reach over {size[0]:.7g} x {size[1]:.7g} {what}, of which the tiles fill "
        f"less than a thousandth; the farthest away is {farthest.label}. Check the positions and "
        "their unit, or the pattern of names, or make several maps."
    )


def _duplicates(tiles: Sequence[Tile]) -> Iterator[Finding]:
    def same_file(tile: Tile) -> Any:
        return tile.path and (str(tile.path.resolve()), repr(sorted(tile.options.items())))

    keys: dict[str, Callable[[Tile], Any]] = {
        "the name": lambda tile: tile.name,
        "the file": same_file,
        "the cell of the grid": lambda tile: (
            None if None in {tile.row, tile.column} else f"({tile.row}, {tile.column})"
        ),
        "the position": lambda tile: f"{tile.position} {tile.shape}",
    }
    told: set[int] = set()
    for what, key in keys.items():
        named = [(str(key(tile)), n) for n, tile in enumerate(tiles) if key(tile) is not None]
        for _, group in groupby(sorted(named), key=lambda pair: pair[0]):
            first, *others = [n for _, n in group]
            for n in others:
                if n not in told:
                    told.add(n)
                    message = f"{tiles[n].heading} has {what} of {tiles[first].label}."
                    yield Finding(tiles[n].name, "duplicate", "refused", message)


def _instruments(tiles: Sequence[Tile]) -> Iterator[Finding]:
    def kind(tile: Tile) -> tuple[str, float | None]:
        beam = tile.beam_energy_kev
        return tile.instrument, None if beam is None else round(beam, 1)

    def words(found: tuple[str, float | None]) -> str:
        return found[0] + ("" if found[1] is None else f" at {found[1]:g} keV")

    usual = Counter(map(kind, tiles)).most_common(1)[0][0]
    for tile in tiles:
        own = kind(tile)
        differs = own[0] != usual[0] or (None not in {own[1], usual[1]} and own[1] != usual[1])
        if differs:
            message = (
                f"{tile.heading} was measured with a {words(own)}, most others with a "
                f"{words(usual)}: one map can't hold both. Take it out."
            )
            yield Finding(tile.name, "instrument", "refused", message)


def _sizes(tiles: Sequence[Tile], tolerance: float) -> Iterator[Finding]:
    unit = Counter(tile.pixel_unit for tile in tiles).most_common(1)[0][0]
    usual = np.median([t.pixel_size for t in tiles if t.pixel_unit == unit], axis=0)
    for tile in tiles:
        off = np.abs(np.array(tile.pixel_size) / usual - 1).max()
        if tile.pixel_unit != unit or off > tolerance:
            own, common = (
                f"{y:.6g} x {x:.6g} {what}"
                for (y, x), what in ((tile.pixel_size, tile.pixel_unit), (usual, unit))
            )
            message = (
                f"{tile.heading} has pixels of {own}, most others of {common}; up to "
                f"{tolerance:.1%} of difference are allowed. Take it out."
            )
            yield Finding(tile.name, "pixel size", "refused", message)


def _axes(tiles: Sequence[Tile]) -> Iterator[Finding]:
    axes = [tile.energy for tile in tiles if tile.energy is not None]
    if not axes:
        return
    usual = Counter(axes).most_common(1)[0][0]
    for tile in tiles:
        if tile.energy is None or _same(tile.energy, usual):
            continue
        fits = _can_be_rebinned(tile.energy, usual)
        ending = (
            "Its counts will be rebinned."
            if fits
            else "That is too different to be rebinned: take it out."
        )
        message = f"{tile.heading} has {_words(tile.energy)}, most others {_words(usual)}. {ending}"
        yield Finding(tile.name, "energy axis", "rebinned" if fits else "too different", message)


def _words(axis: EnergyAxis) -> str:
    return (
        f"{axis.size} channels of {axis.scale_kev * 1e3:.6g} eV from "
        f"{axis.offset_kev * 1e3:.6g} eV on"
    )


def _same(one: EnergyAxis, other: EnergyAxis) -> bool:
    return one.size == other.size and all(
        abs(a - b) <= AXIS_TOLERANCE for a, b in ((one.low, other.low), (one.high, other.high))
    )


def _can_be_rebinned(one: EnergyAxis, other: EnergyAxis) -> bool:
    ratio = one.scale_kev / other.scale_kev
    common = min(one.high, other.high) - max(one.low, other.low)
    whole = max(one.high, other.high) - min(one.low, other.low)
    return (
        1 / _MOST_WIDTH_RATIO <= ratio <= _MOST_WIDTH_RATIO
        and common >= _LEAST_COMMON_ENERGY * whole
    )
