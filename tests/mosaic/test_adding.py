"""Places of tiles that are added to a mosaic."""

from dataclasses import replace

import numpy as np
import pytest
from spied_tiles import FOUR, SIX, layout_of, made_layout

from sigma_scale.mosaic import TileLayout, register
from sigma_scale.mosaic.adding import add_tiles, keep_places, register_added


def test_tiles_to_add_are_placed_by_those_that_are_known(spies):
    whole = layout_of(spies, SIX)
    layout = replace(whole, tiles=whole.tiles[:4])
    moved = layout.with_offsets(layout.offsets + np.array([3.0, -4.0]))
    both = add_tiles(moved, whole)
    assert [tile.name for tile in both] == [tile.name for tile in whole]
    np.testing.assert_allclose(both.offsets, whole.offsets)
    only_new = replace(whole, tiles=whole.tiles[4:])
    both = add_tiles(layout, only_new)
    np.testing.assert_allclose(both.offsets, whole.offsets)
    assert add_tiles(whole, layout) is whole


def test_positions_in_other_units_are_refused(make_image, spies):
    there = TileLayout.from_stage({"a": make_image((0.0, 0.0))})
    with pytest.raises(ValueError, match=r"in µm.*in pixel"):
        add_tiles(there, layout_of(spies, FOUR))


def test_known_tiles_keep_their_places_and_the_others_follow():
    _, layout = made_layout((2, 3))
    before = register(replace(layout, tiles=layout.tiles[:4])).layout
    names = [tile.name for tile in before]
    merged = add_tiles(before, layout)
    found = register(merged)
    kept = register_added(merged, names)
    assert kept.unmatched == ()
    used = kept.pairs[kept.pairs["used"]]
    old, new, free = before.offsets, kept.layout.offsets, found.layout.offsets
    np.testing.assert_allclose(new[:4] - new[0], old - old[0], atol=1e-9)
    np.testing.assert_allclose(new[4:] - new[0], free[4:] - free[0], atol=0.7)
    assert (used["residual"] < 2).all()
    assert keep_places(found, merged, []) is found
