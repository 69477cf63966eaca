"""Live views of clusters and end-members, and the tables that all views have."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pandas as pd
import panel as pn
import param
import pytest

from sigma_scale import gui
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.gui.distribution_map import ClusterMapPage
from sigma_scale.gui.distribution_page import DistributionPage
from sigma_scale.gui.feature_views import stages_of
from sigma_scale.gui.map_page import MapPage
from sigma_scale.gui.rgb_page import RgbPage
from sigma_scale.plot.viewport import Viewport
from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.workflow.datasets import SEMDataset
from sigma_scale.workflow.segmenter import PixelSegmenter

LINES = ["O_Ka", "Si_Ka", "Fe_Ka"]
ROWS, COLUMNS = 12, 16


@pytest.fixture
def sem():
    """Two halves: oxygen and silicon on the left, oxygen and iron on the right."""
    expected = np.full((ROWS, COLUMNS, 400), 0.02)
    channel = np.arange(400) * 0.02
    for energy, part in ((0.525, slice(None)), (1.74, slice(0, 8)), (6.4, slice(8, COLUMNS))):
        expected[:, part] += 6 * np.exp(-0.5 * ((channel - energy) / 0.04) ** 2)
    counts = np.random.default_rng(0).poisson(expected).astype(np.uint16)
    dataset = SEMDataset(
        SpectrumImage(
            ArraySource(counts), EnergyAxis(400, 0.02), pixel_size=(2.0, 2.0), pixel_unit="µm",
            metadata=MapMetadata(instrument="SEM", beam_energy_kev=15.0),
        )
    )  # fmt: skip
    dataset.set_feature_list(LINES)
    dataset.normalisation(["zscore"])
    return dataset


@pytest.fixture
def ps(sem):
    latent = np.random.default_rng(0).normal(0.0, 0.5, (ROWS, COLUMNS, 2))
    latent[:, 8:, 0] += 10.0
    return PixelSegmenter(
        latent=latent, dataset=sem, method="GaussianMixture",
        method_args={"n_components": 2, "random_state": 0},
    )  # fmt: skip


def test_every_view_has_numbers_and_a_live_page(sem, ps, tmp_path):
    weights, components = ps.get_unmixed_spectra_profile(n_components=2)
    views = {
        "rgb": gui.view_rgb(sem),
        "maps": gui.view_intensity_maps(sem.normalised_maps, LINES),
        "steps": gui.view_pixel_distributions(sem, ["zscore"]),
        "bic": gui.view_bic(ps.latent, 2, "GaussianMixture"),
        "proportions": gui.show_cluster_proportions(ps),
        "where": gui.show_cluster_distribution(ps),
        "spectra": gui.view_clusters_sum_spectra(ps),
        "weights": gui.show_unmixed_weights(weights),
        "both": gui.show_unmixed_weights_and_components(ps, weights, components),
        "abundance": gui.show_abundance_map(ps, weights, components),
        "stats": gui.show_cluster_stats(ps, 1),
        "ternary": gui.plot_ternary_composition(ps, LINES),
    }
    for name, view in views.items():
        assert view.__panel__() is not None
        for path in view.save_data(tmp_path / f"{name}.csv"):
            assert len(pd.read_csv(path)) > 0


def test_three_maps_are_chosen_from_lists(sem):
    maps = sem.feature_maps
    page = RgbPage(lambda: maps, ["Si_Ka", "Fe_Ka"], LINES, limits=(0.0, float(maps.max())))
    assert [selector.value for selector in page.selectors] == ["Si_Ka", "Fe_Ka", "(none)"]
    viewport = Viewport((-0.5, COLUMNS - 0.5), (ROWS - 0.5, -0.5), COLUMNS, ROWS)
    red, green, blue = (page.render(viewport) >> shift & 0xFF for shift in (0, 8, 16))
    assert red[:, :8].mean() > 3 * red[:, 8:].mean()
    assert green[:, 8:].mean() > 3 * green[:, :8].mean()
    assert not blue.any()
    page.selectors[2].value = "Si_Ka"
    assert page.map.picture.n_frames == 2
    np.testing.assert_array_equal(page.render(viewport) >> 16 & 0xFF, red)


def test_maps_are_chosen_and_share_their_ranges(sem):
    maps = sem.feature_maps
    page = MapPage(lambda: maps, LINES)
    assert len(page.maps) == 3
    assert len({one.figure.y_range.id for one in page.maps}) == 1
    page.selector.value = ["Fe_Ka"]
    assert [one.figure.title.text for one in page.maps] == ["Fe Kα"]
    page.selector.value = []
    assert page.remark.text == "Choose a map."


def test_steps_of_another_feature(sem):
    maps = sem.feature_maps
    page = DistributionPage(
        lambda name: stages_of(maps, ["zscore"], name), "O_Ka", LINES, "viridis"
    )
    assert list(page.maps) == ["before", "+ zscore"]
    table = gui.view_pixel_distributions(sem, ["zscore"], peak="Fe_Ka").tables["Fe_Ka"]
    plain = maps.sel(line="Fe_Ka").to_numpy().ravel()
    np.testing.assert_array_equal(table["before"], plain)
    np.testing.assert_allclose(table["+ zscore"], (plain - plain.mean()) / plain.std(), atol=1e-5)
    page.selector.value = "Fe_Ka"
    assert page.remark.text == ""


def test_clusters_on_the_map_are_chosen_and_sure(ps):
    left = int(ps.labels[0])
    page = ClusterMapPage(ps, [0, 1], None, spectra=True)
    np.testing.assert_array_equal(page.shown.ravel(), ps.labels)
    page.selector.value = [left]
    np.testing.assert_array_equal(page.shown.ravel(), np.where(ps.labels == left, left, -1))
    with param.edit_constant(page.slider):  # as when the slider is let go of
        page.slider.param.update(value=0.99, value_throttled=0.99)
    sure = (ps.labels == left) & (ps.probability > 0.99)
    assert page.remark.text == f"{sure.sum()} of {ROWS * COLUMNS} pixels are shown."


def test_regions_of_a_cluster(ps):
    first = int(ps.labels[0])
    ps.relabel_pixels([5 * COLUMNS + 12, 5 * COLUMNS + 13], first)  # an island of two pixels
    view = gui.show_cluster_stats(ps, first)
    regions = view.tables["Regions"]
    assert sorted(regions["area (um^2)"]) == [8.0, ROWS * 8 * 4.0]
    assert view.tables["Sizes of the regions"]["number"].sum() == 2
    assert "2 regions, 392 µm² in all" in view.panels["Sizes of the regions"].caption
    with pytest.raises(ParameterError, match="no cluster"):
        gui.show_cluster_stats(ps, 7)


def test_compositions_in_a_triangle(ps):
    view = gui.plot_ternary_composition(ps, LINES)
    table = view.tables["Ternary composition"]
    left = int(ps.labels[0])
    assert table.loc[left, "Si_Ka"] > 20 * abs(table.loc[left, "Fe_Ka"])
    assert table.loc[1 - left, "Fe_Ka"] > 20 * abs(table.loc[1 - left, "Si_Ka"])
    percent = gui.plot_ternary_composition(ps, LINES, dict.fromkeys(LINES, 1.0))
    shares = percent.tables["Ternary composition"].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 100.0)
    own = pd.DataFrame({"Al": [1.0], "Si": [2.0], "Fe": [1.0]}, index=["garnet"])
    assert gui.plot_ternary_composition(own, ["Al", "Si", "Fe"]).figure.axes
    with pytest.raises(ParameterError, match="Three different"):
        gui.plot_ternary_composition(own, ["Al", "Si"])
    with pytest.raises(ParameterError, match="no Mg"):
        gui.plot_ternary_composition(own, ["Al", "Si", "Mg"])
    with pytest.raises(EmptyMapError, match="no point"):
        gui.plot_ternary_composition(0 * own, ["Al", "Si", "Fe"])


def test_the_table_of_shares_is_in_words(ps):
    ps.rename_cluster(1, "quartz")
    html = next(
        pane.object
        for pane in pn.panel(gui.show_cluster_proportions(ps)).select(pn.pane.HTML)
        if "<table" in str(pane.object)
    )
    _, *heads = re.findall(r"<th>(.*?)</th>", html.partition("<tbody>")[0])
    body = unescape(html).replace("\N{NO-BREAK SPACE}", " ").split("<tr>")[1:]
    rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in body]
    counts = np.bincount(ps.labels)
    order = np.argsort(-counts, kind="stable")
    assert [row[0] for row in rows] == [("Cluster 0", "1  quartz")[k] for k in order]
    shares = [float(row[1 + heads.index("Share (%)")]) for row in rows]
    np.testing.assert_allclose(shares, 100 * counts[order] / counts.sum(), rtol=1e-3)
    assert not any("_" in head for head in heads)


def test_numbers_of_clusters(ps):
    table = gui.show_cluster_proportions(ps).tables["Proportions"]
    counts = np.bincount(ps.labels)
    np.testing.assert_array_equal(table["pixels"], counts)
    np.testing.assert_allclose(table["area_um2"], 4.0 * counts)
    shown = gui.show_cluster_distribution(ps, clusters=[1]).tables["Where the clusters are"]
    np.testing.assert_array_equal(shown.to_numpy().ravel(), np.where(ps.labels == 1, 1, -1))
