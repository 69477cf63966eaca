"""ImageDataset as the tutorial uses it: a folder of element images and an intensity image."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from sigma_scale.errors import (
    BinningError,
    EmptyMapError,
    ParameterError,
    SourceNotFoundError,
)
from sigma_scale.spectra.element_maps import ElementMaps
from sigma_scale.workflow import norm
from sigma_scale.workflow.image_dataset import ImageDataset

SHAPE = (6, 7)


def grey(seed):
    return np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "maps"
    path.mkdir()
    for seed, name in enumerate(("Fe", "Al_Ka", "Si Ka1")):
        Image.fromarray(grey(seed)).save(path / f"{name}.tif")
    Image.fromarray(grey(9)).save(tmp_path / "BSE.tif")
    return path


def test_a_folder_of_images(folder):
    dataset = ImageDataset(str(folder), intensity_map_path=str(folder.parent / "BSE.tif"))
    assert dataset.feature_list == ["Al_Ka", "Fe", "Si Ka1"]
    maps = dataset.get_feature_maps()
    assert isinstance(maps, np.ndarray)
    assert maps.dtype == np.float32
    assert dataset.feature_maps.dims == ("y", "x", "line")
    assert list(dataset.feature_maps["line"].values) == dataset.feature_list
    np.testing.assert_array_equal(maps, np.stack([grey(1), grey(0), grey(2)], axis=-1))
    np.testing.assert_array_equal(dataset.nav_img, grey(9))
    assert repr(dataset) == "<ImageDataset: 6 x 7 pixels, Al_Ka, Fe, Si Ka1>"


def test_without_an_intensity_image(folder):
    assert ImageDataset(folder).nav_img is None
    with pytest.raises(SourceNotFoundError, match=r"none\.tif"):
        ImageDataset(folder, "none.tif")


def test_the_feature_list_chooses_maps(folder):
    dataset = ImageDataset(folder)
    dataset.feature_list = ["Fe", "Al_Ka"]
    np.testing.assert_array_equal(dataset.get_feature_maps(), np.stack([grey(0), grey(1)], axis=-1))
    np.testing.assert_array_equal(dataset.get_feature_maps(["Si Ka1"])[..., 0], grey(2))
    dataset.feature_list.append("Cu")
    assert dataset.feature_list == ["Fe", "Al_Ka"]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["Fe", "Cu"], "no map 'Cu'.*Al_Ka, Fe"), ([], "names no map"), (["Fe"] * 2, "once")],
)
def test_feature_lists_that_cannot_be(folder, names, message):
    dataset = ImageDataset(folder)
    with pytest.raises(ParameterError, match=message):
        dataset.feature_list = names
    assert dataset.feature_list == ["Al_Ka", "Fe", "Si Ka1"]


def test_an_h5oina_file(tmp_path):
    path = tmp_path / "map.h5oina"
    values = grey(3).astype(np.float32)
    values[0, 0] = np.nan
    with h5py.File(path, "w") as file:
        header = {"X Cells": 7, "Y Cells": 6, "X Step": 0.5, "Y Step": 0.5}
        for name, value in header.items():
            file[f"1/EDS/Header/{name}"] = [[value]]
        file["1/EDS/Data/Window Integral/Fe Ka1"] = values.reshape(-1, 1)
    dataset = ImageDataset(path)
    assert dataset.feature_list == ["Fe_Ka"]
    np.testing.assert_array_equal(dataset.get_feature_maps()[..., 0], values)


def test_maps_in_memory():
    values = xr.DataArray(
        np.arange(84.0).reshape(6, 7, 2), dims=("y", "x", "line"), coords={"line": ["a", "b"]}
    )
    dataset = ImageDataset(ElementMaps(values, values[..., 0]))
    assert dataset.get_feature_maps().dtype == np.float32
    np.testing.assert_array_equal(dataset.get_feature_maps(), values)
    np.testing.assert_array_equal(dataset.nav_img, values[..., 0])
    with pytest.raises(ParameterError, match="navigation="):
        ImageDataset(ElementMaps(values), "bse.tif")


@pytest.fixture
def dataset(folder):
    return ImageDataset(folder, folder.parent / "BSE.tif")


STEPS = [norm.neighbour_averaging, norm.zscore]


def binned(values, factor_x, factor_y):
    rows, columns = values.shape[0] // factor_y, values.shape[1] // factor_x
    kept = values[: rows * factor_y, : columns * factor_x].astype(float)
    return kept.reshape(rows, factor_y, columns, factor_x, *values.shape[2:]).sum(axis=(1, 3))


def test_rebinning(dataset):
    raw = dataset.get_feature_maps().copy()
    assert dataset.nav_img_bin is None
    maps = dataset.rebin_signal(size=(2, 3))
    assert dataset.shape == (2, 3)
    np.testing.assert_array_equal(maps, binned(raw, 2, 3))
    np.testing.assert_array_equal(dataset.get_feature_maps(), binned(raw, 2, 3))
    np.testing.assert_array_equal(dataset.nav_img_bin, binned(grey(9), 2, 3))
    dataset.rebin_signal((1, 2))
    np.testing.assert_array_equal(dataset.get_feature_maps(), binned(raw, 1, 2))
    np.testing.assert_array_equal(dataset.nav_img, grey(9))


def test_normalisation_and_the_intensity_image_as_a_feature(dataset):
    with pytest.raises(ParameterError, match="Call normalisation"):
        _ = dataset.normalised_elemental_data
    dataset.normalisation(STEPS)
    expected = norm.zscore(norm.neighbour_averaging(dataset.get_feature_maps()))
    np.testing.assert_array_equal(dataset.normalised_elemental_data, expected)
    for _ in range(2):
        maps = dataset.get_feature_maps_with_nav_img(normalisation=STEPS)
    assert dataset.feature_list == ["Al_Ka", "Fe", "Si Ka1", "Navigator"]
    nav = norm.zscore(norm.neighbour_averaging(grey(9)[..., None]))
    np.testing.assert_allclose(maps, np.concatenate([expected, nav], axis=-1), atol=1e-5)
    data = dataset.normalised_elemental_data.reshape(-1, len(dataset.feature_list))
    assert data.shape == (42, 4)
    without = ImageDataset(ElementMaps(dataset.maps.maps))
    without.normalisation(STEPS)
    with pytest.raises(ParameterError, match="no navigation image"):
        without.get_feature_maps_with_nav_img(STEPS)


def test_there_are_no_spectra(dataset):
    assert dataset.spectra is None
    assert dataset.spectra_bin is None
    assert dataset.processed is None


@pytest.mark.filterwarnings("ignore:The navigation image was normalised")
def test_a_recipe_makes_the_same_again(dataset, folder):
    dataset.set_feature_list(["Si Ka1", "Fe"])
    dataset.normalisation([norm.zscore, norm.softmax])
    dataset.rebin_signal((3, 2))
    dataset.get_feature_maps_with_nav_img([norm.zscore])
    again = ImageDataset(folder, folder.parent / "BSE.tif")
    again.replay(json.loads(json.dumps(dataset.recipe())))
    np.testing.assert_array_equal(
        again.normalised_elemental_data, dataset.normalised_elemental_data
    )
    dataset.reset()
    assert dataset.feature_list == ["Al_Ka", "Fe", "Si Ka1"]
    assert dataset.shape == SHAPE


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d.rebin_signal((8, 1)), BinningError, "don't fit"),
        (lambda d: d.rebin_signal((0, 1)), BinningError, "at least 1"),
        (lambda d: d.rebin_signal(2), BinningError, "two whole numbers"),
        (lambda d: d.normalisation(["z"]), ParameterError, "there are"),
        (lambda d: d.get_feature_maps(["Cu"]), ParameterError, "no map 'Cu'"),
        (lambda d: d.replay([{"method": "peak_denoising_PCA"}]), ParameterError, "there are"),
    ],
)
def test_a_bad_call_changes_nothing(dataset, call, error, message):
    dataset.normalisation(STEPS)
    before = dataset.recipe(), dataset.normalised_elemental_data
    with pytest.raises(error, match=message):
        call(dataset)
    assert dataset.recipe() == before[0]
    assert dataset.normalised_elemental_data is before[1]


def unfinished():
    values = np.arange(84, dtype=np.float32).reshape(6, 7, 2)
    values[4:] = np.nan
    values[1, 2] = np.nan
    maps = xr.DataArray(values, dims=("y", "x", "line"), coords={"line": ["a", "b"]})
    return values, ElementMaps(maps, maps[..., 0])


def test_missing_pixels_are_removed():
    values, maps = unfinished()
    dataset = ImageDataset(maps)
    np.testing.assert_array_equal(dataset.get_feature_maps(), values)
    with pytest.raises(ParameterError, match=r"Call remove_NaN\(\) first"):
        dataset.normalisation(STEPS)
    dataset.remove_NaN()
    assert dataset.shape == (4, 7)
    assert dataset.nav_img.shape == (4, 7)
    expected = np.nan_to_num(values[:4])
    np.testing.assert_array_equal(dataset.get_feature_maps(), expected)
    dataset.normalisation([norm.zscore])
    np.testing.assert_allclose(dataset.normalised_elemental_data, norm.zscore(expected))
    again = ImageDataset(maps)
    again.replay(dataset.recipe())
    assert again.shape == (4, 7)


def test_a_map_without_any_pixel():
    maps = xr.full_like(unfinished()[1].maps, np.nan)
    with pytest.raises(EmptyMapError):
        ImageDataset(ElementMaps(maps)).remove_NaN()


def test_lazy_maps_stay_lazy():
    maps = xr.DataArray(
        np.random.default_rng(0).random((6, 7, 2)),
        dims=("y", "x", "line"),
        coords={"line": ["a", "b"]},
    )
    lazy, eager = ImageDataset(ElementMaps(maps.chunk(3))), ImageDataset(ElementMaps(maps))
    for dataset in (lazy, eager):
        dataset.rebin_signal((2, 2))
        dataset.normalisation(STEPS)
    assert hasattr(lazy.normalised_elemental_data, "dask")
    np.testing.assert_allclose(
        lazy.normalised_elemental_data, eager.normalised_elemental_data, atol=1e-6
    )
