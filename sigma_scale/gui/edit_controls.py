"""Buttons of the editor of clusters: what can be done with what is picked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sigma_scale.clustering.labels import NOISE
from sigma_scale.gui.dressing import UNSEEN_LABEL, tick_box
from sigma_scale.plot.palette import phase_colours

if TYPE_CHECKING:
    from collections.abc import Callable

    from sigma_scale.gui.edit_session import EditSession
    from sigma_scale.workflow.segmenter.clusters import ClusterState

__all__ = ["EditControls"]

_FEWEST_MERGED = 2
# The name of the colour is there for screen readers, not to be seen.
_SWATCH = """
.bk-btn.bk-btn-default { background: %s !important; border: 1px solid #8592a0; border-radius: 3px;
  padding: 0; min-width: 0; width: 22px; height: 20px; font-size: 0; }
.bk-btn.bk-btn-default:disabled { opacity: 0.35; }
.bk-btn.bk-btn-default:focus-visible { outline: 2px solid #56b4e9; outline-offset: 1px; }
"""
_ACROSS = 10
_NOTHING = (
    "Nothing is picked. Draw around points or on the map, tap one, or tick rows of the table."
)


class EditControls:
    """
    Buttons that call a session's edits.

    Parameters
    ----------
    session : EditSession
        What is picked, and the edits.
    run : callable
        Carries out an edit and shows what came of it.
    n_colours : int
        Colours to choose from.

    Attributes
    ----------
    bar, colours : panel.viewable.Viewable
        What is put into a layout: the buttons with a line that says what is picked, and the
        colours.
    """

    def __init__(
        self, session: EditSession, run: Callable[[Callable[[], Any]], None], n_colours: int
    ) -> None:
        import panel as pn

        self._session, self._run = session, run
        self._picked = pn.pane.HTML(_NOTHING, margin=(6, 8), styles={"font-size": "13px"})
        button = self._button
        self._create = button("Create cluster", session.create, "primary")
        self._target = pn.widgets.Select(
            width=150,
            margin=(4, 4),
            label="Cluster to move to",
            align="center",
            stylesheets=[UNSEEN_LABEL],
        )
        self._move = button("Move to", self._move_there)
        self._merge = button("Merge", session.merge)
        self._clear = button("Clear selection", session.clear)
        self._undo = button("Undo", session.undo)
        self._redo = button("Redo", session.redo)
        self._reset = pn.widgets.Button(label="Reset…", margin=(4, 4), height=32)
        self._noise = tick_box("Include noise", value=session.include_noise, margin=(4, 8))
        self._question = pn.Row(visible=False)
        self._answer = pn.pane.HTML("", margin=(10, 8))
        self._ask_before_reset()
        self._noise.param.watch(self._on_noise, "value")
        self.bar = pn.Column(
            pn.FlexBox(
                self._create, self._merge, self._move, self._target, self._clear,
                self._undo, self._redo, self._reset, align_items="center",
            ),
            self._question,
            pn.FlexBox(self._noise, self._picked, align_items="center"),
            sizing_mode="stretch_width",
        )  # fmt: skip
        self.colours = self._swatches(n_colours)

    def show(self, state: ClusterState) -> None:
        """
        Say what is picked, and let only those buttons be pressed that can do something.

        Parameters
        ----------
        state : ClusterState
            The clusters as they are now.
        """
        session, names = self._session, state.names_by_number()
        self._picked.object = _said(session, names)
        has_pixels = session.pixels is not None
        for control in (self._create, self._move, self._target):
            control.disabled = not has_pixels
        clusters = [k for k in session.clusters if k != NOISE]
        self._merge.disabled = len(clusters) < _FEWEST_MERGED
        self._clear.disabled = not has_pixels and not session.clusters
        self._undo.disabled = not session.ps.can_undo
        self._redo.disabled = not session.ps.can_redo
        self._reset.disabled = not session.ps.can_undo
        for swatch in (*self.colours.objects[1], self._any_colour, self._recolour):
            swatch.disabled = not session.clusters
        options = {f"{k}  {name}": k for k, name in names.items()} | {"noise": NOISE}
        if options != self._target.options:
            self._target.param.update(options=options, value=next(iter(options.values())))

    def _button(self, label: str, action: Callable[[], Any], kind: str = "default") -> Any:
        import panel as pn

        made = pn.widgets.Button(label=label, color=kind, margin=(4, 4), height=32)
        made.on_click(lambda _event: self._run(action))
        return made

    def _move_there(self) -> None:
        self._session.move(int(self._target.value))

    def _on_noise(self, event: Any) -> None:
        def change() -> None:
            self._session.include_noise = bool(event.new)
            self._session.clear()

        self._run(change)

    def _ask_before_reset(self) -> None:
        import panel as pn

        def ask(_event: Any) -> None:
            n_edits = len(self._session.ps.edit_log)
            self._answer.object = f"Take back all edits ({n_edits})? Redo brings them back."
            self._question.visible = True

        def close(_event: Any) -> None:
            self._question.visible = False

        self._reset.on_click(ask)
        yes = self._button("Yes, reset", self._session.reset, "danger")
        no = pn.widgets.Button(label="Keep them", margin=(4, 4), height=32)
        yes.on_click(close)
        no.on_click(close)
        self._question[:] = [self._answer, yes, no]

    def _swatches(self, n_colours: int) -> Any:
        import panel as pn

        colours = phase_colours(range(n_colours)).values()
        swatches = pn.GridBox(*map(self._swatch, colours), ncols=_ACROSS)
        self._any_colour = pn.widgets.ColorPicker(
            value="#0072b2",
            width=60,
            margin=(2, 4),
            label="Any colour",
            stylesheets=[UNSEEN_LABEL],
        )
        self._recolour = self._button(
            "Use this colour", lambda: self._session.recolour(str(self._any_colour.value))
        )
        return pn.Column(
            pn.pane.HTML("Colour of the clusters picked", margin=(8, 8, 2, 8)),
            swatches,
            pn.Row(self._any_colour, self._recolour),
        )

    def _swatch(self, colour: str) -> Any:
        import panel as pn

        made = pn.widgets.Button(
            label=colour, width=24, height=22, margin=2, stylesheets=[_SWATCH % colour],
        )  # fmt: skip
        made.on_click(lambda _event: self._run(partial(self._session.recolour, colour)))
        return made


def _said(session: EditSession, names: dict[int, str]) -> str:
    """Say what is picked, as HTML."""
    from html import escape

    if session.pixels is not None:
        share = session.n_pixels / session.ps.state.pixels.n_measured
        return f"<b>{session.n_pixels:,} pixels</b> are picked, {share:.2%} of the map."
    if not session.clusters:
        return _NOTHING
    listed = ", ".join(
        "noise" if k == NOISE else f"{k} ({names[k]})" if names[k] != f"cluster_{k}" else str(k)
        for k in session.clusters
    )
    noun = "Cluster" if len(session.clusters) == 1 else "Clusters"
    return f"{noun} <b>{escape(listed)}</b> picked."
