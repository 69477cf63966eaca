from dataclasses import replace

import numpy as np
import pytest
from oxford_files import Entry, eds, make_counts, write_h5oina

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    ParameterError,
    ShapeMismatchError,
    SourceNotFoundError,
)
from sigma_scale.mosaic import GridRule, Tile, TileLayout
from sigma_scale.spectra import EnergyAxis

OPTIONS = {"scale_kev": 0.01}


def names_by_cell(layout):
    return {(tile.row, tile.column): tile.name for tile in layout}


def test_stage_positions_are_of_centres_with_y_upwards(make_image):
    images = {"a": make_image((1.0, 2.0)), "b": make_image((1.012, 1.995), shape=(30, 20))}
    layout = TileLayout.from_stage(images)
    # a reaches from 1000 - 7.25 µm in x and from -2000 - 4.75 µm in y (downwards)
    assert layout["a"].position == pytest.approx((-2004.75, 992.75))
    assert layout["b"].position == pytest.approx((-1995 - 7.25, 1012 - 4.75))
    np.testing.assert_allclose(layout.offsets, [[0, 0], [5, 29]], atol=1e-6)
    assert layout.shape == (35, 49)
    assert layout.pixel_size == (0.5, 0.5)


@pytest.mark.parametrize(
    ("axes", "offset"), [(("y", "x"), (0, 24)), (("-y", "-x"), (10, 0)), (("x", "-y"), (24, 10))]
)
def test_stage_axes_can_point_anywhere(make_image, axes, offset):
    images = {"a": make_image((0.0, 0.0)), "b": make_image((0.012, -0.005))}
    found = TileLayout.from_stage(images, stage_axes=axes).offsets
    between = {("y", "x"): (-10, 24), ("-y", "-x"): (10, -24), ("x", "-y"): (24, 10)}[axes]
    np.testing.assert_allclose(found[1] - found[0], between, atol=1e-6)


@pytest.mark.parametrize("axes", [("x", "x"), ("up", "x"), ("x",)])
def test_wrong_stage_axes_are_refused(make_image, axes):
    with pytest.raises(ParameterError, match="stage_axes must be"):
        TileLayout.from_stage({"a": make_image((0, 0))}, stage_axes=axes)


def test_tiles_without_stage_or_scale_are_named(make_image):
    with pytest.raises(ParameterError, match=r"tile 'b' has no stage position"):
        TileLayout.from_stage({"a": make_image((0, 0)), "b": make_image()})
    with pytest.raises(ParameterError, match=r"'a' has no pixel size in micrometres"):
        TileLayout.from_stage({"a": make_image((0, 0), unit="pixel")})


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        ({"columns": 3}, [1, 2, 3, 4, 5, 6]),
        ({"columns": 3, "snake": True}, [1, 2, 3, 6, 5, 4]),
        ({"rows": 2, "order": "column-wise"}, [1, 3, 5, 2, 4, 6]),
        ({"rows": 2, "order": "column-wise", "snake": True}, [1, 4, 5, 2, 3, 6]),
        ({"rows": 2, "columns": 3, "pattern": "map {index}"}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_tiles_are_counted_in_every_order(folder, rule, order):
    layout = TileLayout.from_folder(folder, grid=GridRule(**rule), options=OPTIONS)
    cells = names_by_cell(layout)
    assert [cells[i, j] for i in range(2) for j in range(3)] == [f"map {n}" for n in order]
    assert layout.unit == "pixel"
    (corner,) = (tile for tile in layout if (tile.row, tile.column) == (1, 2))
    assert corner.position == pytest.approx((18.0, 54.0))
    assert layout.missing == ()


def test_tile_10_comes_after_tile_2(tmp_path):
    for number in (1, 2, 10):
        np.save(tmp_path / f"t{number}.npy", np.ones((4, 4, 4), np.uint8))
    layout = TileLayout.from_folder(tmp_path, grid=GridRule(rows=1), options=OPTIONS)
    assert [tile.name for tile in layout] == ["t1", "t2", "t10"]


def test_names_tell_cells_and_which_are_missing(make_image):
    names = ["r01c1", "r01c3", "r02c1", "r02c2"]
    rule = GridRule(pattern="r{row}c{column}", overlap=(0.1, 0.2))
    layout = TileLayout.from_grid({name: make_image() for name in names}, rule)
    assert names_by_cell(layout) == dict(zip([(0, 0), (0, 2), (1, 0), (1, 1)], names, strict=True))
    assert layout.missing == ((0, 1), (1, 2))
    assert layout["r01c3"].position == pytest.approx((0, 2 * 24 * 0.5))
    assert layout["r02c1"].position == pytest.approx((18 * 0.5, 0))


def test_counted_tiles_with_gaps_keep_their_places(make_image):
    images = {f"t_{n}": make_image() for n in (1, 2, 4)}
    layout = TileLayout.from_grid(images, GridRule(columns=2, pattern="t_{index}", snake=True))
    assert names_by_cell(layout) == {(0, 0): "t_1", (0, 1): "t_2", (1, 0): "t_4"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"columns": 4, "rows": 2}, "8 tiles, and there are 6"),
        ({}, "need the rows or columns"),
        ({"pattern": "tile {index}", "columns": 3}, "'map 1' doesn't follow"),
        ({"pattern": "map {idnex}"}, r"Did you mean \{index\}"),
        ({"pattern": "map {row}"}, r"must hold \{row\} and \{column\}"),
        ({"pattern": "map {index}", "rows": 1, "columns": 3}, "'map 4' would be in row 1"),
        ({"pattern": "map {index}", "columns": 3, "first": 2}, "outside the grid"),
    ],
)
def test_rules_that_do_not_fit_are_refused(folder, rule, message):
    with pytest.raises(ParameterError, match=message):
        TileLayout.from_folder(folder, grid=GridRule(**rule), options=OPTIONS)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"order": "row-wize"}, "Did you mean 'row-wise'"),
        ({"rows": 0}, "rows of the grid"),
        ({"overlap": 10}, "share of a tile"),
    ],
)
def test_rules_that_cannot_work_are_refused(rule, message):
    with pytest.raises(ParameterError, match=message):
        GridRule(**rule)


def field_file(path, x, y, unit=None):
    def column(value):
        attrs = {} if unit is None else {"Unit": unit}
        return Entry(np.full((126, 1), value), attrs)

    fields = {"LAM Field Coordinate X": column(x), "LAM Field Coordinate Y": column(y)}
    write_h5oina(path, {"1": {"EDS": eds(make_counts(), fields)}})


def test_montage_fields_that_count_are_cells(tmp_path):
    for name, x, y in (("a", 3, 1), ("b", 4, 1), ("c", 4, 2)):
        field_file(tmp_path / f"{name}.h5oina", x, y)
    layout = TileLayout.from_folder(tmp_path)
    assert names_by_cell(layout) == {(0, 0): "a", (0, 1): "b", (1, 1): "c"}
    np.testing.assert_allclose(layout.offsets, [[0, 0], [0, 12.6], [8.1, 12.6]], atol=1e-9)


def test_montage_fields_with_a_unit_are_places(tmp_path):
    for name, x, y in (("a", 0.001, 0.5), ("b", 0.004, 0.504)):
        field_file(tmp_path / f"{name}.h5oina", x, y, "mm")
    layout = TileLayout.from_fields(sorted(tmp_path.glob("*.h5oina")))
    np.testing.assert_allclose(layout.offsets, [[0, 0], [8, 12]], atol=1e-6)  # 0.5 x 0.25 µm


def test_a_finished_montage_and_files_without_fields_are_refused(tmp_path):
    field_file(tmp_path / "a.h5oina", 1, np.arange(126.0).reshape(-1, 1) // 63)
    with pytest.raises(ParameterError, match=r"tile 'a' holds 2 fields.*put together already"):
        TileLayout.from_folder(tmp_path)
    write_h5oina(tmp_path / "a.h5oina", {"1": {"EDS": eds(make_counts())}})
    with pytest.raises(ParameterError, match="no montage fields"):
        TileLayout.from_folder(tmp_path, positions="fields")


def test_the_stage_is_used_where_nothing_else_is_given(tmp_path):
    for name, x in (("a", 1.5), ("b", 1.502)):
        stage = {"X": np.float32(x), "Y": np.float32(2)}
        technique = eds(make_counts(), **{"Stage Position": stage})
        write_h5oina(tmp_path / f"{name}.h5oina", {"1": {"EDS": technique}})
    layout = TileLayout.from_folder(tmp_path)
    np.testing.assert_allclose(layout.offsets, [[0, 0], [0, 8]], atol=1e-2)


def test_a_file_and_its_header_are_one_tile(tmp_path):
    for name in ("a.rpl", "a.raw", "notes.txt", ".hidden.npy"):
        (tmp_path / name).write_bytes(b"")
    from sigma_scale.mosaic.opening import files_in

    assert [path.name for path in files_in(tmp_path, None)] == ["a.rpl"]


def test_folders_without_maps_are_refused(tmp_path):
    (tmp_path / "map.bcf").touch()
    with pytest.raises(FileFormatError, match=r"map\.bcf is a file, but .*sigma-scale run"):
        TileLayout.from_folder(tmp_path / "map.bcf")
    (tmp_path / "map.bcf").unlink()
    with pytest.raises(SourceNotFoundError, match="There is no folder"):
        TileLayout.from_folder(tmp_path / "none")
    with pytest.raises(SourceNotFoundError, match="no file that a reader knows"):
        TileLayout.from_folder(tmp_path)
    with pytest.raises(SourceNotFoundError, match=r"no file \*\.bcf"):
        TileLayout.from_folder(tmp_path, files="*.bcf")


def test_unreadable_tiles_are_named_or_left_out(folder):
    (folder / "map 3.npy").write_bytes(b"nothing")
    rule = GridRule(columns=3, pattern="map {index}")
    with pytest.raises(FileFormatError, match=r"Tile 'map 3' can't be read: .*map 3\.npy"):
        TileLayout.from_folder(folder, grid=rule, options=OPTIONS)
    layout = TileLayout.from_folder(folder, grid=rule, options=OPTIONS, unreadable="skip")
    assert len(layout) == 5
    assert layout.missing == ((0, 2),)
    assert list(layout.left_out) == ["map 3"]
    assert "map 3.npy" in layout.left_out["map 3"]
    with pytest.raises(ParameterError, match="move up"):
        TileLayout.from_grid(sorted(folder.iterdir()), GridRule(columns=3), unreadable="skip")


def test_two_files_of_one_name_are_refused(folder):
    (folder / "map 1.bcf").write_bytes(b"")
    with pytest.raises(ParameterError, match=r"Two files would be the tile 'map 1'"):
        TileLayout.from_folder(folder, grid=GridRule(columns=3), options=OPTIONS)


def grid_of(images):
    return TileLayout.from_grid(images, GridRule(rows=1))


def test_mixed_instruments_are_named(make_image):
    images = {"a": make_image(), "b": make_image(instrument="TEM", kev=200.0), "c": make_image()}
    with pytest.raises(ParameterError, match=r"Tile 'b' .* TEM at 200 keV, most .* SEM at 20 keV"):
        grid_of(images)
    images["b"] = make_image(kev=15.0)
    with pytest.raises(ParameterError, match="SEM at 15 keV"):
        grid_of(images)
    images["b"] = make_image(kev=None)
    assert len(grid_of(images)) == 3


def test_other_pixel_sizes_are_refused_beyond_the_tolerance(make_image):
    images = {"a": make_image(), "b": make_image(size=0.501), "c": make_image()}
    assert grid_of(images).findings == ()
    images["b"] = make_image(size=0.51)
    with pytest.raises(ParameterError, match=r"'b' has pixels of 0\.51 x 0\.51 µm"):
        grid_of(images)
    images["b"] = make_image(unit="pixel")
    with pytest.raises(ParameterError, match=r"'b' has pixels of 0\.5 x 0\.5 pixel"):
        grid_of(images)


@pytest.mark.parametrize(
    ("axis", "verdict"),
    [
        (EnergyAxis(100, 0.01), None),
        (EnergyAxis(50, 0.02), "rebinned"),
        (EnergyAxis(100, 0.01, -0.1), "rebinned"),
        (EnergyAxis(33, 0.03), "too different"),
        (EnergyAxis(100, 0.01, 0.8), "too different"),
    ],
)
def test_other_energy_axes_are_reported(make_image, axis, verdict):
    usual = EnergyAxis(100, 0.01)
    images = {"a": make_image(axis=usual), "b": make_image(axis=usual), "c": make_image(axis=axis)}
    found = grid_of(images).findings
    assert [(f.tile, f.kind, f.verdict) for f in found] == (
        [] if verdict is None else [("c", "energy axis", verdict)]
    )


def test_duplicates_are_named(folder, make_image):
    layout = TileLayout.from_folder(folder, grid=GridRule(columns=3), options=OPTIONS)
    one, two, *_ = layout
    for changes, what in (
        ({"name": "map 1"}, "the name"),
        ({"path": one.path}, "the file"),
        ({"row": 0, "column": 0}, "the cell"),
        ({"position": one.position}, "the position"),
    ):
        with pytest.raises(ParameterError, match=rf"has {what} of .*tile 'map 1'"):
            TileLayout((one, replace(two, **changes)), "pixel")
    TileLayout((one, replace(two, path=one.path, options={"scale_kev": 0.02})), "pixel")


def test_tiles_much_too_far_apart_are_named(make_image):
    def two(place, row=0):
        tiles = [Tile.describe(make_image(unit="pixel"), name) for name in "abc"]
        places = [((0.0, 0.0), 0), ((0.0, 30.0), 1), (place, 2)]
        return TileLayout(
            tuple(
                replace(tile, position=where, row=row if column == 2 else 0, column=column)
                for tile, (where, column) in zip(tiles, places, strict=True)
            ),
            "pixel",
        )

    # 1e8 pixels are never too many, and neither are far fewer than 1,000 for each of a tile.
    assert two((0.0, 4e6)).shape == (20, 4_000_030)
    for place in ((0.0, 6e6), (2e4, 2e4), (1e300, -1e300)):
        with pytest.raises(ParameterError, match=r"less than a thousandth.*away is tile 'c'"):
            two(place)
    with pytest.raises(ParameterError, match=r"cells of the grid.*away is tile 'c'"):
        two((0.0, 60.0), row=10**9)


def test_layouts_are_looked_up_moved_and_checked(folder):
    layout = TileLayout.from_folder(folder, grid=GridRule(columns=3), options=OPTIONS)
    with pytest.raises(ParameterError, match="Did you mean"):
        layout["map1"]
    moves = np.arange(12).reshape(6, 2)
    moved = layout.with_offsets(layout.offsets + moves)
    for old, new, move in zip(layout, moved, moves, strict=True):
        np.testing.assert_allclose(new.position, np.array(old.position) + move)
    with pytest.raises(ShapeMismatchError, match="need offsets"):
        layout.with_offsets(np.zeros((5, 2)))
    with pytest.raises(EmptyMapError):
        TileLayout(())
    with pytest.raises(ParameterError, match="must be in pixels"):
        replace(layout, unit="µm")
    with pytest.raises(ParameterError, match="isn't finite"):
        replace(layout.tiles[0], position=(np.nan, 0.0))


def test_pictures_are_images_or_counts(folder, make_image):
    layout = TileLayout.from_folder(folder, grid=GridRule(columns=3), options=OPTIONS)
    assert (layout["map 3"].picture() == 12).all()
    with pytest.raises(ParameterError, match="no image 'BSE'"):
        layout["map 3"].picture("BSE")
    np.save(folder / "map 3.npy", np.ones((5, 5, 4), np.uint8))
    with pytest.raises(ParameterError, match="Make the layout again"):
        layout["map 3"].picture()
