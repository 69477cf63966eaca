"""The feature list as a text and as a periodic table, both saying the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sigma_scale import xray
from sigma_scale.errors import SigmaScaleError
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.gui.dressing import UNSEEN_LABEL, Remark
from sigma_scale.gui.periodic_table import PeriodicTable
from sigma_scale.plot.line_labels import line_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sigma_scale.workflow.datasets import SpectrumDataset
    from sigma_scale.workflow.image_dataset import ImageDataset

__all__ = ["FeatureChoice", "usable_lines"]


def usable_lines(dataset: SpectrumDataset | ImageDataset) -> dict[str, tuple[str, ...]]:
    """
    List what each element can be measured by.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        Of spectra: what lies on their axis and is excited; of images: those that there are.

    Returns
    -------
    dict of str to tuple of str
        Features by element, the one to take first; elements without any are left out.
    """
    spectra = dataset.spectra
    if spectra is None:
        found: dict[str, tuple[str, ...]] = {}
        for name in dataset.maps.lines:  # type: ignore[union-attr]
            element = _element(name)
            found[element] = (*found.get(element, ()), name)
        return found
    beam = spectra.metadata.beam_energy_kev
    usable = {
        symbol: xray.usual_lines(
            symbol, low_kev=spectra.energy.low, high_kev=spectra.energy.high, beam_energy_kev=beam
        )
        for symbol in xray.symbols()
    }
    return {symbol: lines for symbol, lines in usable.items() if lines}


class FeatureChoice:
    """
    A feature list to be edited and applied.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        Whose list it is.
    applied : callable
        Called after the dataset took over another list.

    Attributes
    ----------
    text : panel.widgets.TextAreaInput
        Names of features with commas.
    table : PeriodicTable
        Elements.
    shells : panel.widgets.CheckButtonGroup
        Lines of the element that was clicked last.
    apply : panel.widgets.Button
        Gives the list to the dataset.
    remark : Remark
        What the dataset says.
    """

    def __init__(
        self, dataset: SpectrumDataset | ImageDataset, applied: Callable[[], None]
    ) -> None:
        import panel as pn

        self._dataset, self._applied = dataset, applied
        self._usable: Mapping[str, Sequence[str]] = usable_lines(dataset)
        # Images may be named by files with blanks in their names.
        blank = any(" " in name for names in self._usable.values() for name in names)
        self._between = re.compile(r"[\n,;]+" if blank else r"[\s,;]+")
        self.text = pn.widgets.TextAreaInput(
            label="Features", value=", ".join(dataset.feature_list), rows=2, auto_grow=True,
            max_rows=4, margin=(0, 8), sizing_mode="stretch_width", resizable=False,
            stylesheets=[UNSEEN_LABEL],  # a heading above it says the same
        )  # fmt: skip
        self.table = PeriodicTable(self._usable, self._on_element)
        self.shells = pn.widgets.CheckButtonGroup(
            options={}, color="light", variant="outline", margin=(0, 8), visible=False,
            stylesheets=[".bk-btn { padding: 1px 10px; font-size: 12px; }"],
        )  # fmt: skip
        self._shells_of = ""
        self.apply = pn.widgets.Button(
            label="Apply", color="primary", margin=(2, 8), width=90, height=30
        )
        self.remark = Remark()
        self.text.param.watch(lambda _event: self._follow_text(), "value")
        # Also while it is typed, before the box is left.
        self.text.param.watch(lambda e: self._follow(self._read(e.new)), "value_input")
        self.shells.param.watch(lambda _event: self._follow_shells(), "value")
        self.apply.on_click(lambda _event: self.give())
        self._follow_text()

    @property
    def names(self) -> list[str]:
        """Features as the text names them."""
        return self._read(str(self.text.value))

    def __panel__(self) -> Any:
        """The text, the table and the button."""
        import panel as pn

        return pn.Column(
            self.text, self.table, pn.Row(self.apply, self.shells, margin=0), self.remark.pane,
            margin=0,
        )  # fmt: skip

    def _read(self, text: str) -> list[str]:
        return [name.strip() for name in self._between.split(text) if name.strip()]

    def add(self, name: str) -> None:
        """Put a feature at the end of the list, before the navigation image."""
        names = self.names
        if name in names:
            self.remark.say(f"{name} is listed already.")
            return
        end = len(names) - (names[-1:] == [NAVIGATOR])
        self._set([*names[:end], name, *names[end:]])

    def give(self) -> None:
        """Give the list to the dataset; what it refuses is said on the page."""
        try:
            self._dataset.set_feature_list(self.names)
        except SigmaScaleError as error:
            self.remark.fail(error)
            return
        self.remark.say("Applied.")
        self._applied()

    def _on_element(self, element: str) -> None:
        """Choose the usual line of an element, or none of its lines any more."""
        names = self.names
        own = [name for name in names if _element(name) == element]
        self._show_shells(element)
        if own:
            self._set([name for name in names if name not in own])
        else:
            self.add(self._usable[element][0])

    def _show_shells(self, element: str) -> None:
        lines = list(self._usable[element])
        self._shells_of = ""  # what changes now was not clicked
        chosen = [name for name in self.names if name in lines]
        self.shells.param.update(
            options={line_name(name): name for name in lines}, value=chosen,
            visible=len(lines) > 1,
        )  # fmt: skip
        self._shells_of = element

    def _follow_shells(self) -> None:
        if not self._shells_of:
            return
        offered, wanted = list(self._usable[self._shells_of]), list(self.shells.value)
        kept = [name for name in self.names if name not in offered or name in wanted]
        new = [name for name in wanted if name not in kept]
        if new or kept != self.names:
            end = len(kept) - (kept[-1:] == [NAVIGATOR])
            self._set([*kept[:end], *new, *kept[end:]])

    def _set(self, names: Sequence[str]) -> None:
        self.text.value = ", ".join(names)

    def _follow_text(self) -> None:
        self._follow(self.names)

    def _follow(self, names: Sequence[str]) -> None:
        self.table.highlight({_element(name) for name in names})
        if self._shells_of:
            element, self._shells_of = self._shells_of, ""
            self.shells.value = [name for name in names if name in self._usable[element]]
            self._shells_of = element
        is_new = list(names) != list(self._dataset.feature_list)
        self.remark.say("Not applied yet." if is_new else "")


def _element(name: str) -> str:
    return name.partition("_")[0]
