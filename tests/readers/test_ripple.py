"""Ripple files: counts and what the header says, against RosettaSciIO and NumPy."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from mutate import MUTATIONS, faults, read_everything
from ripple_files import write_emsa, write_par, write_raw, write_ripple

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    NoSpectraError,
    SigmaScaleWarning,
    SourceNotFoundError,
)
from sigma_scale.readers import read
from sigma_scale.readers.ripple import sources as ripple_sources

DTYPES = [
    f"{order}{kind}" for kind in ("i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8") for order in "<>"
] + ["i1", "u1"]
CALIBRATED = {"depth-scale": 20.0, "depth-origin": -100.0, "depth-units": "eV"}


def make_counts(dtype="u2", shape=(5, 7, 60)):
    counts = np.random.default_rng(3).poisson(0.4, shape)
    counts[2, 3, 4] = 100
    return counts.astype(dtype)


def calibrated(folder, counts, **details):
    entries = {**CALIBRATED, **details.pop("entries", {})}
    return write_ripple(folder, counts, entries=entries, **details)


def eager(path):
    """What RosettaSciIO reads, as y, x, energy, and its axes by name."""
    rsciio = pytest.importorskip("rsciio.ripple")
    (signal,) = rsciio.file_reader(str(path))
    data = np.asarray(signal["data"])
    axes = {axis["name"]: axis for axis in signal["axes"]}
    if signal["axes"][0]["name"] == "depth":
        data = np.moveaxis(data, 0, -1)
    return data, axes, signal


@pytest.mark.parametrize("before", [0, 13])
@pytest.mark.parametrize("record_by", ["vector", "image"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_counts_of_every_type_order_and_offset_equal_rosettasciio(
    tmp_path, dtype, record_by, before
):
    counts = make_counts(dtype)
    path = calibrated(tmp_path, counts, record_by=record_by, before=before)
    image = read(path)
    expected, _, _ = eager(path)
    np.testing.assert_array_equal(image.to_xarray(), expected)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    kind = "f" if "f" in dtype else "u"
    assert image.source.dtype == np.dtype(
        f"{kind}{min(np.dtype(dtype).itemsize, 8 if kind == 'f' else 4)}"
    )


@pytest.mark.parametrize("record_by", ["vector", "image"])
@pytest.mark.parametrize("shape", [(150, 140, 20), (1, 9, 20), (9, 1, 20), (1, 1, 20), (300, 3, 8)])
def test_every_block_equals_its_part_also_after_pickling(tmp_path, record_by, shape):
    counts = make_counts("<u2", (max(shape[0], 3), max(shape[1], 4), shape[2]))
    counts = counts[: shape[0], : shape[1]]
    source = read(calibrated(tmp_path, counts, record_by=record_by)).source
    again = pickle.loads(pickle.dumps(source))  # noqa: S301 -- our own
    height, width = source.chunk_shape
    for i in range(-(-shape[0] // height)):
        for j in range(-(-shape[1] // width)):
            part = counts[i * height : (i + 1) * height, j * width : (j + 1) * width]
            np.testing.assert_array_equal(source.read_block(i, j).to_dense(), part)
            np.testing.assert_array_equal(again.read_block(i, j).to_dense(), part)


@pytest.mark.parametrize("limit", [1, 3 * 60 * 2, 20 * 60 * 2])
def test_planes_of_large_maps_are_read_in_narrow_blocks(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(ripple_sources, "_BLOCK_BYTES", limit)
    counts = make_counts(">u2")
    image = read(calibrated(tmp_path, counts, record_by="image"))
    height, width = image.source.chunk_shape
    assert height * width * 60 * 2 <= max(limit, 60 * 2)
    np.testing.assert_array_equal(image.to_xarray(), counts)


@pytest.mark.parametrize("name", ["map.rpl", "map.raw", "MAP.RPL", "Map.Raw"])
@pytest.mark.parametrize("upper", [False, True])
def test_a_pair_opens_by_either_name_in_any_case(tmp_path, name, upper):
    counts = make_counts()
    rpl = calibrated(tmp_path, counts)
    stem = name.partition(".")[0]
    endings = (".RPL", ".RAW") if upper else (name[-4:],) * 2
    for file, ending in zip((rpl, rpl.with_suffix(".raw")), endings, strict=True):
        other = file.suffix if not upper and ending.lower() != file.suffix else ending
        file.rename(tmp_path / f"{stem}{other}")
    opened = next(file for file in tmp_path.iterdir() if file.suffix.lower() == name[-4:].lower())
    image = read(opened)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    assert [source.name for source in image.metadata.sources] == sorted(
        (file.name for file in tmp_path.iterdir()), key=lambda file: file.lower()[-2] == "a"
    )


def test_axes_and_metadata_of_the_header_equal_rosettasciio(tmp_path):
    entries = {
        "depth-scale": 0.02,
        "depth-origin": 0.0,
        "depth-units": "keV",
        "depth-name": "Energy",
        "ev-per-chan": 0,
        "width-scale": 250.0,
        "width-units": "nm",
        "width-name": "x",
        "height-scale": 0.5,
        "height-units": "um",
        "height-name": "y",
        "beam-energy": 200.0,
        "elevation-angle": 18.0,
        "azimuth-angle": 45.0,
        "live-time": 12.5,
        "tilt-stage": -3.5,
        "detector-peak-width-ev": 128.0,
        "convergence-angle": 3.0,
        "signal": "EDS_TEM",
        "title": "a rock: 2nd; not this",
    }
    path = write_ripple(tmp_path, make_counts(), entries=entries)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        image = read(path)
    _, axes, signal = eager(path)
    energy = axes["Energy"]
    np.testing.assert_allclose(
        image.energy.values, energy["offset"] + energy["scale"] * np.arange(60), atol=1e-12
    )
    assert image.pixel_unit == "µm"
    assert image.pixel_size == pytest.approx((axes["y"]["scale"], axes["x"]["scale"] / 1e3))
    tem = signal["metadata"]["Acquisition_instrument"]["TEM"]
    eds = tem["Detector"]["EDS"]
    ours = image.metadata
    assert (ours.instrument, ours.beam_energy_kev) == ("TEM", tem["beam_energy"])
    assert ours.stage_tilt_deg == tem["Stage"]["tilt_alpha"]
    assert (ours.elevation_deg, ours.azimuth_deg) == (eds["elevation_angle"], eds["azimuth_angle"])
    assert ours.resolution_mn_ka_ev == eds["energy_resolution_MnKa"]
    assert ours.live_time_s == eds["live_time"]
    assert ours.title == signal["metadata"]["General"]["title"] == "a rock: 2nd"


@pytest.mark.parametrize(
    ("entries", "scale", "offset"),
    [
        ({"depth-scale": 20, "depth-origin": -100, "depth-units": "eV"}, 0.02, -0.1),
        ({"depth-scale": 0.02, "depth-origin": 0}, 0.02, 0.0),
        ({"depth-scale": 20, "depth-origin": 0, "depth-units": "<undefined>"}, 0.02, 0.0),
        ({"depth-scale": 20, "depth-origin": 5, "ev-per-chan": 10}, 0.02, 0.005),
    ],
)
def test_the_energy_axis_of_the_header_is_in_kev(tmp_path, entries, scale, offset):
    energy = read(write_ripple(tmp_path, make_counts(), entries=entries)).energy
    assert (energy.scale_kev, energy.offset_kev) == pytest.approx((scale, offset))


def test_lispix_tells_a_width_but_no_offset(tmp_path):
    path = write_ripple(tmp_path, make_counts(), entries={"ev-per-chan": 5})
    with pytest.warns(SigmaScaleWarning, match=r"map\.raw.*energy of channel 0.*5 eV.*0 keV"):
        energy = read(path).energy
    assert (energy.scale_kev, energy.offset_kev) == (0.005, 0.0)


@pytest.mark.parametrize("separator", [" ", "\t  ", "   "])
def test_headers_may_use_spaces_and_capitals(tmp_path, separator):
    counts = make_counts(">i4")
    path = calibrated(tmp_path, counts, separator=separator)
    text = path.read_text()
    path.write_text(text.replace("data-length", "Data-Length").replace("width", "WIDTH"))
    np.testing.assert_array_equal(read(path).to_xarray(), counts)


def test_incas_way_to_write_a_header_is_understood(tmp_path):
    counts = make_counts("<u2")
    path = calibrated(tmp_path, counts, record_by="image")
    pairs = [line.split("\t") for line in path.read_text().splitlines()[2:]]
    lines = ["(MLX::rpl 1.0", *(f"(MLX::{key} : {value})" for key, value in pairs), ")"]
    path.write_text("\r\n".join(lines))
    np.testing.assert_array_equal(read(path).to_xarray(), counts)


def test_without_any_calibration_a_warning_says_what_is_assumed(tmp_path):
    path = write_ripple(tmp_path, make_counts())
    with pytest.warns(SigmaScaleWarning, match=r"map\.raw.*10 eV.*-0\.2 keV.*set_calibration"):
        image = read(path)
    np.testing.assert_allclose(image.energy.values, -0.2 + 0.01 * np.arange(60), atol=1e-12)
    assert (image.pixel_size, image.pixel_unit) == ((1.0, 1.0), "pixel")


def test_larger_raw_files_are_read(tmp_path):
    counts = make_counts()
    path = calibrated(tmp_path, counts)
    with path.with_suffix(".raw").open("ab") as stream:
        stream.write(bytes(1000))
    np.testing.assert_array_equal(read(path).to_xarray(), counts)


def test_a_single_spectrum_needs_no_order(tmp_path):
    counts = make_counts()[2:3, 3:4]
    image = read(calibrated(tmp_path, counts, record_by="dont-care"))
    np.testing.assert_array_equal(image.to_xarray(), counts)


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        ({"width": 8}, FileFormatError, r"map\.raw.*4,800 bytes.*4,200"),
        ({"offset": 1}, FileFormatError, r"map\.raw.*4,201 bytes.*4,200"),
        ({"width": 10**6, "height": 10**6}, FileFormatError, r"map\.raw"),
        ({"width": 10**30}, FileFormatError, r"map\.rpl.*width"),
        ({"width": 0}, EmptyMapError, r"map\.rpl.*no pixels"),
        ({"depth": 0}, EmptyMapError, r"map\.rpl.*no channels"),
        ({"height": -5}, FileFormatError, r"map\.rpl.*height.*-5"),
        ({"height": "x"}, FileFormatError, r"map\.rpl.*height.*'x'"),
        ({"width": None}, FileFormatError, r"map\.rpl.*no entry 'width'"),
        ({"data-length": 3}, FileFormatError, r"map\.rpl.*data-length.*1, 2, 4, 8"),
        ({"data-type": "complex"}, FileFormatError, r"map\.rpl.*data-type"),
        ({"data-type": "float"}, FileFormatError, r"map\.rpl.*floats.*2"),
        ({"byte-order": None}, FileFormatError, r"map\.rpl.*byte-order"),
        ({"record-by": "row"}, FileFormatError, r"map\.rpl.*record-by.*vector, image"),
        ({"record-by": "dont-care"}, FileFormatError, r"map\.rpl.*order"),
        ({"depth": 1, "record-by": "dont-care"}, NoSpectraError, r"map\.rpl.*image of 5 x 7"),
        ({"signal": "EELS"}, NoSpectraError, r"map\.rpl.*EELS"),
        ({"depth-scale": 1e308, "depth-units": "keV"}, FileFormatError, r"map\.raw.*width"),
        ({"width": 1, "height": 1, "depth": 70_000, "data-length": 1}, FileFormatError, "map"),
    ],
)
def test_headers_that_make_no_sense_are_refused(tmp_path, entries, error, message):
    path = calibrated(tmp_path, make_counts(), entries=entries)
    if entries.get("depth") == 70_000:
        path.with_suffix(".raw").write_bytes(bytes(70_000))
    with pytest.raises(error, match=message):
        read(path)


@pytest.mark.parametrize("record_by", ["vector", "image"])
@pytest.mark.parametrize("bad", [-1, 2**32])
def test_counts_that_cannot_be_are_refused(tmp_path, bad, record_by):
    counts = make_counts("<i8")
    counts[2, 3, 5] = bad
    image = read(calibrated(tmp_path, counts, record_by=record_by))
    with pytest.raises(FileFormatError, match=rf"map\.raw.*{bad}"):
        image.source.read_block(0, 0)


@pytest.mark.parametrize("record_by", ["vector", "image"])
def test_a_file_that_shrinks_while_it_is_open_is_refused(tmp_path, record_by):
    image = read(calibrated(tmp_path, make_counts(), record_by=record_by))
    raw = tmp_path / "map.raw"
    raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match=r"map\.raw"):
        image.source.read_block(0, 0)


@pytest.mark.parametrize("record_by", ["vector", "image"])
def test_missing_pixels_and_negative_zeros_are_no_counts(tmp_path, record_by):
    counts = make_counts("<f4")
    counts[1, 2] = np.nan
    counts[3, 3, ::2] = -0.0
    image = read(calibrated(tmp_path, counts, record_by=record_by))
    np.testing.assert_array_equal(image.to_xarray(), np.nan_to_num(counts))
    block = image.source.read_block(0, 0)
    assert block.n_events == np.count_nonzero(np.nan_to_num(counts))


@pytest.mark.parametrize("record_by", ["vector", "image"])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_pixels_with_some_channels_spoiled_are_refused(tmp_path, record_by, bad):
    counts = make_counts("<f4")
    counts[1, 2, 3] = bad
    image = read(calibrated(tmp_path, counts, record_by=record_by))
    with pytest.raises(FileFormatError, match=r"map\.raw.*1 pixels"):
        image.source.read_block(0, 0)


@pytest.mark.parametrize(("kept", "missing"), [(".rpl", ".raw"), (".raw", ".rpl")])
def test_a_missing_partner_is_named(tmp_path, kept, missing):
    path = calibrated(tmp_path, make_counts())
    write_raw(tmp_path / "other.raw", make_counts())
    path.with_suffix(missing).unlink()
    with pytest.raises(SourceNotFoundError, match=rf"map\{missing}.*map\{kept}"):
        read(path.with_suffix(kept))


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "map.rpl").mkdir()
    with pytest.raises(FileFormatError, match="folder"):
        read(tmp_path / "map.rpl")


@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
@pytest.mark.parametrize("damaged", [".rpl", ".raw", ".msa", ".par"])
@pytest.mark.parametrize("record_by", ["vector", "image"])
def test_damaged_files_are_refused_or_read(tmp_path, record_by, damaged):
    path = write_ripple(tmp_path, make_counts("<i4"), record_by=record_by)
    write_emsa(path.with_suffix(".msa"), 60)
    write_par(
        path.with_suffix(".par"),
        {
            "Map Width": "3.5 um",
            "Map Height": "2.5 um",
            "Resolution (Width)": 7,
            "Resolution (Height)": 5,
            "Energy Range": "20 keV",
            "Number Of Channels": 60,
        },
    )
    original = tmp_path / f"map{damaged}"
    read_everything(path)  # so that what takes long to load is there in every child
    number = -(-MUTATIONS // 8)  # of each file, in each order
    assert faults(lambda _: read_everything(path), original, tmp_path, number=number) == {}
