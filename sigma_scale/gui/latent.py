"""Views of a latent space: its density, its clusters, and the Gaussians that they were made of."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import plot
from sigma_scale.errors import ParameterError
from sigma_scale.gui.cluster_spectra import cluster_titles
from sigma_scale.gui.latent_figure import around_ellipses, ellipses_of, sample_rows
from sigma_scale.gui.phase_map import view_phase_map
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.latent_density import add_gaussians, count_cells, plot_density
from sigma_scale.plot.tables import plot_colours

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = [
    "check_latent_space",
    "interactive_latent_plot",
    "plot_latent_density",
    "show_projection",
    "view_latent_space",
]

_DRAWN = 2  # dimensions
_MAP_DIMENSIONS = 3
_GAUSSIANS = (
    "Ellipses: the Gaussians as they were fitted, two standard deviations from their centres."
)
_TITLE, _COLOURS = "Latent space", "Colours"
_SIZE = (760, 480)


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
        The density of the pixels: distinct islands or spikes promise distinct clusters. Live, it
        can be zoomed into.
    """
    points = _two(latent)
    rows = points.reshape(-1, points.shape[-1]) if points.ndim > 1 else points
    width = points.shape[1] if points.ndim == _MAP_DIMENSIONS else None
    figure = plot.plot_latent(points)

    def live() -> Any:
        from sigma_scale.gui.latent_figure import density_figure
        from sigma_scale.gui.latent_page import framed

        return framed(partial(density_figure, rows, size=_SIZE))

    return View(
        {_TITLE: FigurePanel(figure, "Density of the pixels.")},
        tables={_TITLE: lambda: _coordinates(rows, width)},
        live=live,
    )


def view_latent_space(
    ps: PixelSegmenter,
    color: bool = True,  # noqa: FBT001, FBT002 - the original's call
    *,
    elements: Mapping[int, str] | None = None,
) -> View:
    """
    Show the clusters in the latent space, and the Gaussians of a mixture.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    color : bool, default: True
        In colours; False: the density of the pixels in grey.
    elements : mapping of int to str, optional
        What is said of clusters in the live table, such as ``{0: "O Si Al K"}``.

    Returns
    -------
    View
        Live, it can be zoomed into.
    """

    def draw() -> FigurePanel:
        figure = _clusters(ps) if color else plot.plot_latent(_two(ps.latent), cmap="Greys")
        if ps.mixture is None:
            return FigurePanel(figure, "", _TITLE)
        add_gaussians(figure.axes[0], ps.mixture.means, ps.mixture.covariances)
        _make_room(figure.axes[0], ellipses_of(ps.mixture))
        return FigurePanel(figure, _GAUSSIANS)

    def live() -> Any:
        from sigma_scale.gui.latent_page import latent_page

        return latent_page(ps, size=_SIZE, in_colour=color, elements=elements)

    return View({_TITLE: draw}, tables={_TITLE: lambda: _labelled(ps)}, live=live)


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
    points = _two(ps.latent)
    figure = plot_density(points, bins=bins)
    return View(
        {"Density": FigurePanel(figure)}, tables={"Density": lambda: _density(points, bins)}
    )


def check_latent_space(
    ps: PixelSegmenter,
    ratio_to_be_shown: float = 0.25,
    show_map: bool = False,  # noqa: FBT001, FBT002 - the original's call
    alpha_cluster_map: float = 0.75,
) -> View:
    """
    Show the clusters in the latent space and on the map, each linked to the other.

    Live, a tap on a cluster, or a lasso around points, shows their pixels on the map; what is
    drawn on the map is shown among the points.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    ratio_to_be_shown : float, default: 0.25
        Share of the pixels that is drawn, above 0 and up to 1: a random choice, always the same.
    show_map : bool, default: False
        Show the map of the clusters in the static pictures too.
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
    _check_share(ratio_to_be_shown)
    maps = view_phase_map(ps, alpha_cluster_map)
    panels: dict[str, Any] = {
        _TITLE: lambda: FigurePanel(_clusters(ps, ratio_to_be_shown), _shown(ratio_to_be_shown))
    }
    if show_map:
        panels.update(maps.makers)

    def live() -> Any:
        from sigma_scale.gui.editor import LatentEditor

        opacity = alpha_cluster_map if show_map else 1.0
        return LatentEditor(ps, share=ratio_to_be_shown, opacity=opacity, can_edit=False).layout

    return View(panels, tables={_TITLE: lambda: _labelled(ps)}, live=live)


def interactive_latent_plot(
    ps: PixelSegmenter, ratio_to_be_shown: float = 0.5, n_colours: int = 30
) -> View:
    """
    Edit the clusters in the latent space, on the map and in a table.

    Draw around points with the lasso or a box, or on the map; tap a cluster or tick it in the
    table. What is picked can become a cluster, go to another one or to the noise; clusters can
    be merged, named and recoloured. Whatever share of the pixels is drawn, every edit acts on all
    of them, and on nothing if it fails. The same edits by code::

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
        Live in a page, and in a notebook after ``panel.extension("tabulator")``; else "Latent
        space" and "Colours", with the code of each for ``recolour_clusters``.

    Raises
    ------
    ParameterError
        If the share is out of range, or there would be no colour.
    """
    if n_colours < 1:
        raise ParameterError(f"n_colours must be at least 1, and it is {n_colours}.")
    _check_share(ratio_to_be_shown)
    colours = list(plot.phase_colours(range(n_colours)).values())
    caption = (
        f"{_shown(ratio_to_be_shown)} Edits such as ps.merge_clusters([0, 1]) act on all pixels."
    )

    def live() -> Any:
        from sigma_scale.gui.editor import LatentEditor

        return LatentEditor(ps, share=ratio_to_be_shown, n_colours=n_colours).layout

    return View(
        {
            _TITLE: lambda: FigurePanel(_clusters(ps, ratio_to_be_shown), caption),
            _COLOURS: lambda: FigurePanel(
                plot_colours(colours), 'For ps.recolour_clusters([0], "#0072b2").'
            ),
        },
        tables={_TITLE: lambda: _labelled(ps)},
        live=live,
        aids=[_COLOURS],
    )


def _check_share(ratio: float) -> None:
    if not 0 < ratio <= 1:
        raise ParameterError(f"ratio_to_be_shown lies above 0 and up to 1, not at {ratio}.")


def _clusters(ps: PixelSegmenter, ratio: float = 1.0) -> Figure:
    """Draw a share of the pixels in the latent space, coloured and numbered by cluster."""
    latent, labels = _two(ps.latent), ps.labels
    if ratio < 1:
        chosen = sample_rows(len(labels), ratio)
        latent, labels = latent[chosen], labels[chosen]
    return plot.plot_latent(latent, labels, ps.cluster_colors, names=cluster_titles(ps))


def _make_room(ax: Axes, ellipses: npt.NDArray[np.float64]) -> None:
    """Widen axes as far as whole ellipses need it."""
    x, y = around_ellipses(ellipses, ax.get_xlim(), ax.get_ylim())
    ax.set_xlim(*x)
    ax.set_ylim(*y)


def _shown(ratio: float) -> str:
    return f"{100 * ratio:.3g} % of the pixels are drawn." if ratio < 1 else "All pixels are drawn."


def _two(latent: npt.ArrayLike) -> npt.NDArray[Any]:
    """First two latent coordinates."""
    points = np.asarray(latent)
    return points[..., :_DRAWN] if points.ndim else points


def _coordinates(rows: npt.NDArray[Any], width: int | None) -> pd.DataFrame:
    """Latent coordinates as a table, one row per pixel, with its place where that is known."""
    import pandas as pd

    names = [f"latent_{k + 1}" for k in range(rows.shape[1])]
    table = pd.DataFrame(rows, columns=names).rename_axis("pixel")
    if width:
        table.insert(0, "row", table.index // width)
        table.insert(1, "column", table.index % width)
    return table


def _labelled(ps: PixelSegmenter) -> pd.DataFrame:
    """Place on the map, latent coordinates and cluster of each pixel."""
    return _coordinates(_two(ps.latent), ps.width).assign(cluster=ps.labels)


def _density(points: npt.NDArray[Any], bins: int) -> pd.DataFrame:
    """Pixels in each cell, by the centres of the cells."""
    import pandas as pd

    counts, (left, right, low, high) = count_cells(points, bins)
    steps = (np.arange(bins) + 0.5) / bins
    return pd.DataFrame(
        counts.T.astype(np.int64),
        index=pd.Index(low + steps * (high - low), name="latent_2"),
        columns=pd.Index(left + steps * (right - left), name="latent_1"),
    )
