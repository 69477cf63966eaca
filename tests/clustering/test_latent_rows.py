"""Rows and places of lazy latent maps: the same for any chunks, and bounded samples of them."""

from __future__ import annotations

import pickle

import dask
import numpy as np
import pytest
import xarray as xr

from sigma_scale import config
from sigma_scale.clustering.cluster import cluster_latent, fit_clusters
from sigma_scale.clustering.density import HDBSCAN
from sigma_scale.clustering.density.placer import StoredPlacer
from sigma_scale.clustering.latent_rows import read_rows
from sigma_scale.clustering.placed import number_clusters, place_pixels, placer_of
from sigma_scale.errors import EmptyMapError, MemoryLimitError, ParameterError, StoreError

CHUNKS = [{"y": 60, "x": 80}, {"y": 17, "x": 31}, {"y": 5, "x": 80, "component": 1}]
METHODS = {
    "HDBSCAN": {"min_cluster_size": 60},
    "GaussianMixture": {"n_components": 3, "random_state": 0},
    "KMeans": {"n_clusters": 3, "random_state": 0},
}


@pytest.fixture
def latent():
    """Three clouds of different size on a map with a gap."""
    rng = np.random.default_rng(0)
    which = rng.choice(3, (60, 80), p=[0.6, 0.3, 0.1])
    values = rng.normal(0, 0.3, (60, 80, 2)) + np.array([[0, 0], [5, 0], [0, 9]])[which]
    values[10:14, 20:30] = np.nan
    return xr.DataArray(values.astype(np.float32), dims=("y", "x", "component"))


def all_rows(latent):
    rows = latent.to_numpy().reshape(-1, 2)
    numbers = np.flatnonzero(~np.isnan(rows).any(axis=1))
    return numbers, rows[numbers]


@pytest.mark.parametrize("chunks", [None, *CHUNKS])
def test_all_rows_are_read_in_their_order(latent, chunks):
    numbers, rows, share = read_rows(latent if chunks is None else latent.chunk(chunks))
    expected_numbers, expected_rows = all_rows(latent)
    np.testing.assert_array_equal(numbers, expected_numbers)
    np.testing.assert_array_equal(rows, expected_rows)
    assert share == 1


@pytest.mark.parametrize("chunks", CHUNKS)
def test_a_sample_is_the_same_for_any_chunks(latent, chunks):
    whole = read_rows(latent, 1000, random_state=4)
    parts = read_rows(latent.chunk(chunks), 1000, random_state=4)
    np.testing.assert_array_equal(parts.numbers, whole.numbers)
    np.testing.assert_array_equal(parts.rows, whole.rows)


def test_a_sample_is_uniform(latent):
    numbers, rows, share = read_rows(latent, 1200, random_state=1)
    known, every = all_rows(latent)
    assert share == 1200 / 4800
    assert set(numbers.tolist()) <= set(known.tolist())
    # Of 4760 rows with a probability of a quarter: 1190 with a standard deviation of 30.
    assert abs(len(numbers) - 1190) < 5 * 30
    np.testing.assert_allclose(rows.mean(axis=0), every.mean(axis=0), atol=0.5)
    other = read_rows(latent, 1200, random_state=2).numbers
    # Two independent samples have a quarter in common.
    assert 0.15 < len(np.intersect1d(numbers, other)) / len(numbers) < 0.35


def test_no_coordinates_at_all(latent):
    nothing = latent * np.float32(np.nan)
    for each in (nothing, nothing.chunk(y=20)):
        with pytest.raises(EmptyMapError, match="nothing to cluster"):
            read_rows(each)


def test_rows_that_do_not_fit_are_refused_before_they_are_read():
    import dask.array as da

    def explode(block):
        raise AssertionError

    huge = da.zeros((10_000, 10_000, 2), chunks=(1000, 1000, 2)).map_blocks(explode, dtype=float)
    lazy = xr.DataArray(huge, dims=("y", "x", "component"))
    with config.options(memory_limit="1GB"), pytest.raises(MemoryLimitError, match="n_fit"):
        read_rows(lazy)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_fit", [None, 1500])
def test_lazy_maps_are_clustered_as_those_in_memory(latent, method, n_fit):
    expected = cluster_latent(latent, method, METHODS[method], n_fit=n_fit)
    assert 3 <= expected["labels"].max() + 1 <= 6
    assert (expected["labels"].to_numpy()[10:14, 20:30] == -1).all()
    for chunks in CHUNKS:
        for workers in (1, 3):
            with dask.config.set(num_workers=workers):
                found = cluster_latent(latent.chunk(chunks), method, METHODS[method], n_fit=n_fit)
                xr.testing.assert_identical(found.compute(), expected)


def test_a_sample_finds_the_clusters_of_the_whole(latent):
    whole = cluster_latent(latent, "HDBSCAN", METHODS["HDBSCAN"])
    part = cluster_latent(latent.chunk(y=20), "HDBSCAN", METHODS["HDBSCAN"], n_fit=2000)
    assert part.attrs["recipe"]["sample_share"] == 2000 / 4800
    # The recipe has what was asked for, in pixels of the map.
    assert part.attrs["recipe"]["parameters"]["min_cluster_size"] == 60
    both = (whole["labels"] >= 0) & (part["labels"] >= 0)
    assert float(both.mean()) > 0.9
    assert bool((whole["labels"] == part["labels"]).where(both, other=True).all())


def test_sizes_count_pixels_of_the_map(latent):
    fitted = fit_clusters(latent, "HDBSCAN", {"min_cluster_size": 60}, n_fit=2400)
    assert fitted.model.min_cluster_size == 30
    fitted = fit_clusters(latent, "HDBSCAN", {"min_cluster_size": 3}, n_fit=480)
    assert fitted.model.min_cluster_size == 2


def test_a_sample_of_no_pixels_is_refused(latent):
    with pytest.raises(ParameterError, match="n_fit must be at least 1"):
        cluster_latent(latent, n_fit=0)


def test_a_model_is_not_in_every_task(latent):
    from dask.base import collections_to_expr

    model = HDBSCAN(min_cluster_size=60).fit(all_rows(latent)[1])
    size = len(pickle.dumps(model.placer()))
    tasks = place_pixels(latent.chunk(y=5, x=5), placer_of(model))
    graph = collections_to_expr([tasks["labels"].data]).optimize().__dask_graph__()
    sizes = [len(pickle.dumps(task)) for task in dict(graph).values()]
    assert len(sizes) > 192
    assert sum(each > size / 2 for each in sizes) <= 1


def test_a_placer_on_disk_places_as_the_model(latent, tmp_path):
    rows = all_rows(latent)[1]
    model = HDBSCAN(min_cluster_size=60).fit(rows)
    model.placer().save(tmp_path / "placer")
    stored = pickle.loads(pickle.dumps(StoredPlacer(str(tmp_path / "placer"))))  # noqa: S301 -- ours
    others = rows + np.float32(0.05)
    for given, expected in zip(stored(others), model.predict_proba_max(others), strict=True):
        np.testing.assert_array_equal(given, expected)


def test_a_placer_that_is_gone_or_damaged_is_an_error(latent, tmp_path):
    with pytest.raises(StoreError, match="can't be read"):
        StoredPlacer(str(tmp_path / "nowhere"))(all_rows(latent)[1])
    HDBSCAN(min_cluster_size=60).fit(all_rows(latent)[1]).placer().save(tmp_path / "placer")
    (tmp_path / "placer" / "cores.npy").write_bytes(b"half")
    with pytest.raises(StoreError, match="can't be read"):
        StoredPlacer(str(tmp_path / "placer"))(all_rows(latent)[1])


def test_lazy_labels_are_numbered_as_those_in_memory():
    # 2 is missing, and 0 and 3 are equally large.
    labels = np.array([[4, 4, -1, 3], [0, 4, 3, 0], [1, -1, 4, -1]], np.int32)
    maps = xr.Dataset({"labels": (("y", "x"), labels)}, attrs={"recipe": {"seed": 1}})
    expected = number_clusters(maps)
    np.testing.assert_array_equal(expected["labels"], [[0, 0, -1, 2], [1, 0, 2, 1], [3, -1, 0, -1]])
    assert expected.attrs["recipe"] == {"seed": 1, "original_labels": [4, 0, 3, 1]}
    lazy = number_clusters(maps.chunk(y=1, x=3))
    assert lazy["labels"].chunks is not None
    xr.testing.assert_identical(lazy.compute(), expected)
    only_noise = xr.Dataset({"labels": (("y", "x"), np.full((2, 2), -1, np.int32))})
    assert (number_clusters(only_noise.chunk(y=1))["labels"].to_numpy() == -1).all()
