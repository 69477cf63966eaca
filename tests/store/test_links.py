"""Results that share the chunks of arrays which are on disk already."""

from __future__ import annotations

import errno
import os

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from sigma_scale import store
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage

VALUES = np.random.default_rng(0).normal(size=(50, 70)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    counts = np.ones((50, 70, 8), np.uint8)
    store.write_map(SpectrumImage(ArraySource(counts, (50, 70)), EnergyAxis(8, 0.1)),
                    tmp_path / "map.zarr")  # fmt: skip
    return tmp_path / "map.zarr"


def result(values=VALUES, chunks=(32, 32)):
    lazy = da.from_array(values, chunks=chunks)
    return xr.Dataset(
        {"a": (("y", "x"), lazy), "b": (("y", "x"), lazy + 1)},
        coords={"y": np.arange(50) * 0.5, "names": ("y", [f"row {n}" for n in range(50)])},
        attrs={"recipe": {"seed": 3}},
    )


def on_disk(folder, chunks=(32, 32)):
    """The first array by itself, in a folder."""
    result(chunks=chunks)[["a"]].drop_vars("names").to_zarr(
        folder, consolidated=False, zarr_format=3
    )
    return {"a": folder / "a"}


def assert_same(path):
    found = store.open_result(path, "maps")
    assert found.attrs["recipe"] == {"seed": 3}
    xr.testing.assert_equal(found.compute(), result().compute())


def numbers_of(folder):
    files = [file for file in (folder / "c").rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.stat().st_ino for file in files}


def test_chunks_are_shared_and_outlast_where_they_came_from(path, tmp_path):
    stored = on_disk(tmp_path / "step")
    store.write_result(path, "maps", result(), stored=stored)
    numbers = numbers_of(tmp_path / "step" / "a")
    assert len(numbers) == 6
    assert numbers_of(path / "maps" / "a") == numbers
    assert not set(numbers_of(path / "maps" / "b").values()) & set(numbers.values())
    for chunk in (tmp_path / "step" / "a" / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    assert_same(path)


def test_what_is_written_to_one_array_does_not_show_in_the_other(path, tmp_path):
    stored = on_disk(tmp_path / "step")
    store.write_result(path, "maps", result(), stored=stored)
    result(VALUES * 2)[["a"]].drop_vars("names").to_zarr(
        tmp_path / "step", mode="r+", consolidated=False
    )
    np.testing.assert_array_equal(store.open_result(path, "maps")["a"], VALUES)


def test_arrays_of_another_making_are_written(path, tmp_path):
    stored = on_disk(tmp_path / "step", chunks=(20, 30))
    store.write_result(path, "maps", result(), stored=stored)
    assert len(numbers_of(path / "maps" / "a")) == 6
    assert_same(path)


@pytest.mark.parametrize("allowed", [0, 3])
def test_file_systems_without_links_get_copies(path, tmp_path, monkeypatch, allowed):
    stored, link, made = on_disk(tmp_path / "step"), os.link, []

    def refuse(source, target):
        if "c" in target.relative_to(tmp_path).parts and len(made) == allowed:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        link(source, target)
        if "c" in target.relative_to(tmp_path).parts:  # zarr makes links of its own.
            made.append(target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        store.write_result(path, "maps", result(), stored=stored)
    assert len(made) == allowed
    numbers = numbers_of(tmp_path / "step" / "a")
    assert not set(numbers_of(path / "maps" / "a").values()) & set(numbers.values())
    assert_same(path)


def test_object_stores_get_copies(tmp_path):
    counts = np.ones((50, 70, 8), np.uint8)
    url = "memory://links/map.zarr"
    store.write_map(SpectrumImage(ArraySource(counts, (50, 70)), EnergyAxis(8, 0.1)), url)
    store.write_result(url, "maps", result(), stored=on_disk(tmp_path / "step"))
    assert_same(url)


def test_an_interruption_leaves_both_as_they_were(path, tmp_path, monkeypatch):
    stored, link, made = on_disk(tmp_path / "step"), os.link, []
    before = numbers_of(tmp_path / "step" / "a")
    store.write_result(path, "maps", result(VALUES * 3))

    def interrupt(source, target):
        if "c" in target.relative_to(tmp_path).parts and len(made) == 3:
            raise KeyboardInterrupt
        link(source, target)
        if "c" in target.relative_to(tmp_path).parts:  # zarr makes links of its own.
            made.append(target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.write_result(path, "maps", result(), stored=stored)
    assert numbers_of(tmp_path / "step" / "a") == before
    np.testing.assert_array_equal(store.open_result(path, "maps")["a"], VALUES * 3)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["map.zarr", "step"]
