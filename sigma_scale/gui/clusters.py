"""Views of clusters on the map: where they are, their spectra and their shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import phases, plot
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.cluster_maps import plot_cluster_maps, plot_phases_over_image
from sigma_scale.plot.tables import plot_proportions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = [
    "cluster_lines",
    "cluster_titles",
    "show_cluster_distribution",
    "show_cluster_proportions",
    "spectra_array",
    "view_clusters_sum_spectra",
    "view_phase_map",
]

_MOST_SPECTRA, _MOST_MAPS = 20, 60
_DISTRIBUTION, _SPECTRA = "Where the clusters are", "Spectra of the clusters"


def view_phase_map(ps: PixelSegmenter, alpha_cluster_map: float = 0.6) -> View:
    """
    Show the map of the clusters, also over the navigation image.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    alpha_cluster_map : float, default: 0.6
        Opacity of the clusters over the navigation image, 0 to 1.

    Returns
    -------
    View
        "Phase map" and, where there is an image, "Phases over the navigation image".

    Raises
    ------
    ParameterError
        If the opacity is out of range.
    """
    labels, names, colours = ps.label_map, cluster_titles(ps), ps.cluster_colors
    image = ps.dataset.nav_img
    panels = {
        "Phase map": FigurePanel(
            plot.plot_phase_map(labels, names=names, colours=colours), "", "Phase map"
        )
    }
    if image is not None:
        panels["Phases over the navigation image"] = FigurePanel(
            plot_phases_over_image(
                labels, image, alpha=alpha_cluster_map, names=names, colours=colours
            ),
            "",
            "Phases over the navigation image",
        )
    return View(panels)


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
    listed = _chosen(ps, clusters, _MOST_MAPS)
    labels = ps.label_map
    caption = _left_out(ps, listed, clusters)
    if not use_label:
        if not 0 <= threshold < 1:
            raise ParameterError(f"threshold is a probability below 1, not {threshold}.")
        sure = (ps.probability > threshold).reshape(labels.shape)
        labels = labels.where(sure, -1).astype(np.int32)
        caption = f"Pixels with a probability above {threshold:g}. {caption}".strip()
    figure = plot_cluster_maps(labels, listed, names=cluster_titles(ps), colours=ps.cluster_colors)
    panels = {_DISTRIBUTION: FigurePanel(figure, caption, _DISTRIBUTION)}
    if ps.dataset.processed is not None:
        panels.update(view_clusters_sum_spectra(ps, clusters=clusters).panels)
    return View(panels)


def view_clusters_sum_spectra(
    ps: PixelSegmenter,
    normalisation: bool = True,  # noqa: FBT001, FBT002 - the original's call
    spectra_range: tuple[float, float] = (0, 8),
    clusters: Sequence[int] | None = None,
) -> View:
    """
    Show the mean spectrum of each cluster.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    normalisation : bool, default: True
        Divide each spectrum by its maximum.
    spectra_range : tuple of float, default: (0, 8)
        Energies to show, in keV.
    clusters : sequence of int, optional
        Clusters to show; None: all, or the 20 largest.

    Returns
    -------
    View

    Raises
    ------
    NoSpectraError
        If the dataset has none.
    ParameterError
        If there is no such cluster, or no channel lies in the range.
    EmptyMapError
        If there is no cluster with pixels.
    """
    table = ps.get_all_spectra_profile(normalised=normalisation)
    low, high = spectra_range
    table = table[(table.index >= low) & (table.index <= high)]
    if table.empty:
        raise ParameterError(f"No channel lies between {low} and {high} keV.")
    listed = _chosen(ps, clusters, _MOST_SPECTRA)
    spectra = spectra_array(table[[f"cluster_{k}" for k in listed]], "phase", listed)
    figure = plot.plot_phase_spectra(
        spectra, cluster_lines(ps), cluster_titles(ps), ps.cluster_colors
    )
    return View({_SPECTRA: FigurePanel(figure, _left_out(ps, listed, clusters), _SPECTRA)})


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
        Bars, the largest cluster first. :func:`sigma_scale.proportions` of ``ps.label_map`` has
        the numbers, with areas and errors.
    """
    table = phases.proportions(ps.label_map)
    shares = {int(label): float(share) for label, share in table["share"].items()}  # type: ignore[call-overload]
    figure = plot_proportions(shares, names=cluster_titles(ps), colours=ps.cluster_colors)
    return View({"Proportions": FigurePanel(figure)})


def cluster_lines(ps: PixelSegmenter) -> list[str]:
    """Features of a segmenter that are X-ray lines."""
    return [name for name in ps.feature_list if name != NAVIGATOR]


def spectra_array(table: pd.DataFrame, dim: str, numbers: Sequence[int]) -> xr.DataArray:
    """
    Make spectra to be drawn from a table.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per channel with its energy in keV, one column per spectrum.
    dim : str
        Name of the dimension of the columns.
    numbers : sequence of int
        Number of each column.

    Returns
    -------
    xarray.DataArray, shape (column, energy)
    """
    import xarray as xr

    return xr.DataArray(
        table.to_numpy().T,
        dims=(dim, "energy"),
        coords={dim: list(numbers), "energy": table.index.to_numpy()},
    )


def _chosen(ps: PixelSegmenter, clusters: Sequence[int] | None, most: int) -> list[int]:
    """Clusters that are asked for, or the largest with pixels, by number."""
    sizes = ps.cluster_sizes
    if clusters is None:
        largest = np.argsort(-sizes, kind="stable")[:most]
        listed = sorted(int(k) for k in largest if sizes[k])
    else:
        listed = [int(k) for k in clusters]
        unknown = [k for k in listed if not 0 <= k < len(sizes)]
        if unknown:
            raise ParameterError(
                f"There is no cluster {unknown[0]}; they go from 0 to {len(sizes) - 1}."
            )
    empty = [k for k in listed if not sizes[k]]
    if empty or not listed:
        what = f"Cluster {empty[0]} has no pixels." if empty else "There is no cluster to show."
        raise EmptyMapError(what)
    return listed


def _left_out(ps: PixelSegmenter, listed: Sequence[int], clusters: Sequence[int] | None) -> str:
    n_clusters = int(np.count_nonzero(ps.cluster_sizes))
    if clusters is not None or len(listed) == n_clusters:
        return ""
    return f"The {len(listed)} largest of {n_clusters} clusters; others by clusters=[...]."


def cluster_titles(ps: PixelSegmenter) -> dict[int, str]:
    """Number of each cluster, with the name that was given to it."""
    return {
        k: f"Cluster {k}" if name == f"cluster_{k}" else f"{k}  {name}"
        for k, name in ps.cluster_names.items()
    }
