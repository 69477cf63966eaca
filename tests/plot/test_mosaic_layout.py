import numpy as np
import pandas as pd
import pytest
from drawing import colour_at, pixels
from matplotlib import colormaps
from matplotlib.colors import to_hex

from sigma_scale.mosaic import Tile, TileLayout
from sigma_scale.plot.mosaic_layout import plot_mosaic_layout


def layout_of(cells, *, step=90.0, unit="pixel", name="tile {}-{}"):
    tiles = [
        Tile(
            name=name.format(*cell), shape=(100, 100), row=cell[0], column=cell[1],
            position=(cell[0] * step, cell[1] * step),
        )
        for cell in cells
    ]  # fmt: skip
    return TileLayout(tuple(tiles), unit)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_outlines_and_names_are_drawn_with_y_downwards():
    figure = plot_mosaic_layout(layout_of([(0, 0), (0, 1), (1, 0)]), title="Scan $1$")
    ax = figure.axes[0]
    assert texts(figure) == ["tile 0-0", "tile 0-1", "tile 1-0"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    left, right = ax.get_xlim()
    assert left + right == pytest.approx(189.0)
    assert 190.0 < right - left < 200.0
    boxes = ax.collections[1].get_paths()
    np.testing.assert_allclose(boxes[1].get_extents().extents, [89.5, -0.5, 189.5, 99.5])
    assert ax.get_title(loc="left") == "Scan $1$"


def test_gaps_and_missing_tiles_are_seen():
    figure = plot_mosaic_layout(layout_of([(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)], step=120.0))
    ax = figure.axes[0]
    assert colour_at(figure, ax, 110, 30) == "#c9ced3"
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    (hole,) = hatched
    np.testing.assert_allclose(hole.get_bbox().extents, [119.5, -0.5, 219.5, 99.5], atol=1e-6)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["Not covered", "Missing tile"]


def pairs_of(*rows):
    return pd.DataFrame(rows, columns=["tile_a", "tile_b", "quality", "used"])


def test_overlaps_are_coloured_by_quality_and_rejected_ones_hatched():
    pairs = pairs_of(
        ("tile 0-0", "tile 0-1", 0.75, True), ("tile 0-0", "tile 1-0", 0.1, False)
    )  # fmt: skip
    figure = plot_mosaic_layout(layout_of([(0, 0), (0, 1), (1, 0)]), pairs)
    pixels(figure)
    ax = figure.axes[0]
    used, rejected = ax.collections[1:3]
    np.testing.assert_array_equal(used.get_array(), [0.75])
    assert used.get_clim() == (0.0, 1.0)
    np.testing.assert_allclose(used.get_paths()[0].get_extents().extents, [89.5, -0.5, 99.5, 99.5])
    assert rejected.get_hatch()
    np.testing.assert_allclose(
        rejected.get_paths()[0].get_extents().extents, [-0.5, 89.5, 99.5, 99.5]
    )
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == "Quality of the overlap"
    assert texts(figure) == ["0.75", "tile 0-0", "tile 0-1", "tile 1-0"]
    assert "Pair not used" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert colour_at(figure, ax, 94.5, 20) == to_hex(colormaps["viridis"](0.75))


def test_pairs_that_no_longer_overlap_are_still_seen():
    layout = layout_of([(0, 0), (0, 1)], step=103.0)
    figure = plot_mosaic_layout(layout, pairs_of(("tile 0-0", "tile 0-1", 1.0, True)))
    ax = figure.axes[0]
    left, _, right, _ = ax.collections[1].get_paths()[0].get_extents().extents
    assert (left + right) / 2 == pytest.approx(101.0)
    assert right - left == pytest.approx(2.0)


def test_tiles_that_match_no_other_are_outlined():
    layout = layout_of([(0, 0), (0, 1), (1, 0)])
    figure = plot_mosaic_layout(layout, unmatched=["tile 0-1"])
    ax = figure.axes[0]
    np.testing.assert_allclose(
        ax.collections[-1].get_paths()[0].get_extents().extents, [89.5, -0.5, 189.5, 99.5]
    )
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["Not covered", "Missing tile", "Matches no other"]


def test_a_full_map_needs_no_legend():
    assert plot_mosaic_layout(layout_of([(0, 0), (0, 1)])).axes[0].get_legend() is None


@pytest.mark.parametrize(("side", "shown"), [(12, "0,0"), (60, None)])
def test_names_without_room_are_shortened_or_left_out(side, shown):
    cells = [(i, j) for i in range(side) for j in range(side)]
    figure = plot_mosaic_layout(layout_of(cells, name="a very long name of a tile {}-{}"))
    assert texts(figure)[:1] == ([] if shown is None else [shown])
