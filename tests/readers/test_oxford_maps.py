"""Element maps of .h5oina files: window integrals, peak areas and compositions."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from mutate import faults
from oxford_files import (
    Entry,
    Style,
    Technique,
    eds,
    eds_header,
    electron_image,
    line_map,
    make_counts,
    write_h5oina,
)
from PIL import Image

from sigma_scale.errors import (
    FileFormatError,
    NoSpectraError,
    ParameterError,
    ShapeMismatchError,
    SourceNotFoundError,
)
from sigma_scale.readers.element_maps.reader import read_element_maps
from sigma_scale.readers.oxford.lines import map_name

SHAPE = (9, 14)
NAMES = {"Al Ka1": (13, "Ka1"), "Fe Ka1": (26, "Ka1"), "Pb Ma1": (82, "Ma1")}


def values(seed, shape=SHAPE):
    """A map with pixels outside the acquired area."""
    result = (np.random.default_rng(seed).random(shape) * 1000).astype(np.float32)
    result[1, 2:5] = np.nan
    return result


def group(names=NAMES, first=0, *, as_bytes=False):
    return {
        name: line_map(values(first + i), number, line, as_bytes=as_bytes)
        for i, (name, (number, line)) in enumerate(names.items())
    }


def technique(shape=SHAPE, **groups):
    data = {name.replace("_", " "): content for name, content in groups.items()}
    return Technique(eds_header(*shape), data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "map.h5oina"


@pytest.mark.parametrize("style", [Style(), Style((1, 1), "bytes", "latest")], ids=str)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_window_integrals_with_images_and_metadata(path, style, as_bytes):
    live = values(8)
    content = technique(
        Window_Integral=group(as_bytes=as_bytes),
        Peak_Area=group({"Ca K series": (20, "K series")}),
        Live_Time=Entry(live.reshape(-1, 1)),
    )
    bse = values(9)
    write_h5oina(
        path,
        {"1": {"EDS": content, "Electron Image": electron_image({"BSE": {"BSE": bse}})}},
        style,
    )
    maps = read_element_maps(path)
    assert maps.lines == ("Al_Ka", "Fe_Ka", "Pb_Ma")
    assert maps.maps.dtype == np.float32
    for i, line in enumerate(maps.lines):
        np.testing.assert_array_equal(maps.maps.sel(line=line), values(i))
    assert maps.maps.attrs["units"] == "counts/s"
    np.testing.assert_array_equal(maps.navigation, bse)
    np.testing.assert_array_equal(maps.images["live_time"], live)
    assert (maps.pixel_size, maps.pixel_unit) == ((0.5, 0.25), "µm")
    np.testing.assert_allclose(maps.maps.x, 0.25 * np.arange(14))
    assert maps.metadata.title == "a rock Site 1 Map Data 1"
    assert maps.metadata.elements == ("Al", "Fe", "Pb")
    assert maps.metadata.lines == ("Al_Ka", "Fe_Ka", "Pb_Ma")
    assert maps.metadata.live_time_s == pytest.approx(np.nansum(live, dtype=float))


@pytest.mark.parametrize(
    ("groups", "lines", "units"),
    [
        ({"Peak_Area": {"Ca K series": (20, "K series")}}, ("Ca K series",), "counts/s"),
        ({"Composition": {"Si": (14, None), "O": (8, None)}}, ("O", "Si"), "wt%"),
        ({"Window_Integral": {}, "Composition": {"Si": (14, None)}}, ("Si",), "wt%"),
    ],
)
def test_other_kinds_where_there_are_no_window_integrals(path, groups, lines, units):
    content = {name: group(names) for name, names in groups.items()}
    write_h5oina(path, {"1": {"EDS": technique(**content)}})
    maps = read_element_maps(path)
    assert maps.lines == lines
    assert maps.maps.attrs["units"] == units
    assert len(maps.metadata.elements) == len(lines)


@pytest.mark.parametrize(
    ("own", "number", "line", "expected"),
    [
        ("Fe Ka1", 26, "Ka1", ("Fe_Ka", "Fe", "Fe_Ka")),
        ("Fe Ka1", None, None, ("Fe_Ka", "Fe", "Fe_Ka")),
        ("Fe Kb1", 26, "Kb1", ("Fe_Kb", "Fe", "Fe_Kb")),
        ("Pb Lb2", 82, "Lb2", ("Pb_Lb2", "Pb", "Pb_Lb2")),
        ("Ba L series", 56, "L series", ("Ba L series", "Ba", "Ba_La")),
        ("Si", 14, None, ("Si", "Si", None)),
        ("Si", None, None, ("Si", "Si", None)),
        ("Map 1", 14, "Ka1", ("Si_Ka", "Si", "Si_Ka")),
        ("Map 1", None, None, ("Map 1", None, None)),
        ("Map 1", 400, None, ("Map 1", None, None)),
        ("Fe odd", None, None, ("Fe odd", "Fe", None)),
        ("Al_Ka", None, None, ("Al_Ka", "Al", "Al_Ka")),
    ],
)
def test_names_of_maps(own, number, line, expected):
    found = map_name(own, number, line)
    assert (found.name, found.element, found.line) == expected


def test_maps_of_one_name_keep_the_names_of_the_file(path):
    names = {"Fe Ka1": (26, "Ka1"), "Fe Ka1 again": (26, "Ka1")}
    write_h5oina(path, {"1": {"EDS": technique(Window_Integral=group(names))}})
    assert read_element_maps(path).lines == ("Fe Ka1", "Fe Ka1 again")


def test_count_rates_of_detectors_are_summed(path):
    both = {f"EDS{i}": technique(Window_Integral=group(first=10 * i)) for i in (1, 2)}
    write_h5oina(path, {"1": both})
    maps = read_element_maps(path)
    np.testing.assert_allclose(maps.maps.sel(line="Fe_Ka"), values(11) + values(21))
    alone = read_element_maps(path, detectors=[2])
    np.testing.assert_array_equal(alone.maps.sel(line="Fe_Ka"), values(21))


@pytest.mark.parametrize("kind", ["Composition", "Window_Integral"])
def test_what_cannot_be_summed_must_be_chosen(path, kind):
    second = NAMES if kind == "Composition" else {"Al Ka1": (13, "Ka1")}
    both = {
        "EDS1": technique(**{kind: group()}),
        "EDS2": technique(**{kind: group(second)}),
    }
    write_h5oina(path, {"1": both})
    with pytest.raises(FileFormatError, match=r"map\.h5oina.*detectors=\[1\]"):
        read_element_maps(path)
    assert read_element_maps(path, detectors=[1]).shape == (*SHAPE, 3)


def test_slices_are_chosen(path):
    slices = {
        "1": {"EDS": eds(make_counts())},
        "2": {"EDS": technique(Window_Integral=group())},
        "3": {"EDS": technique(Window_Integral=group(first=5))},
    }
    write_h5oina(path, slices)
    np.testing.assert_array_equal(read_element_maps(path).maps[..., 0], values(0))
    third = read_element_maps(path, slice_number=3)
    np.testing.assert_array_equal(third.maps[..., 0], values(5))
    with pytest.raises(ParameterError, match="no slice 4; there are: 1, 2, 3"):
        read_element_maps(path, slice_number=4)
    with pytest.raises(NoSpectraError, match=r"holds no element maps.*sigma_scale\.readers\.read"):
        read_element_maps(path, slice_number=1)


def test_large_maps_are_lazy(path, monkeypatch):
    monkeypatch.setattr("sigma_scale.readers.oxford.images._EAGER_PIXELS", 200)
    monkeypatch.setattr("sigma_scale.readers.oxford.images._CHUNK_PIXELS", 30)
    write_h5oina(path, {"1": {"EDS": technique(Window_Integral=group())}})
    maps = pickle.loads(pickle.dumps(read_element_maps(path)))  # noqa: S301
    assert maps.maps.chunks is not None
    np.testing.assert_array_equal(maps.maps.sel(line="Fe_Ka"), values(1))
    np.testing.assert_array_equal(maps.maps[3:7, 2:9, 1], values(1)[3:7, 2:9])


def test_an_intensity_image_takes_the_place_of_the_files_own(path, tmp_path):
    own = electron_image({"BSE": {"BSE": values(9)}})
    content = technique(Window_Integral=group())
    write_h5oina(path, {"1": {"EDS": content, "Electron Image": own}})
    picture = np.arange(126, dtype=np.uint8).reshape(SHAPE)
    Image.fromarray(picture).save(tmp_path / "bse.png")
    maps = read_element_maps(path, tmp_path / "bse.png")
    np.testing.assert_array_equal(maps.navigation, picture)
    assert [source.name for source in maps.metadata.sources] == ["map.h5oina", "bse.png"]
    Image.fromarray(picture[:5]).save(tmp_path / "small.png")
    with pytest.raises(ShapeMismatchError, match=r"small\.png has 5 x 14"):
        read_element_maps(path, tmp_path / "small.png")
    with pytest.raises(SourceNotFoundError, match=r"none\.png"):
        read_element_maps(path, tmp_path / "none.png")


def test_maps_that_do_not_fit_the_cells_are_refused(path):
    write_h5oina(path, {"1": {"EDS": technique((9, 15), Window_Integral=group())}})
    with pytest.raises(FileFormatError, match=r"map\.h5oina is damaged: '1/EDS.*9 x 15"):
        read_element_maps(path)


def read_maps_of(path):
    maps = read_element_maps(path)
    maps.maps.load()
    for image in maps.images.values():
        image.load()


def test_damaged_files_are_refused_or_read(path, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    content = technique(Window_Integral=group(), Live_Time=Entry(values(3).reshape(-1, 1)))
    picture = electron_image({"SE": {"SE": values(4, (18, 28))}})
    write_h5oina(path, {"1": {"EDS": content, "Electron Image": picture}})
    read_maps_of(path)
    assert faults(read_maps_of, path, folder) == {}
