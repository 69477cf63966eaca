import logging

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sigma_scale import config
from sigma_scale.errors import EmptyMapError, MemoryLimitError, ParameterError
from sigma_scale.latent.autoencoder import data
from sigma_scale.latent.autoencoder.data import FeatureRows, training_rows
from sigma_scale.latent.landmarks import choose_landmarks


@pytest.fixture
def maps():
    return np.random.default_rng(1).normal(size=(40, 30, 4))


class Sliced:
    """The least that is read lazily: a shape, a dtype and slices."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.tallest = values, values.shape, values.dtype, 0

    def __getitem__(self, key):
        self.tallest = max(self.tallest, len(self.values[key]))
        return self.values[key]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("read as a whole")


KINDS = {
    "map": lambda maps: maps,
    "table": lambda maps: maps.reshape(-1, 4),
    "fortran": np.asfortranarray,
    "dask": lambda maps: da.from_array(maps, chunks=(7, 11, 3)),
    "dask table": lambda maps: da.from_array(maps.reshape(-1, 4), chunks=(101, 4)),
    "xarray": lambda maps: xr.DataArray(maps, dims=("y", "x", "line")),
    "lazy xarray": lambda maps: xr.DataArray(maps, dims=("y", "x", "line")).chunk(y=9),
    "sliced": Sliced,
    "pandas": lambda maps: pd.DataFrame(maps.reshape(-1, 4)),
    "nested lists": lambda maps: maps.tolist(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("band_rows", [50, 1_000_000])
def test_rows_are_the_same_from_any_kind_of_array(maps, kind, band_rows, monkeypatch):
    monkeypatch.setattr(data, "_BAND_ROWS", band_rows)
    rows = FeatureRows(KINDS[kind](maps))
    expected = maps.reshape(-1, 4).astype(np.float32)
    assert (rows.n_rows, rows.n_features) == expected.shape
    got = rows.all()
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)
    numbers = np.array([0, 3, 49, 50, 51, 700, 1199])
    np.testing.assert_array_equal(rows.take(numbers), expected[numbers])


def test_bands_are_bounded_and_chunks_are_read_once(maps, monkeypatch):
    monkeypatch.setattr(data, "_BAND_ROWS", 90)
    sliced = Sliced(maps)
    assert [len(band) for _, band in FeatureRows(sliced).bands()] == [90] * 13 + [30]
    assert sliced.tallest == 3
    calls = []

    def counted(block):
        calls.append(block.shape)
        return block

    lazy = da.from_array(maps, chunks=(4, 30, 4)).map_blocks(counted, meta=np.empty((0, 0, 0)))
    with dask.config.set(scheduler="sync"):
        sizes = [len(band) for _, band in FeatureRows(lazy).bands()]
    assert sizes == [120] * 10
    assert calls == [(4, 30, 4)] * 10
    small = da.from_array(maps, chunks=(1, 30, 4))
    assert [len(band) for _, band in FeatureRows(small).bands()] == [90] * 13 + [30]


def test_a_row_of_chunks_that_does_not_fit_is_refused(maps):
    lazy = da.zeros((100_000, 1000, 10), chunks=(50_000, 100, 10))
    with config.options(memory_limit="1GB"), pytest.raises(MemoryLimitError, match="chunks"):
        next(FeatureRows(lazy).bands())


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_refused_with_their_place(maps, bad, monkeypatch):
    monkeypatch.setattr(data, "_BAND_ROWS", 90)
    maps[20, 7, 2] = bad
    with pytest.raises(ParameterError, match="y=20, x=7"):
        FeatureRows(maps).all()
    with pytest.raises(ParameterError, match="row 607"):
        FeatureRows(maps.reshape(-1, 4)).all()


def test_what_is_no_table_or_map_is_refused(maps):
    with pytest.raises(ParameterError, match="shape"):
        FeatureRows(maps[0, 0])
    with pytest.raises(ParameterError, match="real numbers"):
        FeatureRows(maps.astype(complex))
    with pytest.raises(EmptyMapError):
        FeatureRows(maps[:0])
    with pytest.raises(ParameterError, match="last dimension"):
        FeatureRows(xr.DataArray(maps, dims=("line", "y", "x")))


def test_few_rows_are_all_trained_on_and_many_give_landmarks(maps, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    table = maps.reshape(-1, 4).astype(np.float32)
    np.testing.assert_array_equal(training_rows(FeatureRows(maps), None, seed=0), table)
    assert not caplog.text
    chosen = training_rows(FeatureRows(maps), 200, seed=3)
    np.testing.assert_array_equal(chosen, table[choose_landmarks(table, 200, random_state=3)])
    assert "200 landmarks of 1200 pixels" in caplog.text
    monkeypatch.setattr(data, "ALL_ROWS", 100)
    assert len(training_rows(FeatureRows(maps), None, seed=3)) == 100
    with pytest.raises(ParameterError, match="n_landmarks"):
        training_rows(FeatureRows(maps), 0, seed=0)


def test_landmarks_of_huge_maps_come_from_a_sample_the_same_for_any_chunks(maps, monkeypatch):
    monkeypatch.setattr(data, "_CANDIDATES", 500)
    monkeypatch.setattr(data, "_BAND_ROWS", 90)
    chosen = training_rows(FeatureRows(maps), 100, seed=3)
    assert len(np.unique(chosen, axis=0)) == 100
    lazy = da.from_array(maps, chunks=(7, 30, 2))
    np.testing.assert_array_equal(training_rows(FeatureRows(lazy), 100, seed=3), chosen)
    assert not np.array_equal(training_rows(FeatureRows(maps), 100, seed=4), chosen)
