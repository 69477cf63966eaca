"""Formats that go through RosettaSciIO: JEOL, EDAX, DigitalMicrograph."""

import pickle
import warnings

import numpy as np
import pytest
from generic_files import rewrite_pts, write_dm3, write_spd, x_ray_tags
from mutate import faults, read_everything

from sigma_scale import config
from sigma_scale.errors import (
    FileFormatError,
    MemoryLimitError,
    NoSpectraError,
    ParameterError,
    SigmaScaleWarning,
)
from sigma_scale.readers import read

PTS = "jeol/View000_0000006.pts"
UNIT = 8  # of position per pixel: the map of the real file has 512 x 512


def make_data(shape=(6, 7, 50), dtype="u2"):
    return np.random.default_rng(3).poisson(1.0, shape).astype(dtype)


# ------------------------------------------------------------------------------------ JEOL


@pytest.fixture(scope="module")
def pts(real_data):
    """The real file, what we read and what RosettaSciIO reads."""
    from rsciio.jeol import file_reader

    (expected,) = file_reader(str(real_data / PTS))
    return read(real_data / PTS), expected


def test_x_rays_of_a_pts_file_equal_rosettasciio(pts):
    image, expected = pts
    assert image.shape == expected["data"].shape
    height = image.source.chunk_shape[0]
    for row in range(image.n_blocks[0]):
        dense = image.source.read_block(row, 0).to_dense()
        assert np.array_equal(dense, expected["data"][row * height : (row + 1) * height])
    assert int(image.sum_spectrum().sum()) == 308_261


def test_axes_and_metadata_of_a_pts_file_equal_rosettasciio(pts):
    image, expected = pts
    rows, columns, energy = expected["axes"]
    values = energy["offset"] + energy["scale"] * np.arange(energy["size"])
    np.testing.assert_allclose(image.energy.values, values, rtol=1e-12, atol=1e-12)
    assert image.pixel_size == pytest.approx((rows["scale"], columns["scale"]))
    (tem,) = expected["metadata"]["Acquisition_instrument"].values()
    ours = image.metadata
    assert (ours.instrument, ours.beam_energy_kev) == ("TEM", tem["beam_energy"])
    assert ours.elevation_deg == pytest.approx(tem["Detector"]["EDS"]["elevation_angle"])
    assert ours.azimuth_deg == tem["Detector"]["EDS"]["azimuth_angle"]
    assert ours.resolution_mn_ka_ev == tem["Detector"]["EDS"]["energy_resolution_MnKa"]
    assert ours.real_time_s == tem["Detector"]["EDS"]["real_time"]
    assert ours.live_time_s == pytest.approx(325.46)


def frame(rng, last_row=511, *, with_image=True):
    """Words of one frame with few X-rays and, if asked for, electron intensities."""
    words = []
    for row in range(last_row + 1):
        words.append(0x9000 + UNIT * row)
        for column in (*sorted(rng.choice(511, 3, replace=False).tolist()), 511):
            words.append(0x8000 + UNIT * column)
            if with_image:
                words.append(0xA000 + int(rng.integers(4096)))
            words += [0xB000 + int(channel) for channel in rng.integers(0, 60, 2)]
    return words


@pytest.mark.parametrize("with_image", [True, False])
def test_only_complete_frames_of_a_pts_file_count(real_data, tmp_path, with_image):
    from rsciio.jeol import file_reader

    rng = np.random.default_rng(4)
    # A word of no known kind, and an X-ray before any position.
    words = [0xC123, 0xB005, *frame(rng, with_image=with_image), *frame(rng, with_image=with_image)]
    words += frame(rng, 300, with_image=with_image)
    path = rewrite_pts(real_data / PTS, tmp_path / "map.pts", np.array(words), sweeps=2)
    signals = file_reader(str(path), cutoff_at_kV=1.0, read_em_image=True)
    n_channels = signals[0]["data"].shape[2]
    image = read(path)
    height = image.source.chunk_shape[0]
    total = 0
    for row in range(image.n_blocks[0]):
        dense = image.source.read_block(row, 0).to_dense()
        total += int(dense.sum())
        expected = signals[0]["data"][row * height : (row + 1) * height]
        assert np.array_equal(dense[..., :n_channels], expected)
    assert total == 2 * 512 * 4 * 2 + 1
    assert len(signals) == 1 + with_image
    if with_image:
        np.testing.assert_array_equal(image.navigation, signals[1]["data"])
    else:
        assert not image.images


def test_a_pts_source_can_be_pickled(pts):
    image, _ = pts
    again = pickle.loads(pickle.dumps(image.source))  # noqa: S301
    np.testing.assert_array_equal(
        again.read_block(3, 0).to_dense(), image.source.read_block(3, 0).to_dense()
    )


def test_a_pts_file_without_a_complete_frame_is_refused(real_data, tmp_path):
    words = np.array(frame(np.random.default_rng(4), 300))
    path = rewrite_pts(real_data / PTS, tmp_path / "map.pts", words, sweeps=0)
    with pytest.raises(NoSpectraError, match=r"map\.pts.*frame"):
        read(path)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.5, 0.9999])
def test_a_truncated_pts_file_is_refused(real_data, tmp_path, part):
    content = (real_data / PTS).read_bytes()
    (tmp_path / "map.pts").write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileFormatError, match=r"map\.pts"):
        read(tmp_path / "map.pts")


def test_damaged_pts_files_are_refused_or_read(real_data, tmp_path):
    words = np.array(frame(np.random.default_rng(4)))
    path = rewrite_pts(real_data / PTS, tmp_path / "map.pts", words, sweeps=0)
    assert faults(ignoring_warnings, path, folder_in(tmp_path)) == {}


# ------------------------------------------------------------------------------------ EDAX


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_spd_maps_equal_rosettasciio(tmp_path, dtype):
    from rsciio.edax import file_reader

    data = make_data((140, 30, 50), dtype)
    path = write_spd(tmp_path / "map.spd", data)
    (expected,) = file_reader(str(path))
    np.testing.assert_array_equal(expected["data"], data)
    image = pickle.loads(pickle.dumps(read(path)))  # noqa: S301
    np.testing.assert_array_equal(image.to_xarray(), data)
    assert image.source.dtype == dtype
    assert image.energy.scale_kev == pytest.approx(0.02)
    assert image.energy.offset_kev == pytest.approx(0.1)
    assert (image.pixel_size, image.pixel_unit) == (pytest.approx((0.5, 0.25)), "µm")
    ours = image.metadata
    assert (ours.beam_energy_kev, ours.elements, ours.live_time_s) == (15.0, ("Al", "Si"), 7.0)


def test_an_spd_map_without_calibration_warns(tmp_path):
    path = write_spd(tmp_path / "map.spd", make_data(), spc=False, ipr=False)
    with pytest.warns(SigmaScaleWarning, match=r"map\.spd.*10 eV.*\.spc"):
        image = read(path)
    assert (image.energy.scale_kev, image.energy.offset_kev) == (0.01, -0.2)
    assert image.pixel_unit == "pixel"
    np.testing.assert_array_equal(image.to_xarray(), make_data())


@pytest.mark.parametrize("cut", [1, 3000, 5000])
def test_a_truncated_spd_map_is_refused(tmp_path, cut):
    path = write_spd(tmp_path / "map.spd", make_data())
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(FileFormatError, match=r"map\.spd"):
        ignoring_warnings(path)


def test_damaged_spd_maps_are_refused_or_read(tmp_path):
    path = write_spd(tmp_path / "map.spd", make_data())
    assert faults(ignoring_warnings, path, folder_in(tmp_path)) == {}


# ------------------------------------------------------------------------ DigitalMicrograph


def x_rays(data, **changes):
    """Map of X-rays as DigitalMicrograph stores it: channels first."""
    axes = [(10.0, 0.01, "keV"), (0.0, 2.0, "nm"), (0.0, 1.0, "nm")]
    stored = np.ascontiguousarray(np.moveaxis(data, -1, 0))
    return {"data": stored, "axes": axes, "name": "EDS", "tags": x_ray_tags(), **changes}


PICTURE = {
    "data": np.arange(42, dtype="i4").reshape(6, 7),
    "axes": [(0, 2.0, "nm"), (0, 1.0, "nm")],
}


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4"])
def test_dm3_maps_equal_rosettasciio(tmp_path, dtype):
    from rsciio.digitalmicrograph import file_reader

    data = make_data((140, 30, 50), dtype)
    path = write_dm3(tmp_path / "map.dm3", [x_rays(data)])
    (expected,) = file_reader(str(path))
    np.testing.assert_array_equal(np.moveaxis(expected["data"], 0, -1), data)
    image = pickle.loads(pickle.dumps(read(path)))  # noqa: S301
    np.testing.assert_array_equal(image.to_xarray(), data)
    assert image.energy.scale_kev == pytest.approx(0.01)
    assert image.energy.offset_kev == pytest.approx(-0.1)
    assert image.pixel_size == pytest.approx((0.002, 0.001))
    assert (image.metadata.instrument, image.metadata.beam_energy_kev) == ("TEM", 200.0)


def test_images_beside_a_dm3_map_are_kept(tmp_path):
    signals = [{**PICTURE, "name": "HAADF"}, x_rays(make_data())]
    image = read(write_dm3(tmp_path / "map.dm3", signals))
    np.testing.assert_array_equal(image.navigation, PICTURE["data"])
    np.testing.assert_array_equal(image.to_xarray(), make_data())


def test_one_of_several_dm3_maps_is_chosen(tmp_path):
    signals = [x_rays(make_data()), x_rays(make_data() + 1, name="other")]
    path = write_dm3(tmp_path / "map.dm3", signals)
    np.testing.assert_array_equal(read(path, title="other").to_xarray(), make_data() + 1)
    with pytest.raises(ParameterError, match="'EDS', 'other'"):
        read(path, title="none")


def test_a_dm3_file_without_x_rays_lists_what_it_holds(tmp_path):
    path = write_dm3(tmp_path / "map.dm3", [{**PICTURE, "name": "HAADF"}])
    with pytest.raises(NoSpectraError, match=r"map\.dm3.*HAADF \(6, 7\)"):
        read(path)


def test_damaged_dm3_files_are_refused_or_read(tmp_path):
    path = write_dm3(tmp_path / "map.dm3", [{**PICTURE, "name": "HAADF"}, x_rays(make_data())])
    assert faults(ignoring_warnings, path, folder_in(tmp_path)) == {}


# ------------------------------------------------------------------------------ any of them


@pytest.mark.parametrize("suffix", [".pts", ".spd", ".lsd", ".elid", ".dm3", ".dm4"])
@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"\xff" * 4096, b"0\1\0\0" + b"\xff" * 90])
def test_files_of_rubbish_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)
    with pytest.raises((FileFormatError, NoSpectraError), match=f"rubbish{suffix}"):
        ignoring_warnings(path)


def test_a_format_that_is_read_whole_is_refused_beyond_the_memory_limit(tmp_path):
    path = tmp_path / "map.elid"
    path.write_bytes(bytes(100_000))
    with config.options(memory_limit="1MB"), pytest.raises(MemoryLimitError, match=r"map\.elid"):
        read(path)


def ignoring_warnings(path):
    """Read everything; warnings say nothing of faults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_everything(path)


def folder_in(parent):
    folder = parent / "damaged"
    folder.mkdir()
    return folder
