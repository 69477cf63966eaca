"""Views of end-members: their spectra, their weights in the clusters and their abundance."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sigma_scale import phases, plot
from sigma_scale.gui.cluster_spectra import (
    cluster_lines,
    cluster_titles,
    live_spectra,
    spectra_array,
)
from sigma_scale.gui.dataset_maps import map_names
from sigma_scale.gui.dressing import figure_pane
from sigma_scale.gui.map_tables import map_table
from sigma_scale.gui.view import View
from sigma_scale.phases.abundance import check_pair
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.tables import plot_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = [
    "show_abundance_map",
    "show_unmixed_components",
    "show_unmixed_weights",
    "show_unmixed_weights_and_compoments",
    "show_unmixed_weights_and_components",
]

_SPECTRA = (800, 400)
"""Frame of the spectra, beside a form."""


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
    return View(
        {"Weights": partial(_weight_panel, weights)},
        tables={"Weights": weights.copy},
        live=partial(_weight_page, weights),
    )


def _weight_panel(weights: pd.DataFrame) -> FigurePanel:
    return FigurePanel(plot_weights(weights), "", "Weights of end-members")


def _weight_page(weights: pd.DataFrame) -> Any:
    import panel as pn

    from sigma_scale.gui.charts import shaded_table

    return pn.Column(figure_pane(shaded_table(weights, label="Weight")), margin=0)


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
    lines = cluster_lines(ps)
    return View(
        {"Components": partial(_component_panel, components, lines)},
        tables={"Components": partial(_by_energy, components)},
        live=partial(_spectra_page, components, lines),
    )


def _by_energy(components: pd.DataFrame) -> pd.DataFrame:
    return components.rename_axis("energy_kev")


def _component_panel(components: pd.DataFrame, lines: Sequence[str]) -> FigurePanel:
    numbers = range(components.shape[1])
    figure = plot.plot_components(
        spectra_array(components, "component", numbers),
        lines,
        {j: str(name) for j, name in enumerate(components.columns)},
    )
    return FigurePanel(figure, "", "Spectra of end-members")


def _spectra_page(components: pd.DataFrame, lines: Sequence[str]) -> Any:
    import panel as pn

    names = [str(name) for name in components.columns]
    # How large a component is means nothing by itself: its weights make up for it.
    shapes = components / components.max().where(lambda most: most > 0, 1.0)
    return pn.panel(
        live_spectra(shapes, names, lines, y_label="Share of the maximum", size=_SPECTRA)
    )


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
    lines, shown = cluster_lines(ps), _with_titles(ps, weights)
    return View(
        {
            "Weights": partial(_weight_panel, shown),
            "Components": partial(_component_panel, components, lines),
        },
        tables={
            "Weights": weights.copy,
            "Components": partial(_by_energy, components),
        },
        live=partial(_both_page, shown, components, lines),
    )


def _with_titles(ps: PixelSegmenter, weights: pd.DataFrame) -> pd.DataFrame:
    """Call the clusters what other views call them."""
    titles = {f"cluster_{k}": title for k, title in cluster_titles(ps).items()}
    return weights.rename(index=titles)


def _both_page(weights: pd.DataFrame, components: pd.DataFrame, lines: Sequence[str]) -> Any:
    import panel as pn

    return pn.Column(_weight_page(weights), _spectra_page(components, lines), margin=0)


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
    caption = "Share of each end-member in the intensity of the pixel's cluster."

    def draw() -> FigurePanel:
        figure = plot.plot_element_maps(maps, cmap="viridis", percentiles=(0, 100))
        return FigurePanel(figure, caption)

    return View(
        {"Abundance": draw},
        tables={"Abundance": partial(map_table, maps)},
        live=partial(_abundance_page, maps),
    )


def _abundance_page(maps: xr.DataArray) -> Any:
    """Three of the end-members in one picture, and each in a map of its own."""
    import panel as pn

    from sigma_scale.gui.map_page import MapPage
    from sigma_scale.gui.rgb_page import RgbPage

    names = map_names(maps)
    whole = (0.0, 1.0)
    return pn.Tabs(
        ("Red, green, blue", RgbPage(lambda: maps, names[:3], names, limits=whole)),
        ("Each end-member", MapPage(lambda: maps, names, cmap="viridis", limits=whole)),
    )
