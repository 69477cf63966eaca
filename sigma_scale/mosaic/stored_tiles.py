"""Tiles that are stores already: whether all of their counts are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import CorruptChunkError, SigmaScaleError, StoreError
from sigma_scale.spectra import Scratch
from sigma_scale.store import StoredCounts

if TYPE_CHECKING:
    from sigma_scale.mosaic.tile import Tile

__all__ = ["damage_of"]


def damage_of(job: tuple[int, Tile, bool]) -> tuple[int, SigmaScaleError | None]:
    """
    Find out what is wrong with the store that a tile is.

    Parameters
    ----------
    job : tuple of int, Tile and bool
        Number of the tile, the tile, and whether its chunks are decoded too, not only looked for.

    Returns
    -------
    int
        Number of the tile.
    SigmaScaleError or None
        What was found first; None if nothing is wrong.
    """
    number, tile, decode = job
    try:
        _check(tile, decode=decode)
    except CorruptChunkError as error:
        return number, error
    except StoreError as error:
        return number, CorruptChunkError(str(error))
    except SigmaScaleError as error:
        return number, error
    except OSError as error:
        return number, CorruptChunkError(str(error))
    return number, None


def _check(tile: Tile, *, decode: bool) -> None:
    source = tile.read().source
    if not isinstance(source, StoredCounts):
        return
    missing = source.missing()
    if missing:
        row, column = min(missing)
        raise CorruptChunkError(
            f"{len(missing)} of its chunks are missing, the first in row {row}, column {column}."
        )
    if decode:
        scratch = Scratch()
        for row, column in np.ndindex(source.n_chunks):
            source.read_block(row, column, scratch)
