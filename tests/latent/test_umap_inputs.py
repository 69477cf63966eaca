"""The same pixels as an array, a Dask array, a map, a dataset and a store give the same bits."""

from types import SimpleNamespace

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sigma_scale import config
from sigma_scale.errors import (
    EmptyMapError,
    MemoryLimitError,
    ParameterError,
    ShapeMismatchError,
    StoreError,
)
from sigma_scale.latent import UMAP, choose_landmarks
from sigma_scale.latent.sources import feature_source
from sigma_scale.store import write_map, write_result
from sigma_scale.synthetic import synthetic_map

LINES = ["Al_Ka", "Si_Ka", "Fe_Ka", "Ca_Ka"]
HEIGHT, WIDTH = 40, 50


def quick(**parameters: object) -> UMAP:
    return UMAP(**{"n_landmarks": 300, "n_epochs": 10, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(HEIGHT, WIDTH, 4)) + 5 * (np.arange(WIDTH) > 20)[:, None]
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, 4)


@pytest.fixture(scope="module")
def places(rows: np.ndarray) -> np.ndarray:
    return quick().fit_transform(rows)


def labelled(values: object) -> xr.DataArray:
    return xr.DataArray(values, dims=("y", "x", "line"), coords={"line": LINES})


@pytest.mark.parametrize("chunks", [(7, 11, 4), (40, 50, 1), (13, 50, 3), (1, 50, 4)])
def test_maps_in_any_chunks(
    values: np.ndarray, places: np.ndarray, chunks: tuple[int, int, int]
) -> None:
    maps = labelled(da.from_array(values, chunks=chunks))
    model = quick()
    with dask.config.set(scheduler="synchronous" if chunks[0] == 7 else "threads"):
        latent = model.fit_transform(maps)
        assert latent.chunks is not None
        np.testing.assert_array_equal(latent.to_numpy().reshape(-1, 2), places)
    assert latent.dims == ("y", "x", "component")
    assert list(model.feature_names_in_) == LINES
    numbers = choose_landmarks(values.reshape(-1, 4), 300, random_state=0)
    np.testing.assert_array_equal(model.landmark_rows_, numbers)


@pytest.mark.parametrize("chunks", [(2000, 4), (333, 2), (1, 4)])
def test_tables_in_any_chunks(
    rows: np.ndarray, places: np.ndarray, chunks: tuple[int, int]
) -> None:
    rows, places = (rows[:100], None) if chunks[0] == 1 else (rows, places)
    lazy = da.from_array(rows, chunks=chunks)
    if places is None:
        places = quick().fit_transform(rows)
    latent = quick().fit_transform(lazy)
    assert isinstance(latent, da.Array)
    assert latent.dtype == np.float32
    np.testing.assert_array_equal(latent.compute(), places)
    np.testing.assert_array_equal(latent[5:9].compute(), places[5:9])


def test_a_map_cut_into_tiles_is_the_whole_map(values: np.ndarray) -> None:
    model = quick().fit(labelled(values))
    whole, novelty = model.transform_with_novelty(labelled(values))
    for y in (slice(0, 17), slice(17, 40)):
        for x in (slice(0, 3), slice(3, 49), slice(49, 50)):
            tile = labelled(values[y, x])
            np.testing.assert_array_equal(model.transform(tile), whole[y, x])
            np.testing.assert_array_equal(model.novelty(tile), novelty[y, x])


def test_the_number_of_threads_does_not_matter(rows: np.ndarray, places: np.ndarray) -> None:
    for n_jobs in (1, 3):
        np.testing.assert_array_equal(quick(n_jobs=n_jobs).fit_transform(rows), places)
    with dask.config.set(num_workers=3):
        np.testing.assert_array_equal(
            choose_landmarks(rows, 200, random_state=1),
            choose_landmarks(rows[:, ::1].copy(order="F"), 200, random_state=1),
        )


def test_workers_in_other_processes_do_not_matter(values: np.ndarray, places: np.ndarray) -> None:
    maps = labelled(da.from_array(values, chunks=(9, 50, 4)))
    with dask.config.set(scheduler="processes", num_workers=2):
        latent = quick().fit_transform(maps).compute()
    np.testing.assert_array_equal(latent.to_numpy().reshape(-1, 2), places)


def test_datasets_and_frames(values: np.ndarray, rows: np.ndarray, places: np.ndarray) -> None:
    maps = labelled(values)
    for given in (maps.to_dataset(name="features"), SimpleNamespace(normalised_maps=maps)):
        latent = quick().fit_transform(given)
        np.testing.assert_array_equal(latent.to_numpy().reshape(-1, 2), places)
    frame = pd.DataFrame(rows, columns=LINES)
    model = quick()
    np.testing.assert_array_equal(model.fit_transform(frame), places)
    assert list(model.feature_names_in_) == LINES


def test_stores(tmp_path, values: np.ndarray, places: np.ndarray) -> None:
    path = tmp_path / "map.zarr"
    write_map(synthetic_map((HEIGHT, WIDTH), channels=64).image, path)
    with pytest.raises(StoreError, match="binned"):
        quick().fit(path)
    features = labelled(values).rename(line="feature").to_dataset(name="features")
    write_result(path, "binned", features)
    latent = quick().fit_transform(str(path))
    assert latent.chunks is not None
    np.testing.assert_array_equal(latent.to_numpy().reshape(-1, 2), places)


def test_pixels_without_features_take_no_part(values: np.ndarray) -> None:
    holed = values.copy()
    holed[3, 4, 1] = holed[20:] = np.nan
    missing = np.isnan(holed).any(axis=2)
    whole = quick().fit_transform(labelled(holed))
    lazy = quick().fit_transform(labelled(da.from_array(holed, chunks=(8, 20, 2))))
    np.testing.assert_array_equal(whole, lazy)
    np.testing.assert_array_equal(np.isnan(whole).all(axis=2), missing)
    assert np.isfinite(whole.to_numpy()[~missing]).all()
    with pytest.raises(EmptyMapError, match="No pixel"):
        quick().fit(labelled(values * np.nan))


def test_values_that_are_no_numbers_are_named_with_their_place(values: np.ndarray) -> None:
    model = quick().fit(labelled(values))
    spoilt = values.copy()
    spoilt[33, 21, 2] = np.inf
    for maps in (spoilt, da.from_array(spoilt, chunks=(10, 10, 4))):
        with pytest.raises(ParameterError, match="y=33, x=21"):
            quick().fit(labelled(maps))
        with pytest.raises(ParameterError, match="y=33, x=21"):
            model.transform(labelled(maps)).compute()
    table = da.from_array(np.where(np.isinf(spoilt), np.nan, spoilt).reshape(-1, 4), chunks=(77, 4))
    with pytest.raises(ParameterError, match=f"first is row {33 * WIDTH + 21}"):
        quick().fit(table)


def test_other_features_are_refused(values: np.ndarray) -> None:
    model = quick().fit(labelled(values))
    with pytest.raises(ShapeMismatchError, match="was fitted on 4"):
        model.transform(labelled(values)[..., :3])
    others = labelled(values).assign_coords(line=["Al_Ka", "Si_Ka", "Ca_Ka", "Fe_Ka"])
    with pytest.raises(ParameterError, match="Al_Ka, Si_Ka, Ca_Ka, Fe_Ka, but UMAP was fitted on"):
        model.transform(others)
    np.testing.assert_array_equal(  # rows without names are taken as they are
        model.transform(values.reshape(-1, 4)[:5]), model.transform(labelled(values[:1, :5]))[0]
    )


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (da.ones((3, 4, 5)), ParameterError, "Reshape"),
        (da.from_array(np.array([["a"]])), ParameterError, "real numbers"),
        (da.ones((0, 3)), EmptyMapError, "empty"),
        (da.ones((9, 2), chunks=3)[da.arange(9, chunks=3) > 2], ParameterError, "unknown sizes"),
        (xr.DataArray(np.ones((2, 3, 4)), dims=("line", "y", "x")), ParameterError, "transpose"),
        (xr.DataArray(np.ones(4), dims="line"), ParameterError, "y, x, line"),
        (xr.DataArray(np.array([["a"]]), dims=("y", "line")), ParameterError, "real numbers"),
        (xr.Dataset({"labels": ("y", [1])}), ParameterError, "no variable 'features'"),
        (np.ones((3, 2), complex), ParameterError, "Complex"),
        (synthetic_map((8, 8), channels=64).image, ParameterError, "line_intensity"),
    ],
)
def test_what_cannot_be_features_is_named(
    given: object, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        feature_source(given)


def test_memory_is_checked_before_it_is_taken(rows: np.ndarray) -> None:
    model = quick().fit(rows)
    with config.options(memory_limit="1 kB"):
        with pytest.raises(MemoryLimitError, match="n_landmarks"):
            quick().fit(rows)
        with pytest.raises(MemoryLimitError, match="Dask array"):
            model.transform(rows)
        assert model.transform(da.from_array(rows)).compute().shape == (2000, 2)
