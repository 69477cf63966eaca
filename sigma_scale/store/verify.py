"""Whether a store holds what its source does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import zarr

from sigma_scale import compute
from sigma_scale.errors import VerificationError
from sigma_scale.progress import progress_bar
from sigma_scale.spectra import Scratch
from sigma_scale.spectra.rechunk import chunk_plan, chunks_of_region
from sigma_scale.spectra.window_sums import spectrum_dtype, sums_dtype
from sigma_scale.store.counts import SUM_SPECTRUM, TOTAL, block_sums
from sigma_scale.store.stored import StoredCounts

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource, EventBlock, SpectrumImage

__all__ = ["verify_map"]

_ROUNDING = 1e-9  # of sums of floats
_ROWS = 1024  # of an image that are compared together


def verify_map(stored: SpectrumImage, original: SpectrumImage) -> int:
    """
    Read all counts of a store and of its source again, and compare them.

    The images of the source are compared too, and the store's totals and sum spectrum with its
    counts.

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
        If shapes, energy axes, the counts of any pixel or images differ, or the totals or the
        sum spectrum are not those of the counts.
    """
    if stored.source.shape != original.source.shape or stored.energy != original.energy:
        raise VerificationError(
            f"The store has the shape {stored.source.shape} and {stored.energy}, its source "
            f"{original.source.shape} and {original.energy}."
        )
    plan = chunk_plan(original.source, stored.source.chunk_shape)
    regions = [plan.limits(i, j) for i, j in np.ndindex(plan.shape)]
    rows, columns, _ = stored.source.shape
    written = _written_sums(stored.source)
    total = None if written is None else written[0]
    compare = _RegionComparison(stored.source, original.source, total)
    spectrum = np.zeros(stored.source.shape[2], dtype=spectrum_dtype(stored.source.dtype))
    wrong_totals: list[tuple[int, int]] = []
    different = []
    with progress_bar("Verifying", total=rows * columns) as bar:
        for found in compute.stream(compare, regions, description="Verifying"):
            bar.update(found.compared)
            spectrum += found.spectrum
            if found.different:
                different.append(found)
            if found.wrong_total is not None:
                wrong_totals.append(found.wrong_total)
    if different:
        first = min(found.first for found in different)
        raise VerificationError(
            f"{sum(found.different for found in different):,} pixels of the store differ from "
            f"the source, the first in row {first[0]}, column {first[1]}. Write the store again."
        )
    if wrong_totals:
        row, column = min(wrong_totals)
        raise VerificationError(
            f"The store's array {TOTAL!r} is not the sum of its counts, first in row {row}, column "
            f"{column}. Write the store again."
        )
    if written is not None and not _same_spectrum(written[1], spectrum):
        raise VerificationError(
            f"The store's array {SUM_SPECTRUM!r} is not the sum of its counts. "
            "Write the store again."
        )
    for name, image in original.images.items():
        if name not in stored.images or not _same_image(stored.images[name], image):
            raise VerificationError(
                f"The image {name!r} of the store is not that of its source. Write the store again."
            )
    return rows * columns


def _written_sums(source: BlockSource) -> tuple[zarr.Array[Any], NDArray[Any]] | None:
    """Totals and sum spectrum of a store; None of counts that lie elsewhere."""
    if not isinstance(source, StoredCounts):
        return None
    array = source.array
    group = zarr.open_group(
        array.store, path=array.path.rpartition("/")[0], mode="r", use_consolidated=False
    )
    n_rows, n_columns, n_channels = source.shape
    sums = [cast("zarr.Array[Any] | None", group.get(name)) for name in (TOTAL, SUM_SPECTRUM)]
    for name, found, shape in zip(
        (TOTAL, SUM_SPECTRUM), sums, ((n_rows, n_columns), (n_channels,)), strict=True
    ):
        if getattr(found, "shape", None) != shape:
            raise VerificationError(
                f"The store's array {name!r} is missing or not of the shape {shape}. "
                "Write the store again."
            )
    total, spectrum = cast("list[zarr.Array[Any]]", sums)
    return total, np.asarray(spectrum[:])


def _same_spectrum(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if other.dtype.kind == "f":  # The order of the sum depends on the blocks.
        return np.allclose(one, other, rtol=_ROUNDING, atol=0)
    return np.array_equal(one, other)


def _same_image(one: xr.DataArray, other: xr.DataArray) -> bool:
    """Whether two images are equal, read some rows at a time."""
    if one.shape != other.shape:
        return False
    return all(
        np.array_equal(one[start : start + _ROWS], other[start : start + _ROWS], equal_nan=True)
        for start in range(0, one.shape[0], _ROWS)
    )


class _Difference(NamedTuple):
    compared: int
    different: int
    first: tuple[int, int]
    spectrum: NDArray[Any]
    """Sum of the store's counts."""
    wrong_total: tuple[int, int] | None
    """First pixel whose total is not the sum of its counts."""


@dataclass(frozen=True)
class _RegionComparison:
    """Compares one region per call, from any thread or process."""

    stored: BlockSource
    original: BlockSource
    total: zarr.Array[Any] | None

    def __call__(self, limits: tuple[int, int, int, int]) -> _Difference:
        height, width = self.stored.chunk_shape
        top, bottom, left, right = limits
        scratch = Scratch()
        pixels: list[tuple[int, int]] = []
        counts_dtype = self.stored.dtype
        totals = np.zeros(
            (bottom - top, right - left), dtype=sums_dtype(counts_dtype, self.stored.shape[2])
        )
        spectrum = np.zeros(self.stored.shape[2], dtype=spectrum_dtype(counts_dtype))
        for row, column, block in chunks_of_region(
            self.original, limits, (height, width), scratch=Scratch()
        ):
            written = self.stored.read_block(row, column, scratch)
            sums, part = block_sums(written, totals.dtype, counts_dtype)
            y, x = row * height - top, column * width - left
            totals[y : y + sums.shape[0], x : x + sums.shape[1]] = sums
            spectrum += part
            if not _equal(written, block):
                places = _different_pixels(written, block)
                pixels += [(row * height + y, column * width + x) for y, x in places]
        area = (bottom - top) * (right - left)
        return _Difference(
            area,
            len(pixels),
            min(pixels, default=(0, 0)),
            spectrum,
            self._wrong_total(limits, totals),
        )

    def _wrong_total(
        self, limits: tuple[int, int, int, int], totals: NDArray[Any]
    ) -> tuple[int, int] | None:
        if self.total is None:
            return None
        top, bottom, left, right = limits
        wrong = np.argwhere(np.asarray(self.total[top:bottom, left:right]) != totals)
        return (top + int(wrong[0, 0]), left + int(wrong[0, 1])) if len(wrong) else None


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
