"""Real Bruker files against RosettaSciIO, which decodes them whole and densely."""

import pickle

import numpy as np
import pytest
from blake3 import blake3

from sigma_scale.errors import FileFormatError, ParameterError, SourceNotFoundError
from sigma_scale.readers import read
from sigma_scale.spectra import Scratch
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


def test_every_block_is_its_part_of_the_map(case):
    _, image, signals = case
    expected = eds_of(signals)["data"]
    height, width = image.source.chunk_shape
    scratch = Scratch()
    for i, j in np.ndindex(image.n_blocks):
        part = expected[i * height : (i + 1) * height, j * width : (j + 1) * width]
        block, again = image.source.read_block(i, j), image.source.read_block(i, j, scratch)
        assert block.shape == part.shape
        assert block.n_events == np.count_nonzero(part)
        assert np.array_equal(again.to_dense(), part)
        for stream in ("per_pixel", "gap_low", "gap_high", "counts"):
            assert np.array_equal(getattr(block, stream), getattr(again, stream))


def test_energy_and_pixels_equal_rosettasciio(case):
    _, image, signals = case
    rows, _, energy = eds_of(signals)["axes"]
    assert energy["units"] == "keV"
    expected = energy["offset"] + energy["scale"] * np.arange(energy["size"])
    np.testing.assert_allclose(image.energy.values, expected, rtol=1e-12, atol=1e-12)
    if rows["units"] == "pix":
        assert image.pixel_unit == "pixel"
        assert image.pixel_size == (1.0, 1.0)
        return
    assert rows["units"] == image.pixel_unit == "µm"
    # RosettaSciIO gives the map the height of a pixel for both, but its images the width too.
    (y, x) = next(s for s in signals if s["data"].ndim == 2)["axes"]
    assert y["scale"] == rows["scale"]
    assert image.pixel_size == pytest.approx((y["scale"], x["scale"]), rel=1e-12)


def test_images_equal_rosettasciio(case):
    _, image, signals = case
    expected = [s for s in signals if s["data"].ndim == 2]
    assert len(image.images) == len(expected)
    for ours, theirs in zip(image.images.values(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs["data"])
        assert ours.attrs["long_name"] == theirs["metadata"]["General"]["title"]
        assert ours.dims == ("y", "x")
    of_size = next(s["data"] for s in expected if s["data"].shape == image.shape[:2])
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


def test_stage_position_equals_rosettasciio(case):
    _, image, signals = case
    stage = eds_of(signals)["original_metadata"]["Stage"]
    ours = image.metadata
    for axis in "XYZ":
        expected = stage[axis] / 1000 if axis in stage else None
        assert getattr(ours, f"stage_{axis.lower()}_mm") == expected
    assert ours.stage_tilt_deg == stage.get("Tilt")
    assert ours.stage_rotation_deg == stage.get("Rotation")


def test_an_overview_image_has_coordinates_of_its_own(real_data):
    image = read(real_data / "bcf_v2_50x50px.bcf")
    overview = image.images["Ch_1"]
    assert overview.shape == (825, 1100)
    assert overview.x.attrs["units"] == overview.y.attrs["units"] == "µm"
    assert float(overview.x[1]) == pytest.approx(0.01273058731)
    assert float(overview.y[1]) == pytest.approx(0.01180808099)


def test_source_is_on_record(case):
    path, image, _ = case
    (source,) = image.metadata.with_hashes().sources
    assert source.name == path.name
    assert source.size == path.stat().st_size
    assert source.digest == f"blake3:{blake3(path.read_bytes()).hexdigest()}"


def test_store_of_a_file_gives_back_what_was_read(case, tmp_path):
    _, image, signals = case
    store = tmp_path / "map.zarr"
    write_map(image, store)
    again = read(store)
    assert np.array_equal(again.to_xarray().values, eds_of(signals)["data"])
    assert again.energy == image.energy
    assert again.metadata == image.metadata.with_hashes()
    assert (again.pixel_size, again.pixel_unit) == (image.pixel_size, image.pixel_unit)
    assert set(again.images) == set(image.images)
    for name, picture in image.images.items():
        np.testing.assert_array_equal(again.images[name], picture)


@pytest.mark.parametrize("built", [False, True])
def test_a_source_is_the_same_after_pickling(case, built):
    path, image, _ = case
    source = read(path).source
    if built:
        assert source.index.starts.size
    again = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert again.dtype == image.source.dtype
    assert again.__dask_tokenize__() == source.__dask_tokenize__()
    ours, theirs = again.read_block(0, 0), image.source.read_block(0, 0)
    assert ours.shape == theirs.shape
    assert ours.n_events == theirs.n_events > 0
    for stream in ("per_pixel", "gap_low", "gap_high", "counts"):
        assert np.array_equal(getattr(ours, stream), getattr(theirs, stream))


def test_opening_reads_no_counts(case):
    path, _, _ = case
    source = read(path).source
    assert source._lazy._index is None
    assert source.shape == BCF[path.name]


def test_a_map_that_is_not_there_is_refused(real_data):
    path = real_data / "test_TEM.bcf"
    assert read(path, index=0).shape == BCF[path.name]
    for index in (1, -1, 7, "a"):
        with pytest.raises(ParameterError, match=r"test_TEM\.bcf.*one map"):
            read(path, index=index)


def test_a_file_that_is_no_bcf_is_refused(real_data):
    with pytest.raises(FileFormatError, match=r"Nope\.bcf.*Bruker"):
        read(real_data / "Nope.bcf")


def test_a_folder_and_nothing_are_refused(tmp_path):
    (tmp_path / "folder.bcf").mkdir()
    with pytest.raises(FileFormatError, match=r"folder\.bcf"):
        read(tmp_path / "folder.bcf")
    with pytest.raises(SourceNotFoundError, match=r"none\.bcf"):
        read(tmp_path / "none.bcf")
