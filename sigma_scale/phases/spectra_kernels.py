"""
Compiled loops over X-ray events that add up spectra per phase.

Each takes the streams of an :class:`~sigma_scale.spectra.EventBlock`, and for every row and column
of the block where in the flat map of bins the bin of the row begins and how much further on that of
the column is; where they are to be left out it is so low that the sum of both is negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numba.core.cgutils import ir  # type: ignore[attr-defined]
from numba.extending import intrinsic

from sigma_scale.spectra.kernels import channel_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UIntArray = NDArray[np.unsignedinteger[Any]]

__all__ = [
    "LANES",
    "add_spectra",
    "add_totals",
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
        kind = ir.FunctionType(lanes, [lanes] * 3)
        name = f"llvm.fmuladd.v{LANES}f64"
        add_product = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        new = builder.store(builder.call(add_product, [numbers, factors, old]), address)
        new.align = 8
        return target.get_dummy_value()

    return types.void(table, types.uint64, *[types.float64] * (LANES + 1)), code


@njit(nogil=True, cache=True)
def add_totals(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    row_start: NDArray[np.int64],
    column_start: NDArray[np.int64],
    numbers: NDArray[np.int32],
    first_channel: int,
    totals: NDArray[Any],
) -> None:
    """
    Add each pixel's counts from a channel upward to its bin.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        The block's streams.
    row_start, column_start : array, shape (rows,) and (columns,), int64
        Where bins are.
    numbers : array, flat, int32
        Map of bins; those with negative numbers are left out.
    first_channel : int
        Lowest channel that counts.
    totals : array, flat, uint64 or float64
        Totals per bin to add to.
    """
    lowest = _U(first_channel)
    k, p = _U(0), _U(0)
    for y in range(_U(row_start.size)):
        for x in range(_U(column_start.size)):
            end = k + _U(per_pixel[p])
            p += _U(1)
            at = row_start[y] + column_start[x]
            if at >= 0 and numbers[_U(at)] >= 0:
                j = k
                channel = _U(0)
                # Channels ascend: once one is high enough, so are the pixel's others.
                while lowest > _U(0) and j < end:
                    channel += channel_step(gap_low, gap_high, j)
                    if channel >= lowest:
                        break
                    j += _U(1)
                total = totals.dtype.type(0)
                for i in range(j, end):
                    total += totals.dtype.type(counts[i])
                totals[_U(at)] += total
            k = end


@njit(nogil=True, cache=True)
def add_spectra(
    per_pixel: UIntArray,
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: NDArray[Any],
    row_start: NDArray[np.int64],
    column_start: NDArray[np.int64],
    numbers: NDArray[np.int32],
    weights: NDArray[np.float64] | None,
    totals: NDArray[Any],
    floats: NDArray[np.float64] | None,
    slots: int,
    table: NDArray[np.float64],
) -> np.uint64:
    """
    Add a block's spectra to those of their labels, weighted in two ways, with the errors' squares.

    Parameters
    ----------
    per_pixel, gap_low, gap_high, counts : array
        The block's streams.
    row_start, column_start : array, shape (rows,) and (columns,), int64
        Where bins are.
    numbers : array, flat, int32
        Row of ``table`` for each bin; negative ones are left out.
    weights : array, flat, float64, or None
        Weight w of each bin's spectrum; without any, 1.
    totals : array, flat
        What each bin's spectrum is divided by to normalise it, T; 0 gives zeros.
    floats : array, shape (256,), float64, or None
        The numbers from 0 upward, for counts of 8 bits: to look them up is quicker than to convert
        them.
    slots : int
        Channels of ``table``, a power of two. Those of a damaged block that lie past it go
        astray, but within the table.
    table : array, float64, flat, of the shape (labels, slots, 4)
        Sums over the counts n of ``w n``, ``w^2 n``, ``(w / T) n`` and ``(w / T)^2 n`` to add to.

    Returns
    -------
    int
        Highest channel that was met; if the map has none such, the block is damaged.
    """
    mask = _U(slots - 1)
    stride = _U(LANES * slots)
    highest = _U(0)
    k, p = _U(0), _U(0)
    for y in range(_U(row_start.size)):
        for x in range(_U(column_start.size)):
            end = k + _U(per_pixel[p])
            p += _U(1)
            at = row_start[y] + column_start[x]
            if at >= 0 and numbers[_U(at)] >= 0:
                # Numba leaves out the branch that can't be, but not in a conditional expression.
                if weights is None:  # noqa: SIM108
                    w = 1.0
                else:
                    w = weights[_U(at)]
                total = np.float64(totals[_U(at)])
                share = w / total if total > 0 else 0.0
                w_square, share_square = w * w, share * share
                start = _U(numbers[_U(at)]) * stride
                channel = _U(0)
                for j in range(k, end):
                    channel += channel_step(gap_low, gap_high, j)
                    if floats is None:  # noqa: SIM108
                        count = np.float64(counts[j])
                    else:
                        count = floats[_U(counts[j])]
                    _add_to_lanes(  # type: ignore[call-arg]
                        table,
                        start + _U(LANES) * (channel & mask),
                        w,
                        w_square,
                        share,
                        share_square,
                        count,
                    )
                # Channels ascend, so a pixel's last one tells for all of them.
                highest = max(highest, channel)
            k = end
    return highest


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
    weights: NDArray[np.float64] | None,
    n_pixels: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> None:
    """
    Count the pixels of each number, and add up their weights.

    Parameters
    ----------
    numbers : array, flat, int32
        Number of each pixel's label, or -1.
    weights : array, flat, float64, or None
        Weight of each pixel; without any, 1.
    n_pixels, weight : array, shape (labels,)
        To add to.
    """
    for p in range(_U(numbers.size)):
        number = numbers[p]
        if number >= 0:
            n_pixels[_U(number)] += 1
            if weights is not None:
                weight[_U(number)] += weights[p]
    if weights is None:
        weight += n_pixels
