"""Mosaics against dense ones, put together by a rule that was written independently."""

import pickle

import dask
import numpy as np
import pytest
from dense_mosaic import AXIS, layout_of, oracle_mosaic, read_all, tile_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import (
    ParameterError,
    ShapeMismatchError,
    SigmaScaleError,
    SourceNotFoundError,
)
from sigma_scale.mosaic import MosaicSource, Registration, Tile, TileLayout, compose
from sigma_scale.mosaic.composition.blocks import RecentBlocks
from sigma_scale.spectra import EventBlock, MapMetadata, Scratch, SpectrumImage
from sigma_scale.spectra.metadata import SourceFile
from sigma_scale.spectra.rechunk import chunk_plan, chunks_of_region
from sigma_scale.spectra.source import BlockSource

CASES = {
    "jittered grid": (
        [(90, 100)] * 6,
        [(0, 2), (3, 88), (-2, 177), (79, 0), (83, 91), (80, 180)],
    ),
    "different sizes": ([(60, 150), (150, 60), (33, 40)], [(0, 0), (10, 100), (50, 20)]),
    "gaps": ([(40, 40), (50, 30), (7, 9)], [(0, 0), (5, 150), (200, 60)]),
    "nested": ([(140, 150), (40, 50), (140, 150)], [(0, 0), (30, 40), (5, 5)]),
    "fractions": ([(50, 50)] * 3, [(0.25, 0), (0.75, 45.5), (44.75, 20.499)]),
    "one": ([(20, 30)], [(7, 9)]),
}
CHUNKS = [(128, 128), (33, 57), (17, 400), (5, 128), (90, 100), (64, 1)]


def case(name, **details):
    shapes, offsets = CASES[name]
    counts = tile_counts(shapes, **details)
    return counts, offsets, layout_of(counts, offsets, chunks=CHUNKS[: len(counts)])


@pytest.mark.parametrize("overlap", ["seam", "sum"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:These tiles give no pixel")
def test_counts_equal_those_of_the_dense_mosaic(name, overlap):
    counts, offsets, layout = case(name)
    dense, owner, covered = oracle_mosaic(counts, offsets, overlap)
    image = compose(layout, overlap=overlap, doses="equal")
    assert image.source.shape == dense.shape
    assert image.energy == AXIS
    for scratch in (None, Scratch()):
        np.testing.assert_array_equal(read_all(image, scratch), dense)
    np.testing.assert_array_equal(image.images["tile"].values, owner)
    np.testing.assert_array_equal(
        image.images["dose"].values, np.maximum(covered.sum(axis=0), 1) if overlap == "sum" else 1
    )


def test_every_pixel_is_one_tiles_and_the_counts_are_those_of_owned_pixels():
    counts, offsets, layout = case("jittered grid")
    image = compose(layout, doses="equal")
    owner = image.images["tile"].values
    places = np.array(offsets) - np.min(offsets, axis=0)
    owned = 0
    for number, (values, (y, x)) in enumerate(zip(counts, places, strict=True)):
        mine = owner[y : y + values.shape[0], x : x + values.shape[1]] == number
        assert mine.sum() == (owner == number).sum() > 0
        owned += int(values[mine].sum())
    assert int(image.sum_spectrum().compute().sum()) == owned
    assert image.images["tile"].attrs["tiles"] == [f"t{n}" for n in range(6)]


def test_a_sum_holds_all_counts_of_all_tiles():
    counts, _, layout = case("nested")
    image = compose(layout, overlap="sum", doses="equal")
    assert int(image.sum_spectrum().compute().sum()) == sum(int(c.sum()) for c in counts)


def test_the_seam_is_the_middle_of_the_overlap():
    counts = tile_counts([(10, 30), (10, 30)])
    owner = compose(layout_of(counts, [(0, 0), (0, 20)]), doses="equal").images["tile"].values
    # Columns 20 to 29 are common, the seam is at 25, along the upper and lower border as well.
    assert owner.tolist() == [[0] * 25 + [1] * 25] * 10
    # A pixel that is as deep in both is the earlier tile's.
    counts = tile_counts([(10, 30), (10, 29)])
    owner = compose(layout_of(counts, [(0, 0), (0, 21)]), doses="equal").images["tile"].values
    assert owner.tolist() == [[0] * 26 + [1] * 24] * 10


def test_sums_get_a_type_that_holds_them():
    counts = [np.full((5, 5, 12), 255, np.uint8) for _ in range(3)]
    image = compose(layout_of(counts, [(0, 0), (0, 1), (1, 0)]), overlap="sum", doses="equal")
    assert image.source.dtype == np.uint16
    assert read_all(image).max() == 765
    counts = [np.full((5, 5, 12), 2**32 - 1, np.uint32) for _ in range(2)]
    image = compose(layout_of(counts, [(0, 0), (0, 1)]), overlap="sum", doses="equal")
    with pytest.raises(ParameterError, match="8,589,934,590 counts"):
        image.source.read_block(0, 0)


@pytest.mark.parametrize("overlap", ["seam", "sum"])
def test_tiles_of_different_types_share_one_that_holds_all(overlap):
    counts = tile_counts([(30, 40)] * 3)
    counts[1] = counts[1].astype(np.uint16) + 300
    counts[2] = counts[2].astype(np.float32) - 0.25
    offsets = [(0, 0), (10, 30), (20, 10)]
    for chosen in (counts[:2], counts):
        image = compose(layout_of(chosen, offsets[: len(chosen)]), overlap=overlap, doses="equal")
        dense, *_ = oracle_mosaic(chosen, offsets[: len(chosen)], overlap)
        np.testing.assert_allclose(read_all(image), dense, rtol=1e-6)
        assert image.source.read_block(0, 0).dtype.kind == image.source.dtype.kind


@settings(max_examples=60)
@given(
    tiles=st.lists(
        st.tuples(
            st.integers(1, 150), st.integers(1, 40), st.integers(-90, 90), st.integers(-150, 150),
            st.integers(1, 60), st.integers(1, 60),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda t: t[:4],
    ),
    overlap=st.sampled_from(["seam", "sum"]),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:These tiles give no pixel")
def test_any_tiles_anywhere(tiles, overlap):
    counts = tile_counts([t[:2] for t in tiles], channels=3)
    offsets = [t[2:4] for t in tiles]
    axes = [type(AXIS)(3, 0.01)] * len(tiles)
    layout = layout_of(counts, offsets, axes=axes, chunks=[t[4:] for t in tiles])
    image = compose(layout, overlap=overlap, doses="equal")
    dense, owner, _ = oracle_mosaic(counts, offsets, overlap)
    np.testing.assert_array_equal(read_all(image, Scratch()), dense)
    np.testing.assert_array_equal(image.images["tile"].values, owner)


@pytest.mark.parametrize("overlap", ["seam", "sum"])
def test_any_chunks_of_any_region_hold_the_same_counts(overlap):
    counts, offsets, layout = case("jittered grid")
    source = compose(layout, overlap=overlap, doses="equal").source
    dense, *_ = oracle_mosaic(counts, offsets, overlap)
    for shape in ((50, 70), (128, 128), (200, 31)):
        plan = chunk_plan(source, shape)
        found = np.zeros_like(dense)
        for i, j in np.ndindex(plan.shape):
            for row, column, block in chunks_of_region(source, plan.limits(i, j), shape):
                y, x = row * shape[0], column * shape[1]
                found[y : y + block.shape[0], x : x + block.shape[1]] = block.to_dense()
        np.testing.assert_array_equal(found, dense)


def test_a_scratch_used_for_two_mosaics_in_turn_mixes_nothing():
    scratch = Scratch()
    pairs = []
    for seed in (1, 2):
        counts, offsets, layout = case("jittered grid", seed=seed)
        pairs.append((compose(layout, doses="equal").source, oracle_mosaic(counts, offsets)[0]))
    for column in (0, 1, 0):
        for source, dense in pairs:
            block = source.read_block(0, column, scratch)
            x = column * 128
            np.testing.assert_array_equal(block.to_dense(), dense[:128, x : x + 128])


def test_recent_blocks_are_given_up_when_they_are_too_large_but_never_those_wanted():
    loaded = []

    def load(key, _memory):
        loaded.append(key)
        return EventBlock.from_dense(np.full((4, 4, 2), key, np.uint8))

    recent = RecentBlocks(kept_bytes=0)
    blocks = recent.fetch([1, 2, 3], load)
    assert [int(block.counts[0]) for block in blocks] == [1, 2, 3]
    blocks = recent.fetch([3, 4], load)
    assert [int(block.counts[0]) for block in blocks] == [3, 4]
    recent.fetch([1, 4], load)
    assert loaded == [1, 2, 3, 4, 1]


def file_tile(path, name, place, **details):
    options = {"scale_kev": AXIS.scale_kev, "offset_kev": AXIS.offset_kev}
    return Tile.describe(path, name, position=place, options=options, **details)


def test_the_source_travels_and_works_in_other_processes(tmp_path):
    counts, offsets, _ = case("jittered grid")
    tiles = []
    for number, (values, (y, x)) in enumerate(zip(counts, offsets, strict=True)):
        np.save(tmp_path / f"{number}.npy", values)
        place = (float(y), float(x))
        tiles.append(file_tile(tmp_path / f"{number}.npy", f"t{number}", place))
    dense, owner, _ = oracle_mosaic(counts, offsets)
    image = compose(TileLayout(tuple(tiles), "pixel"), doses="equal")
    again = pickle.loads(pickle.dumps(image))  # noqa: S301 -- our own
    assert isinstance(image.source, BlockSource)
    assert isinstance(again.source, MosaicSource)
    assert len(pickle.dumps(again.source)) < 6_000
    assert dask.base.tokenize(again.source) == dask.base.tokenize(image.source)
    np.testing.assert_array_equal(read_all(again), dense)
    with dask.config.set(scheduler="processes", num_workers=2):
        numbers, spectrum = dask.compute(image.images["tile"], image.sum_spectrum())
    np.testing.assert_array_equal(numbers, owner)
    np.testing.assert_array_equal(spectrum, dense.sum(axis=(0, 1)))


def test_only_tiles_that_a_block_needs_are_read(monkeypatch):
    _, _, layout = case("jittered grid")
    image = compose(layout, doses="equal")
    opened = set()
    real = MosaicSource.open_tile
    monkeypatch.setattr(MosaicSource, "open_tile", lambda self, n: opened.add(n) or real(self, n))
    image.source.read_block(0, 2)
    assert opened == {2, 5}


def navigation(values, **attrs):
    import xarray as xr

    return xr.DataArray(values, dims=("y", "x"), attrs=attrs)


def test_images_are_pasted_by_the_same_rule():
    shapes, offsets = CASES["different sizes"]
    counts = tile_counts(shapes)
    rng = np.random.default_rng(3)
    shown = [rng.integers(1, 60_000, shape).astype(np.uint16) for shape in shapes]
    details = [{"images": {"navigation": navigation(values)}} for values in shown]
    details[1] = {"images": {"navigation": navigation(shown[1]).chunk(13)}}
    details[2] = {}
    doses = np.array([0.5, 2.0, 3.0])
    layout = layout_of(counts, offsets, details=details)
    image = compose(layout, doses=doses)
    _, owner, covered = oracle_mosaic(counts, offsets)
    expected, of_dose = np.zeros(owner.shape), np.ones(owner.shape)
    for number, (values, (y, x)) in enumerate(zip(shown, offsets, strict=True)):
        whole = np.zeros(owner.shape)
        whole[y : y + values.shape[0], x : x + values.shape[1]] = values
        of_dose[owner == number] = doses[number]
        if number < 2:
            expected[owner == number] = whole[owner == number]
    np.testing.assert_array_equal(image.navigation.values, expected)
    assert image.navigation.dtype == np.uint16
    np.testing.assert_array_equal(image.images["dose"].values, of_dose.astype(np.float32))
    summed = compose(layout, doses=doses, overlap="sum")
    total = np.tensordot(doses, covered, 1)
    np.testing.assert_allclose(
        summed.images["dose"].values, np.where(covered.any(axis=0), total, 1)
    )
    np.testing.assert_array_equal(summed.images["n_tiles"].values, covered.sum(axis=0))
    assert {item.dtype.name for item in (summed.images["dose"], summed.images["n_tiles"])} == {
        "float32"
    }


def test_live_times_are_summed_per_pixel():
    shapes, offsets = [(10, 20), (20, 20)], [(0, 0), (5, 10)]
    details = [{"metadata": MapMetadata(live_time_s=time)} for time in (100.0, 80.0)]
    layout = layout_of(tile_counts(shapes), offsets, details=details)
    image = compose(layout, overlap="sum", doses="equal")
    times = image.images["live_time"]
    assert times.attrs["units"] == "s"
    assert sorted(np.unique(times.values)) == pytest.approx([0.0, 0.2, 0.5, 0.7])
    assert float(times.values.sum(dtype=float)) == pytest.approx(180.0)
    assert image.metadata.live_time_s == 180.0
    assert "live_time" not in compose(layout, doses="equal").images


def test_images_larger_than_a_piece_of_work_are_whole():
    shapes, offsets = [(40, 900), (60, 800)], [(0, 0), (20, 700)]
    counts = tile_counts(shapes, channels=12, rate=0.01)
    _, owner, _ = oracle_mosaic(counts, offsets)
    image = compose(layout_of(counts, offsets), doses="equal")
    assert image.images["tile"].data.numblocks == (1, 2)
    np.testing.assert_array_equal(image.images["tile"].values, owner)


def test_doses_that_are_not_given_are_estimated_when_they_are_wanted():
    rng = np.random.default_rng(1)
    rate = rng.uniform(0.5, 2, (60, 110, 1)) * np.ones(12)
    parts = [(rate[:, :60], 1.0), (rate[:, 50:], 0.5)]
    counts = [rng.poisson(20 * part * dose).astype(np.uint8) for part, dose in parts]
    image = compose(layout_of(counts, [(0, 0), (0, 50)]))
    dose = image.images["dose"].values
    assert dose[30, 5] / dose[30, 100] == pytest.approx(2.0, rel=0.05)


def test_metadata_are_united():
    def about(number, **details):
        return {
            "metadata": MapMetadata(
                beam_energy_kev=20.0, elements=("Fe", f"{'OSC'[number]}"), lines=("Fe_Ka",),
                real_time_s=5.0, stage_x_mm=10.0 - 0.01 * number, stage_y_mm=4.0,
                elevation_deg=35.0, stage_tilt_deg=float(number), **details,
            )
        }  # fmt: skip

    details = [
        about(0, resolution_mn_ka_ev=128.0),
        about(1, resolution_mn_ka_ev=128.0),
        about(2, live_time_s=3.0),
    ]
    counts = tile_counts([(11, 11)] * 3)
    layout = layout_of(counts, [(0, 0), (0, 10), (0, 20)], details=details)
    found = compose(layout, doses="equal").metadata
    assert found.title == "mosaic of 3 tiles"
    assert (found.beam_energy_kev, found.resolution_mn_ka_ev) == (20.0, 128.0)
    assert (found.elements, found.lines) == (("Fe", "O", "S", "C"), ("Fe_Ka",))
    assert (found.live_time_s, found.real_time_s) == (None, 15.0)
    assert (found.elevation_deg, found.stage_tilt_deg) == (35.0, None)
    # The stage's x goes to the left here; the mosaic's centre is the middle tile's.
    assert (found.stage_x_mm, found.stage_y_mm) == pytest.approx((9.99, 4.0))


def test_files_of_one_name_in_different_folders_are_all_sources(tmp_path):
    details = []
    for folder in ("a", "b", "b"):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / "map.raw"
        path.write_bytes(folder.encode())
        details.append({"metadata": MapMetadata(sources=(SourceFile.at(path),))})
    layout = layout_of(tile_counts([(9, 9)] * 3), [(0, 0), (0, 8), (8, 0)], details=details)
    found = compose(layout, doses="equal").metadata.sources
    assert [file.path.parent.name for file in found] == ["a", "b"]


def test_the_scale_is_that_of_the_layout_or_of_the_tiles():
    counts = tile_counts([(10, 10)] * 2)
    plain = compose(layout_of(counts, [(0, 0), (0, 8)]), doses="equal")
    assert (plain.pixel_size, plain.pixel_unit) == ((1.0, 1.0), "pixel")
    details = [{"pixel_size": (0.5, 0.25), "pixel_unit": "µm"}] * 2
    layout = layout_of(counts, [(0, 0), (0, 8)], details=details)
    image = compose(layout, doses="equal")
    assert (image.pixel_size, image.pixel_unit) == ((0.5, 0.25), "µm")
    assert image.images["tile"].x.values[1] == 0.25
    assert image.shape[:2] == (10, 18)
    in_um = TileLayout(layout.tiles, "µm")
    image = compose(in_um, doses="equal")
    assert image.shape[:2] == (10, 42)


def test_a_registration_is_composed_where_it_found_the_tiles():
    counts = tile_counts([(10, 10)] * 2)
    layout = layout_of(counts, [(0, 0), (0, 8)])
    moved = layout.with_offsets(np.array([[0.0, 0.0], [2.0, 7.0]]))
    assert compose(Registration(moved, None, ()), doses="equal").shape[:2] == (12, 17)


def test_what_cannot_work_is_refused():
    counts = tile_counts([(10, 10)] * 2)
    layout = layout_of(counts, [(0, 0), (0, 8)])
    with pytest.raises(ParameterError, match="overlap must be"):
        compose(layout, overlap="mean")
    with pytest.raises(ParameterError, match="doses must be"):
        compose(layout, doses="same")
    with pytest.raises(ShapeMismatchError, match="2 tiles need as many doses"):
        compose(layout, doses=np.ones(3))
    with pytest.raises(ParameterError, match="positive"):
        compose(layout, doses=np.array([1.0, 0.0]))
    with pytest.raises(ParameterError, match="no block"):
        compose(layout, doses="equal").source.read_block(0, 1)
    binned = SpectrumImage.from_array(counts[0], AXIS).with_processing(bin_factors=(2, 2))
    tile = Tile.describe(binned, "b", position=(0.0, 0.0))
    with pytest.raises(ParameterError, match="bins of"):
        compose(TileLayout((tile,), "pixel"), doses="equal")


def test_a_tile_that_cannot_be_read_is_named(tmp_path):
    counts = tile_counts([(10, 10)] * 2)
    for number, values in enumerate(counts):
        np.save(tmp_path / f"{number}.npy", values)
    layout = TileLayout(
        tuple(
            file_tile(tmp_path / f"{n}.npy", f"field {n}", (0.0, 8.0 * n), line=n + 2)
            for n in range(2)
        ),
        "pixel",
    )
    image = compose(layout, doses="equal")
    np.save(tmp_path / "1.npy", counts[1][:9])
    with pytest.raises(ParameterError, match=r"tile 'field 1' \(line 3\)"):
        image.source.read_block(0, 0)
    np.save(tmp_path / "1.npy", counts[1])
    (tmp_path / "0.npy").unlink()
    with pytest.raises(SourceNotFoundError, match=r"Tile 'field 0' \(line 2\): .*0\.npy"):
        compose(layout, doses="equal")


def test_a_damaged_block_names_its_tile():
    counts = tile_counts([(10, 10)] * 2)
    layout = layout_of(counts, [(0, 0), (0, 8)])

    class Damaged:
        shape, dtype, chunk_shape = (10, 10, 12), np.dtype(np.uint8), (128, 128)

        def read_block(self, row, column, scratch=None):
            raise SigmaScaleError("the chunk is damaged.")

        def __dask_tokenize__(self):
            return "damaged"

    tile = Tile.describe(SpectrumImage(Damaged(), AXIS), "broken", position=(0.0, 16.0))
    image = compose(TileLayout((*layout.tiles, tile), "pixel"), doses="equal")
    with pytest.raises(SigmaScaleError, match="Tile 'broken': the chunk is damaged"):
        image.source.read_block(0, 0)
