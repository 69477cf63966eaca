"""Spectra per label of one region of a map, with what their errors need."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError
from sigma_scale.spectra import Scratch
from sigma_scale.spectra.events import past_end_error
from sigma_scale.spectra.passes import blocks_of_region
from sigma_scale.spectra.window_sums import ChannelGroups, region_window_sums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource, EventBlock, Processing

__all__ = ["LabelSums", "check_size", "join_sums", "region_label_sums", "region_soft_sums"]

_MOST_LABELS = 2**20
_SURELY_THERE = 16 * 2**20
"""Bytes that are taken without asking."""


_NOWHERE = -(2**60)
"""In place of a bin's number: negative whatever may be added to it."""
_FLOATS = np.arange(256.0)
"""What counts of 8 bits are as floats."""


class LabelSums(NamedTuple):
    """Sums per label of a part of a map."""

    labels: NDArray[np.int64]
    """Labels that occur, ascending."""
    n_pixels: NDArray[np.int64]
    """Pixels of each."""
    weight: NDArray[np.float64]
    """Sum of the weights of these pixels."""
    sums: NDArray[np.float64]
    """
    Over the counts n of these pixels: sums of ``w n``, ``w^2 n``, ``(w / T) n`` and
    ``(w / T)^2 n``, with w a pixel's weight and T its total; shape (labels, channels, 4).
    """


def join_sums(parts: Sequence[LabelSums], n_channels: int) -> LabelSums:
    """
    Add up the sums of parts of a map, which may hold different labels.

    Parameters
    ----------
    parts : sequence of LabelSums
        The parts; they are added in their order.
    n_channels : int
        Number of channels.
    """
    from sigma_scale.phases.spectra_kernels import LANES

    labels = np.unique(np.concatenate([part.labels for part in parts]))
    joined = LabelSums(
        labels,
        np.zeros(labels.size, np.int64),
        np.zeros(labels.size),
        np.zeros((labels.size, n_channels, LANES)),
    )
    for part in parts:
        places = np.searchsorted(labels, part.labels)
        joined.n_pixels[places] += part.n_pixels
        joined.weight[places] += part.weight
        for place, sums in zip(places.tolist(), part.sums, strict=True):
            joined.sums[place] += sums
    return joined


def region_label_sums(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    labels: NDArray[Any],
    total: NDArray[Any] | None = None,
    probability: NDArray[Any] | None = None,
    *,
    steps: Processing,
    threshold: float | None = None,
    noise: bool = False,
) -> LabelSums:
    """
    Sum the spectra of a region per label.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    limits : tuple of int
        First and last-plus-one row and column of the region in pixels.
    labels : array, shape (bins in y, bins in x), integer
        Labels; negative ones are noise.
    total : array, shape (bins in y, bins in x), optional
        What each spectrum is divided by; None: its counts from the channel that ``steps`` names.
    probability : array, shape (bins in y, bins in x), optional
        Weights of the spectra, or what the threshold is for.
    steps : Processing
        Binning, and the lowest channel of the totals.
    threshold : float, optional
        Take only pixels whose probability is higher, all with weight 1.
    noise : bool, default: False
        Sum noise as well, as label -1.

    Raises
    ------
    CorruptChunkError
        If a block is damaged.
    ParameterError
        If a probability of a pixel with a label is not between 0 and 1.
    """
    from sigma_scale.phases.spectra_kernels import LANES, add_spectra, count_numbers

    found, numbers = _numbered(np.asarray(labels), noise=noise)
    weights = None
    if probability is not None:
        _check_probability(probability, numbers)
        if threshold is None:
            weights = np.ascontiguousarray(probability, np.float64).reshape(-1)
        else:
            numbers[~(probability > threshold)] = -1
    slots = _slots(source)
    check_size(found.size, source.shape[2])
    n_pixels, weight = np.zeros(found.size, np.int64), np.zeros(found.size)
    count_numbers(numbers.reshape(-1), weights, n_pixels, weight)
    sums = np.zeros((found.size, slots, LANES))
    for block, places, totals in _placed_blocks(source, limits, numbers, total, steps):
        highest = add_spectra(
            *_streams(block),
            *places,
            weights,
            totals,
            _FLOATS if block.dtype == np.uint8 else None,
            slots,
            sums.reshape(-1),
        )
        if highest >= source.shape[2]:
            raise past_end_error(block.shape)
    order = np.argsort(found)
    return LabelSums(found[order], n_pixels[order], weight[order], sums[order, : source.shape[2]])


def region_soft_sums(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    memberships: NDArray[Any],
    total: NDArray[Any] | None = None,
    *,
    phases: NDArray[np.int64],
    steps: Processing,
    threshold: float | None = None,
) -> LabelSums:
    """
    Sum the spectra of a region per phase, each pixel's with its membership as the weight.

    Parameters
    ----------
    source, limits, total, steps
        See :func:`region_label_sums`.
    memberships : array, shape (bins in y, bins in x, phases)
        How much of each bin belongs to each phase; NaN counts as 0.
    phases : array, shape (phases,), int64
        Labels of the phases, ascending.
    threshold : float, optional
        Memberships above it weigh 1, others nothing.

    Raises
    ------
    CorruptChunkError
        If a block is damaged.
    ParameterError
        If a membership is not between 0 and 1.
    """
    from sigma_scale.phases.spectra_kernels import LANES
    from sigma_scale.phases.spectra_soft_kernels import add_soft_spectra, count_memberships

    # Compiled for two types only, and for those that the processor reads.
    dtype = np.float32 if memberships.dtype.itemsize <= np.float32().itemsize else np.float64
    height, width, n_phases = memberships.shape
    flat = np.ascontiguousarray(memberships, dtype).reshape(-1, n_phases)
    level = -1.0 if threshold is None else float(dtype(threshold))
    numbers = np.empty((height, width), np.int32)
    n_pixels, weight = np.zeros(n_phases, np.int64), np.zeros(n_phases)
    wrong = count_memberships(flat, level, numbers.reshape(-1), n_pixels, weight)
    if wrong >= 0:
        raise ParameterError(
            f"Memberships must lie between 0 and 1; those of a pixel are {flat[wrong].tolist()}."
        )
    sums = np.zeros((_slots(source), n_phases * LANES))
    for block, places, totals in _placed_blocks(source, limits, numbers, total, steps):
        highest = add_soft_spectra(*_streams(block), *places, flat, level, totals, sums)
        if highest >= source.shape[2]:
            raise past_end_error(block.shape)
    kept = sums[: source.shape[2]].reshape(-1, n_phases, LANES).transpose(1, 0, 2)
    return LabelSums(phases, n_pixels, weight, kept)


def _streams(block: EventBlock) -> tuple[Any, Any, Any, Any]:
    return block.per_pixel, block.gap_low, block.gap_high, block.counts


def _placed_blocks(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    numbers: NDArray[np.int32],
    total: NDArray[Any] | None,
    steps: Processing,
) -> Iterator[tuple[EventBlock, tuple[Any, Any, Any], NDArray[Any]]]:
    """
    Read a region's blocks, each once unless its border cuts a bin without total.

    Gives each block; where its rows and columns lie in the flat map of bins, and that map's
    numbers; and the totals of the bins, which are complete for those of the block.
    """
    from sigma_scale.phases.spectra_kernels import add_totals

    flat = numbers.reshape(-1)
    if not (flat >= 0).any():
        return
    top, _, left, _ = limits
    factor_y, factor_x = steps.bin_factors
    n_rows, n_columns = numbers.shape
    from_channel = steps.counted_from
    if total is None and _cuts_bins(source, steps.bin_factors):
        groups = ChannelGroups.from_windows([range(from_channel, source.shape[2])], source.shape[2])
        total = region_window_sums(source, limits, steps.bin_factors, groups).sums[:, :, 0]
    if total is None:
        totals = np.zeros(numbers.size, np.float64 if source.dtype.kind == "f" else np.uint64)
    else:
        totals = np.ascontiguousarray(total).reshape(-1)
    for block, (y, x), window in blocks_of_region(source, limits, Scratch()):
        rows = _bin_starts((y - top, block.shape[0]), window[:2], factor_y, n_rows)
        columns = _bin_starts((x - left, block.shape[1]), window[2:], factor_x, n_columns)
        places = (np.where(rows >= 0, rows * n_columns, rows), columns, flat)
        if total is None:
            add_totals(*_streams(block), *places, from_channel, totals)
        yield block, places, totals


@lru_cache(maxsize=256)
def _bin_starts(
    block: tuple[int, int], window: tuple[int, int], factor: int, n_bins: int
) -> NDArray[np.int64]:
    """
    Bin of a region that each row or column of a block lies in, or a very low number.

    ``block`` is where in the region it begins and how long it is, ``window`` the part to use.
    """
    places = np.arange(block[1])
    bins = (places + block[0]) // factor
    inside = (places >= window[0]) & (places < window[1]) & (bins < n_bins)
    return np.where(inside, bins, _NOWHERE)


def _numbered(labels: NDArray[Any], *, noise: bool) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Labels that occur, and a map of their places in this list; -1 for what is left out."""
    from sigma_scale.phases.spectra_kernels import number_labels

    numbers = np.empty(labels.shape, np.int32)
    highest = int(labels.max(initial=-1))
    lowest = -1 if noise else 0
    if highest >= _MOST_LABELS:
        clipped = np.maximum(labels.astype(np.int64), -1)
        found, places = np.unique(clipped, return_inverse=True)
        first = int(np.searchsorted(found, lowest))
        numbers[:] = np.maximum(places.reshape(labels.shape) - first, -1)
        return found[first:], numbers
    number_of = np.full(highest - lowest + 1, -1, np.int32)
    n_found = number_labels(labels, lowest, number_of, numbers)
    found = np.empty(n_found, np.int64)
    occur = np.flatnonzero(number_of >= 0)
    found[number_of[occur]] = occur + lowest
    return found, numbers


def _check_probability(probability: NDArray[Any], numbers: NDArray[np.int32]) -> None:
    used = probability[numbers >= 0]
    if used.size and not (used.min() >= 0 and used.max() <= 1):
        raise ParameterError(
            "Probabilities of pixels with a label must lie between 0 and 1; there are some from "
            f"{used.min()} to {used.max()}."
        )


def check_size(n_labels: int, n_channels: int) -> None:
    """
    Refuse more labels than there is memory for.

    Raises
    ------
    MemoryLimitError
        If their sums don't fit.
    """
    from sigma_scale.phases.spectra_kernels import LANES

    # Each worker has sums of its own, and may wait to join some as large.
    needed = 2 * compute.local_workers() * n_labels * _power_of_two(n_channels) * LANES * 8
    # To ask the system what is free would take a per cent of the time of a region.
    if needed > _SURELY_THERE:
        compute.check_memory(
            needed,
            what=f"To sum spectra of {n_labels:,} labels",
            remedy="Sum fewer at a time: make the others negative.",
        )


def _slots(source: BlockSource) -> int:
    """Channels of a table of sums."""
    return _power_of_two(source.shape[2])


def _power_of_two(number: int) -> int:
    """Lowest power of two that is not smaller."""
    return 1 << (number - 1).bit_length()


def _cuts_bins(source: BlockSource, factors: tuple[int, int]) -> bool:
    """Whether a bin may lie in more than one block."""
    return any(
        block % factor != 0 and block < size
        for size, block, factor in zip(source.shape, source.chunk_shape, factors, strict=False)
    )
