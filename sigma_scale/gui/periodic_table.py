"""A periodic table of buttons: elements that can be chosen, and those that are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sigma_scale import xray

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["PeriodicTable", "place_of"]

_CELL = 24
_NOBLE = (2, 10, 18, 36, 54, 86, 118)
_COLUMNS = 18
_LONG_PERIOD = 6
_INNER = 14
"""Elements of the two rows below the table, from La and Ac on."""


def place_of(number: int) -> tuple[int, int]:
    """
    Find the cell of an element.

    Parameters
    ----------
    number : int
        Atomic number.

    Returns
    -------
    row, column : int
        From 0; the lanthanides are in row 7 and the actinides in row 8.
    """
    period = next(k for k, noble in enumerate(_NOBLE, start=1) if number <= noble)
    place = number - (0, *_NOBLE)[period - 1]
    size = _NOBLE[period - 1] - (0, *_NOBLE)[period - 1]
    if period >= _LONG_PERIOD and 2 < place <= 2 + _INNER:  # noqa: PLR2004 - after the alkalis
        return period + 1, place - 1
    # The first two stand left; the others are counted from the right.
    column = place - 1 if place <= (1 if period == 1 else 2) else _COLUMNS - 1 - (size - place)
    return period - 1, column


class PeriodicTable:
    """
    Elements as buttons.

    Parameters
    ----------
    usable : collection of str
        Symbols of the elements that can be chosen; the others are disabled.
    clicked : callable
        Takes the symbol of an element whose button was pressed.

    Attributes
    ----------
    buttons : dict of str to panel.widgets.Button
        By symbol.
    """

    def __init__(self, usable: Collection[str], clicked: Callable[[str], None]) -> None:
        import panel as pn

        self._clicked = clicked
        self.buttons: dict[str, Any] = {}
        cells: dict[int, list[tuple[int, Any]]] = {}
        for symbol in xray.symbols():
            row, column = place_of(xray.atomic_number(symbol))
            is_usable = symbol in usable
            button = pn.widgets.Button(
                label=symbol, width=_CELL - 2, height=_CELL - 2, disabled=not is_usable,
                color="default", stylesheets=[_STYLE], margin=1,
            )  # fmt: skip
            button.on_click(partial(self._on_click, symbol))
            self.buttons[symbol] = button
            cells.setdefault(row, []).append((column, button))
        self._rows = [_row(cells.get(row, [])) for row in range(max(cells) + 1)]

    def __panel__(self) -> Any:
        """The table."""
        import panel as pn

        return pn.Column(*self._rows, margin=(4, 8), width=_COLUMNS * _CELL)

    def _on_click(self, symbol: str, _event: Any) -> None:
        self._clicked(symbol)

    @property
    def chosen(self) -> set[str]:
        """Symbols that are highlighted."""
        return {s for s, button in self.buttons.items() if button.color == "primary"}

    def highlight(self, symbols: Collection[str]) -> None:
        """
        Highlight the elements that are chosen.

        Parameters
        ----------
        symbols : collection of str
            Their symbols; all others aren't.
        """
        for symbol, button in self.buttons.items():
            kind = "primary" if symbol in symbols else "default"
            if button.color != kind:
                button.color = kind


def _row(cells: list[tuple[int, Any]]) -> Any:
    """Lay out the buttons of one row, with room where cells are missing."""
    import panel as pn

    end = 0
    for column, button in sorted(cells, key=lambda cell: cell[0]):
        button.margin = (1, 1, 1, 1 + _CELL * (column - end))
        end = column + 1
    # The two rows of inner elements stand a little apart.
    buttons = [button for _, button in sorted(cells, key=lambda cell: cell[0])]
    return pn.Row(*buttons, margin=0, height=_CELL)


_STYLE = (
    ".bk-btn { padding: 0; font-size: 11px; line-height: 20px; min-width: 0; border-radius: 3px;"
    " border: 1px solid rgba(133, 146, 160, 0.35); }"
    ".bk-btn[disabled] { opacity: 0.3; border-color: transparent; }"
    ".bk-btn-primary { font-weight: bold; }"
)
