"""Looking up which X-ray lines lie near an energy, while one types."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sigma_scale import xray
from sigma_scale.errors import ParameterError
from sigma_scale.gui.dressing import Remark
from sigma_scale.plot.line_labels import line_name

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LineSearch"]

_MOST = 6
_STEP_KEV = 0.01


class LineSearch:
    """
    A box for an energy, and the lines near it with a button for each.

    Parameters
    ----------
    choose : callable
        Takes the name of a line whose button is pressed.
    energy_kev, width_kev : float
        What is looked up at first: lines within half the width.

    Attributes
    ----------
    energy, width : panel.widgets.FloatInput
        The boxes.
    buttons : list of panel.widgets.Button
        One for each line listed, named after it, the nearest first.
    remark : Remark
        What can't be looked up, or how many more lines there are.
    """

    def __init__(
        self,
        choose: Callable[[str], None],
        *,
        energy_kev: float = 1.4898,
        width_kev: float = 0.2,
    ) -> None:
        import panel as pn

        self._choose = choose
        self.energy = pn.widgets.FloatInput(
            label="Energy (keV)", value=energy_kev, start=0, step=_STEP_KEV, width=120,
            margin=(0, 8),
        )  # fmt: skip
        self.width = pn.widgets.FloatInput(
            label="Width (keV)", value=width_kev, start=0, step=_STEP_KEV, width=110, margin=(0, 8)
        )
        self.remark = Remark()
        self.buttons: list[Any] = []
        self._table = pn.GridBox(ncols=2, margin=(4, 0))
        for box in (self.energy, self.width):
            # `value_throttled` would wait for the box to be left; this follows the typing.
            box.param.watch(lambda _event: self._look_up(), "value")
        self._look_up()

    @property
    def lines(self) -> list[str]:
        """Names of the lines that are listed."""
        return [button.tags[0] for button in self.buttons]

    def __panel__(self) -> Any:
        """The boxes above the table."""
        import panel as pn

        return pn.Column(
            pn.Row(self.energy, self.width, margin=0), self._table, self.remark.pane, margin=0
        )

    def _on_click(self, name: str, _event: Any) -> None:
        self._choose(name)

    def _look_up(self) -> None:
        import panel as pn

        if self.energy.value is None or self.width.value is None:
            self.buttons, self._table.objects = [], []
            self.remark.say("Give an energy and a width in keV.")
            return
        try:
            found = xray.lines_near(self.energy.value, tolerance_kev=self.width.value / 2)
        except ParameterError as error:
            self.buttons, self._table.objects = [], []
            self.remark.fail(error)
            return
        self.buttons = []
        cells: list[Any] = []
        for line in found[:_MOST]:
            button = pn.widgets.Button(
                label=f"+ {line_name(line.name)}", tags=[line.name], width=76, height=22,
                margin=(0, 8), stylesheets=[_SMALL], description=f"Add {line.name} to the features",
            )  # fmt: skip
            button.on_click(partial(self._on_click, line.name))
            self.buttons.append(button)
            distance = 1000 * (line.energy_kev - self.energy.value)
            cells += [
                button,
                pn.pane.HTML(
                    f"{line.energy_kev:.4f} keV &ensp; {distance:+.1f} eV &ensp; "
                    f"weight {line.weight:.2f}",
                    margin=(3, 0), styles=_FIGURES,
                ),
            ]  # fmt: skip
        self._table.objects = cells
        n_more = len(found) - _MOST
        if not found:
            self.remark.say("No line lies there.")
        else:
            self.remark.say(f"{n_more} more: make the width smaller." if n_more > 0 else "")


_SMALL = ".bk-btn { padding: 0 4px; font-size: 12px; line-height: 20px; }"
_FIGURES = {"font-size": "12px", "font-variant-numeric": "tabular-nums"}
