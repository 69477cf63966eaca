"""Doses of tiles from their overlaps, against the doses that they were made with."""

from dataclasses import replace

import numpy as np
import pytest

from sigma_scale import store
from sigma_scale.mosaic import Tile, TileLayout, tile_doses
from sigma_scale.mosaic.registration import Registration
from sigma_scale.spectra import EnergyAxis, SpectrumImage
from sigma_scale.synthetic import synthetic_tiles


def placed(made):
    """Layout of synthetic tiles where they really are."""
    layout = TileLayout.from_stage(made.images)
    return layout.with_offsets(made.positions - made.positions.min(axis=0))


def relative(doses):
    return doses / np.exp(np.log(doses).mean())


def errors(found, true):
    logarithms = np.log(found) - np.log(true)
    return logarithms - logarithms.mean()


def flat(shape, per_pixel, *, live_time_s=None, seed=0):
    """Tile with the same expected counts everywhere."""
    counts = np.random.default_rng(seed).poisson(per_pixel / 4, (*shape, 4)).astype(np.uint16)
    made = SpectrumImage.from_array(counts, EnergyAxis(4, 1.0))
    return replace(made, metadata=replace(made.metadata, live_time_s=live_time_s))


def layout_of(images, offsets):
    tiles = (
        Tile.describe(image, name, position=offset)
        for (name, image), offset in zip(images.items(), offsets, strict=True)
    )
    return TileLayout(tuple(tiles), "pixel")


@pytest.fixture(scope="module")
def made():
    return synthetic_tiles((4, 4), (128, 128), counts_per_pixel=25, seed=1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_doses_are_recovered_to_one_per_cent(seed):
    made = synthetic_tiles((4, 4), (128, 128), counts_per_pixel=25, seed=seed)
    assert made.doses.std() > 0.05
    found = tile_doses(placed(made))
    assert found.shape == (16,)
    assert np.log(found).mean() == pytest.approx(0, abs=1e-9)
    assert errors(found, made.doses).std() < 0.01


def test_registration_will_do_as_well(made):
    layout = placed(made)
    registered = Registration(layout, None, ())
    np.testing.assert_array_equal(tile_doses(registered), tile_doses(layout))


def test_stores_give_the_same(made, tmp_path):
    few = {name: made.images[name] for name in ("tile_0_0", "tile_0_1")}
    offsets = made.positions[:2] - made.positions[:2].min(axis=0)
    stored = {name: store.write_map(image, tmp_path / name) for name, image in few.items()}
    assert store.stored_total(stored["tile_0_0"].source) is not None
    found = [
        tile_doses(TileLayout.from_stage(images).with_offsets(offsets)) for images in (few, stored)
    ]
    np.testing.assert_array_equal(*found)


def test_doses_do_not_depend_on_the_order_of_tiles(made):
    layout = placed(made)
    turned = TileLayout(layout.tiles[::-1], layout.unit)
    np.testing.assert_allclose(tile_doses(turned)[::-1], tile_doses(layout), rtol=1e-9)


def test_a_pair_s_ratio_is_that_of_its_common_pixels():
    first, second = flat((20, 30), 40), flat((20, 30), 80, seed=1)
    found = tile_doses(layout_of({"a": first, "b": second}, [(0, 0), (3.4, 21.6)]))
    one = first.source.read_block(0, 0).to_csr().toarray().reshape(20, 30, 4)[3:, 22:]
    other = second.source.read_block(0, 0).to_csr().toarray().reshape(20, 30, 4)[:17, :8]
    ratio = other.sum() / one.sum()
    np.testing.assert_allclose(found, [ratio**-0.5, ratio**0.5], rtol=1e-9)


def test_a_wrecked_tile_harms_no_other(made):
    """Half of a tile's counts are missing in its lower right part."""
    layout = placed(made)
    good = tile_doses(layout)
    images = dict(made.images)
    counts = images["tile_1_1"].to_xarray().compute().to_numpy()
    counts[40:, 40:] = np.random.default_rng(0).binomial(counts[40:, 40:], 0.3)
    images["tile_1_1"] = replace(
        SpectrumImage.from_array(counts, images["tile_1_1"].energy),
        metadata=images["tile_1_1"].metadata,
        pixel_size=images["tile_1_1"].pixel_size,
        pixel_unit=images["tile_1_1"].pixel_unit,
    )
    found = tile_doses(placed(replace(made, images=images)))
    others = np.arange(16) != 5
    assert errors(found[others], made.doses[others]).std() < 0.012
    assert np.abs(errors(found[others], good[others])).max() < 0.01


def test_an_empty_tile_has_the_mean_dose(made):
    images = dict(made.images)
    empty = images["tile_2_2"]
    blank = SpectrumImage.from_array(np.zeros(empty.shape, np.uint8), empty.energy)
    images["tile_2_2"] = replace(
        blank,
        metadata=replace(empty.metadata, live_time_s=None),
        pixel_size=empty.pixel_size,
        pixel_unit=empty.pixel_unit,
    )
    no_times = {
        name: replace(image, metadata=replace(image.metadata, live_time_s=None))
        for name, image in images.items()
    }
    found = tile_doses(placed(replace(made, images=no_times)))
    others = np.arange(16) != 10
    assert found[10] == pytest.approx(1.0, abs=1e-9)
    assert errors(found[others], made.doses[others]).std() < 0.01


def test_tiles_that_do_not_overlap_are_compared_by_live_times():
    images = {
        "a": flat((20, 20), 40, live_time_s=10.0),
        "b": flat((20, 20), 40, live_time_s=40.0),
        "c": flat((20, 10), 40, live_time_s=10.0),
    }
    found = tile_doses(layout_of(images, [(0, 0), (0, 30), (0, 60)]))
    np.testing.assert_allclose(found, relative(np.array([1.0, 4.0, 2.0])))


def test_sets_of_tiles_are_tied_by_the_live_times_that_are_known():
    images = {
        "a": flat((20, 30), 4000, live_time_s=10.0),
        "b": flat((20, 30), 8000, seed=1),
        "c": flat((20, 30), 100, live_time_s=40.0),
        "d": flat((20, 30), 100),
    }
    found = tile_doses(layout_of(images, [(0, 0), (0, 20), (0, 60), (0, 100)]))
    # d, of which nothing is known, is taken as the mean of the others.
    expected = relative(np.array([1.0, 2.0, 4.0, 2.0]))
    np.testing.assert_allclose(found, expected, rtol=0.01)


def test_without_overlaps_and_live_times_doses_are_one():
    images = {"a": flat((20, 20), 40), "b": flat((20, 20), 80)}
    assert tile_doses(layout_of(images, [(0, 0), (0, 20)])).tolist() == [1.0, 1.0]


def test_one_tile_has_the_dose_one():
    assert tile_doses(layout_of({"a": flat((20, 20), 40, live_time_s=7.0)}, [(0, 0)])) == [1.0]
