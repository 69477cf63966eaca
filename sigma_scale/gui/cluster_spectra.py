"""Spectra of clusters: which are shown, how they are called, and their live figure."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import plot, xray
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from sigma_scale.gui.spectrum_figure import SpectrumFigure
    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = [
    "ClusterSpectra",
    "chosen_clusters",
    "cluster_lines",
    "cluster_titles",
    "left_out",
    "live_spectra",
    "spectra_array",
    "view_clusters_sum_spectra",
]

MOST_SPECTRA = 20
MOST_AT_ONCE = 8
"""Spectra that can still be told apart on one axis."""
_HINT = f"Seen at first: the {MOST_AT_ONCE} largest; a click on a name shows or hides its spectrum."
SPECTRA = "Spectra of the clusters"
USUAL_RANGE = (0.0, 8.0)
SIZE = (860, 400)
_IN_NOTEBOOK = 680  # beside the axis and the legend


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
        Clusters to show; None: all, or the 20 largest. Live, of more than eight the largest
        eight are seen at first, and the others by a click on their names.

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
    listed = chosen_clusters(ps, clusters, MOST_SPECTRA)
    spectra = ClusterSpectra(ps, listed, normalised=normalisation, seen=spectra_range)
    caption = left_out(ps, listed, clusters)
    return View(
        {SPECTRA: lambda: FigurePanel(spectra.figure(), caption, SPECTRA)},
        tables={SPECTRA: spectra.table},
        live=partial(spectra.live, caption=caption),
    )


class ClusterSpectra:
    """
    Mean spectra of some clusters, as they are now.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    listed : sequence of int
        Those whose spectra are wanted.
    normalised : bool
        Whether each spectrum is divided by its maximum.
    seen : tuple of float
        Energies in keV.
    """

    def __init__(
        self,
        ps: PixelSegmenter,
        listed: Sequence[int],
        *,
        normalised: bool,
        seen: tuple[float, float],
    ) -> None:
        whole = ps.get_all_spectra_profile(normalised=normalised)
        low, high = seen
        part = whole[(whole.index >= low) & (whole.index <= high)]
        if part.empty:
            raise ParameterError(f"No channel lies between {low} and {high} keV.")
        self._table = part[[f"cluster_{k}" for k in listed]]
        sizes = ps.cluster_sizes
        largest = sorted(listed, key=lambda k: -sizes[k])[:MOST_AT_ONCE]
        self._hidden = [k for k in listed if k not in largest]
        self._listed, self._normalised = list(listed), normalised
        self._lines, self._titles = cluster_lines(ps), cluster_titles(ps)
        self._colours = ps.cluster_colors

    def table(self) -> pd.DataFrame:
        """Spectra by energy."""
        return self._table.rename_axis("energy_kev")

    def figure(self) -> Figure:
        """Spectra one above the other."""
        spectra = spectra_array(self._table, "phase", self._listed)
        return plot.plot_phase_spectra(spectra, self._lines, self._titles, self._colours)

    def live(self, size: tuple[int, int] = SIZE, caption: str = "") -> Any:
        """Spectra on one axis below a caption, those of small clusters hidden if many."""
        import panel as pn

        shown = live_spectra(
            self._table, [self._titles[k] for k in self._listed], self._lines,
            colours={self._titles[k]: self._colours[k] for k in self._listed},
            y_label="Share of the maximum" if self._normalised else "Mean intensity", size=size,
            hidden=[self._titles[k] for k in self._hidden],
        )  # fmt: skip
        said = [caption] if caption else []
        if self._hidden:
            said.append(_HINT)
        above = [pn.pane.HTML(escape(" ".join(said)), margin=(2, 8))] if said else []
        return pn.Column(*above, shown, margin=0)


def live_spectra(
    table: pd.DataFrame,
    names: Sequence[str],
    lines: Sequence[str],
    *,
    colours: Mapping[str, str] | None = None,
    y_label: str,
    size: tuple[int, int] = SIZE,
    hidden: Collection[str] = (),
) -> SpectrumFigure:
    """
    Make a live figure of the columns of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per channel with its energy in keV, one column per spectrum.
    names : sequence of str
        Name of each column.
    lines : sequence of str
        X-ray lines to be named, those outside the energies left out.
    colours : mapping of str to str, optional
        ``"#rrggbb"`` by name.
    y_label : str
        What the values are.
    size : tuple of int
        Frame in screen pixels.
    hidden : collection of str, default: ()
        Names of those that are hidden until they are clicked in the legend.

    Returns
    -------
    SpectrumFigure
    """
    from sigma_scale.gui.layout import room
    from sigma_scale.gui.spectrum_figure import SpectrumFigure

    size = room(size[0], _IN_NOTEBOOK), size[1]
    energy = table.index.to_numpy(np.float64)
    inside = [name for name in lines if energy[0] <= xray.line_energy(name) <= energy[-1]]
    values = {name: table.iloc[:, k].to_numpy() for k, name in enumerate(names)}
    return SpectrumFigure(
        energy, values, colours=colours, lines=inside, size=size, y_label=y_label, hidden=hidden
    )


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


def chosen_clusters(ps: PixelSegmenter, clusters: Sequence[int] | None, most: int) -> list[int]:
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


def left_out(ps: PixelSegmenter, listed: Sequence[int], clusters: Sequence[int] | None) -> str:
    """Say which clusters are not shown, if any."""
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
