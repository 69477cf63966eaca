"""View of the regions of one cluster: how many there are, and how large."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import phases
from sigma_scale.gui.cluster_spectra import cluster_titles
from sigma_scale.gui.dressing import plain
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.figures import INK, dress_axes, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["show_cluster_stats"]

_REGIONS, _SIZES = "Regions", "Sizes of the regions"
_MOST_ROWS = 500


def show_cluster_stats(
    ps: PixelSegmenter,
    cluster_num: int = 0,
    element_peaks: Sequence[str] | None = None,
    binary_filter_args: Mapping[str, float] | None = None,
    *,
    bins: str | int | Sequence[float] = "auto",
) -> View:
    """
    Show how many connected regions a cluster has, and how large they are.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    cluster_num : int, default: 0
        Number of the cluster.
    element_peaks : sequence of str, optional
        Lines whose intensity in each region the table has; None: the feature list.
    binary_filter_args : mapping, optional
        ``{"threshold": 0.8}``: take the pixels whose probability for the cluster exceeds it.
        None: those with its label.
    bins : str, int or sequence of float, default: "auto"
        Bins of the histogram, as for :func:`numpy.histogram_bin_edges`.

    Returns
    -------
    View
        A histogram of the equivalent diameters. Its tables are "Regions", one row each, as
        ``ps.phase_stats`` gives them, and "Sizes of the regions", the histogram.

    Raises
    ------
    EmptyMapError
        If the cluster has no pixels.
    ParameterError
        If there is no such cluster, line or parameter, or the bins can't work.
    """
    regions = ps.phase_stats(cluster_num, element_peaks, binary_filter_args)
    sizes = phases.grain_sizes(_as_measured(regions, cluster_num), bins=bins)
    title, colour = cluster_titles(ps)[int(cluster_num)], ps.cluster_colors[int(cluster_num)]
    return View(
        {_SIZES: lambda: FigurePanel(_histogram(sizes, title, colour), _said(regions), _SIZES)},
        tables={_REGIONS: regions.copy, _SIZES: sizes.copy},
        live=partial(_page, regions, sizes, title, colour),
    )


def _as_measured(regions: pd.DataFrame, cluster: int) -> pd.DataFrame:
    """Bring back the names under which sizes are counted."""
    unit = _unit(regions)
    return regions.rename(
        columns={
            f"equivalent_diameter ({unit})": f"equivalent_diameter_{unit}",
            f"area ({unit}^2)": f"area_{unit}2",
        }
    ).assign(phase=int(cluster))


def _unit(regions: pd.DataFrame) -> str:
    return "um" if "area (um^2)" in regions else "px"


def _length(regions: pd.DataFrame) -> str:
    return "µm" if _unit(regions) == "um" else "pixels"


def _said(regions: pd.DataFrame) -> str:
    """Sum the table up in a sentence."""
    unit, length = _unit(regions), _length(regions)
    n_regions = len(regions)
    area = regions[f"area ({unit}^2)"].sum()
    middle = regions[f"equivalent_diameter ({unit})"].median()
    n_cut = int(regions["touches_border"].sum())
    squared = "µm²" if unit == "um" else "pixels"
    noun = "region" if n_regions == 1 else "regions"
    return (
        f"{n_regions:,} {noun}, {plain(area)} {squared} in all; median equivalent diameter "
        f"{plain(middle, digits=3)} {length}. {n_cut:,} reach the map's edge and may be larger."
    )


def _bins(sizes: pd.DataFrame) -> tuple[list[float], list[int], str]:
    """Edges and numbers of the only phase's histogram, with the unit of the edges."""
    unit = "um" if "low_um" in sizes else "px"
    edges = [*sizes[f"low_{unit}"], sizes[f"high_{unit}"].iloc[-1]]
    return edges, sizes["number"].tolist(), "µm" if unit == "um" else "pixels"


def _histogram(sizes: pd.DataFrame, title: str, colour: str) -> Figure:
    from matplotlib.ticker import MaxNLocator

    edges, numbers, length = _bins(sizes)
    figure = new_figure(5.6, 3.2)
    ax = figure.add_subplot()
    dress_axes(ax)
    ax.stairs(numbers, edges, fill=True, color=colour, alpha=0.85)
    ax.stairs(numbers, edges, color=INK, lw=0.6)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"Equivalent diameter ({length})")
    ax.set_ylabel("Regions")
    ax.set_title(title, size=11, color=INK, loc="left", parse_math=False)
    return figure


def _page(regions: pd.DataFrame, sizes: pd.DataFrame, title: str, colour: str) -> Any:
    import panel as pn

    from sigma_scale.gui.charts import histogram_chart
    from sigma_scale.gui.dressing import figure_pane, small_table

    edges, numbers, length = _bins(sizes)
    chart = histogram_chart(
        edges, numbers, colour=colour, label=f"Equivalent diameter ({length})",
        count_label="Regions", size=(620, 240),
    )  # fmt: skip
    chart.title.text = title
    largest = regions.sort_values(regions.columns[0], ascending=False, kind="stable")
    said = _said(regions)
    if len(regions) > _MOST_ROWS:
        said += f" The {_MOST_ROWS} largest are listed; the file has all."
    shown = largest.head(_MOST_ROWS).replace({np.nan: None})
    return pn.Column(
        figure_pane(chart), pn.pane.Markdown(said, margin=(0, 8)), small_table(shown, height=300),
        margin=0, sizing_mode="stretch_width",
    )  # fmt: skip
