"""The view of the phase map, also over the navigation image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sigma_scale import features, plot
from sigma_scale.errors import ParameterError
from sigma_scale.gui.cluster_spectra import cluster_titles
from sigma_scale.gui.map_tables import image_table
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.cluster_maps import plot_phases_over_image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["view_phase_map"]

_MAP, _OVER = "Phase map", "Phases over the navigation image"
_BOX = (800, 520)


def view_phase_map(
    ps: PixelSegmenter,
    alpha_cluster_map: float = 0.6,
    *,
    elements: Mapping[int, str] | None = None,
) -> View:
    """
    Show the map of the clusters, also over the navigation image.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    alpha_cluster_map : float, default: 0.6
        Opacity of the clusters over the navigation image, 0 to 1.
    elements : mapping of int to str, optional
        What is said of clusters in the live table, such as ``{0: "O Si Al K"}``.

    Returns
    -------
    View
        "Phase map" and, where there is an image, "Phases over the navigation image". Live, it can
        be zoomed into, and the opacity changed.

    Raises
    ------
    ParameterError
        If the opacity is out of range.
    """
    if not 0 <= alpha_cluster_map <= 1:
        raise ParameterError(
            f"The opacity of the phases lies between 0 and 1, not {alpha_cluster_map}."
        )
    image = _shown_image(ps)

    def draw() -> FigurePanel:
        figure = plot.plot_phase_map(
            ps.label_map, names=cluster_titles(ps), colours=ps.cluster_colors
        )
        return FigurePanel(figure, "", _MAP)

    def draw_over(image: xr.DataArray) -> FigurePanel:
        figure = plot_phases_over_image(
            ps.label_map, image, alpha=alpha_cluster_map, names=cluster_titles(ps),
            colours=ps.cluster_colors,
        )  # fmt: skip
        return FigurePanel(figure, "", _OVER)

    def live() -> Any:
        from sigma_scale.gui.latent_page import phase_map_page

        return phase_map_page(ps, size=_BOX, opacity=alpha_cluster_map, elements=elements)

    panels: dict[str, Callable[[], FigurePanel]] = {_MAP: draw}
    if image is not None:
        panels[_OVER] = partial(draw_over, image)
    return View(panels, tables={_MAP: lambda: image_table(ps.label_map)}, live=live)


def _shown_image(ps: PixelSegmenter) -> xr.DataArray | None:
    """Navigation image, with NaN in the gaps of a mosaic."""
    image, spectra = ps.dataset.nav_img, getattr(ps.dataset, "spectra", None)
    if image is None or spectra is None or image.shape != spectra.shape[:2]:
        return image
    return features.mask_gaps(image, spectra)
