"""Velox .emd files: counts, axes, images and metadata against RosettaSciIO and what was written."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from velox_files import FRAME_TIME, write_random_velox, write_velox

from sigma_scale.readers import read
from sigma_scale.spectra import Scratch, SpectrumImage

if TYPE_CHECKING:
    from pathlib import Path

REAL = "velox_EELS_EDS_128x128x4096.emd"


def oracle(path: Path, **options: Any) -> list[dict[str, Any]]:
    from rsciio.emd import file_reader

    return list(file_reader(str(path), **options))


def eds_of(signals: list[dict[str, Any]]) -> dict[str, Any]:
    return next(
        s
        for s in signals
        if s["metadata"]["Signal"]["signal_type"].startswith("EDS") and s["data"].ndim == 3
    )


def dense(image: SpectrumImage) -> np.ndarray:
    rows, columns = image.n_blocks
    return np.concatenate(
        [
            np.concatenate(
                [image.source.read_block(i, j).to_dense() for j in range(columns)], axis=1
            )
            for i in range(rows)
        ]
    )


def _copied(image: SpectrumImage) -> SpectrumImage:
    return pickle.loads(pickle.dumps(image))  # noqa: S301


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Three frames of four detectors: 21 x 13 pixels, 130 channels."""
    counts = np.random.default_rng(3).poisson(0.03, (3, 4, 21, 13, 130))
    counts[:, :, 4] = 0
    counts[1, 2, 7, 3, 129] = 300
    counts[0, 0, 20, 12, 0] = 2
    counts[2, 0, 20, 12] = 0
    return counts


@pytest.mark.parametrize("n_detectors", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [(0, 3), (0, 1), (1, 3), (2, 3)])
def test_counts_equal_those_of_rosettasciio_and_those_written(
    tmp_path: Path, counts: np.ndarray, n_detectors: int, frames: tuple[int, int]
) -> None:
    path = write_velox(tmp_path / "map.emd", counts[:, :n_detectors])
    expected = eds_of(oracle(path, first_frame=frames[0], last_frame=frames[1]))["data"]
    written = counts[slice(*frames), :n_detectors].sum(axis=(0, 1))
    np.testing.assert_array_equal(expected, written)
    np.testing.assert_array_equal(dense(read(path, frames=frames)), written)


@pytest.mark.parametrize("version", [10, 11])
@pytest.mark.parametrize("last_separator", [False, True])
@pytest.mark.parametrize("end_frame", [None, 0, 2])
def test_frames_read_by_default_are_those_of_rosettasciio(
    tmp_path: Path, counts: np.ndarray, *, version: int, last_separator: bool, end_frame: int | None
) -> None:
    path = write_velox(
        tmp_path / "map.emd",
        counts,
        version=version,
        last_separator=last_separator,
        end_frame=end_frame,
        table=end_frame is not None,
    )
    expected = eds_of(oracle(path))["data"]
    np.testing.assert_array_equal(expected, counts[: end_frame or 3].sum(axis=(0, 1)))
    np.testing.assert_array_equal(dense(read(path)), expected)


def test_detectors_are_chosen_by_name_or_number(tmp_path: Path, counts: np.ndarray) -> None:
    names = ["SuperXG11", "SuperXG12", "SuperXG13", "SuperXG14"]
    path = write_velox(tmp_path / "map.emd", counts, names=names)
    for detectors, places in (
        (["SuperXG12"], [1]),
        ("SuperXG14", [3]),
        (0, [0]),
        ([3, "SuperXG11"], [0, 3]),
        (["SuperXG13", 2], [2]),
    ):
        image = read(path, detectors=detectors)
        np.testing.assert_array_equal(dense(image), counts[:, places].sum(axis=(0, 1)))


def test_counts_beyond_16_bits_are_kept(tmp_path: Path) -> None:
    counts = np.zeros((2, 1, 2, 3, 10), dtype=np.int64)
    counts[:, 0, 1, 1, 7] = 40_000
    counts[0, 0, 0, 0, 9] = 70_000
    image = read(write_velox(tmp_path / "map.emd", counts))
    assert image.source.dtype == np.uint32
    np.testing.assert_array_equal(dense(image), counts.sum(axis=(0, 1)))


def test_a_stopped_acquisition_lacks_only_its_last_pixels(
    tmp_path: Path, counts: np.ndarray
) -> None:
    import h5py

    path = write_velox(tmp_path / "map.emd", counts)
    with h5py.File(path, "a") as file:
        for group in file["Data/SpectrumStream"].values():
            group["Data"].resize(group["Data"].shape[0] - 300, axis=0)
    expected = eds_of(oracle(path))["data"]
    assert 0 < expected.sum() < counts.sum()
    np.testing.assert_array_equal(dense(read(path)), expected)


def test_each_block_equals_its_part_of_the_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = np.random.default_rng(5).poisson(0.1, (3, 2, 150, 9, 40))
    path = write_velox(tmp_path / "map.emd", counts)
    expected = counts.sum(axis=(0, 1))
    assert read(path).source.chunk_shape == (128, 9)
    for words, height in ((100_000, 128), (9_000, 32), (1, 1)):
        monkeypatch.setattr("sigma_scale.readers.velox.source._BLOCK_WORDS", words)
        image = read(path)
        assert image.source.chunk_shape == (height, 9)
        scratch = Scratch()
        for row in reversed(range(image.n_blocks[0])):
            block = image.source.read_block(row, 0, scratch)
            np.testing.assert_array_equal(
                block.to_dense(), expected[row * height : (row + 1) * height]
            )


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_index_does_not_depend_on_pieces(
    tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    monkeypatch.setattr("sigma_scale.readers.velox.source._PIECE_WORDS", pieces)
    path = write_velox(tmp_path / "map.emd", counts[:, :1, :6])
    np.testing.assert_array_equal(dense(read(path)), counts[:, :1, :6].sum(axis=(0, 1)))


@pytest.mark.parametrize(
    "storage",
    [
        {"compression": "gzip", "chunks": (700, 1)},
        {"compression": "lzf", "chunks": (100_000, 1)},
        {"chunks": (64, 1), "shuffle": True},
    ],
)
def test_streams_may_be_compressed(
    tmp_path: Path, counts: np.ndarray, storage: dict[str, Any]
) -> None:
    path = write_velox(tmp_path / "map.emd", counts, storage=storage)
    np.testing.assert_array_equal(dense(read(path)), counts.sum(axis=(0, 1)))


def test_an_opened_map_can_be_pickled(tmp_path: Path, counts: np.ndarray) -> None:
    image = read(write_velox(tmp_path / "map.emd", counts), frames=(1, 2), detectors=[1])
    expected = counts[1, 1]
    np.testing.assert_array_equal(dense(_copied(image)), expected)
    image.source.read_block(0, 0)
    np.testing.assert_array_equal(dense(_copied(image)), expected)


def test_blocks_can_be_read_from_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr("sigma_scale.readers.velox.source._BLOCK_WORDS", 1)
    counts = np.random.default_rng(5).poisson(0.1, (3, 2, 40, 9, 40))
    image = read(write_velox(tmp_path / "map.emd", counts))
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda row: image.source.read_block(row, 0).to_dense(), range(40)))
    np.testing.assert_array_equal(np.concatenate(blocks), counts.sum(axis=(0, 1)))


def test_token_tells_what_is_read(tmp_path: Path, counts: np.ndarray) -> None:
    from dask.base import tokenize

    path = write_velox(tmp_path / "map.emd", counts)
    whole = tokenize(read(path).source)
    assert whole == tokenize(read(path).source)
    others = [
        read(path, frames=(0, 2)).source,
        read(path, detectors=[0]).source,
        read(write_velox(tmp_path / "other.emd", counts)).source,
    ]
    assert len({whole, *map(tokenize, others)}) == 4


def test_axes_and_metadata(tmp_path: Path, counts: np.ndarray) -> None:
    path = write_velox(tmp_path / "map.emd", counts[:, :2])
    image = read(path)
    axes = {axis["name"]: axis for axis in eds_of(oracle(path))["axes"]}
    energy = axes["X-ray energy"]
    assert image.energy.scale_kev == pytest.approx(energy["scale"])
    assert image.energy.offset_kev == pytest.approx(energy["offset"])
    assert image.energy.size == energy["size"] == 130
    assert axes["y"]["units"] == "nm"
    assert image.pixel_size == pytest.approx((axes["y"]["scale"] / 1e3, axes["x"]["scale"] / 1e3))
    assert image.pixel_unit == "µm"
    metadata = image.metadata
    assert metadata.title == "map"
    assert metadata.instrument == "TEM"
    assert metadata.beam_energy_kev == 200
    assert metadata.elements == ("Fe", "Cu")
    assert metadata.elevation_deg == pytest.approx(18)
    assert metadata.azimuth_deg is None
    assert read(path, detectors=[1]).metadata.azimuth_deg == pytest.approx(135)
    assert (metadata.stage_x_mm, metadata.stage_y_mm) == pytest.approx((0.1, -0.2))
    assert metadata.stage_z_mm == pytest.approx(0.01)
    assert metadata.stage_tilt_deg == pytest.approx(10)
    assert [source.name for source in metadata.sources] == ["map.emd"]


def test_times_count_for_the_frames_that_are_read(tmp_path: Path, counts: np.ndarray) -> None:
    whole = 3 * FRAME_TIME
    changes = [{"LiveTime": 0.9 * whole, "RealTime": whole}, {"LiveTime": 0.8 * whole + 1e-9}]
    changes[1]["RealTime"] = whole
    path = write_velox(tmp_path / "map.emd", counts[:, :2], entry_changes=changes)
    assert read(path).metadata.real_time_s == pytest.approx(whole)
    assert read(path).metadata.live_time_s == pytest.approx(0.85 * whole)
    assert read(path, frames=(0, 2)).metadata.live_time_s == pytest.approx(0.85 * whole * 2 / 3)
    assert read(path, detectors=[0]).metadata.live_time_s == pytest.approx(0.9 * whole)
    # Files where the time is of one frame, or of none that fits, exist too.
    for told, known in ((FRAME_TIME, whole), (0.1, None)):
        path = write_velox(tmp_path / "map.emd", counts[:, :1], entry_changes=[{"RealTime": told}])
        assert read(path).metadata.real_time_s == (known and pytest.approx(known))


def test_images(tmp_path: Path, counts: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    images = {
        "Fe": rng.random((21, 13), dtype=np.float32),
        "Survey": rng.integers(0, 60_000, (40, 30), dtype=np.uint16),
        "HAADF": rng.integers(0, 60_000, (21, 13, 3), dtype=np.uint16),
        "Drift": rng.integers(-100, 100, (8, 9, 5), dtype=np.int16),
        "DPC": np.zeros((21, 13), dtype=[("realFloat", "<f4"), ("imagFloat", "<f4")]),
    }
    images["DPC"]["imagFloat"] = 3
    path = write_velox(tmp_path / "map.emd", counts[:, :1], images=images)
    image = read(path, frames=(1, 3))
    assert set(image.images) == {
        "navigation", "Fe", "Survey", "Drift", "DPC_realFloat", "DPC_imagFloat",
    }  # fmt: skip
    np.testing.assert_array_equal(image.images["Fe"], images["Fe"])
    np.testing.assert_array_equal(image.images["Survey"], images["Survey"])
    assert image.images["Survey"].dtype == np.uint16
    np.testing.assert_allclose(image.images["Survey"]["y"][:2], [0, 0.04])
    assert image.images["Survey"]["x"].attrs["units"] == "µm"
    summed = images["HAADF"][:, :, 1:].sum(axis=2, dtype=np.uint64)
    np.testing.assert_array_equal(image.navigation, summed)
    assert image.navigation.attrs["recipe"] == "sum of frames 1 to 2"
    np.testing.assert_array_equal(image.images["Drift"], images["Drift"].sum(axis=2))
    assert image.images["DPC_imagFloat"].values.max() == 3
    assert image.images["DPC_realFloat"].values.max() == 0


def test_large_image_stacks_are_summed_when_asked_for(
    tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = np.random.default_rng(2).integers(0, 60_000, (21, 13, 3), dtype=np.uint16)
    path = write_velox(tmp_path / "map.emd", counts[:, :1], images={"HAADF": stack})
    monkeypatch.setattr("sigma_scale.readers.velox.images._AT_ONCE", 0)
    monkeypatch.setattr("sigma_scale.readers.velox.images._PIECE", 13 * 8 * 4)
    navigation = read(path).navigation
    assert navigation.chunks == ((4, 4, 4, 4, 4, 1), (13,))
    np.testing.assert_array_equal(navigation, stack.sum(axis=2, dtype=np.uint64))
    np.testing.assert_array_equal(navigation[5, 2:7].compute(), stack[5, 2:7].sum(axis=1))


def test_a_part_of_the_raster_has_the_shape_that_was_scanned(tmp_path: Path) -> None:
    counts = np.random.default_rng(4).poisson(0.05, (2, 1, 12, 20, 50))
    area = {"left": "0.25", "right": "0.5625", "top": "0.5", "bottom": "0.6875"}
    scan = {"ScanSize": {"width": "64", "height": "64"}, "ScanArea": area}
    survey = np.zeros((64, 64), dtype=np.uint16)
    on_grid = np.ones((12, 20), dtype=np.uint16)
    for images in ({"HAADF": on_grid, "Survey": survey}, {"Survey": survey}, {}):
        path = write_velox(tmp_path / "map.emd", counts, scan=scan, raster=(64, 64), images=images)
        np.testing.assert_array_equal(dense(read(path)), counts.sum(axis=(0, 1)))


@pytest.mark.parametrize("end_frame", [None, 0])
def test_the_stream_decides_where_shapes_contradict(tmp_path: Path, end_frame: int | None) -> None:
    counts = np.random.default_rng(4).poisson(0.05, (2, 1, 12, 20, 50))
    scan = {"ScanSize": {"width": "7", "height": "9"}}
    images = {"HAADF": np.ones((12, 20), np.uint16), "Survey": np.zeros((64, 64), np.uint16)}
    path = write_velox(
        tmp_path / "map.emd", counts, scan=scan, raster=(5, 5), images=images, end_frame=end_frame,
        table=end_frame is None,
    )  # fmt: skip
    np.testing.assert_array_equal(dense(read(path)), counts.sum(axis=(0, 1)))


def test_random_maps_are_those_of_rosettasciio(tmp_path: Path) -> None:
    path = write_random_velox(
        tmp_path / "map.emd", (33, 40, 256), counts_per_pixel=9, n_frames=3, n_detectors=2,
        rows_at_once=10,
    )  # fmt: skip
    expected = eds_of(oracle(path))["data"]
    assert expected.sum() == pytest.approx(9 * 33 * 40, rel=0.1)
    np.testing.assert_array_equal(dense(read(path)), expected)


@pytest.fixture(scope="module")
def path(real_data: Path) -> Path:
    return real_data / REAL


@pytest.fixture(scope="module")
def signals(path: Path) -> list[dict[str, Any]]:
    return oracle(path)


class TestRealFile:
    """A map of 16 x 20 pixels, six detectors, in a file with EELS and a larger survey image."""

    def test_counts(self, path: Path, signals: list[dict[str, Any]]) -> None:
        image = read(path)
        # RosettaSciIO takes the survey image's shape and puts 320 pixels into its first rows.
        theirs = eds_of(signals)["data"]
        assert theirs.shape == (128, 128, 4096)
        pixels = theirs.reshape(-1, 4096)
        assert not pixels[320:].any()
        np.testing.assert_array_equal(dense(image), pixels[:320].reshape(16, 20, 4096))
        assert int(dense(image).sum()) == 11_093

    def test_each_detector_has_the_sum_spectrum_that_velox_stored(self, path: Path) -> None:
        import h5py

        from sigma_scale.readers.velox.structure import json_column

        with h5py.File(path) as file:
            stored = {
                json_column(group["Metadata"], 0)["BinaryResult"]["Detector"]: group["Data"][:, 0]
                for group in file["Data/Spectrum"].values()
            }
        assert sorted(stored) == [f"UltraX{i}" for i in range(1, 7)]
        for name, spectrum in stored.items():
            np.testing.assert_array_equal(read(path, detectors=[name]).sum_spectrum(), spectrum)

    def test_axes(self, path: Path, signals: list[dict[str, Any]]) -> None:
        image = read(path)
        axes = {axis["name"]: axis for axis in eds_of(signals)["axes"]}
        assert axes["x"]["units"] == "µm"
        assert image.pixel_size == pytest.approx((axes["y"]["scale"], axes["x"]["scale"]))
        assert image.energy.scale_kev == axes["X-ray energy"]["scale"]
        assert image.energy.offset_kev == axes["X-ray energy"]["offset"]

    def test_images(self, path: Path, signals: list[dict[str, Any]]) -> None:
        theirs = {
            s["metadata"]["General"]["title"]: s["data"] for s in signals if s["data"].ndim == 2
        }
        image = read(path)
        ours = {picture.attrs["long_name"]: picture for picture in image.images.values()}
        assert set(ours) == set(theirs) == {
            "a", "DF-S", "Fe", "Co", "O", "Fe-EELS", "Co-EELS", "O-EELS",
        }  # fmt: skip
        for title, expected in theirs.items():
            np.testing.assert_array_equal(ours[title], expected)
            assert ours[title].dtype == expected.dtype
        assert image.navigation.attrs["long_name"] == "DF-S"
        assert image.images["a"].shape == (128, 128)

    def test_metadata(self, path: Path) -> None:
        metadata = read(path).metadata
        assert metadata.beam_energy_kev == 300
        assert metadata.elements == ("O", "Fe", "Co")
        assert metadata.live_time_s == pytest.approx(2.9071472)
        assert metadata.stage_x_mm == pytest.approx(4.647e-4)
        assert metadata.elevation_deg is None
        assert read(path, detectors=["UltraX1"]).metadata.elevation_deg == pytest.approx(
            32.06, abs=0.01
        )
