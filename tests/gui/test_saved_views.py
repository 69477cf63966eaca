"""What views save, and how they write numbers, points and ellipses."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import panel as pn
import pytest
from small_clusters import CENTRES, COLUMNS, ROWS, make_segmenter

from sigma_scale import gui
from sigma_scale.errors import ParameterError
from sigma_scale.gui.cluster_spectra import ClusterSpectra
from sigma_scale.gui.cluster_table import ClusterTable
from sigma_scale.gui.dressing import plain, small_table
from sigma_scale.gui.latent_figure import around_ellipses, grown
from sigma_scale.gui.spectrum_figure import SpectrumFigure
from sigma_scale.workflow.segmenter import PixelSegmenter


@pytest.fixture
def ps():
    return make_segmenter()


def test_one_picture_gets_the_name_that_was_asked_for(ps, tmp_path):
    view = gui.interactive_latent_plot(ps)
    assert list(view.figures) == ["Latent space", "Colours"]
    for ending in ("png", "svg"):
        target = tmp_path / f"clusters.{ending}"
        assert view.save(target) == [target]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clusters.png", "clusters.svg"]
    names = {kind: name for kind, (name, _) in view.downloads().items()}
    assert names == {kind.upper(): f"latent_space.{kind}" for kind in ("png", "svg", "csv")}


def test_several_pictures_get_their_titles(ps, tmp_path):
    written = gui.view_dataset(ps.dataset, search_energy=False).save(tmp_path / "map.png")
    assert len(written) > 1
    assert all(path.name.startswith("map_") for path in written)


def test_the_numbers_of_a_latent_space_say_where_pixels_are(ps, tmp_path):
    (path,) = gui.interactive_latent_plot(ps).save_data(tmp_path / "latent.csv")
    table = pd.read_csv(path)
    assert list(table.columns[:3]) == ["pixel", "row", "column"]
    row, column, cluster = (table[name].to_numpy() for name in ("row", "column", "cluster"))
    assert len(table) == ROWS * COLUMNS
    np.testing.assert_array_equal(cluster, ps.label_map.to_numpy()[row, column])
    points = np.zeros((4, 5, 2))
    points[3, 1] = 7.0
    table = gui.show_projection(points).tables["Latent space"]
    assert table.loc[table["latent_1"] == 7.0, ["row", "column"]].to_numpy().tolist() == [[3, 1]]
    flat = gui.show_projection(points.reshape(-1, 2)).tables["Latent space"]
    assert list(flat.columns) == ["latent_1", "latent_2"]


def test_few_points_are_drawn_larger():
    frame = np.zeros((200, 300), np.uint32)
    frame[0, 0], frame[50, 60], frame[50, 61] = 1, 2, 3
    made = grown(frame)
    assert made.shape == frame.shape
    # Neighbours stay what they are, corners lose what lies outside.
    np.testing.assert_array_equal(made[frame != 0], frame[frame != 0])
    assert np.count_nonzero(made == 1) == 8
    rows, columns = np.nonzero(made > 1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (48, 52, 58, 63)
    np.testing.assert_array_equal(frame[1:3, 1:3], 0)  # the frame given stays


def test_many_points_and_discs_are_left_as_they_are():
    many = (np.indices((60, 60)).sum(axis=0) % 2).astype(np.uint32)
    assert grown(many) is many
    discs = np.zeros((60, 60), np.uint32)
    discs[10:13, 10:13] = 5
    assert grown(discs) is discs


def test_ranges_hold_whole_ellipses():
    # Centre, width, height and degrees: a flat one turned upright, and one inside.
    ellipses = np.array([(0.0, 0.0, 10.0, 2.0, 90.0), (1.0, 1.0, 0.5, 0.5, 0.0)])
    x, y = around_ellipses(ellipses, (-2.0, 2.0), (-2.0, 2.0))
    assert x == (-2.0, 2.0)
    assert -5.5 < y[0] < -5.0
    assert 5.0 < y[1] < 5.5


def test_the_frame_holds_the_gaussians_of_a_mixture(ps):
    rng = np.random.default_rng(0)
    latent = CENTRES[rng.integers(0, 3, ROWS * COLUMNS)] + rng.normal(0, 0.5, (ROWS * COLUMNS, 2))
    mixture = PixelSegmenter(
        latent=latent, dataset=ps.dataset, method="GaussianMixture",
        method_args={"n_components": 1, "random_state": 0},
    )  # fmt: skip
    (axes,) = gui.view_latent_space(mixture).figure.axes
    spread = 2 * latent.std(axis=0).max()
    assert axes.get_ylim()[0] < latent[:, 1].mean() - spread


@pytest.mark.parametrize(
    ("value", "scale", "said"),
    [
        (14712.3, 0.0, "14,712"), (0.0213, 0.0, "0.0213"), (1.5, 0.0, "1.5"), (100.0, 0.0, "100"),
        (-2.03e-10, 1.0, "0"), (-0.25, 1.0, "-0.25"), (1e-14, 0.0, "0"), (float("nan"), 0.0, "–"),
        (2.03e-10, 1e-10, "0"), (1e-5, 2e-5, "0.00001"),
    ],
)  # fmt: skip
def test_numbers_are_plain(value, scale, said):
    assert plain(value, scale=scale) == said


def test_tables_have_plain_numbers_and_units():
    table = pd.DataFrame(
        {"area (um^2)": [14712.3, np.nan], "mean": [1.0, -2.03e-10], "name": ["a", "b"],
         "length (px)": [None, 2.5], "number": [12, 3]},
        index=["first", "second"],
    )  # fmt: skip
    html = small_table(table).object
    heads, cells = (re.findall(rf"<{kind}>(.*?)</{kind}>", html) for kind in ("th", "td"))
    assert heads[1:6] == ["area (µm²)", "mean", "name", "length (pixels)", "number"]
    assert cells == ["14,712", "1", "a", "", "12", "", "0", "b", "2.5", "3"]


def test_many_spectra_are_hidden_until_they_are_clicked():
    ps = make_segmenter()
    labels = np.repeat(np.arange(12), 100)
    many = PixelSegmenter.from_labels(ps.latent, ps.dataset, labels)
    many.relabel_pixels(np.flatnonzero(labels == 0)[:50].tolist(), 11)
    column = ClusterSpectra(many, range(12), normalised=True, seen=(0.0, 3.0)).live()
    assert "the 8 largest" in column.objects[0].object
    (pane,) = column.select(pn.pane.Bokeh)
    assert seen(pane.object) == [f"Cluster {k}" for k in (1, 2, 3, 4, 5, 6, 7, 11)]
    few = ClusterSpectra(many, range(3), normalised=True, seen=(0.0, 3.0)).live(caption="Of 12.")
    assert few.objects[0].object == "Of 12."


def test_what_the_legend_shows_is_kept_on_another_scale():
    energy, values = np.linspace(0, 3, 30), np.ones(30)
    shown = SpectrumFigure(energy, dict.fromkeys("abcd", values), hidden=["c", "d"])
    lines = {line.name: line for line in shown.figure.renderers if line.name}
    lines["c"].visible, lines["a"].visible = True, False
    shown.set_log(True)
    assert seen(shown.figure) == ["b", "c"]


def seen(figure):
    return [line.name for line in figure.renderers if line.name and line.visible]


def test_a_table_shows_elements_until_the_pixels_change(ps):
    table = ClusterTable(
        ps.state, picked=lambda _clusters: None, renamed=None, elements={0: "O Si", 2: "Fe O"}
    )
    assert table.widget.value["elements"].tolist() == ["O Si", "", "Fe O"]
    ps.relabel_pixels([0], 1)  # one pixel of the first cluster
    table.show(ps.state, [])
    assert table.widget.value["elements"].tolist() == ["", "", "Fe O"]
    plain_table = ClusterTable(ps.state, picked=lambda _clusters: None, renamed=None)
    assert "elements" not in plain_table.widget.value
    # Room for all columns, the boxes and a scrollbar.
    assert table.widget.width > sum(table.widget.widths.values()) + 40 + 15


def test_maps_of_a_dataset_have_its_scale(ps):
    view = gui.view_intensity_maps(ps.dataset)
    assert view.tables["Intensity maps"].columns.tolist() == ["O_Ka", "Si_Ka"]
    drawn = {text.get_text() for text in view.figure.findobj() if hasattr(text, "get_text")}
    assert any("µm" in text for text in drawn)
    only = gui.view_intensity_maps(ps.dataset, ["Si_Ka"])
    assert only.tables["Intensity maps"].columns.tolist() == ["Si_Ka"]
    with pytest.raises(ParameterError, match="no map of 'Mg_Ka'"):
        gui.view_intensity_maps(ps.dataset, ["Mg_Ka"])
    with pytest.raises(ParameterError, match="element_list"):
        gui.view_intensity_maps(ps.dataset.normalised_elemental_data)
