"""Chunks of any shape from blocks of any shape, each block read once where they fit together."""

import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import ShapeMismatchError
from sigma_scale.spectra import ArraySource, EventBlock, Scratch
from sigma_scale.spectra.rechunk import chunk_plan, chunks_of_region


class Counting(ArraySource):
    """Counts that remember which blocks were read."""

    def __init__(self, data, chunk_shape):
        super().__init__(data, chunk_shape)
        object.__setattr__(self, "read", Counter())

    def read_block(self, row, column, scratch=None):
        self.read[row, column] += 1
        return super().read_block(row, column, scratch)


def make(rows, columns, channels=40):
    rng = np.random.default_rng(rows * columns)
    return rng.poisson(0.1, (rows, columns, channels)).astype(np.uint16)


def assemble(source, chunk_shape, **options):
    """Dense map put together from the chunks of all regions, and how often each was given."""
    found = np.full(source.shape, 999, source.dtype)
    given_out = Counter()
    plan = chunk_plan(source, chunk_shape)
    for i, j in np.ndindex(plan.shape):
        for row, column, block in chunks_of_region(
            source, plan.limits(i, j), chunk_shape, scratch=Scratch(), **options
        ):
            y, x = row * chunk_shape[0], column * chunk_shape[1]
            found[y : y + block.shape[0], x : x + block.shape[1]] = block.to_dense()
            given_out[row, column] += 1
    return found, given_out


sizes = st.integers(1, 70)
sides = st.integers(1, 40)


@given(shape=st.tuples(sizes, sizes), block=st.tuples(sides, sides), chunk=st.tuples(sides, sides))
@settings(max_examples=60)
def test_any_blocks_give_any_chunks(shape, block, chunk):
    dense = make(*shape)
    found, given_out = assemble(ArraySource(dense, block), chunk)
    np.testing.assert_array_equal(found, dense)
    assert set(given_out.values()) == {1}


@pytest.mark.parametrize("block", [(4, 300), (128, 300), (16, 512), (64, 64), (256, 128), (1, 300)])
def test_blocks_that_fit_are_read_once(block):
    source = Counting(make(270, 300, 5), block)
    found, _ = assemble(source, (128, 128))
    np.testing.assert_array_equal(found, source.data)
    assert set(source.read.values()) == {1}


def test_blocks_of_chunks_that_are_left_out_are_not_read():
    source = Counting(make(300, 300, 5), (32, 512))
    done = {(0, 0), (0, 1), (0, 2), (1, 1)}
    found, given_out = assemble(source, (128, 128), leave_out=done)
    assert set(given_out) == {(1, 0), (1, 2), (2, 0), (2, 1), (2, 2)}
    assert min(row for row, _ in source.read) == 4
    np.testing.assert_array_equal(found[256:], source.data[256:])
    same = Counting(make(300, 300, 5), (128, 128))
    assemble(same, (128, 128), leave_out=done)
    assert not done & set(same.read)


class Narrow(ArraySource):
    """Counts of which each block has the narrowest type that holds them, as in a store."""

    def read_block(self, row, column, scratch=None):
        block = super().read_block(row, column, scratch)
        narrow = np.min_scalar_type(int(block.counts.max(initial=0)))
        return dataclasses.replace(block, counts=block.counts.astype(narrow))


def test_blocks_of_different_types_are_joined():
    dense = make(64, 70, 9)
    dense[0, 0, 3], dense[40, 69, 8] = 1000, 65535
    found, _ = assemble(Narrow(dense, (8, 70)), (32, 32))
    np.testing.assert_array_equal(found, dense)


def test_without_scratch_chunks_stay_good():
    source = ArraySource(make(64, 70), (8, 70))
    chunks = list(chunks_of_region(source, (0, 64, 0, 70), (32, 32)))
    assert len(chunks) == 6
    for row, column, block in chunks:
        part = source.data[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32]
        np.testing.assert_array_equal(block.to_dense(), part)


@pytest.mark.parametrize(
    ("shape", "block", "n_regions"),
    [
        ((4096, 4096), (128, 128), (6, 6)),
        ((1024, 4096), (64, 4096), (8, 1)),  # as long as a block, so no higher than a chunk
        ((4096, 1024), (4096, 64), (1, 8)),
        ((4096, 4096), (128, 4096), (32, 1)),
        ((65536, 65536), (128, 128), (64, 64)),
    ],
)
def test_regions_are_many_however_wide_the_blocks(shape, block, n_regions):
    source = SimpleNamespace(shape=(*shape, 10), chunk_shape=block)
    assert chunk_plan(source, (128, 128)).shape == n_regions


def test_blocks_join_only_where_they_fit():
    a, b = EventBlock.from_dense(make(3, 4)), EventBlock.from_dense(make(2, 5))
    with pytest.raises(ShapeMismatchError):
        EventBlock.stacked([a, b])
    with pytest.raises(ShapeMismatchError):
        EventBlock.beside([a, b])


def test_a_window_is_the_slice():
    dense = make(9, 11)
    block = EventBlock.from_dense(dense)
    for rows, columns in [
        (slice(2, 5), slice(3, 9)),
        (slice(0, 9), slice(0, 11)),
        (slice(8, 9), slice(0, 1)),
    ]:
        np.testing.assert_array_equal(block.window(rows, columns).to_dense(), dense[rows, columns])
