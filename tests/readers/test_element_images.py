"""Folders of element images: formats, colours, sizes, names and damage."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from mutate import faults
from PIL import Image

from sigma_scale.config import options
from sigma_scale.errors import (
    FileFormatError,
    MemoryLimitError,
    NoSpectraError,
    ShapeMismatchError,
    SourceNotFoundError,
)
from sigma_scale.readers.element_maps.grey_images import load_grey, read_header
from sigma_scale.readers.element_maps.reader import read_element_maps

SHAPE = (11, 13)


def grey(dtype=np.uint8, seed=0, shape=SHAPE):
    values = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    values.flat[0] = np.iinfo(dtype).max
    return values


def tinted(values, tint, top=255):
    return np.round(values[..., None] * (np.array(tint) / top)).astype(values.dtype)


def with_alpha(values):
    alpha = np.arange(values.shape[0] * values.shape[1]).reshape(values.shape[:2])
    planes = values if values.ndim == 3 else values[..., None]
    return np.concatenate([planes, alpha[..., None].astype(values.dtype)], axis=-1)


def save(path, values, **details):
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, values, **details)
    else:
        Image.fromarray(values).save(path, **details)
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "maps"
    path.mkdir()
    return path


GREY_FILES = {
    "Fe.tif": (np.uint8, {}),
    "Fe Ka1.tiff": (np.uint16, {}),
    "Al_Ka.tif": (np.uint16, {"byteorder": ">"}),
    "Ca.tif": (np.uint16, {"compression": "zlib", "predictor": True, "rowsperstrip": 3}),
    "Si.tif": (np.uint16, {"compression": "zlib", "tile": (16, 16)}),
    "Mg.tif": (np.uint8, {"rowsperstrip": 2, "bigtiff": True}),
    "K.png": (np.uint8, {}),
    "Na.png": (np.uint16, {}),
    "Ti.bmp": (np.uint8, {}),
}


@pytest.mark.parametrize("name", GREY_FILES)
def test_grey_images_keep_their_values(folder, name):
    dtype, details = GREY_FILES[name]
    values = grey(dtype)
    save(folder / name, values, **details)
    maps = read_element_maps(folder)
    assert maps.lines == (name.rpartition(".")[0],)
    assert maps.maps.dtype == dtype
    np.testing.assert_array_equal(maps.maps[..., 0], values)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_compressed_tiffs_of_other_programs(folder, compression):
    for name, dtype in (("Fe", np.uint8), ("Si", np.uint16)):
        Image.fromarray(grey(dtype)).save(folder / f"{name}.tif", compression=compression)
    maps = read_element_maps(folder)
    np.testing.assert_array_equal(maps.maps.sel(line="Fe"), grey(np.uint8))
    np.testing.assert_array_equal(maps.maps.sel(line="Si"), grey(np.uint16))


@pytest.mark.parametrize("name", ["Fe.png", "Fe.bmp", "Fe.tif"])
@pytest.mark.parametrize("tint", [(255, 0, 0), (0, 255, 128), (255, 255, 255), (30, 90, 255)])
def test_tinted_grey_keeps_the_grey_value(folder, caplog, name, tint):
    save(folder / name, tinted(grey(), tint))
    with caplog.at_level(logging.WARNING):
        maps = read_element_maps(folder)
    np.testing.assert_array_equal(maps.maps[..., 0], grey())
    assert caplog.text == ""


@pytest.mark.parametrize("details", [{}, {"planarconfig": "separate"}, {"compression": "zlib"}])
def test_colours_of_16_bits_in_tiff(folder, details):
    colours = tinted(grey(np.uint16), (0, 255, 128))
    planes = np.moveaxis(colours, -1, 0) if "planarconfig" in details else colours
    save(folder / "Fe.tif", np.ascontiguousarray(planes), photometric="rgb", **details)
    np.testing.assert_array_equal(read_element_maps(folder).maps[..., 0], grey(np.uint16))


@pytest.mark.parametrize("name", ["Fe.png", "Fe.tif"])
@pytest.mark.parametrize("tint", [None, (255, 0, 0)])
def test_transparency_is_ignored(folder, name, tint):
    values = grey() if tint is None else tinted(grey(), tint)
    details = {"extrasamples": ["unassalpha"]} if name.endswith(".tif") else {}
    if details and tint is None:
        details["photometric"] = "minisblack"
    save(folder / name, with_alpha(values), **details)
    np.testing.assert_array_equal(read_element_maps(folder).maps[..., 0], grey())


def test_palettes_are_looked_up(folder):
    image = Image.fromarray(grey()).convert("L").convert("P")
    image.putpalette([c for value in range(256) for c in (0, 255 - value, 0)])
    image.save(folder / "Fe.png")
    image.save(folder / "Si.bmp")
    image.save(folder / "Al.tif")
    maps = read_element_maps(folder)
    for line in ("Fe", "Si", "Al"):
        np.testing.assert_array_equal(maps.maps.sel(line=line), 255 - grey())


def test_images_where_white_is_zero_are_inverted(folder):
    save(folder / "Fe.tif", 255 - grey(), photometric="miniswhite")
    np.testing.assert_array_equal(read_element_maps(folder).maps[..., 0], grey())


def test_two_levels_become_grey_values(folder):
    Image.fromarray(grey() > 127).save(folder / "Fe.png")
    np.testing.assert_array_equal(read_element_maps(folder).maps[..., 0], (grey() > 127) * 255)


def test_several_colours_give_the_brightest_and_a_warning(folder, caplog):
    colours = np.random.default_rng(1).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    save(folder / "Fe.png", colours)
    with caplog.at_level(logging.WARNING):
        maps = read_element_maps(folder)
    np.testing.assert_array_equal(maps.maps[..., 0], colours.max(axis=-1))
    assert "Fe.png" in caplog.text


def test_floats_and_missing_pixels_are_kept(folder):
    values = grey().astype(np.float32) / 7
    values[2, 3] = np.nan
    save(folder / "Fe.tif", values)
    save(folder / "Si.tif", grey(seed=1))
    maps = read_element_maps(folder)
    assert maps.maps.dtype == np.float32
    np.testing.assert_array_equal(maps.maps.sel(line="Fe"), values)
    np.testing.assert_array_equal(maps.maps.sel(line="Si"), grey(seed=1))


def test_names_are_in_natural_order_and_tell_elements_and_lines(folder):
    for name in ("Phase 10.tif", "Phase 9.tif", "al_Ka.tif", "Fe Ka1.tif", "Si.tif", "Ca_Kb.TIF"):
        save(folder / name.replace("TIF", "tif"), grey())
    (folder / "Ca_Kb.tif").rename(folder / "Ca_Kb.TIF")
    (folder / "notes.txt").write_text("x")
    (folder / "._Si.tif").write_bytes(b"x")
    (folder / "more.tif").mkdir()
    maps = read_element_maps(folder)
    assert maps.lines == ("al_Ka", "Ca_Kb", "Fe Ka1", "Phase 9", "Phase 10", "Si")
    assert maps.metadata.elements == ("Si", "Ca", "Fe")
    assert maps.metadata.lines == ("Ca_Kb", "Fe_Ka")
    assert maps.metadata.title == "maps"
    assert next(source.name for source in maps.metadata.sources) == "al_Ka.tif"
    assert (maps.pixel_size, maps.pixel_unit) == ((1.0, 1.0), "pixel")


@pytest.mark.parametrize("where", ["inside by name", "inside by path", "elsewhere"])
def test_an_intensity_image_is_for_navigation(folder, tmp_path, where):
    save(folder / "Fe.tif", grey())
    bse = grey(np.uint16, seed=3)
    path = save((tmp_path if where == "elsewhere" else folder) / "BSE.png", bse)
    maps = read_element_maps(folder, "BSE.png" if where == "inside by name" else path)
    assert maps.lines == ("Fe",)
    np.testing.assert_array_equal(maps.navigation, bse)
    assert [source.name for source in maps.metadata.sources] == ["Fe.tif", "BSE.png"]


def test_without_an_intensity_image_there_is_no_navigation(folder):
    save(folder / "Fe.tif", grey())
    assert read_element_maps(folder).navigation is None


# --------------------------------------------------------------------------- what is refused


def test_images_of_different_size_are_named_with_their_sizes(folder):
    save(folder / "Al.tif", grey())
    save(folder / "Fe.tif", grey(shape=(5, 7)))
    with pytest.raises(ShapeMismatchError, match=r"Al\.tif has 11 x 13.*Fe\.tif has 5 x 7"):
        read_element_maps(folder)


def test_an_intensity_image_of_another_size_is_refused(folder):
    save(folder / "Al.tif", grey())
    save(folder / "BSE.tif", grey(shape=(22, 26)))
    with pytest.raises(ShapeMismatchError, match=r"BSE\.tif has 22 x 26"):
        read_element_maps(folder, "BSE.tif")


def test_two_images_of_one_name_are_refused(folder):
    save(folder / "Fe.tif", grey())
    save(folder / "Fe.png", grey())
    with pytest.raises(FileFormatError, match=r"Fe\.png and Fe\.tif"):
        read_element_maps(folder)


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        read_element_maps(tmp_path / "nowhere")
    with pytest.raises(NoSpectraError, match=r"maps holds no element images.*\.png"):
        read_element_maps(folder)
    save(folder / "Fe.tif", grey())
    with pytest.raises(SourceNotFoundError, match=r"BSE\.tif"):
        read_element_maps(folder, "BSE.tif")
    with pytest.raises(FileFormatError, match=r"Fe\.tif holds no element maps"):
        read_element_maps(folder / "Fe.tif")


def test_several_pages_are_refused(folder):
    with tifffile.TiffWriter(folder / "Fe.tif") as file:
        for seed in range(3):
            file.write(grey(seed=seed))
    with pytest.raises(FileFormatError, match=r"Fe\.tif has 3 pages"):
        read_element_maps(folder)


def test_a_small_preview_beside_the_image_does_not_matter(folder):
    with tifffile.TiffWriter(folder / "Fe.tif") as file:
        file.write(grey())
        file.write(grey()[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_element_maps(folder).maps[..., 0], grey())


def test_moving_images_are_refused(folder):
    frames = [Image.fromarray(grey(seed=seed)) for seed in range(3)]
    frames[0].save(folder / "Fe.png", save_all=True, append_images=frames[1:])
    with pytest.raises(FileFormatError, match=r"Fe\.png has several images"):
        read_element_maps(folder)


def png(width, height, depth, colour, content):
    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_png_colours_of_16_bits_are_refused_rather_than_cut(folder):
    rows = b"".join(b"\0" + bytes(13 * 6) for _ in range(11))
    (folder / "Fe.png").write_bytes(png(13, 11, 16, 2, zlib.compress(rows)))
    with pytest.raises(FileFormatError, match=r"Fe\.png.*16 bits.*TIFF"):
        read_element_maps(folder)


def test_sizes_that_a_file_cannot_hold_are_refused(folder):
    (folder / "Fe.png").write_bytes(png(1_000_000, 1_000_000, 8, 0, zlib.compress(b"\0")))
    with pytest.raises(FileFormatError, match=r"Fe\.png.*1,000,000 x 1,000,000"):
        read_element_maps(folder)
    (folder / "Fe.png").unlink()
    save(folder / "Fe.tif", grey())
    content = bytearray((folder / "Fe.tif").read_bytes())
    with tifffile.TiffFile(folder / "Fe.tif") as file:
        tags = [file.pages[0].tags[name] for name in ("ImageWidth", "ImageLength")]
    for tag in tags:
        content[tag.offset + 2 : tag.offset + 12] = struct.pack("<HII", 4, 1, 1_000_000)
    (folder / "Fe.tif").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"Fe\.tif.*1,000,000 x 1,000,000"):
        read_element_maps(folder)


def test_a_tiff_strip_that_grows_without_end_is_refused(folder):
    path = save(folder / "Fe.tif", grey(), compression="zlib")
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        places = [tags[name].valueoffset for name in ("StripOffsets", "StripByteCounts")]
        widths = [tags[name].dtype for name in ("StripOffsets", "StripByteCounts")]
    assert widths[0] == 4
    content = bytearray(path.read_bytes())
    bomb = zlib.compress(bytes(20_000_000))
    content[places[0] : places[0] + 4] = struct.pack("<I", len(content))
    size = struct.pack("<H" if widths[1] == 3 else "<I", len(bomb))
    content[places[1] : places[1] + len(size)] = size
    path.write_bytes(bytes(content) + bomb)
    with pytest.raises(FileFormatError, match=r"Fe\.tif is damaged: a part.*143 bytes"):
        read_element_maps(folder)


@pytest.mark.parametrize("name", ["Fe.tif", "Fe.png", "Fe.bmp"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.9])
def test_truncated_images_are_refused(folder, name, part):
    path = save(folder / name, grey(shape=(60, 70)))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileFormatError, match=name):
        read_element_maps(folder)


@pytest.mark.parametrize("name", ["Fe.tif", "Fe.png", "Fe.bmp"])
def test_other_files_are_refused(folder, name):
    (folder / name).write_bytes(b"this is a text and no image at all")
    with pytest.raises(FileFormatError, match=f"{name} is not a TIFF, PNG or BMP"):
        read_element_maps(folder)


def test_maps_beyond_the_memory_limit_are_refused_before_decoding(folder):
    for name in ("Al", "Fe", "Si"):
        save(folder / f"{name}.tif", grey(shape=(400, 500)))
    with options(memory_limit="500kB"), pytest.raises(MemoryLimitError, match="3 images"):
        read_element_maps(folder)


def test_images_too_large_for_pillows_own_limit_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = save(tmp_path / "Fe.png", grey())
    np.testing.assert_array_equal(load_grey(path), grey())


@pytest.mark.slow
def test_a_map_of_900_million_pixels_is_read(tmp_path):
    path = tmp_path / "Fe.tif"
    tifffile.memmap(path, shape=(30_000, 30_000), dtype=np.uint8)[-1, -1] = 7
    assert read_header(path).shape == (30_000, 30_000)
    values = load_grey(path)
    assert (values[-1, -1], values[0, 0]) == (7, 0)


def read_folder_of(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_element_maps(path.parent)


@pytest.mark.parametrize(
    ("name", "details"),
    [
        ("Fe.tif", {}),
        ("Fe.tiff", {"compression": "zlib", "rowsperstrip": 4}),
        ("Si.tif", {"compression": "tiff_lzw"}),
        ("Fe.png", {}),
        ("Fe.bmp", {}),
    ],
)
def test_damaged_files_are_refused_or_read(folder, tmp_path, name, details):
    original = tmp_path / name
    colours = tinted(grey(shape=(30, 40)), (255, 128, 0))
    if details.get("compression") == "tiff_lzw":
        Image.fromarray(colours).save(original, **details)
    else:
        save(original, colours, **details)
    save(folder / "Al.tif", grey(shape=(30, 40)))
    read_folder_of(original)  # what is imported now needn't be in every child
    assert faults(read_folder_of, original, folder) == {}
