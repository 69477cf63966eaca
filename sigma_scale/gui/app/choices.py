"""The views of a tab: one is shown at a time, and made when it is first looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import panel as pn

from sigma_scale.gui.app.workspace import error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sigma_scale.gui.scheduling import Scheduler

__all__ = ["ViewChoice", "hint"]


def hint(text: str) -> pn.pane.HTML:
    """Say what to do where there is nothing to show yet."""
    import html

    return pn.pane.HTML(
        f'<p class="hint">{html.escape(text)}</p>', sizing_mode="stretch_width", margin=(24, 12)
    )


class ViewChoice:
    """
    Views by name, of which the chosen one is shown.

    Parameters
    ----------
    views : mapping of str to callable
        Each makes a View; it runs in a thread and touches no model of the page.
    scheduler : Scheduler
        Where it runs.
    failed : callable
        Takes what goes wrong.
    """

    def __init__(
        self,
        views: Mapping[str, Callable[[], Any]],
        scheduler: Scheduler,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._views = dict(views)
        self._scheduler = scheduler
        self._failed = failed
        self._made: dict[str, Any] = {}
        names = list(self._views)
        self._choice = pn.widgets.RadioButtonGroup(
            options=names, value=names[0], label="View", visible=len(names) > 1, margin=(2, 10)
        )
        self._place = pn.Column(sizing_mode="stretch_both", scroll=True, css_classes=["view-place"])
        self._choice.param.watch(lambda _event: self._show(), "value")
        self.layout = pn.Column(self._choice, self._place, sizing_mode="stretch_both")
        self._show()

    def _show(self) -> None:
        name = self._choice.value
        if name in self._made:
            self._place[:] = [self._made[name]]
            return
        self._place[:] = [hint("Drawing …")]

        def place(view: Any) -> None:
            self._made[name] = view.__panel__() if hasattr(view, "__panel__") else view
            if self._choice.value == name:
                self._place[:] = [self._made[name]]

        def failed(error: Exception) -> None:
            if self._choice.value == name:
                self._place[:] = [hint(error_text(error))]
            self._failed(error)

        self._scheduler.work(self._views[name], place, failed)
