"""A map without the rows and columns at its end, such as those of an unfinished acquisition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError
from sigma_scale.features.dose import crop_dose_images

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource, EventBlock, Scratch, SpectrumImage

__all__ = ["CroppedSource", "crop", "filled_extent"]


def filled_extent(filled: NDArray[np.bool_]) -> tuple[int, int]:
    """
    Rows and columns that hold all filled pixels, counted from the first ones.

    Parameters
    ----------
    filled : array, shape (y, x), bool
        Pixels where something was acquired.

    Returns
    -------
    tuple of int

    Raises
    ------
    EmptyMapError
        If there are none.
    """
    rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    if rows.size == 0:
        raise EmptyMapError("Nothing was acquired in any pixel of the map.")
    return int(rows[-1]) + 1, int(columns[-1]) + 1


def crop(image: SpectrumImage, extent: tuple[int, int]) -> SpectrumImage:
    """
    Leave out the rows and columns of a map beyond an extent.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.
    extent : tuple of int
        Rows and columns to keep, from the first ones; no more than there are.

    Returns
    -------
    SpectrumImage
        The same counts and the same part of the navigation image, and of a mosaic's images of
        tiles and doses; nothing is read.
    """
    rows, columns = extent
    if extent == image.source.shape[:2]:
        return image
    images = dict(image.images)
    if image.navigation is not None:
        images["navigation"] = image.navigation[:rows, :columns]
    images |= crop_dose_images(image, extent)
    return replace(image, source=CroppedSource(image.source, rows, columns), images=images)


@dataclass(frozen=True, eq=False)
class CroppedSource:
    """
    Counts of the first rows and columns of a map.

    Parameters
    ----------
    source : BlockSource
        The counts.
    rows, columns : int
        How many to keep.
    """

    source: BlockSource
    rows: int
    columns: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels."""
        return self.rows, self.columns, self.source.shape[2]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        return self.source.dtype

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """Rows and columns of a block, those of the source."""
        return self.source.chunk_shape

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        """Block of the source, cut where the map ends."""
        block = self.source.read_block(row, column, scratch)
        height = min(block.shape[0], self.rows - row * self.chunk_shape[0])
        width = min(block.shape[1], self.columns - column * self.chunk_shape[1])
        return block.window(slice(0, height), slice(0, width))

    def __dask_tokenize__(self) -> Hashable:
        return ("CroppedSource", self.source.__dask_tokenize__(), self.rows, self.columns)
