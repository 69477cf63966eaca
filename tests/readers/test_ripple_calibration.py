"""Calibration files beside ripple files."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ripple_files import write_emsa, write_par, write_raw, write_ripple

from sigma_scale.errors import FileFormatError, SigmaScaleWarning, SourceNotFoundError
from sigma_scale.readers import read
from sigma_scale.readers.beside import number
from sigma_scale.xray import atomic_number, symbols

PAR = {
    "Map Width": "3.5 um",
    "Map Height": "10 um",
    "Resolution (Width)": "7 pixels",
    "Resolution (Height)": "5 pixels",
    "Energy Range": "20 keV",
    "Number Of Channels": "64",
}


def make_counts(shape=(5, 7, 64)):
    return np.random.default_rng(4).poisson(0.4, shape).astype("<u2")


@pytest.fixture
def rpl(tmp_path):
    return write_ripple(tmp_path, make_counts())


def quiet_read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        return read(path)


def axis_of(image):
    return image.energy.scale_kev, image.energy.offset_kev


@pytest.mark.parametrize("name", ["map.msa", "map.TXT", "MAP.emsa", "sum spectrum.mas"])
def test_an_emsa_file_calibrates_the_map_beside_it(rpl, name):
    emsa = write_emsa(rpl.with_name(name), 64)
    image = quiet_read(rpl)
    assert axis_of(image) == pytest.approx((0.02, -0.1))
    ours = image.metadata
    assert (ours.beam_energy_kev, ours.live_time_s, ours.real_time_s) == (15.0, 20.5, 30.25)
    assert (ours.elevation_deg, ours.azimuth_deg, ours.stage_tilt_deg) == (35.0, 45.0, 1.5)
    assert (ours.stage_x_mm, ours.stage_y_mm) == (-8.5, None)
    assert (ours.title, ours.elements) == ("Map sum spectrum", ("C", "O", "Fe"))
    assert [source.name for source in ours.sources] == ["map.rpl", "map.raw", emsa.name]


def test_symbols_of_elements_are_those_of_the_table(rpl):
    table = {symbol: atomic_number(symbol) for symbol in symbols()}
    numbers = [z for z in range(120) if z in table.values()]
    write_emsa(rpl.with_suffix(".msa"), 64, **{"#OXINSTELEMS": ",".join(map(str, numbers))})
    assert [table[symbol] for symbol in quiet_read(rpl).metadata.elements] == numbers


def test_the_axis_equals_rosettasciios_reading_of_the_spectrum(rpl):
    msa = pytest.importorskip("rsciio.msa")
    path = write_emsa(rpl.with_suffix(".msa"), 64)
    (signal,) = msa.file_reader(str(path))
    axis = signal["axes"][0]
    image = quiet_read(rpl)
    assert axis["units"] == "keV"
    assert axis_of(image) == pytest.approx((axis["scale"], axis["offset"]))


@pytest.mark.parametrize(
    ("changes", "scale", "offset"),
    [
        ({"OFFSET": "0"}, 0.02, 0.0),
        ({"OFFSET": "0.000", "CHOFFSET": "5"}, 0.02, 0.0),
        ({"OFFSET": None, "CHOFFSET": "5."}, 0.02, -0.1),
        ({"XUNITS": "eV", "XPERCHAN": "20", "OFFSET": "-200"}, 0.02, -0.2),
        ({"XUNITS": None, "XPERCHAN": "20", "OFFSET": "-200"}, 0.02, -0.2),
        ({"XUNITS": None}, 0.02, -0.1),
        ({"XUNITS": "KEV", "XPERCHAN": "0,005"}, 0.005, -0.1),
        ({"NPOINTS": None}, 0.02, -0.1),
    ],
)
def test_emsa_axes_in_ev_and_kev(rpl, changes, scale, offset):
    write_emsa(rpl.with_suffix(".msa"), 64, **changes)
    assert axis_of(quiet_read(rpl)) == pytest.approx((scale, offset), abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"NPOINTS": "1024."}, "1024 channels, the map 64"),
        ({"SIGNALTYPE": "ELS"}, "ELS"),
        ({"XUNITS": "nm"}, "nm"),
        ({"XPERCHAN": "0"}, "0 wide"),
        ({"XPERCHAN": "-0.02"}, "-0.02 wide"),
    ],
)
def test_a_spectrum_of_another_kind_is_not_used(rpl, changes, why):
    write_emsa(rpl.with_suffix(".msa"), 64, **changes)
    with pytest.warns(SigmaScaleWarning) as caught:
        image = read(rpl)
    assert any(why in str(w.message) and "map.msa" in str(w.message) for w in caught)
    assert axis_of(image) == pytest.approx((0.01, -0.2))
    assert [source.name for source in image.metadata.sources] == ["map.rpl", "map.raw"]


@pytest.mark.parametrize("names", [("a.msa", "b.msa"), ("notes.txt",)])
def test_only_a_spectrum_that_surely_belongs_is_used(rpl, names):
    for name in names:
        write_emsa(rpl.with_name(name), 64)
    if names == ("notes.txt",):
        rpl.with_name("notes.txt").write_text("#FORMAT of these notes: none")
    with pytest.warns(SigmaScaleWarning, match="10 eV"):
        assert axis_of(read(rpl)) == pytest.approx((0.01, -0.2))


def test_of_several_spectra_that_of_the_same_name_is_used(rpl):
    write_emsa(rpl.with_name("a.msa"), 64, OFFSET="5")
    write_emsa(rpl.with_suffix(".txt"), 64)
    assert axis_of(quiet_read(rpl)) == pytest.approx((0.02, -0.1))


def test_the_header_comes_before_the_spectrum_and_that_before_par(tmp_path):
    entries = {"ev-per-chan": 5, "live-time": 3.0, "title": "mine"}
    rpl = write_ripple(tmp_path, make_counts(), entries=entries)
    write_emsa(rpl.with_suffix(".msa"), 64)
    write_par(rpl.with_suffix(".par"), {**PAR, "Accelerating Voltage": "20 kV", "Live Time": "9 s"})
    image = quiet_read(rpl)
    assert axis_of(image) == pytest.approx((0.005, -0.1))
    assert image.pixel_size == pytest.approx((2.0, 0.5))
    ours = image.metadata
    assert (ours.title, ours.live_time_s, ours.beam_energy_kev) == ("mine", 3.0, 15.0)
    names = ["map.rpl", "map.raw", "map.msa", "map.par"]
    assert [source.name for source in ours.sources] == names


@pytest.mark.parametrize("separator", [": ", " = ", "\t", "\t: ", ":"])
def test_par_gives_pixel_size_and_energy_range(rpl, separator):
    details = {**PAR, "Accelerating Voltage": "20000 V", "Acquisition Time": "2 min"}
    write_par(rpl.with_suffix(".par"), details, separator)
    with pytest.warns(SigmaScaleWarning, match=r"energy of channel 0.*-0\.2 keV"):
        image = read(rpl)
    assert image.pixel_unit == "µm"
    assert image.pixel_size == pytest.approx((2.0, 0.5))
    assert axis_of(image) == pytest.approx((20 / 64, -0.2))
    assert (image.metadata.beam_energy_kev, image.metadata.real_time_s) == (20.0, 120.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Map Width": "3500 nm", "Map Height": "0.01 mm"}, (2.0, 0.5)),
        ({"Map Width": "3.5", "Map Height": "10"}, (2.0, 0.5)),
        ({"Map Width": "3,5 µm", "Map Height": "10,0 μm"}, (2.0, 0.5)),
        ({"Resolution (Width)": "7", "Resolution (Height)": "5"}, (2.0, 0.5)),
        (
            {
                "Map Width": "7",
                "Map Height": "5",
                "Resolution (Width)": "0.5",
                "Resolution (Height)": "2 um",
            },
            (2.0, 0.5),
        ),
        (
            {
                "Map Width": "7 pixels",
                "Map Height": "5 pixels",
                "Resolution (Width)": "500 nm",
                "Resolution (Height)": "2000 nm",
            },
            (2.0, 0.5),
        ),
        (
            {
                "Map Width": None,
                "Map Height": None,
                "Map Width (um)": "3.5",
                "Map Height [um]": "10",
            },
            (2.0, 0.5),
        ),
        ({"Resolution (Width)": None, "Resolution (Height)": None}, (2.0, 0.5)),
        ({"Map Width": "7", "Map Height": "5"}, None),
        ({"Map Width": None, "Map Height": None}, None),
        ({"Map Width": "0 um", "Map Height": "0 um"}, None),
    ],
)
def test_pixels_and_micrometres_are_told_apart(rpl, changes, expected):
    entries = {key: value for key, value in {**PAR, **changes}.items() if value is not None}
    write_par(rpl.with_suffix(".par"), entries)
    write_emsa(rpl.with_suffix(".msa"), 64)
    image = quiet_read(rpl)
    if expected is None:
        assert (image.pixel_size, image.pixel_unit) == ((1.0, 1.0), "pixel")
    else:
        assert image.pixel_size == pytest.approx(expected)
        assert image.pixel_unit == "µm"


@pytest.mark.parametrize(
    ("text", "channels", "scale", "offset"),
    [
        ("20 keV", 2048, 0.01, -0.2),
        ("10", 1024, 0.01, -0.2),
        ("20 keV", 4096, 0.005, -0.2),
        ("20.48 keV", 2048, 0.01, -0.2),
        ("0 - 20 keV", 2048, 0.01, -0.2),
        ("-0.2 - 20.28 keV", 2048, 0.01, -0.2),
        ("-0.1 to 20.38", 2048, 0.01, -0.1),
        ("20000 eV", 2000, 0.01, -0.2),
        ("30 keV", 2000, 0.015, -0.2),
    ],
)
def test_energy_ranges_of_par(tmp_path, text, channels, scale, offset):
    rpl = write_ripple(tmp_path, make_counts((2, 2, channels)))
    write_par(rpl.with_suffix(".par"), {"Energy Range": text, "Number Of Channels": channels})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SigmaScaleWarning)
        assert axis_of(read(rpl)) == pytest.approx((scale, offset))


@pytest.mark.parametrize(
    "changes", [{"Number Of Channels": 1024}, {"Resolution (Width)": 512}, {"Map Width": 3}]
)
def test_par_of_another_map_is_not_used(rpl, changes):
    entries = {**PAR, "Map Height": "10", **changes}
    if "Map Width" in changes:
        del entries["Resolution (Width)"], entries["Resolution (Height)"]
    write_par(rpl.with_suffix(".par"), entries)
    with pytest.warns(SigmaScaleWarning) as caught:
        image = read(rpl)
    assert any("map.par" in str(warning.message) for warning in caught)
    assert image.pixel_unit == "pixel"
    assert [source.name for source in image.metadata.sources] == ["map.rpl", "map.raw"]


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
@pytest.mark.parametrize("swapped", [False, True])
def test_raw_with_par_alone_is_read(tmp_path, dtype, swapped):
    counts = make_counts().astype(dtype)
    raw = write_raw(tmp_path / "map.raw", counts)
    entries = {**PAR, "Map Width": "14", "Map Height": "10"}
    if swapped:
        entries |= {
            "Map Width": 7,
            "Map Height": 5,
            "Resolution (Width)": 2,
            "Resolution (Height)": 2,
        }
    write_par(tmp_path / "map.par", entries)
    write_emsa(tmp_path / "map.msa", 64)
    image = quiet_read(raw)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    assert image.pixel_size == pytest.approx((2.0, 2.0))
    names = ["map.raw", "map.msa", "map.par"]
    assert [source.name for source in image.metadata.sources] == names


@pytest.mark.parametrize("entries", [PAR, {"Map Width": "3 um"}])
def test_raw_with_a_par_that_does_not_fit_is_refused(tmp_path, entries):
    raw = write_raw(tmp_path / "map.raw", make_counts()[:4])
    write_par(tmp_path / "map.par", entries)
    with pytest.raises(FileFormatError, match=r"map\.raw.*8,\d+.*\.rpl|map\.raw.*3,584.*\.rpl"):
        read(raw)


def test_raw_alone_is_refused(tmp_path):
    raw = write_raw(tmp_path / "map.raw", make_counts())
    with pytest.raises(SourceNotFoundError, match=r"map\.rpl.*\.par"):
        read(raw)


def test_companions_that_cannot_be_read_are_no_obstacle(rpl):
    rpl.with_name("map.msa").mkdir()
    rpl.with_name("map.txt").write_bytes(b"\xff\xfe#\x00F\x00")
    rpl.with_name("map.emsa").write_bytes(b"")
    rpl.with_name("map.par").write_text("wavelength: 1.5406\nnothing of ours\n")
    with pytest.warns(SigmaScaleWarning, match="10 eV"):
        image = read(rpl)
    assert image.shape == (5, 7, 64)
    assert [source.name for source in image.metadata.sources] == ["map.rpl", "map.raw"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12.0),
        ("-0,5", -0.5),
        ("1.0E-02 keV", 0.01),
        (".5", 0.5),
        ("2048.", 2048.0),
        ("", None),
        ("none", None),
        (None, None),
        ("1e999", None),
    ],
)
def test_numbers_of_texts(text, expected):
    assert number(text) == expected
