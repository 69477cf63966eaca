"""What is told of a mosaic before it is made."""

import numpy as np
import pytest
from spied_tiles import FOUR, layout_of

from sigma_scale.mosaic import Tile, TileLayout
from sigma_scale.mosaic.overview import covered_share, describe_mosaic


def test_what_a_mosaic_will_be_is_told(spies):
    layout = layout_of(spies, FOUR)
    assert covered_share(layout) == 1
    assert describe_mosaic(layout) == {
        "Tiles": "4 of 200 x 200 pixels",
        "Map": "380 x 380 pixels (0.144 million)",
    }
    layout = layout_of(spies, [(0, 0), (0, 2), (1, 1)], step=300.0)
    assert covered_share(layout) == pytest.approx(3 * 200**2 / (800 * 500))
    told = describe_mosaic(layout)
    assert told["Map"] == "800 x 500 pixels (0.4 million), 70.0% without a tile"
    assert told["Missing"].startswith("3 cells of the grid: row 0, column 1;")


def test_the_share_that_is_covered_is_that_of_pixels():
    rng = np.random.default_rng(3)
    tiles = tuple(
        Tile(name=str(n), shape=tuple(rng.integers(3, 30, 2).tolist()),
             position=tuple(rng.uniform(0, 60, 2).tolist()))
        for n in range(12)
    )  # fmt: skip
    layout = TileLayout(tiles, "pixel")
    starts = np.round(layout.offsets).astype(int)
    ends = starts + [tile.shape for tile in tiles]
    mask = np.zeros(ends.max(axis=0), bool)
    for (top, left), (bottom, right) in zip(starts, ends, strict=True):
        mask[top:bottom, left:right] = True
    assert covered_share(layout) == pytest.approx(mask.mean())
