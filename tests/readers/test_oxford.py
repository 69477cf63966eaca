"""Spectra, images and metadata of .h5oina files, compared with the arrays that were written."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from oxford_files import (
    CHANNELS,
    Entry,
    Style,
    column,
    eds,
    line_map,
    make_counts,
    per_pixel,
    spectra,
    write_h5oina,
)

from sigma_scale.readers import read
from sigma_scale.readers.oxford.source import chunk_shape_for


def assemble(image):
    """All counts, put where the block's numbers say."""
    result = np.zeros(image.source.shape, image.source.dtype)
    height, width = image.source.chunk_shape
    for i, j in np.ndindex(image.n_blocks):
        block = image.source.read_block(i, j).to_dense()
        target = result[i * height : (i + 1) * height, j * width : (j + 1) * width]
        assert target.shape == block.shape
        target[:] = block
    return result


@pytest.fixture
def path(tmp_path):
    return tmp_path / "Map Data 1.h5oina"


# ---------------------------------------------------------------------------------- counts


LAYOUTS = {
    "pixels": {"chunks": (1, CHANNELS)},
    "short": {"chunks": (4, CHANNELS)},
    "rows": {"chunks": (14, CHANNELS)},
    "long": {"chunks": (100, CHANNELS)},
    "all": {"chunks": (126, CHANNELS)},
    "few channels": {"chunks": (50, 7)},
    "one channel": {"chunks": (126, 1)},
    "gzip": {"chunks": (10, 30), "compression": "gzip"},
    "gzip and shuffle": {"chunks": (10, 30), "compression": "gzip", "shuffle": True},
    "lzf and checksum": {"chunks": (10, 30), "fletcher32": True},
    "lzf and shuffle": {"chunks": (10, 30), "shuffle": True},
    "not compressed": {"chunks": (10, 30), "compression": None},
    "contiguous": {"chunks": None},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("blocks", ["square", "small"])
def test_counts_do_not_depend_on_how_they_are_stored(path, monkeypatch, layout, blocks):
    if blocks == "small":
        for name, value in {"_DENSE_BYTES": 3000, "CHUNK_PIXELS": 4, "_BLOCK_PIXELS": 40}.items():
            monkeypatch.setattr(f"sigma_scale.readers.oxford.source.{name}", value)
        monkeypatch.setattr("sigma_scale.readers.oxford.source._SHORT_CHUNK", 1)
    counts = make_counts()
    entry = spectra(counts, **LAYOUTS[layout])
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry})}})
    image = read(path)
    assert image.shape == counts.shape
    assert image.source.dtype == np.uint32
    np.testing.assert_array_equal(assemble(image), counts)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    np.testing.assert_array_equal(
        image.source.read_rows(slice(2, 5), slice(3, 9)), counts[2:5, 3:9]
    )


@pytest.mark.parametrize(
    ("columns", "chunk_pixels", "expected"),
    [
        (4096, 1, (8, 4096)),
        (4096, 16, (8, 4096)),
        (4096, 64, (128, 128)),
        (4096, 128, (128, 128)),
        (4095, 64, (64, 4095)),
        (4096, 4096, (64, 4096)),
        (30_000, 512, (8, 30_000)),
        (1000, 1000, (128, 1000)),
        (100, 10_000, (128, 128)),
        (2**19, 512, (1, 2**19)),
    ],
)
def test_blocks_fit_the_chunks_of_the_file(columns, chunk_pixels, expected):
    assert chunk_shape_for(columns, chunk_pixels) == expected


def test_chunks_are_decompressed_about_once(path, monkeypatch):
    counts = make_counts((64, 150, CHANNELS))
    entry = spectra(counts, chunks=(100, 20))
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry})}})
    monkeypatch.setattr("sigma_scale.readers.oxford.source._DENSE_BYTES", 30_000)
    image = read(path)
    asked = []
    original = type(image.source)._dense

    def counting(self, datasets, pixels, channels):
        asked.append((pixels, channels))
        return original(self, datasets, pixels, channels)

    monkeypatch.setattr(type(image.source), "_dense", counting)
    np.testing.assert_array_equal(assemble(image), counts)
    touched = sum(-(-pixels.stop // 100) - pixels.start // 100 for pixels, _ in asked)
    assert touched <= 1.05 * (64 * 150 / 100) * (CHANNELS / 20)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", ">i4", "u4", "i8", "u8"])
def test_all_integer_types(path, dtype):
    counts = make_counts().clip(0, 255)
    entry = spectra(counts.astype(dtype))
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry})}})
    image = read(path)
    assert image.source.dtype == np.dtype(f"u{min(np.dtype(dtype).itemsize, 4)}")
    np.testing.assert_array_equal(assemble(image), counts)


def test_float_spectra_with_pixels_outside_the_acquired_area(path):
    counts = make_counts().astype(np.float32) / 4
    stored = counts.copy()
    stored[4:6, 2:9] = np.nan
    counts[4:6, 2:9] = 0
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": spectra(stored)})}})
    image = read(path)
    assert image.source.dtype == np.float32
    np.testing.assert_array_equal(assemble(image), counts)


def test_a_line_scan_is_a_map_of_one_row(path):
    counts = make_counts((3, 40, CHANNELS))[2:]
    technique = eds(counts, **{"Y Step": np.float32(0)})
    write_h5oina(path, {"1": {"EDS": technique}})
    image = read(path)
    np.testing.assert_array_equal(assemble(image), counts)
    assert image.pixel_size == (0.25, 0.25)


# ---------------------------------------------------------------- slices and detectors


def test_detectors_are_summed_or_chosen(path):
    first, second, third = (make_counts(seed=seed) for seed in range(3))
    first[0, 0, 0] = 2**31 - 1
    second[0, 0, 0] = 2**31 - 1
    techniques = {"EDS1": eds(first), "EDS2": eds(second), "EDS3": eds(third)}
    write_h5oina(path, {"1": techniques})
    total = first.astype(np.uint32) + second.astype(np.uint32)
    np.testing.assert_array_equal(assemble(read(path, detectors=[1, 2])), total)
    np.testing.assert_array_equal(assemble(read(path, detectors=(3,))), third)
    third[0, 0, 0] = 0
    write_h5oina(path, {"1": {**techniques, "EDS3": eds(third)}})
    np.testing.assert_array_equal(assemble(read(path)), total + third.astype(np.uint32))


def test_narrow_counts_of_several_detectors_do_not_overflow(path):
    counts = np.full((3, 4, CHANNELS), 250, np.uint8)
    technique = eds(counts, {"Spectrum": spectra(counts)})
    write_h5oina(path, {"1": {"EDS1": technique, "EDS2": technique}})
    np.testing.assert_array_equal(assemble(read(path)), np.full(counts.shape, 500))


def test_detectors_with_chunks_of_their_own(path):
    first, second = make_counts(seed=1), make_counts(seed=2)
    techniques = {
        "EDS1": eds(first, {"Spectrum": spectra(first, chunks=(100, 10))}),
        "EDS2": eds(second, {"Spectrum": spectra(second, chunks=(3, CHANNELS))}),
    }
    write_h5oina(path, {"1": techniques})
    np.testing.assert_array_equal(assemble(read(path)), first + second)


def test_detectors_without_spectra_are_left_out(path):
    counts = make_counts()
    bare = eds(counts)
    bare.data = {"Live Time": column(per_pixel())}
    write_h5oina(path, {"1": {"EDS1": bare, "EDS2": eds(counts)}})
    image = read(path)
    np.testing.assert_array_equal(assemble(image), counts)
    assert "live_time" not in image.images


def test_slices_are_chosen_by_number(path):
    first, second, tenth = (make_counts(seed=seed) for seed in range(3))
    empty = eds(first)
    empty.data = {}
    slices = {"10": tenth, "3": second, "2": first}
    groups = {number: {"EDS": eds(counts)} for number, counts in slices.items()}
    write_h5oina(path, {"1": {"EDS": empty, "EBSD": empty}, **groups})
    np.testing.assert_array_equal(assemble(read(path)), first)
    np.testing.assert_array_equal(assemble(read(path, slice_number=3)), second)
    np.testing.assert_array_equal(assemble(read(path, slice_number=10)), tenth)


# ------------------------------------------------------------------ axes and metadata


STYLES = [
    Style((1,), "str"),
    Style((1, 1), "str"),
    Style((), "str"),
    Style((1,), "bytes"),
    Style((1, 1), "fixed"),
    Style((1,), "str", "latest"),
    Style((1, 1), "fixed", "latest"),
]


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_axes_and_metadata(path, style, as_bytes):
    counts = make_counts()
    live, real = per_pixel(1), per_pixel(2)
    live[3, 3] = np.nan
    data = {
        "Live Time": column(live),
        "Real Time": Entry(real.ravel()),
        "Window Integral": {
            "Fe Ka1": line_map(per_pixel(), 26, "Ka1", as_bytes=as_bytes),
            "any name": line_map(per_pixel(), 13, "Ka1", as_bytes=as_bytes),
            "Pb Ma1": line_map(per_pixel(), 82, "Ma1", as_bytes=as_bytes),
        },
        "Peak Area": {"Ca K series": line_map(per_pixel(), 20, "K series", as_bytes=as_bytes)},
        "Composition": {"Si": line_map(per_pixel(), 14, None)},
    }
    write_h5oina(path, {"1": {"EDS": eds(counts, data)}}, style)
    image = read(path)
    np.testing.assert_allclose(image.energy.values, -0.2 + 0.01 * np.arange(CHANNELS), atol=1e-9)
    assert image.pixel_size == (0.5, 0.25)
    assert image.pixel_unit == "µm"
    found = image.metadata
    assert found.title == "a rock Site 1 Map Data 1"
    assert (found.instrument, found.beam_energy_kev) == ("SEM", 20.0)
    assert found.elements == ("Al", "Si", "Ca", "Fe", "Pb")
    assert found.lines == ("Al_Ka", "Ca_Ka", "Fe_Ka", "Pb_Ma")
    assert (found.elevation_deg, found.azimuth_deg) == pytest.approx((35, 45), rel=1e-6)
    stage = (found.stage_x_mm, found.stage_y_mm, found.stage_z_mm)
    assert stage == (1.5, -2.5, 30.0)
    assert (found.stage_tilt_deg, found.stage_rotation_deg) == pytest.approx((70, -10), rel=1e-6)
    assert found.live_time_s == pytest.approx(np.nansum(live, dtype=float))
    assert found.real_time_s == pytest.approx(real.sum(dtype=float))
    assert found.resolution_mn_ka_ev == pytest.approx(np.sqrt(50**2 + 2.5 * 5898.7))
    (source,) = found.sources
    assert (source.name, source.size) == (path.name, path.stat().st_size)


def test_a_start_channel_of_zero_is_valid(path):
    counts = make_counts()
    write_h5oina(path, {"1": {"EDS": eds(counts, **{"Start Channel": np.float32(0)})}})
    assert read(path).energy.offset_kev == 0.0


def test_headers_may_lack_all_but_cells_and_channel_width(path):
    counts = make_counts()
    technique = eds(counts)
    kept = ("X Cells", "Y Cells", "Channel Width")
    technique.header = {name: technique.header[name] for name in kept}
    write_h5oina(path, {"1": {"EDS": technique}})
    image = read(path)
    np.testing.assert_array_equal(assemble(image), counts)
    assert (image.pixel_size, image.pixel_unit) == ((1.0, 1.0), "pixel")
    assert image.energy.offset_kev == 0.0
    assert image.metadata.title == "Map Data 1"
    assert image.metadata.resolution_mn_ka_ev == 130.0
    assert image.metadata.beam_energy_kev is None
    assert dict(image.images) == {}


@pytest.mark.parametrize("strobe", [np.nan, 0.0, -1.0, 5000.0])
def test_a_strobe_that_makes_no_sense_is_passed_over(path, strobe):
    write_h5oina(path, {"1": {"EDS": eds(make_counts(), **{"Strobe FWHM": np.float32(strobe)})}})
    assert read(path).metadata.resolution_mn_ka_ev == 130.0


def test_a_transmission_microscope_is_told_by_its_voltage(path):
    write_h5oina(path, {"1": {"EDS": eds(make_counts(), **{"Beam Voltage": np.float32(200)})}})
    assert read(path).metadata.instrument == "TEM"


def test_text_of_any_language_is_kept(path):
    technique = eds(make_counts(), **{"Specimen Label": "Müllers Probe µ 岩石"})
    write_h5oina(path, {"1": {"EDS": technique}})
    assert read(path).metadata.title.startswith("Müllers Probe µ 岩石 ")


# ------------------------------------------------------------- from any thread and process


def test_sources_survive_pickling_and_threads(path):
    counts = make_counts((150, 140, CHANNELS))
    write_h5oina(path, {"1": {"EDS": eds(counts)}})
    image = read(path)
    source = pickle.loads(pickle.dumps(image.source))  # noqa: S301
    assert source.__dask_tokenize__() == image.source.__dask_tokenize__()
    height, width = source.chunk_shape
    places = list(np.ndindex(image.n_blocks))
    expected = {place: image.source.read_block(*place).to_dense() for place in places}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda ij: source.read_block(*ij).to_dense(), [*expected] * 4))
    for block, (i, j) in zip(found, [*expected] * 4, strict=True):
        np.testing.assert_array_equal(block, expected[i, j])
        rows, columns = slice(height * i, height * (i + 1)), slice(width * j, width * (j + 1))
        np.testing.assert_array_equal(block, counts[rows, columns])


def test_other_detectors_are_another_source(path):
    write_h5oina(path, {"1": {"EDS1": eds(make_counts()), "EDS2": eds(make_counts())}})
    tokens = {
        read(path, detectors=chosen).source.__dask_tokenize__() for chosen in ([1], [2], [1, 2])
    }
    assert len(tokens) == 3


@pytest.mark.parametrize("number", [1, 2])
def test_pixels_of_floats_that_were_not_measured_have_no_counts(path, number):
    counts = make_counts().astype(np.float32)
    missing = counts.copy()
    missing[4, 5] = np.nan
    detectors = {"EDS1": missing, "EDS2": counts}
    entries = {
        name: eds(data, {"Spectrum": spectra(data)})
        for name, data in list(detectors.items())[:number]
    }
    write_h5oina(path, {"1": entries})
    expected = np.nan_to_num(missing) + (counts if number == 2 else 0)
    np.testing.assert_array_equal(read(path).to_xarray(), expected)
