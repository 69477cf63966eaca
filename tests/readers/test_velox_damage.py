"""What a Velox reader refuses, and how: wrong options, other contents, links, damage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from mutate import MUTATIONS, faults, read_everything
from velox_files import SEPARATOR, new_velox, write_velox

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    NoSpectraError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
)
from sigma_scale.readers import read

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = np.random.default_rng(1).poisson(0.1, (2, 2, 6, 9, 40))
STREAM = f"Data/SpectrumStream/{2:032x}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound file of 6 x 9 pixels, 40 channels, two frames and two detectors."""
    return write_velox(tmp_path / "map.emd", COUNTS)


def read_counts(path: Path, **options: Any) -> None:
    image = read(path, **options)
    for row in range(image.n_blocks[0]):
        image.source.read_block(row, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detectors": ["SuperXG25"]}, "'SuperXG25'.* 0: SuperXG21, 1: SuperXG22"),
        ({"detectors": [2]}, "0: SuperXG21, 1: SuperXG22"),
        ({"detectors": -1}, "0: SuperXG21"),
        ({"detectors": True}, "0: SuperXG21"),
        ({"detectors": []}, "No detector"),
        ({"frames": (0, 3)}, "2 frames have the numbers 0 to 1"),
        ({"frames": (1, 1)}, "2 frames"),
        ({"frames": (-1, 1)}, "2 frames"),
        ({"frames": (1,)}, "first, one after the last"),
        ({"frames": 1}, "first, one after the last"),
        ({"frames": ("a", "b")}, "first, one after the last"),
    ],
)
def test_options_that_the_file_cannot_serve(
    path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        read(path, **options)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"none\.emd"):
        read(tmp_path / "none.emd")
    (tmp_path / "folder.emd").mkdir()
    with pytest.raises(FileFormatError, match="folder"):
        read(tmp_path / "folder.emd")


@pytest.mark.parametrize("content", [b"", b"Version", b"\x89HDF\r\n\x1a\n", bytes(5000)])
def test_other_contents_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "map.emd"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"map\.emd"):
        read(path)


def test_files_without_streams_tell_what_they_hold(path: Path) -> None:
    with h5py.File(path, "a") as file:
        for name in list(file["Data/SpectrumStream"]):
            del file[f"Data/SpectrumStream/{name}"]
    with pytest.raises(NoSpectraError, match=r"1 of Data/Image \(6 x 9 x 1\)"):
        read(path)
    with h5py.File(path, "a") as file:
        del file["Data"]
    with pytest.raises(NoSpectraError, match="nothing under Data"):
        read(path)


def test_berkeley_files_tell_what_they_hold(tmp_path: Path) -> None:
    from rsciio.emd import file_writer

    path = tmp_path / "berkeley.emd"
    data = np.ones((3, 4, 5), dtype=np.uint16)
    axes = [
        {
            "name": name,
            "size": size,
            "offset": 0.0,
            "scale": 1.0,
            "units": "nm",
            "navigate": navigate,
        }
        for name, size, navigate in (("y", 3, True), ("x", 4, True), ("E", 5, False))
    ]
    signal = {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": "Cube"}, "Signal": {"signal_type": "EELS"}},
        "original_metadata": {},
    }
    file_writer(str(path), signal)
    with pytest.raises(NoSpectraError, match=r"\(3, 4, 5\)"):
        read(path)


def test_berkeley_files_that_say_eds_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No version of RosettaSciIO tells EDS yet; should one do so, its signals are taken."""
    path = tmp_path / "berkeley.emd"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(3)
    data = np.random.default_rng(0).poisson(1.0, (3, 4, 5)).astype(np.uint16)
    axes = [
        {"name": "y", "size": 3, "offset": 0.0, "scale": 2.0, "units": "nm", "navigate": True},
        {"name": "x", "size": 4, "offset": 0.0, "scale": 2.0, "units": "nm", "navigate": True},
        {"name": "E", "size": 5, "offset": -0.1, "scale": 0.02, "units": "keV", "navigate": False},
    ]
    metadata = {"General": {"title": "Cube"}, "Signal": {"signal_type": "EDS_TEM"}}
    signals = [{"data": data, "axes": axes, "metadata": metadata}]
    monkeypatch.setattr("sigma_scale.readers.velox.berkeley._signals", lambda _: signals)
    image = read(path)
    np.testing.assert_array_equal(image.source.read_block(0, 0).to_dense(), data)
    assert image.energy.offset_kev == pytest.approx(-0.1)


def test_links_are_not_followed(path: Path, tmp_path: Path) -> None:
    other = write_velox(tmp_path / "other.emd", COUNTS)
    for link in (
        h5py.ExternalLink(other.name, f"{STREAM}/Data"),
        h5py.SoftLink(f"/Data/SpectrumStream/{1:032x}/Data"),
    ):
        with h5py.File(path, "a") as file:
            del file[f"{STREAM}/Data"]
            file[f"{STREAM}/Data"] = link
        with pytest.raises(FileFormatError, match=r"map\.emd.*link"):
            read(path)


def test_data_in_other_files_are_not_read(path: Path, tmp_path: Path) -> None:
    other = write_velox(tmp_path / "other.emd", COUNTS)
    words = 500
    layout = h5py.VirtualLayout((words, 1), dtype="u2")
    layout[:] = h5py.VirtualSource(other, f"{STREAM}/Data", shape=(words, 1))
    with h5py.File(path, "a", libver="latest") as file:
        del file[f"{STREAM}/Data"]
        file.create_virtual_dataset(f"{STREAM}/Data", layout)
    with pytest.raises(FileFormatError, match="other files"):
        read(path)
    (tmp_path / "raw").write_bytes(bytes(2 * words))
    with h5py.File(path, "a") as file:
        del file[f"{STREAM}/Data"]
        file.create_dataset(
            f"{STREAM}/Data", (words, 1), "u2", external=[(tmp_path / "raw", 0, 2 * words)]
        )
    with pytest.raises(FileFormatError, match="other files"):
        read(path)


@pytest.mark.parametrize(
    ("storage", "fill", "message"),
    [
        (
            {"shape": (10**12, 1), "chunks": (8192, 1)},
            None,
            "header describes 2,000,000,000,000 bytes",
        ),
        (
            {"shape": (10**12, 1), "chunks": (8192, 1), "compression": "gzip"},
            None,
            "header describes 2,000,000,000,000 bytes",
        ),
        (
            {"shape": (10**8, 1), "chunks": (8192, 1)},
            None,
            "claims 200,000,000 bytes, but 0 are stored",
        ),
        (
            {"shape": (2**25, 1), "chunks": (2**25, 1), "compression": "gzip"},
            0,
            "pieces of 67,108,864 bytes",
        ),
    ],
)
def test_sizes_that_the_file_cannot_hold_are_refused(
    path: Path, storage: dict[str, Any], fill: int | None, message: str
) -> None:
    with h5py.File(path, "a") as file:
        del file[f"{STREAM}/Data"]
        data = file.create_dataset(f"{STREAM}/Data", dtype="u2", **storage)
        if fill is not None:
            data[:] = fill
    with pytest.raises(FileFormatError, match=rf"map\.emd.*{message}"):
        read(path)


def test_maps_larger_than_their_stream_are_refused(tmp_path: Path) -> None:
    scan = {"ScanSize": {"width": "1000000", "height": "1000000"}}
    path = write_velox(tmp_path / "map.emd", COUNTS, scan=scan, raster=(10**6, 10**6), images={})
    with pytest.raises(FileFormatError, match=r"1,000,000 x 1,000,000 pixels"):
        read(path)


def test_absurd_numbers_of_frames_are_not_believed(tmp_path: Path) -> None:
    image = read(write_velox(tmp_path / "map.emd", COUNTS, end_frame=10**9))
    expected = COUNTS.sum(axis=(0, 1))
    np.testing.assert_array_equal(image.source.read_block(0, 0).to_dense(), expected)


def test_too_many_frames_at_once_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sigma_scale.readers.velox.source._LARGEST_INDEX", 1)
    with pytest.raises(FileFormatError, match=r"2 frames of 6 x 9 pixels.*option `frames`"):
        read_counts(path)
    read_counts(path, frames=(0, 1))


def test_pulses_outside_of_the_spectrum_are_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        words = file[f"{STREAM}/Data"]
        place = int(np.flatnonzero(words[:, 0] != SEPARATOR)[-1])
        words[place] = 40
    image = read(path)
    with pytest.raises(
        FileFormatError, match=r"map\.emd.* rows 0 and 5 .*channel 40.* 40 channels"
    ):
        image.source.read_block(0, 0)


def _settings(path: Path, **changes: Any) -> None:
    with h5py.File(path, "a") as file:
        text = file[f"{STREAM}/AcquisitionSettings"]
        text[0] = json.dumps({**json.loads(text[0]), **changes})


@pytest.mark.parametrize("channels", ["41", "-1", "70000", "x", "nan", "1e400", None, [3], 4.5])
def test_numbers_of_channels_that_cannot_be(path: Path, channels: Any) -> None:
    _settings(path, bincount=channels)
    with pytest.raises(FileFormatError, match=r"map\.emd"):
        read(path)


def test_maps_without_channels_or_words_are_empty(path: Path) -> None:
    _settings(path, bincount="0")
    with pytest.raises(EmptyMapError, match=r"map\.emd"):
        read(path, detectors=[0])
    with h5py.File(path, "a") as file:
        for group in file["Data/SpectrumStream"].values():
            group["Data"].resize(0, axis=0)
    with pytest.raises(NoSpectraError, match="stream"):
        read(path)


@pytest.mark.parametrize("missing", ["AcquisitionSettings", "Metadata"])
def test_missing_parts_of_a_stream_are_named(path: Path, missing: str) -> None:
    with h5py.File(path, "a") as file:
        del file[f"{STREAM}/{missing}"]
    with pytest.raises(FileFormatError, match=r"map\.emd.* settings or metadata"):
        read(path)


def test_texts_that_tell_less_than_they_might_do_no_harm(path: Path) -> None:
    with h5py.File(path, "a") as file:
        for name in list(file["SharedProperties/ImageSeriesDataReference"]):
            file[f"SharedProperties/ImageSeriesDataReference/{name}"][0] = "[1]"
        for name in list(file["SharedProperties/EDSSpectrumQuantificationSettings"]):
            file[f"SharedProperties/EDSSpectrumQuantificationSettings/{name}"][0] = "{"
        for group in file["Data/Image"].values():
            group["Metadata"][:5] = 255
        metadata = file[f"{STREAM}/Metadata"][()]
        del file[f"{STREAM}/Metadata"]
        file[f"{STREAM}/Metadata"] = np.hstack([metadata, np.zeros_like(metadata)])
    image = read(path)
    assert image.navigation.attrs["long_name"] == "image"
    assert image.metadata.elements == ()
    np.testing.assert_array_equal(image.source.read_block(0, 0).to_dense(), COUNTS.sum(axis=(0, 1)))


def test_streams_of_other_types_are_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file[f"{STREAM}/Data"]
        file[f"{STREAM}/Data"] = np.zeros((50, 1), dtype=np.uint32)
    with pytest.raises(FileFormatError, match="16-bit words"):
        read(path)


def test_a_shape_is_needed(path: Path) -> None:
    scan: dict[str, Any] = {"ScanSize": {"width": "0", "height": "nan"}}
    path = write_velox(path, COUNTS, scan=scan, raster=(0, 0), images={})
    with pytest.raises(FileFormatError, match=r"map\.emd doesn't tell how many rows"):
        read(path)


def test_a_file_changed_after_opening_is_refused(path: Path) -> None:
    image = read(path)
    write_velox(path, COUNTS[:1])
    with pytest.raises(FileFormatError, match=r"map\.emd.*(changed|gone)"):
        image.source.read_block(0, 0)


def test_missing_and_different_calibrations_warn(tmp_path: Path) -> None:
    changes = [{"Dispersion": "none"}, {}]
    path = write_velox(tmp_path / "map.emd", COUNTS, entry_changes=changes)
    with pytest.warns(SigmaScaleWarning, match="10 eV per channel"):
        image = read(path)
    assert (image.energy.scale_kev, image.energy.offset_kev) == (0.01, -0.2)
    changes = [{"Dispersion": "5"}, {}]
    path = write_velox(tmp_path / "map.emd", COUNTS, entry_changes=changes)
    with pytest.warns(SigmaScaleWarning, match="different energy axes"):
        image = read(path)
    assert image.energy.scale_kev == 0.005
    assert read(path, detectors=[1]).energy.scale_kev == 0.01


def test_a_table_of_frames_that_does_not_fit_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_counts(write_velox(tmp_path / "good.emd", COUNTS))
    assert not caplog.records
    read_counts(write_velox(tmp_path / "map.emd", COUNTS, table_offset=1))
    assert "doesn't fit its separators from frame 0" in caplog.text


def test_images_that_cannot_be_shown_are_left_out(tmp_path: Path) -> None:
    images = {"Odd": np.zeros((4, 4), dtype="S3"), "Empty": np.zeros((0, 4), dtype=np.uint8)}
    path = tmp_path / "map.emd"
    with new_velox(path, COUNTS.shape[2:], 1, ["A"], images=images) as file:
        file.append(0, np.full(54, SEPARATOR, dtype=np.uint16))
    assert not read(path).images


@pytest.mark.parametrize("version", [10, 11])
@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
def test_damaged_files_are_refused_or_read(tmp_path: Path, version: int) -> None:
    stack = np.arange(6 * 9 * 3, dtype=np.uint16).reshape(6, 9, 3)
    images = {"HAADF": stack, "Fe": np.zeros((6, 9), dtype=np.float32)}
    storage = {"compression": "gzip"} if version == 10 else {}
    original = write_velox(
        tmp_path / "sample.emd", COUNTS, version=version, images=images, storage=storage
    )
    read_everything(original)
    folder = tmp_path / "damaged"
    folder.mkdir()
    assert faults(read_everything, original, folder) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
def test_damaged_real_files_are_refused_or_read(tmp_path: Path, real_data: Path) -> None:
    original = real_data / "velox_EELS_EDS_128x128x4096.emd"
    assert faults(read_everything, original, tmp_path, number=max(MUTATIONS // 10, 4)) == {}
