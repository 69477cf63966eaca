"""Damaged Bruker files: refused with an error that names the file, or read, and nothing else."""

import base64
import re
import struct
import zlib

import numpy as np
import pytest
from bruker_files import FIRST_LINE, compressed, pack_map, write_bcf
from bruker_xml import header_xml
from mutate import faults, read_everything

from sigma_scale.errors import EmptyMapError, FileFormatError, NoSpectraError
from sigma_scale.readers import read

SHAPE = (7, 11, 64)


def make_counts(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).poisson(0.4, shape).astype(np.uint32)


def make_xml(counts, **details):
    return header_xml(counts.shape[:2], {0: counts.sum(axis=(0, 1))}, **details)


SAMPLES = {
    "compressed": {"compressed_parts": 900},
    "mixed": {"packing": "mixed", "block_size": 1024},
}


@pytest.mark.parametrize(
    "name", ["16x16_12bit_packed_8bit.bcf", "test_TEM.bcf", "compressed", "mixed"]
)
def test_damaged_files_are_refused_or_read(request, tmp_path, name):
    if name in SAMPLES:
        original = write_bcf(tmp_path / f"{name}.bcf", make_counts(), **SAMPLES[name])
    else:
        original = request.getfixturevalue("real_data") / name
    read_everything(original)
    folder = tmp_path / "damaged"
    folder.mkdir()
    assert faults(read_everything, original, folder) == {}


@pytest.mark.parametrize("name", ["16x16_12bit_packed_8bit.bcf", "P45_the_default_job.bcf"])
def test_a_file_cut_off_anywhere_is_refused(real_data, tmp_path, name):
    content = (real_data / name).read_bytes()
    path = tmp_path / name
    lengths = {int(part * len(content)) for part in np.linspace(0, 1, 60, endpoint=False)}
    for length in sorted(lengths | {1, 8, 0x124, 0x14B, 0x14C, len(content) - 1}):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=name):
            read(path)


def test_a_file_cut_off_after_opening_is_refused(real_data, tmp_path):
    content = (real_data / "test_TEM.bcf").read_bytes()
    path = tmp_path / "map.bcf"
    path.write_bytes(content)
    before, indexed = read(path).source, read(path).source
    assert indexed.dtype == np.uint8
    path.write_bytes(content[: len(content) // 2])
    for source in (before, indexed):
        with pytest.raises(FileFormatError, match=r"map\.bcf"):
            source.read_block(0, 0)


def refused(path, error=FileFormatError):
    """The message that a map is refused with, at opening or at reading."""
    with pytest.raises(error, match=path.name.replace(".", r"\.")) as caught:
        read(path).source.read_block(0, 0)
    return str(caught.value)


def with_stream(tmp_path, change, counts=None, **options):
    counts = make_counts() if counts is None else counts
    stream = bytearray(pack_map(counts, **options))
    return write_bcf(tmp_path / "map.bcf", counts, streams=[bytes(change(stream) or stream)])


def put(layout, offset, *values):
    def change(stream):
        struct.pack_into(layout, stream, offset, *values)

    return change


PIXEL = FIRST_LINE + 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("<I", 0, 8), "8 x 11"),
        (put("<I", 4, 12), "7 x 12"),
        (put("<I", 0, 2**31), "lines"),
        (put("<I", FIRST_LINE, 1000), "more pixels.* line 0"),
        (put("<I", PIXEL, 11), "outside the map.* line 0"),
        (put("<I", PIXEL, 2**32 - 1), "outside the map.* line 0"),
        (put("<H", PIXEL + 16, 65_535), "size.* line 0"),
        (put("<I", PIXEL + 18, 2**32 - 1), "size.* line 0"),
        (put("<I", PIXEL + 18, 0), "size.* line 0"),
        (lambda stream: stream[:-1], "ends in line 6 of 7"),
        (lambda stream: stream[: FIRST_LINE + 2 + 4 * 7], "line"),
        (lambda stream: stream[:100], "head"),
    ],
)
def test_a_stream_that_contradicts_itself_names_the_line(tmp_path, change, message):
    assert np.all(make_counts().sum(axis=2) > 0)
    text = refused(with_stream(tmp_path, change, packing=12))
    assert re.search(message, text), text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("<B", PIXEL + 22, 3), "packed counts"),
        (put("<B", PIXEL + 22, 7), "packed counts"),
        (put("<H", PIXEL + 12, 300), None),
        (put("<I", PIXEL + 18, 3), "size"),
        (put("<I", PIXEL + 18, 2**20 + 1), "size"),
        (put("<H", PIXEL + 16, 1), "size|packed|outside|ends|more pixels"),
    ],
)
def test_run_packed_pixels_are_checked(tmp_path, change, message):
    counts = make_counts()
    counts[0, 0] = 0
    counts[0, 0, :3] = 3
    path = with_stream(tmp_path, change, counts, packing="runs")
    if message is None:  # any flag above 1 means runs
        np.testing.assert_array_equal(read(path).to_xarray(), counts)
    else:
        assert re.search(message, refused(path))


def test_counts_that_no_type_holds_are_refused(tmp_path):
    counts = make_counts()
    run = bytes([8, 1]) + (2**32).to_bytes(8, "little") + bytes(4)
    pixel = struct.pack("<IHHIHHHI", 0, 64, 1, 0, 2, 0, 0, len(run) + 4) + run + bytes(4)
    line = struct.pack("<I", 1) + pixel
    head = pack_map(counts)[:FIRST_LINE]
    stream = head + line + bytes(4 * 6)
    path = write_bcf(tmp_path / "map.bcf", counts, streams=[stream])
    assert "packed counts" in refused(path)


def test_a_bomb_is_not_inflated(tmp_path):
    counts = make_counts()
    stream = pack_map(counts)
    bomb = zlib.compress(bytes(32 * 2**20), 9)
    head = struct.pack("<4sIII", b"AACS", 2**20, 0, 1).ljust(0x80, b"\0")
    content = head + struct.pack("<4I", len(bomb), 2**20, 0, 0) + bomb
    path = write_bcf(tmp_path / "map.bcf", counts, streams=[stream], xml=content)
    assert "size it should be" in refused(path)


def test_many_parts_are_no_bomb_either(tmp_path, monkeypatch):
    monkeypatch.setattr("sigma_scale.readers.bruker._XML_BYTES", 2**20)
    counts = make_counts()
    xml = make_xml(counts) + b" " * (32 * 2**20)
    content = compressed(xml, 2**22)
    path = write_bcf(tmp_path / "map.bcf", counts, xml=content)
    assert "inflates" in refused(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            b"<TRTSpectrumDatabase>",
            b'<!DOCTYPE x [<!ENTITY a "b">]><TRTSpectrumDatabase>',
            "plain XML",
        ),
        (b"<?xml", b"\xff\xfe<\0?\0x\0m\0l\0", "plain XML"),
        (b"</TRTSpectrumDatabase>", b"", "no XML"),
        (b'Type="TRTSpectrumDatabase"', b'Type="x"', "describes no map"),
        (b"SpectrumData0", b"SpectrumData5", "SpectrumData0"),
        (b"CalibLin", b"CalibXxx", "calibration"),
        (b"<CalibLin>0.01<", b"<CalibLin>0<", "positive width"),
        (b"<CalibLin>0.01<", b"<CalibLin>nan<", "calibration"),
        (b"<Width>11<", b"<Width>12<", "bytes"),
        (b"<Width>11</Width><Height>7<", b"<Width>1000000</Width><Height>1000000<", "bytes"),
        (b"<ItemSize>2<", b"<ItemSize>3<", "bytes"),
        (b"<Plane0>", b"<PlaneX>", "XML"),
        (b"<Height>7</Height>", b"", "no size"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path, old, new, message):
    counts = make_counts()
    xml = make_xml(counts)
    assert old in xml
    path = write_bcf(tmp_path / "map.bcf", counts, xml=xml.replace(old, new))
    assert message in refused(path)


def test_a_header_of_too_many_pixels_is_refused(tmp_path):
    counts = make_counts()
    xml = make_xml(counts).replace(b"<PlaneCount>1<", b"<PlaneCount>0<")
    xml = xml.replace(b"<Width>11</Width><Height>7<", b"<Width>1000000</Width><Height>1000000<")
    path = write_bcf(tmp_path / "map.bcf", counts, xml=xml)
    assert "describes" in refused(path)


def test_an_empty_map_is_refused(tmp_path):
    counts = make_counts()
    xml = make_xml(counts).replace(b"<PlaneCount>1<", b"<PlaneCount>0<")
    xml = xml.replace(b"<Width>11<", b"<Width>0<")
    refused(write_bcf(tmp_path / "map.bcf", counts, xml=xml), EmptyMapError)


def test_an_image_that_is_no_base64_is_refused(tmp_path):
    counts = make_counts()
    text = base64.b64encode(bytes(2)).decode()
    xml = make_xml(counts, images={"BSE": np.zeros(SHAPE[:2], np.uint16)})
    xml = xml.replace(b"<Data>", b"<Data>A").replace(b"</Data>", text.encode() + b"</Data>")
    assert "image" in refused(write_bcf(tmp_path / "map.bcf", counts, xml=xml))


def test_a_file_without_maps_lists_what_it_holds(tmp_path):
    path = write_bcf(tmp_path / "map.bcf", [make_counts()], streams=[], xml=b"<x/>", extra_files=2)
    text = refused(path, NoSpectraError)
    assert "EDSDatabase/HeaderData" in text
    assert "EDSDatabase/Extra1" in text


def test_a_chain_of_blocks_that_returns_is_refused(tmp_path):
    path = write_bcf(tmp_path / "map.bcf", make_counts(), block_size=1024, extra_files=9)
    content = bytearray(path.read_bytes())
    (tree,) = struct.unpack_from("<I", content, 0x140)
    struct.pack_into("<I", content, 0x118 + 1024 * tree, tree)
    path.write_bytes(content)
    assert "returns to block" in refused(path)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0x128, 7, "blocks of 7 bytes"),
        (0x128, 2**31, "blocks of"),
        (0x140, 10**6, "refers to block"),
        (0x144, 2**31, "inner files"),
        (0x148, 2**31, "incomplete"),
    ],
)
def test_a_container_that_contradicts_itself_is_refused(tmp_path, place, value, message):
    path = write_bcf(tmp_path / "map.bcf", make_counts())
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, place, value)
    path.write_bytes(content)
    assert message in refused(path)


@pytest.mark.parametrize(
    ("place", "layout", "value", "message"),
    [
        (0, "<i", 10**6, "refers to block"),
        (0, "<i", -1, "refers to block"),
        (4, "<Q", 2**60, "claims"),
        (40, "<i", 1, "folder"),
        (40, "<i", 99, "folder"),
        (40, "<i", -7, "folder"),
        (224, "<I", 0xFFFFFFFF, "no text"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(tmp_path, place, layout, value, message):
    path = write_bcf(tmp_path / "map.bcf", make_counts())
    content = bytearray(path.read_bytes())
    (tree,) = struct.unpack_from("<I", content, 0x140)
    entry = 0x118 + 4096 * tree + 32 + 512  # that of the header
    struct.pack_into(layout, content, entry + place, value)
    path.write_bytes(content)
    assert message in refused(path)
