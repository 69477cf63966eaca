"""HyperSpy's files as HyperSpy writes them: counts, axes, metadata, and what is refused."""

import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hyperspy_files import make_data, write

from sigma_scale.errors import EmptyMapError, FileFormatError, NoSpectraError
from sigma_scale.features import line_intensity
from sigma_scale.readers import read
from sigma_scale.readers.signals import image_from_signals
from sigma_scale.store import write_map

pytest.importorskip("exspy")


@pytest.fixture
def make_file(tmp_path):
    """Write an EDS signal with HyperSpy; the function gets it before it is saved."""
    return partial(write, tmp_path)


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
    (first,) = read(path).metadata.with_hashes().sources
    files = [file for file in path.rglob("*") if file.is_file()]
    assert first.size == sum(file.stat().st_size for file in files)
    copy = path.with_name("copy.zspy")
    shutil.copytree(path, copy)
    assert read(copy).metadata.with_hashes().sources[0].digest == first.digest
    largest = max((f for f in copy.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    extra = largest.with_name("another")
    extra.write_bytes(b"x")
    assert read(copy).metadata.with_hashes().sources[0].digest != first.digest


def test_a_damaged_zspy_folder_is_refused(make_file):
    path = make_file(make_data(), suffix=".zspy")
    for file in path.rglob("*"):
        if file.is_file() and file.stat().st_size > 100:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(FileFormatError, match=r"map\.zspy"):
        read(path).to_xarray().compute()


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
    image = image_from_signals(path, signal, [signal], format_name="HyperSpy .hspy")
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
    image = read(make_file(data))
    with pytest.raises(FileFormatError, match=rf"map\.hspy.*{bad}"):
        image.to_xarray().compute()


@pytest.mark.parametrize("dtype", [np.complex64, "S3"])
def test_data_that_are_no_numbers_are_refused(make_file, dtype):
    with pytest.raises(FileFormatError, match=r"map\.hspy"):
        read(make_file(make_data().astype(dtype)))


def test_negative_floats_are_kept(make_file):
    data = make_data().astype(np.float32)
    data[2, 3, 4] = -1.5
    np.testing.assert_array_equal(read(make_file(data)).to_xarray(), data)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_no_numbers_are_refused(make_file, value):
    data = make_data().astype(np.float32)
    data[2, 3, 4] = value
    image = read(make_file(data))
    with pytest.raises(FileFormatError, match=r"map\.hspy.*1 pixels.*infinite or missing"):
        image.to_xarray().compute()


def test_a_pixel_that_was_not_measured_has_no_counts(make_file):
    data = make_data().astype(np.float32)
    data[2, 3] = np.nan
    found = read(make_file(data)).to_xarray().values
    np.testing.assert_array_equal(found, np.nan_to_num(data))
    assert found[2, 2].any()


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
    assert again.metadata == image.metadata.with_hashes()


def test_units_are_understood_by_many_threads_at_once():
    # In a process of its own: the fault was in pint's first use.
    code = (
        "import threading\n"
        "from sigma_scale.readers.signals import micrometres\n"
        "barrier, found = threading.Barrier(8), []\n"
        "def read():\n"
        "    barrier.wait()\n"
        "    found.append(micrometres(500, 'nm'))\n"
        "threads = [threading.Thread(target=read) for _ in range(8)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(found)\n"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert ended.stdout.strip() == str([0.5] * 8)
