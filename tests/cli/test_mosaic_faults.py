"""Tiles, manifests and options that the command refuses to make a mosaic of."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from commands import hspy, refused
from mosaic_tiles import BY_GRID, rows_of

from sigma_scale import store
from sigma_scale.mosaic import TileLayout
from sigma_scale.mosaic.writing import mosaic_attrs

TYPOS = {
    "a column": (("y_um", "y_mu"), ["mine.csv, line 1", "'y_mu'", "Did you mean y_um"]),
    "a number": (("NUMBER", "1O.5"), ["line 4", "'tile_0_2'", "x_um must be a number"]),
    "a file": (("tiles/tile_0_2.zarr", "tiles/tile_0_2.zar"), ["line 4", "'tile_0_2'", "no file"]),
    "a name twice": (('"tile_0_2"', '"tile_0_1"'), ["line 4", "'tile_0_1' is a duplicate"]),
    "a file twice": (
        ("tiles/tile_0_2.zarr", "tiles/tile_0_1.zarr"),
        ["'tile_0_2' (line 4) has the file", "line 3"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TYPOS)
def test_typos_in_a_manifest_are_told_with_their_line(call, tiles, manifest, tmp_path, case):
    (old, new), words = TYPOS[case]
    path, rows = manifest
    text = path.read_text()
    old = rows[2]["x_um"] if old == "NUMBER" else old
    assert old in text
    path.write_text(text.replace(old, new, 1))
    refused(call("mosaic", "mine.csv", "out.zarr"), *words)
    assert {file.name for file in tmp_path.iterdir()} == {"tiles", "mine.csv"}


def remake(path, **changes):
    image = store.open_map(path)
    held = replace(image, source=image.source, metadata=replace(image.metadata, **changes))
    store.write_map(held, path.with_name("new.zarr"))
    shutil.rmtree(path)
    path.with_name("new.zarr").rename(path)


def test_mixed_instruments_are_told_with_their_line(call, tiles, manifest):
    remake(tiles / "tile_0_2.zarr", instrument="TEM", beam_energy_kev=200.0)
    refused(call("mosaic", "mine.csv", "out.zarr"), "'tile_0_2' (line 4)", "TEM at 200 keV")
    refused(call("mosaic", "tiles", "out.zarr"), "'tile_0_2'", "TEM at 200 keV", "Take it out")


def test_tiles_that_match_nowhere_are_drawn_and_refused(call, tmp_path):
    rng = np.random.default_rng(1)
    (tmp_path / "noise").mkdir()
    for i, j in np.ndindex(2, 2):
        data = rng.poisson(1.0, (64, 64, 16)).astype(np.uint8)
        hspy(tmp_path / "noise" / f"tile_{i}_{j}.hspy", data)
    refused(
        call("mosaic", "noise", "out.zarr", *BY_GRID),
        "The overlaps don't match", "drawn in out.layout.png", "--no-register keeps it",
    )  # fmt: skip
    assert len(rows_of(tmp_path / "out.tiles.csv")) == 4
    assert (tmp_path / "out.layout.png").is_file()
    assert not (tmp_path / "out.zarr").exists()
    assert call("mosaic", "noise", "out.zarr", *BY_GRID, "--no-register")[0] == 0


def test_a_tile_that_matches_nowhere_is_told(call, files, tmp_path):
    shutil.copytree(files, tmp_path / "files")
    noise = np.random.default_rng(1).poisson(1.0, (96, 96, 420)).astype(np.uint16)
    hspy(tmp_path / "files" / "tile_1_2.hspy", noise)
    code, out, err = call("mosaic", "files", "out.zarr", *BY_GRID, "--plan-only")
    assert code == 0
    assert "tile_1_2" in err
    assert "Unmatched" in out


def test_tiles_that_cannot_be_read(call, files, tmp_path):
    shutil.copytree(files, tmp_path / "files")
    broken = tmp_path / "files" / "tile_0_2.hspy"
    broken.write_bytes(broken.read_bytes()[:5000])
    refused(call("mosaic", "files", "out.zarr", *BY_GRID), "Tile 'tile_0_2' can't be read")
    options = [*BY_GRID, "--skip-unreadable", "--no-register"]
    code, out, _ = call("mosaic", "files", "out.zarr", *options)
    assert code == 0
    assert "Left out  tile_0_2" in " ".join(out.replace("   ", "  ").split("\n"))
    assert "1 cell of the grid: row 0, column 2" in out
    about = mosaic_attrs(tmp_path / "out.zarr")
    assert list(about["left_out"]) == ["tile_0_2"]


def test_tiles_whose_counts_are_damaged_are_found_before_the_map_is_made(call, files, tmp_path):
    shutil.copytree(files, tmp_path / "files")
    broken = tmp_path / "files" / "tile_0_2.hspy"
    content = bytearray(broken.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    broken.write_bytes(content)
    code, _, err = call("mosaic", "files", "out.zarr", *BY_GRID, "--no-register")
    assert code == 2
    assert "'tile_0_2' can't be read from" in err
    assert "--skip-unreadable" in err
    options = [*BY_GRID, "--no-register", "--skip-unreadable"]
    code, _, err = call("mosaic", "files", "out.zarr", *options)
    assert code == 0
    assert "Left out, since they can't be read: tile_0_2" in err


WRONG = [
    (["--grid", "2x2"], ["4 tiles, and there are 6"]),
    (["--grid", "two"], ["--grid takes two whole numbers"]),
    (["--grid", "2x3", "--order", "diagonal"], ["--order"]),
    (["--grid-overlap", "0.2"], ["--grid-overlap goes with --grid"]),
    (["--grid", "2x3", "--grid-overlap", "lots"], ["--grid-overlap takes a share"]),
    (["--grid", "2x3", "--grid-overlap", "10"], ["overlap is a share of a tile"]),
    (["--pattern", "tile {row}"], ["must hold {row} and {column}"]),
    (["--positions", "grid"], ["--grid"]),
    (["--positions", "fields"], ["no montage fields"]),
    (["--stage-axes", "x,x"], ["stage_axes must be one of"]),
    (["--files", "*.bcf"], ["no file *.bcf"]),
    (["--search", "-3"], ["search must be a positive number"]),
    (["--search", "100000"], ["search (100000 pixels) is longer than", "(96 pixels)", "--search"]),
    (["--flip", "z"], ["--flip"]),
    (["--image", "SE"], ["no image 'SE'"]),
    (["-O", "index"], ["NAME=VALUE"]),
]


@pytest.mark.parametrize(("options", "words"), WRONG, ids=lambda v: " ".join(v)[:30])
def test_options_that_cannot_work(call, tiles, tmp_path, options, words):
    refused(call("mosaic", "tiles", "out.zarr", *options), *words)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(
    "options", [["--files", "*.zarr"], ["--grid", "2x3"], ["--positions", "stage"], ["-O", "a=1"]]
)
def test_options_of_folders_don_t_go_with_manifests(call, tiles, manifest, options):
    refused(call("mosaic", "mine.csv", "out.zarr", *options), options[0][:3], "mine.csv")


def test_an_output_that_cannot_be(call, tiles, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").write_text("years of work")
    refused(call("mosaic", "tiles", "notes"), "notes exists and is not a store")
    refused(call("mosaic", "tiles", "tiles/out.zarr"), "among its tiles")
    refused(call("mosaic", "tiles", "tiles/tile_0_0.zarr"), "among its tiles")
    refused(call("mosaic", "nothing", "out.zarr"), "no folder nothing")
    assert not (tmp_path / "out.tiles.csv").exists()


def test_a_mirrored_stage_axis_is_told_loudly_and_can_be_mended(call, tiles, tmp_path, made):
    wrong = ["--stage-axes", "-y,-x", "--plan-only"]
    _, out, err = call("mosaic", "tiles", "out.zarr", *wrong)
    assert "(--flip x)" in err
    assert "fit together" in err
    code, out, err = call("mosaic", "tiles", "out.zarr", *wrong, "--flip", "x")
    assert code == 0
    assert "Overlaps" in out
    assert "probably wrong" not in err
    found = TileLayout.read_manifest(tmp_path / "out.tiles.csv")
    errors = found.offsets - made.positions
    assert np.sqrt(np.mean((errors - errors.mean(axis=0)) ** 2)) < 0.5


def test_a_mosaic_whose_files_have_changed_is_not_taken_for_the_same(call, tmp_path):
    (tmp_path / "ripple").mkdir()
    header = {
        "width": 20, "height": 20, "depth": 4, "offset": 0, "data-length": 2,
        "data-type": "unsigned", "byte-order": "little-endian", "record-by": "vector",
        "depth-scale": 10.0, "depth-origin": 0.0, "depth-units": "eV",
    }  # fmt: skip
    for number in (1, 2):
        (tmp_path / "ripple" / f"map {number}.rpl").write_text(
            "key\tvalue\n" + "".join(f"{key}\t{value}\n" for key, value in header.items())
        )
        np.full((20, 20, 4), number, "<u2").tofile(tmp_path / "ripple" / f"map {number}.raw")
    options = ["--pattern", "map {index}", "--grid", "1x2", "--no-register"]
    assert call("mosaic", "ripple", "out.zarr", *options)[0] == 0
    code, out, _ = call("mosaic", "ripple", "out.zarr", *options)
    assert code == 0
    assert out.splitlines()[-1] == "out.zarr holds this mosaic already."
    # The header, which names the tile, stays as it was.
    np.full((20, 20, 4), 9, "<u2").tofile(tmp_path / "ripple" / "map 2.raw")
    code, _, err = call("mosaic", "ripple", "out.zarr", *options)
    assert code == 2
    assert "Tile 'map 2' can't be stored" in err
    assert "If its file has changed since" in err
    assert call("mosaic", "ripple", "out.zarr", *options, "--overwrite")[0] == 0
    assert store.open_map(tmp_path / "out.zarr").to_xarray().values.max() == 9
