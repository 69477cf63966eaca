import json
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import xarray as xr

from sigma_scale import store
from sigma_scale.errors import (
    OutputExistsError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.mosaic import Tile, TileLayout, register, writing
from sigma_scale.mosaic.adding import add_tiles, keep_places, register_added
from sigma_scale.mosaic.composition import MosaicPlan, MosaicSource, compose
from sigma_scale.mosaic.overview import covered_share, describe_mosaic, registration_summary
from sigma_scale.mosaic.writing import mosaic_attrs, restore_replaced
from sigma_scale.spectra import EnergyAxis, SpectrumImage
from sigma_scale.store.layout import open_group
from sigma_scale.synthetic import synthetic_tiles

write_mosaic = partial(writing.write_mosaic, doses="equal")
"""Estimating doses would read parts of all tiles that are no stores."""

AXIS = EnergyAxis(16, 0.1)
SIDE = 200


class Spied:
    """Counts that note which of their blocks are read."""

    dtype, chunk_shape = np.dtype(np.uint8), (64, 64)

    def __init__(self, name, counts):
        self.name, self.image = name, SpectrumImage.from_array(counts, AXIS)
        self.source = replace(self.image.source, chunk_shape=self.chunk_shape)
        self.shape = counts.shape
        self.n_read = 0
        self.lock = threading.Lock()

    def __reduce__(self):
        return Spied, (self.name, self.image.source.data)

    def read_block(self, row, column, scratch=None):
        with self.lock:
            self.n_read += 1
        return self.source.read_block(row, column, scratch)

    def __dask_tokenize__(self):
        return ("Spied", self.name)


@pytest.fixture
def spies():
    """Six tiles of random counts, by their cells in a grid of 2 x 3."""
    rng = np.random.default_rng(0)
    return {
        (i, j): Spied(f"{i}-{j}", rng.poisson(0.3, (SIDE, SIDE, 16)).astype(np.uint8))
        for i in range(2)
        for j in range(3)
    }


def layout_of(spies, cells, step=180.0):
    return TileLayout(
        tuple(
            Tile.describe(
                SpectrumImage(spies[cell], AXIS), spies[cell].name,
                position=(cell[0] * step, cell[1] * step), row=cell[0], column=cell[1],
            )
            for cell in cells
        ),
        "pixel",
    )  # fmt: skip


def n_read(spies):
    return {cell: spy.n_read for cell, spy in spies.items()}


def reset(spies):
    for spy in spies.values():
        spy.n_read = 0


def pasted(spies, cells, step=180):
    """The mosaic by plain NumPy: a pixel is of the tile whose border is farthest from it."""
    rows, columns = (max(c[axis] for c in cells) * step + SIDE for axis in (0, 1))
    counts, best = np.zeros((rows, columns, 16), np.uint8), np.zeros((rows, columns), int)
    line = np.minimum(np.arange(SIDE) + 1, SIDE - np.arange(SIDE))
    # Of equal depths that counts which is more along the other axis.
    depth = np.minimum(line[:, None], line) * 1000 + np.maximum(line[:, None], line)
    for i, j in cells:
        place = np.s_[i * step : i * step + SIDE, j * step : j * step + SIDE]
        deeper = depth > best[place]
        counts[place][deeper] = spies[i, j].image.source.data[deeper]
        best[place][deeper] = depth[deeper]
    return counts


FOUR = [(0, 0), (0, 1), (1, 0), (1, 1)]
SIX = [*FOUR, (0, 2), (1, 2)]


def stored_counts(path):
    return store.open_map(path).to_xarray().values


def test_a_mosaic_is_written_with_what_it_is_made_of(spies, tmp_path):
    layout = layout_of(spies, FOUR)
    image = write_mosaic(layout, tmp_path / "map.zarr", about={"asked": "four"})
    np.testing.assert_array_equal(image.to_xarray().values, pasted(spies, FOUR))
    tiles = np.unique(image.images["tile"].values)
    np.testing.assert_array_equal(tiles, [0, 1, 2, 3])
    about = mosaic_attrs(tmp_path / "map.zarr")
    plan = MosaicPlan.from_attrs(json.loads(json.dumps(about["plan"])))
    assert plan == compose(layout).source.plan
    assert about["asked"] == "four"
    assert "registration" not in about
    assert about["layout"]["unit"] == "pixel"
    assert [row["name"] for row in about["layout"]["tiles"]] == ["0-0", "0-1", "1-0", "1-1"]
    assert about["layout"]["tiles"][3] == {
        "name": "1-1", "file": None, "row": 1, "column": 1, "y": 180.0, "x": 180.0,
        "shape": [200, 200],
    }  # fmt: skip


def test_counts_are_conserved_with_seams_and_in_sums(spies, tmp_path):
    layout = layout_of(spies, FOUR)
    write_mosaic(layout, tmp_path / "sum.zarr", overlap="sum")
    summed = stored_counts(tmp_path / "sum.zarr")
    wanted = sum(int(spies[cell].image.source.data.sum()) for cell in FOUR)
    assert int(summed.sum()) == wanted
    assert mosaic_attrs(tmp_path / "sum.zarr")["plan"]["overlap"] == "sum"


def test_a_store_that_is_there_is_kept_unless_asked(spies, tmp_path):
    path = tmp_path / "map.zarr"
    write_mosaic(layout_of(spies, FOUR), path)
    before = n_read(spies)
    with pytest.raises(OutputExistsError, match="exists already"):
        write_mosaic(layout_of(spies, FOUR), path)
    with pytest.raises(OutputExistsError, match="exists already"):
        write_mosaic(layout_of(spies, SIX), path, earlier=path)
    write_mosaic(layout_of(spies, FOUR), path, reuse=True)
    assert n_read(spies) == before


def test_a_mosaic_never_takes_the_place_of_a_tile(spies, tmp_path):
    inner = tmp_path / "a.zarr" / "within" / "b.zarr"
    inner.parent.mkdir(parents=True)
    store.write_map(SpectrumImage(spies[0, 0], AXIS), inner)
    paths = [tmp_path / "c.zarr", inner]
    store.write_map(SpectrumImage(spies[0, 1], AXIS), paths[0])
    on_disk = [Tile.describe(path, path.stem, position=(0.0, 180.0 * n))
               for n, path in enumerate(paths)]  # fmt: skip
    opened = [Tile.describe(store.open_map(path), path.stem, position=(0.0, 180.0 * n))
              for n, path in enumerate(paths)]  # fmt: skip
    for tiles, where in ((on_disk, "c.zarr"), (on_disk, "a.zarr"), (opened, "c.zarr")):
        with pytest.raises(OutputExistsError, match=r"is where tile '[bc]' is read from"):
            write_mosaic(TileLayout(tuple(tiles), "pixel"), tmp_path / where, overwrite=True)
    assert all(store.is_store(path) for path in paths)


def test_copies_of_a_tile_under_other_names_are_refused(spies, tmp_path):
    image = SpectrumImage(spies[0, 0], AXIS)
    empty = SpectrumImage.from_array(np.zeros((SIDE, SIDE, 16), np.uint8), AXIS)
    for name, content in (("a", image), ("b", image), ("c", empty), ("d", empty)):
        store.write_map(content, tmp_path / f"{name}.zarr")

    def placed(names):
        return TileLayout(
            tuple(Tile.describe(tmp_path / f"{name}.zarr", name, position=(0.0, 180.0 * n))
                  for n, name in enumerate(names)),
            "pixel",
        )  # fmt: skip

    with pytest.raises(ParameterError, match=r"Tile 'b' is a duplicate.*counts of tile 'a'"):
        compose(placed("acb"))
    assert len(compose(placed("acd")).source.plan.tiles) == 3


ADDED = {
    "at the end": (FOUR, [(0, 2), (1, 2)]),
    "at the beginning": ([(0, 1), (0, 2), (1, 1), (1, 2)], [(0, 0), (1, 0)]),
    "above": ([(1, 0), (1, 1), (1, 2)], [(0, 1)]),
}


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("case", ADDED)
def test_tiles_are_added_without_redoing_the_rest(spies, tmp_path, monkeypatch, case, elsewhere):
    first, more = ADDED[case]
    path, whole = tmp_path / "map.zarr", tmp_path / "whole.zarr"
    write_mosaic(layout_of(spies, first), path)
    before = {
        tuple(map(int, file.parts[-3:-1])): file.read_bytes()
        for file in (path / "counts").rglob("c/*/*/0")
    }
    reset(spies)
    composed = set()
    composing = MosaicSource.read_block

    def noted(self, row, column, scratch=None):
        composed.add((row, column))
        return composing(self, row, column, scratch)

    monkeypatch.setattr(MosaicSource, "read_block", noted)
    layout = layout_of(spies, [*first, *more])
    if elsewhere:
        image = write_mosaic(layout, whole, earlier=path)
    else:
        image, whole = write_mosaic(layout, path, overwrite=True), path
    added = n_read(spies)
    # Tiles of which no pixel is near a new one are not read at all.
    far = [c for c in first if all(max(abs(c[0] - m[0]), abs(c[1] - m[1])) > 1 for m in more)]
    assert far or case == "above"
    assert [added[cell] for cell in far] == [0] * len(far)
    assert all(added[cell] > 0 for cell in more)
    # Blocks that don't touch new tiles are the bytes that were there.
    plan = MosaicPlan.from_attrs(mosaic_attrs(whole)["plan"])
    new_boxes = [
        box for tile, box in zip(layout, plan.boxes, strict=True)
        if tile.name in {spies[cell].name for cell in more}
    ]  # fmt: skip
    old_place = plan.tiles[0].offset
    shift = [(old_place[k] - first[0][k] * 180 + first_corner(first)[k]) // 128 for k in (0, 1)]
    untouched = set()
    for row, column in np.ndindex(plan.n_blocks):
        touched = any(
            top < (row + 1) * 128 and bottom > row * 128
            and left < (column + 1) * 128 and right > column * 128
            for top, bottom, left, right in new_boxes
        )  # fmt: skip
        earlier = (row - shift[0], column - shift[1])
        if not touched and earlier in before:
            file = whole / "counts" / "c" / str(row) / str(column) / "0"
            assert file.read_bytes() == before[earlier]
            untouched.add((row, column))
    assert untouched
    assert composed.isdisjoint(untouched)
    assert composed <= set(np.ndindex(plan.n_blocks))
    # And the counts are those of a mosaic made from scratch; the origin may be moved.
    found = image.to_xarray().values
    corner = [tile.offset for tile in plan.tiles]
    top, left = (min(offset[axis] for offset in corner) for axis in (0, 1))
    scratch = pasted_from(spies, [*first, *more])
    np.testing.assert_array_equal(found[top:, left:], scratch)
    assert found.sum() == scratch.sum()
    np.testing.assert_array_equal(
        open_group(whole)["total"][top:, left:], scratch.sum(axis=2, dtype=np.uint32)
    )
    np.testing.assert_array_equal(open_group(whole)["sum_spectrum"][:], scratch.sum(axis=(0, 1)))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"map.zarr", whole.name})


def first_corner(cells):
    return [min(cell[axis] for cell in cells) * 180 for axis in (0, 1)]


def pasted_from(spies, cells):
    corner = [min(cell[axis] for cell in cells) for axis in (0, 1)]
    moved = {(i - corner[0], j - corner[1]): spies[i, j] for i, j in cells}
    return pasted(moved, list(moved))


def test_a_mosaic_that_was_added_to_equals_one_from_scratch_in_every_array(spies, tmp_path):
    write_mosaic(layout_of(spies, FOUR), tmp_path / "map.zarr")
    write_mosaic(layout_of(spies, SIX), tmp_path / "map.zarr", overwrite=True)
    write_mosaic(layout_of(spies, SIX), tmp_path / "new.zarr")
    one, other = (
        xr.open_zarr(tmp_path / name, consolidated=False) for name in ("map.zarr", "new.zarr")
    )
    xr.testing.assert_equal(one.load(), other.load())
    files = [
        {f.relative_to(tmp_path / name): f.read_bytes() for f in (tmp_path / name).rglob("c/*/*/0")}
        for name in ("map.zarr", "new.zarr")
    ]
    assert files[0] == files[1]


class Killed(BaseException):
    pass


def test_adding_goes_on_where_it_was_interrupted(spies, tmp_path, monkeypatch):
    path = tmp_path / "map.zarr"
    write_mosaic(layout_of(spies, FOUR), path)
    old = stored_counts(path)
    reading, left = Spied.read_block, iter(range(12))

    def interrupted(self, row, column, scratch=None):
        if next(left, None) is None:
            raise Killed
        return reading(self, row, column, scratch)

    monkeypatch.setattr(Spied, "read_block", interrupted)
    with pytest.raises(Killed):
        write_mosaic(layout_of(spies, SIX), path, overwrite=True)
    np.testing.assert_array_equal(stored_counts(path), old)
    draft = tmp_path / ".map.zarr.adding"
    written = {f: f.stat().st_mtime_ns for f in (draft / "counts").rglob("c/*/*/0")}
    assert written
    monkeypatch.setattr(Spied, "read_block", reading)
    moved = {}
    put = writing._put_in_place

    def watched(new, target):
        moved.update({f: f.stat().st_mtime_ns for f in written})
        put(new, target)

    monkeypatch.setattr(writing, "_put_in_place", watched)
    write_mosaic(layout_of(spies, SIX), path, overwrite=True)
    assert moved == written
    np.testing.assert_array_equal(stored_counts(path), pasted(spies, SIX))
    assert [p.name for p in tmp_path.iterdir()] == ["map.zarr"]


def test_a_first_mosaic_goes_on_where_it_was_interrupted(spies, tmp_path, monkeypatch):
    path = tmp_path / "map.zarr"
    reading, left = Spied.read_block, iter(range(25))

    def interrupted(self, row, column, scratch=None):
        if next(left, None) is None:
            raise Killed
        return reading(self, row, column, scratch)

    monkeypatch.setattr(Spied, "read_block", interrupted)
    with pytest.raises(Killed):
        write_mosaic(layout_of(spies, FOUR), path)
    monkeypatch.setattr(Spied, "read_block", reading)
    written = {f: f.stat().st_mtime_ns for f in (path / "counts").rglob("c/*/*/0")}
    assert written
    # Whether replacing it is allowed or not, it is the same mosaic and is completed.
    write_mosaic(layout_of(spies, FOUR), path, overwrite=True)
    assert {f: f.stat().st_mtime_ns for f in written} == written
    np.testing.assert_array_equal(stored_counts(path), pasted(spies, FOUR))


def test_an_unfinished_mosaic_of_fewer_tiles_gives_what_it_has(spies, tmp_path, monkeypatch):
    path = tmp_path / "map.zarr"
    write_mosaic(layout_of(spies, FOUR), path)
    group = open_group(path, mode="r+")
    group.attrs["sigma_scale"] = {**group.attrs["sigma_scale"], "state": "unfinished"}
    (path / "counts" / "c" / "0" / "0" / "0").unlink()
    reset(spies)
    image = write_mosaic(layout_of(spies, SIX), path, overwrite=True)
    np.testing.assert_array_equal(image.to_xarray().values, pasted(spies, SIX))
    assert 0 < n_read(spies)[0, 0] <= 4  # the block that was missing


def test_damaged_blocks_of_an_earlier_mosaic_are_composed_again(spies, tmp_path):
    path = tmp_path / "map.zarr"
    write_mosaic(layout_of(spies, FOUR), path)
    chunk = path / "counts" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    image = write_mosaic(layout_of(spies, SIX), path, overwrite=True)
    np.testing.assert_array_equal(image.to_xarray().values, pasted(spies, SIX))


def test_another_compressor_is_only_for_new_blocks(spies, tmp_path):
    path = tmp_path / "map.zarr"
    write_mosaic(layout_of(spies, FOUR), path)
    encoding = store.Encoding("lz4")
    image = write_mosaic(layout_of(spies, SIX), path, overwrite=True, encoding=encoding)
    np.testing.assert_array_equal(image.to_xarray().values, pasted(spies, SIX))


def test_results_of_the_mosaic_before_are_dropped_with_a_note(spies, tmp_path):
    path = tmp_path / "map.zarr"
    write_mosaic(layout_of(spies, FOUR), path)
    store.write_result(path, "labels", xr.Dataset({"labels": ("y", np.arange(3))}))
    with pytest.warns(SigmaScaleWarning, match="are dropped: labels"):
        write_mosaic(layout_of(spies, SIX), path, overwrite=True)
    assert "labels" not in open_group(path)


def test_only_mosaics_are_added_to(spies, tmp_path):
    plain = tmp_path / "plain.zarr"
    store.write_map(SpectrumImage(spies[0, 0], AXIS), plain)
    with pytest.raises(StoreError, match="is not a mosaic"):
        write_mosaic(layout_of(spies, FOUR), tmp_path / "map.zarr", earlier=plain)
    with pytest.raises(SourceNotFoundError):
        write_mosaic(layout_of(spies, FOUR), tmp_path / "map.zarr", earlier=tmp_path / "none")
    # A store that is no mosaic is replaced only if that is asked for, and wholly.
    with pytest.raises(OutputExistsError):
        write_mosaic(layout_of(spies, FOUR), plain)
    write_mosaic(layout_of(spies, FOUR), plain, overwrite=True)
    np.testing.assert_array_equal(stored_counts(plain), pasted(spies, FOUR))


def test_a_store_put_aside_comes_back(spies, tmp_path, monkeypatch):
    path, aside = tmp_path / "map.zarr", tmp_path / ".map.zarr.replaced"
    write_mosaic(layout_of(spies, FOUR), path)
    path.rename(aside)  # as if killed between the two steps of the exchange
    restore_replaced(path)
    np.testing.assert_array_equal(stored_counts(path), pasted(spies, FOUR))
    aside.mkdir()  # as if killed before the last
    restore_replaced(path)
    write_mosaic(layout_of(spies, SIX), path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["map.zarr"]


def test_an_exchange_that_fails_leaves_the_old_store(spies, tmp_path, monkeypatch):
    path = tmp_path / "map.zarr"
    write_mosaic(layout_of(spies, FOUR), path)
    moving = type(path).rename

    def refuse(self, target):
        if self.name.endswith(".adding"):
            raise PermissionError(13, "Permission denied")
        return moving(self, target)

    monkeypatch.setattr(type(path), "rename", refuse)
    with pytest.raises(StoreError, match=r"can't be replaced.*complete at .*\.map\.zarr\.adding"):
        write_mosaic(layout_of(spies, SIX), path, overwrite=True)
    np.testing.assert_array_equal(stored_counts(path), pasted(spies, FOUR))


def made_layout(grid=(2, 2), **details):
    made = synthetic_tiles(grid, (96, 96), overlap=0.25, jitter=2, channels=64, seed=4, **details)
    return made, TileLayout.from_stage(made.images)


def test_the_registration_is_noted(tmp_path):
    _, layout = made_layout()
    found = register(layout)
    write_mosaic(found, tmp_path / "map.zarr")
    summary = mosaic_attrs(tmp_path / "map.zarr")["registration"]
    used = found.pairs[found.pairs["used"]]
    assert summary == {
        "pairs": len(found.pairs),
        "used": len(used),
        "rms_residual_px": pytest.approx(float(np.sqrt((used["residual"] ** 2).mean()))),
        "unmatched": [],
    }
    assert summary == registration_summary(found)


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


def test_a_mosaic_can_be_in_an_object_store(spies, tmp_path):
    place = f"memory://{tmp_path.name}/map.zarr"
    write_mosaic(layout_of(spies, FOUR), place)
    np.testing.assert_array_equal(stored_counts(place), pasted(spies, FOUR))
    with pytest.raises(ParameterError, match="can't be renamed"):
        write_mosaic(layout_of(spies, SIX), place, overwrite=True)
    image = write_mosaic(layout_of(spies, SIX), tmp_path / "more.zarr", earlier=place)
    np.testing.assert_array_equal(image.to_xarray().values, pasted(spies, SIX))
