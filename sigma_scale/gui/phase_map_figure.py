"""A live map of the clusters, also over the navigation image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.gui.map_figure import MapFigure
from sigma_scale.plot.contrast import contrast_limits
from sigma_scale.plot.map_picture import LabelPicture, ValuePicture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sigma_scale.gui.edit_session import EditSession
    from sigma_scale.gui.map_region import MapRegion
    from sigma_scale.gui.picture_figure import PictureFigure
    from sigma_scale.gui.scheduling import Scheduler
    from sigma_scale.plot.viewport import Viewport
    from sigma_scale.workflow.segmenter.clusters import PixelState

__all__ = ["PhaseMapFigure"]

_BESIDE_MAP = 300
"""Height in pixels of a page's header, tabs, slider, toolbar, buttons and footer."""


class PhaseMapFigure:
    """
    Where the clusters of a segmenter are.

    Parameters
    ----------
    session : EditSession
        The clusters, and what is picked of them.
    scheduler : Scheduler
        Where rendering runs.
    size : tuple of int
        Box in screen pixels that the map has to fit into.
    failed : callable
        Takes what goes wrong.
    opacity : float, default: 1.0
        Opacity of the clusters over the navigation image, 0 to 1.
    drawn : callable, optional
        Takes each region that is clicked or drawn; None: nothing can be drawn.
    follows_window : bool, default: False
        Whether the map's height follows the window of a page.

    Attributes
    ----------
    picture : PictureFigure
        The picture, with its figure of Bokeh.
    opacity : float
        That opacity; refresh the picture after a change.
    has_image : bool
        Whether there is a navigation image.
    """

    def __init__(
        self,
        session: EditSession,
        *,
        scheduler: Scheduler,
        size: tuple[int, int],
        failed: Callable[[Exception], None],
        opacity: float = 1.0,
        drawn: Callable[[MapRegion], None] | None = None,
        follows_window: bool = False,
    ) -> None:
        self._session = session
        self.opacity = opacity
        image = session.ps.dataset.nav_img_bin
        self.has_image = image is not None
        self._image: tuple[ValuePicture, tuple[float, float]] | None = None
        self._labels: tuple[PixelState, LabelPicture] | None = None
        self._map = MapFigure(
            self._render, session.ps.label_map, scheduler=scheduler, size=size, failed=failed,
            drawn=drawn, beside_map=_BESIDE_MAP if follows_window else None,
        )  # fmt: skip

    @property
    def picture(self) -> PictureFigure:
        """The picture."""
        return self._map.picture

    @property
    def figure(self) -> Any:
        """Figure of Bokeh."""
        return self._map.figure

    def outline(self, region: MapRegion | None) -> None:
        """Show what was drawn, or nothing any more."""
        self._map.outline(region)

    def _render(self, viewport: Viewport) -> NDArray[np.uint32]:
        session = self._session
        state = session.ps.state
        kept = self._labels
        if kept is None or kept[0] is not state.pixels:
            labels = state.pixels.labels.reshape(session.ps.height, session.ps.width)
            self._labels = kept = state.pixels, LabelPicture(labels, state.pixels.gaps)
        frame = kept[1].render(
            viewport, state.colours_by_number(), hidden=session.hidden,
            selected=session.marked(state),
        )  # fmt: skip
        if self.opacity < 1 and self.has_image:
            return _over(frame, self._grey(viewport), self.opacity)
        return frame

    def _grey(self, viewport: Viewport) -> NDArray[np.uint32]:
        if self._image is None:
            values = np.asarray(self._session.ps.dataset.nav_img_bin)
            gaps = self._session.ps.state.pixels.gaps
            if gaps is not None and gaps.size == values.size:
                values = np.where(gaps.reshape(values.shape), np.float32(np.nan), values)
            limits = contrast_limits(values)
            self._image = ValuePicture(values), (limits.low, limits.high)
        picture, ends = self._image
        return picture.render(viewport, "gray", ends)


def _over(
    top: NDArray[np.uint32], bottom: NDArray[np.uint32], opacity: float
) -> NDArray[np.uint32]:
    """Lay one frame over another, which shows where it is opaque; both packed RGBA."""
    above = top.view(np.uint8).reshape(*top.shape, 4).astype(np.float32)
    below = bottom.view(np.uint8).reshape(*bottom.shape, 4)
    weight = above[..., 3:] * np.float32(opacity / 255)
    mixed = below.copy()
    mixed[..., :3] = weight * above[..., :3] + (1 - weight) * below[..., :3]
    packed: NDArray[np.uint32] = mixed.view(np.uint32)[..., 0]
    return packed
