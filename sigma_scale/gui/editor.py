"""The editor of clusters: pick points with a lasso, on the map or in a table, and change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale.errors import EmptyMapError
from sigma_scale.gui.cluster_table import ClusterTable
from sigma_scale.gui.dressing import Remark
from sigma_scale.gui.edit_controls import EditControls
from sigma_scale.gui.edit_session import EditSession
from sigma_scale.gui.latent_figure import LatentFigure
from sigma_scale.gui.layout import beside
from sigma_scale.gui.phase_map_figure import PhaseMapFigure
from sigma_scale.gui.scheduling import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from sigma_scale.gui.edit_session import Edit
    from sigma_scale.gui.map_region import MapRegion
    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["LatentEditor"]

_LATENT, _MAP = (368, 420), (290, 420)
"""With the table they fit a page 1280 pixels wide, beside a form."""
_LATENT_LESS, _MAP_LESS = (320, 420), (240, 420)
"""The same where the table has one more column."""


class LatentEditor:
    """
    Latent space, map and table of the clusters, which can be picked and changed in each.

    Work is done off the page's thread. Where an edit fails, a message says why, and nothing has
    changed.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    edit : callable, optional
        What carries out edits; None: they act on the segmenter alone.
    share : float, default: 1.0
        Share of the points that is drawn, above 0 and up to 1. Edits act on all.
    n_colours : int, default: 30
        Colours to choose from; any other can be given too.
    opacity : float, default: 1.0
        Opacity of the clusters over the navigation image, 0 to 1.
    can_edit : bool, default: True
        Whether there is anything to change clusters with; False: they can only be looked at.
    elements : mapping of int to str, optional
        What clusters contain, shown beside their names in the table.

    Attributes
    ----------
    session : EditSession
        What is picked, and the edits.
    latent : LatentFigure
        The latent space.
    map : PhaseMapFigure
        The map.
    layout : panel.viewable.Viewable
        What is put into a page.
    """

    def __init__(
        self,
        ps: PixelSegmenter,
        *,
        edit: Edit | None = None,
        share: float = 1.0,
        n_colours: int = 30,
        opacity: float = 1.0,
        can_edit: bool = True,
        elements: Mapping[int, str] | None = None,
    ) -> None:
        self.session = EditSession(ps, edit)
        self._scheduler = Scheduler()
        self._remark = Remark()
        common: dict[str, Any] = {"scheduler": self._scheduler, "failed": self._remark.fail}
        self.latent = LatentFigure(
            self.session, size=_LATENT_LESS if elements else _LATENT, share=share,
            has_axes=False, drawn=self._on_lasso, tapped=self._on_tap, **common,
        )  # fmt: skip
        self.map = PhaseMapFigure(
            self.session, size=_MAP_LESS if elements else _MAP, opacity=opacity,
            drawn=self._on_region, **common,
        )  # fmt: skip
        self._table = ClusterTable(
            ps.state,
            picked=lambda clusters: self._pick(lambda: self.session.pick_clusters(clusters)),
            renamed=self._on_name if can_edit else None,
            elements=elements,
        )
        self._controls = EditControls(self.session, self.run, n_colours) if can_edit else None
        self.layout = self._laid_out()
        self._show_state()

    def refresh(self) -> None:
        """Show the clusters as they are now, such as after an edit in another page."""
        self.session.forget_gone()
        self._show_state()
        self.latent.picture.refresh()
        self.map.picture.refresh()

    def run(self, action: Callable[[], Any]) -> None:
        """
        Carry out an edit, or pick something, and show what came of it.

        Parameters
        ----------
        action : callable
            A method of the session.
        """
        self._scheduler.work(action, lambda _result: self._shown(), self._failed)

    def _shown(self) -> None:
        self._remark.say("")
        self.map.outline(None)
        self.refresh()

    def _failed(self, error: Exception) -> None:
        self._remark.fail(error)
        self.refresh()  # an edit of someone else may be why it failed

    def _pick(self, pick: Callable[[], None], region: MapRegion | None = None) -> None:
        def show(_result: None) -> None:
            self._shown()
            self.map.outline(region)

        self._scheduler.work(pick, show, self._failed)

    def _on_name(self, cluster: int, name: str) -> None:
        self.run(lambda: self.session.rename(cluster, name))

    def _on_lasso(self, corners: NDArray[Any]) -> None:
        self._pick(lambda: self.session.pick_polygon(corners))

    def _on_tap(self, x: float, y: float, reach: tuple[float, float]) -> None:
        def pick() -> None:
            try:
                self.session.pick_near(x, y, reach)
            except EmptyMapError:
                self.session.clear()  # a tap beside all points lets go of what is picked

        self._pick(pick)

    def _on_region(self, region: MapRegion) -> None:
        if region.pixel is not None:
            row, column = region.pixel
            self._pick(lambda: self.session.pick_cluster_of(row, column))
        else:
            self._pick(lambda: self.session.pick_pixels(region.mask()), region)

    def _show_state(self) -> None:
        state = self.session.ps.state
        self._table.show(state, self.session.clusters)
        if self._controls is not None:
            self._controls.show(state)

    def _laid_out(self) -> Any:
        import panel as pn

        figures = (
            pn.pane.Bokeh(self.latent.figure, margin=(0, 12, 0, 0)),
            pn.pane.Bokeh(self.map.figure, margin=0),
        )
        side: Sequence[Any] = [self._table.widget]
        top: Sequence[Any] = [self._remark.pane]
        if self._controls is not None:
            side, top = [*side, self._controls.colours], [self._controls.bar, *top]
        if self._scheduler.is_served:
            side = [pn.Column(*side)]
        return pn.Column(*top, beside(*figures, *side), sizing_mode="stretch_width")
