"""Gaps between the tiles of a mosaic: neither noise nor pixels to edit, and not drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import panel as pn
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from sigma_scale import gui
from sigma_scale.errors import EmptyMapError
from sigma_scale.gui.cluster_table import cluster_frame
from sigma_scale.gui.dataset_maps import comparable_maps, maps_of, placed_image
from sigma_scale.gui.dataset_page import DatasetPage
from sigma_scale.gui.distribution_map import ClusterMapPage
from sigma_scale.gui.edit_controls import EditControls
from sigma_scale.gui.edit_session import EditSession
from sigma_scale.gui.feature_views import stages_of
from sigma_scale.gui.latent_figure import LatentFigure
from sigma_scale.gui.map_region import region_of
from sigma_scale.gui.phase_map_figure import PhaseMapFigure
from sigma_scale.gui.scheduling import Scheduler
from sigma_scale.plot.viewport import Viewport
from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.workflow.datasets import SEMDataset
from sigma_scale.workflow.segmenter import PixelSegmenter

ROWS, COLUMNS = 20, 30
GAP = np.zeros((ROWS, COLUMNS), bool)
GAP[:8, :10] = True
NOISE = np.zeros((ROWS, COLUMNS), bool)
NOISE[-1, -3:] = True
TRUTH = np.broadcast_to(np.repeat([0, 1], 15), (ROWS, COLUMNS))
LINES = ["O_Ka", "Si_Ka"]
EVERYWHERE = [(-99, -99), (99, -99), (99, 99), (-99, 99)]


def make_dataset():
    """A map of one tile that lacks a corner, whose counts are zero there."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (ROWS, COLUMNS, 60)).astype(np.uint16)
    counts[GAP] = 0
    grey = np.where(GAP, 0, 100 + 50 * TRUTH).astype(np.uint16)
    images = {
        "navigation": xr.DataArray(grey, dims=("y", "x")),
        "tile": xr.DataArray(np.where(GAP, -1, 0).astype(np.int32), dims=("y", "x")),
        "dose": xr.DataArray(np.where(GAP, 1, 2).astype(np.float32), dims=("y", "x")),
    }
    image = SpectrumImage(
        ArraySource(counts), EnergyAxis(60, 0.05), pixel_size=(2.0, 2.0), pixel_unit="µm",
        metadata=MapMetadata(instrument="SEM", beam_energy_kev=15.0),
    )  # fmt: skip
    dataset = SEMDataset(replace(image, images=images))
    dataset.set_feature_list(LINES)
    dataset.normalisation(["zscore"])
    return dataset


def make_segmenter(*, noise=True, nan=True):
    """Two clusters, the labels and maybe the latent space filled in the gap as well."""
    dataset = make_dataset()
    latent = np.random.default_rng(1).normal(0, 0.5, (ROWS, COLUMNS, 2)) + 10 * TRUTH[..., None]
    latent[GAP] = np.nan if nan else 50.0
    labels = np.where(NOISE & noise, -1, TRUTH)
    return PixelSegmenter.from_labels(latent, dataset, labels)


@pytest.fixture
def ps():
    return make_segmenter()


@pytest.fixture
def session(ps):
    return EditSession(ps)


def fail(error):
    raise error


def seen(render):
    """Which pixels of the map are drawn, one pixel of the screen for each."""
    frame = render(Viewport((-0.5, COLUMNS - 0.5), (-0.5, ROWS - 0.5), COLUMNS, ROWS))
    return frame.view(np.uint8).reshape(ROWS, COLUMNS, 4)[..., 3] > 0


@pytest.mark.parametrize("nan", [True, False])
def test_gaps_belong_to_no_cluster_and_have_no_place_in_the_latent_space(nan):
    ps = make_segmenter(nan=nan)
    assert_array_equal(ps.label_map, np.where(GAP | NOISE, -1, TRUTH))
    assert_array_equal(np.isnan(ps.latent).all(axis=1), GAP.ravel())
    assert "3 of them noise" in repr(ps)
    assert (ps.probability[GAP.ravel()] == 0).all()
    found = PixelSegmenter(ps.latent, ps.dataset, "GaussianMixture", {"n_components": 2})
    assert_array_equal(found.label_map < 0, GAP)
    assert "0 of them noise" in repr(found)


def test_a_latent_space_of_gaps_alone_is_refused(ps):
    latent = np.where(GAP[..., None], 0.0, np.full((ROWS, COLUMNS, 2), np.nan))
    with pytest.raises(EmptyMapError, match="measured"):
        PixelSegmenter.from_labels(latent, ps.dataset, TRUTH)


def test_shares_are_of_the_measured_area(ps):
    measured = (~GAP).sum()
    frame = cluster_frame(ps.state)
    assert frame["no."].tolist() == [0, 1, -1]
    assert frame["pixels"].tolist() == [(TRUTH == 0)[~GAP].sum(), (TRUTH == 1).sum() - 3, 3]
    assert frame["pixels"].sum() == measured
    assert frame["%"].sum() == pytest.approx(100, abs=0.02)
    table = gui.show_cluster_proportions(ps).tables["Proportions"]
    assert table["pixels"].tolist() == frame["pixels"].tolist()
    assert table["share"].sum() == pytest.approx(1)


def test_without_noise_there_is_no_noise_in_tables_and_colours():
    ps = make_segmenter(noise=False)
    assert set(ps.cluster_colors) == {0, 1}
    assert cluster_frame(ps.state)["no."].tolist() == [0, 1]
    assert set(ps.proportions().index) == {0, 1}


@pytest.mark.parametrize("opacity", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("noise", [True, False])
def test_the_map_of_phases_is_transparent_in_gaps(opacity, noise):
    session = EditSession(make_segmenter(noise=noise))
    shown = PhaseMapFigure(
        session, scheduler=Scheduler(), size=(60, 40), failed=fail, opacity=opacity
    )
    assert_array_equal(seen(shown._render), ~GAP)
    session.pick_clusters([-1])
    assert_array_equal(seen(shown._render), ~GAP)


def test_picked_noise_has_no_gaps(session):
    session.pick_clusters([-1])
    assert_array_equal(session.marked(session.ps.state), NOISE.ravel())


@pytest.mark.parametrize("noise", [True, False])
def test_the_latent_space_leaves_gaps_out(noise):
    session = EditSession(make_segmenter(noise=noise, nan=False))
    for share in (1.0, 0.5):
        figure = LatentFigure(
            session, scheduler=Scheduler(), size=(50, 50), failed=fail, share=share
        )
        low, high = figure._points.x_range
        assert -5 < low < high < 20
        assert figure._render(figure.picture.viewport).any()


def test_what_is_drawn_in_a_gap_picks_nothing(session):
    inside = region_of({"type": "rect", "x0": 1, "x1": 6, "y0": 1, "y1": 6}, (ROWS, COLUMNS))
    with pytest.raises(EmptyMapError, match="gap"):
        session.pick_pixels(inside.mask())
    with pytest.raises(EmptyMapError, match="gap"):
        session.pick_cluster_of(2, 3)
    assert session.pixels is None
    assert session.clusters == ()
    session.pick_cluster_of(2, 20)
    assert session.clusters == (1,)


def test_what_is_drawn_across_a_gap_picks_what_was_measured(session):
    across = region_of({"type": "rect", "x0": 5, "x1": 12, "y0": 5, "y1": 12}, (ROWS, COLUMNS))
    expected = across.mask() & ~GAP
    session.pick_pixels(across.mask())
    assert session.n_pixels == expected.sum() < across.mask().sum()
    bar = EditControls(session, lambda action: action(), 5)
    bar.show(session.ps.state)
    assert f"{expected.sum() / (~GAP).sum():.2%}" in bar._picked.object
    session.create()
    assert_array_equal(session.ps.label_map == 2, expected)
    assert_array_equal(session.ps.label_map.to_numpy()[GAP], -1)


def test_edits_never_fill_gaps(ps, tmp_path):
    with pytest.raises(EmptyMapError, match="gap"):
        ps.create_cluster(GAP)
    with pytest.raises(EmptyMapError, match="gap"):
        ps.relabel_pixels(GAP, -1)
    assert ps.edit_log == []
    ps.create_cluster(np.ones((ROWS, COLUMNS), bool))
    assert_array_equal(ps.label_map < 0, GAP)
    ps.undo()
    ps.relabel_polygon(EVERYWHERE, 1)
    assert_array_equal(ps.label_map < 0, GAP)
    ps.merge_clusters([0, 1])
    ps.drop_empty_clusters()
    assert_array_equal(ps.label_map < 0, GAP)
    assert set(ps.cluster_colors) == {0}
    ps.save_state(tmp_path / "state.zarr.zip")
    again = PixelSegmenter.from_saved_state(tmp_path / "state.zarr.zip", ps.dataset)
    assert_array_equal(again.labels, ps.labels)
    again.relabel_pixels(np.ones(ROWS * COLUMNS, bool), 0)
    assert_array_equal(again.label_map < 0, GAP)
    other = make_segmenter()
    other.replay_edits(ps.edit_log)
    assert_array_equal(other.labels, ps.labels)


def test_the_map_of_chosen_clusters_is_transparent_in_gaps(ps):
    page = ClusterMapPage(ps, [0], None, spectra=False)
    assert_array_equal(seen(page._render), ~GAP)
    assert page.remark.text == f"{(TRUTH == 0)[~GAP].sum()} of {(~GAP).sum()} pixels are shown."


def test_maps_are_nan_in_gaps_and_corrected_before_steps():
    dataset = make_dataset()
    for maps in (maps_of(dataset, "raw"), maps_of(dataset, "binned"), maps_of(dataset, None)):
        assert_array_equal(np.isnan(maps).any("line"), GAP)
    assert_array_equal(np.isnan(placed_image(dataset)), GAP)
    maps = comparable_maps(dataset)
    counts = dataset.feature_maps.to_numpy()
    assert_array_equal(maps.to_numpy()[~GAP], counts[~GAP] / np.float32(2))
    last = list(stages_of(maps, ["zscore"], "Si_Ka").values())[-1]
    assert_array_equal(last, dataset.normalised_maps.sel(line="Si_Ka"))


def test_spectra_of_a_region_are_means_of_what_was_measured():
    dataset = make_dataset()
    page = DatasetPage(dataset, search_energy=False)
    across = region_of({"type": "rect", "x0": 5, "x1": 12, "y0": 5, "y1": 12}, (ROWS, COLUMNS))
    page._on_region(across)
    n_pixels = (across.mask() & ~GAP).sum()
    assert f"{n_pixels} pixels" in page.remark.text
    counts = page.selected["counts"].sum()
    assert page.selected["counts_per_pixel"].sum() == pytest.approx(counts / n_pixels)
    inside = region_of({"type": "point", "x": 2, "y": 2}, (ROWS, COLUMNS))
    page._on_region(inside)
    assert "gap" in page.remark.text
    assert page.selected is None


def test_static_pictures_leave_gaps_empty(ps):
    maps = gui.view_phase_map(ps)
    for name in maps.makers:
        (shown, *_) = maps.makers[name]().figure.axes[0].images
        assert_array_equal(np.asarray(shown.get_array())[..., 3] == 0, GAP)
    below = maps.makers["Phases over the navigation image"]().figure.axes[0].images[1]
    assert (np.asarray(below.get_array())[GAP] == 1).all()
    views = gui.show_cluster_distribution(ps).makers
    for ax in views["Where the clusters are"]().figure.axes:
        assert_array_equal(np.asarray(ax.images[0].get_array())[..., 3] == 0, GAP)
    picture = gui.view_rgb(ps.dataset).makers["Red, green, blue"]().figure.axes[0].images[0]
    assert_array_equal(np.asarray(picture.get_array())[..., 3] == 0, GAP)


def test_every_view_is_made(ps):
    for view in (
        gui.view_phase_map(ps), gui.interactive_latent_plot(ps), gui.check_latent_space(ps),
        gui.view_latent_space(ps), gui.plot_latent_density(ps), gui.show_cluster_distribution(ps),
        gui.show_cluster_proportions(ps), gui.view_dataset(ps.dataset),
        gui.view_pixel_distributions(ps.dataset), gui.view_rgb(ps.dataset),
    ):  # fmt: skip
        assert all(figure.axes for figure in view.figures.values())
        pn.panel(view)
