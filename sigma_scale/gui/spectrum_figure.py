"""A live figure of spectra: named lines, a linear or logarithmic scale, values on hovering."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import xray
from sigma_scale.errors import EmptyMapError
from sigma_scale.gui.dressing import MUTED, dress_figure, figure_pane, seen_colour
from sigma_scale.plot.line_labels import Peak, line_name, spread
from sigma_scale.plot.spectrum_parts import energy_range, full_scale, peak_at

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["SpectrumFigure"]

_BAND_PX = 58
"""Height that the names of lines take, with what joins them to their peaks."""
_KNEE_PX = 10
_LABEL_PX = 14
_LOG_DECADES = 6
_AREA_ALPHA = 0.18
_THOUSANDS = 1000
"""From such a value on, the axis has whole numbers with commas and no powers of ten."""
_MANY = 4
"""From so many spectra on they have a legend beside the figure."""


@dataclass(frozen=True)
class _View:
    """Part of the figure that is seen."""

    x: tuple[float, float]
    y: tuple[float, float]


class SpectrumFigure:
    """
    Spectra on one energy axis.

    Parameters
    ----------
    energy_kev : array_like, shape (energy,)
        Centres of the channels in keV, rising.
    spectra : mapping of str to array_like of shape (energy,)
        Values by the names that the legend shows.
    colours : mapping of str to str, optional
        ``"#rrggbb"`` by name; blue, orange, green, ... where there is none.
    lines : sequence of str, optional
        X-ray lines that are named at their peaks.
    size : tuple of int, default: (760, 260)
        Width and height of the frame in screen pixels.
    y_label : str, default: "Counts"
        What the values are.
    beam_energy_kev : float, optional
        The axis ends there, unless lines lie higher.
    log : bool, default: False
        Logarithmic scale at first; the page has a switch.
    hidden : collection of str, default: ()
        Names of spectra that are hidden until they are clicked in the legend.

    Attributes
    ----------
    figure : bokeh.plotting.figure
        The figure as it is now: another one after the scale was switched.
    labels : bokeh.models.ColumnDataSource
        Names of lines that are written, in the column ``text``.

    Raises
    ------
    EmptyMapError
        If there is no channel.
    UnknownLineError
        If a line is not known.
    """

    def __init__(
        self,
        energy_kev: ArrayLike,
        spectra: Mapping[str, ArrayLike],
        *,
        colours: Mapping[str, str] | None = None,
        lines: Sequence[str] = (),
        size: tuple[int, int] = (760, 260),
        y_label: str = "Counts",
        beam_energy_kev: float | None = None,
        log: bool = False,
        hidden: Collection[str] = (),
    ) -> None:
        import panel as pn
        from bokeh.models import ColumnDataSource

        self._energy = np.asarray(energy_kev, dtype=np.float64)
        if not self._energy.size:
            raise EmptyMapError("There is no channel to draw.")
        self._size, self._y_label, self._beam = size, y_label, beam_energy_kev
        self._colours = dict(colours or {})
        self._log, self._hidden = log, set(hidden)
        self._spectra = _as_arrays(spectra)
        self._lines = _energies(lines)
        names = ("x", "y", "text", "line_x", "line_y")
        self.labels = ColumnDataSource({name: [] for name in names})
        self.figure: Any = None
        self._pane = figure_pane(None, margin=0)
        self._switch = pn.widgets.RadioButtonGroup(
            options={"Linear": False, "Log": True}, value=log, color="default",
            margin=(2, 8), align="end", stylesheets=[_SMALL],
        )  # fmt: skip
        self._switch.param.watch(lambda event: self.set_log(event.new), "value")
        self._build()

    @property
    def is_log(self) -> bool:
        """Whether the scale is logarithmic."""
        return self._log

    @property
    def spectra(self) -> Mapping[str, NDArray[np.float64]]:
        """Values by name, as they were given."""
        return dict(self._spectra)

    def __panel__(self) -> Any:
        """The figure with its switch between linear and logarithmic."""
        import panel as pn

        return pn.Column(self._switch, self._pane, margin=0)

    def show(
        self, spectra: Mapping[str, ArrayLike], colours: Mapping[str, str] | None = None
    ) -> None:
        """
        Show other spectra in place of these, on the same energies.

        Parameters
        ----------
        spectra, colours
            As for the class.
        """
        self._spectra = _as_arrays(spectra)
        self._colours |= dict(colours or {})
        self._build()

    def set_lines(self, lines: Sequence[str]) -> None:
        """
        Name other lines.

        Parameters
        ----------
        lines : sequence of str
            X-ray lines.

        Raises
        ------
        UnknownLineError
            If one is not known.
        """
        self._lines = _energies(lines)
        self._build()

    def set_log(self, log: bool) -> None:  # noqa: FBT001 - what a switch says
        """Switch to a logarithmic scale, or back."""
        self._switch.value = log
        if log != self._log:
            self._log = log
            self._build()

    def _build(self) -> None:
        # A scale can't be changed in a figure that is shown: there is a new one in its place.
        seen = self._energies_seen()
        figure = self._empty_figure(seen)
        hues = _hues(self._spectra, self._colours)
        for name, values in self._spectra.items():
            self._draw(figure, name, values, hues[name])
        self._add_labels(figure)
        self._add_legend(figure)
        dress_figure(figure)
        self._pane.object = self.figure = figure

    def _energies_seen(self) -> tuple[float, float]:
        """What was zoomed to; at first, what is worth showing."""
        if self.figure is not None:
            return self.figure.x_range.start, self.figure.x_range.end
        heights = [v / max(float(v.max()), np.finfo(float).tiny) for v in self._spectra.values()]
        whole = np.sum(heights, axis=0) if heights else np.zeros_like(self._energy)
        return energy_range(self._energy, whole, list(self._lines.values()), self._beam, 0.995)

    def _empty_figure(self, seen: tuple[float, float]) -> Any:
        from bokeh.events import RangesUpdate, Reset
        from bokeh.models import BoxZoomTool, NumeralTickFormatter, Range1d, WheelZoomTool
        from bokeh.plotting import figure

        top = max([full_scale(self._energy, v, seen) for v in self._spectra.values()], default=0)
        self._floor = max(top * 10.0**-_LOG_DECADES, _least(self._spectra)) if self._log else 0.0
        low, high = _with_band(
            self._floor, top if top > 0 else 1.0, _BAND_PX / self._size[1], log=self._log
        )
        wheel = WheelZoomTool(dimensions="width")
        options: dict[str, Any] = {
            "frame_width": self._size[0], "frame_height": self._size[1],
            "x_range": Range1d(start=seen[0], end=seen[1]),
            "y_range": Range1d(start=low, end=high),
            "y_axis_type": "log" if self._log else "linear",
            "x_axis_label": "Energy (keV)", "y_axis_label": self._y_label,
            "tools": ["xpan", wheel, BoxZoomTool(), "reset"], "active_scroll": wheel,
            "toolbar_location": "above",
        }  # fmt: skip
        made: Any = figure(**options)
        made.toolbar.logo = None
        made.grid.grid_line_alpha = 0.25
        made.yaxis.ticker.desired_num_ticks = 5
        if not self._log and top >= _THOUSANDS:
            made.yaxis.formatter = NumeralTickFormatter(format="0,0")
        made.axis.axis_label_text_font_style = "normal"
        first = _View(seen, (low, high))
        made.on_event(RangesUpdate, lambda e: self._place(_View((e.x0, e.x1), (e.y0, e.y1))))
        made.on_event(Reset, lambda _event: self._place(first))
        self._place(first)
        return made

    def _draw(self, figure: Any, name: str, values: NDArray[np.float64], colour: str) -> None:
        from bokeh.models import ColumnDataSource, HoverTool

        shown = np.maximum(values, self._floor) if self._log else values
        source = ColumnDataSource({"energy": self._energy, "value": values, "shown": shown})
        hue = seen_colour(colour)
        named = {"legend_label": name} if len(self._spectra) > 1 else {}
        if len(self._spectra) < _MANY:
            figure.varea(
                "energy", self._floor, "shown", source=source, color=hue,
                alpha=_AREA_ALPHA, visible=name not in self._hidden, **named,
            )  # fmt: skip
        line = figure.line(
            "energy", "shown", source=source, color=hue, line_width=1.4, name=name,
            visible=name not in self._hidden, **named,
        )  # fmt: skip
        line.on_change("visible", partial(self._on_legend, name))
        tips = [("", "@energy{0.000} keV"), (name.replace("@", ""), "@value{0,0.[0000]}")]
        figure.add_tools(
            HoverTool(renderers=[line], mode="vline", tooltips=tips, visible=False,
                      line_policy="nearest", attachment="horizontal")
        )  # fmt: skip

    def _on_legend(self, name: str, _attr: str, _old: bool, new: bool) -> None:  # noqa: FBT001
        """Keep what the legend hides and shows for a figure that takes this one's place."""
        (self._hidden.discard if new else self._hidden.add)(name)

    def _add_labels(self, figure: Any) -> None:
        figure.multi_line(
            "line_x", "line_y", source=self.labels, color=MUTED, line_width=0.8, line_dash="dotted"
        )
        figure.text(
            "x", "y", "text", source=self.labels, angle=np.pi / 2, text_font_size="11px",
            text_baseline="middle", text_color=MUTED, x_offset=0,
        )  # fmt: skip

    def _add_legend(self, figure: Any) -> None:
        if len(self._spectra) < 2:  # noqa: PLR2004 - one spectrum needs no name
            return
        legend = figure.legend[0]
        legend.click_policy = "hide"
        legend.label_text_font_size = "11px"
        legend.spacing, legend.padding, legend.glyph_height = 0, 4, 14
        legend.background_fill_alpha = 0.0
        legend.border_line_alpha = 0.0
        if len(self._spectra) < _MANY:
            legend.location = "top_right"
        else:
            figure.add_layout(legend, "right")

    def _place(self, view: _View) -> None:
        """Name the lines that are seen, the highest first where there is no room for all."""
        (start, end), (low, high) = view.x, view.y
        room = max(int(self._size[0] / _LABEL_PX), 1)
        peaks = [p for p in self._peaks() if start <= p.energy_kev <= end]
        peaks = sorted(peaks, key=lambda peak: -peak.height)[:room]
        peaks.sort(key=lambda peak: peak.energy_kev)
        pixel = (end - start) / self._size[0]
        half = _LABEL_PX * pixel / 2
        places = spread(
            [peak.energy_kev for peak in peaks], 2 * half, start + half, end - half
        ).tolist()
        knee, foot = _between(low, high, 1 - _BAND_PX / self._size[1], log=self._log), _between(
            low, high, 1 - (_BAND_PX - _KNEE_PX) / self._size[1], log=self._log
        )  # fmt: skip
        self.labels.data = {
            "x": places,
            "y": [foot] * len(places),
            "text": [f" {line_name(peak.line)}" for peak in peaks],
            "line_x": [[p.energy_kev, p.energy_kev, x] for p, x in zip(peaks, places, strict=True)],
            "line_y": [[min(max(p.height, low), knee), knee, foot] for p in peaks],
        }

    def _peaks(self) -> list[Peak]:
        if not self._spectra:
            return []
        highest = np.max(list(self._spectra.values()), axis=0)
        return [peak_at(self._energy, highest, name, e) for name, e in self._lines.items()]


_SMALL = ".bk-btn { padding: 1px 9px; font-size: 12px; }"


def _as_arrays(spectra: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    return {
        str(name): np.nan_to_num(np.asarray(values, dtype=np.float64))
        for name, values in spectra.items()
    }


def _energies(lines: Sequence[str]) -> dict[str, float]:
    return {line: xray.line_energy(line) for line in lines}


def _hues(spectra: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    from sigma_scale.plot.palette import complete_colours

    numbered = {k: given[name] for k, name in enumerate(spectra) if name in given}
    completed = complete_colours(range(len(spectra)), numbered)
    return {name: completed[k] for k, name in enumerate(spectra)}


def _least(spectra: Mapping[str, NDArray[np.float64]]) -> float:
    """Lowest value that a logarithmic axis can show."""
    lows = [float(values[values > 0].min()) for values in spectra.values() if (values > 0).any()]
    return 0.8 * min(lows) if lows else 0.1


def _with_band(low: float, top: float, band: float, *, log: bool) -> tuple[float, float]:
    """Limits of the axis with room for the names above the spectra."""
    share = 1 - band - 0.02
    if log:
        low = min(low, top / 10)
        return low, low * (top / low) ** (1 / share)
    return low, low + (top - low) / share


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    if log and low > 0:
        return float(low * (high / low) ** share)
    return low + (high - low) * share
