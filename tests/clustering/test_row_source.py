"""Rows in batches: the same ones for any chunking, each chunk computed once."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from sigma_scale import config
from sigma_scale.clustering.row_source import BATCH_ROWS, RowSource
from sigma_scale.errors import EmptyMapError, ParameterError

ROWS = np.random.default_rng(0).normal(size=(2 * BATCH_ROWS + 123, 2)).astype(np.float32)
CHUNKS = [(len(ROWS), 2), (1000, 1), (BATCH_ROWS, 2), ((5, 0, len(ROWS) - 6, 1), (2,))]


def batches_of(source: RowSource, **kwargs) -> list[tuple[slice, np.ndarray]]:
    return list(source.batches(**kwargs))


@pytest.mark.parametrize("chunks", CHUNKS)
def test_batches_depend_on_row_numbers_alone(chunks):
    expected = batches_of(RowSource(ROWS))
    assert [rows.start for rows, _ in expected] == [0, BATCH_ROWS, 2 * BATCH_ROWS]
    found = batches_of(RowSource(da.from_array(ROWS, chunks=chunks)))
    assert [rows for rows, _ in found] == [rows for rows, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.float64
        assert one.flags.c_contiguous
    small = batches_of(RowSource(da.from_array(ROWS[:50], chunks=(7, 2))), batch_rows=9)
    assert [len(values) for _, values in small] == [9, 9, 9, 9, 9, 5]
    np.testing.assert_array_equal(np.concatenate([values for _, values in small]), ROWS[:50])


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_map_keeps_the_order(scheduler):
    with dask.config.set(scheduler=scheduler, num_workers=3):
        found = list(RowSource(ROWS).map(lambda _, values: values.sum(), batch_rows=1000))
    assert [rows.start for rows, _ in found] == list(range(0, len(ROWS), 1000))
    total = sum(part for _, part in found)
    assert total == pytest.approx(ROWS.sum(dtype=float), rel=1e-9)


def test_each_chunk_is_computed_once_in_a_pass():
    calls = []

    def block(block_info=None):
        calls.append(block_info[None]["chunk-location"])
        return np.ones(block_info[None]["chunk-shape"])

    lazy = da.map_blocks(block, chunks=((3000,) * 20, (2,)), dtype=float)
    assert sum(len(values) for _, values in RowSource(lazy).batches()) == 60_000
    assert sorted(calls) == [(i, 0) for i in range(20)]
    calls.clear()
    with config.options(memory_limit="10MB"):
        kept = RowSource(lazy).kept()
    for _ in range(3):
        list(kept.batches())
    assert len(calls) == 20
    with config.options(memory_limit="1MB"):
        assert not isinstance(RowSource(lazy).kept()._table, np.ndarray)


def test_rows_and_samples_are_taken_from_arrays_and_lazy_ones():
    chosen = np.array([0, 5, BATCH_ROWS, len(ROWS) - 1])
    lazy = da.from_array(ROWS, chunks=(5000, 2))
    for source in (RowSource(ROWS), RowSource(lazy), RowSource(xr.DataArray(lazy))):
        np.testing.assert_array_equal(source.take(chosen), ROWS[chosen])
    one, two = (RowSource(rows).sample(500, random_state=3) for rows in (ROWS, lazy))
    np.testing.assert_array_equal(one, two)
    assert len(np.unique(one, axis=0)) == 500
    other = RowSource(ROWS).sample(500, random_state=4)
    assert not np.array_equal(one, other)
    assert abs(one.mean()) < 0.1
    np.testing.assert_array_equal(RowSource(ROWS[:40]).sample(41, random_state=0), ROWS[:40])


def test_bad_rows_are_named():
    holed = ROWS.copy()
    holed[BATCH_ROWS + 7, 1] = np.inf
    for rows in (holed, da.from_array(holed, chunks=(900, 2))):
        with pytest.raises(ParameterError, match=f"first is row {BATCH_ROWS + 7}"):
            list(RowSource(rows).map(lambda *_: None))
    with pytest.raises(ParameterError, match="one row per pixel"):
        RowSource(da.zeros((3, 4, 5)))
    with pytest.raises(EmptyMapError):
        RowSource(da.zeros((0, 2)))
    with pytest.raises(ParameterError, match="compute_chunk_sizes"):
        RowSource(da.from_array(ROWS, chunks=(900, 2))[da.from_array(ROWS[:, 0] > 0, chunks=900)])
    with pytest.raises(ParameterError, match="real numbers"):
        RowSource(np.array([["a", "b"]]))
