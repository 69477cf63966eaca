"""Compiled operations on the bits of a number that several rooms' loops need."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["GOLDEN", "lowest_bit", "mix_bits", "unit_share"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio, odd: its multiples are far apart."""

_U = np.uint64

# A power of two times this constant has its exponent's number in the top six bits.
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_EXPONENT = np.zeros(64, dtype=np.uint8)
for _i in range(64):
    _EXPONENT[((1 << _i) * int(_DE_BRUIJN) % 2**64) >> 58] = _i


@njit(nogil=True, cache=True, inline="always")
def mix_bits(state: np.uint64) -> np.uint64:
    """Mix bits as SplitMix64 does at its end (Steele, Lea and Flood, OOPSLA 2014)."""
    state = (state ^ (state >> _U(30))) * _U(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> _U(27))) * _U(0x94D049BB133111EB)
    return state ^ (state >> _U(31))


@njit(nogil=True, cache=True, inline="always")
def unit_share(bits: np.uint64) -> float:
    """Number from 0 up to 1 of some mixed bits."""
    return float(bits >> _U(11)) * 2.0**-53


@njit(nogil=True, cache=True, inline="always")
def lowest_bit(bits: np.uint64) -> np.uint64:
    """Place of the lowest bit that is set, from 0; ``bits & (bits - 1)`` are the others."""
    return _U(_EXPONENT[((bits & (~bits + _U(1))) * _DE_BRUIJN) >> _U(58)])
