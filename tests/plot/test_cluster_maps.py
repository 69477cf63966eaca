"""Clusters on the map, one by one and over an image."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import make_map, scale_bars

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot.cluster_maps import plot_cluster_maps, plot_phases_over_image

LABELS = np.repeat([[0, 0, 1, -1]], 4, axis=0).astype(np.int32)


def test_each_cluster_has_its_map():
    figure = plot_cluster_maps(
        make_map(LABELS, step=1.0), [0, 1, 5], names={1: "rim"}, colours={0: "#ff0000"}
    )
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["Phase 0", "rim", "Phase 5"]
    picture = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(picture[:, :2], np.broadcast_to([1.0, 0.0, 0.0], (4, 2, 3)))
    np.testing.assert_allclose(picture[:, 2:], 0.93)
    assert [text.get_text() for text in figure.axes[2].texts] == ["no pixels"]
    assert len(scale_bars(figure)) == 1


def test_thinned_pixels_show_their_share():
    figure = plot_cluster_maps(make_map(LABELS), [1], colours={1: "#000000"}, max_side=1)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), 0.75 * 0.93, rtol=1e-6)


def test_many_clusters_fill_rows_of_six():
    figure = plot_cluster_maps(make_map(LABELS), range(13))
    tops = {round(ax.get_position().y0, 6) for ax in figure.axes}
    assert len(figure.axes) == 13
    assert len(tops) == 3


def test_nothing_to_draw():
    with pytest.raises(EmptyMapError):
        plot_cluster_maps(make_map(LABELS), [])
    with pytest.raises(ShapeMismatchError):
        plot_cluster_maps(make_map(LABELS).rename(y="z"), [0])


def test_phases_lie_over_the_image():
    image = make_map(np.arange(64.0).reshape(8, 8))
    figure = plot_phases_over_image(make_map(LABELS), image, alpha=0.4, title="T")
    phases, grey = figure.axes[0].images
    assert phases.get_alpha() == 0.4
    assert phases.get_zorder() > grey.get_zorder()
    assert phases.get_extent() == grey.get_extent()
    shades = grey.get_array()
    assert shades.shape == (8, 8, 3)
    assert (shades[0, 0] < 0.01).all()
    assert (shades[-1, -1] > 0.99).all()


def test_wrong_opacity_and_image():
    with pytest.raises(ParameterError, match="opacity"):
        plot_phases_over_image(make_map(LABELS), make_map(LABELS), alpha=1.1)
    with pytest.raises(ShapeMismatchError):
        plot_phases_over_image(make_map(LABELS), make_map(np.zeros((4, 4, 2))))
