"""A live table of clusters, in which they are picked and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.gui.dressing import is_dark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from sigma_scale.workflow.segmenter.clusters import ClusterState

__all__ = ["ClusterTable", "cluster_frame"]

_HEIGHT = 300
_TICKS, _SCROLLBAR = 44, 17
"""Width of the column of boxes to tick, and of what long tables are scrolled with."""
_COLOUR, _NUMBER, _NAME, _ELEMENTS, _SHARE = 24, 32, 84, 96, 48
_DIGIT = 8
"""Width that a digit of a number of pixels has at most, so that large maps get wide columns."""
_STYLE = (
    # Twice, so that it outweighs what notebooks say.
    ".tabulator.tabulator, .tabulator.tabulator .tabulator-row { font-size: 12px; }"
    ".tabulator .tabulator-cell { padding: 3px 4px; }"
)
_ROWS = 100
"""Clusters on a page of the table."""


class ClusterTable:
    """
    Clusters with their colours, names and sizes.

    Parameters
    ----------
    state : ClusterState
        What is shown at first.
    picked : callable
        Takes the numbers of the clusters whenever the user picks others.
    renamed : callable, optional
        Takes a cluster's number and the name that the user gave it; None: names stay.
    elements : mapping of int to str, optional
        What clusters contain, shown beside their names until their pixels change.

    Attributes
    ----------
    widget : panel.widgets.Tabulator
        What is put into the layout.
    """

    def __init__(
        self,
        state: ClusterState,
        *,
        picked: Callable[[Sequence[int]], None],
        renamed: Callable[[int, str], None] | None,
        elements: Mapping[int, str] | None = None,
    ) -> None:
        import panel as pn

        self._picked, self._renamed = picked, renamed
        sizes = state.pixels.sizes().tolist()
        self._elements = {k: (sizes[k], said) for k, said in (elements or {}).items()}
        pixels = max(_DIGIT * len(f"{state.pixels.n_measured:,}"), 52)
        widths = {"": _COLOUR, "no.": _NUMBER, "name": _NAME, "pixels": pixels, "%": _SHARE}
        if self._elements:
            widths["elements"] = _ELEMENTS
        self._is_updating = False
        self._numbers: list[int] = []
        self.widget = pn.widgets.Tabulator(
            self._table(state),
            selectable="checkbox",
            show_index=False,
            pagination="local" if state.pixels.n_clusters > _ROWS else None,
            page_size=_ROWS,
            height=_HEIGHT,
            width=_TICKS + sum(widths.values()) + _SCROLLBAR,
            layout="fit_data_fill",
            theme="midnight" if is_dark() else "simple",
            widths=widths,
            text_align={"no.": "right", "pixels": "right", "%": "right"},
            formatters={
                "": {"type": "color"},
                "name": {"type": "plaintext"},
                "elements": {"type": "plaintext"},
            },
            editors={
                "": None,
                "no.": None,
                "pixels": None,
                "%": None,
                "elements": None,
                "name": {"type": "input"} if renamed else None,
            },
            sortable=False,
            configuration={"columnDefaults": {"minWidth": 20, "tooltip": True}},
            stylesheets=[_STYLE],
        )
        self._numbers = self.widget.value["no."].tolist()
        self.widget.param.watch(self._on_selection, "selection")
        self.widget.on_edit(self._on_edit)

    def show(self, state: ClusterState, clusters: Sequence[int]) -> None:
        """
        Show the clusters as they are now.

        Parameters
        ----------
        state : ClusterState
            The clusters.
        clusters : sequence of int
            Those that are picked.
        """
        table = self._table(state)
        self._numbers = table["no."].tolist()
        rows = [self._numbers.index(k) for k in clusters if k in self._numbers]
        self._is_updating = True
        try:
            if not table.equals(self.widget.value):
                self.widget.value = table
            if rows != self.widget.selection:
                self.widget.selection = rows
        finally:
            self._is_updating = False

    def _table(self, state: ClusterState) -> pd.DataFrame:
        """The clusters, with the elements of those that are still what they were."""
        table = cluster_frame(state)
        if self._elements:
            rows = zip(table["no."].tolist(), table["pixels"].tolist(), strict=True)
            known = [self._elements.get(k, (size, "")) for k, size in rows]
            said = [
                text if size == before else ""
                for size, (before, text) in zip(table["pixels"].tolist(), known, strict=True)
            ]
            table.insert(3, "elements", said)
        return table

    def _on_selection(self, event: Any) -> None:
        if not self._is_updating:
            self._picked([self._numbers[row] for row in event.new if row < len(self._numbers)])

    def _on_edit(self, event: Any) -> None:
        if self._renamed is not None and event.column == "name" and event.value != event.old:
            self._renamed(self._numbers[event.row], str(event.value))


def cluster_frame(state: ClusterState) -> pd.DataFrame:
    """
    Give the clusters as a table.

    Parameters
    ----------
    state : ClusterState
        The clusters.

    Returns
    -------
    pandas.DataFrame
        Columns "" (the colour), "no.", "name", "pixels" and "%" of the area that was measured; the
        last row is the noise, number -1, where there is any.
    """
    import pandas as pd

    sizes = state.pixels.sizes()
    colours, names = state.colours_by_number(), state.names_by_number()
    numbers = list(range(len(sizes)))
    pixels = sizes.tolist()
    n_pixels = state.pixels.n_measured
    if NOISE in colours:
        numbers.append(NOISE)
        pixels.append(state.pixels.n_noise)
        names = {**names, NOISE: "noise"}
    return pd.DataFrame(
        {
            "": [colours[number] for number in numbers],
            "no.": numbers,
            "name": [names[number] for number in numbers],
            "pixels": pixels,
            "%": np.round(100 * np.asarray(pixels, dtype=np.float64) / max(n_pixels, 1), 2),
        }
    )
