"""Live: where chosen clusters are, and how sure their pixels are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.gui.cluster_spectra import USUAL_RANGE, ClusterSpectra, cluster_titles
from sigma_scale.gui.dressing import Remark, figure_pane, is_dark
from sigma_scale.gui.layout import beside, room
from sigma_scale.gui.map_figure import MapFigure
from sigma_scale.gui.scheduling import LatestOnly, Scheduler
from sigma_scale.plot.map_picture import LabelPicture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.plot.viewport import Viewport
    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["ClusterMapPage"]

_SIZE = (700, 480)
_IN_NOTEBOOK = 480  # beside the slider
_BESIDE_MAP = 390
"""Height in pixels of what a page has above and below the map, with three rows of clusters."""
_ELSEWHERE = {False: "#e3e6ea", True: "#3a414b"}
"""Colour of the pixels that are not shown, in the light and the dark theme."""


class ClusterMapPage:
    """
    A map of some clusters, with a slider for the probability of their pixels.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    listed : sequence of int
        Clusters shown at first.
    threshold : float or None
        Probability that pixels have to exceed at first; None: all with the label.
    spectra : bool
        Whether the spectra of the clusters are shown as well.

    Attributes
    ----------
    selector : panel.widgets.MultiChoice
        Which clusters are shown.
    slider : panel.widgets.FloatSlider
        Probability to exceed; 0: all pixels.
    map : MapFigure
        The map.
    shown : array, shape (y, x), int32
        Cluster of each pixel that is shown, else -1. Gaps of a mosaic are not drawn.
    remark : Remark
        How many pixels are shown, or what goes wrong.
    """

    def __init__(
        self,
        ps: PixelSegmenter,
        listed: Sequence[int],
        threshold: float | None,
        *,
        spectra: bool,
    ) -> None:
        import panel as pn

        self._ps, self._has_spectra = ps, spectra
        self._scheduler = Scheduler()
        self._latest = LatestOnly(self._scheduler)
        self.remark = Remark()
        titles = cluster_titles(ps)
        sizes = ps.cluster_sizes
        self.selector = pn.widgets.MultiChoice(
            label="Clusters", options={titles[k]: k for k in titles if k >= 0 and sizes[k]},
            value=list(listed), width=room(800, _IN_NOTEBOOK), margin=(0, 8),
        )  # fmt: skip
        self.slider = pn.widgets.FloatSlider(
            label="Probability above", start=0.0, end=0.99, step=0.01, value=threshold or 0.0,
            width=220, margin=(8, 16),
        )  # fmt: skip
        self.shown: NDArray[np.int32] = self._labels()
        self._picture = self._drawn(self.shown)
        self.map = MapFigure(
            self._render, ps.label_map, scheduler=self._scheduler, size=_SIZE,
            failed=self.remark.fail, beside_map=_BESIDE_MAP,
        )  # fmt: skip
        self._spectra = pn.Column(margin=0)
        self.selector.param.watch(lambda _event: self._change(), "value")
        # Frames follow the slider once it is let go of: each needs all probabilities.
        self.slider.param.watch(lambda _event: self._change(), "value_throttled")
        self._say()
        self._show_spectra()

    def __panel__(self) -> Any:
        """Selectors above the map, spectra beside it."""
        import panel as pn

        return pn.Column(
            pn.Row(self.selector, self.slider, margin=0),
            self.remark.pane,
            beside(figure_pane(self.map.figure, margin=0), self._spectra),
            margin=0,
        )

    def _labels(self) -> NDArray[np.int32]:
        """Labels of the pixels to be shown; -1 for all others."""
        labels = self._ps.label_map.to_numpy()
        shown = np.isin(labels, list(self.selector.value))
        threshold = float(self.slider.value or 0.0)
        if threshold > 0:
            shown &= (self._ps.probability > threshold).reshape(labels.shape)
        return np.where(shown, labels, NOISE).astype(np.int32)

    def _drawn(self, labels: NDArray[np.int32]) -> LabelPicture:
        return LabelPicture(labels, self._ps.state.pixels.gaps)

    def _change(self) -> None:
        self._latest.work(self._labels, self._show, self.remark.fail)

    def _show(self, labels: NDArray[np.int32]) -> None:
        self.shown, self._picture = labels, self._drawn(labels)
        self._say()
        self.map.picture.refresh()
        self._show_spectra()

    def _say(self) -> None:
        n_shown = int(np.count_nonzero(self.shown != NOISE))
        n_measured = self._ps.state.pixels.n_measured
        self.remark.say(f"{n_shown:,} of {n_measured:,} pixels are shown.")

    def _show_spectra(self) -> None:
        chosen = list(self.selector.value)
        if not self._has_spectra or not chosen:
            self._spectra.objects = []
            return
        spectra = ClusterSpectra(self._ps, chosen, normalised=True, seen=USUAL_RANGE)
        self._spectra.objects = [spectra.live(size=(400, 280))]

    def _render(self, viewport: Viewport) -> NDArray[np.uint32]:
        colours = {**self._ps.cluster_colors, NOISE: _ELSEWHERE[is_dark()]}
        return self._picture.render(viewport, colours)
