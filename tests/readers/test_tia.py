"""TIA files, against RosettaSciIO and NumPy."""

from __future__ import annotations

import pickle
import shutil
import struct
import warnings

import numpy as np
import pytest
from mutate import MUTATIONS, faults, read_everything
from tia_files import object_info, write_emi, write_image_ser, write_ser, write_tia

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    NoSpectraError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
)
from sigma_scale.readers import read
from sigma_scale.readers.tia import images as tia_images

REAL = "16x16-spectrum_image_5x5x4000-not_square.emi"


def make_counts(dtype="u4", shape=(4, 3, 50)):
    counts = np.random.default_rng(5).poisson(0.4, shape)
    counts[-1, -1, 4] = 100
    return counts.astype(np.dtype(dtype).newbyteorder("<"))


def eager(path):
    """Signals that RosettaSciIO reads."""
    rsciio = pytest.importorskip("rsciio.tia")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rsciio.file_reader(str(path))


def quiet_read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        return read(path, **options)


def assert_equals_eager(image, signal):
    """Counts and axes equal those of RosettaSciIO's signal."""
    *navigation, energy = signal["axes"]
    data = np.asarray(signal["data"])
    np.testing.assert_array_equal(image.to_xarray(), data.reshape(image.shape))
    assert energy["units"] == "eV"
    channels = np.arange(energy["size"])
    expected = energy["offset"] + energy["scale"] * channels
    np.testing.assert_allclose(image.energy.values, expected / 1e3, atol=1e-9)
    assert {axis["units"] for axis in navigation} == {"nm"}
    sizes = [abs(axis["scale"]) / 1e3 for axis in navigation]
    assert image.pixel_size == pytest.approx(sizes if len(sizes) == 2 else sizes * 2)
    assert image.pixel_unit == "µm"


def test_the_real_file_equals_rosettasciio(real_data):
    image = quiet_read(real_data / REAL)
    (signal,) = eager(real_data / REAL)
    assert_equals_eager(image, signal)
    description = signal["original_metadata"]["ObjectInfo"]["ExperimentalDescription"]
    ours = image.metadata
    assert ours.instrument == "TEM"
    assert ours.beam_energy_kev == description["High tension_kV"]
    stage = (ours.stage_x_mm, ours.stage_y_mm, ours.stage_z_mm)
    assert stage == pytest.approx([description[f"Stage {axis}_um"] / 1e3 for axis in "XYZ"])
    assert ours.stage_tilt_deg == description["Stage A_deg"]
    assert [source.name for source in ours.sources] == [REAL, REAL.replace(".emi", "_1.ser")]


def test_the_real_files_open_by_either_name(real_data, tmp_path):
    image = quiet_read(real_data / REAL)
    ser = real_data / REAL.replace(".emi", "_1.ser")
    again = quiet_read(ser)
    np.testing.assert_array_equal(again.to_xarray(), image.to_xarray())
    assert again.metadata == image.metadata
    alone = shutil.copy(ser, tmp_path / "alone.ser")
    with pytest.warns(SigmaScaleWarning, match=r"no \.emi file.*alone\.ser"):
        image = read(alone)
    np.testing.assert_array_equal(image.to_xarray(), again.to_xarray())
    assert (image.metadata.beam_energy_kev, image.metadata.title) == (None, "alone")


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"])
def test_every_type_equals_rosettasciio(tmp_path, dtype, wide):
    counts = make_counts(dtype)
    path = write_tia(tmp_path, counts, wide=wide)
    image = quiet_read(path)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    assert_equals_eager(image, eager(path)[0])


@pytest.mark.parametrize(
    "details",
    [
        {"shuffle": True},
        {"down": True},
        {"line": True},
        {"line": True, "n_valid": 7},
        {"n_valid": 7},
        {"step_ev": 5.0, "start_ev": 0.0},
    ],
)
def test_orders_lines_and_unfinished_maps_equal_rosettasciio(tmp_path, details):
    counts = make_counts()
    path = write_tia(tmp_path, counts, **details)
    image = quiet_read(path)
    expected = counts.reshape(-1, 50).copy()
    expected[details.get("n_valid", 12) :] = 0
    if details.get("line"):
        expected = expected[: details.get("n_valid", 12)]
    shape = (1, len(expected), 50) if details.get("line") else counts.shape
    np.testing.assert_array_equal(image.to_xarray(), expected.reshape(shape))
    if not details.get("shuffle"):  # RosettaSciIO takes the first element from its place only
        assert_equals_eager(image, eager(path)[0])


def test_without_positions_the_first_dimension_is_that_of_the_columns(tmp_path):
    counts = make_counts()
    image = quiet_read(write_tia(tmp_path, counts, positions=False))
    np.testing.assert_array_equal(image.to_xarray(), counts)
    assert image.pixel_size == pytest.approx((4e-3, 2e-3))


@pytest.mark.parametrize("shape", [(1, 5, 50), (5, 1, 50), (1, 1, 50)])
def test_maps_one_pixel_wide_or_high(tmp_path, shape):
    counts = make_counts(shape=shape)
    image = quiet_read(write_tia(tmp_path, counts))
    np.testing.assert_array_equal(image.to_xarray(), counts)
    assert image.pixel_size == pytest.approx((4e-3, 2e-3))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_valid", [None, 20_000])
def test_every_block_equals_its_part_also_after_pickling(tmp_path, shuffle, n_valid):
    counts = make_counts("u1", (150, 140, 6))
    source = quiet_read(write_tia(tmp_path, counts, shuffle=shuffle, n_valid=n_valid)).source
    counts.reshape(-1, 6)[n_valid or counts.size :] = 0
    again = pickle.loads(pickle.dumps(source))  # noqa: S301 -- our own
    for i in range(2):
        for j in range(2):
            part = counts[i * 128 : (i + 1) * 128, j * 128 : (j + 1) * 128]
            np.testing.assert_array_equal(source.read_block(i, j).to_dense(), part)
            np.testing.assert_array_equal(again.read_block(i, j).to_dense(), part)


def test_the_reference_channel_shifts_the_axis(tmp_path):
    image = quiet_read(write_tia(tmp_path, make_counts(), start_ev=0.0, reference=20))
    assert image.energy.offset_kev == pytest.approx(-0.2)


@pytest.mark.parametrize("units", ["", "1/meters", "pixels"])
def test_pixels_without_a_length_are_pixels(tmp_path, units):
    image = quiet_read(write_tia(tmp_path, make_counts(), units=units))
    assert (image.pixel_size, image.pixel_unit) == ((1.0, 1.0), "pixel")


def test_metadata_of_the_emi_file(tmp_path):
    path = write_tia(tmp_path, make_counts())
    ours = quiet_read(path).metadata
    assert (ours.title, ours.instrument, ours.beam_energy_kev) == ("map", "TEM", 200.0)
    assert (ours.stage_x_mm, ours.stage_y_mm, ours.stage_z_mm) == (-0.0125, 0.003, 0.0005)
    assert (ours.stage_tilt_deg, ours.live_time_s) == (15.5, None)
    info = object_info(
        Live_time=("12.5", "s"), Real_time=("15", "s"), Elevation=("18", "deg"), User=("Müller", "")
    )
    info = info.replace("<Uuid>", "<AcceleratingVoltage>80000</AcceleratingVoltage><Uuid>")
    write_emi(path, info)
    path.write_bytes(path.read_bytes().replace("Müller".encode(), "Müller".encode("latin-1")))
    ours = quiet_read(path).metadata
    assert (ours.beam_energy_kev, ours.live_time_s, ours.real_time_s) == (80.0, 12.5, 15.0)
    assert ours.elevation_deg == 18.0


# -------------------------------------------------------------------------- sets of files


def write_set(folder):
    """Write an image of the map's size, two maps, EELS, and an image of its own size."""
    counts = make_counts()
    grid, large = (np.arange(n, dtype="<u2") for n in (12, 30))
    write_image_ser(folder / "map_1.ser", grid.reshape(4, 3))
    write_ser(folder / "map_2.ser", counts)
    write_ser(folder / "map_3.ser", counts + 1)
    write_ser(folder / "map_4.ser", counts, step_ev=0.5)
    write_image_ser(folder / "map_10.ser", large.reshape(5, 6))
    write_image_ser(folder / "map_11.ser", np.zeros((3, 5, 6), "<u2"))
    return write_emi(folder / "map.emi", *[object_info()] * 11), counts


def test_a_set_gives_its_first_map_and_its_images(tmp_path):
    path, counts = write_set(tmp_path)
    image = quiet_read(path)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    assert set(image.images) == {"navigation", "image_10"}
    np.testing.assert_array_equal(image.navigation, np.arange(12).reshape(4, 3))
    np.testing.assert_array_equal(image.navigation, eager(path)[0]["data"])
    large = image.images["image_10"]
    np.testing.assert_array_equal(large, np.arange(30).reshape(5, 6))
    np.testing.assert_allclose(large.x, np.arange(6) * 1e-3)
    assert large.x.attrs["units"] == "µm"
    names = ["map.emi", "map_2.ser", "map_1.ser", "map_10.ser"]
    assert [source.name for source in image.metadata.sources] == names


def test_images_of_large_files_are_lazy(tmp_path, monkeypatch):
    path, _ = write_set(tmp_path)
    monkeypatch.setattr(tia_images, "_LAZY_BYTES", 30)
    images = quiet_read(path).images
    assert images["image_10"].chunks is not None
    assert images["navigation"].chunks is None
    np.testing.assert_array_equal(images["image_10"], np.arange(30).reshape(5, 6))


def test_maps_of_a_set_are_chosen_by_number_or_name(tmp_path):
    path, counts = write_set(tmp_path)
    for image in (
        quiet_read(path, index=3),
        quiet_read(tmp_path / "map_3.ser"),
        quiet_read(tmp_path / "map_2.ser", index=3),
    ):
        np.testing.assert_array_equal(image.to_xarray(), counts + 1)
    with pytest.raises(ParameterError, match=r"map\.emi.*number 7.*1, 2, 3, 4, 10, 11"):
        read(path, index=7)


@pytest.mark.parametrize("number", [1, 4, 11])
def test_what_is_no_eds_map_is_listed(tmp_path, number):
    path, _ = write_set(tmp_path)
    for options in ({"index": number}, {}):
        opened = path if options else tmp_path / f"map_{number}.ser"
        with pytest.raises(NoSpectraError, match=rf"map_{number}\.ser.*0\.5 eV.*images of 5 x 6"):
            read(opened, **options)


def test_a_set_without_eds_is_refused(tmp_path):
    write_ser(tmp_path / "map_1.ser", make_counts(), step_ev=1.0)
    path = write_emi(tmp_path / "map.emi", object_info())
    with pytest.raises(NoSpectraError, match=r"map\.emi.*12 spectra of 50 channels, 1 eV"):
        read(path)


@pytest.mark.parametrize(
    ("manufacturer", "step", "is_eds"),
    [("GATAN EELS", 10.0, False), ("EDAX", 1.0, True), ("EDX Super-X", 1.0, True), ("", 5.0, True)],
)
def test_detectors_are_known_by_their_names(tmp_path, manufacturer, step, is_eds):
    write_ser(tmp_path / "map_1.ser", make_counts(), step_ev=step)
    path = write_emi(tmp_path / "map.emi", object_info(manufacturer))
    if is_eds:
        assert read(path).shape == (4, 3, 50)
    else:
        with pytest.raises(NoSpectraError):
            read(path)


def test_names_in_other_case_are_found(tmp_path):
    path = write_tia(tmp_path, make_counts())
    path.rename(tmp_path / "Map.EMI")
    (tmp_path / "map_1.ser").rename(tmp_path / "MAP_1.SER")
    for name in ("Map.EMI", "MAP_1.SER"):
        assert quiet_read(tmp_path / name).metadata.beam_energy_kev == 200.0


def test_a_missing_ser_file_is_named(tmp_path):
    path = write_tia(tmp_path, make_counts())
    (tmp_path / "map_1.ser").rename(tmp_path / "other_1.ser")
    with pytest.raises(SourceNotFoundError, match=r"map_1\.ser.*map\.emi"):
        read(path)


def test_damaged_files_of_a_set_are_left_out_with_a_warning(tmp_path):
    path, counts = write_set(tmp_path)
    (tmp_path / "map_1.ser").write_bytes(b"nothing")
    with pytest.warns(SigmaScaleWarning, match=r"map_1\.ser.*left out"):
        image = read(path)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    assert set(image.images) == {"image_10"}
    with pytest.raises(FileFormatError, match=r"map_1\.ser"):
        read(path, index=1)


def test_an_emi_file_that_tells_nothing_of_the_map(tmp_path):
    path = write_emi(write_tia(tmp_path, make_counts()))
    with pytest.warns(SigmaScaleWarning, match=r"map\.emi tells nothing of map_1\.ser"):
        assert read(path).metadata.beam_energy_kev is None


# -------------------------------------------------------------------------- bad input

PLACES = {"magic": 0, "kind": 6, "total": 14, "valid": 18, "table": 22, "dimensions": 30}


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        ("magic", 0x4D4D, FileFormatError),
        ("kind", 0x4121, FileFormatError),
        ("total", 0, FileFormatError),
        ("total", 2**32 - 1, FileFormatError),
        ("total", 13, FileFormatError),
        ("valid", 13, FileFormatError),
        ("valid", 2**32 - 1, FileFormatError),
        ("valid", 0, NoSpectraError),
        ("table", 2**32 - 1, FileFormatError),
        ("dimensions", 2**32 - 1, FileFormatError),
        (34, 0, EmptyMapError),  # columns
        (34, 10**9, FileFormatError),
        (58, 2**31, FileFormatError),  # length of the first text
    ],
)
def test_headers_that_contradict_the_file_are_refused(tmp_path, place, value, error):
    path = write_tia(tmp_path, make_counts())
    ser = tmp_path / "map_1.ser"
    content = bytearray(ser.read_bytes())
    struct.pack_into("<I", content, PLACES.get(place, place), value)
    ser.write_bytes(content)
    with pytest.raises(error, match=r"map(_1\.ser|\.emi)"):
        read(path)


@pytest.mark.parametrize(
    ("value", "message"), [(2**40, "beyond its end"), (2**64 - 1, "beyond"), (3, "another type")]
)
def test_places_that_cannot_be_are_refused_where_they_are_used(tmp_path, value, message):
    path = write_tia(tmp_path, make_counts())
    ser = tmp_path / "map_1.ser"
    content = bytearray(ser.read_bytes())
    (table,) = struct.unpack_from("<Q", content, 22)
    struct.pack_into("<Q", content, table + 8 * 5, value)
    ser.write_bytes(content)
    source = read(path).source
    with pytest.raises(FileFormatError, match=rf"map_1\.ser.*{message}"):
        source.read_block(0, 0)


@pytest.mark.parametrize("missing", [1, 1000])
def test_a_truncated_ser_file_is_refused(tmp_path, missing):
    path = write_tia(tmp_path, make_counts(), positions=False)
    ser = tmp_path / "map_1.ser"
    ser.write_bytes(ser.read_bytes()[: -8 - missing])
    with pytest.raises(FileFormatError, match=r"map_1\.ser.*more than its"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK" + bytes(100),
        b"JK<ObjectInfo><a>",
        b"JK<ObjectInfo><a></b></ObjectInfo>",
        b"JK<ObjectInfo><!DOCTYPE x><a/></ObjectInfo>",
        b"JK<ObjectInfo>" + bytes(2**21) + b"</ObjectInfo>",
    ],
)
def test_a_damaged_emi_file_is_refused(tmp_path, content):
    path = write_tia(tmp_path, make_counts())
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"map\.emi"):
        read(path)


def test_complex_values_are_refused(tmp_path):
    path = write_tia(tmp_path, make_counts("c8"))
    with pytest.raises(FileFormatError, match=r"map_1\.ser.*complex64"):
        read(path)


@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
@pytest.mark.parametrize("damaged", ["map.emi", "map_1.ser", "map_2.ser"])
def test_damaged_files_are_refused_or_read(tmp_path, damaged):
    path, _ = write_set(tmp_path)
    read_everything(path)  # so that what takes long to load is there in every child
    number = -(-MUTATIONS // 3)  # of each file
    found = faults(lambda _: read_everything(path), tmp_path / damaged, tmp_path, number=number)
    assert found == {}


@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
@pytest.mark.parametrize("damaged", [REAL, REAL.replace(".emi", "_1.ser")])
def test_damaged_real_files_are_refused_or_read(real_data, tmp_path, damaged):
    for file in real_data.glob(REAL.replace(".emi", "*")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / REAL
    assert faults(lambda _: read_everything(path), tmp_path / damaged, tmp_path, number=10) == {}
