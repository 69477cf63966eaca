"""Tiles of a stage scan put together by the command, and what it refuses."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
from commands import QUICK, hspy, refused
from PIL import Image

from sigma_scale import store
from sigma_scale.mosaic import TileLayout, register
from sigma_scale.mosaic.composition import MosaicSource, compose
from sigma_scale.mosaic.writing import mosaic_attrs
from sigma_scale.synthetic import synthetic_tiles

GRID = (2, 3)


@pytest.fixture(scope="module")
def made():
    return synthetic_tiles(
        GRID, (96, 96), overlap=0.25, jitter=2, seed=4, channels=420, scale_kev=0.02, grain_size=12
    )


@pytest.fixture(scope="module")
def stores(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    for name, image in made.images.items():
        store.write_map(image, folder / f"{name}.zarr")
    return folder


@pytest.fixture
def tiles(stores, tmp_path):
    """A folder of six tiles as stores."""
    shutil.copytree(stores, tmp_path / "tiles")
    return tmp_path / "tiles"


@pytest.fixture(scope="module")
def expected(made):
    """Counts of the mosaic, composed in memory."""
    found = register(TileLayout.from_stage(made.images))
    return compose(found, doses="equal").to_xarray().values


def counts(path):
    return store.open_map(path).to_xarray().values


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def manifest(call, tiles, tmp_path):
    """The manifest of the six tiles, with its rows."""
    assert call("mosaic", "tiles", "plan.zarr", "--plan-only", "--no-register")[0] == 0
    (tmp_path / "plan.layout.png").unlink()
    path = (tmp_path / "plan.tiles.csv").rename(tmp_path / "mine.csv")
    return path, rows_of(path)


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


@pytest.fixture(scope="module")
def bright():
    """Tiles with enough counts to be compared by them."""
    return synthetic_tiles(
        GRID, (96, 96), overlap=0.25, jitter=2, seed=6, channels=420, scale_kev=0.01,
        grain_size=12, counts_per_pixel=500,
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(bright, tmp_path_factory):
    """Tiles as files of HyperSpy, without a place or an image."""
    folder = tmp_path_factory.mktemp("files")
    for name, image in bright.images.items():
        hspy(folder / f"{name}.hspy", image.to_xarray().values, xray_lines=["O_Ka", "Si_Ka"])
    return folder


BY_GRID = ["--pattern", "tile_{row}_{column}", "--grid-overlap", "0.25"]


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


def test_the_grid_can_be_told_in_full(call, files, tmp_path):
    options = ["--grid", "2x3", "--snake", "--order", "row-wise", "--grid-overlap", "0.25,0.2"]
    assert call("mosaic", files, "out.zarr", *options, "--plan-only", "--no-register")[0] == 0
    rows = rows_of(tmp_path / "out.tiles.csv")
    assert [(row["row"], row["column"]) for row in rows[3:]] == [("1", "2"), ("1", "1"), ("1", "0")]
    layout = TileLayout.read_manifest(tmp_path / "out.tiles.csv")
    np.testing.assert_allclose(layout.offsets[-1], [72, 0])
    np.testing.assert_allclose(layout.offsets[2], [0, 2 * 96 * 0.8])


def test_an_output_that_cannot_be(call, tiles, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.tex").write_text("years of work")
    refused(call("mosaic", "tiles", "notes"), "notes exists and is not a store")
    refused(call("mosaic", "tiles", "tiles/out.zarr"), "among its tiles")
    refused(call("mosaic", "tiles", "tiles/tile_0_0.zarr"), "among its tiles")
    refused(call("mosaic", "nothing", "out.zarr"), "no folder nothing")
    assert not (tmp_path / "out.tiles.csv").exists()


def test_another_mosaic_is_only_replaced_when_asked(call, tiles, tmp_path, expected):
    assert call("mosaic", "tiles", "out.zarr", "--no-register")[0] == 0
    code, _, err = call("mosaic", "tiles", "out.zarr")
    assert code == 2
    assert "exists already" in err
    assert call("mosaic", "tiles", "out.zarr", "--overwrite")[0] == 0
    np.testing.assert_array_equal(counts(tmp_path / "out.zarr").sum(), expected.sum())
