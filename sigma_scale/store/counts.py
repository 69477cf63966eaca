"""Writing the counts of a map into its store, and what is summed on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from sigma_scale import compute
from sigma_scale.progress import progress_bar
from sigma_scale.spectra import EventBlock, Scratch
from sigma_scale.spectra.events import past_end_error
from sigma_scale.spectra.kernels import sum_block
from sigma_scale.spectra.rechunk import Chunk, chunk_plan, chunks_of_region
from sigma_scale.spectra.window_sums import spectrum_dtype, sums_dtype
from sigma_scale.store.chunks import EncodedChunks
from sigma_scale.store.codec import Encoding, encode
from sigma_scale.store.layout import COUNTS
from sigma_scale.store.stored import StoredCounts
from sigma_scale.store.zarr_codec import EventsCodec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import zarr
    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource

__all__ = ["SUM_SPECTRUM", "TOTAL", "block_sums", "write_counts"]

TOTAL = "total"
SUM_SPECTRUM = "sum_spectrum"


def write_counts(source: BlockSource, group: zarr.Group, encoding: Encoding) -> None:
    """
    Write the chunks that are not there yet, the totals per pixel and the sum spectrum.

    A chunk that an interrupted run has written is read back for the sums and otherwise kept.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    group : zarr.Group
        Unfinished store with an array for the counts.
    encoding : Encoding
        How chunks are compressed.

    Raises
    ------
    StoreError
        If a chunk can't be written, or one that was written before is damaged.
    """
    counts = cast("zarr.Array[Any]", group[COUNTS])
    rows, columns, n_channels = source.shape
    chunk_shape = (counts.chunks[0], counts.chunks[1])
    plan = chunk_plan(source, chunk_shape)
    total = group.create_array(
        TOTAL,
        shape=(rows, columns),
        dtype=sums_dtype(source.dtype, n_channels),
        chunks=(plan.rows[1], plan.columns[1]),
        dimension_names=("y", "x"),
        attributes={"long_name": "total counts"},
        overwrite=True,
    )
    resumed = EncodedChunks(counts).any()
    writer = _RegionWriter(source, counts, total, chunk_shape, encoding, resumed)
    spectra: dict[tuple[int, int, int, int], NDArray[Any]] = {}
    regions = [plan.limits(i, j) for i, j in np.ndindex(plan.shape)]
    with progress_bar("Writing counts", total=rows * columns) as bar:
        for region in compute.stream(writer, regions, description="Writing counts"):
            spectra[region.limits] = region.spectrum
            top, bottom, left, right = region.limits
            bar.update((bottom - top) * (right - left))
    # In the order of the map: sums of floats depend on it.
    spectrum = np.sum([spectra[limits] for limits in regions], axis=0)
    group.create_array(
        SUM_SPECTRUM,
        data=spectrum.astype(spectrum_dtype(source.dtype)),
        dimension_names=("energy",),
        attributes={"long_name": "sum spectrum"},
        overwrite=True,
    )


class _WrittenRegion(NamedTuple):
    limits: tuple[int, int, int, int]
    spectrum: NDArray[Any]


@dataclass(frozen=True)
class _RegionWriter:
    """Writes one region per call, from any thread or process."""

    source: BlockSource
    counts: zarr.Array[Any]
    total: zarr.Array[Any]
    chunk_shape: tuple[int, int]
    encoding: Encoding
    resumed: bool
    """Whether some chunks may be there already."""

    def __call__(self, limits: tuple[int, int, int, int]) -> _WrittenRegion:
        top, bottom, left, right = limits
        height, width = self.chunk_shape
        totals = np.empty((bottom - top, right - left), dtype=self.total.dtype)
        spectra = {}
        for row, column, block in self._chunks(limits):
            sums, spectra[row, column] = block_sums(block, totals.dtype, self.source.dtype)
            y, x = row * height - top, column * width - left
            totals[y : y + block.shape[0], x : x + block.shape[1]] = sums
        self.total[top:bottom, left:right] = totals
        # In the order of the map: sums of floats depend on it.
        return _WrittenRegion(limits, np.sum([spectra[key] for key in sorted(spectra)], axis=0))

    def _chunks(self, limits: tuple[int, int, int, int]) -> Iterator[Chunk]:
        """Chunks of the region, each in the store when it is given."""
        height, width = self.chunk_shape
        chunks = EncodedChunks(self.counts)
        stored = StoredCounts(self.counts)
        scratch = Scratch()
        top, bottom, left, right = limits
        rows = range(top // height, -(-bottom // height))
        columns = range(left // width, -(-right // width))
        there = chunks.present(rows, columns) if self.resumed else set()
        for row, column in sorted(there):
            yield Chunk(row, column, stored.read_block(row, column, scratch))
        for chunk in chunks_of_region(
            self.source, limits, self.chunk_shape, scratch=scratch, leave_out=there
        ):
            self._write(chunks, chunk)
            yield chunk

    def _write(self, chunks: EncodedChunks, chunk: Chunk) -> None:
        height, width = self.chunk_shape
        row, column, block = chunk
        if isinstance(self.counts.serializer, EventsCodec):
            chunks.write((row, column, 0), encode(block.padded(height, width), self.encoding))
            return
        top, left = row * height, column * width
        rows, columns, _ = block.shape
        self.counts[top : top + rows, left : left + columns] = block.to_dense()


def block_sums(
    block: EventBlock, totals_dtype: np.dtype[Any], counts_dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """
    Totals of a block's pixels, shape (rows, columns), and its sum spectrum.

    Raises
    ------
    CorruptChunkError
        If an event lies past the last channel.
    """
    totals = np.empty(block.shape[0] * block.shape[1], dtype=totals_dtype)
    spectrum = np.zeros(block.shape[2] + 1, dtype=spectrum_dtype(counts_dtype))
    sum_block(block.per_pixel, block.gap_low, block.gap_high, block.counts, totals, spectrum)
    if spectrum[-1] != 0:
        raise past_end_error(block.shape)
    return totals.reshape(block.shape[:2]), spectrum[:-1]
