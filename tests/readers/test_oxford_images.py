"""Images of .h5oina files: times and fields per pixel, electron images of any size."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
from oxford_files import (
    SHAPE,
    Entry,
    column,
    eds,
    electron_image,
    make_counts,
    per_pixel,
    write_h5oina,
)

from sigma_scale.readers import read


@pytest.fixture
def path(tmp_path):
    return tmp_path / "Map Data 1.h5oina"


def test_images_of_the_pixels(path):
    live = [per_pixel(seed) for seed in (1, 2)]
    fields = {
        "LAM Field Coordinate X": Entry(per_pixel(3).ravel(), {"Unit": "mm"}),
        "LAM Field Coordinate Y": column(per_pixel(4)),
        "LAM Field Index": column(np.arange(126, dtype=np.int32).reshape(SHAPE)),
    }
    techniques = {
        f"EDS{i + 1}": eds(make_counts(), {"Live Time": column(time), **fields})
        for i, time in enumerate(live)
    }
    write_h5oina(path, {"1": techniques})
    images = read(path).images
    assert set(images) == {"live_time", "lam_field_x", "lam_field_y", "lam_field_index"}
    np.testing.assert_allclose(images["live_time"], (live[0] + live[1]) / 2)
    assert images["live_time"].attrs["units"] == "s"
    np.testing.assert_array_equal(images["lam_field_x"], per_pixel(3))
    assert images["lam_field_x"].attrs["units"] == "mm"
    np.testing.assert_array_equal(images["lam_field_y"], per_pixel(4))
    np.testing.assert_array_equal(images["lam_field_index"].values.ravel(), np.arange(126))
    assert images["lam_field_index"].dtype == np.int32


def test_the_map_sized_electron_image_is_for_navigation(path):
    pictures = {
        "SE": {"SE": per_pixel(1, dtype=np.uint8)},
        "BSE": {"Electron Image 1": per_pixel(2, dtype=np.uint16), "b": per_pixel(3)},
        "FSE": {"FSE upper": per_pixel(4)},
    }
    technique = electron_image(pictures)
    write_h5oina(path, {"1": {"EDS": eds(make_counts()), "Electron Image": technique}})
    images = read(path).images
    assert set(images) == {"navigation", "BSE_b", "SE", "FSE_upper"}
    np.testing.assert_array_equal(images["navigation"], per_pixel(2, dtype=np.uint16))
    assert images["navigation"].dtype == np.uint16
    np.testing.assert_array_equal(images["SE"], per_pixel(1, dtype=np.uint8))
    np.testing.assert_array_equal(images["FSE_upper"], per_pixel(4))


def test_electron_images_of_their_own_size_lie_in_the_maps_frame(path):
    picture = per_pixel(1, (18, 56), np.uint8)
    technique = electron_image({"SE": {"SE": picture}})
    place = {"Relative Offset": np.array([[0.25, 0.5]], np.float32)}
    map_technique = eds(make_counts())
    map_technique.header["Relative Offset"] = Entry(place["Relative Offset"])
    write_h5oina(path, {"1": {"EDS": map_technique, "Electron Image": technique}})
    images = read(path).images
    assert set(images) == {"SE"}
    np.testing.assert_array_equal(images["SE"], picture)
    # 56 pixels of 0.125 µm: the map begins at pixel 14, whose left edge is that of its own first.
    np.testing.assert_allclose(images["SE"].x[14], 0.125 / 2 - 0.25 / 2)
    np.testing.assert_allclose(images["SE"].y[9], 0.25 / 2 - 0.5 / 2)
    np.testing.assert_allclose(np.diff(images["SE"].x), 0.125)
    assert images["SE"].x.attrs["units"] == "µm"


def test_an_image_of_a_larger_area_is_not_for_navigation(path):
    technique = electron_image({"SE": {"SE": per_pixel(1)}})
    part = eds(make_counts())
    part.header["Relative Size"] = Entry(np.array([[0.5, 0.5]], np.float32))
    write_h5oina(path, {"1": {"EDS": part, "Electron Image": technique}})
    assert set(read(path).images) == {"SE"}


def test_electron_images_without_cells(path, caplog):
    technique = electron_image({"SE": {"fits": per_pixel(1)}, "BSE": {"not": per_pixel(2, (5, 5))}})
    technique = technique.without("X Cells", "Y Cells")
    write_h5oina(path, {"1": {"EDS": eds(make_counts()), "Electron Image": technique}})
    with caplog.at_level(logging.WARNING):
        images = read(path).images
    assert set(images) == {"navigation"}
    np.testing.assert_array_equal(images["navigation"], per_pixel(1))
    assert "X Cells" in caplog.text


def test_large_images_are_read_when_they_are_used(path, monkeypatch):
    monkeypatch.setattr("sigma_scale.readers.oxford.images._EAGER_PIXELS", 10)
    monkeypatch.setattr("sigma_scale.readers.oxford.images._CHUNK_PIXELS", 30)
    technique = electron_image({"SE": {"SE": per_pixel(1)}})
    data = {"Live Time": column(per_pixel(2))}
    write_h5oina(path, {"1": {"EDS": eds(make_counts(), data), "Electron Image": technique}})
    image = pickle.loads(pickle.dumps(read(path)))  # noqa: S301
    assert image.images["navigation"].chunks is not None
    np.testing.assert_array_equal(image.images["navigation"], per_pixel(1))
    np.testing.assert_array_equal(image.images["live_time"][3:7, 2:5], per_pixel(2)[3:7, 2:5])
    assert image.metadata.live_time_s == pytest.approx(per_pixel(2).sum(dtype=float))
