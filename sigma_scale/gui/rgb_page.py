"""A live picture of three maps in red, green and blue, chosen from lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.gui.dataset_maps import map_names
from sigma_scale.gui.dressing import Remark, figure_pane
from sigma_scale.gui.map_figure import MapFigure
from sigma_scale.gui.scheduling import Scheduler
from sigma_scale.plot.contrast import contrast_limits
from sigma_scale.plot.line_labels import line_name
from sigma_scale.plot.map_picture import ValuePicture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.plot.viewport import Viewport

__all__ = ["RgbPage", "blend"]

_NONE = "(none)"
_CHANNELS = ("Red", "Green", "Blue")
_OPAQUE = np.uint32(0xFF000000)
_BESIDE_MAP = 410
"""Height in pixels of what a page has above and below the picture."""


class RgbPage:
    """
    Three selectors and the picture that they make.

    Parameters
    ----------
    maps : callable
        Gives the maps, shape (y, x, line); called off the event loop.
    chosen : sequence of str
        Up to three names for red, green and blue at first.
    names : sequence of str
        Names of all maps.
    limits : tuple of float, optional
        Values of black and full colour; None: of each map all but the outermost half percent.

    Attributes
    ----------
    selectors : list of panel.widgets.Select
        For red, green and blue.
    map : MapFigure or None
        The picture, once the maps are there.
    remark : Remark
        What goes wrong.
    """

    def __init__(
        self,
        maps: Callable[[], xr.DataArray],
        chosen: Sequence[str],
        names: Sequence[str],
        *,
        limits: tuple[float, float] | None = None,
        size: tuple[int, int] = (720, 480),
    ) -> None:
        import panel as pn

        self._scheduler = Scheduler()
        self._limits, self._size = limits, size
        self._maps: xr.DataArray | None = None
        self._pictures: dict[str, tuple[ValuePicture, tuple[float, float]]] = {}
        options = {_NONE: _NONE, **{line_name(name): name for name in names}}
        self.selectors = [
            pn.widgets.Select(
                label=channel, options=options, value=[*chosen, *[_NONE] * 3][k], width=150,
                margin=(2, 8), styles={"border-left": f"5px solid {colour}", "padding-left": "6px"},
            )
            for k, (channel, colour) in enumerate(
                zip(_CHANNELS, ("#e8000b", "#1ac938", "#0343df"), strict=True)
            )
        ]  # fmt: skip
        self.map: MapFigure | None = None
        self.remark = Remark()
        self._shown = pn.Column(margin=0)
        for selector in self.selectors:
            selector.param.watch(lambda _event: self._refresh(), "value")
        self.remark.say("Making the maps ...")
        self._scheduler.work(lambda: maps().compute(), self._start, self.remark.fail)

    def __panel__(self) -> Any:
        """Selectors above the picture."""
        import panel as pn

        return pn.Column(pn.Row(*self.selectors, margin=0), self.remark.pane, self._shown, margin=0)

    def render(self, viewport: Viewport) -> NDArray[np.uint32]:
        """
        Make a frame of the maps that are chosen.

        Parameters
        ----------
        viewport : Viewport
            What is seen.

        Returns
        -------
        numpy.ndarray, shape (height, width), uint32
            Packed RGBA. Missing values count as black, unless all three are missing there.
        """
        frames: list[NDArray[np.uint32] | None] = []
        for selector in self.selectors:
            if selector.value == _NONE:
                frames.append(None)
                continue
            picture, limits = self._picture(selector.value)
            frames.append(picture.render(viewport, "gray", limits))
        return blend(frames, (viewport.height, viewport.width))

    def _picture(self, name: str) -> tuple[ValuePicture, tuple[float, float]]:
        if name not in self._pictures:
            values = self._maps.sel(line=name).transpose("y", "x").to_numpy()  # type: ignore[union-attr]
            found = contrast_limits(values)
            self._pictures[name] = ValuePicture(values), self._limits or (found.low, found.high)
        return self._pictures[name]

    def _start(self, maps: xr.DataArray) -> None:

        self._maps = maps
        known = map_names(maps)
        self.remark.say("")
        self.map = MapFigure(
            self.render, maps.sel(line=known[0]), scheduler=self._scheduler, size=self._size,
            failed=self.remark.fail, beside_map=_BESIDE_MAP,
        )  # fmt: skip
        self._shown.objects = [figure_pane(self.map.figure, margin=0)]

    def _refresh(self) -> None:
        if self.map is not None:
            self.map.picture.refresh()


def blend(
    frames: Sequence[NDArray[np.uint32] | None], shape: tuple[int, int]
) -> NDArray[np.uint32]:
    """
    Put grey frames together as red, green and blue.

    Parameters
    ----------
    frames : sequence of array or None, shape (height, width), uint32
        Packed RGBA for each of the three; None: nothing in that colour.
    shape : tuple of int
        Height and width.

    Returns
    -------
    numpy.ndarray, shape (height, width), uint32
        Packed RGBA, opaque where any of the frames is.
    """
    whole = np.zeros(shape, dtype=np.uint32)
    for k, frame in enumerate(frames):
        if frame is not None:
            # Red is in the lowest byte; grey has the same value in all three.
            whole |= frame & np.uint32(0xFF << (8 * k))
            whole |= frame & _OPAQUE
    return whole
