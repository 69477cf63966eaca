"""Mosaics to which tiles are added: what is finished of them is kept."""

import numpy as np
import pytest
import xarray as xr
from spied_tiles import (
    AXIS,
    FOUR,
    SIX,
    Killed,
    Spied,
    layout_of,
    n_read,
    pasted,
    reset,
    stored_counts,
    write_mosaic,
)

from sigma_scale import store
from sigma_scale.errors import (
    OutputExistsError,
    SigmaScaleWarning,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.mosaic import writing
from sigma_scale.mosaic.composition import MosaicPlan, MosaicSource
from sigma_scale.mosaic.writing import mosaic_attrs
from sigma_scale.spectra import SpectrumImage
from sigma_scale.store.layout import open_group

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
