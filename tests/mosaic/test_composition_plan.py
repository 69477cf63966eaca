"""What a mosaic is made of, and which of its blocks an earlier one holds already."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from dense_mosaic import layout_of, read_all, tile_counts

from sigma_scale.errors import FileFormatError, ParameterError, SigmaScaleWarning
from sigma_scale.mosaic import MosaicPlan, Tile, TileLayout, compose
from sigma_scale.mosaic.composition import same_blocks
from sigma_scale.spectra import EnergyAxis
from sigma_scale.store import write_map

SHAPES = [(140, 150)] * 6
OFFSETS = [(0, 0), (0, 130), (0, 260), (125, 0), (125, 130), (125, 260)]


def grid():
    return layout_of(tile_counts(SHAPES), OFFSETS)


def plan_of(layout, **options):
    plan = compose(layout, doses="equal", **options).source.plan
    assert isinstance(plan, MosaicPlan)
    return plan


def tokens(plan):
    return {block: plan.token(*block) for block in np.ndindex(plan.n_blocks)}


def changed(before, after):
    assert before.keys() == after.keys()
    return {block for block, token in before.items() if after[block] != token}


def with_tile(layout, number, **changes):
    tiles = list(layout.tiles)
    tiles[number] = replace(tiles[number], **changes)
    return TileLayout(tuple(tiles), "pixel")


def test_a_plan_can_be_kept_as_attributes():
    plan = plan_of(grid())
    again = MosaicPlan.from_attrs(json.loads(json.dumps(plan.to_attrs())))
    assert again == plan
    assert again.digest == plan.digest
    assert tokens(again) == tokens(plan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": 99}, "method 99"),
        ({"method": None}, "method None"),
        ({"overlap": "mean"}, "can't be understood"),
        ({"tiles": []}, "can't be understood"),
        ({"tiles": [{"name": "a"}]}, "can't be understood"),
        ({"dtype": "nonsense"}, "can't be understood"),
        ({"energy_axis": {"size": 3}}, "can't be understood"),
    ],
)
def test_attributes_that_are_no_plan_are_refused(change, message):
    with pytest.raises(FileFormatError, match=message):
        MosaicPlan.from_attrs({**plan_of(grid()).to_attrs(), **change})


def test_tokens_change_with_what_a_block_is_made_of_and_nothing_else():
    layout = grid()
    before = tokens(plan_of(layout))
    assert len(before) == 12
    assert len(set(before.values())) == 12
    # Tile 2 (rows 0 to 139, columns 260 to 409) gets other counts, or moves by a pixel.
    counts = tile_counts(SHAPES, seed=9)[2]
    other = replace(layout.tiles[2].image, source=type(layout.tiles[2].image.source)(counts))
    # Its pixels are deepest in rows up to 132 and columns from 270 on: not in columns 0 to 255.
    touched = {(i, j) for i in range(2) for j in (2, 3)}
    assert changed(before, tokens(plan_of(with_tile(layout, 2, image=other)))) == touched
    moved = tokens(plan_of(with_tile(layout, 2, position=(0.0, 259.0))))
    assert changed(before, moved) == touched
    renamed = tokens(plan_of(with_tile(layout, 2, name="other")))
    assert changed(before, renamed) == set()
    # A move that doesn't change the rounded offset changes nothing.
    assert tokens(plan_of(with_tile(layout, 2, position=(0.0, 260.3)))) == before
    summed = changed(before, tokens(plan_of(layout, overlap="sum")))
    assert summed == set(before)  # the counts' type is another one


def test_equal_tokens_mean_equal_counts():
    layout = grid()
    first = compose(layout, doses="equal")
    second = compose(with_tile(layout, 4, position=(126.0, 131.0)), doses="equal")
    one, two = first.source.plan, second.source.plan
    kept = {b for b, t in tokens(one).items() if two.token(*b) == t}
    assert 0 < len(kept) < 12
    for row, column in kept:
        a, b = (i.source.read_block(row, column).to_dense() for i in (first, second))
        rows, columns = np.minimum(a.shape[:2], b.shape[:2])
        np.testing.assert_array_equal(a[:rows, :columns], b[:rows, :columns])


def test_the_order_of_tiles_decides_ties_and_so_the_tokens():
    counts = tile_counts([(10, 30), (10, 29)])
    layout = layout_of(counts, [(0, 0), (0, 21)])
    turned = TileLayout(layout.tiles[::-1], "pixel")
    assert tokens(plan_of(layout)) != tokens(plan_of(turned))
    assert not np.array_equal(
        read_all(compose(layout, doses="equal")), read_all(compose(turned, doses="equal"))
    )


def test_blocks_of_a_smaller_mosaic_are_found_again():
    layout = grid()
    fewer = TileLayout(layout.tiles[:2] + layout.tiles[3:5], "pixel")
    earlier, now = plan_of(fewer), plan_of(layout)
    found = same_blocks(earlier, now)
    # Tile 2 and 5 own pixels from column 270 on, the earlier mosaic has columns up to 279.
    assert found == {(i, j): (i, j) for i in range(3) for j in range(2)}
    assert same_blocks(now, now) == {b: b for b in np.ndindex(now.n_blocks)}


def test_tiles_added_above_and_to_the_left_leave_the_blocks_where_they_were():
    layout = grid()
    fewer = TileLayout(layout.tiles[4:], "pixel")
    earlier = plan_of(fewer)
    assert earlier.tiles[0].offset == (0, 0)
    assert same_blocks(earlier, plan_of(layout)) == {}
    image = compose(layout, doses="equal", earlier_plan=earlier)
    now = image.source.plan
    # Tile 4 lies at (125, 130) from the first one: one and two blocks are put before it.
    assert now.tiles[4].offset == (128, 256)
    assert now.tiles[0].offset == (3, 126)
    assert image.images["tile"].values[:3].max() == -1
    assert image.images["tile"].values[:, :126].max() == -1
    found = same_blocks(earlier, now)
    assert found == {(2, 3): (1, 1), (2, 4): (1, 2)}
    before = compose(fewer, doses="equal")
    for (row, column), old in found.items():
        a = image.source.read_block(row, column).to_dense()
        b = before.source.read_block(*old).to_dense()
        np.testing.assert_array_equal(a, b)
    plain = read_all(compose(layout, doses="equal"))
    np.testing.assert_array_equal(read_all(image)[3:, 126:], plain)


def test_places_between_pixels_are_rounded_alike_from_every_origin():
    counts = tile_counts([(50, 50)] * 4)
    offsets = [(0, 0), (0, 45.5), (0, 91.0), (0, 136.5)]
    layout = layout_of(counts, offsets)
    earlier = plan_of(TileLayout(layout.tiles[1:], "pixel"))
    assert [tile.offset[1] for tile in earlier.tiles] == [0, 46, 91]
    now = plan_of(layout, earlier_plan=earlier)
    assert [tile.offset[1] for tile in now.tiles] == [128 - 45, 128, 128 + 46, 128 + 91]


def test_a_plan_of_other_tiles_or_another_grid_keeps_nothing():
    one = plan_of(layout_of(tile_counts([(20, 20)], seed=1), [(0, 0)]))
    two = plan_of(layout_of(tile_counts([(20, 20)], seed=2), [(0, 0)]), earlier_plan=one)
    assert two.tiles[0].offset == (0, 0)
    assert same_blocks(one, two) == {}
    wider = replace(one, energy=EnergyAxis(13, 0.01))
    assert same_blocks(one, wider) == {}


def test_tiles_without_counts_are_told_apart_by_name():
    counts = [np.zeros((100, 100, 12), np.uint8)] * 2 + tile_counts([(100, 100)])
    layout = layout_of(counts, [(0, 0), (0, 90), (0, 180)])
    earlier = plan_of(TileLayout(layout.tiles[1:], "pixel"))
    now = plan_of(layout, earlier_plan=earlier)
    assert [tile.offset[1] for tile in now.tiles] == [38, 128, 218]
    assert same_blocks(earlier, now)


def test_there_are_no_tokens_of_blocks_that_are_not_there():
    with pytest.raises(ParameterError, match="3 x 4"):
        plan_of(grid()).token(3, 0)
    with pytest.raises(ParameterError, match="overlap"):
        MosaicPlan(plan_of(grid()).tiles, "mean", EnergyAxis(3, 0.1), "uint8")


def test_a_store_is_known_by_its_counts_wherever_it_is_and_a_file_by_its_content(tmp_path):
    counts = tile_counts([(20, 30)] * 2)
    image = layout_of(counts, [(0, 0), (0, 25)]).tiles[0].image

    def identity(path, **options):
        tile = Tile.describe(path, "a", position=(0.0, 0.0), options=options)
        return plan_of(TileLayout((tile,), "pixel")).tiles[0].identity

    for name in ("one.zarr", "two.zarr"):
        write_map(image, tmp_path / name)
    write_map(replace(image, source=type(image.source)(counts[1])), tmp_path / "three.zarr")
    assert identity(tmp_path / "one.zarr") == identity(tmp_path / "two.zarr")
    assert identity(tmp_path / "one.zarr") != identity(tmp_path / "three.zarr")
    energies = {"scale_kev": 0.01, "offset_kev": 0.0}
    np.save(tmp_path / "a.npy", counts[0])
    before = identity(tmp_path / "a.npy", **energies)
    assert identity(tmp_path / "a.npy", **energies) == before
    np.save(tmp_path / "a.npy", counts[1])
    assert identity(tmp_path / "a.npy", **energies) != before


def test_tiles_that_give_no_pixel_are_named():
    counts = tile_counts([(20, 30)] * 3)
    layout = layout_of(counts, [(0, 0), (0, 1e-3), (0, 25)])
    with pytest.warns(SigmaScaleWarning, match=r"give no pixel.*: t1\. Check"):
        compose(layout)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        compose(layout, overlap="sum")
        compose(layout_of(counts, [(0, 0), (0, 1), (0, 25)]))
