"""Operations on bits, compared with Python's whole numbers and published values."""

import numpy as np
import pytest

from sigma_scale.spectra.bit_kernels import GOLDEN, lowest_bit, mix_bits, unit_share

SPLITMIX64_OF_0 = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
"""The first numbers of the reference implementation (Vigna, 2015) from the seed 0."""


def test_bits_are_mixed_as_by_splitmix64():
    with np.errstate(over="ignore"):
        states = [np.uint64(number) * GOLDEN for number in (1, 2, 3)]
    assert [int(np.uint64(mix_bits(state))) for state in states] == SPLITMIX64_OF_0


@pytest.mark.parametrize("place", range(64))
def test_the_lowest_bit_is_found_whatever_is_above(place):
    for above in (0, 1, 2**64 - 1, 0x9E3779B97F4A7C15):
        bits = (1 << place | above << (place + 1)) % 2**64
        assert lowest_bit(np.uint64(bits)) == place


def test_shares_lie_from_0_up_to_1():
    assert unit_share(np.uint64(0)) == 0.0
    assert unit_share(np.uint64(2**63)) == 0.5
    assert unit_share(np.uint64(2**64 - 1)) == 1.0 - 2.0**-53
