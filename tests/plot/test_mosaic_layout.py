import numpy as np
import pandas as pd
import pytest
from drawing import colour_at, pixels

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
    assert ax.get_xlim() == pytest.approx((-0.5, 189.5))
    boxes = ax.collections[-1].get_paths()
    np.testing.assert_allclose(boxes[1].get_extents().extents, [89.5, -0.5, 189.5, 99.5])
    assert figure.get_suptitle() == "Scan $1$"


def test_gaps_and_missing_tiles_are_seen():
    figure = plot_mosaic_layout(layout_of([(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)], step=120.0))
    ax = figure.axes[0]
    assert colour_at(figure, ax, 110, 30) == "#e6e6e6"
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    (hole,) = hatched
    np.testing.assert_allclose(hole.get_bbox().extents, [119.5, -0.5, 219.5, 99.5], atol=1e-6)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["Not covered", "Missing tile"]


def test_pairs_are_coloured_by_quality_and_rejected_ones_dotted():
    pairs = pd.DataFrame(
        {
            "tile_a": ["tile 0-0", "tile 0-0"],
            "tile_b": ["tile 0-1", "tile 1-0"],
            "quality": [0.75, 0.1],
            "used": [True, False],
        }
    )
    figure = plot_mosaic_layout(layout_of([(0, 0), (0, 1), (1, 0)]), pairs)
    pixels(figure)
    ax, bar = figure.axes
    used, rejected = ax.collections[-2:]
    np.testing.assert_array_equal(used.get_array(), [0.75])
    assert used.get_clim() == (0.0, 1.0)
    (line,) = used.get_segments()
    np.testing.assert_allclose(line.mean(axis=0), [(49.5 + 139.5) / 2, 49.5])
    (line,) = rejected.get_segments()
    np.testing.assert_allclose(line.mean(axis=0), [49.5, (49.5 + 139.5) / 2])
    assert bar.get_ylabel() == "Quality of the overlap"
    assert "Pair not used" in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(("side", "shown"), [(12, "0,0"), (60, None)])
def test_names_without_room_are_shortened_or_left_out(side, shown):
    cells = [(i, j) for i in range(side) for j in range(side)]
    figure = plot_mosaic_layout(layout_of(cells, name="a very long name of a tile {}-{}"))
    assert texts(figure)[:1] == ([] if shown is None else [shown])
