"""Whether a store holds what its source does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import VerificationError
from sigma_scale.progress import progress_bar
from sigma_scale.spectra import Scratch
from sigma_scale.spectra.rechunk import chunk_plan, chunks_of_region

if TYPE_CHECKING:
    from sigma_scale.spectra import BlockSource, EventBlock, SpectrumImage

__all__ = ["verify_map"]


def verify_map(stored: SpectrumImage, original: SpectrumImage) -> int:
    """
    Read all counts of a store and of its source again, and compare them.

    Parameters
    ----------
    stored : SpectrumImage
        The map in the store.
    original : SpectrumImage
        The map that was written to it.

    Returns
    -------
    int
        Number of pixels compared: all of them.

    Raises
    ------
    VerificationError
        If shapes, energy axes or the counts of any pixel differ.
    """
    if stored.source.shape != original.source.shape or stored.energy != original.energy:
        raise VerificationError(
            f"The store has the shape {stored.source.shape} and {stored.energy}, its source "
            f"{original.source.shape} and {original.energy}."
        )
    plan = chunk_plan(original.source, stored.source.chunk_shape)
    regions = [plan.limits(i, j) for i, j in np.ndindex(plan.shape)]
    rows, columns, _ = stored.source.shape
    compare = _RegionComparison(stored.source, original.source)
    different = []
    with progress_bar("Verifying", total=rows * columns) as bar:
        for found in compute.stream(compare, regions):
            bar.update(found.compared)
            if found.different:
                different.append(found)
    if different:
        first = min(found.first for found in different)
        raise VerificationError(
            f"{sum(found.different for found in different):,} pixels of the store differ from "
            f"the source, the first in row {first[0]}, column {first[1]}. Write the store again."
        )
    return rows * columns


class _Difference(NamedTuple):
    compared: int
    different: int
    first: tuple[int, int]


@dataclass(frozen=True)
class _RegionComparison:
    """Compares one region per call, from any thread or process."""

    stored: BlockSource
    original: BlockSource

    def __call__(self, limits: tuple[int, int, int, int]) -> _Difference:
        height, width = self.stored.chunk_shape
        top, bottom, left, right = limits
        scratch = Scratch()
        pixels: list[tuple[int, int]] = []
        for row, column, block in chunks_of_region(
            self.original, limits, (height, width), scratch=Scratch()
        ):
            written = self.stored.read_block(row, column, scratch)
            if not _equal(written, block):
                places = _different_pixels(written, block)
                pixels += [(row * height + y, column * width + x) for y, x in places]
        area = (bottom - top) * (right - left)
        return _Difference(area, len(pixels), min(pixels, default=(0, 0)))


def _equal(one: EventBlock, other: EventBlock) -> bool:
    """Whether two blocks hold the same events, whatever the width of their counts."""
    return (
        one.shape == other.shape
        and np.array_equal(one.per_pixel, other.per_pixel)
        and np.array_equal(one.gap_low, other.gap_low)
        and np.array_equal(one.gap_high, other.gap_high)
        and np.array_equal(one.counts, other.counts)
    )


def _different_pixels(one: EventBlock, other: EventBlock) -> list[tuple[int, int]]:
    different = (one.to_csr() != other.to_csr()).tocoo()
    pixels = np.unique(different.coords[0])
    return [divmod(int(pixel), one.shape[1]) for pixel in pixels]
