"""
Compiled loops that place grains and draw counts.

Random numbers are counter-based: each is a hash of a key and a number, and a pixel's key is a
hash of the seed and its row and column (SplitMix64; Steele, Lea and Flood, OOPSLA 2014). So a
pixel's values depend on nothing but the seed and its place: not on blocks, threads or map size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from sigma_scale.spectra.bit_kernels import GOLDEN, lowest_bit, mix_bits, unit_share

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    UIntArray = NDArray[np.unsignedinteger[Any]]

__all__ = ["draw_events", "draw_totals", "label_pixels", "noisy_image"]

_U = np.uint64
_LOW_32 = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)


@njit(nogil=True, cache=True)
def _place_key(key: np.uint64, row: int, column: int) -> np.uint64:
    return mix_bits(mix_bits(key + GOLDEN * _U(row)) + GOLDEN * _U(column))


@njit(nogil=True, cache=True)
def _random(key: np.uint64, number: np.uint64) -> np.uint64:
    return mix_bits(key + GOLDEN * (number + _ONE))


@njit(nogil=True, cache=True)
def _uniform(key: np.uint64, number: np.uint64) -> float:
    return unit_share(_random(key, number))


@njit(nogil=True, cache=True)
def _alias(
    random: np.uint64, row: int, threshold: NDArray[np.uint32], other: NDArray[np.uint16]
) -> np.uint64:
    """Draw from row ``row`` of alias tables: a slot from the high bits, a coin from the low."""
    slot = ((random >> _U(32)) * _U(threshold.shape[1])) >> _U(32)
    if (random & _LOW_32) < _U(threshold[row, slot]):
        return slot
    return _U(other[row, slot])


@njit(nogil=True, cache=True)
def label_pixels(
    labels: NDArray[np.int32],
    origin: tuple[float, float],
    key: np.uint64,
    grain_size: float,
    n_phases: int,
    rare_key: np.uint64,
    rare_spacing: float,
    rare_radius: float,
) -> None:
    """
    Write the phase of each pixel of a window of the map.

    Grains are the Voronoi cells of one random point in each square of side ``grain_size``; the
    nearest point is never farther than two squares away. Inclusions of phase ``n_phases`` are
    discs, one at a random place within each square of side ``rare_spacing``; none if that is 0.

    Parameters
    ----------
    labels : array, shape (rows, columns), int32
        Output.
    origin : tuple of float
        Row and column of the window's first pixel in the map.
    key, rare_key : uint64
        Keys of the random numbers.
    grain_size, rare_spacing, rare_radius : float
        Lengths in pixels.
    n_phases : int
        Number of phases that share the grains equally.
    """
    rows, columns = labels.shape
    first_i = math.floor(origin[0] / grain_size) - 2
    first_j = math.floor(origin[1] / grain_size) - 2
    n_i = math.floor((origin[0] + rows - 1) / grain_size) + 3 - first_i
    n_j = math.floor((origin[1] + columns - 1) / grain_size) + 3 - first_j
    point_y = np.empty((n_i, n_j))
    point_x = np.empty((n_i, n_j))
    phase = np.empty((n_i, n_j), dtype=np.int32)
    for i in range(n_i):
        for j in range(n_j):
            cell = _place_key(key, first_i + i, first_j + j)
            point_y[i, j] = (first_i + i + _uniform(cell, _U(0))) * grain_size
            point_x[i, j] = (first_j + j + _uniform(cell, _U(1))) * grain_size
            phase[i, j] = int(_uniform(cell, _U(2)) * n_phases)
    for r in range(rows):
        y = float(origin[0] + r)
        i0 = math.floor(y / grain_size) - first_i - 2
        for c in range(columns):
            x = float(origin[1] + c)
            j0 = math.floor(x / grain_size) - first_j - 2
            nearest = np.inf
            label = np.int32(0)
            for i in range(i0, i0 + 5):
                for j in range(j0, j0 + 5):
                    distance = (point_y[i, j] - y) ** 2 + (point_x[i, j] - x) ** 2
                    if distance < nearest:
                        nearest = distance
                        label = phase[i, j]
            labels[r, c] = label
    if rare_spacing <= 0.0:
        return
    # the squares' grid is shifted at random, so that every pixel is as likely to be rare
    shift_y = _uniform(rare_key, _U(0)) * rare_spacing
    shift_x = _uniform(rare_key, _U(1)) * rare_spacing
    for i in range(
        math.floor((origin[0] + shift_y) / rare_spacing),
        math.floor((origin[0] + rows - 1 + shift_y) / rare_spacing) + 1,
    ):
        for j in range(
            math.floor((origin[1] + shift_x) / rare_spacing),
            math.floor((origin[1] + columns - 1 + shift_x) / rare_spacing) + 1,
        ):
            cell = _place_key(rare_key, i, j)
            room = rare_spacing - 2.0 * rare_radius
            y = i * rare_spacing + rare_radius + _uniform(cell, _U(0)) * room - shift_y - origin[0]
            x = j * rare_spacing + rare_radius + _uniform(cell, _U(1)) * room - shift_x - origin[1]
            for r in range(
                max(0, math.ceil(y - rare_radius)),
                min(rows, math.floor(y + rare_radius) + 1),
            ):
                for c in range(
                    max(0, math.ceil(x - rare_radius)),
                    min(columns, math.floor(x + rare_radius) + 1),
                ):
                    if (r - y) ** 2 + (c - x) ** 2 < rare_radius**2:
                        labels[r, c] = n_phases


@njit(nogil=True, cache=True)
def draw_totals(
    labels: NDArray[np.int32],
    origin: tuple[int, int],
    key: np.uint64,
    threshold: NDArray[np.uint32],
    other: NDArray[np.uint16],
    lowest: int,
    totals: NDArray[np.uint32],
) -> int:
    """
    Draw each pixel's number of photons, ``lowest`` plus a draw from its phase's alias table.

    Writes to ``totals`` (rows, columns) and returns their sum.
    """
    photons = 0
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            random = _random(_place_key(key, origin[0] + r, origin[1] + c), _U(0))
            total = _U(lowest) + _alias(random, labels[r, c], threshold, other)
            totals[r, c] = total
            photons += int(total)
    return photons


@njit(nogil=True, cache=True)
def draw_events(
    labels: NDArray[np.int32],
    origin: tuple[int, int],
    key: np.uint64,
    threshold: NDArray[np.uint32],
    other: NDArray[np.uint16],
    totals: NDArray[np.uint32],
    per_pixel: NDArray[np.uint32],
    gap_low: NDArray[np.uint8],
    gap_high: NDArray[np.uint8],
    counts: UIntArray,
) -> int:
    """
    Draw the channel of every photon and list the events of each pixel in ascending order.

    A pixel's photons are first counted per channel, with a bit set for each channel that has
    some; reading the bits in order costs less than sorting.

    Parameters
    ----------
    labels : array, shape (rows, columns), int32
        Phase of each pixel.
    origin : tuple of int
        Row and column of the first pixel in the map.
    key : uint64
        Key of the random numbers.
    threshold, other : array, shape (phase, channel), uint32 and uint16
        Alias tables of the channels.
    totals : array, shape (rows, columns), uint32
        Photons of each pixel.
    per_pixel : array, shape (rows * columns,), uint32
        Output: events of each pixel.
    gap_low, gap_high : array, shape (photons,), uint8
        Output: low and high byte of the distance in channels from the event before.
    counts : array, shape (photons,), unsigned integer
        Output: photons of each event.

    Returns
    -------
    int
        Number of events; the outputs hold no more than that.
    """
    n_channels = threshold.shape[1]
    histogram = np.zeros(n_channels, dtype=np.uint32)
    occupied = np.zeros((n_channels + 63) // 64, dtype=np.uint64)
    k = 0
    pixel = 0
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            phase = labels[r, c]
            place = _place_key(key, origin[0] + r, origin[1] + c)
            for photon in range(totals[r, c]):
                random = _random(place, _U(photon) + _ONE)
                channel = _alias(random, phase, threshold, other)
                histogram[channel] += np.uint32(1)
                occupied[channel >> _U(6)] |= _ONE << (channel & _U(63))
            start = k
            previous = _U(0)
            for word in range(occupied.shape[0]):
                bits = occupied[word]
                occupied[word] = _U(0)
                while bits != _U(0):
                    channel = (_U(word) << _U(6)) + lowest_bit(bits)
                    bits &= bits - _ONE
                    gap = channel - previous
                    previous = channel
                    gap_low[k] = gap & _U(255)
                    gap_high[k] = gap >> _U(8)
                    counts[k] = histogram[channel]
                    histogram[channel] = 0
                    k += 1
            per_pixel[pixel] = k - start
            pixel += 1
    return k


@njit(nogil=True, cache=True)
def noisy_image(
    labels: NDArray[np.int32],
    origin: tuple[int, int],
    key: np.uint64,
    level: NDArray[np.float64],
    noise: float,
    image: NDArray[np.uint16],
) -> None:
    """Write each pixel's ``level[phase]`` plus Gaussian noise, rounded and clipped to 16 bits."""
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            place = _place_key(key, origin[0] + r, origin[1] + c)
            radius = math.sqrt(-2.0 * math.log(1.0 - _uniform(place, _U(0))))
            normal = radius * math.cos(2.0 * math.pi * _uniform(place, _U(1)))
            value = level[labels[r, c]] + noise * normal
            image[r, c] = np.uint16(min(max(round(value), 0), 65535))
