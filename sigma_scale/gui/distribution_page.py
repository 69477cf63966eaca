"""Live: a feature's map after each step of a normalisation, and how its values are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.gui.charts import histogram_chart
from sigma_scale.gui.dressing import Remark, figure_pane, plain
from sigma_scale.gui.layout import beside, room
from sigma_scale.gui.map_figure import MapFigure, link_maps, value_map
from sigma_scale.gui.scheduling import LatestOnly, Scheduler
from sigma_scale.plot.line_labels import line_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr

__all__ = ["DistributionPage"]

_WIDTH, _BESIDE = 980, 84
_IN_NOTEBOOK = 2  # stages in a row
_BINS = 80


class DistributionPage:
    """
    A selector of features, with maps and histograms of the one that is chosen.

    Parameters
    ----------
    stages : callable
        Takes a feature and gives its map, shape (y, x), at each stage by what was done.
    chosen : str
        Feature shown at first.
    names : sequence of str
        All features.
    cmap : str
        Colours of the maps.

    Attributes
    ----------
    selector : panel.widgets.Select
        The feature.
    maps : dict of str to MapFigure
        Maps by stage.
    remark : Remark
        What goes wrong.
    """

    def __init__(
        self,
        stages: Callable[[str], Mapping[str, xr.DataArray]],
        chosen: str,
        names: Sequence[str],
        cmap: str,
    ) -> None:
        import panel as pn

        self._stages, self._cmap = stages, cmap
        self._scheduler = Scheduler()
        self._width = room(_WIDTH)
        self._latest = LatestOnly(self._scheduler)
        self.maps: dict[str, MapFigure] = {}
        self.remark = Remark()
        self._shown = beside()
        self.selector = pn.widgets.Select(
            label="Feature", options={line_name(name): name for name in names}, value=chosen,
            width=160, margin=(2, 8),
        )  # fmt: skip
        self.selector.param.watch(lambda _event: self._make(), "value")
        self._make()

    def __panel__(self) -> Any:
        """Selector above the stages."""
        import panel as pn

        return pn.Column(self.selector, self.remark.pane, self._shown, margin=0)

    def _make(self) -> None:
        name = self.selector.value
        self.remark.say("Normalising ...")
        self._latest.work(
            lambda: {k: v.compute() for k, v in self._stages(name).items()},
            self._show, self.remark.fail,
        )  # fmt: skip

    def _show(self, stages: Mapping[str, xr.DataArray]) -> None:
        import panel as pn

        self.remark.say("")
        across = len(stages) if self._scheduler.is_served else min(len(stages), _IN_NOTEBOOK)
        width = max(self._width // across - _BESIDE, 120)
        first: MapFigure | None = None
        self.maps, columns = {}, []
        for title, image in stages.items():
            made = value_map(
                image, scheduler=self._scheduler, failed=self.remark.fail, size=(width, 320),
                title=title, cmap=self._cmap, ranges=first.ranges if first else None,
            )  # fmt: skip
            made.figure.toolbar.autohide = True  # so many tools would hide the titles
            first = first or made
            self.maps[title] = made
            values = image.to_numpy()
            values = values[np.isfinite(values)].astype(np.float64)
            counts, edges = np.histogram(values, bins=_BINS)
            mean, spread = (values.mean(), values.std()) if values.size else (np.nan, np.nan)
            said = plain(mean, scale=spread, digits=3), plain(spread, scale=mean, digits=3)
            label = f"Value (mean {said[0]}, sd {said[1]})"
            chart = histogram_chart(edges.tolist(), counts.tolist(), label=label, size=(width, 150))
            columns.append(pn.Column(figure_pane(made.figure), figure_pane(chart), margin=0))
        link_maps(list(self.maps.values()))
        self._shown.objects = columns
