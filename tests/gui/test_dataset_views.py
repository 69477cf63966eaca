"""Live views of datasets: what is typed, clicked and drawn, and what is shown for it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib.path import Path

from sigma_scale import gui, xray
from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.gui.dataset_page import DatasetPage
from sigma_scale.gui.feature_choice import FeatureChoice, usable_lines
from sigma_scale.gui.line_search import LineSearch
from sigma_scale.gui.periodic_table import place_of
from sigma_scale.gui.rgb_page import blend
from sigma_scale.gui.spectrum_figure import SpectrumFigure
from sigma_scale.spectra import ArraySource, ElementMaps, EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.workflow.datasets import SEMDataset
from sigma_scale.workflow.image_dataset import ImageDataset

LINES = ["O_Ka", "Si_Ka"]
ROWS, COLUMNS, CHANNELS = 9, 14, 400


@pytest.fixture(scope="module")
def counts():
    return np.random.default_rng(0).poisson(0.4, (ROWS, COLUMNS, CHANNELS)).astype(np.uint16)


@pytest.fixture
def sem(counts):
    image = SpectrumImage(
        ArraySource(counts), EnergyAxis(CHANNELS, 0.02), pixel_size=(2.0, 2.0), pixel_unit="µm",
        metadata=MapMetadata(instrument="SEM", beam_energy_kev=6.0),
    )  # fmt: skip
    dataset = SEMDataset(image)
    dataset.set_feature_list(LINES)
    return dataset


@pytest.fixture
def images():
    maps = np.random.default_rng(1).poisson(9.0, (ROWS, COLUMNS, 2)).astype(np.uint8)
    labelled = xr.DataArray(maps, dims=("y", "x", "line"), coords={"line": ["Fe", "Si"]})
    return ImageDataset(ElementMaps(labelled))


def draw(page, title, geometry, *, final=True, which=0):
    """Send what Bokeh sends when something is drawn on a map."""
    page.maps[title][which]._on_geometry(SimpleNamespace(final=final, geometry=geometry))


def open_tab(page, title):
    page.tabs.active = page.tabs._names.index(title)


def test_lines_near_an_energy_are_listed_while_it_is_typed():
    chosen = []
    search = LineSearch(chosen.append)
    search.energy.value, search.width.value = 6.4, 0.1
    expected = [line.name for line in xray.lines_near(6.4, tolerance_kev=0.05)]
    assert search.lines == expected[: len(search.lines)]
    assert "Fe_Ka" in search.lines
    search.buttons[search.lines.index("Fe_Ka")].clicks += 1
    assert chosen == ["Fe_Ka"]
    search.width.value = None
    assert not search.buttons
    assert "Give an energy" in search.remark.text
    search.energy.value, search.width.value = 1.74, 0.0
    assert search.remark.text == "No line lies there."


def test_cells_of_the_periodic_table():
    cells = {s: place_of(xray.atomic_number(s)) for s in xray.symbols()}
    assert len(set(cells.values())) == len(cells)
    known = {"H": (0, 0), "He": (0, 17), "Li": (1, 0), "B": (1, 12), "Fe": (3, 7), "Xe": (4, 17),
             "Ba": (5, 1), "La": (7, 2), "Hf": (5, 3), "Rn": (5, 17), "U": (8, 5)}  # fmt: skip
    assert {symbol: cells[symbol] for symbol in known} == known


def test_what_can_be_measured_follows_axis_and_beam(sem):
    usable = usable_lines(sem)
    assert usable["Si"] == ("Si_Ka",)
    # Iron's K lines need more than the beam's 6 keV.
    assert usable["Fe"] == ("Fe_La",)
    assert "H" not in usable
    for lines in usable.values():
        for name in lines:
            line = xray.line(name)
            assert line.weight == max(
                other.weight for other in xray.lines_of(line.element) if other.shell == line.shell
            )
            assert 0.1 <= line.energy_kev <= 6.0


def test_text_and_table_say_the_same(sem):
    choice = FeatureChoice(sem, lambda: None)
    assert choice.table.chosen == {"O", "Si"}
    choice.table.buttons["Fe"].clicks += 1
    assert choice.text.value == "O_Ka, Si_Ka, Fe_La"
    assert sem.feature_list == LINES
    choice.table.buttons["O"].clicks += 1
    assert choice.names == ["Si_Ka", "Fe_La"]
    choice.text.value = "Al_Ka; Si_Kb"
    assert choice.table.chosen == {"Al", "Si"}
    assert choice.table.buttons["H"].disabled
    assert not choice.table.buttons["Fe"].disabled


def test_shells_of_an_element_are_offered(counts):
    image = SpectrumImage(ArraySource(counts), EnergyAxis(CHANNELS, 0.05))
    dataset = SEMDataset(image)
    choice = FeatureChoice(dataset, lambda: None)
    choice.table.buttons["Fe"].clicks += 1
    assert choice.names == ["Fe_Ka"]
    assert list(choice.shells.options.values()) == ["Fe_Ka", "Fe_La"]
    assert choice.shells.value == ["Fe_Ka"]
    choice.shells.value = ["Fe_La"]
    assert choice.names == ["Fe_La"]
    choice.text.value = "Fe_La, Fe_Ka"
    assert set(choice.shells.value) == {"Fe_Ka", "Fe_La"}


def test_a_list_is_applied_or_refused_in_words(sem):
    told = []
    choice = FeatureChoice(sem, lambda: told.append(sem.feature_list))
    choice.text.value = "O_Ka, Xx_Ka<b>"
    choice.apply.clicks += 1
    assert "Xx_Ka" in choice.remark.text
    assert "<b>" not in choice.remark.pane.object
    assert sem.feature_list == LINES
    choice.text.value = "O_Ka"
    choice.apply.clicks += 1
    assert told == [["O_Ka"]]


@pytest.mark.parametrize("title", ["Navigation signal", "Elemental maps (raw)"])
def test_the_spectrum_of_a_pixel(sem, counts, title):
    page = DatasetPage(sem)
    open_tab(page, title)
    draw(page, title, {"type": "point", "x": 4.2, "y": 6.8})
    np.testing.assert_array_equal(page.selected["counts"], counts[7, 4])
    assert page.remark.text.startswith(f"Row 7, column 4: 1 pixel, {counts[7, 4].sum()} counts")
    whole = page.region_figure.spectra["Whole map"]
    np.testing.assert_allclose(whole, counts.sum((0, 1)) / (ROWS * COLUMNS))


def test_the_spectrum_of_a_lasso_is_the_sum_over_its_pixels(sem, counts):
    page = DatasetPage(sem)
    corners = [(1.0, 0.7), (9.3, 2.0), (3.1, 7.6), (8.2, 7.9), (0.4, 3.0)]  # crosses itself
    x, y = map(list, zip(*corners, strict=True))
    draw(page, "Navigation signal", {"type": "poly", "x": x, "y": y})
    grid = np.array([(c, r) for r in range(ROWS) for c in range(COLUMNS)], dtype=float)
    inside = Path(corners).contains_points(grid).reshape(ROWS, COLUMNS)
    assert 5 < inside.sum() < ROWS * COLUMNS
    np.testing.assert_array_equal(page.selected["counts"], counts[inside].sum(axis=0))
    assert f"{inside.sum()} pixels" in page.remark.text
    assert page._as_csv().read().startswith("energy_kev,counts,counts_per_pixel\n")
    draw(
        page, "Navigation signal", {"type": "rect", "x0": 0, "x1": 3, "y0": 0, "y1": 3}, final=False
    )
    assert f"{inside.sum()} pixels" in page.remark.text


def test_bins_are_taken_apart_into_pixels(sem, counts):
    with pytest.warns(SigmaScaleWarning, match="left out"):
        sem.rebin_signal((3, 2))
    page = DatasetPage(sem)
    title = "Elemental maps (binned)"
    open_tab(page, title)
    draw(page, title, {"type": "rect", "x0": 0.6, "x1": 2.4, "y0": 0.9, "y1": 2.2}, which=1)
    np.testing.assert_array_equal(page.selected["counts"], counts[2:6, 3:9].sum(axis=(0, 1)))
    shared = {one.figure.x_range.id for one in page.maps[title]}
    assert len(shared) == 1


def test_an_empty_selection_is_said_and_leaves_the_page_alone(sem):
    page = DatasetPage(sem)
    draw(page, "Navigation signal", {"type": "rect", "x0": 0.1, "x1": 0.2, "y0": 1.1, "y1": 1.2})
    assert "No pixel's centre" in page.remark.text
    assert page.selected is None
    draw(page, "Navigation signal", {"type": "point", "x": 99.0, "y": 0.0})
    draw(page, "Navigation signal", {"type": "point", "x": 1.0, "y": 0.0})
    assert page.selected is not None


def test_applied_features_are_shown(sem):
    page = DatasetPage(sem)
    open_tab(page, "Elemental maps (raw)")
    open_tab(page, "Sum spectrum")
    assert page.sum_figure.labels.data["text"] == [" O Kα", " Si Kα"]
    page.choice.add("Al_Ka")
    page.choice.give()
    assert len(page.maps["Elemental maps (raw)"]) == 3
    assert page.sum_figure.labels.data["text"] == [" O Kα", " Al Kα", " Si Kα"]


def test_a_dataset_of_images_shows_means_of_its_features(images):
    page = DatasetPage(images)
    assert page.search is None
    assert set(page.choice.table.buttons) >= {"Fe", "Al"}
    assert page.choice.table.buttons["Al"].disabled
    draw(page, "Elemental maps (raw)", {"type": "rect", "x0": 0.6, "x1": 4.4, "y0": 1.8, "y1": 3.2})
    part = images.maps.maps.to_numpy()[2:4, 1:5].reshape(-1, 2)
    np.testing.assert_allclose(page.selected["mean"], part.mean(axis=0))


def test_the_view_has_tables_and_a_live_page(sem, counts, tmp_path):
    view = gui.view_dataset(sem)
    tables = view.tables
    np.testing.assert_array_equal(tables["Sum spectrum"]["counts"], counts.sum((0, 1)))
    maps = tables["Elemental maps (raw)"]
    assert list(maps.columns) == LINES
    assert maps.index[-1] == (ROWS - 1, COLUMNS - 1)
    assert len(view.save_data(tmp_path / "a.csv")) == len(tables)
    assert view.__panel__() is not None


def test_a_spectrum_is_shown_on_both_scales():
    energy = np.arange(200) * 0.02
    values = np.where(np.abs(energy - 1.74) < 0.05, 100.0, 0.0)
    shown = SpectrumFigure(energy, {"a": values, "b": values / 2}, lines=["Si_Ka"], size=(300, 200))
    first = shown.figure
    assert first.legend[0].click_policy == "hide"
    shown.set_log(True)
    assert shown.figure is not first
    assert type(shown.figure.y_scale).__name__ == "LogScale"
    assert shown.figure.y_range.start > 0
    shown.set_lines(["O_Ka"])
    assert shown.is_log
    assert shown.labels.data["text"] == [" O Kα"]


@pytest.mark.parametrize(("top", "kind"), [(2.5, "Basic"), (2e5, "Numeral")])
def test_large_counts_are_written_in_full(top, kind):
    energy = np.arange(200) * 0.02
    shown = SpectrumFigure(energy, {"a": np.where(energy < 2, top, 0.0)})
    assert type(shown.figure.yaxis[0].formatter).__name__ == f"{kind}TickFormatter"
    shown.set_log(True)
    assert type(shown.figure.yaxis[0].formatter).__name__ == "LogTickFormatter"


def test_names_of_lines_stay_apart_and_follow_the_zoom():
    energy = np.arange(1000) * 0.01
    lines = [line.name for line in xray.lines_near(1.5, tolerance_kev=0.4)][:40]
    shown = SpectrumFigure(energy, {"a": np.ones(1000)}, lines=lines, size=(280, 200))
    assert len(shown.labels.data["text"]) == 280 // 14
    gaps = np.diff(shown.labels.data["x"]) / (shown.figure.x_range.end - shown.figure.x_range.start)
    assert gaps.min() * 280 >= 14 - 1e-6
    from sigma_scale.gui.spectrum_figure import _View

    low, high = 1.45, 1.5
    shown._place(_View((low, high), (0.0, 2.0)))
    inside = [name for name in lines if low <= xray.line_energy(name) <= high]
    assert len(shown.labels.data["text"]) == min(len(inside), 20)


def test_frames_are_blended():
    grey = np.array([[0xFF404040, 0]], dtype=np.uint32)
    other = np.array([[0xFF101010, 0xFF202020]], dtype=np.uint32)
    whole = blend([grey, None, other], (1, 2))
    assert whole.tolist() == [[0xFF100040, 0xFF200000]]
