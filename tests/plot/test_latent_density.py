"""Counted densities of latent spaces, and Gaussians drawn into them."""

from __future__ import annotations

import numpy as np
import pytest

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot import latent_density
from sigma_scale.plot.figures import new_figure
from sigma_scale.plot.latent_density import add_gaussians, plot_density


def test_counts_are_those_of_numpy_in_batches_too(monkeypatch):
    points = np.random.default_rng(0).normal(size=(500, 2))
    points[7] = np.nan
    wanted, *_ = np.histogram2d(*points[np.isfinite(points).all(axis=1)].T, bins=9)
    for batch in (1 << 20, 60):
        monkeypatch.setattr(latent_density, "_BATCH", batch)
        picture = plot_density(points, bins=9, cmap="magma", title="T").axes[0].images[0]
        np.testing.assert_array_equal(picture.get_array().filled(0), wanted.T)
        assert picture.get_cmap().name == "magma"


def test_points_in_one_place():
    figure = plot_density(np.ones((5, 2)), bins=3)
    assert figure.axes[0].images[0].get_array().sum() == 5


def test_wrong_points_and_parameters():
    with pytest.raises(ShapeMismatchError):
        plot_density(np.zeros((4, 3)))
    with pytest.raises(EmptyMapError):
        plot_density(np.full((4, 2), np.nan))
    with pytest.raises(ParameterError, match="bins"):
        plot_density(np.zeros((4, 2)), bins=0)
    with pytest.raises(ParameterError, match="cmap"):
        plot_density(np.zeros((4, 2)), cmap="none such")


def test_ellipses_lie_n_sigma_from_the_centre():
    ax = new_figure(2, 2).add_subplot()
    ax.set_xlim(0, 1)
    turned = np.array([[2.5, 1.5], [1.5, 2.5]])  # variances 1 and 4, the large one at 45°
    add_gaussians(ax, [[1.0, 2.0]], [turned], n_sigma=3.0)
    (ellipse,) = ax.patches
    assert ax.get_xlim() == (0, 1)
    points = ellipse.get_patch_transform().transform(ellipse.get_path().vertices) - [1.0, 2.0]
    far = np.sqrt(np.einsum("ij,jk,ik->i", points, np.linalg.inv(turned), points))
    # The path's own corners are control points of curves: those on the ellipse are the nearest.
    assert far.min() == pytest.approx(3.0, abs=0.01)
    with pytest.raises(ShapeMismatchError):
        add_gaussians(ax, [[1.0, 2.0]], [np.eye(3)])
