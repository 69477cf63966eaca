"""Live maps side by side that pan and zoom together."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sigma_scale.gui.dressing import Remark
from sigma_scale.gui.layout import room
from sigma_scale.gui.map_figure import MapFigure, link_maps, map_grid, value_map
from sigma_scale.gui.scheduling import Scheduler
from sigma_scale.plot.line_labels import line_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr

__all__ = ["MapPage", "columns_of", "linked_maps", "map_page"]

_WIDTH, _BESIDE = 1000, 76
"""What a page 1280 pixels wide has beside a form; what a map needs beside its frame."""
_FEW = 4
_HEIGHTS = {1: 480, 2: 300, 3: 240, 4: 190}
_MOST_SHOWN = 12


def columns_of(n_maps: int, width: int = _WIDTH) -> int:
    """Maps in a row: few ones are shown large."""
    if n_maps == 1:
        return 1
    if n_maps <= _FEW:
        return 2
    return 3 if n_maps <= 3 * 3 or width < _WIDTH else 4


def linked_maps(
    maps: xr.DataArray,
    *,
    scheduler: Scheduler,
    failed: Callable[[Exception], None],
    width: int = _WIDTH,
    **options: Any,
) -> list[MapFigure]:
    """
    Make live maps that share their ranges.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        The maps, in memory.
    scheduler, failed
        See :class:`~sigma_scale.gui.map_figure.MapFigure`.
    width : int
        Pixels of the screen that a row of them may take.
    **options
        Further parameters of :func:`~sigma_scale.gui.map_figure.value_map`.

    Returns
    -------
    list of MapFigure
    """
    names = [str(name) for name in maps["line"].to_numpy()]
    across = columns_of(len(names), width)
    box = (width // across - _BESIDE, _HEIGHTS[across])
    made: list[MapFigure] = []
    for name in names:
        made.append(
            value_map(
                maps.sel(line=name), scheduler=scheduler, failed=failed, size=box,
                title=line_name(name), ranges=made[0].ranges if made else None, **options,
            )
        )  # fmt: skip
    for one in made:
        # Side by side, so many tools would hide the maps' names.
        one.figure.toolbar.autohide = len(made) > 1
    link_maps(made)
    return made


class MapPage:
    """
    Maps side by side, of which some can be chosen.

    Parameters
    ----------
    maps : callable
        Gives the maps, shape (y, x, line); called off the event loop.
    names : sequence of str
        Their names.
    **options
        Further parameters of :func:`~sigma_scale.gui.map_figure.value_map`.

    Attributes
    ----------
    selector : panel.widgets.MultiChoice
        Which maps are shown; at first all, or the first twelve.
    maps : list of MapFigure
        Those that are shown.
    remark : Remark
        What goes wrong.
    """

    def __init__(
        self, maps: Callable[[], xr.DataArray], names: Sequence[str], **options: Any
    ) -> None:
        import panel as pn

        self._scheduler = Scheduler()
        self._width = room(_WIDTH)
        self._options = options
        self._all: xr.DataArray | None = None
        self.maps: list[MapFigure] = []
        self.remark = Remark()
        self._shown = pn.Column(margin=0)
        self.selector = pn.widgets.MultiChoice(
            label="Maps", options={line_name(name): name for name in names},
            value=list(names)[:_MOST_SHOWN], margin=(0, 8),
            sizing_mode="stretch_width", max_width=self._width - 40,
        )  # fmt: skip
        self.selector.param.watch(lambda _event: self._show(), "value")
        self.remark.say("Making the maps ...")
        self._scheduler.work(lambda: maps().compute(), self._start, self.remark.fail)

    def __panel__(self) -> Any:
        """Selector above the maps."""
        import panel as pn

        return pn.Column(self.selector, self.remark.pane, self._shown, margin=0)

    def _start(self, maps: xr.DataArray) -> None:
        self._all = maps
        self.remark.say("")
        self._show()

    def _show(self) -> None:
        if self._all is None:
            return
        chosen = list(self.selector.value)
        self.remark.say("" if chosen else "Choose a map.")
        if not chosen:
            self.maps, self._shown.objects = [], []
            return
        self.maps = linked_maps(
            self._all.sel(line=chosen), scheduler=self._scheduler, failed=self.remark.fail,
            width=self._width, **self._options,
        )  # fmt: skip
        self._shown.objects = [map_grid(self.maps, columns_of(len(chosen), self._width))]


def map_page(maps: Callable[[], xr.DataArray], names: Sequence[str], **options: Any) -> Any:
    """Make a :class:`MapPage` as something to be laid out."""
    import panel as pn

    return pn.panel(partial(MapPage, maps, names, **options)())
