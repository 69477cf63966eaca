"""Mosaics against dense ones, put together by a rule that was written independently."""

import pickle

import dask
import numpy as np
import pytest
from dense_mosaic import AXIS, file_tile, layout_of, oracle_mosaic, read_all, tile_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import (
    ParameterError,
)
from sigma_scale.mosaic import MosaicSource, TileLayout, compose
from sigma_scale.mosaic.composition.blocks import RecentBlocks
from sigma_scale.spectra import EventBlock, Scratch
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
