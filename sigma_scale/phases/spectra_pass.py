"""Spectra per label of one region of a map, with what their errors need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError
from sigma_scale.spectra import Scratch
from sigma_scale.spectra.events import past_end_error
from sigma_scale.spectra.passes import blocks_of_region
from sigma_scale.spectra.window_sums import ChannelGroups, region_window_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource, Processing

__all__ = ["LabelSums", "join_sums", "region_label_sums"]

_MOST_LABELS = 2**20


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
    from sigma_scale.phases.spectra_kernels import LANES, count_numbers

    found, numbers = _numbered(np.asarray(labels), noise=noise)
    weights = None
    if probability is not None:
        _check_probability(probability, numbers)
        if threshold is None:
            weights = np.ascontiguousarray(probability, np.float64)
        else:
            numbers[~(probability > threshold)] = -1
    _check_size(found.size, source.shape[2])
    n_pixels, weight = np.zeros(found.size, np.int64), np.zeros(found.size)
    count_numbers(numbers, np.empty((0, 0)) if weights is None else weights, n_pixels, weight)
    # A channel more, for events past the end of a damaged block.
    sums = np.zeros((found.size, source.shape[2] + 1, LANES))
    if n_pixels.any():
        _add_blocks(sums, source, limits, numbers, total=total, weights=weights, steps=steps)
    order = np.argsort(found)
    return LabelSums(found[order], n_pixels[order], weight[order], sums[order, :-1])


def _add_blocks(
    sums: NDArray[np.float64],
    source: BlockSource,
    limits: tuple[int, int, int, int],
    numbers: NDArray[np.int32],
    *,
    total: NDArray[Any] | None,
    weights: NDArray[np.float64] | None,
    steps: Processing,
) -> None:
    """Add all blocks of a region, each read once unless its border cuts a bin without total."""
    from sigma_scale.phases.spectra_kernels import add_totals, add_weighted_spectra

    factor_y, factor_x = steps.bin_factors
    from_channel = steps.zeroed_below if steps.total_from is None else steps.total_from
    if total is None and _cuts_bins(source, steps.bin_factors):
        groups = ChannelGroups.from_windows([range(from_channel, source.shape[2])], source.shape[2])
        total = region_window_sums(source, limits, steps.bin_factors, groups).sums[:, :, 0]
    totals_type = np.float64 if source.dtype.kind == "f" else np.uint64
    for block, (y, x), window in blocks_of_region(source, limits, Scratch()):
        rows, row_bin = _bins(y + window[0], y + window[1], limits[0], factor_y, len(numbers))
        columns, column_bin = _bins(
            x + window[2], x + window[3], limits[2], factor_x, numbers.shape[1]
        )
        own = np.ascontiguousarray(numbers[rows, columns])
        if not (own >= 0).any():
            continue
        if total is not None:
            totals = np.ascontiguousarray(total[rows, columns])
        else:
            totals = np.zeros(own.shape, totals_type)
            add_totals(
                block.per_pixel,
                block.gap_low,
                block.gap_high,
                block.counts,
                block.shape[1],
                window,
                row_bin,
                column_bin,
                from_channel,
                totals,
            )
        own_weights = np.ones(own.shape) if weights is None else weights[rows, columns]
        add_weighted_spectra(
            block.per_pixel,
            block.gap_low,
            block.gap_high,
            block.counts,
            block.shape[1],
            window,
            row_bin,
            column_bin,
            own,
            np.ascontiguousarray(own_weights),
            totals,
            source.shape[2],
            sums.reshape(-1),
        )
        if sums[:, -1].any():
            raise past_end_error(block.shape)


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


def _check_size(n_labels: int, n_channels: int) -> None:
    from sigma_scale.phases.spectra_kernels import LANES

    # Each worker has sums of its own, and may wait to join some as large.
    compute.check_memory(
        2 * compute.local_workers() * n_labels * (n_channels + 1) * LANES * 8,
        what=f"To sum spectra of {n_labels:,} labels",
        remedy="Sum fewer at a time: make the others negative.",
    )


def _cuts_bins(source: BlockSource, factors: tuple[int, int]) -> bool:
    """Whether a bin may lie in more than one block."""
    return any(
        block % factor != 0 and block < size
        for size, block, factor in zip(source.shape, source.chunk_shape, factors, strict=False)
    )


def _bins(
    start: int, stop: int, origin: int, factor: int, n_bins: int
) -> tuple[slice, NDArray[np.int64]]:
    """Bins of a region that pixels lie in, and the place among these of each; -1: incomplete."""
    bins = (np.arange(start, stop) - origin) // factor
    first = int(bins[0])
    places = np.where(bins < n_bins, bins - first, -1)
    return slice(first, min(int(bins[-1]) + 1, n_bins)), places
