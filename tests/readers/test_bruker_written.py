"""Written Bruker files of every packing, against what was written and RosettaSciIO."""

import pickle
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bruker_files import (
    pack_map,
    pack_pixel,
    pack_runs,
    random_rows,
    stream_head,
    write_bcf,
    write_bcf_stream,
)

from sigma_scale.errors import ParameterError
from sigma_scale.readers import read
from sigma_scale.readers.bruker import container
from sigma_scale.readers.bruker import index as bruker_index
from sigma_scale.spectra import Scratch

PACKINGS = [16, 12, "runs", "mixed", "auto"]


def make_counts(shape=(9, 13, 300), mean=0.4, seed=1):
    channels = np.arange(shape[2])
    rng = np.random.default_rng(seed)
    return rng.poisson(mean * np.exp(-channels / 50), shape).astype(np.uint32)


def eager(path, index=None):
    bruker = pytest.importorskip("rsciio.bruker")
    signals = bruker.file_reader(str(path), index=index)
    (eds,) = [s for s in signals if s["data"].ndim == 3]
    return eds


def check(path, counts, **options):
    image = read(path, **options)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    height, width = image.source.chunk_shape
    for i, j in np.ndindex(image.n_blocks):
        part = counts[i * height : (i + 1) * height, j * width : (j + 1) * width]
        block = image.source.read_block(i, j)
        assert block.n_events == np.count_nonzero(part)
        np.testing.assert_array_equal(block.to_dense(), part)
    return image


@pytest.mark.parametrize("compressed_parts", [None, 1000])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_is_read(tmp_path, packing, gaps, compressed_parts):
    counts = make_counts()
    counts[3, 4, 7] = 200
    counts[5] = 0
    missing = np.random.default_rng(2).random(counts.shape[:2]) < 0.4 if gaps else None
    path = write_bcf(
        tmp_path / "map.bcf",
        counts,
        packing=packing,
        missing=missing,
        compressed_parts=compressed_parts,
    )
    if gaps:
        counts[missing] = 0
    np.testing.assert_array_equal(eager(path)["data"], counts)
    check(path, counts)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_runs_of_every_width_are_read(tmp_path, width):
    counts = make_counts(mean=3)
    counts[2, 3, 5:9] = (1, 70, 3, 14)
    path = write_bcf(tmp_path / "map.bcf", counts, packing="runs", width=width)
    if width < 8:  # RosettaSciIO's compiled decoder steps by 2 bytes through numbers of 4
        np.testing.assert_array_equal(eager(path)["data"], counts)
    check(path, counts)


@pytest.mark.parametrize("packing", [12, 16, "runs"])
@pytest.mark.parametrize("largest", [255, 256, 65_535])
def test_large_counts_widen_the_type(tmp_path, largest, packing):
    counts = make_counts((5, 6, 40))
    counts[2, 3] = 0
    counts[2, 3, 17] = largest
    image = check(write_bcf(tmp_path / "map.bcf", counts, packing=packing), counts)
    assert image.source.dtype >= np.min_scalar_type(largest)
    assert image.source.read_block(0, 0).dtype == np.min_scalar_type(largest)


@pytest.mark.parametrize("largest", [65_536, 2**32 - 1])
def test_counts_of_32_bits_are_kept(tmp_path, largest):
    counts = make_counts((5, 6, 40))
    counts[2, 3, 17] = largest
    counts[4, 1, 39] = 300
    image = read(write_bcf(tmp_path / "map.bcf", counts, streams=[stream_of_runs(counts)]))
    np.testing.assert_array_equal(image.to_xarray(), counts)
    assert image.source.dtype == image.source.read_block(0, 0).dtype == np.uint32


def stream_of_runs(counts):
    out = [stream_head(*counts.shape[:2])]
    for line in counts:
        out.append(struct.pack("<I", len(line)))
        for x, pixel in enumerate(line):
            runs = pack_runs(pixel)
            out.append(struct.pack("<IHHIHHHI", x, 4096, 0, 0, 2, 0, 0, len(runs) + 4))
            out.append(runs + bytes(4))
    return b"".join(out)


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 300, 20), (300, 1, 20), (130, 257, 20)])
@pytest.mark.parametrize("compressed_parts", [None, 5000])
def test_blocks_at_the_edge_are_clipped(tmp_path, shape, compressed_parts):
    counts = make_counts(shape)
    path = write_bcf(
        tmp_path / "map.bcf", counts, packing="auto", compressed_parts=compressed_parts
    )
    check(path, counts)


@pytest.mark.parametrize("n_channels", [1, 63, 64, 65, 4096, 4097, 8192, 65_535])
def test_any_number_of_channels_is_read(tmp_path, n_channels):
    counts = np.zeros((3, 4, n_channels), np.uint32)
    rng = np.random.default_rng(0)
    for pixel in counts.reshape(12, n_channels):
        pixel[rng.integers(0, n_channels, 30)] += 1
    counts[1, 2, [0, n_channels - 1]] = 7
    for packing in ("runs", 16):
        check(write_bcf(tmp_path / "map.bcf", counts, packing=packing), counts)


def test_channels_beyond_the_sum_spectrum_are_left_out(tmp_path):
    counts = make_counts((4, 5, 100), mean=3)
    for packing in (12, 16, "runs"):
        stream = pack_map(counts, packing=packing)
        path = write_bcf(tmp_path / "map.bcf", counts[..., :60], streams=[stream])
        np.testing.assert_array_equal(eager(path)["data"], counts[..., :60])
        check(path, counts[..., :60])


@pytest.mark.parametrize("block_size", [544, 1024, 4096, 65_536])
@pytest.mark.parametrize("scatter", [None, 3])
@pytest.mark.parametrize("compressed_parts", [None, 777])
def test_blocks_of_any_size_and_order_are_read(tmp_path, block_size, scatter, compressed_parts):
    counts = make_counts()
    path = write_bcf(
        tmp_path / "map.bcf",
        counts,
        block_size=block_size,
        scatter=scatter,
        compressed_parts=compressed_parts,
        extra_files=5,
    )
    if block_size != 1024:  # RosettaSciIO takes an entry to lie across two blocks there
        np.testing.assert_array_equal(eager(path)["data"], counts)
    check(path, counts)


def test_scattered_blocks_of_a_wide_map_are_read(tmp_path):
    counts = make_counts((20, 700, 50))
    path = write_bcf(tmp_path / "map.bcf", counts, block_size=1024, scatter=1)
    check(path, counts)


def test_the_stream_may_be_read_in_small_pieces(tmp_path, monkeypatch):
    counts = make_counts()
    path = write_bcf(tmp_path / "map.bcf", counts, packing="mixed", block_size=544)
    expected = read(path).source.index
    monkeypatch.setattr(container, "_PIECE_BYTES", 1)
    found = read(path).source.index
    np.testing.assert_array_equal(found.starts, expected.starts)
    assert found.largest_count == expected.largest_count
    check(path, counts)


def test_pixels_in_any_order_and_repeated_add_up(tmp_path):
    counts = make_counts((4, 300, 64))
    rng = np.random.default_rng(5)
    kinds = ["runs", 16, 12]
    out = [stream_head(4, 300)]
    expected = counts.copy()
    for y, line in enumerate(counts):
        order = rng.permutation(300) if y != 1 else np.arange(300)
        extra = rng.integers(0, 300, 40) if y == 2 else []
        pixels = [pack_pixel(int(x), line[x], kinds[x % 3], rng, None) for x in [*order, *extra]]
        for x in extra:
            expected[y, x] += counts[y, x]
        out += [struct.pack("<I", len(pixels)), *pixels]
    for compressed_parts in (None, 3000):
        path = write_bcf(
            tmp_path / "map.bcf",
            counts,
            streams=[b"".join(out)],
            compressed_parts=compressed_parts,
        )
        image = check(path, expected)
        assert image.source.index.unordered.tolist() == [1, 0, 1, 1]
        np.testing.assert_array_equal(eager(path)["data"], expected)


def test_a_map_that_ends_before_its_image_has_empty_rows(tmp_path):
    counts = make_counts((150, 20, 30))
    short = pack_map(counts[:40, :15])
    path = write_bcf(tmp_path / "map.bcf", counts, streams=[short])
    expected = np.zeros_like(counts)
    expected[:40, :15] = counts[:40, :15]
    check(path, expected)


def test_several_maps_are_chosen_by_index(tmp_path):
    maps = [make_counts(seed=seed) for seed in (1, 2, 3)]
    path = write_bcf(tmp_path / "map.bcf", maps, packing="mixed")
    for index, counts in enumerate(maps):
        image = check(path, counts, index=index)
        np.testing.assert_array_equal(eager(path, index)["data"], counts)
        assert image.metadata.selection == {"index": index}
    tokens = {read(path, index=index).source.__dask_tokenize__() for index in range(3)}
    assert len(tokens) == 3
    with pytest.raises(ParameterError, match=r"map\.bcf.*3 maps"):
        read(path, index=3)


def test_axes_and_metadata_are_read(tmp_path):
    counts = make_counts()
    path = write_bcf(
        tmp_path / "map.bcf",
        counts,
        scale_kev=0.005,
        offset_kev=0,
        pixel_um=(0.25, 0.5),
        beam_kev=200,
        name="Gr\xfcn & <rot>",
        stage={"X": 1500.0, "Y": -2500.0, "Z": 1e4, "Tilt": 12.5, "Rotation": 270.0},
        lines={"Fe": "KA", "Al": "K", "Ag": "LA1", "nonsense": "KA"},
        times_ms=(15_000, 12_500),
    )
    image = read(path)
    assert image.energy.scale_kev == 0.005
    assert image.energy.offset_kev == 0
    assert (image.pixel_size, image.pixel_unit) == ((0.25, 0.5), "µm")
    ours = image.metadata
    assert (ours.title, ours.instrument) == ("Gr\xfcn & <rot>", "TEM")
    assert (ours.beam_energy_kev, ours.elevation_deg, ours.azimuth_deg) == (200, 35, 45)
    assert (ours.stage_x_mm, ours.stage_y_mm, ours.stage_z_mm) == (1.5, -2.5, 10)
    assert (ours.stage_tilt_deg, ours.stage_rotation_deg) == (12.5, 270)
    assert ours.elements == ("Ag", "Al", "Fe")
    assert ours.lines == ("Ag_La", "Al_Ka", "Fe_Ka")
    assert ours.live_time_s == 12.5
    assert ours.real_time_s == pytest.approx(9 * 3 * 2 * 16 * 2 * 13 * 1e-6)


def test_decimal_commas_are_read(tmp_path):
    counts = make_counts()
    path = write_bcf(tmp_path / "map.bcf", counts, scale_kev=0.0125, comma=True)
    assert b">0,0125<" in path.read_bytes()
    assert read(path).energy.scale_kev == 0.0125
    assert eager(path)["axes"][2]["scale"] == 0.0125


def test_a_map_without_scale_has_pixels(tmp_path):
    image = read(write_bcf(tmp_path / "map.bcf", make_counts(), pixel_um=None, name=""))
    assert (image.pixel_size, image.pixel_unit) == ((1.0, 1.0), "pixel")
    assert image.metadata.title == "map"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_images_of_every_type_and_size_are_read(tmp_path, dtype):
    counts = make_counts()
    rng = np.random.default_rng(0)
    images = {
        name: rng.integers(0, np.iinfo(dtype).max, (9, 13), dtype=dtype, endpoint=True)
        for name in ("BSE", "SE", "SE")
    }
    images["empty"] = np.zeros((9, 13), dtype)
    overview = {"SE": rng.integers(1, 200, (31, 17)).astype(dtype)}
    path = write_bcf(tmp_path / "map.bcf", counts, images=images, overview=overview)
    image = read(path)
    assert list(image.images) == ["navigation", "SE", "SE_2"]
    np.testing.assert_array_equal(image.navigation, images["BSE"])
    np.testing.assert_array_equal(image.images["SE"], images["SE"])
    np.testing.assert_array_equal(image.images["SE_2"], overview["SE"])
    assert image.images["SE"].dtype == dtype
    np.testing.assert_allclose(image.images["SE_2"].x, 0.25 * np.arange(17))
    np.testing.assert_allclose(image.images["SE_2"].y, 0.5 * np.arange(31))


def test_a_file_without_images_is_a_map(tmp_path):
    counts = make_counts()
    image = check(write_bcf(tmp_path / "map.bcf", counts, images={}), counts)
    assert image.images == {}


def test_the_index_is_built_once_by_all_threads(tmp_path, monkeypatch):
    counts = make_counts((260, 140, 20))
    image = read(write_bcf(tmp_path / "map.bcf", counts))
    built = []
    build, barrier = bruker_index.build_index, threading.Barrier(4)

    def counting(*arguments):
        built.append(arguments)
        return build(*arguments)

    monkeypatch.setattr("sigma_scale.readers.bruker.source.build_index", counting)

    def blocks(_):
        barrier.wait()
        scratch = Scratch()
        return [image.source.read_block(i, j, scratch).to_dense() for i, j in np.ndindex(3, 2)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(blocks, range(4)))
    assert len(built) == 1
    for parts in results:
        rows = [np.concatenate(parts[i : i + 2], axis=1) for i in (0, 2, 4)]
        np.testing.assert_array_equal(np.concatenate(rows), counts)
    again = pickle.loads(pickle.dumps(image.source))  # noqa: S301
    assert again.dtype == image.source.dtype
    assert len(built) == 1


def test_a_compressed_map_is_read_in_bounded_bands(tmp_path, monkeypatch):
    counts = make_counts((64, 40, 60))
    path = write_bcf(tmp_path / "map.bcf", counts, compressed_parts=4000)
    assert read(path).source.chunk_shape == (128, 40)
    monkeypatch.setattr("sigma_scale.readers.bruker.source._BLOCK_BYTES", 20_000)
    image = check(path, counts)
    height, width = image.source.chunk_shape
    assert width == 40
    assert height in (2, 4, 8, 16)


def test_a_streamed_map_is_read_by_both(tmp_path):
    shape = (50, 140, 2048)
    path = write_bcf_stream(tmp_path / "map.bcf", shape, random_rows(shape, 3, at_once=7))
    expected = np.zeros(shape, np.uint32)
    row = 0
    for n_pulses, pulses in random_rows(shape, 3, at_once=7):
        pixels = np.repeat(np.arange(n_pulses.size), n_pulses)
        part = expected[row : row + n_pulses.size // 140].reshape(-1, 2048)
        np.add.at(part, (pixels, pulses), 1)
        row += n_pulses.size // 140
    assert row == 50
    np.testing.assert_array_equal(eager(path)["data"], expected)
    check(path, expected)
