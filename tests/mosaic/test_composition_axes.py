"""Tiles with different channels: what is moved, what is rebinned, and that no count is lost."""

import re

import numpy as np
import pytest
from dense_mosaic import layout_of, oracle_mosaic, read_all, tile_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import CorruptChunkError, ParameterError, SigmaScaleWarning
from sigma_scale.mosaic import TileLayout, compose
from sigma_scale.mosaic.composition.blocks import rebinned, seed_of
from sigma_scale.mosaic.composition.common_axis import ChannelMap, channel_map, common_axis
from sigma_scale.spectra import EnergyAxis, EventBlock, SpectrumImage
from sigma_scale.spectra.events import MAX_CHANNELS

USUAL = EnergyAxis(100, 0.01, -0.1)


def shares(old, new):
    """Share of each old channel that lies in each new one, from the edges in keV."""

    def edges(axis):
        return axis.offset_kev + axis.scale_kev * (np.arange(axis.size + 1) - 0.5)

    a, b = edges(old), edges(new)
    low = np.maximum(a[:-1, None], b[None, :-1])
    high = np.minimum(a[1:, None], b[None, 1:])
    return np.clip(high - low, 0, None) / old.scale_kev


def moved(block_or_dense, old, new, name="a", corner=(0, 0)):
    block = block_or_dense
    if isinstance(block, np.ndarray):
        block = EventBlock.from_dense(block)
    return rebinned(block, corner, channel_map(old, new), seed_of(name), new.size).to_dense()


AXES = [
    EnergyAxis(100, 0.0104, -0.09),
    EnergyAxis(130, 0.008, -0.1),
    EnergyAxis(60, 0.0199, -0.12),
    EnergyAxis(100, 0.01, -0.0953),
    EnergyAxis(199, 0.0051, -0.1),
]


@pytest.mark.parametrize("old", AXES)
def test_rebinned_counts_are_conserved_and_where_they_belong(old):
    rng = np.random.default_rng(2)
    rate = 0.3 + 3 * np.exp(-0.5 * ((np.arange(old.size) - 40) / 3) ** 2)
    dense = rng.poisson(rate, (60, 70, old.size)).astype(np.uint16)
    new = common_axis([USUAL, USUAL, old])
    found = moved(dense, old, new)
    np.testing.assert_array_equal(found.sum(axis=-1), dense.sum(axis=-1))
    # Each old channel's counts spread over new ones independently: binomial variances.
    part = shares(old, new)
    np.testing.assert_allclose(part.sum(axis=1), 1)
    totals = dense.sum(axis=(0, 1)).astype(float)
    expected, variance = totals @ part, totals @ (part * (1 - part))
    z = (found.sum(axis=(0, 1)) - expected) / np.sqrt(variance + 1e-9)
    certain = variance < 1e-9
    assert np.abs((found.sum(axis=(0, 1)) - expected)[certain]).max(initial=0) < 1e-6
    assert np.abs(z[~certain]).max() < 4.5
    assert np.sqrt(np.mean(z[~certain] ** 2)) == pytest.approx(1, abs=0.35)


def test_a_flat_spectrum_stays_flat_without_a_comb():
    old = EnergyAxis(1000, 0.0103)
    rng = np.random.default_rng(5)
    dense = rng.poisson(1.0, (60, 100, 1000)).astype(np.uint8)
    new = common_axis([EnergyAxis(1000, 0.01)] * 2 + [old])
    sums = moved(dense, old, new)[..., 5:990].reshape(-1, 985).sum(axis=0).astype(float)
    mean = 6000 * 0.01 / 0.0103
    assert sums.mean() == pytest.approx(mean, rel=0.003)
    # Rebinning to the nearest channel leaves one in 34 with none, and this at 13.
    assert sums.std() / np.sqrt(mean) == pytest.approx(1, abs=0.1)


def test_counts_are_drawn_independently_of_each_other():
    old, new = EnergyAxis(50, 0.01, 0.005), EnergyAxis(52, 0.01)
    dense = np.zeros((50, 60, 50), np.uint8)
    dense[:, :, 20] = 1
    dense[:, :, 30] = 2
    found = moved(dense, old, new)
    up = found[..., 21].astype(float)
    assert set(np.unique(found)) == {0, 1, 2}
    assert up.mean() == pytest.approx(0.5, abs=0.04)
    both = found[..., 31].ravel()
    assert np.bincount(both) / 3000 == pytest.approx([0.25, 0.5, 0.25], abs=0.04)
    centred = up - up.mean()
    for neighbour in (np.roll(centred, 1, 0), np.roll(centred, 1, 1), found[..., 31] - 1.0):
        assert abs((centred * neighbour).mean()) / centred.var() < 0.08
    other = moved(dense, old, new, name="b")[..., 21]
    assert (other != up).mean() == pytest.approx(0.5, abs=0.04)


def test_very_many_counts_in_a_channel_are_split_as_a_whole():
    old, new = EnergyAxis(10, 0.013), EnergyAxis(16, 0.01, -0.01)
    dense = np.zeros((40, 40, 10), np.uint32)
    dense[..., 4] = 1_000_003
    dense[..., 9] = 4_000_000_000
    found = moved(dense, old, new)
    np.testing.assert_array_equal(found.sum(axis=-1), dense.sum(axis=-1))
    expected = dense[0, 0] @ shares(old, new)
    assert np.abs(found - expected).max() <= 1
    np.testing.assert_allclose(found.mean(axis=(0, 1)), expected, atol=0.05)


def test_floats_are_split_by_overlap():
    old = AXES[0]
    dense = np.random.default_rng(1).normal(1, 1, (9, 8, 100))
    new = common_axis([USUAL, USUAL, old])
    found = moved(dense, old, new)
    np.testing.assert_allclose(found, dense @ shares(old, new), atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=-1), dense.sum(axis=-1), rtol=1e-12)


@settings(max_examples=50)
@given(
    size=st.integers(1, 80),
    scale=st.floats(0.005, 0.02),
    low=st.floats(-0.3, 0.3),
    seed=st.integers(0, 99),
)
def test_no_axis_loses_a_count(size, scale, low, seed):
    old = EnergyAxis(size, scale, low)
    new = common_axis([USUAL, USUAL, old])
    assert new.scale_kev == USUAL.scale_kev
    assert (new.low - USUAL.low) / USUAL.scale_kev == pytest.approx(
        round((new.low - USUAL.low) / USUAL.scale_kev), abs=1e-6
    )
    dense = np.random.default_rng(seed).poisson(1.0, (4, 5, size)).astype(np.uint8)
    found = channel_map(old, new)
    if found.shift is None:
        result = moved(dense, old, new)
        np.testing.assert_array_equal(result.sum(axis=-1), dense.sum(axis=-1))
        # No count is more than one new channel from where it was.
        near = shares(old, new) > 1e-6
        possible = (dense.reshape(-1, size) @ near.astype(int)) > 0
        assert not (result.reshape(-1, new.size) > 0)[~possible].any()
    else:
        assert 0 <= found.shift <= new.size - size


def test_the_common_axis_is_the_commonest_and_reaches_over_all():
    shifted = EnergyAxis(100, 0.01, -0.13)
    longer = EnergyAxis(110, 0.01, -0.1)
    assert common_axis([USUAL, shifted, USUAL]) == EnergyAxis(103, 0.01, -0.13)
    axis = common_axis([longer, USUAL, shifted, USUAL])
    assert (axis.size, axis.low) == (113, pytest.approx(-0.13))
    assert channel_map(USUAL, axis) == ChannelMap(3, 3.0, 1.0)
    assert channel_map(shifted, axis).shift == 0
    assert common_axis([USUAL] * 3) is USUAL
    # A calibration that differs in a digit that no file keeps is the same one.
    assert channel_map(EnergyAxis(100, 0.01, -0.1 + 1e-8), USUAL).shift == 0
    with pytest.raises(ParameterError, match="at most 65,535"):
        common_axis([EnergyAxis(MAX_CHANNELS, 0.01)] * 2 + [EnergyAxis(9, 0.01, -0.1)])


@pytest.mark.parametrize("overlap", ["seam", "sum"])
def test_tiles_off_by_whole_channels_are_moved(overlap):
    axes = [EnergyAxis(12, 0.01), EnergyAxis(12, 0.01, 0.03), EnergyAxis(14, 0.01, -0.02)]
    shapes, offsets = [(60, 70)] * 3, [(0, 0), (20, 50), (40, 10)]
    counts = [
        values[..., : axis.size]
        for values, axis in zip(tile_counts(shapes, channels=14), axes, strict=True)
    ]
    placed = [np.zeros((60, 70, 17), np.uint8) for _ in axes]
    for dense, values, first in zip(placed, counts, (2, 5, 0), strict=True):
        dense[..., first : first + values.shape[-1]] = values
    image = compose(layout_of(counts, offsets, axes=axes), overlap=overlap, doses="equal")
    assert (image.energy.size, image.energy.low) == (17, pytest.approx(-0.02))
    np.testing.assert_array_equal(read_all(image), oracle_mosaic(placed, offsets, overlap)[0])


def mixed(chunks=None, order=(0, 1, 2), dtype=np.uint8):
    axes = [EnergyAxis(40, 0.01), EnergyAxis(40, 0.01), EnergyAxis(40, 0.0103, 0.002)]
    offsets = [(0, 0), (0, 120), (90, 60)]
    counts = tile_counts([(100, 130)] * 3, channels=40, dtype=dtype)
    layout = layout_of(counts, offsets, axes=axes, chunks=chunks)
    tiles = tuple(layout.tiles[number] for number in order)
    return counts, offsets, TileLayout(tiles, "pixel")


def test_rebinned_tiles_are_told_of_and_keep_their_counts():
    counts, offsets, layout = mixed()
    told = re.escape("rebinned by counts: t2.")
    with pytest.warns(SigmaScaleWarning, match=told) as warned:
        image = compose(layout, doses="equal")
    assert len(warned) == 1
    assert image.source.dtype == np.uint16
    dense = read_all(image)
    totals = [values.sum(axis=-1, keepdims=True) for values in counts]
    np.testing.assert_array_equal(dense.sum(axis=-1), oracle_mosaic(totals, offsets)[0][..., 0])
    with pytest.warns(SigmaScaleWarning, match=told):
        summed = compose(layout, doses="equal", overlap="sum")
    assert int(read_all(summed).sum(dtype=int)) == sum(int(c.sum()) for c in counts)


@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
def test_rebinned_counts_depend_neither_on_chunks_nor_on_the_order_of_tiles():
    *_, layout = mixed()
    dense = read_all(compose(layout, doses="equal"))
    for chunks in ([(31, 64)] * 3, [(128, 7)] * 3):
        np.testing.assert_array_equal(read_all(compose(mixed(chunks)[-1], doses="equal")), dense)
    summed = read_all(compose(layout, doses="equal", overlap="sum"))
    other = compose(mixed(order=(2, 1, 0))[-1], doses="equal", overlap="sum")
    np.testing.assert_array_equal(read_all(other), summed)


def test_tiles_that_are_too_different_are_refused_by_name():
    axes = [EnergyAxis(12, 0.01), EnergyAxis(12, 0.01), EnergyAxis(12, 0.05)]
    layout = layout_of(tile_counts([(9, 9)] * 3), [(0, 0), (0, 5), (5, 0)], axes=axes)
    with pytest.raises(ParameterError, match="Tile 't2' has 12 channels of 50 eV"):
        compose(layout)


@pytest.mark.parametrize("axis", [EnergyAxis(12, 0.01, 0.02), EnergyAxis(12, 0.0103)])
def test_an_event_past_a_tiles_last_channel_is_noticed(axis):
    one = np.ones(1, np.uint8)
    damaged = EventBlock((1, 1, 12), one, np.array([12], np.uint8), one * 0, one)

    class Damaged:
        shape, dtype, chunk_shape = (1, 1, 12), np.dtype(np.uint8), (128, 128)

        def read_block(self, row, column, scratch=None):
            return damaged

        def __dask_tokenize__(self):
            return "damaged"

    from sigma_scale.mosaic import Tile

    usual = layout_of(tile_counts([(1, 1)] * 2), [(0, 0), (0, 5)])
    tile = Tile.describe(SpectrumImage(Damaged(), axis), "broken", position=(0.0, 9.0))
    layout = TileLayout((*usual.tiles, tile), "pixel")
    if axis.scale_kev != 0.01:
        with pytest.warns(SigmaScaleWarning, match="rebinned"):
            image = compose(layout, doses="equal")
    else:
        image = compose(layout, doses="equal")
    with pytest.raises(CorruptChunkError, match=r"Tile 'broken'.*past its last channel"):
        image.source.read_block(0, 0)
