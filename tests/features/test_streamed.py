"""Normalisations of lazy maps that need a few chunks at a time."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from sigma_scale import features

STEPS = ["neighbour_averaging", "zscore", "softmax"]


@pytest.fixture
def maps():
    values = np.random.default_rng(0).poisson(5.0, (60, 70, 3)).astype(np.float32)
    values[10:20, 30:40] = np.nan
    return xr.DataArray(
        values, dims=("y", "x", "line"), coords={"line": ["O_Ka", "Si_Ka", "Fe_Ka"]}
    )


def counting(maps, chunks):
    """The same maps, lazy, and a list of the chunks that were read."""
    read = []

    def note(block, block_info=None):
        if block_info:
            read.append(tuple(block_info[0]["chunk-location"][:2]))
        return block

    data = da.from_array(maps.to_numpy(), chunks=(*chunks, -1), name=False)
    return maps.copy(data=data.map_blocks(note, dtype=np.float32)), read


@pytest.mark.parametrize("steps", [STEPS, ["zscore", "zscore"], [features.zscore], ["softmax"], []])
@pytest.mark.parametrize("chunks", [(20, 20), (7, 70)])
def test_values_and_recipe_are_the_same(maps, steps, chunks):
    expected = features.normalise_features(maps, steps)
    lazy, _ = counting(maps, chunks)
    streamed = features.normalise_features(lazy, steps, streamed=True)
    assert streamed.chunks is not None
    xr.testing.assert_identical(streamed.compute(), expected)


def test_maps_in_memory_stay_there(maps):
    streamed = features.normalise_features(maps, STEPS, streamed=True)
    xr.testing.assert_identical(streamed, features.normalise_features(maps, STEPS))


def test_a_chunk_of_the_result_needs_its_neighbours_alone(maps):
    lazy, read = counting(maps, (10, 10))
    streamed = features.normalise_features(lazy, ["neighbour_averaging", "zscore"], streamed=True)
    assert set(read) == {(i, j) for i in range(6) for j in range(7)}
    read.clear()
    streamed[:10, :10].compute()
    assert set(read) <= {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_navigation_image_can_be_joined_later(maps):
    image = xr.DataArray(np.random.default_rng(1).random((120, 140)), dims=("y", "x"))
    expected = features.append_navigation(maps, image, STEPS)
    lazy, read = counting(maps, (20, 20))
    feature = features.navigation_feature(lazy, image, STEPS)
    assert not read
    joined = features.join_navigation(lazy, feature.chunk(y=20, x=20))
    assert joined.chunks is not None
    xr.testing.assert_identical(joined.compute(), expected)
