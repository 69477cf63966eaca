"""Views of end-members: their spectra, their weights in the clusters and their abundance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale import phases, plot
from sigma_scale.gui.clusters import cluster_lines, spectra_array
from sigma_scale.gui.view import View
from sigma_scale.phases.abundance import check_pair
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.tables import plot_weights

if TYPE_CHECKING:
    import pandas as pd

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = [
    "show_abundance_map",
    "show_unmixed_components",
    "show_unmixed_weights",
    "show_unmixed_weights_and_compoments",
    "show_unmixed_weights_and_components",
]


def show_unmixed_weights(weights: pd.DataFrame) -> View:
    """
    Show how much of each end-member is in each cluster's spectrum.

    Parameters
    ----------
    weights : pandas.DataFrame
        As ``ps.get_unmixed_spectra_profile`` returns them: rows ``cluster_i``, columns ``w_j``.

    Returns
    -------
    View
    """
    return View({"Weights": FigurePanel(plot_weights(weights), "", "Weights of end-members")})


def show_unmixed_components(ps: PixelSegmenter, components: pd.DataFrame) -> View:
    """
    Show the spectra of the end-members.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters, whose features are named in the spectra.
    components : pandas.DataFrame
        As ``ps.get_unmixed_spectra_profile`` returns them: one row per channel, columns
        ``cpnt_j``.

    Returns
    -------
    View
    """
    numbers = range(components.shape[1])
    figure = plot.plot_components(
        spectra_array(components, "component", numbers),
        cluster_lines(ps),
        {j: str(name) for j, name in enumerate(components.columns)},
    )
    return View({"Components": FigurePanel(figure, "", "Spectra of end-members")})


def show_unmixed_weights_and_components(
    ps: PixelSegmenter, weights: pd.DataFrame, components: pd.DataFrame
) -> View:
    """
    Show the weights and the spectra of the end-members.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    weights, components : pandas.DataFrame
        As ``ps.get_unmixed_spectra_profile`` returns them.

    Returns
    -------
    View
        "Weights" and "Components".

    Raises
    ------
    ShapeMismatchError
        If the tables have different numbers of end-members.
    """
    check_pair(weights, components)
    panels = show_unmixed_weights(weights).panels
    return View({**panels, **show_unmixed_components(ps, components).panels})


show_unmixed_weights_and_compoments = show_unmixed_weights_and_components
"""The original's spelling."""


def show_abundance_map(ps: PixelSegmenter, weights: pd.DataFrame, components: pd.DataFrame) -> View:
    """
    Show where each end-member is.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    weights, components : pandas.DataFrame
        As ``ps.get_unmixed_spectra_profile`` returns them.

    Returns
    -------
    View
        Each end-member's share of the intensity of the pixel's cluster, 0 to 1; noise, and
        clusters that were not unmixed, are grey.

    Raises
    ------
    ShapeMismatchError
        If the tables have different numbers of end-members.
    ParameterError
        If the weights are of clusters that there are not.
    """
    maps = phases.abundance_maps(ps.label_map, weights, components, n_clusters=ps.n_components)
    figure = plot.plot_element_maps(maps, cmap="viridis", percentiles=(0, 100))
    caption = "Share of each end-member in the intensity of the pixel's cluster."
    return View({"Abundance": FigurePanel(figure, caption)})
