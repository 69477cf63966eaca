import errno

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale import files
from sigma_scale.errors import (
    FileFormatError,
    OutputExistsError,
    ParameterError,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.mosaic import GridRule, Tile, TileLayout
from sigma_scale.mosaic.manifest import read_entries, write_entries

ENDINGS = (".csv", ".yaml")


@pytest.fixture
def layout(folder):
    return TileLayout.from_folder(folder, grid=GridRule(columns=3), options={"scale_kev": 0.01})


def facts(layout):
    keep = ("name", "path", "options", "position", "row", "column", "shape", "energy")
    return [{name: getattr(tile, name) for name in keep} for tile in layout]


@pytest.mark.parametrize("ending", [*ENDINGS, ".yml"])
def test_layouts_come_back_and_can_be_moved(layout, folder, ending, tmp_path_factory):
    path = layout.write_manifest(folder / f"tiles{ending}")
    back = TileLayout.read_manifest(path)
    assert facts(back) == facts(layout)
    assert back.unit == "pixel"
    text = path.read_text()
    assert str(folder) not in text
    again = back.write_manifest(path, overwrite=True)
    assert again.read_text() == text
    moved = tmp_path_factory.mktemp("elsewhere") / "all"
    folder.rename(moved)
    assert len(TileLayout.read_manifest(moved / path.name)) == 6


names = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1).filter(
    lambda text: text.isprintable() and text.strip()
)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(names, min_size=1, max_size=4, unique=True),
    st.tuples(numbers, numbers),
    st.sampled_from(ENDINGS),
    st.sampled_from(["µm", "pixel"]),
    st.none() | st.integers(0, 10**6),
)
def test_any_name_and_number_comes_back(  # noqa: PLR0917 - one each
    tmp_path_factory, listed, position, ending, unit, row
):
    folder = tmp_path_factory.mktemp("any")
    (folder / "007, the map's #1.npy").touch()
    file = folder / "007, the map's #1.npy"
    tiles = [
        Tile(name=name, shape=(1, 1), position=position, path=file, row=row, column=row)
        for name in listed
    ]
    path = write_entries(tiles, unit, folder / f"m{ending}", overwrite=False)
    entries, unit_back = read_entries(path)
    assert unit_back == unit
    assert [e["name"] for e in entries] == listed
    assert all(e["position"] == position and e["path"] == file for e in entries)
    assert all(e.get("row") == row for e in entries)


def test_manifests_are_not_replaced_unasked(layout, folder, make_image):
    path = layout.write_manifest(folder / "tiles.csv")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        layout.write_manifest(path)
    with pytest.raises(ParameterError, match="ends in"):
        layout.write_manifest(folder / "tiles.txt")
    in_memory = TileLayout.from_stage({"a": make_image((0, 0))})
    with pytest.raises(ParameterError, match="map in memory"):
        in_memory.write_manifest(folder / "other.csv")


CSV = """name,path,y_px,x_px,options
a,map 1.npy,0,0,"{""scale_kev"": 0.01}"
b,map 2.npy,0,25,"{""scale_kev"": 0.01}"

c,map 3.npy,17.5,0,"{""scale_kev"": 0.01}"
"""
YAML = """# my tiles
tiles:
  - {name: a, path: map 1.npy, y_px: 0, x_px: 0, options: {scale_kev: 0.01}}
  - name: 007
    path: map 2.npy
    y_px: 0
    x_px: 25
    options: {scale_kev: 0.01}
"""


def written(folder, text, name="tiles.csv"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_hand_written_manifests_are_read(folder):
    layout = TileLayout.read_manifest(written(folder, CSV))
    assert [(t.name, t.position, t.line) for t in layout] == [
        ("a", (0, 0), 2), ("b", (0, 25), 3), ("c", (17.5, 0), 5),
    ]  # fmt: skip
    layout = TileLayout.read_manifest(written(folder, YAML, "tiles.yaml"))
    assert [(t.name, t.line) for t in layout] == [("a", 3), ("007", 4)]


def test_what_spreadsheets_do_is_understood(folder):
    plain = CSV.replace("{", "").replace("}", "").replace('"""scale_kev"": 0.01"', "")
    text = "\ufeff" + plain.replace(",", "; ").replace("\n", "\r\n")
    entries, unit = read_entries(written(folder, text))
    assert [e["name"] for e in entries] == ["a", "b", "c"]
    assert [e["line"] for e in entries] == [2, 3, 5]
    assert unit == "pixel"


@pytest.mark.parametrize("blank", ["\n", "\r\n", " \n;;;\n", ",,,,\n\n"])
def test_blank_lines_at_the_beginning_are_passed_over(folder, blank):
    entries, _ = read_entries(written(folder, blank + CSV))
    assert [e["name"] for e in entries] == ["a", "b", "c"]
    n_blank = blank.count("\n")
    assert [e["line"] for e in entries] == [2 + n_blank, 3 + n_blank, 5 + n_blank]
    with pytest.raises(FileFormatError, match=rf"line {1 + n_blank}: there is no column 'x_pix'"):
        read_entries(written(folder, blank + CSV.replace("x_px", "x_pix")))


EXCEL = """name;path;y_px;x_px;options
a;map 1.npy;0;0;"{""scale_kev"": 0.01}"
b;map 2.npy;0;25,5;"{""scale_kev"": 0.01}"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EXCEL, r"line 3: tile 'b': x_px must be .* '25,5'\. Write decimals with a point; spread"),
        (EXCEL.replace(";", "\t"), r"line 3: tile 'b': x_px must be .* '25,5'\. Write decimals"),
        (EXCEL.replace(",", ".").replace(";", ",").replace("25.5", '"25,5"'),
         r"line 3: tile 'b': x_px must be a number, not '25,5'\. Write decimals with a point"),
        (CSV.replace("17.5", "17,5"), r"line 5: there are 6 values for 5 columns. Write decimals"),
        (CSV.replace('0.01}"\n\nc', "0.01}\n\nc"), r"line 3: a quotation mark is not closed"),
        ('"' + CSV.replace('"', '""').replace("\n", '"\n"'),
         r"line 1: all columns are in one cell, 'name,path,y_px.*with the comma as its separator"),
        (CSV + "d" * 200_000, r"line 6: this is no row of a table"),
    ],
)  # fmt: skip
def test_what_spreadsheets_spoil_is_told_with_line_and_remedy(folder, text, message):
    with pytest.raises(FileFormatError, match=message):
        read_entries(written(folder, text))


def test_tables_of_semicolons_with_points_are_read(folder):
    entries, _ = read_entries(written(folder, EXCEL.replace("25,5", "25.5")))
    assert [e["position"] for e in entries] == [(0, 0), (0, 25.5)]
    assert entries[1]["options"] == {"scale_kev": 0.01}


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (
            "x_px",
            "x_pix",
            FileFormatError,
            r"line 1: there is no column 'x_pix'.*Did you mean x_px",
        ),
        ("b,map", "a,map", FileFormatError, r"line 3: tile 'a' is a duplicate; line 2"),
        ("map 2.npy", "map2.npy", SourceNotFoundError, r"line 3: tile 'b'.*Did you mean map 2"),
        ("17.5", "17;5", FileFormatError, r"line 5: tile 'c': y_px must be a number, not '17;5'"),
        ("17.5", "", FileFormatError, r"line 5: tile 'c': y_px is missing"),
        ("17.5", "nan", FileFormatError, r"line 5: tile 'c': y_px must be a number"),
        ("17.5,0,", "17.5,0,9,9,9,", FileFormatError, "line 5"),
        ("c,map", ",map", FileFormatError, r"line 5: the tile has no name"),
        ("map 3.npy", "m" * 300, FileFormatError, r"line 5: tile 'c': the path can't be"),
        ("17.5", "1e300", ParameterError, r"farthest away is tile 'c' \(line 5\)"),
        ("map 3.npy", "", FileFormatError, r"line 5: tile 'c' has no path"),
        ("17.5,0,", ",,", FileFormatError, r"line 5: tile 'c' has no position"),
        ("name,path", "name,name", FileFormatError, "named twice"),
        ('17.5,0,"{""scale', '17.5,0,"{scale', FileFormatError, r"line 5: tile 'c': options must"),
        ("map 3.npy", "map 1.npy", ParameterError, r"Tile 'c' \(line 5\) has the file of tile 'a'"),
        ("17.5,0", "0,0", ParameterError, r"'c' \(line 5\) has the position of tile 'a' \(line 2"),
        ("scale_kev", "scale", ParameterError, r"Tile 'a' \(line 2\) can't be read: .*no option"),
    ],
)
def test_faults_name_tile_and_line(folder, old, new, error, message):
    text = CSV.replace(old, new) if old != "scale_kev" else CSV.replace(old, new, 1)
    with pytest.raises(error, match=message):
        TileLayout.read_manifest(written(folder, text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("y_px: 0\n", "y_xp: 0\n", r"line 4: there is no entry 'y_xp'.*Did you mean y_px"),
        ("x_px: 25", "x_px: 2,5", r"line 4: tile '007': x_px must be .* with a point"),
        ("x_px: 25", "x_px: yes", r"line 4: tile '007': x_px must be a number"),
        ("x_px: 25", "x_px: 25\n    x_px: 2", "line 4: an entry of this tile is given twice"),
        ("x_px: 25", "x_um: 25", r"line 4: tile '007' has a position in micrometres and one"),
        ("x_px: 25", "x_px: 25\n    row: 1.5", "row must be a whole number"),
        ("tiles:", "tils:", "Did you mean tiles"),
        ("tiles:", "version: 2\ntiles:", "version 2"),
        ("tiles:", "tiles: []\ntiles:", "'tiles' is given twice"),
        ("- name", "- [1]\n  - name", "line 4: a tile has entries"),
        ("{name", "{{name", r"isn't valid YAML: line \d+, column \d+: "),
        ("{scale_kev: 0.01}\n", "[1]\n", "options must be names"),
        ("tiles:", "tiles: !!python/object/apply:os.getcwd []\nother:", "isn't valid YAML"),
    ],
)
def test_faults_in_yaml_name_tile_and_line(folder, old, new, message):
    path = written(folder, YAML.replace(old, new, 1), "tiles.yaml")
    with pytest.raises(FileFormatError, match=message):
        TileLayout.read_manifest(path)


def test_positions_of_two_units_and_empty_manifests_are_refused(folder):
    mixed = "name,path,y_px,x_px,y_um,x_um\na,map 1.npy,0,0,,\nb,map 2.npy,,,0,1\n"
    with pytest.raises(FileFormatError, match="some in pixels"):
        TileLayout.read_manifest(written(folder, mixed))
    for text in ("", "name,path,y_px,x_px\n"):
        with pytest.raises(FileFormatError, match=r"no table of tiles|lists no tiles"):
            TileLayout.read_manifest(written(folder, text))
    (folder / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="UTF-8"):
        TileLayout.read_manifest(folder / "x.csv")
    with pytest.raises(SourceNotFoundError, match="no manifest"):
        TileLayout.read_manifest(folder / "none.yaml")
    with pytest.raises(FileFormatError, match=r"nested|valid YAML|no list"):
        TileLayout.read_manifest(written(folder, "[" * 5000, "deep.yaml"))


def test_unreadable_tiles_of_a_manifest_are_left_out_if_asked(folder):
    (folder / "map 2.npy").write_bytes(b"")
    path = written(folder, CSV)
    with pytest.raises(FileFormatError, match=r"Tile 'b' \(line 3\) can't be read"):
        TileLayout.read_manifest(path)
    layout = TileLayout.read_manifest(path, unreadable="skip")
    assert [tile.name for tile in layout] == ["a", "c"]
    assert np.isfinite(layout.offsets).all()


def test_places_that_take_no_file_are_named(folder, layout, monkeypatch):
    def read_only(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", f"{path}.part")

    monkeypatch.setattr(files, "write_atomically", read_only)
    with pytest.raises(StoreError, match=r"out\.csv can't be written: Read-only.*another place"):
        layout.write_manifest(folder / "out.csv")
