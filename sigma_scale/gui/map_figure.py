"""Live maps: values in colours with a scale bar, a colour bar, and regions drawn on them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.gui.dressing import dress_figure, figure_pane, selection_tools
from sigma_scale.gui.map_region import MapRegion, region_of
from sigma_scale.gui.picture_figure import PictureFigure
from sigma_scale.gui.window import follow_window, window_height
from sigma_scale.plot.contrast import contrast_limits
from sigma_scale.plot.map_picture import ValuePicture
from sigma_scale.plot.scale_bar import MICROMETRES, map_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.gui.scheduling import Scheduler
    from sigma_scale.plot.scale_bar import MapFrame
    from sigma_scale.plot.viewport import Viewport

__all__ = ["MapFigure", "frame_size", "link_maps", "map_grid", "value_map"]

_BAR = {
    "location": "bottom_left", "bar_length": 0.22, "bar_line_width": 3, "padding": 5, "margin": 6,
    "bar_line_color": "#ffffff", "label_text_color": "#ffffff", "label_text_font_size": "11px",
    "background_fill_color": "#000000", "background_fill_alpha": 0.55, "border_line_alpha": 0.0,
}  # fmt: skip
_LEAST_HEIGHT = 220
"""A map is no lower, however low the window is."""
_OUTLINE = (("#000000", 3.5), ("#ffffff", 1.5))
"""White on black: seen on any picture."""


class MapFigure:
    """
    A map that is rendered anew for the part that is seen.

    Parameters
    ----------
    render : callable
        As for :class:`~sigma_scale.gui.picture_figure.PictureFigure`.
    image : xarray.DataArray, dims (y, x)
        Gives the shape and, by its coordinates, the scale.
    scheduler : Scheduler
        Where rendering runs.
    size : tuple of int
        Box in screen pixels that the map has to fit into.
    failed : callable
        Takes what goes wrong.
    title : str, optional
        Written above.
    ranges : tuple of Range1d, optional
        Ranges of another map that this one follows.
    drawn : callable, optional
        Takes each region that is clicked or drawn; None: nothing can be drawn.
    beside_map : int, optional
        Height that everything else takes of a page's window: the map's box has what is left, as
        soon as the window's height is known. None: the box stays as it is.

    Attributes
    ----------
    picture : PictureFigure
        The picture.
    figure : bokeh.plotting.figure
        Its figure.
    shape : tuple of int
        Rows and columns.
    is_served : bool
        Whether this is in a page of a server.
    """

    def __init__(
        self,
        render: Callable[[Viewport], NDArray[np.uint32]],
        image: xr.DataArray,
        *,
        scheduler: Scheduler,
        size: tuple[int, int],
        failed: Callable[[Exception], None],
        title: str = "",
        ranges: tuple[Any, Any] | None = None,
        drawn: Callable[[MapRegion], None] | None = None,
        beside_map: int | None = None,
    ) -> None:
        from bokeh.models import ColumnDataSource

        self._frame, self._box, self._beside_map = map_frame(image), size, beside_map
        self.shape = (image.sizes["y"], image.sizes["x"])
        self.is_served = scheduler.is_served
        rows, columns = self.shape
        x_range, y_range = ranges or ((-0.5, columns - 0.5), (rows - 0.5, -0.5))
        self.picture = PictureFigure(
            render, x_range, y_range, scheduler=scheduler, size=self._size(),
            failed=failed, tools=selection_tools() if drawn else (),
        )  # fmt: skip
        self.figure = self.picture.figure
        self.figure.min_border = 4
        if title:
            self.figure.title.text = title
            self.figure.title.text_font_size = "12px"
        self._drawn = drawn
        self._outline = ColumnDataSource({"x": [], "y": []})
        if drawn is not None:
            self._watch_regions()
        self.figure.add_layout(scale_bar(image, self.figure.x_range))
        dress_figure(self.figure)
        if beside_map is not None:
            follow_window(self)

    def _size(self) -> tuple[int, int]:
        """Size of the frame in the window as it is now."""
        window, (width, height) = window_height(), self._box
        if self._beside_map is not None and window is not None:
            height = max(window - self._beside_map, _LEAST_HEIGHT)
        return _within(self._frame, (width, height))

    def fit_window(self) -> None:
        """Take the height that the window of the page has for it."""
        self.picture.resize(self._size())

    @property
    def ranges(self) -> tuple[Any, Any]:
        """Ranges of the figure, for maps that follow it."""
        return self.figure.x_range, self.figure.y_range

    def add_colour_bar(self, cmap: str, limits: tuple[float, float]) -> None:
        """
        Put a colour bar beside the map.

        Parameters
        ----------
        cmap : str
            Colour map of matplotlib.
        limits : tuple of float
            Values of its ends.
        """
        from bokeh.models import BasicTicker, LinearColorMapper
        from bokeh.models.annotations import ColorBar

        bar = ColorBar(
            color_mapper=LinearColorMapper(palette=_palette(cmap), low=limits[0], high=limits[1]),
            ticker=BasicTicker(desired_num_ticks=4), width=9, padding=4, label_standoff=4,
            major_label_text_font_size="10px", background_fill_alpha=0.0, bar_line_alpha=0.0,
        )  # fmt: skip
        self.figure.add_layout(bar, "right")
        dress_figure(self.figure)

    def outline(self, region: MapRegion | None) -> None:
        """Show what was drawn, or nothing any more."""
        x, y = region.outline() if region is not None else ([], [])
        self._outline.data = {"x": x, "y": y}

    def _watch_regions(self) -> None:
        from bokeh.events import SelectionGeometry

        for colour, width in _OUTLINE:
            line = self.figure.line("x", "y", source=self._outline, color=colour, line_width=width)
            line.nonselection_glyph = line.selection_glyph = None
        self.figure.on_event(SelectionGeometry, self._on_geometry)

    def _on_geometry(self, event: Any) -> None:
        if not event.final or self._drawn is None:
            return
        region = region_of(event.geometry, self.shape)
        if region is not None:
            self._drawn(region)


def value_map(
    image: xr.DataArray,
    *,
    scheduler: Scheduler,
    size: tuple[int, int],
    failed: Callable[[Exception], None],
    cmap: str = "inferno",
    limits: tuple[float, float] | None = None,
    title: str = "",
    ranges: tuple[Any, Any] | None = None,
    drawn: Callable[[MapRegion], None] | None = None,
) -> MapFigure:
    """
    Make a live map of values.

    Parameters
    ----------
    image : xarray.DataArray, shape (y, x)
        The values, in memory; NaN is transparent.
    scheduler, size, failed, title, ranges, drawn
        See :class:`MapFigure`.
    cmap : str, default: "inferno"
        Colour map of matplotlib.
    limits : tuple of float, optional
        Values of the first and the last colour; None: all but the outermost half percent.

    Returns
    -------
    MapFigure
    """
    values = image.transpose("y", "x").to_numpy()
    found = contrast_limits(values)
    ends = (found.low, found.high) if limits is None else limits
    picture = ValuePicture(values)
    made = MapFigure(
        partial(_render, picture, cmap, ends), image, scheduler=scheduler, size=size,
        failed=failed, title=title, ranges=ranges, drawn=drawn,
    )  # fmt: skip
    made.add_colour_bar(cmap, ends)
    return made


def _render(
    picture: ValuePicture, cmap: str, limits: tuple[float, float], viewport: Viewport
) -> NDArray[np.uint32]:
    return picture.render(viewport, cmap, limits)


def link_maps(maps: Sequence[MapFigure]) -> None:
    """
    Let maps that share their ranges make new frames together.

    Parameters
    ----------
    maps : sequence of MapFigure
        All were made with the ``ranges`` of the first.
    """
    from bokeh.events import RangesUpdate

    for one in maps:
        others = [other for other in maps if other is not one]
        # In a page the shared range tells each of them; in a notebook only the one that is moved.
        one.figure.on_event(RangesUpdate, lambda _event, others=others: _follow(others))


def _follow(others: Sequence[MapFigure]) -> None:
    for other in others:
        if not other.is_served:
            other.picture.refresh()


def map_grid(maps: Sequence[MapFigure], columns: int) -> Any:
    """Lay out maps in rows."""
    import panel as pn

    panes = [figure_pane(one.figure, margin=(0, 8, 8, 0)) for one in maps]
    return pn.GridBox(*panes, ncols=columns)


def frame_size(image: xr.DataArray, box: tuple[int, int]) -> tuple[int, int]:
    """
    Choose the size of a map's frame.

    Parameters
    ----------
    image : xarray.DataArray, dims (y, x)
        The map.
    box : tuple of int
        Width and height that it has to fit into.

    Returns
    -------
    width, height : int
        In the map's proportions, unless it is thinner than a tenth of its length.
    """
    return _within(map_frame(image), box)


def _within(frame: MapFrame, box: tuple[int, int]) -> tuple[int, int]:
    width, height = frame.size_within(*map(float, box))
    return max(round(width), 40), max(round(height), 24)


def scale_bar(image: xr.DataArray, x_range: Any) -> Any:
    """
    Make a scale bar that follows the zoom.

    Parameters
    ----------
    image : xarray.DataArray, dims (y, x)
        The map; its coordinates say how large a pixel is.
    x_range : bokeh.models.Range1d
        What is seen of it, in pixels.

    Returns
    -------
    bokeh.models.ScaleBar
        In nm, µm or mm; in pixels where the map has no scale.
    """
    from bokeh.models import CustomJS, Range1d
    from bokeh.models.annotations import ScaleBar
    from bokeh.models.annotations.dimensional import ImperialLength, MetricLength

    frame = map_frame(image)
    ticks = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
    options: dict[str, Any] = dict(_BAR)
    if frame.unit in MICROMETRES:
        # The range counts pixels: the bar follows another one, in micrometres.
        pixel = frame.width / image.sizes["x"] * MICROMETRES[frame.unit]
        lengths = Range1d(start=pixel * x_range.start, end=pixel * x_range.end)
        follow = CustomJS(
            args={"seen": x_range, "lengths": lengths, "pixel": pixel},
            code="lengths.setv({start: pixel * seen.start, end: pixel * seen.end})",
        )
        x_range.js_on_change("start", follow)
        x_range.js_on_change("end", follow)
        units = MetricLength(include=["nm", "µm", "mm"], ticks=ticks)
        return ScaleBar(range=lengths, unit="µm", dimensional=units, **options)
    name = "pixels" if frame.unit == "pixel" else frame.unit
    # Bokeh's pages know no CustomDimensional, but this one, whose units can be replaced.
    other = ImperialLength(basis={name: (1.0, name)}, ticks=ticks)
    return ScaleBar(range=x_range, unit=name, dimensional=other, **options)


def _palette(cmap: str) -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps[cmap](np.linspace(0, 1, 256))]
