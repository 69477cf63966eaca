"""Tiles added by the command to a mosaic that is there."""

from __future__ import annotations

import shutil

import numpy as np
from commands import refused
from mosaic_tiles import counts, rows_of

from sigma_scale import store
from sigma_scale.mosaic.composition import MosaicSource
from sigma_scale.mosaic.writing import mosaic_attrs


def copy_tiles(stores, folder, names):
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copytree(stores / f"{name}.zarr", folder / f"{name}.zarr")


FIRST = ["tile_0_0", "tile_0_1", "tile_1_0", "tile_1_1"]


MORE = ["tile_0_2", "tile_1_2"]


def test_tiles_are_added_later(call, stores, tmp_path, monkeypatch):
    copy_tiles(stores, tmp_path / "tiles", FIRST)
    assert call("mosaic", "tiles", "out.zarr")[0] == 0
    first = mosaic_attrs(tmp_path / "out.zarr")["plan"]["tiles"]
    import xarray as xr

    store.write_result(tmp_path / "out.zarr", "labels", xr.Dataset({"a": ("y", np.arange(2))}))
    composed = set()
    composing = MosaicSource.read_block

    def noted(self, row, column, scratch=None):
        composed.add((row, column))
        return composing(self, row, column, scratch)

    monkeypatch.setattr(MosaicSource, "read_block", noted)
    copy_tiles(stores, tmp_path / "tiles", MORE)
    code, out, err = call("mosaic", "tiles", "out.zarr", "--add")
    assert code == 0
    assert "6 of 96 x 96 pixels" in out
    assert "are dropped: labels" in err
    after = mosaic_attrs(tmp_path / "out.zarr")
    assert after["plan"]["tiles"][:4] == first
    assert after["registration"]["unmatched"] == []
    assert (0, 0) not in composed  # nothing of it is new
    # The same tiles at the same places, made at once.
    assert call("mosaic", "out.tiles.csv", "scratch.zarr", "--no-register")[0] == 0
    np.testing.assert_array_equal(counts(tmp_path / "out.zarr"), counts(tmp_path / "scratch.zarr"))
    code, out, _ = call("mosaic", "tiles", "out.zarr", "--add")
    assert (code, out) == (0, "out.zarr holds these tiles already.\n")


def test_adding_that_was_interrupted_goes_on(call, stores, tmp_path, monkeypatch):
    copy_tiles(stores, tmp_path / "tiles", FIRST)
    call("mosaic", "tiles", "out.zarr", "--overlap", "sum")
    old = counts(tmp_path / "out.zarr")
    copy_tiles(stores, tmp_path / "more", MORE)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MosaicSource, "read_block", interrupted)
        code, _, err = call("mosaic", "more", "out.zarr", "--add")
        assert code == 130
        assert "Run the same command again" in err
    np.testing.assert_array_equal(counts(tmp_path / "out.zarr"), old)
    assert len(rows_of(tmp_path / "out.tiles.csv")) == 6
    assert call("mosaic", "more", "out.zarr", "--add")[0] == 0
    about = mosaic_attrs(tmp_path / "out.zarr")
    assert len(about["layout"]["tiles"]) == 6
    assert about["plan"]["overlap"] == "sum"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_tiles_can_only_be_added_to_a_mosaic(call, tiles, tmp_path, stores):
    refused(call("mosaic", "tiles", "out.zarr", "--add"), "no mosaic out.zarr", "--add")
    shutil.copytree(stores / "tile_0_0.zarr", tmp_path / "plain.zarr")
    refused(call("mosaic", "tiles", "plain.zarr", "--add"), "plain.zarr is not a mosaic")
    call("mosaic", "tiles", "out.zarr", "--no-register")
    kept = (tmp_path / "out.tiles.csv").read_text()
    (tmp_path / "out.tiles.csv").write_text("".join(kept.splitlines(keepends=True)[:-1]))
    refused(call("mosaic", "tiles", "out.zarr", "--add"), "doesn't list the tile 'tile_1_2'")
    (tmp_path / "out.tiles.csv").unlink()
    refused(call("mosaic", "tiles", "out.zarr", "--add"), "out.tiles.csv", "is missing")
