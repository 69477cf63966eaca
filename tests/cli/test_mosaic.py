"""Tiles of a stage scan put together by the command."""

from __future__ import annotations

import numpy as np
import pytest
from commands import QUICK
from mosaic_tiles import BY_GRID, counts, rows_of, write_rows
from PIL import Image

from sigma_scale import store
from sigma_scale.mosaic import TileLayout
from sigma_scale.mosaic.writing import mosaic_attrs


def test_a_plan_is_written_and_drawn_before_the_work(call, tiles, tmp_path, made):
    code, out, err = call("mosaic", "tiles", "out.zarr", "--plan-only")
    assert (code, err) == (0, "")
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    assert lines["Tiles"].strip() == "6 of 96 x 96 pixels"
    assert "of 11 pairs used" in lines["Overlaps"]
    assert "pixels rms" in lines["Overlaps"]
    assert "out.tiles.csv" in lines["Places"]
    assert "out.layout.png" in lines["Picture"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "tiles", "out.tiles.csv", "out.layout.png"
    }  # fmt: skip
    with Image.open(tmp_path / "out.layout.png") as picture:
        assert min(picture.size) > 300
    found = TileLayout.read_manifest(tmp_path / "out.tiles.csv")
    errors = found.offsets - (made.positions - made.positions.min(axis=0))
    assert np.sqrt(np.mean((errors - errors.mean(axis=0)) ** 2)) < 0.5


def test_tiles_become_one_map(call, tiles, tmp_path, expected):
    code, out, err = call("mosaic", "tiles", "out.zarr")
    assert (code, err) == (0, "")
    rows, columns, channels = expected.shape
    assert out.splitlines()[-1] == f"out.zarr: {columns} x {rows} pixels, {channels} channels"
    np.testing.assert_array_equal(counts(tmp_path / "out.zarr"), expected)
    assert mosaic_attrs(tmp_path / "out.zarr")["registration"]["unmatched"] == []
    assert not (tmp_path / "out.tiles").exists()  # stores are taken as they are
    code, out, _ = call("mosaic", "tiles", "out.zarr")
    assert code == 0
    assert out.splitlines()[-1] == "out.zarr holds this mosaic already."


def test_files_are_stored_tile_by_tile(call, files, tmp_path, bright):
    code, _, err = call("mosaic", files, "out.zarr", *BY_GRID, "--compressor", "lz4")
    assert (code, err) == (0, "")
    stored = sorted(path.name for path in (tmp_path / "out.tiles").iterdir())
    assert stored == [f"tile_{i}_{j}.zarr" for i in range(2) for j in range(3)]
    image = store.open_map(tmp_path / "out.zarr")
    plan = mosaic_attrs(tmp_path / "out.zarr")["plan"]
    errors = np.array([tile["place"] for tile in plan["tiles"]]) - bright.positions
    assert np.sqrt(np.mean((errors - errors.mean(axis=0)) ** 2)) < 0.5
    owners = image.images["tile"].values
    values = image.to_xarray().values
    for number, tile in enumerate(plan["tiles"]):
        y, x = np.nonzero(owners == number)
        own = counts(tmp_path / "out.tiles" / f"{tile['name']}.zarr")
        top, left = tile["offset"]
        np.testing.assert_array_equal(values[y, x], own[y - top, x - left])


@pytest.mark.slow
def test_a_mosaic_is_analysed_as_any_store(call, files, tmp_path):
    assert call("mosaic", files, "out.zarr", *BY_GRID, "--no-register")[0] == 0
    chosen = ["--lines", "O_Ka,Si_Ka,Al_Ka,Ca_Ka", "--bin", "2,2", *QUICK]
    code, out, _ = call("run", "out.zarr", "-o", "phases", *chosen)
    assert code == 0
    assert (tmp_path / "phases" / "report.html").is_file()
    assert "Report:" in out


def test_stores_of_tiles_go_where_they_are_wanted_and_are_discarded(call, files, tmp_path):
    options = [*BY_GRID, "--tile-folder", "elsewhere", "--discard-tiles", "--no-register"]
    assert call("mosaic", files, "out.zarr", *options)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.zarr", "out.tiles.csv", "out.layout.png"
    }  # fmt: skip
    # Known to be complete without making them again.
    code, out, _ = call("mosaic", files, "out.zarr", *options)
    assert code == 0
    assert out.splitlines()[-1] == "out.zarr holds this mosaic already."
    assert not (tmp_path / "elsewhere").exists()


def test_other_files_in_the_folder_of_tiles_stay(call, files, tmp_path):
    (tmp_path / "out.tiles").mkdir()
    (tmp_path / "out.tiles" / "notes.txt").write_text("mine")
    options = [*BY_GRID, "--discard-tiles", "--no-register"]
    assert call("mosaic", files, "out.zarr", *options)[0] == 0
    assert [path.name for path in (tmp_path / "out.tiles").iterdir()] == ["notes.txt"]


def test_an_edited_manifest_is_followed_and_kept(call, tiles, manifest, tmp_path):
    path, rows = manifest
    for row in rows:
        row["y_um"] = str(float(row["y_um"]) + (40 if row["name"].startswith("tile_1") else 0))
    write_rows(path, rows)
    edited = path.read_bytes()
    code, _, err = call("mosaic", "mine.csv", "out.zarr", "--no-register", "--overlap", "sum")
    assert (code, err) == (0, "")
    assert path.read_bytes() == edited
    plan = mosaic_attrs(tmp_path / "out.zarr")["plan"]
    wanted = TileLayout.read_manifest(path).offsets
    np.testing.assert_allclose([tile["offset"] for tile in plan["tiles"]], wanted, atol=0.5)
    assert plan["overlap"] == "sum"
    assert "live_time" in store.open_map(tmp_path / "out.zarr").images


def test_a_manifest_that_would_be_replaced_is_kept_aside(call, tiles, tmp_path):
    call("mosaic", "tiles", "out.zarr", "--plan-only", "--no-register")
    before = (tmp_path / "out.tiles.csv").read_bytes()
    code, _, err = call("mosaic", "out.tiles.csv", "out.zarr", "--plan-only")
    assert code == 0
    assert "is now out.tiles.previous.csv" in err
    assert (tmp_path / "out.tiles.previous.csv").read_bytes() == before
    assert (tmp_path / "out.tiles.csv").read_bytes() != before
    _, _, err = call("mosaic", "tiles", "out.zarr", "--plan-only")
    assert err == ""


def test_the_grid_can_be_told_in_full(call, files, tmp_path):
    options = ["--grid", "2x3", "--snake", "--order", "row-wise", "--grid-overlap", "0.25,0.2"]
    assert call("mosaic", files, "out.zarr", *options, "--plan-only", "--no-register")[0] == 0
    rows = rows_of(tmp_path / "out.tiles.csv")
    assert [(row["row"], row["column"]) for row in rows[3:]] == [("1", "2"), ("1", "1"), ("1", "0")]
    layout = TileLayout.read_manifest(tmp_path / "out.tiles.csv")
    np.testing.assert_allclose(layout.offsets[-1], [72, 0])
    np.testing.assert_allclose(layout.offsets[2], [0, 2 * 96 * 0.8])


def test_another_mosaic_is_only_replaced_when_asked(call, tiles, tmp_path, expected):
    assert call("mosaic", "tiles", "out.zarr", "--no-register")[0] == 0
    code, _, err = call("mosaic", "tiles", "out.zarr")
    assert code == 2
    assert "exists already" in err
    assert call("mosaic", "tiles", "out.zarr", "--overwrite")[0] == 0
    np.testing.assert_array_equal(counts(tmp_path / "out.zarr").sum(), expected.sum())
