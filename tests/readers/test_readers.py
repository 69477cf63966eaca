"""Readers against RosettaSciIO and HyperSpy, on real files and on files that HyperSpy writes."""

import hashlib
import os
import shutil
import subprocess
import sys
import warnings
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import pytest

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    NoSpectraError,
    SourceNotFoundError,
)
from sigma_scale.features import line_intensity
from sigma_scale.readers import known_suffixes, read
from sigma_scale.readers.signals import image_from_signals
from sigma_scale.store import write_map

BCF = {
    "P45_the_default_job.bcf": (75, 100, 2048),
    "Hitachi_TM3030Plus.bcf": (240, 320, 2048),
    "bcf_v2_50x50px.bcf": (50, 50, 2048),
    "test_TEM.bcf": (64, 64, 2048),
    "16x16_12bit_packed_8bit.bcf": (16, 16, 2048),
}


@pytest.fixture(scope="module", params=sorted(BCF))
def case(request, real_data):
    """A real file, what we read from it and what RosettaSciIO reads."""
    bruker = pytest.importorskip("rsciio.bruker")
    path = real_data / request.param
    return path, read(path), bruker.file_reader(str(path))


def eds_of(signals):
    (eds,) = [s for s in signals if "EDS" in s["metadata"]["Signal"].get("signal_type", "")]
    return eds


def test_counts_equal_rosettasciio(case):
    path, image, signals = case
    expected = eds_of(signals)["data"]
    assert image.shape == expected.shape == BCF[path.name]
    assert image.source.dtype == expected.dtype
    assert np.array_equal(image.to_xarray().values, expected)


def test_energy_and_pixels_equal_rosettasciio(case):
    _, image, signals = case
    rows, columns, energy = eds_of(signals)["axes"]
    assert energy["units"] == "keV"
    expected = energy["offset"] + energy["scale"] * np.arange(energy["size"])
    np.testing.assert_allclose(image.energy.values, expected, rtol=1e-12, atol=1e-12)
    if rows["units"] == "pix":
        assert image.pixel_unit == "pixel"
        assert image.pixel_size == (1.0, 1.0)
    else:
        assert rows["units"] == "µm"
        assert image.pixel_unit == "µm"
        assert image.pixel_size == pytest.approx((rows["scale"], columns["scale"]), rel=1e-12)


def test_images_equal_rosettasciio(case):
    _, image, signals = case
    expected = [s["data"] for s in signals if s["data"].ndim == 2]
    assert len(image.images) == len(expected)
    found = list(image.images.values())
    for picture in expected:
        assert any(np.array_equal(picture, one.values) for one in found)
    of_size = next(data for data in expected if data.shape == image.shape[:2])
    np.testing.assert_array_equal(image.navigation, of_size)


def test_metadata_equal_rosettasciio(case):
    _, image, signals = case
    theirs = eds_of(signals)["metadata"]
    ours = image.metadata
    ((instrument, details),) = theirs["Acquisition_instrument"].items()
    detector = details["Detector"]["EDS"]
    assert ours.instrument == instrument
    assert ours.beam_energy_kev == details["beam_energy"]
    assert ours.elevation_deg == detector["elevation_angle"]
    assert ours.azimuth_deg == detector.get("azimuth_angle")
    assert ours.real_time_s == detector["real_time"]
    assert ours.live_time_s == detector.get("live_time")
    assert list(ours.elements) == theirs["Sample"]["elements"]
    assert list(ours.lines) == theirs["Sample"]["xray_lines"]
    assert ours.resolution_mn_ka_ev == 130.0
    assert ours.title
    assert ours.title != "Undefined"


def test_source_is_on_record(case):
    path, image, _ = case
    (source,) = image.metadata.sources
    assert source.name == path.name
    assert source.size == path.stat().st_size
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_store_of_a_file_gives_back_what_was_read(case, tmp_path):
    _, image, signals = case
    store = tmp_path / "map.zarr"
    write_map(image, store)
    again = read(store)
    assert np.array_equal(again.to_xarray().values, eds_of(signals)["data"])
    assert again.energy == image.energy
    assert again.metadata == image.metadata
    assert (again.pixel_size, again.pixel_unit) == (image.pixel_size, image.pixel_unit)
    assert set(again.images) == set(image.images)
    for name, picture in image.images.items():
        np.testing.assert_array_equal(again.images[name], picture)


def test_known_suffixes_are_listed():
    assert set(known_suffixes()) >= {".bcf", ".hspy", ".zspy"}


def test_a_file_that_is_no_bcf_is_refused(real_data):
    with pytest.raises(FileFormatError, match=r"Nope\.bcf.*Bruker"):
        read(real_data / "Nope.bcf")


@pytest.mark.parametrize("suffix", [".bcf", ".hspy", ".zspy"])
@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"AAMVHFSS" + b"\xff" * 4096, b"<xml>"])
def test_files_of_rubbish_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"rubbish{suffix}"):
        read(path)


@pytest.mark.parametrize("name", ["none.bcf", "none.hspy", "none.zspy", "none.xyz", "none"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(SourceNotFoundError, match=name):
        read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / name))


@pytest.mark.parametrize("name", ["map.xyz", "map", "map.txt", "map.bcf.bak"])
def test_unknown_formats_are_refused_with_those_there_are(tmp_path, name):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(FileFormatError, match=rf"file .*{name}.*\.bcf, \.hspy, \.zspy"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["folder", "folder.bcf", "folder.hspy", "folder.zspy"])
def test_a_folder_that_is_no_store_is_refused(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing")
    with pytest.raises(FileFormatError, match=name):
        read(folder)


# Reads each file in a process of its own: a decoder that reads past its buffers ends the process.
READ_ALONE = """
import os, sys, warnings
from pathlib import Path
import numpy as np
import rsciio.bruker
import sigma_scale.spectra.image, sigma_scale.readers.bruker
from sigma_scale.errors import FileFormatError
from sigma_scale.readers import read
warnings.simplefilter("ignore")
right, *damaged = sys.argv[1:]
expected = read(right).source.data if right != "-" else None
for path in damaged:
    sys.stdout.flush()
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            print(f"{Path(path).parent.name}: ended with {status}")
        continue
    try:
        found = read(path)
        wrong = expected is not None and not np.array_equal(found.source.data, expected)
        if wrong:
            print(f"{Path(path).parent.name}: read wrong counts")
    except FileFormatError as error:
        if Path(path).name not in str(error):
            print(f"{Path(path).parent.name}: {error} names no file")
    except BaseException as error:
        print(f"{Path(path).parent.name}: {type(error).__name__} {error}")
    sys.stdout.flush()
    os._exit(0)
"""


def faults(contents, right, name, folder):
    """Read damaged contents; give what went otherwise than refused, or right."""
    paths = []
    for label, content in contents.items():
        path = folder / label / name
        path.parent.mkdir()
        path.write_bytes(content)
        paths.append(path)
    command = [sys.executable, "-c", READ_ALONE, str(right), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork on this system")


@needs_fork
@pytest.mark.parametrize("name", ["16x16_12bit_packed_8bit.bcf", "P45_the_default_job.bcf"])
def test_truncated_files_are_refused_or_right(real_data, tmp_path, name):
    whole = (real_data / name).read_bytes()
    parts = (0.001, 0.01, 0.1, 0.33, 0.5, 0.8, 0.95, 0.99, 0.9999)
    contents = {f"part_{part}": whole[: int(part * len(whole))] for part in parts}
    assert faults(contents, real_data / name, name, tmp_path) == ""


@needs_fork
def test_overwritten_bytes_raise_nothing_but_our_errors(real_data, tmp_path):
    name = "16x16_12bit_packed_8bit.bcf"
    contents = {}
    for seed in range(10):
        content = bytearray((real_data / name).read_bytes())
        rng = np.random.default_rng(seed)
        # Headers and tables of the container lie at the beginning and in a few blocks.
        for place in rng.integers(0, len(content) if seed % 2 else 4096, 40):
            content[place] = rng.integers(0, 256)
        contents[f"seed_{seed}"] = content
    assert faults(contents, "-", name, tmp_path) == ""


# ------------------------------------------------------------------- files of HyperSpy


@contextmanager
def older_zarr():
    """Let RosettaSciIO 0.15 write .zspy: it calls zarr by the names that zarr 2 had."""
    import zarr
    import zarr.storage

    names = {"ZipStore": zarr.storage.ZipStore, "DBMStore": int, "LMDBStore": int}
    with ExitStack() as stack:
        if not hasattr(zarr.storage, "NestedDirectoryStore"):
            for module, name, value in [
                (zarr.storage, "NestedDirectoryStore", zarr.storage.LocalStore),
                *((zarr, name, value) for name, value in names.items()),
            ]:
                stack.enter_context(mock.patch.object(module, name, value, create=True))
        for old, new in (("require_dataset", "require_array"), ("create_dataset", "create_array")):
            if not hasattr(zarr.Group, old):
                method = getattr(zarr.Group, new)
                stack.enter_context(mock.patch.object(zarr.Group, old, method, create=True))
        stack.enter_context(zarr.config.set({"default_zarr_format": 2}))
        yield


@pytest.fixture(scope="module")
def exspy():
    return pytest.importorskip("exspy")


@pytest.fixture
def make_file(exspy, tmp_path):
    """Write an EDS signal with HyperSpy; the function gets it before it is saved."""

    def write(data, change=None, *, kind="SEM", suffix=".hspy", units="µm"):
        signals = {"SEM": exspy.signals.EDSSEMSpectrum, "TEM": exspy.signals.EDSTEMSpectrum}
        signal = signals[kind](data)
        energy = signal.axes_manager.signal_axes[0]
        energy.name, energy.units, energy.scale, energy.offset = "Energy", "keV", 0.02, -0.1
        for axis, scale in zip(signal.axes_manager.navigation_axes, (0.25, 0.5), strict=False):
            axis.scale = scale
            if units is not None:
                axis.units = units
        if change is not None:
            signal = change(signal) or signal
        path = tmp_path / f"map{suffix}"
        with warnings.catch_warnings(), older_zarr():
            warnings.simplefilter("ignore")
            signal.save(path)
        return path

    return write


def make_data(shape=(5, 7, 60), dtype=np.uint16):
    return np.random.default_rng(2).poisson(1.5, shape).astype(dtype)


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
@pytest.mark.parametrize("kind", ["SEM", "TEM"])
def test_hyperspy_files_keep_counts_axes_and_metadata(make_file, suffix, kind):
    data = make_data()

    def describe(signal):
        signal.set_microscope_parameters(
            beam_energy=15.0,
            live_time=12.5,
            elevation_angle=35.0,
            azimuth_angle=45.0,
            energy_resolution_MnKa=128.0,
        )
        signal.set_elements(["Al", "Si"])
        signal.set_lines(["Al_Ka", "Si_Ka"])
        signal.metadata.Sample.name = "a rock"
        detector = f"Acquisition_instrument.{kind}.Detector.EDS"
        signal.metadata.set_item(f"{detector}.real_time", 14.0)

    image = read(make_file(data, describe, kind=kind, suffix=suffix))
    np.testing.assert_array_equal(image.to_xarray(), data)
    assert image.source.dtype == np.uint16
    np.testing.assert_allclose(image.energy.values, -0.1 + 0.02 * np.arange(60), atol=1e-12)
    assert image.pixel_size == pytest.approx((0.5, 0.25))
    assert image.pixel_unit == "µm"
    ours = image.metadata
    assert (ours.title, ours.instrument) == ("a rock", kind)
    assert (ours.beam_energy_kev, ours.live_time_s) == (15.0, 12.5)
    assert (ours.elevation_deg, ours.azimuth_deg) == (35.0, 45.0)
    assert ours.resolution_mn_ka_ev == 128.0
    assert (ours.elements, ours.lines) == (("Al", "Si"), ("Al_Ka", "Si_Ka"))
    assert ours.real_time_s == 14.0


@pytest.mark.parametrize("suffix", [".hspy", ".HSPY"])
def test_suffixes_go_by_any_case(make_file, suffix):
    path = make_file(make_data())
    renamed = path.rename(path.with_suffix(suffix))
    assert read(renamed).shape == (5, 7, 60)


def test_a_zspy_folder_is_hashed_with_its_files(make_file):
    path = make_file(make_data(), suffix=".zspy")
    (first,) = read(path).metadata.sources
    files = [file for file in path.rglob("*") if file.is_file()]
    assert first.size == sum(file.stat().st_size for file in files)
    copy = path.with_name("copy.zspy")
    shutil.copytree(path, copy)
    assert read(copy).metadata.sources[0].sha256 == first.sha256
    largest = max((f for f in copy.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    extra = largest.with_name("another")
    extra.write_bytes(b"x")
    assert read(copy).metadata.sources[0].sha256 != first.sha256


def test_a_damaged_zspy_folder_is_refused(make_file):
    path = make_file(make_data(), suffix=".zspy")
    for file in path.rglob("*"):
        if file.is_file() and file.stat().st_size > 100:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(FileFormatError, match=r"map\.zspy"):
        read(path)


@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_hspy_file_is_refused(make_file, part):
    path = make_file(make_data())
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileFormatError, match=r"map\.hspy"):
        read(path)


def test_energies_in_ev_become_kev(make_file):
    def in_ev(signal):
        energy = signal.axes_manager.signal_axes[0]
        energy.units, energy.scale, energy.offset = "eV", 20.0, -100.0

    data = make_data((4, 5, 120))
    image = read(make_file(data, in_ev))
    np.testing.assert_allclose(image.energy.values, -0.1 + 0.02 * np.arange(120), atol=1e-12)
    reference = read(make_file(data))
    lines = ["Al_Ka", "Si_Ka"]
    np.testing.assert_array_equal(line_intensity(image, lines), line_intensity(reference, lines))


def test_the_energy_axis_may_be_stored_first(make_file):
    data = make_data()
    expected = read(make_file(data))
    path = make_file(data)
    hspy = pytest.importorskip("rsciio.hspy")
    (signal,) = hspy.file_reader(str(path))
    rows, columns, energy = signal["axes"]
    signal["axes"] = [energy, rows, columns]
    signal["data"] = np.moveaxis(signal["data"], -1, 0)
    image = image_from_signals(path, signal, [signal])
    np.testing.assert_array_equal(image.to_xarray(), data)
    assert (image.energy, image.pixel_size) == (expected.energy, expected.pixel_size)


def test_int64_counts_become_unsigned(make_file):
    data = make_data(dtype=np.int64)
    image = read(make_file(data))
    assert image.source.dtype == np.uint32
    np.testing.assert_array_equal(image.to_xarray(), data)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8, np.uint32, np.uint64])
def test_counts_of_any_integer_type_are_unsigned(make_file, dtype):
    data = make_data(dtype=dtype)
    image = read(make_file(data))
    assert image.source.dtype == np.dtype(f"u{min(np.dtype(dtype).itemsize, 4)}")
    np.testing.assert_array_equal(image.to_xarray(), data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_stay_floats(make_file, dtype):
    data = (make_data() / 3).astype(dtype)
    image = read(make_file(data))
    assert image.source.dtype == dtype
    np.testing.assert_array_equal(image.to_xarray(), data)


def test_half_floats_become_floats(make_file):
    data = make_data().astype(np.float16)
    image = read(make_file(data))
    assert image.source.dtype == np.float32
    np.testing.assert_array_equal(image.to_xarray(), data)


@pytest.mark.parametrize("bad", [-1, 2**32])
def test_counts_that_cannot_be_are_refused(make_file, bad):
    data = make_data(dtype=np.int64)
    data[2, 3, 4] = bad
    with pytest.raises(FileFormatError, match=rf"map\.hspy.*{bad}"):
        read(make_file(data))


@pytest.mark.parametrize("dtype", [np.complex64, "S3"])
def test_data_that_are_no_numbers_are_refused(make_file, dtype):
    with pytest.raises(FileFormatError, match=r"map\.hspy"):
        read(make_file(make_data().astype(dtype)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.5])
def test_floats_are_kept_whatever_they_are(make_file, value):
    data = make_data().astype(np.float32)
    data[2, 3, 4] = value
    np.testing.assert_array_equal(read(make_file(data)).to_xarray(), data)


def test_a_line_scan_becomes_one_row(make_file):
    data = make_data((9, 60))
    image = read(make_file(data))
    assert image.shape == (1, 9, 60)
    np.testing.assert_array_equal(image.to_xarray(), data[None])


def test_a_single_spectrum_becomes_one_pixel(make_file):
    data = make_data((60,))
    image = read(make_file(data))
    assert image.shape == (1, 1, 60)
    np.testing.assert_array_equal(image.to_xarray(), data[None, None])
    assert image.pixel_unit == "pixel"


def test_a_stack_of_maps_is_refused(make_file):
    with pytest.raises(FileFormatError, match=r"map\.hspy.*\(2, 3, 4, 60\)"):
        read(make_file(make_data((2, 3, 4, 60))))


def test_a_file_without_eds_lists_what_it_holds(tmp_path):
    hs = pytest.importorskip("hyperspy.api")
    signal = hs.signals.Signal2D(np.zeros((6, 8)))
    signal.metadata.General.title = "HAADF"
    signal.save(tmp_path / "picture.hspy")
    with pytest.raises(NoSpectraError, match=r"picture\.hspy.*HAADF.*\(6, 8\)"):
        read(tmp_path / "picture.hspy")


@pytest.mark.parametrize(
    ("units", "micrometres"),
    [("nm", 1e-3), ("mm", 1e3), ("m", 1e6), ("µm", 1.0), ("um", 1.0), ("μm", 1.0), ("Å", 1e-4)],
)
def test_pixels_are_in_micrometres(make_file, units, micrometres):
    image = read(make_file(make_data(), units=units))
    assert image.pixel_unit == "µm"
    assert image.pixel_size == pytest.approx((0.5 * micrometres, 0.25 * micrometres))


@pytest.mark.parametrize("units", [None, "", "pix", "px", "pixel", "nonsense", "s", "<undefined>"])
def test_pixels_without_a_length_are_pixels(make_file, units):
    image = read(make_file(make_data(), units=units))
    assert image.pixel_unit == "pixel"
    assert image.pixel_size == (1.0, 1.0)


def test_a_map_without_counts_is_a_map(make_file):
    image = read(make_file(np.zeros((5, 7, 60), np.uint16)))
    assert image.shape == (5, 7, 60)
    assert int(image.sum_spectrum().sum()) == 0
    assert int(image.to_xarray().sum()) == 0


@pytest.mark.parametrize("scale", [0.0, -0.02])
def test_an_energy_axis_that_makes_no_sense_is_refused(make_file, scale):
    def spoil(signal):
        signal.axes_manager.signal_axes[0].scale = scale

    with pytest.raises((FileFormatError, EmptyMapError), match=r"map\.hspy"):
        read(make_file(make_data(), spoil))


def test_a_hyperspy_file_goes_to_a_store_and_back(make_file, tmp_path):
    data = make_data((130, 9, 60))
    image = read(make_file(data, suffix=".zspy"))
    write_map(image, tmp_path / "map.zarr")
    again = read(tmp_path / "map.zarr")
    np.testing.assert_array_equal(again.to_xarray(), data)
    assert again.metadata == image.metadata
