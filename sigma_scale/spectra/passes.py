"""Passes over the events of a map: each block is read once and only sums are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale.spectra.events import past_end_error
from sigma_scale.spectra.regions import RegionPlan, split_axis
from sigma_scale.spectra.source import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    import dask.array as da
    from numpy.typing import NDArray

    from sigma_scale.spectra.events import EventBlock
    from sigma_scale.spectra.source import BlockSource

__all__ = [
    "PlacedBlock",
    "WindowSums",
    "blocks_of_region",
    "lazy_pass",
    "plan_regions",
    "region_window_sums",
    "window_sums",
]

_TARGET_PIXELS = 512
"""Side of a task's region: some tens of milliseconds of work at usual count rates."""


class PlacedBlock(NamedTuple):
    """A block and the part of it that a region uses."""

    block: EventBlock
    origin: tuple[int, int]
    """Row and column in the map of the block's first pixel."""
    window: tuple[int, int, int, int]
    """First and last-plus-one row, first and last-plus-one column of the block to use."""


class WindowSums(NamedTuple):
    """What one pass over a region gives."""

    sums: NDArray[Any]
    """Counts per bin and energy window, shape (rows, columns, windows)."""
    spectrum: NDArray[Any]
    """Sum spectrum of all pixels of the region, shape (channels,)."""


def blocks_of_region(
    source: BlockSource, limits: tuple[int, int, int, int]
) -> Iterator[PlacedBlock]:
    """
    Read the blocks that overlap a region, one after the other.

    A block is good until the next one is read.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    limits : tuple of int
        First and last-plus-one row and column of the region in pixels.
    """
    top, bottom, left, right = limits
    height, width = source.chunk_shape
    scratch = Scratch()
    for i in range(top // height, -(-bottom // height)):
        for j in range(left // width, -(-right // width)):
            y, x = i * height, j * width
            window = (
                max(top - y, 0),
                min(bottom - y, height),
                max(left - x, 0),
                min(right - x, width),
            )
            yield PlacedBlock(source.read_block(i, j, scratch), (y, x), window)


def plan_regions(
    source: BlockSource, bin_factors: tuple[int, int], *, target: int = _TARGET_PIXELS
) -> RegionPlan:
    """Regions of a map for work that bins by ``bin_factors`` (y, x)."""
    rows, columns = (
        split_axis(length, chunk=chunk, factor=factor, target=target)
        for length, chunk, factor in zip(
            source.shape[:2], source.chunk_shape, bin_factors, strict=True
        )
    )
    return RegionPlan(rows, columns, bin_factors)


@dataclass(frozen=True)
class ChannelGroups:
    """
    The channels grouped by the windows that they lie in.

    Each channel then belongs to exactly one group, so that the compiled loop needs a single
    addition per event however many windows there are and however they overlap.

    Parameters
    ----------
    of_channel : array, shape (channels + 1,), uint8 or uint16
        Group of each channel; the slot past the end is in group 0.
    number : int
        Number of groups.
    members : array of uint64
        Groups of the first window, then of the second, and so on.
    first_member : array, shape (windows + 1,), uint64
        Where each window's groups begin in ``members``.
    """

    of_channel: NDArray[np.unsignedinteger[Any]]
    number: int
    members: NDArray[np.uint64]
    first_member: NDArray[np.uint64]

    @classmethod
    def from_windows(cls, windows: Sequence[range], n_channels: int) -> ChannelGroups:
        """Group ``n_channels`` channels."""
        inside = np.zeros((n_channels, len(windows)), dtype=bool)
        for number, window in enumerate(windows):
            inside[window.start : window.stop, number] = True
        groups, of_channel = np.unique(inside, axis=0, return_inverse=True)
        window_of, member = np.nonzero(groups.T)
        first_member = np.searchsorted(window_of, np.arange(len(windows) + 1))
        return cls(
            np.append(of_channel.ravel(), 0).astype(np.min_scalar_type(len(groups))),
            len(groups),
            member.astype(np.uint64),
            first_member.astype(np.uint64),
        )


def sums_dtype(counts: np.dtype[Any], n_summed: int) -> np.dtype[Any]:
    """Type that no sum of ``n_summed`` counts can exceed: uint32, uint64, or float64 for floats."""
    if counts.kind == "f":
        return np.dtype(np.float64)
    largest = int(np.iinfo(counts).max) * n_summed
    return np.dtype(np.uint32 if largest <= np.iinfo(np.uint32).max else np.uint64)


def spectrum_dtype(counts: np.dtype[Any]) -> np.dtype[Any]:
    """Type of a spectrum summed over a map."""
    return np.dtype(np.float64 if counts.kind == "f" else np.uint64)


def region_window_sums(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    bin_factors: tuple[int, int],
    groups: ChannelGroups,
) -> WindowSums:
    """
    Sum a region's counts in energy windows per bin, and over all pixels per channel.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    limits : tuple of int
        First and last-plus-one row and column of the region in pixels.
    bin_factors : tuple of int
        Pixels per bin in y and x.
    groups : ChannelGroups
        The windows.

    Raises
    ------
    CorruptChunkError
        If a block is damaged.
    """
    from sigma_scale.spectra.kernels import count_windows, join_groups

    top, bottom, left, right = limits
    rows = bottom // bin_factors[0] - top // bin_factors[0]
    columns = right // bin_factors[1] - left // bin_factors[1]
    n_channels = source.shape[2]
    dtype = sums_dtype(source.dtype, n_channels * math.prod(bin_factors))
    # A row and a column more, for the pixels of incomplete bins.
    sums = np.zeros((rows + 1, columns + 1, groups.number), dtype=dtype)
    spectrum = np.zeros(n_channels + 1, dtype=spectrum_dtype(source.dtype))
    row_starts = _bin_starts((top, bottom), bin_factors[0], rows, sums.strides[0] // dtype.itemsize)
    column_starts = _bin_starts((left, right), bin_factors[1], columns, groups.number)
    for block, (y, x), window in blocks_of_region(source, limits):
        count_windows(
            block.per_pixel,
            block.gap_low,
            block.gap_high,
            block.counts,
            block.shape[1],
            window,
            row_starts[y + window[0] - top :],
            column_starts[x + window[2] - left :],
            groups.of_channel,
            sums.reshape(-1),
            spectrum,
        )
        if spectrum[n_channels]:
            raise past_end_error(block.shape)
    joined = np.empty((rows, columns, groups.first_member.size - 1), dtype=dtype)
    join_groups(sums, groups.members, groups.first_member, joined)
    return WindowSums(joined, spectrum[:n_channels])


def _bin_starts(limits: tuple[int, int], factor: int, bins: int, stride: int) -> NDArray[np.uint64]:
    """Offset of each pixel's bin; pixels outside the complete bins get the spare last one."""
    pixels = np.arange(limits[1] - limits[0])
    return np.minimum(pixels // factor, bins).astype(np.uint64) * np.uint64(stride)


def lazy_pass(
    function: Callable[..., Any],
    source: BlockSource,
    plan: RegionPlan,
    token: Hashable,
    **arguments: Any,
) -> da.Array:
    """
    Call a function once per region, lazily.

    Parameters
    ----------
    function : callable
        Called as ``function(source, limits, **arguments)``, one call per region.
    source : BlockSource
        The map's counts.
    plan : RegionPlan
        The regions.
    token : hashable
        What the result depends on besides source and plan.
    **arguments
        Passed on.

    Returns
    -------
    dask.array.Array, shape (regions in y, regions in x), object
        Each element is what the function returned.
    """
    import dask.array as da
    from dask.base import tokenize

    name = f"{function.__name__}-{tokenize(source, plan.rows, plan.columns, token)}"
    passes: da.Array = da.map_blocks(
        _call_for_block,
        name=name,
        chunks=tuple((1,) * n for n in plan.shape),
        dtype=object,
        meta=np.empty((0, 0), dtype=object),
        task=(function, source, plan, arguments),
    )
    return passes


def _call_for_block(
    task: tuple[Callable[..., Any], BlockSource, RegionPlan, dict[str, Any]],
    block_id: tuple[int, int],
) -> NDArray[np.object_]:
    function, source, plan, arguments = task
    holder = np.empty((1, 1), dtype=object)
    holder[0, 0] = function(source, plan.limits(*block_id), **arguments)
    return holder


def window_sums(
    source: BlockSource, windows: Sequence[range], bin_factors: tuple[int, int] = (1, 1)
) -> tuple[da.Array, da.Array]:
    """
    Sum counts in energy windows per binned pixel, and per channel over the map, lazily.

    Both results come from the same single pass when they are computed together.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    windows : sequence of range
        Channels of each window; they may overlap.
    bin_factors : tuple of int, default: (1, 1)
        Pixels per bin in y and x. Incomplete bins at the end count for the spectrum only.

    Returns
    -------
    sums : dask.array.Array, shape (y, x, window), uint32, uint64 or float64
        Counts per bin and window.
    spectrum : dask.array.Array, shape (channel,), uint64 or float64
        Sum spectrum of the whole map.
    """
    import dask.array as da

    plan = plan_regions(source, bin_factors)
    groups = ChannelGroups.from_windows(windows, source.shape[2])
    passes = lazy_pass(
        region_window_sums,
        source,
        plan,
        (tuple(windows), bin_factors),
        bin_factors=bin_factors,
        groups=groups,
    )
    rows, columns = plan.binned_chunks
    dtype = sums_dtype(source.dtype, source.shape[2] * math.prod(bin_factors))
    total_dtype = spectrum_dtype(source.dtype)
    sums = da.map_blocks(
        _take_sums,
        passes,
        chunks=(rows, columns, (len(windows),)),
        new_axis=2,
        dtype=dtype,
        meta=np.empty((0, 0, 0), dtype=dtype),
    )
    spectra = da.map_blocks(
        _take_spectrum,
        passes,
        chunks=((1,) * plan.shape[0], (1,) * plan.shape[1], (source.shape[2],)),
        new_axis=2,
        dtype=total_dtype,
        meta=np.empty((0, 0, 0), dtype=total_dtype),
    )
    return sums, spectra.sum(axis=(0, 1), dtype=total_dtype)


def _take_sums(holder: NDArray[np.object_]) -> NDArray[Any]:
    sums: NDArray[Any] = holder[0, 0].sums
    return sums


def _take_spectrum(holder: NDArray[np.object_]) -> NDArray[Any]:
    spectrum: NDArray[Any] = holder[0, 0].spectrum[None, None]
    return spectrum
