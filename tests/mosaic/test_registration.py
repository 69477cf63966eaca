import warnings
from dataclasses import replace

import dask
import numpy as np
import pytest
import xarray as xr

from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.mosaic import GridRule, TileLayout, pairs, register
from sigma_scale.synthetic import synthetic_tiles

RULE = GridRule(pattern="tile_{row}_{column}")


def rms(tiles, layout):
    """Root mean square distance from the true positions, in pixels, whatever the map's corner."""
    error = layout.offsets - tiles.positions
    error -= error.mean(axis=0)
    return float(np.sqrt((error**2).sum(axis=1).mean()))


@pytest.fixture(scope="module")
def scan():
    return synthetic_tiles((10, 10), (256, 256), overlap=0.1, jitter=3, dose=0.1, seed=0)


@pytest.fixture(scope="module")
def few():
    return synthetic_tiles((3, 4), (192, 192), overlap=0.15, seed=5, grain_size=12.0)


def with_picture(image, picture):
    return replace(image, images={"navigation": xr.DataArray(picture, dims=("y", "x"))})


def test_a_hundred_tiles_are_placed_to_half_a_pixel(scan):
    layout = TileLayout.from_stage(scan.images)
    assert rms(scan, layout) > 3
    found = register(layout)
    assert rms(scan, found.layout) < 0.5
    assert found.unmatched == ()
    assert len(found.pairs) == 180
    assert found.pairs["used"].mean() > 0.95
    between = scan.positions[1] - scan.positions[0]
    assert found.pairs.loc[0, ["tile_a", "tile_b"]].tolist() == ["tile_0_0", "tile_0_1"]
    assert found.pairs.loc[0, ["dy", "dx"]].to_numpy(float) == pytest.approx(between, abs=1.0)


def test_pairs_of_noise_are_rejected(scan, monkeypatch):
    noisy = {*np.random.default_rng(0).choice(180, 9, replace=False).tolist()}
    compare = pairs._compare

    def with_noise(job):
        number, first, second, *others = job
        if number in noisy:
            rng = np.random.default_rng(number)
            first, second = (1e4 * rng.random(strip.shape) for strip in (first, second))
        return compare((number, first, second, *others))

    monkeypatch.setattr(pairs, "_compare", with_noise)
    found = register(TileLayout.from_stage(scan.images))
    assert rms(scan, found.layout) < 0.5
    assert not found.pairs["used"][[*noisy]].any()


def test_tiles_that_match_nowhere_stay_and_are_named(few):
    noise = np.random.default_rng(0).random((192, 192))
    images = {**few.images, "tile_1_1": with_picture(few.images["tile_1_1"], noise)}
    layout = TileLayout.from_grid(images, replace(RULE, overlap=0.15))
    with pytest.warns(SigmaScaleWarning, match="keep the position that was given: tile_1_1"):
        found = register(layout)
    assert found.unmatched == ("tile_1_1",)
    assert found.layout["tile_1_1"].position == pytest.approx(layout["tile_1_1"].position)
    known = np.arange(12) != 5
    error = (found.layout.offsets - few.positions)[known]
    assert np.abs(error - error.mean(axis=0)).max() < 0.7


@pytest.fixture(scope="module")
def scan_with_a_misplaced_tile():
    """Scan and layout, in which `tile_2_1` is 60 pixels too far right and `tile_3_3` isn't yet."""
    tiles = synthetic_tiles(
        (4, 4), (192, 192), overlap=0.1, jitter=3.0, dose=0.1, grain_size=32.0, seed=7
    )
    images = {name: image for name, image in tiles.images.items() if name != "tile_3_3"}
    layout = TileLayout.from_stage(images)
    offsets = layout.offsets.copy()
    offsets[9] += (0.0, 60.0)
    return tiles.positions[:15], layout.with_offsets(offsets)


def test_a_misplaced_tile_is_not_placed_by_one_chance_match(scan_with_a_misplaced_tile):
    true, layout = scan_with_a_misplaced_tile
    with pytest.warns(SigmaScaleWarning, match=r"given: tile_2_1\..* search \(12 pixels\)"):
        found = register(layout)
    assert found.unmatched == ("tile_2_1",)
    assert found.layout["tile_2_1"].position == pytest.approx(layout["tile_2_1"].position)
    named = (found.pairs[["tile_a", "tile_b"]] == "tile_2_1").any(axis=1)
    assert named.sum() == 5
    assert not found.pairs["used"][named].any()
    assert found.pairs["used"][~named].sum() >= 17
    error = (found.layout.offsets - true)[np.arange(15) != 9]
    assert np.abs(error - error.mean(axis=0)).max() < 0.7


@pytest.mark.parametrize("search", [60, 80])
def test_a_wide_search_finds_a_misplaced_tile(scan_with_a_misplaced_tile, search):
    true, layout = scan_with_a_misplaced_tile
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        found = register(layout, search=search)
    assert found.unmatched == ()
    error = found.layout.offsets - true
    assert np.linalg.norm(error - np.median(error, axis=0), axis=1).max() < 1.5


def test_a_wide_search_gives_what_a_narrow_one_gives(few):
    layout = TileLayout.from_stage(few.images)
    narrow, wide = register(layout), register(layout, search=80)
    shared = narrow.pairs["used"] & wide.pairs["used"]
    assert shared.sum() >= narrow.pairs["used"].sum() - 1
    for name in ("dy", "dx"):
        np.testing.assert_allclose(wide.pairs[name][shared], narrow.pairs[name][shared], atol=1e-6)
    assert rms(few, wide.layout) < 0.7


@pytest.mark.parametrize("shape", [(1, 6), (6, 1)])
def test_single_rows_and_columns_are_placed(shape):
    tiles = synthetic_tiles(shape, (160, 160), overlap=0.15, seed=4, grain_size=12.0)
    found = register(TileLayout.from_stage(tiles.images))
    assert found.unmatched == ()
    assert rms(tiles, found.layout) < 0.7


def test_tiles_with_empty_overlaps_are_kept(few):
    # The lower half of the scan's middle is resin: flat, but for the camera's noise.
    rng = np.random.default_rng(0)
    images = dict(few.images)
    for name in ("tile_1_1", "tile_1_2", "tile_2_1", "tile_2_2"):
        picture = images[name].images["navigation"].to_numpy().astype(np.float64)
        part = slice(60, None) if name.startswith("tile_1") else slice(None, 130)
        noise = picture.std() * 0.02 * rng.standard_normal(picture[part].shape)
        picture[part] = picture.mean() + noise
        images[name] = with_picture(images[name], picture)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        found = register(TileLayout.from_stage(images))
    assert found.unmatched == ()
    assert rms(few, found.layout) < 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_tiles_of_other_places_are_refused(few, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(12)
    while (order == np.arange(12)).any():
        order = rng.permutation(12)
    names = list(few.images)
    images = {name: few.images[names[n]] for name, n in zip(names, order, strict=True)}
    with pytest.raises(ParameterError, match="overlaps don't match: of 17 pairs"):
        register(TileLayout.from_grid(images, RULE))


def test_layouts_without_overlaps_are_refused(few):
    layout = TileLayout.from_grid(few.images, replace(RULE, overlap=0.0))
    with pytest.raises(ParameterError, match="No two tiles overlap"):
        register(layout)
    with pytest.raises(ParameterError, match="search must be a positive"):
        register(layout, search=0)


def test_a_single_tile_needs_no_pairs(make_image):
    found = register(TileLayout.from_stage({"a": make_image((0, 0))}))
    assert len(found.pairs) == 0
    assert found.unmatched == ()


def test_counts_serve_where_there_is_no_picture():
    tiles = synthetic_tiles(
        (2, 2), (160, 160), overlap=0.3, seed=2, grain_size=10.0, counts_per_pixel=300.0,
        channels=128, scale_kev=0.1,
    )  # fmt: skip
    images = {name: replace(image, images={}) for name, image in tiles.images.items()}
    found = register(TileLayout.from_stage(images))
    assert rms(tiles, found.layout) < 0.7


def test_workers_make_no_difference(few):
    layout = TileLayout.from_stage(few.images)
    results = []
    for settings in ({"scheduler": "sync"}, {"num_workers": 4}):
        with dask.config.set(**settings):
            results.append(register(layout))
    one, other = results
    np.testing.assert_array_equal(one.layout.offsets, other.layout.offsets)
    assert one.pairs.equals(other.pairs)


def test_the_order_of_tiles_makes_no_difference(few):
    names = list(few.images)
    turned = {name: few.images[name] for name in reversed(names)}
    one, other = (register(TileLayout.from_stage(images)) for images in (few.images, turned))
    np.testing.assert_allclose(one.layout.offsets, other.layout.offsets[::-1], atol=1e-6)


def test_tiles_of_different_sizes_are_placed():
    tiles = synthetic_tiles((2, 3), (160, 160), overlap=0.2, seed=3, grain_size=10.0)
    images = dict(tiles.images)
    picture = images["tile_0_1"].images["navigation"].values
    small = synthetic_tiles((1, 1), (150, 160)).images["tile_0_0"]
    middle = images["tile_0_1"].metadata
    # Its last ten rows are gone, so its centre is five rows higher.
    about = replace(middle, stage_y_mm=middle.stage_y_mm + 5e-3)
    images["tile_0_1"] = with_picture(replace(small, metadata=about), picture[:150])
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        found = register(TileLayout.from_stage(images))
    assert rms(tiles, found.layout) < 0.5
