"""Dense chunks into a zarr array, each written by the thread that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale import compute
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    import zarr

    from sigma_scale.export.tiles import DenseTiles, Tile

__all__ = ["CHUNK_BYTES", "write_chunks"]

CHUNK_BYTES = 8 * 2**20
"""Largest size of a dense chunk in zarr."""


def write_chunks(array: zarr.Array[Any], tiles: DenseTiles) -> None:
    """
    Fill an array whose chunks are those of the tiles.

    Parameters
    ----------
    array : zarr.Array, shape (y, x, channel)
        Array to write to; chunks without counts are left as they are.
    tiles : DenseTiles
        The spectra.
    """
    with progress_bar("Writing spectra", total=tiles.shape[0] * tiles.shape[1]) as bar:
        for pixels in compute.stream(
            _TileWriter(tiles, array), tiles, description="Writing the export"
        ):
            bar.update(pixels)


@dataclass(frozen=True)
class _TileWriter:
    """Reads a tile and writes its chunks; no chunk belongs to two tiles."""

    tiles: DenseTiles
    array: zarr.Array[Any]

    def __call__(self, tile: Tile) -> int:
        for row, column, values in self.tiles.chunks_of(tile):
            height, width = values.shape[:2]
            self.array[row : row + height, column : column + width] = values
        return tile.size
