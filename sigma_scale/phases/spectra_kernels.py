"""Compiled loops over X-ray events that add up spectra per phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numba.core.cgutils import ir  # type: ignore[attr-defined]
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UIntArray = NDArray[np.unsignedinteger[Any]]

__all__ = [
    "LANES",
    "add_totals",
    "add_weighted_spectra",
    "count_numbers",
    "number_labels",
]

LANES = 4
"""Sums per label and channel: of ``w n``, ``w^2 n``, ``(w / T) n`` and ``(w / T)^2 n``."""

_U = np.uint64


@intrinsic
def _add_to_lanes(
    _context: Any,
    table: Any,
    _offset: Any,
    _first: Any,
    _second: Any,
    _third: Any,
    _fourth: Any,
    _factor: Any,
) -> tuple[Any, Any]:
    """
    Add four numbers times a factor to four neighbours of a flat table, from an offset on.

    Written as vector instructions because numba turns four separate additions into four loads and
    stores, which was measured to take 1.6 times as long.
    """

    def code(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        lanes = ir.VectorType(ir.DoubleType(), LANES)
        numbers = factors = ir.Constant(lanes, ir.Undefined)
        for lane in range(LANES):
            place = ir.Constant(ir.IntType(32), lane)
            numbers = builder.insert_element(numbers, arguments[2 + lane], place)
            factors = builder.insert_element(factors, arguments[6], place)
        start = builder.gep(array.data, [arguments[1]])
        address = builder.bitcast(start, lanes.as_pointer())
        old = builder.load(address)
        old.align = 8
        new = builder.store(builder.fadd(old, builder.fmul(numbers, factors)), address)
        new.align = 8
        return target.get_dummy_value()

    return types.void(table, types.uint64, *[types.float64] * (LANES + 1)), code


@njit(nogil=True, cache=True)
def add_totals(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    n_columns: int,
    window: tuple[int, int, int, int],
    row_bin: NDArray[np.int64],
    column_bin: NDArray[np.int64],
    first_channel: int,
    totals: NDArray[Any],
) -> None:
    """
    Add each pixel's counts from a channel upward to its bin.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        Streams of an :class:`~sigma_scale.spectra.EventBlock`.
    n_columns : int
        Pixels per row of the block.
    window : tuple of int
        First and last-plus-one row, first and last-plus-one column of the block to use.
    row_bin, column_bin : array of int64
        Row and column in ``totals`` of each row and column of the window; negative: left out.
    first_channel : int
        Lowest channel that counts.
    totals : array, shape (rows, columns), uint64 or float64
        Totals to add to.
    """
    row0, row1, column0, column1 = window
    first = _U(first_channel)
    k = _U(per_pixel[: row0 * n_columns].sum())
    p = _U(row0 * n_columns)
    for y in range(_U(row1 - row0)):
        row = row_bin[y]
        for _ in range(column0):
            k += _U(per_pixel[p])
            p += _U(1)
        for x in range(_U(column1 - column0)):
            end = k + _U(per_pixel[p])
            p += _U(1)
            column = column_bin[x]
            if row >= 0 and column >= 0:
                j = k
                channel = _U(0)
                # Channels ascend: once one is high enough, so are the pixel's others.
                while first > _U(0) and j < end:
                    channel += _U(gap_low[j]) | (_U(gap_high[j]) << _U(8))
                    if channel >= first:
                        break
                    j += _U(1)
                total = totals.dtype.type(0)
                for i in range(j, end):
                    total += totals.dtype.type(counts[i])
                totals[_U(row), _U(column)] += total
            k = end
        for _ in range(column1, n_columns):
            k += _U(per_pixel[p])
            p += _U(1)


@njit(nogil=True, cache=True)
def add_weighted_spectra(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    n_columns: int,
    window: tuple[int, int, int, int],
    row_bin: NDArray[np.int64],
    column_bin: NDArray[np.int64],
    labels: NDArray[np.int32],
    weights: NDArray[np.float64],
    totals: NDArray[Any],
    n_channels: int,
    table: NDArray[np.float64],
) -> None:
    """
    Add a block's spectra to those of their labels, weighted in two ways, with the errors' squares.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        Streams of an :class:`~sigma_scale.spectra.EventBlock`.
    n_columns : int
        Pixels per row of the block.
    window : tuple of int
        First and last-plus-one row, first and last-plus-one column of the block to use.
    row_bin, column_bin : array of int64
        Row and column in ``labels`` of each row and column of the window; negative: left out.
    labels : array, shape (rows, columns), int32
        Row of ``table`` for each bin; negative ones are left out.
    weights : array, shape (rows, columns), float64
        Weight w of each bin's spectrum.
    totals : array, shape (rows, columns)
        What each bin's spectrum is divided by to normalise it, T; 0 gives zeros.
    n_channels : int
        Number of channels.
    table : array, float64, flat, of the shape (labels, n_channels + 1, 4)
        Sums over the counts n of ``w n``, ``w^2 n``, ``(w / T) n`` and ``(w / T)^2 n`` to add to.
        The last channel is the slot for channels past the end.
    """
    row0, row1, column0, column1 = window
    past_end = _U(n_channels)
    stride = _U(LANES) * (past_end + _U(1))
    k = _U(per_pixel[: row0 * n_columns].sum())
    p = _U(row0 * n_columns)
    for y in range(_U(row1 - row0)):
        row = row_bin[y]
        for _ in range(column0):
            k += _U(per_pixel[p])
            p += _U(1)
        for x in range(_U(column1 - column0)):
            end = k + _U(per_pixel[p])
            p += _U(1)
            column = column_bin[x]
            label = labels[_U(row), _U(column)] if row >= 0 and column >= 0 else np.int32(-1)
            if label >= 0:
                w = weights[_U(row), _U(column)]
                total = np.float64(totals[_U(row), _U(column)])
                share = w / total if total > 0 else 0.0
                w_square, share_square = w * w, share * share
                start = _U(label) * stride
                channel = _U(0)
                for j in range(k, end):
                    channel += _U(gap_low[j]) | (_U(gap_high[j]) << _U(8))
                    c = min(channel, past_end)
                    _add_to_lanes(  # type: ignore[call-arg]
                        table,
                        start + _U(LANES) * c,
                        w,
                        w_square,
                        share,
                        share_square,
                        np.float64(counts[j]),
                    )
            k = end
        for _ in range(column1, n_columns):
            k += _U(per_pixel[p])
            p += _U(1)


@njit(nogil=True, cache=True)
def number_labels(
    labels: NDArray[Any],
    lowest: int,
    number_of: NDArray[np.int32],
    numbers: NDArray[np.int32],
) -> int:
    """
    Number the labels that occur from 0 upward, in the order in which they are met.

    Parameters
    ----------
    labels : array, shape (rows, columns), integer
        Labels; those below -1 count as -1.
    lowest : {-1, 0}
        Lowest label that gets a number.
    number_of : array, shape (labels that there may be,), int32
        Number of each label from the lowest upward, all -1, to write.
    numbers : array, shape (rows, columns), int32
        Number of each pixel's label, or -1, to write.

    Returns
    -------
    int
        How many labels there are.
    """
    found = 0
    for y in range(_U(labels.shape[0])):
        for x in range(_U(labels.shape[1])):
            label = max(np.int64(labels[y, x]), np.int64(-1))
            if label < lowest:
                numbers[y, x] = -1
                continue
            place = _U(label - lowest)
            if number_of[place] < 0:
                number_of[place] = found
                found += 1
            numbers[y, x] = number_of[place]
    return found


@njit(nogil=True, cache=True)
def count_numbers(
    numbers: NDArray[np.int32],
    weights: NDArray[np.float64],
    n_pixels: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> None:
    """
    Count the pixels of each number, and add up their weights.

    Parameters
    ----------
    numbers : array, shape (rows, columns), int32
        Number of each pixel's label, or -1.
    weights : array, shape (rows, columns), float64, or (0, 0)
        Weight of each pixel; without any, 1.
    n_pixels, weight : array, shape (labels,)
        To add to.
    """
    for y in range(_U(numbers.shape[0])):
        for x in range(_U(numbers.shape[1])):
            number = numbers[y, x]
            if number >= 0:
                n_pixels[_U(number)] += 1
                if weights.size:
                    weight[_U(number)] += weights[y, x]
    if not weights.size:
        weight += n_pixels
