"""Views of clusters on the map: where they are, their spectra and their shares."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import phases
from sigma_scale.errors import ParameterError
from sigma_scale.gui.cluster_spectra import (
    MOST_SPECTRA,
    SPECTRA,
    USUAL_RANGE,
    ClusterSpectra,
    chosen_clusters,
    cluster_titles,
    left_out,
    view_clusters_sum_spectra,
)
from sigma_scale.gui.map_tables import image_table
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.cluster_maps import plot_cluster_maps
from sigma_scale.plot.palette import NOISE, complete_colours
from sigma_scale.plot.tables import plot_proportions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = [
    "cluster_titles",
    "show_cluster_distribution",
    "show_cluster_proportions",
    "view_clusters_sum_spectra",
]

_MOST_MAPS = 60
_DISTRIBUTION = "Where the clusters are"
_COLUMNS = {
    "pixels": "Pixels",
    "share": "Share (%)",
    "share_error": "Standard error (%)",
    "area_um2": "Area (µm²)",
    "area_error_um2": "Standard error (µm²)",
}


def show_cluster_distribution(
    ps: PixelSegmenter,
    clusters: Sequence[int] | None = None,
    use_label: bool = True,  # noqa: FBT001, FBT002 - the original's call
    threshold: float = 0.8,
) -> View:
    """
    Show where each cluster is, and its mean spectrum.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    clusters : sequence of int, optional
        Clusters to show; None: all, or the 60 largest (20 of the spectra).
    use_label : bool, default: True
        Show the pixels with a cluster's label; False: only those that belong to it with a
        probability above the threshold.
    threshold : float, default: 0.8
        Probability from 0 to 1.

    Returns
    -------
    View
        "Where the clusters are" and, if the dataset has spectra, "Spectra of the clusters".

    Raises
    ------
    ParameterError
        If there is no such cluster, or the threshold is no probability.
    EmptyMapError
        If there is no cluster.
    """
    listed = chosen_clusters(ps, clusters, _MOST_MAPS)
    labels = ps.label_map
    caption = left_out(ps, listed, clusters)
    if not use_label:
        if not 0 <= threshold < 1:
            raise ParameterError(f"threshold is a probability below 1, not {threshold}.")
        sure = (ps.probability > threshold).reshape(labels.shape)
        labels = labels.where(sure, -1).astype(np.int32)
        caption = f"Pixels with a probability above {threshold:g}. {caption}".strip()
    names, colours = cluster_titles(ps), ps.cluster_colors
    panels: dict[str, FigurePanel | Callable[[], FigurePanel]] = {
        _DISTRIBUTION: lambda: FigurePanel(
            plot_cluster_maps(labels, listed, names=names, colours=colours), caption, _DISTRIBUTION
        )
    }
    shown = labels.where(labels.isin(listed), -1).astype(np.int32)
    tables: dict[str, Callable[[], pd.DataFrame]] = {_DISTRIBUTION: partial(image_table, shown)}
    has_spectra = ps.dataset.processed is not None
    if has_spectra:
        few = chosen_clusters(ps, clusters, MOST_SPECTRA)
        without = left_out(ps, few, clusters)
        spectra = ClusterSpectra(ps, few, normalised=True, seen=USUAL_RANGE)
        panels[SPECTRA] = lambda: FigurePanel(spectra.figure(), without, SPECTRA)
        tables[SPECTRA] = spectra.table
    return View(
        panels,
        tables=tables,
        live=partial(
            _distribution_page, ps, listed, None if use_label else threshold, spectra=has_spectra
        ),
    )


def show_cluster_proportions(ps: PixelSegmenter) -> View:
    """
    Show each cluster's share of the area.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.

    Returns
    -------
    View
        Bars, the largest cluster first; its table has areas and standard errors too.
    """
    table = phases.proportions(ps.label_map, names=ps.cluster_names)
    titles, colours = cluster_titles(ps), ps.cluster_colors
    shares = {int(label): float(share) for label, share in table["share"].items()}  # type: ignore[call-overload]
    return View(
        {
            "Proportions": lambda: FigurePanel(
                plot_proportions(shares, names=titles, colours=colours)
            )
        },
        tables={"Proportions": lambda: table},
        live=partial(_proportion_page, table, titles, colours),
    )


def _proportion_page(
    table: pd.DataFrame, titles: Mapping[int, str], colours: Mapping[int, str]
) -> Any:
    """Bars with their standard errors above the numbers."""
    import panel as pn

    from sigma_scale.gui.charts import bar_chart
    from sigma_scale.gui.dressing import figure_pane, small_table

    shares = table["share"]
    order = sorted(shares.index, key=lambda label: (label == NOISE, -shares[label]))
    palette = complete_colours(order, colours)
    chart = bar_chart(
        [titles.get(label, "Noise") for label in order],
        [100 * shares[label] for label in order],
        colours=[palette[label] for label in order],
        errors=[100 * table["share_error"][label] for label in order],
        label="Share of the area (%)",
    )
    shown = _in_words(table.loc[order], titles)
    return pn.Column(figure_pane(chart), small_table(shown), margin=0)


def _in_words(table: pd.DataFrame, titles: Mapping[int, str]) -> pd.DataFrame:
    """Give columns and rows the names under which they are shown, and shares in percent."""
    percent = ["share", "share_error"]
    shown = table.drop(columns="name").assign(**{name: 100 * table[name] for name in percent})
    shown.index = [titles.get(label, "Noise") for label in table.index]
    return shown.rename(columns=_COLUMNS)


def _distribution_page(
    ps: PixelSegmenter, listed: Sequence[int], threshold: float | None, *, spectra: bool
) -> Any:
    import panel as pn

    from sigma_scale.gui.distribution_map import ClusterMapPage

    return pn.panel(ClusterMapPage(ps, listed, threshold, spectra=spectra))
