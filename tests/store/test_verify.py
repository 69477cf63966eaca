"""A store is compared with its source pixel by pixel."""

import dataclasses
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

from sigma_scale import config
from sigma_scale.errors import VerificationError
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage
from sigma_scale.store import open_map, verify_map, write_map


def image_of(counts, **details):
    return SpectrumImage(ArraySource(counts, **details), EnergyAxis(counts.shape[2], 0.01, -0.2))


def test_a_store_agrees_with_its_source_whatever_its_blocks(image, counts, tmp_path):
    stored = write_map(image, tmp_path / "map.zarr")
    assert verify_map(stored, image) == 150 * 140
    assert verify_map(stored, image_of(counts, chunk_shape=(8, 140))) == 150 * 140
    wide = counts.astype(np.uint32)
    assert verify_map(stored, image_of(wide)) == 150 * 140


def test_pixels_that_differ_are_counted_and_the_first_is_named(image, counts, tmp_path):
    stored = write_map(image, tmp_path / "map.zarr")
    changed = counts.copy()
    changed[140, 3, 7] += 1
    changed[140, 3, 9] += 1
    changed[131, 135, 200] += 1
    with pytest.raises(VerificationError, match=r"2 pixels .* row 131, column 135"):
        verify_map(stored, image_of(changed))


def test_a_count_in_another_pixel_or_channel_is_found(image, counts, tmp_path):
    stored = write_map(image, tmp_path / "map.zarr")
    y, x, channel = (int(n[0]) for n in np.nonzero(counts))
    for there in [(y, x + 1, channel), (y, x, channel + 1)]:
        moved = counts.copy()
        moved[y, x, channel] -= 1
        moved[there] += 1
        with pytest.raises(VerificationError, match=rf"row {y}, column {x}\b"):
            verify_map(stored, image_of(moved))


def test_another_shape_or_axis_is_refused(image, counts, tmp_path):
    stored = write_map(image, tmp_path / "map.zarr")
    with pytest.raises(VerificationError, match="shape"):
        verify_map(stored, image_of(counts[:-1]))
    shifted = SpectrumImage.from_array(counts, EnergyAxis(300, 0.01))
    with pytest.raises(VerificationError, match="offset_kev"):
        verify_map(stored, shifted)


@pytest.mark.parametrize("name", ["total", "sum_spectrum"])
def test_sums_that_are_not_those_of_the_counts_are_found(image, tmp_path, name):
    path = tmp_path / "map.zarr"
    stored = write_map(image, path)
    array = zarr.open_group(path, mode="r+")[name]
    place = (131, 5) if name == "total" else (7,)
    array[place] = array[place] + 1
    with pytest.raises(VerificationError, match=rf"'{name}' is not the sum of its counts"):
        verify_map(stored, image)
    array[place] = array[place] - 1
    assert verify_map(stored, image) == 150 * 140
    shutil.rmtree(path / name)
    with pytest.raises(VerificationError, match=rf"'{name}' is missing"):
        verify_map(stored, image)


def test_the_pixel_of_a_wrong_total_is_named(image, tmp_path):
    stored = write_map(image, tmp_path / "map.zarr")
    total = zarr.open_group(tmp_path / "map.zarr", mode="r+")["total"]
    total[131, 5] = 0
    total[140, 130] = total[140, 130] + 1
    with pytest.raises(VerificationError, match=r"'total' .* row 131, column 5\."):
        verify_map(stored, image)


@pytest.mark.parametrize("name", ["navigation", "SE"])
def test_images_are_compared(image, tmp_path, name):
    rng = np.random.default_rng(3)
    pictures = {
        "navigation": xr.DataArray(rng.integers(0, 9, (150, 140)), dims=("y", "x")),
        "SE": xr.DataArray(rng.random((1300, 280)), dims=("y", "x")),
    }
    pictures["SE"][3, 4] = np.nan
    pictured = dataclasses.replace(image, images=pictures)
    stored = write_map(pictured, tmp_path / "map.zarr")
    assert verify_map(stored, pictured) == 150 * 140
    array = zarr.open_group(tmp_path / "map.zarr", mode="r+")[name]
    array[-1, -1] = array[-1, -1] + 1
    with pytest.raises(VerificationError, match=f"image '{name}'"):
        verify_map(open_map(tmp_path / "map.zarr"), pictured)
    without = write_map(image, tmp_path / "without.zarr")
    with pytest.raises(VerificationError, match="image"):
        verify_map(without, pictured)


def test_float_maps_are_compared(tmp_path):
    data = np.random.default_rng(0).random((40, 50, 9)).astype(np.float32)
    stored = write_map(image_of(data), tmp_path / "map.zarr")
    assert verify_map(stored, image_of(data)) == 2000
    assert verify_map(stored, image_of(data, chunk_shape=(7, 50))) == 2000
    data[39, 49, 8] += 1
    with pytest.raises(VerificationError, match="1 pixels"):
        verify_map(stored, image_of(data))


def test_progress_is_in_pixels(image, tmp_path, capsys):
    with config.options(progress=True):
        stored = write_map(image, tmp_path / "map.zarr")
        verify_map(stored, image)
    shown = capsys.readouterr().err
    assert "Writing counts: 100%" in shown
    assert "Verifying: 100%" in shown
    assert "21.0k/21.0k" in shown
