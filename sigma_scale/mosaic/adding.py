"""Adding tiles to a mosaic whose own tiles stay where they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.mosaic.layout import TileLayout
from sigma_scale.mosaic.registration import register

if TYPE_CHECKING:
    from collections.abc import Collection

    from sigma_scale.mosaic.registration import Registration
    from sigma_scale.mosaic.tile import Tile

__all__ = ["add_tiles", "keep_places", "register_added"]

_STAGE_ERROR = 6.0
_SHARE_OF_SEARCH = 0.5


def add_tiles(layout: TileLayout, more: TileLayout) -> TileLayout:
    """
    Lay out the tiles of a mosaic and further ones.

    Parameters
    ----------
    layout : TileLayout
        Tiles of the mosaic, at their final places.
    more : TileLayout
        Further tiles. If tiles of the mosaic are among them, the others are placed from there;
        otherwise the positions of both must mean the same, as those of a stage do.

    Returns
    -------
    TileLayout
        The mosaic's tiles where they are, then those that it hasn't yet; ``layout`` itself if there
        are none.

    Raises
    ------
    ParameterError
        If positions are in other units, or the tiles don't belong together.
    """
    if layout.unit != more.unit:
        raise ParameterError(
            f"The mosaic's positions are in {layout.unit}, those of the tiles to add in "
            f"{more.unit}. Give both in the same unit, by a manifest."
        )
    there = {_file(tile): tile for tile in layout}
    shared = [(there[_file(tile)], tile) for tile in more if _file(tile) in there]
    new = [tile for tile in more if _file(tile) not in there]
    if not new:
        return layout
    moved = [np.subtract(old.position, other.position) for old, other in shared]
    shift = np.median(moved, axis=0) if moved else np.zeros(2)
    places = {old.name: (other.row, other.column) for old, other in shared}
    kept = [
        replace(tile, row=places[tile.name][0], column=places[tile.name][1])
        if tile.name in places
        else tile
        for tile in layout
    ]
    added = [
        replace(
            tile, position=(tile.position[0] + float(shift[0]), tile.position[1] + float(shift[1]))
        )
        for tile in new
    ]
    left_out = {**layout.left_out, **more.left_out}
    return TileLayout((*kept, *added), layout.unit, left_out)


def _file(tile: Tile) -> Any:
    if tile.path is None:
        return tile.name
    return str(tile.path.resolve()), repr(sorted(tile.options.items()))


def register_added(
    layout: TileLayout, kept: Collection[str], *, search: float | None = None, **options: Any
) -> Registration:
    """
    Find the places of tiles that are added, by what they see in common with those that stay.

    Parameters
    ----------
    layout : TileLayout
        Tiles of the mosaic at their final places and further ones, as :func:`add_tiles` gives them.
    kept : collection of str
        Names of the tiles that stay where they are.
    search : float, optional
        How far, in pixels, a further tile may be from where it is expected.
    **options
        Further parameters of :func:`~sigma_scale.mosaic.register`.

    Returns
    -------
    Registration

    Raises
    ------
    ParameterError
        See :func:`~sigma_scale.mosaic.register`.
    """
    # How far the stage errs can't be found from pairs most of which are in place already.
    options.setdefault("stage_error", _STAGE_ERROR if search is None else _SHARE_OF_SEARCH * search)
    return keep_places(register(layout, search=search, **options), layout, kept)


def keep_places(
    registration: Registration, layout: TileLayout, kept: Collection[str]
) -> Registration:
    """
    Put tiles back where they were, and the others where they fit to them.

    Parameters
    ----------
    registration : Registration
        Places by the overlaps.
    layout : TileLayout
        The same tiles, those to be kept at their places.
    kept : collection of str
        Names of the tiles that stay where ``layout`` has them.

    Returns
    -------
    Registration
        The other tiles are moved together, by the median move of those that are kept; residuals
        follow.
    """
    if not kept:
        return registration
    wanted, found = layout.offsets, registration.layout.offsets
    # Both count from their own first row and column, so they differ by more than the moves.
    old = np.array([tile.name in kept for tile in layout])
    shift = np.median(wanted[old] - found[old], axis=0)
    offsets = np.where(old[:, None], wanted, found + shift)
    pairs = registration.pairs.copy()
    number = {tile.name: n for n, tile in enumerate(layout)}
    first, second = ([number[name] for name in pairs[end]] for end in ("tile_a", "tile_b"))
    pairs["residual"] = np.linalg.norm(
        pairs[["dy", "dx"]].to_numpy(float) - (offsets[second] - offsets[first]), axis=1
    )
    return replace(registration, layout=layout.with_offsets(offsets), pairs=pairs)
