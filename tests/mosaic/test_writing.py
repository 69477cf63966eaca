"""Writing mosaics to stores, interrupted or not."""

import json

import numpy as np
import pytest
from spied_tiles import (
    AXIS,
    FOUR,
    SIDE,
    SIX,
    Killed,
    Spied,
    layout_of,
    made_layout,
    n_read,
    pasted,
    stored_counts,
    write_mosaic,
)

from sigma_scale import store
from sigma_scale.errors import (
    OutputExistsError,
    ParameterError,
    StoreError,
)
from sigma_scale.mosaic import Tile, TileLayout, register
from sigma_scale.mosaic.composition import MosaicPlan, compose
from sigma_scale.mosaic.overview import registration_summary
from sigma_scale.mosaic.writing import mosaic_attrs, restore_replaced
from sigma_scale.spectra import SpectrumImage


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
    with pytest.raises(OutputExistsError, match=r"exists already.*--overwrite.*overwrite=True"):
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


def test_a_mosaic_can_be_in_an_object_store(spies, tmp_path):
    place = f"memory://{tmp_path.name}/map.zarr"
    write_mosaic(layout_of(spies, FOUR), place)
    np.testing.assert_array_equal(stored_counts(place), pasted(spies, FOUR))
    with pytest.raises(ParameterError, match="can't be renamed"):
        write_mosaic(layout_of(spies, SIX), place, overwrite=True)
    image = write_mosaic(layout_of(spies, SIX), tmp_path / "more.zarr", earlier=place)
    np.testing.assert_array_equal(image.to_xarray().values, pasted(spies, SIX))
