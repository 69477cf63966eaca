"""Views of latent spaces: their density, their clusters, and how many clusters they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import plot
from sigma_scale.errors import ParameterError
from sigma_scale.gui.clusters import cluster_titles, view_phase_map
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.criterion import plot_criterion
from sigma_scale.plot.latent_density import add_gaussians, plot_density
from sigma_scale.plot.tables import plot_colours
from sigma_scale.workflow.segmenter import PixelSegmenter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from matplotlib.figure import Figure

__all__ = [
    "check_latent_space",
    "interactive_latent_plot",
    "plot_latent_density",
    "show_projection",
    "view_bic",
    "view_latent_space",
]

_DRAWN = 2  # dimensions
_GAUSSIANS = (
    "Ellipses: the Gaussians as they were fitted, two standard deviations from their centres."
)
_TITLE = "Latent space"


def show_projection(latent: npt.ArrayLike) -> View:
    """
    Show where in a latent space the pixels are.

    Parameters
    ----------
    latent : array-like, shape (n, component) or (y, x, component)
        Latent coordinates, of which the first two are drawn.

    Returns
    -------
    View
        The density of the pixels: distinct islands or spikes promise distinct clusters.
    """
    return View({_TITLE: FigurePanel(plot.plot_latent(_two(latent)), "Density of the pixels.")})


def view_bic(
    latent: npt.ArrayLike,
    n_components: int = 20,
    model: str = "BayesianGaussianMixture",
    model_args: Mapping[str, Any] | None = None,
) -> View:
    """
    Show how well mixtures of several numbers of components describe a latent space.

    Parameters
    ----------
    latent : array-like, shape (n, component) or (y, x, component)
        Latent coordinates.
    n_components : int, default: 20
        Numbers from 1 to it are tried.
    model : {"BayesianGaussianMixture", "GaussianMixture"}
        Kind of mixture.
    model_args : mapping, optional
        Its parameters, without ``n_components``. None: the seed 6.

    Returns
    -------
    View
        The Bayesian information criterion: the lower the better.
    """
    values = PixelSegmenter.bic(latent, n_components, model, model_args)
    numbers = list(range(1, len(values) + 1))
    return View({"BIC": FigurePanel(plot_criterion(numbers, values, title=model))})


def view_latent_space(
    ps: PixelSegmenter,
    color: bool = True,  # noqa: FBT001, FBT002 - the original's call
) -> View:
    """
    Show the clusters in the latent space, and the Gaussians of a mixture.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    color : bool, default: True
        In colours; False: the density of the pixels in grey.

    Returns
    -------
    View
    """
    figure = _clusters(ps) if color else plot.plot_latent(_two(ps.latent), cmap="Greys")
    if ps.mixture is None:
        return View({_TITLE: FigurePanel(figure, "", _TITLE)})
    add_gaussians(figure.axes[0], ps.mixture.means, ps.mixture.covariances)
    return View({_TITLE: FigurePanel(figure, _GAUSSIANS)})


def plot_latent_density(ps: PixelSegmenter, bins: int = 50) -> View:
    """
    Show how many pixels lie in each cell of the latent space.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters, whose latent space is shown.
    bins : int, default: 50
        Cells along each side.

    Returns
    -------
    View
    """
    return View({"Density": FigurePanel(plot_density(_two(ps.latent), bins=bins))})


def check_latent_space(
    ps: PixelSegmenter,
    ratio_to_be_shown: float = 0.25,
    show_map: bool = False,  # noqa: FBT001, FBT002 - the original's call
    alpha_cluster_map: float = 0.75,
) -> View:
    """
    Show the clusters in the latent space and, if asked for, on the map.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    ratio_to_be_shown : float, default: 0.25
        Share of the pixels that is drawn, above 0 and up to 1: a random choice, always the same.
    show_map : bool, default: False
        Show the map of the clusters too.
    alpha_cluster_map : float, default: 0.75
        Opacity of the clusters over the navigation image, 0 to 1.

    Returns
    -------
    View

    Raises
    ------
    ParameterError
        If the share or the opacity is out of range.
    """
    panels = {_TITLE: FigurePanel(_clusters(ps, ratio_to_be_shown), _shown(ratio_to_be_shown))}
    if show_map:
        panels.update(view_phase_map(ps, alpha_cluster_map).panels)
    return View(panels)


def interactive_latent_plot(
    ps: PixelSegmenter, ratio_to_be_shown: float = 0.5, n_colours: int = 30
) -> View:
    """
    Show the numbered clusters in the latent space, and colours to give them.

    The view is static; clusters are edited by code, and the view is called again to see them.
    Whatever share of the pixels is drawn, every edit acts on all of them, and on nothing if it
    fails::

        ps.merge_clusters([3, 7], name="feldspar")
        ps.create_cluster_from_polygon([(0, 0), (2, 0), (2, 1)])  # corners in the latent space
        ps.relabel_polygon([(4, 4), (5, 4), (5, 5)], cluster=2)
        ps.recolour_clusters([1, 4], "#d55e00")
        ps.rename_cluster(0, "quartz")
        ps.undo()                                                 # also redo() and reset()

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    ratio_to_be_shown : float, default: 0.5
        Share of the pixels that is drawn, above 0 and up to 1.
    n_colours : int, default: 30
        Number of colours to choose from.

    Returns
    -------
    View
        "Latent space" and "Colours", with the code of each for ``recolour_clusters``.

    Raises
    ------
    ParameterError
        If the share is out of range, or there would be no colour.
    """
    if n_colours < 1:
        raise ParameterError(f"n_colours must be at least 1, and it is {n_colours}.")
    colours = list(plot.phase_colours(range(n_colours)).values())
    caption = (
        f"{_shown(ratio_to_be_shown)} Edits such as ps.merge_clusters([0, 1]) act on all pixels."
    )
    return View(
        {
            _TITLE: FigurePanel(_clusters(ps, ratio_to_be_shown), caption),
            "Colours": FigurePanel(
                plot_colours(colours), 'For ps.recolour_clusters([0], "#0072b2").'
            ),
        }
    )


def _clusters(ps: PixelSegmenter, ratio: float = 1.0) -> Figure:
    """Draw a share of the pixels in the latent space, coloured and numbered by cluster."""
    if not 0 < ratio <= 1:
        raise ParameterError(f"ratio_to_be_shown lies above 0 and up to 1, not at {ratio}.")
    latent, labels = _two(ps.latent), ps.labels
    if ratio < 1:
        n_shown = max(1, round(ratio * len(labels)))
        chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:n_shown])
        latent, labels = latent[chosen], labels[chosen]
    return plot.plot_latent(latent, labels, ps.cluster_colors, names=cluster_titles(ps))


def _shown(ratio: float) -> str:
    return f"{ratio:.3g} of the pixels are drawn." if ratio < 1 else "All pixels are drawn."


def _two(latent: npt.ArrayLike) -> npt.NDArray[Any]:
    """First two latent coordinates."""
    points = np.asarray(latent)
    return points[..., :_DRAWN] if points.ndim else points
