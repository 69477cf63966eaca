"""The bar at the foot of a page: what went wrong, and how far the running step is."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import panel as pn

if TYPE_CHECKING:
    from collections.abc import Callable

    from sigma_scale.workflow.background import Task

__all__ = ["StatusBar"]


class StatusBar:
    """
    Messages, progress and a button that cancels.

    Parameters
    ----------
    cancel : callable
        Called when the button is pressed.
    dismissed : callable
        Called when the message is taken away by the user.
    save : callable
        Called when edits that are not saved yet are to be saved.
    """

    text: str
    """The message that is shown."""

    def __init__(
        self, cancel: Callable[[], None], dismissed: Callable[[], None], save: Callable[[], None]
    ) -> None:
        self._dismissed = dismissed
        self._text = pn.pane.HTML("", sizing_mode="stretch_width", margin=0)
        self._dismiss = pn.widgets.Button(
            label="Dismiss", width=84, margin=(4, 8), color="light", visible=False
        )
        self._dismiss.on_click(lambda _event: self._on_dismiss())
        self._progress = pn.pane.HTML("", width=360, margin=(0, 8), visible=False)
        self._cancel = pn.widgets.Button(label="Cancel", width=84, margin=(4, 8), visible=False)
        self._cancel.on_click(lambda _event: cancel())
        self._save = pn.widgets.Button(label="", width=170, margin=(4, 8), visible=False)
        self._save.on_click(lambda _event: save())
        # Screen readers only hear of changes to an element that stays: see page.html.
        self.announced = pn.widgets.TextInput(value="", visible=False)
        self.layout = pn.Row(
            self._text,
            self._dismiss,
            self._save,
            self._progress,
            self._cancel,
            sizing_mode="stretch_width",
            css_classes=["status"],
        )
        self.say("")

    def say(self, text: str, *, is_error: bool = False) -> None:
        """
        Show a message in the place of the last one.

        Parameters
        ----------
        text : str
            What to say; empty: nothing.
        is_error : bool, default: False
            Whether something went wrong.
        """
        self.text = text
        kind = "error" if is_error else "note"
        mark = "<b>Error:</b> " if is_error else ""
        self._text.object = f'<div class="message {kind}">{mark}{html.escape(text)}</div>'
        self._dismiss.visible = bool(text)
        self.announced.value = f"Error: {text}" if is_error else text

    def show_unsaved(self, number: int) -> None:
        """
        Show how many edits are in memory only, with a button that saves them.

        Parameters
        ----------
        number : int
            Edits.
        """
        self._save.visible = number > 0
        self._save.label = f"Save {number} unsaved {'edit' if number == 1 else 'edits'}"

    def show_task(self, task: Task[Any]) -> None:
        """
        Show how far a running step is.

        Parameters
        ----------
        task : Task
            The step.
        """
        name, progress = html.escape(task.description, quote=True), task.progress
        share = detail = ""
        if progress is not None:
            detail = f": {html.escape(progress.description)}" if progress.description else ""
            share = f' value="{progress.share:.4f}" max="1"' if progress.total > 0 else ""
        self._progress.object = (
            f'<div class="progress"><span>{name}{detail}</span>'
            f'<progress aria-label="{name}"{share}></progress></div>'
        )
        self._progress.visible = True
        self._cancel.visible = True
        self._cancel.disabled = task.is_cancelled

    def end_task(self) -> None:
        """Take progress and button away."""
        self._progress.visible = False
        self._cancel.visible = False

    def _on_dismiss(self) -> None:
        self.say("")
        self._dismissed()
