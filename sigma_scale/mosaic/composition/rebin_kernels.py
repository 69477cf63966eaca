"""Compiled loops that put counts on other channels, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from sigma_scale.spectra.bit_kernels import GOLDEN, mix_bits, unit_share
from sigma_scale.spectra.kernels import channel_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UIntArray = NDArray[np.unsignedinteger[Any]]

__all__ = ["MOST_PARTS", "rebin_events"]

MOST_PARTS = 4
"""New channels that an old one of at most twice their width can lie in, and one to spare."""

_U = np.uint64
_DRAWN_SINGLY = 65_536
"""Counts in one channel of one pixel above which they are split as a whole."""


@njit(nogil=True, cache=True)
def _share_below(edge: float, low: float, ratio: float) -> float:
    """Share of a channel, which begins at ``low``, that lies below an edge."""
    return min(max((edge - low) / ratio, 0.0), 1.0)


@njit(nogil=True, cache=True)
def _split_counts(
    n: Any, state: np.uint64, low: float, ratio: float, lowest: int, parts: NDArray[Any]
) -> None:
    """Distribute whole counts over new channels, ``lowest`` and those after it."""
    if n <= _DRAWN_SINGLY:
        for _ in range(n):
            state += GOLDEN
            part = int(np.floor(low + ratio * unit_share(mix_bits(state)))) - lowest
            parts[min(max(part, 0), parts.shape[0] - 1)] += 1
        return
    # Expected numbers, rounded up or down together by one draw: exact in sum and on average.
    drawn = unit_share(mix_bits(state + GOLDEN))
    before = 0
    for part in range(parts.shape[0]):
        last = part == parts.shape[0] - 1
        share = 1.0 if last else _share_below(float(lowest + part + 1), low, ratio)
        until = n if share >= 1.0 else min(int(np.floor(n * share + drawn)), n)
        parts[part] += until - before
        before = until


@njit(nogil=True, cache=True)
def _split_value(value: float, low: float, ratio: float, lowest: int, parts: NDArray[Any]) -> None:
    """Distribute what is no number of counts by the share of overlap."""
    left = value
    for part in range(parts.shape[0]):
        above = _share_below(float(lowest + part + 1), low, ratio)
        if above >= 1.0:
            parts[part] += left
            return
        below = _share_below(float(lowest + part), low, ratio)
        own = value * (above - below)
        parts[part] += own
        left -= own
    parts[parts.shape[0] - 1] += left


@njit(nogil=True, cache=True)
def rebin_events(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    n_columns: int,
    corner: tuple[int, int],
    n_old: int,
    mapping: tuple[float, float],
    seed: np.uint64,
    n_new: int,
    new_per_pixel: NDArray[np.uint32],
    channels: NDArray[np.uint16],
    sums: NDArray[Any],
) -> np.int64:
    """
    Put the events of a tile's block on the mosaic's channels.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        Streams of the tile's block.
    n_columns : int
        Pixels per row of the block.
    corner : tuple of int
        Row and column in the tile of the block's first pixel.
    n_old : int
        Channels of the tile.
    mapping : tuple of float
        Lower edge of the tile's channel 0 on the mosaic's axis, and width of its channels, both in
        channels of the mosaic.
    seed : uint64
        The tile's own seed.
    n_new : int
        Channels of the mosaic.
    new_per_pixel : array, shape (pixels,), uint32
        Numbers of events to write.
    channels, sums : array
        Events to write, room for ``MOST_PARTS`` times as many; sums of int64 for whole
        counts, which stay whole, and of float64 for others.

    Returns
    -------
    int
        Number of events written; -1 if an event lies past the tile's last channel.
    """
    parts = np.zeros(MOST_PARTS, dtype=sums.dtype)
    start, ratio = mapping
    is_whole = sums.dtype.type(0.5) == 0
    k, out = _U(0), _U(0)
    for p in range(per_pixel.shape[0]):
        row, column = divmod(p, n_columns)
        place = (_U(row + corner[0]) << _U(32)) | _U(column + corner[1])
        of_pixel = mix_bits(mix_bits(place + GOLDEN) ^ seed)
        channel = _U(0)
        first = out
        for _ in range(per_pixel[p]):
            channel += channel_step(gap_low, gap_high, k)
            if channel >= _U(n_old):
                return np.int64(-1)
            low = start + ratio * float(channel)
            lowest = int(np.floor(low))
            if is_whole:
                state = mix_bits(of_pixel + GOLDEN * (channel + _U(1)))
                _split_counts(np.int64(counts[k]), state, low, ratio, lowest, parts)
            else:
                _split_value(float(counts[k]), low, ratio, lowest, parts)
            k += _U(1)
            # The channel before can only have reached the first of these new ones.
            for part in range(MOST_PARTS):
                if parts[part] == 0:
                    continue
                new = _U(min(max(lowest + part, 0), n_new - 1))
                if out > first and _U(channels[out - _U(1)]) >= new:
                    sums[out - _U(1)] += parts[part]
                else:
                    channels[out] = new
                    sums[out] = parts[part]
                    out += _U(1)
                parts[part] = 0
        new_per_pixel[p] = out - first
    return np.int64(out)
