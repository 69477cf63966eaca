"""ImageDataset as the tutorial uses it: a folder of element images and an intensity image."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from sigma_scale.errors import ParameterError, SourceNotFoundError
from sigma_scale.spectra.element_maps import ElementMaps
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
    assert maps.dims == ("y", "x", "line")
    assert maps.dtype == np.float32
    assert list(maps.line.values) == dataset.feature_list
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
    dataset.feature_list.append("Cu")
    assert dataset.feature_list == ["Fe", "Al_Ka"]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["Fe", "Cu"], "no map 'Cu'.*Al_Ka, Fe"), ([], "once"), (["Fe"] * 2, "once")],
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
