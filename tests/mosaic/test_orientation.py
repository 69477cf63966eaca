"""Axes that point the other way than the layout says, and false alarms of it."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest

from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.mosaic import GridRule, TileLayout, flip_layout, register
from sigma_scale.mosaic.flipping import FLIPS
from sigma_scale.synthetic import synthetic_tiles

PATTERN = "tile_{row}_{column}"


@pytest.fixture(scope="module")
def scan():
    return drawn(
        synthetic_tiles((3, 4), (128, 128), overlap=0.2, jitter=2, seed=5, grain_size=10.0)
    )


def drawn(tiles):
    """Tiles whose pictures are in memory, since they are looked at again and again."""
    images = {
        name: replace(image, images={"navigation": image.images["navigation"].load()})
        for name, image in tiles.images.items()
    }
    return replace(tiles, images=images)


def rms(tiles, layout):
    error = layout.offsets - tiles.positions
    error -= error.mean(axis=0)
    return float(np.sqrt((error**2).sum(axis=1).mean()))


def warned(layout, **options):
    """What registration tells, or refuses."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", SigmaScaleWarning)
        try:
            register(layout, **options)
        except ParameterError as error:
            return str(error)
    return " ".join(str(item.message) for item in told)


@pytest.mark.parametrize(("axes", "flip"), [(("-y", "-x"), "x"), (("y", "x"), "y")])
def test_a_mirrored_stage_axis_is_told_with_what_mends_it(scan, axes, flip):
    layout = TileLayout.from_stage(scan.images, stage_axes=axes)
    told = warned(layout)
    assert re.search(r"only \d of \d+ overlaps .*fit together|of \d+ pairs of tiles \d fit", told)
    assert f"mirrored along {flip}:" in told
    assert f"(--flip {flip})" in told
    mended = flip_layout(layout, flip)
    found = register(mended)
    assert found.unmatched == ()
    assert rms(scan, found.layout) < 0.7


@pytest.mark.parametrize("flip", ["xy", "swap", "swap-x"])
def test_turned_axes_are_told_too(scan, flip):
    # Mirroring twice is the identity, exchanging mirrored axes in another order isn't.
    back = {"xy": "xy", "swap": "swap", "swap-x": "swap-y"}[flip]
    layout = flip_layout(TileLayout.from_stage(scan.images), back)
    assert f"(--flip {flip})" in warned(layout)
    assert rms(scan, register(flip_layout(layout, flip)).layout) < 0.7


def test_long_scans_are_told_too_though_most_pairs_match():
    tiles = drawn(synthetic_tiles((7, 2), (96, 96), overlap=0.25, jitter=2, seed=3, grain_size=8.0))
    layout = TileLayout.from_stage(tiles.images, stage_axes=("-y", "-x"))
    assert "(--flip x)" in warned(layout)


def test_a_single_row_is_told_the_simplest_way(scan):
    images = {name: image for name, image in scan.images.items() if name.startswith("tile_1")}
    told = warned(TileLayout.from_stage(images, stage_axes=("-y", "-x")))
    assert "The overlaps don't match" in told
    assert "(--flip x)" in told


def test_a_grid_counted_from_the_other_side_is_told(scan):
    names = {f"tile_{int(n[5])}_{3 - int(n[7])}": image for n, image in scan.images.items()}
    layout = TileLayout.from_grid(names, GridRule(pattern=PATTERN, overlap=0.2))
    assert "(--flip x)" in warned(layout)


def test_places_that_no_flip_explains_are_told_without_one(scan):
    # Three tiles in a corner are right; the others have been exchanged.
    names = list(scan.images)
    order = [0, 1, 2, 8, 4, 5, 11, 10, 3, 6, 9, 7]
    images = {name: scan.images[names[n]] for name, n in zip(names, order, strict=True)}
    told = warned(TileLayout.from_grid(images, GridRule(pattern=PATTERN, overlap=0.2)))
    assert re.search(r"may be wrong: only \d+ of \d+ overlaps|don't match: of \d+", told)
    assert "widen the search" in told
    assert "--flip" not in told


@pytest.mark.parametrize("counts", [4.0, 12.0])
def test_few_counts_without_pictures_are_no_reason_for_a_flip(counts):
    tiles = synthetic_tiles(
        (3, 3), (96, 96), overlap=0.25, jitter=2, seed=2, grain_size=12.0, channels=128,
        scale_kev=0.1, counts_per_pixel=counts,
    )  # fmt: skip
    images = {name: replace(image, images={}) for name, image in tiles.images.items()}
    assert "--flip" not in warned(TileLayout.from_stage(images))


def test_flips_change_places_and_cells_alone(make_image):
    images = {
        "r0c0": make_image(), "r0c1": make_image(shape=(20, 30)), "r1c2": make_image(shape=(24, 30))
    }  # fmt: skip
    layout = TileLayout.from_grid(images, GridRule(pattern="r{row}c{column}", overlap=0.0))
    mirrored = flip_layout(layout, "x")
    # Of 30 columns each, three in a row; the last is four pixels taller.
    np.testing.assert_allclose(mirrored.offsets, [[0, 60], [0, 30], [20, 0]])
    assert [(tile.row, tile.column) for tile in mirrored] == [(0, 2), (0, 1), (1, 0)]
    np.testing.assert_allclose(flip_layout(layout, "y").offsets, [[24, 0], [24, 30], [0, 60]])
    assert mirrored.missing == ((0, 0), (1, 1), (1, 2))
    turned = flip_layout(layout, "swap")
    assert [(tile.row, tile.column) for tile in turned] == [(0, 0), (1, 0), (2, 1)]
    centres = turned.offsets + [(tile.shape[0] / 2, tile.shape[1] / 2) for tile in turned]
    np.testing.assert_allclose(centres - centres[0], [[0, 0], [30, 0], [60, 22]])
    for flip in FLIPS:
        again = flip_layout(flip_layout(layout, flip), flip)
        if flip in {"x", "y", "xy", "swap", "swap-xy"}:
            np.testing.assert_allclose(again.offsets, layout.offsets, atol=1e-9)
    with pytest.raises(ParameterError, match="flip must be one of x, y, xy"):
        flip_layout(layout, "z")


def test_tiles_flipped_apart_keep_their_places_to_each_other(make_image):
    images = {name: make_image((x, 0.0)) for name, x in (("a", 0.0), ("b", 0.012), ("c", 0.05))}
    whole = flip_layout(TileLayout.from_stage(images), "x")
    part = flip_layout(TileLayout.from_stage({"c": images["c"]}), "x")
    assert part["c"].position == pytest.approx(whole["c"].position)


@pytest.mark.parametrize("search", [1e5, 129])
def test_a_search_beyond_the_tiles_is_refused(scan, search):
    with pytest.raises(ParameterError, match=r"search .* is longer than the shorter side.*128"):
        register(TileLayout.from_stage(scan.images), search=search)
