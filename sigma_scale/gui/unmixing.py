"""Views of end-members: their spectra, their weights in the clusters and their abundance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import plot
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.gui.clusters import cluster_lines, spectra_array
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.tables import plot_weights

if TYPE_CHECKING:
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
    _check_pair(weights, components)
    panels = show_unmixed_weights(weights).panels
    return View({**panels, **show_unmixed_components(ps, components).panels})


def show_unmixed_weights_and_compoments(
    ps: PixelSegmenter, weights: pd.DataFrame, components: pd.DataFrame
) -> View:
    """
    Show the weights and the spectra of the end-members, under the original's spelling.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    weights, components : pandas.DataFrame
        As ``ps.get_unmixed_spectra_profile`` returns them.

    Returns
    -------
    View
        See :func:`show_unmixed_weights_and_components`.
    """
    return show_unmixed_weights_and_components(ps, weights, components)


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
    _check_pair(weights, components)
    maps = abundance_maps(ps, weights, components)
    figure = plot.plot_element_maps(maps, cmap="viridis", percentiles=(0, 100))
    caption = "Share of each end-member in the intensity of the pixel's cluster."
    return View({"Abundance": FigurePanel(figure, caption)})


def abundance_maps(
    ps: PixelSegmenter, weights: pd.DataFrame, components: pd.DataFrame
) -> xr.DataArray:
    """
    Give each pixel the shares of the end-members in its cluster's intensity.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    weights, components : pandas.DataFrame
        Weights (cluster by end-member) and spectra (channel by end-member).

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        ``line`` names the end-members; NaN for noise and for clusters without weights.
    """
    # A weight alone means nothing: NMF may scale it up and its end-member's spectrum down.
    amounts = weights.to_numpy(np.float64) * components.to_numpy(np.float64).sum(axis=0)
    whole = amounts.sum(axis=1, keepdims=True)
    shares = np.divide(amounts, whole, out=np.full_like(amounts, np.nan), where=whole > 0)
    # The last row is what noise, -1, looks up.
    table = np.full((ps.n_components + 1, weights.shape[1]), np.nan, np.float32)
    for name, row in zip(weights.index, shares, strict=True):
        table[_number(str(name), ps.n_components)] = row
    labels = ps.label_map
    maps: xr.DataArray = (
        labels.expand_dims(line=[str(name) for name in components.columns], axis=2)
        .copy(data=table[labels.to_numpy()])
        .rename("abundance")
    )
    return maps


def _number(name: str, n_clusters: int) -> int:
    number = name.removeprefix("cluster_")
    if not number.isdecimal() or int(number) >= n_clusters:
        raise ParameterError(
            f"The weights have a row {name!r}, and there is no such cluster: they go from "
            f"cluster_0 to cluster_{n_clusters - 1}. Unmix the clusters as they are now."
        )
    return int(number)


def _check_pair(weights: pd.DataFrame, components: pd.DataFrame) -> None:
    if weights.shape[1] != components.shape[1]:
        raise ShapeMismatchError(
            f"There are weights of {weights.shape[1]} end-members and {components.shape[1]} "
            "spectra of end-members. Give the two tables of one unmixing."
        )
