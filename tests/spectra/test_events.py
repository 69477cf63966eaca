"""Blocks of events against dense arrays and scipy."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale.errors import CorruptChunkError, ParameterError, ShapeMismatchError
from sigma_scale.spectra import EventBlock

TYPES = st.sampled_from([np.uint8, np.uint16, np.uint32, np.float32])


@st.composite
def dense_blocks(draw):
    dtype = np.dtype(draw(TYPES))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 700)))
    high = 1e6 if dtype.kind == "f" else np.iinfo(dtype).max
    filled = draw(st.floats(0, 1))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    return (rng.integers(0, int(high), shape) * (rng.random(shape) < filled)).astype(dtype)


@given(dense_blocks())
def test_dense_and_sparse_round_trips(dense):
    block = EventBlock.from_dense(dense)
    np.testing.assert_array_equal(block.to_dense(), dense)
    assert block.n_events == np.count_nonzero(dense)
    matrix = block.to_csr()
    assert matrix.dtype == dense.dtype
    np.testing.assert_array_equal(EventBlock.from_csr(matrix, dense.shape).to_dense(), dense)


def test_the_last_of_65535_channels_survives():
    dense = np.zeros((1, 2, 65535), np.uint8)
    dense[0, 1, [0, 255, 256, 65534]] = 1, 2, 3, 4
    np.testing.assert_array_equal(EventBlock.from_dense(dense).to_dense(), dense)


def test_unordered_doubled_and_zero_entries_of_a_matrix_are_put_right():
    data, indices = np.array([1, 2, 3, 0], np.uint16), np.array([5, 2, 5, 1])
    matrix = sp.csr_array((data, indices, [0, 4]), shape=(1, 8))
    block = EventBlock.from_csr(matrix, (1, 1, 8))
    np.testing.assert_array_equal(block.to_dense()[0, 0], [0, 0, 2, 0, 0, 4, 0, 0])
    assert block.n_events == 2
    np.testing.assert_array_equal(matrix.data, [1, 2, 3, 0])


def test_clipping_undoes_padding():
    dense = np.random.default_rng(0).poisson(0.5, (3, 2, 9)).astype(np.uint8)
    padded = EventBlock.from_dense(dense).padded(5, 4)
    assert padded.to_dense()[3:].sum() == 0
    np.testing.assert_array_equal(padded.clipped(3, 2).to_dense(), dense)
    with pytest.raises(CorruptChunkError, match="beyond the edge"):
        padded.clipped(2, 2)


def test_events_past_the_end_are_an_error_not_a_crash():
    block = EventBlock.from_dense(np.ones((1, 1, 4), np.uint8))
    forged = EventBlock((1, 1, 3), block.per_pixel, block.gap_low, block.gap_high, block.counts)
    with pytest.raises(CorruptChunkError, match="past its last channel"):
        forged.to_csr()


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.complex64, np.bool_])
def test_other_types_are_refused(dtype):
    with pytest.raises(ParameterError, match="unsigned integers"):
        EventBlock.from_dense(np.ones((1, 1, 1), dtype))


def test_wrong_shapes_and_too_many_channels_are_refused():
    with pytest.raises(ShapeMismatchError):
        EventBlock.from_csr(sp.csr_array(np.ones((4, 3), np.uint8)), (2, 3, 3))
    with pytest.raises(ParameterError, match="channels"):
        EventBlock.from_dense(np.ones((1, 1, 65536), np.uint8))


@given(hnp.arrays(np.uint8, (0, 3, 4)))
def test_empty_blocks(dense):
    assert EventBlock.from_dense(dense).to_dense().shape == (0, 3, 4)
