"""OME-TIFF, read back by tifffile and as XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import dask.array as da
import numpy as np
import pytest
import tifffile
import xarray as xr
from exported_maps import label_map, labelled, line_maps

from sigma_scale.errors import EmptyMapError, OutputExistsError, ParameterError, StoreError
from sigma_scale.export import export_ome_tiff
from sigma_scale.export.pyramid import halved

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def read(path):
    """Arrays of all sizes, and the elements Image and Pixels of the description."""
    with tifffile.TiffFile(path) as file:
        (series,) = file.series
        image = ET.fromstring(file.ome_metadata).find(f"{OME}Image")  # noqa: S314
        return [level.asarray() for level in series.levels], image, image.find(f"{OME}Pixels")


def channels(pixels):
    return [channel.get("Name") for channel in pixels.findall(f"{OME}Channel")]


def test_maps_have_names_sizes_units_and_smaller_copies(tmp_path):
    maps = line_maps((1100, 600))
    maps[5, 7] = np.nan
    path = export_ome_tiff(maps, tmp_path / "maps.ome.tif")
    levels, image, pixels = read(path)
    whole = maps.values.transpose(2, 0, 1)
    np.testing.assert_array_equal(levels[0], whole)
    np.testing.assert_array_equal(levels[1], [halved(plane, labels=False) for plane in whole])
    assert [level.shape for level in levels] == [(3, 1100, 600), (3, 550, 300), (3, 275, 150)]
    assert image.get("Name") == "maps"
    assert channels(pixels) == ["Fe_Ka", "O_Ka", "Si_Ka"]
    assert (float(pixels.get("PhysicalSizeX")), pixels.get("PhysicalSizeXUnit")) == (0.25, "µm")
    assert (float(pixels.get("PhysicalSizeY")), pixels.get("PhysicalSizeYUnit")) == (0.5, "µm")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.is_tiled
        assert len(page.pages) == 2
        across, below = page.tags["XResolution"].value
        assert across / below == pytest.approx(1e4 / 0.25)
        for number, level in enumerate(file.series[0].levels):
            resolutions = [level.keyframe.tags[f"{axis}Resolution"].value for axis in "XY"]
            sizes = [1e4 * below / across for across, below in resolutions]
            assert sizes == pytest.approx([0.25 * 2**number, 0.5 * 2**number])


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        ("bool", "uint8"), ("u1", "uint8"), ("u2", "uint16"), ("u4", "uint32"), ("u8", "float64"),
        ("i1", "int8"), ("i2", "int16"), ("i4", "int32"), ("i8", "float64"), ("f2", "float32"),
        ("f4", "float32"), ("f8", "float64"), (">u2", "uint16"), (">f4", "float32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lazy", [False, True])
def test_every_type_of_numbers(tmp_path, dtype, stored, lazy):
    values = np.arange(12).reshape(3, 4).astype(dtype)
    if values.dtype.kind == "f":
        values[1, 1] = np.nan
        values[2, 2] = np.inf
    maps = labelled(values, "maps")
    path = export_ome_tiff(maps.chunk(2) if lazy else maps, tmp_path / "maps.ome.tiff")
    (level,), _, _ = read(path)
    assert level.dtype == stored
    np.testing.assert_array_equal(level, values)


def test_labels_are_shifted_by_one_and_noise_is_0(tmp_path):
    labels = label_map((40, 30), low=-3)
    path = export_ome_tiff(labels, tmp_path / "l.ome.tif", names={0: "quartz & co", 1: "mica"})
    (level,), image, pixels = read(path)
    assert level.dtype == np.uint8
    np.testing.assert_array_equal(level, np.maximum(labels.values, -1) + 1)
    assert pixels.get("Type") == "uint8"
    assert "0 is the background" in image.find(f"{OME}Description").text
    with tifffile.TiffFile(path) as file:
        noted = ET.fromstring(file.ome_metadata).iter(f"{OME}M")  # noqa: S314
        assert {m.get("K"): m.text for m in noted} == {"1": "quartz & co", "2": "mica"}


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(-1, "uint8"), (254, "uint8"), (255, "uint16"), (65534, "uint16"), (65535, "uint32")],
)
def test_labels_get_the_smallest_type_that_holds_them(tmp_path, highest, dtype):
    labels = labelled(np.array([[highest, min(highest, 0)]]), "labels")
    for stored in (np.int64, np.int32, *([np.uint32] if highest >= 0 else [])):
        path = tmp_path / "l.ome.tif"
        (level,), _, _ = read(export_ome_tiff(labels.astype(stored), path, overwrite=True))
        assert level.dtype == dtype
        np.testing.assert_array_equal(level, labels + 1)


def test_more_labels_than_a_file_can_hold_are_refused(tmp_path):
    labels = labelled(np.array([[2**32 - 1]]), "labels")
    with pytest.raises(ParameterError, match="4,294,967,295"):
        export_ome_tiff(labels, tmp_path / "l.ome.tif")


def test_what_a_killed_export_left_is_removed(tmp_path, left):
    folder = tmp_path / f".m.ome.tif.{'0a' * 16}.part"
    folder.mkdir()
    (folder / "zarr.json").touch()
    export_ome_tiff(line_maps((4, 5)), tmp_path / "m.ome.tif")
    assert left() == ["m.ome.tif"]


def test_whole_numbers_with_another_name_are_not_shifted(tmp_path):
    counts = label_map((5, 6), low=0).rename("total")
    (level,), _, _ = read(export_ome_tiff(counts, tmp_path / "t.ome.tif"))
    np.testing.assert_array_equal(level, counts)
    (level,), _, _ = read(export_ome_tiff(counts, tmp_path / "l.ome.tif", labels=True))
    np.testing.assert_array_equal(level, counts + 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (511, 513), (512, 512), (17, 1025)])
def test_sizes_around_a_tile(tmp_path, shape):
    maps = line_maps(shape, lines=("O_Ka",))
    levels, _, pixels = read(export_ome_tiff(maps, tmp_path / "m.ome.tif"))
    np.testing.assert_array_equal(levels[0].reshape(shape), maps.values[:, :, 0])
    assert channels(pixels) == ["O_Ka"]
    has_size = max(shape) > 1
    assert (pixels.get("PhysicalSizeX") is not None) == has_size


@pytest.mark.parametrize("case", ["no coordinates", "pixels"])
def test_maps_without_a_scale_name_none(tmp_path, case):
    maps = line_maps((4, 5), units="pixel")
    maps = maps.drop_vars(("y", "x")) if case == "no coordinates" else maps
    _, _, pixels = read(export_ome_tiff(maps, tmp_path / "m.ome.tif"))
    assert pixels.get("PhysicalSizeX") is None
    assert pixels.get("PhysicalSizeY") is None


def test_lazy_maps_are_computed_once(tmp_path):
    computed = []

    def count(block):
        if block.size:
            computed.append(block.shape)
        return block

    values = da.random.default_rng(1).random((600, 1100, 2), chunks=(300, 550, 1))
    lazy = values.map_blocks(count, meta=np.empty((0, 0, 0)))
    maps = xr.DataArray(lazy, dims=("y", "x", "line"), name="maps")
    levels, _, _ = read(export_ome_tiff(maps, tmp_path / "m.ome.tif"))
    assert len(computed) == 8
    np.testing.assert_array_equal(levels[0], values.compute().transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda m: m.isel(line=0, y=0), ParameterError, "dimensions y, x"),
        (lambda m: m.expand_dims("time"), ParameterError, "at most one other"),
        (lambda m: m.isel(y=slice(0)), EmptyMapError, "no pixels"),
        (lambda m: m.astype(complex), ParameterError, "complex128"),
        (lambda m: m.astype(object), ParameterError, "object"),
        (lambda m: m.isel(y=[0, 1, 3]), ParameterError, "y of maps doesn't go in equal steps"),
        (lambda m: (m * 0).astype(np.uint64) + np.uint64(2**60), ParameterError, "2\\^53"),
    ],
)
def test_what_is_no_image_is_refused_and_nothing_is_left(tmp_path, change, error, words, left):
    with pytest.raises(error, match=words):
        export_ome_tiff(change(line_maps((6, 5))), tmp_path / "m.ome.tif")
    assert left() == []


@pytest.mark.parametrize("kind", ["float", "stack"])
def test_labels_must_be_whole_numbers_of_one_map(tmp_path, kind):
    maps = line_maps((4, 5))
    labels = maps[:, :, 0] if kind == "float" else maps.astype(np.int32)
    with pytest.raises(ParameterError, match=r"Labels must|Labels have"):
        export_ome_tiff(labels, tmp_path / "m.ome.tif", labels=True)


def test_only_own_exports_are_replaced_and_only_if_asked(tmp_path, left):
    path = export_ome_tiff(line_maps((4, 5)), tmp_path / "m.ome.tif")
    with pytest.raises(OutputExistsError, match=r"m.ome.tif exists already"):
        export_ome_tiff(line_maps((6, 7)), path)
    export_ome_tiff(line_maps((6, 7)), path, overwrite=True)
    assert read(path)[0][0].shape == (3, 6, 7)
    other = tmp_path / "other.ome.tif"
    tifffile.imwrite(other, np.zeros((4, 5), np.uint8))
    before = other.read_bytes()
    with pytest.raises(OutputExistsError, match="no exported"):
        export_ome_tiff(line_maps((6, 7)), other, overwrite=True)
    assert other.read_bytes() == before
    with pytest.raises(ParameterError, match=r"must end in \.ome\.tif"):
        export_ome_tiff(line_maps((6, 7)), tmp_path / "m.png")
    with pytest.raises(ParameterError, match="level"):
        export_ome_tiff(line_maps((6, 7)), tmp_path / "n.ome.tif", level=10)
    assert left() == ["m.ome.tif", "other.ome.tif"]


def test_a_failure_leaves_what_was_there(tmp_path, left):
    path = export_ome_tiff(line_maps((4, 5)), tmp_path / "m.ome.tif")

    def fail(block):
        raise OSError("disk full")

    lazy = line_maps((6, 7)).chunk(2).copy()
    broken = lazy.copy(data=lazy.data.map_blocks(fail, meta=np.empty((0, 0, 0), np.float32)))
    with pytest.raises(StoreError, match=r"m.ome.tif can't be written: disk full"):
        export_ome_tiff(broken, path, overwrite=True)
    assert left() == ["m.ome.tif"]
    assert read(path)[0][0].shape == (3, 4, 5)
