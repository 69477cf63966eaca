"""Views of datasets, latent spaces, clusters and end-members: what they show and refuse."""

from __future__ import annotations

import base64
import errno
import os
import re
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from sigma_scale import gui
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError, StoreError
from sigma_scale.plot import FigurePanel, phase_colours
from sigma_scale.plot.figures import new_figure
from sigma_scale.spectra import ArraySource, ElementMaps, EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.workflow import norm
from sigma_scale.workflow.datasets import SEMDataset
from sigma_scale.workflow.image_dataset import ImageDataset
from sigma_scale.workflow.segmenter import PixelSegmenter

LINES = ["O_Ka", "Si_Ka", "Fe_Ka"]
ROWS, COLUMNS = 12, 16


@pytest.fixture(scope="module")
def image():
    """Two halves: oxygen and silicon on the left, oxygen and iron on the right."""
    axis = EnergyAxis(400, 0.02)
    peaks = {"left": (0.525, 1.74), "right": (0.525, 6.4)}
    expected = np.zeros((ROWS, COLUMNS, 400))
    for half, part in (("left", slice(0, 8)), ("right", slice(8, COLUMNS))):
        for energy in peaks[half]:
            shape = np.exp(-0.5 * ((np.arange(400) * 0.02 - energy) / 0.04) ** 2)
            expected[:, part] += 6 * shape
    counts = np.random.default_rng(0).poisson(expected + 0.02).astype(np.uint16)
    grey = xr.DataArray(np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS), dims=("y", "x"))
    return SpectrumImage(
        ArraySource(counts), axis, pixel_size=(2.0, 2.0), pixel_unit="µm",
        metadata=MapMetadata(instrument="SEM", beam_energy_kev=15.0),
        images={"navigation": grey},
    )  # fmt: skip


@pytest.fixture
def sem(image):
    dataset = SEMDataset(image)
    dataset.set_feature_list(LINES)
    return dataset


@pytest.fixture
def normalised(sem):
    sem.peak_intensity_normalisation()
    sem.normalisation([norm.zscore])
    return sem


@pytest.fixture
def images():
    maps = np.random.default_rng(1).poisson(9.0, (ROWS, COLUMNS, 2)).astype(np.uint8)
    labelled = xr.DataArray(maps, dims=("y", "x", "line"), coords={"line": ["Fe", "Si"]})
    return ImageDataset(ElementMaps(labelled))


@pytest.fixture
def ps(normalised):
    """Two clusters: the left half around (0, 0), the right half around (10, 0)."""
    latent = np.random.default_rng(0).normal(0.0, 0.5, (ROWS, COLUMNS, 2))
    latent[:, 8:, 0] += 10.0
    return PixelSegmenter(
        latent=latent, dataset=normalised, method="GaussianMixture",
        method_args={"n_components": 2, "random_state": 0},
    )  # fmt: skip


def texts(figure):
    from matplotlib.text import Text

    return {text.get_text() for text in figure.findobj(Text)} - {""}


def test_a_view_is_shown_with_its_captions_and_saved(tmp_path):
    view = gui.View(
        {"One & two": FigurePanel(new_figure(2, 1), "it's < 3"), "B": FigurePanel(new_figure(1, 1))}
    )
    html = view._repr_html_()
    pictures = [base64.b64decode(p) for p in re.findall(r"base64,([^\"]+)\"", html)]
    assert [struct.unpack(">II", p[16:24]) for p in pictures] == [(300, 150), (150, 150)]
    assert "<b>One &amp; two</b>" in html
    assert "<figcaption>it&#x27;s &lt; 3</figcaption>" in html
    assert 'alt="B" width="96"' in html
    assert repr(view) == "<View: One & two, B>"
    assert list(view.figures) == ["One & two", "B"]
    with pytest.raises(ParameterError, match="'One & two', 'B'"):
        _ = view.figure
    paths = view.save(tmp_path / "a.png")
    assert [path.name for path in paths] == ["a_one_two.png", "a_b.png"]
    assert Image.open(BytesIO(paths[0].read_bytes())).size == (300, 150)


def test_a_view_of_one_figure(tmp_path):
    figure = new_figure(1, 1)
    view = gui.View({"Only": FigurePanel(figure)})
    assert view.figure is figure
    assert "<details" not in view._repr_html_()
    assert view.save(tmp_path / "a.svg") == [tmp_path / "a.svg"]
    with pytest.raises(EmptyMapError):
        gui.View({})
    with pytest.raises(ParameterError, match="png"):
        view.save(tmp_path / "a.doc")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("name", ["a.png", "a.csv"])
def test_a_view_that_cannot_be_saved_says_why_and_leaves_the_earlier_file(
    tmp_path, monkeypatch, number, name
):
    view = gui.View(
        {"Only": FigurePanel(new_figure(1, 1))},
        tables={"Only": lambda: pd.DataFrame({"counts": [1]})},
    )
    save = view.save if name.endswith(".png") else view.save_data
    (tmp_path / name).write_text("earlier")
    reason = os.strerror(number)

    def refuse(self, target):
        raise OSError(number, reason, str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)  # of the draft, when all is written
        with pytest.raises(StoreError, match=rf"{name} can't be written: {reason}\. Mend that"):
            save(tmp_path / name)
    assert (tmp_path / name).read_text() == "earlier"
    with pytest.raises(StoreError, match=rf"{name} can't be written: .*another place"):
        save(tmp_path / name / name)
    (tmp_path / f"b{name}").mkdir()
    with pytest.raises(StoreError, match=rf"b{name} can't be written: .*another place"):
        save(tmp_path / f"b{name}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"b{name}"]


def test_energies_are_searched():
    found = gui.search_energy_peak(1.74, width=0.1)
    assert found["line"][0] == "Si_Ka"
    assert found["distance_ev"].abs().max() <= 50
    assert "Fe_Ka" in list(gui.search_energy_peak(6.4)["line"])
    assert gui.search_energy_peak(1.74, width=0.0).empty


def test_a_dataset_is_shown_before_and_after_binning(sem):
    first = gui.view_dataset(sem)
    assert list(first.panels) == ["Navigation image", "Sum spectrum", "Elemental maps (raw)"]
    assert {"Si Kα", "Fe Kα"} <= texts(first.figures["Sum spectrum"])
    assert "5 µm" in texts(first.figures["Navigation image"])
    sem.rebin_signal(size=(2, 2))
    second = gui.view_dataset(sem)
    assert list(second.panels)[3:] == ["Elemental maps (binned)"]
    pictures = [ax.images[0].get_array() for ax in second.figures["Elemental maps (binned)"].axes
                if ax.images]  # fmt: skip
    np.testing.assert_array_equal(pictures[1], sem.feature_maps.sel(line="Si_Ka"))


def test_further_lines_are_suggested_where_asked_for(sem):
    sem.set_feature_list(["O_Ka", "Si_Ka"])
    assert "Fe_Ka" in gui.view_dataset(sem).panels["Sum spectrum"].caption
    quiet = gui.view_dataset(sem, search_energy=False)
    assert quiet.panels["Sum spectrum"].caption == ""


def test_a_dataset_without_features_or_spectra(image, images):
    assert "Elemental maps (raw)" not in gui.view_dataset(SEMDataset(image)).panels
    assert list(gui.view_im_dataset(images).panels) == ["Elemental maps (raw)"]
    images.rebin_signal((2, 2))
    assert list(gui.view_im_dataset(images).panels)[1:] == ["Elemental maps (binned)"]


def test_three_maps_in_one(normalised):
    figure = gui.view_rgb(normalised, ["Si_Ka", "Fe_Ka"], data="raw").figure
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (ROWS, COLUMNS, 3)
    assert picture[:, :8, 0].mean() > 3 * picture[:, 8:, 0].mean()  # silicon is red
    assert picture[:, 8:, 1].mean() > 3 * picture[:, :8, 1].mean()
    assert not picture[..., 2].any()
    assert {"Si Kα", "Fe Kα"} <= texts(figure)
    assert {"O Kα", "Si Kα", "Fe Kα"} <= texts(gui.view_rgb(normalised).figure)


def test_maps_that_there_are_not(sem):
    gui.view_rgb(sem)  # of the maps before normalisation, as there are no others
    with pytest.raises(ParameterError, match="normalisation"):
        gui.view_rgb(sem, data="normalised")
    with pytest.raises(ParameterError, match="'raw', 'binned'"):
        gui.view_rgb(sem, data="cooked")
    with pytest.raises(ParameterError, match="O_Ka, Si_Ka, Fe_Ka"):
        gui.view_rgb(sem, ["Mg_Ka"])


@pytest.mark.parametrize("kind", [np.asarray, lambda m: m, lambda m: m.chunk().data])
def test_intensity_maps_of_any_array(normalised, kind):
    view = gui.view_intensity_maps(kind(normalised.normalised_maps), normalised.feature_list)
    assert {"O Kα", "Si Kα", "Fe Kα"} <= texts(view.figure)


def test_intensity_maps_of_spectra_and_wrong_names(normalised):
    view = gui.view_intensity_maps(normalised.spectra, ["Si_Ka"])
    assert "Si Kα" in texts(view.figure)
    with pytest.raises(ShapeMismatchError, match="2 names"):
        gui.view_intensity_maps(normalised.normalised_elemental_data, ["Si_Ka", "Fe_Ka"])


def test_distributions_follow_the_steps_and_leave_the_dataset_alone(sem):
    view = gui.view_pixel_distributions(
        sem, norm_list=[norm.neighbour_averaging, norm.zscore], cmap="Reds", peak="Fe_Ka"
    )
    figure = view.figure
    assert {"Fe Kα", "before", "+ neighbour averaging", "+ zscore"} <= texts(figure)
    assert any(text.startswith("mean 0, sd 1") for text in texts(figure))
    with pytest.raises(ParameterError, match="normalised"):
        _ = sem.normalised_elemental_data
    assert "O_Ka" in view.panels["Fe_Ka"].caption
    with pytest.raises(ParameterError, match="O_Ka, Si_Ka, Fe_Ka"):
        gui.view_pixel_distributions(sem, peak="Mg_Ka")
    with pytest.raises(ParameterError, match="neighbour_averaging"):
        gui.view_pixel_distributions(sem, norm_list=["squeeze"])


def test_latent_space_with_its_gaussians(ps):
    from matplotlib.patches import Ellipse

    figure = gui.view_latent_space(ps=ps, color=True).figure
    assert {"0", "1", "Cluster 0", "Cluster 1"} <= texts(figure)
    ellipses = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    centres = sorted(patch.get_center()[0] for patch in ellipses)
    np.testing.assert_allclose(centres, [0.0, 10.0], atol=0.2)
    assert all(1.6 < patch.get_width() < 2.5 for patch in ellipses)  # 2 x 2 x 0.5
    grey = gui.view_latent_space(ps, color=False).figure
    assert "Cluster 0" not in texts(grey)


def test_latent_space_of_a_method_without_gaussians(normalised, ps):
    other = PixelSegmenter(
        latent=ps.latent, dataset=normalised, method="Kmeans", method_args={"n_clusters": 2}
    )
    other.rename_cluster(0, "left $")
    figure = gui.view_latent_space(other).figure
    assert not figure.axes[0].patches
    assert "0  left \\$" in texts(figure)


def test_projection_takes_the_first_two_components(ps):
    three = np.column_stack([ps.latent, np.zeros(len(ps.latent))])
    assert "Latent dimension 2" in texts(gui.show_projection(three).figure)
    with pytest.raises(ShapeMismatchError):
        gui.show_projection(ps.latent[:, :1])


def test_density_counts_every_pixel(ps):
    figure = gui.plot_latent_density(ps, bins=20).figure
    counts = figure.axes[0].images[0].get_array()
    assert counts.shape == (20, 20)
    assert counts.sum() == ROWS * COLUMNS
    with pytest.raises(ParameterError, match="bins"):
        gui.plot_latent_density(ps, bins=0)


def test_bic_marks_the_lowest(ps):
    figure = gui.view_bic(ps.latent, 4, "GaussianMixture", {"random_state": 0}).figure
    assert {"Lowest: 2 components", "GaussianMixture"} <= texts(figure)
    assert list(figure.axes[0].lines[0].get_xdata()) == [1, 2, 3, 4]


def test_a_share_of_the_pixels_is_drawn(ps, monkeypatch):
    from sigma_scale.gui import latent

    drawn = []
    original = latent.plot.plot_latent
    monkeypatch.setattr(
        latent.plot, "plot_latent", lambda p, *a, **k: drawn.append(len(p)) or original(p, *a, **k)
    )
    view = gui.check_latent_space(ps, ratio_to_be_shown=0.25)
    assert list(view.panels) == ["Latent space"]
    assert list(gui.interactive_latent_plot(ps).figures) == ["Latent space", "Colours"]
    assert gui.interactive_latent_plot(ps=ps, ratio_to_be_shown=1.0).figures
    assert drawn == [48, 96, 192]
    for ratio in (0, 1.5):
        with pytest.raises(ParameterError, match="ratio_to_be_shown"):
            gui.check_latent_space(ps, ratio)


def test_the_map_is_checked_too_where_asked_for(ps):
    view = gui.check_latent_space(ps, show_map=True, alpha_cluster_map=0.3)
    over = view.figures["Phases over the navigation image"].axes[0]
    assert sorted(image.get_alpha() or 1.0 for image in over.images) == [0.3, 1.0]
    with pytest.raises(ParameterError, match="opacity"):
        gui.check_latent_space(ps, show_map=True, alpha_cluster_map=2.0)


def test_colours_to_choose_from(ps):
    view = gui.interactive_latent_plot(ps=ps, ratio_to_be_shown=1.0, n_colours=7)
    assert texts(view.figures["Colours"]) == set(phase_colours(range(7)).values())
    with pytest.raises(ParameterError, match="n_colours"):
        gui.interactive_latent_plot(ps=ps, n_colours=0)


def test_phase_map_with_and_without_an_image(ps, images):
    view = gui.view_phase_map(ps)
    assert list(view.panels) == ["Phase map", "Phases over the navigation image"]
    assert any(text.startswith("Cluster 1 ") for text in texts(view.figures["Phase map"]))
    images.normalisation([norm.zscore])
    other = PixelSegmenter(latent=ps.latent, dataset=images, method="Kmeans",
                           method_args={"n_clusters": 2})  # fmt: skip
    assert list(gui.view_phase_map(other).panels) == ["Phase map"]
    assert list(gui.show_cluster_distribution(other).panels) == ["Where the clusters are"]


def test_where_clusters_are(ps):
    left = int(ps.labels[0])
    view = gui.show_cluster_distribution(ps, clusters=[left])
    (axes,) = view.figures["Where the clusters are"].axes
    picture = axes.images[0].get_array()
    grey = np.ptp(picture, axis=2) == 0
    assert grey[:, 8:].all()
    assert not grey[:, :8].any()
    assert axes.get_title(loc="left") == f"Cluster {left}"
    assert list(view.panels)[1:] == ["Spectra of the clusters"]


def test_only_sure_pixels_where_asked_for(ps):
    ps.relabel_pixels([0], 1 - int(ps.labels[0]))
    sure = gui.show_cluster_distribution(ps, use_label=False, threshold=0.5)
    assert "above 0.5" in sure.panels["Where the clusters are"].caption
    with pytest.raises(ParameterError, match="threshold"):
        gui.show_cluster_distribution(ps, use_label=False, threshold=1.0)
    with pytest.raises(ParameterError, match="from 0 to 1"):
        gui.show_cluster_distribution(ps, clusters=[2])


def test_spectra_of_clusters_in_a_range(ps):
    left = int(ps.labels[0])
    figure = gui.view_clusters_sum_spectra(ps, spectra_range=(1, 3), clusters=[left]).figure
    assert "Si Kα" in texts(figure)
    low, high = figure.axes[0].get_xlim()
    assert 0.9 < low < high < 3.1
    line = figure.axes[0].lines[0]
    assert max(line.get_ydata()) <= 1.0
    with pytest.raises(ParameterError, match="20 and 30 keV"):
        gui.view_clusters_sum_spectra(ps, spectra_range=(20, 30))


def test_empty_clusters_are_left_out_or_named(ps):
    ps.relabel_pixels(ps.label_map.to_numpy() == 1, 0)
    assert "Cluster 1" not in texts(gui.show_cluster_distribution(ps).figures[
        "Where the clusters are"])  # fmt: skip
    with pytest.raises(EmptyMapError, match="Cluster 1 has no pixels"):
        gui.view_clusters_sum_spectra(ps, clusters=[1])


def test_proportions_name_noise_last(ps):
    ps.relabel_pixels(np.arange(16 * 6), -1)
    figure = gui.show_cluster_proportions(ps).figure
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[-1] == "Noise"
    assert {"50.0 %", "25.0 %"} <= texts(figure)


def test_weights_and_components(ps):
    weights, components = ps.get_unmixed_spectra_profile(n_components=2)
    view = gui.show_unmixed_weights_and_components(ps, weights, components)
    assert list(view.panels) == ["Weights", "Components"]
    assert {"Cluster 0", "w_1"} <= texts(view.figures["Weights"])
    assert "cluster_0" in view.tables["Weights"].index
    assert {"cpnt_0", "cpnt_1"} <= texts(view.figures["Components"])
    same = gui.show_unmixed_weights_and_compoments(ps, weights, components)
    assert list(same.panels) == list(view.panels)
    with pytest.raises(ShapeMismatchError, match="2 end-members and 1"):
        gui.show_unmixed_weights_and_components(ps, weights, components[["cpnt_0"]])


def test_abundance_of_the_end_members(ps):
    left = int(ps.labels[0])
    weights = pd.DataFrame([[1.0, 3.0]], index=[f"cluster_{left}"], columns=["w_0", "w_1"])
    components = pd.DataFrame({"cpnt_0": [1.0, 2.0], "cpnt_1": [0.25, 0.25]}, index=[1.0, 2.0])
    figure = gui.show_abundance_map(ps, weights, components).figure
    assert {"cpnt_0", "cpnt_1"} <= texts(figure)
    pictures = [ax.images[0].get_array() for ax in figure.axes if ax.images][:2]
    for picture, share in zip(pictures, (2 / 3, 1 / 3), strict=True):  # 1 x 3 and 3 x 0.5
        np.testing.assert_allclose(picture[:, :8], share, rtol=1e-6)
        assert np.ma.getmaskarray(np.ma.masked_invalid(picture))[:, 8:].all()
    with pytest.raises(ParameterError, match="cluster_7"):
        gui.show_abundance_map(ps, weights.set_axis(["cluster_7"]), components)
    with pytest.raises(ShapeMismatchError, match="2 end-members and 1"):
        gui.show_abundance_map(ps, weights, components[["cpnt_0"]])
