"""A figure of Bokeh that shows pictures made here, anew for whatever part is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale.gui.dressing import ALL_TOOLS
from sigma_scale.gui.scheduling import LatestOnly
from sigma_scale.plot.viewport import Viewport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from bokeh.models import Range1d
    from numpy.typing import NDArray

    from sigma_scale.gui.scheduling import Scheduler

__all__ = ["PictureFigure"]

_COALESCED_MS = 40
"""Zooming sends dozens of events; frames in between would only delay the last one."""


class PictureFigure:
    """
    A figure whose picture is rendered for the part and the size in which it is seen.

    Parameters
    ----------
    render : callable
        Takes a :class:`~sigma_scale.plot.viewport.Viewport` and gives its frame, packed RGBA as
        uint32 of shape (height, width). It runs in a thread and touches no model.
    x_range, y_range : tuple of float, or bokeh.models.Range1d
        What is shown at first; a map's y range goes from the last row to the first. Figures that
        are given the same Range1d pan and zoom together.
    scheduler : Scheduler
        Where rendering runs.
    size : tuple of int
        Width and height of the frame in screen pixels.
    failed : callable
        Takes the exception where a frame can't be made.
    tools : sequence of str or Tool
        Tools of the toolbar besides panning, zooming and reset.
    axis_labels : tuple of str, optional
        Names of the axes; None: no axes, as for maps.

    Attributes
    ----------
    figure : bokeh.plotting.figure
        The figure, to put further glyphs and events on.
    n_frames : int
        Frames shown so far.
    """

    def __init__(
        self,
        render: Callable[[Viewport], NDArray[np.uint32]],
        x_range: tuple[float, float] | Range1d,
        y_range: tuple[float, float] | Range1d,
        *,
        scheduler: Scheduler,
        size: tuple[int, int],
        failed: Callable[[Exception], None],
        tools: Sequence[Any] = (),
        axis_labels: tuple[str, str] | None = None,
    ) -> None:
        from bokeh import plotting
        from bokeh.models import BoxZoomTool, ColumnDataSource, WheelZoomTool

        self._render = render
        self._scheduler = scheduler
        self._latest = LatestOnly(scheduler)
        self._failed = failed
        self._size = size
        self._is_pending = False
        self._frames = ColumnDataSource(
            {name: [] for name in ("image", "x", "y", "dw", "dh")}, name="frames"
        )
        self.n_frames = 0
        wheel = WheelZoomTool()
        make: Any = plotting.figure  # its many options aren't typed
        self.figure = make(
            frame_width=size[0],
            frame_height=size[1],
            x_range=_as_range(x_range),
            y_range=_as_range(y_range),
            # Pixels of a map stay square.
            tools=["pan", wheel, BoxZoomTool(match_aspect=axis_labels is None), *tools, "reset"],
            active_scroll=wheel,
            toolbar_location="above",
            output_backend="canvas",
        )
        self.figure.toolbar.logo = None
        self.figure.toolbar.stylesheets = [ALL_TOOLS]
        self.figure.grid.visible = False
        if axis_labels is None:
            self.figure.axis.visible = False
        else:
            self.figure.xaxis.axis_label, self.figure.yaxis.axis_label = axis_labels
        self.figure.image_rgba(
            image="image", x="x", y="y", dw="dw", dh="dh", source=self._frames, level="image"
        )
        self._watch_ranges()
        if scheduler.is_served:
            self.refresh()  # the page need not wait for it
        else:
            self.draw_now()

    def _watch_ranges(self) -> None:
        from bokeh.events import RangesUpdate

        if not self._scheduler.is_served:
            # One event per step; each end of each range would make a frame of its own.
            self.figure.on_event(RangesUpdate, lambda _event: self.refresh())
            return
        for axis in (self.figure.x_range, self.figure.y_range):
            axis.on_change("start", self._on_range)
            axis.on_change("end", self._on_range)

    @property
    def viewport(self) -> Viewport:
        """What is seen, and in how many pixels."""
        x, y = self.figure.x_range, self.figure.y_range
        return Viewport((x.start, x.end), (y.start, y.end), *self._size)

    def draw_now(self) -> None:
        """Make the frame at once, and wait for it."""
        viewport = self.viewport
        self._show(viewport, self._render(viewport))

    def refresh(self) -> None:
        """Make the frame anew, since what it shows has changed."""
        self._is_pending = False
        viewport = self.viewport
        self._latest.work(
            lambda: self._render(viewport), lambda frame: self._show(viewport, frame), self._failed
        )

    def resize(self, size: tuple[int, int]) -> None:
        """Give the frame another width and height in screen pixels."""
        if size != self._size:
            self._size = size
            self.figure.frame_width, self.figure.frame_height = size
            self.refresh()

    def _show(self, viewport: Viewport, frame: NDArray[np.uint32]) -> None:
        # An image's first row lies at the smallest value of its axis, whichever way that runs.
        (x_low, x_high), (y_low, y_high) = sorted(viewport.x_range), sorted(viewport.y_range)
        self._frames.data = {
            "image": [frame],
            "x": [x_low],
            "y": [y_low],
            "dw": [x_high - x_low],
            "dh": [y_high - y_low],
        }
        self.n_frames += 1

    def _on_range(self, _name: str, _old: float, _new: float) -> None:
        if not self._is_pending:
            self._is_pending = True
            self.figure.document.add_timeout_callback(self.refresh, _COALESCED_MS)


def _as_range(ends: tuple[float, float] | Range1d) -> Range1d:
    from bokeh.models import Range1d

    return ends if isinstance(ends, Range1d) else Range1d(start=ends[0], end=ends[1])
