"""One page in one browser: the chosen map in tabs, several maps side by side, the status bar."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import panel as pn

from sigma_scale import gui
from sigma_scale.errors import SigmaScaleError
from sigma_scale.gui.app.choices import ViewChoice, hint
from sigma_scale.gui.app.message_order import keep_message_order
from sigma_scale.gui.app.status import StatusBar
from sigma_scale.gui.app.tabs import TABS
from sigma_scale.gui.app.theme import AppDesign, apply_theme
from sigma_scale.gui.app.workspace import error_text, log_unexpected
from sigma_scale.gui.dressing import UNSEEN_LABEL
from sigma_scale.gui.latent_page import phase_map_page
from sigma_scale.gui.scheduling import Scheduler
from sigma_scale.gui.view import View
from sigma_scale.gui.window import set_window_height

if TYPE_CHECKING:
    from collections.abc import Callable

    from sigma_scale.gui.app.workspace import OpenMap, Workspace
    from sigma_scale.workflow.background import Task
    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["Page"]

_SIDE_BY_SIDE = "Side by side"
_POLL_MS = 300
_CARD_HEIGHT = 820
_CARD_MAP = (560, 330)
"""Box in screen pixels that the map of a card fits into, above the table of its clusters."""


class Page:
    """
    A page of a workspace.

    Parameters
    ----------
    workspace : Workspace
        The maps.

    Attributes
    ----------
    scheduler : Scheduler
        Where work of this page runs.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.scheduler = Scheduler()
        self._doc = pn.state.curdoc
        if self._doc is not None and self._doc.session_context is not None:
            keep_message_order(self._doc)
        self._opened = workspace.maps[0]
        self._end_subscriptions: list[Callable[[], None]] = []
        self._poll: Any = None
        self._stale: set[int] = set()
        self._told: object = None
        """Step whose end was told last."""
        self._shown_fault = ""
        self._after_edits: Callable[[], None] | None = None
        self.status = StatusBar(self._cancel, self._forget, self.guarded(self._save))
        self._title = pn.pane.HTML("", sizing_mode="stretch_width", margin=0)
        names = {
            f"{number}  {opened.project.name}": number - 1
            for number, opened in enumerate(workspace.maps, 1)
        }
        self._map = pn.widgets.Select(
            label="Map",
            options=names,
            value=0,
            width=260,
            margin=(4, 8),
            visible=len(names) > 1,
            stylesheets=[UNSEEN_LABEL],
        )
        self._map.param.watch(lambda event: self._choose(event.new), "value")
        self._theme = pn.widgets.TextInput(value="", visible=False)
        self._theme.param.watch(lambda event: apply_theme(self._doc, event.new), "value")
        self._window = pn.widgets.TextInput(value="", visible=False)
        self._window.param.watch(lambda event: self._on_window(event.new), "value")
        self._places = [pn.Column(sizing_mode="stretch_both") for _ in TABS]
        self._side = pn.Column(sizing_mode="stretch_both", scroll=True)
        shown = [(tab.name, place) for tab, place in zip(TABS, self._places, strict=True)]
        if len(workspace.maps) > 1:
            shown.append((_SIDE_BY_SIDE, self._side))
        self._tabs = pn.Tabs(*shown, sizing_mode="stretch_both", dynamic=False)
        self._tabs.param.watch(lambda _event: self._fill(), "active")
        for opened in workspace.maps:
            self._end_subscriptions.append(opened.subscribe(partial(self._heard, opened)))
        if self._doc is not None and self._doc.session_context is not None:
            self._doc.on_session_destroyed(lambda _context: self._leave())
        self._choose(0)

    def template(self) -> pn.Template:
        """Page as HTML with its parts in their places."""
        text = files("sigma_scale.gui.app").joinpath("page.html").read_text(encoding="utf-8")
        style = files("sigma_scale.gui.app").joinpath("page.css").read_text(encoding="utf-8")
        page = pn.Template(text, design=AppDesign)
        page.add_variable("app_style", style)
        page.add_panel("map_title", self._title)
        page.add_panel("map_choice", self._map)
        page.add_panel("tabs", self._tabs)
        page.add_panel("status", self.status.layout)
        page.add_panel("theme_state", self._theme)
        page.add_panel("window_height", self._window)
        page.add_panel("announced", self.status.announced)
        return page

    def say(self, text: str) -> None:
        """Show a message at the foot of the page."""
        self.status.say(text)

    def show_error(self, error: BaseException) -> None:
        """Show what went wrong at the foot of the page."""
        log_unexpected(error)
        self.status.say(error_text(error), is_error=True)

    def show_unsaved(self) -> None:
        """Offer to save edits that could not be saved when they were made; from any thread."""
        self.scheduler.apply(lambda: self.status.show_unsaved(self._opened.project.unsaved))

    def on_edits(self, follow: Callable[[], None]) -> None:
        """
        Let a view follow edits, instead of building it anew.

        Parameters
        ----------
        follow : callable
            Called on the page's own thread after each edit, whoever made it. It takes the place
            of what was given before.
        """
        self._after_edits = follow

    def guarded(self, action: Callable[[], None]) -> Callable[[], None]:
        """
        Make a handler that shows errors of what is typed instead of raising them.

        Parameters
        ----------
        action : callable
            The handler.

        Returns
        -------
        callable
        """

        def handler() -> None:
            try:
                self.status.say("")
                action()
            except (SigmaScaleError, ValueError, TypeError, OSError) as error:
                self.show_error(error)

        return handler

    def _on_window(self, told: str) -> None:
        """Take the height of the window from the browser."""
        if self._doc is not None and told.isdecimal():
            set_window_height(self._doc, int(told))

    def _choose(self, number: int) -> None:
        self._opened = self._workspace.maps[number]
        self._after_edits = None
        self._title.object = _title(self._opened)
        self._stale = set(range(len(TABS) + 1))
        self._fill()
        self.status.show_unsaved(self._opened.project.unsaved)
        self._show_progress()
        task = self._opened.task
        if task is not None and task.state == "failed":
            self._say_end(task)
        self._on_fault()

    def _fill(self) -> None:
        """Build the tab that is looked at, if what it shows has changed."""
        active = self._tabs.active
        if active not in self._stale:
            return
        self._stale.discard(active)
        if active == len(TABS):
            self._side[:] = [self._side_by_side()]
            return
        # Not what the map was made of while it is rebuilt: a failing view must not look current.
        place, build = self._places[active], TABS[active].build
        try:
            place[:] = [build(self._opened, self)]
        except (SigmaScaleError, OSError, ValueError) as error:
            place[:] = [hint(error_text(error))]
            self.show_error(error)

    def _side_by_side(self) -> Any:
        cards = []
        for opened in self._workspace.maps:
            segmenter = opened.project.segmenter
            head = pn.pane.HTML(_title(opened), margin=(4, 10))
            if segmenter is None:
                content: Any = hint("No phases yet. Choose the map and make clusters.")
            else:
                views = {"Phase map": partial(_small_map, segmenter)}
                content = ViewChoice(views, self.scheduler, self.show_error).layout
            cards.append(
                pn.Column(
                    head, content, css_classes=["card"], margin=4,
                    sizing_mode="stretch_width", height=_CARD_HEIGHT,
                )
            )  # fmt: skip
        return pn.GridBox(*cards, ncols=2, sizing_mode="stretch_width")

    def _heard(self, opened: OpenMap, event: str, task: Task[Any] | None) -> None:
        """Take an event from any thread to this page's own."""
        self.scheduler.apply(partial(self._take, opened, event, task))

    def _take(self, opened: OpenMap, event: str, task: Task[Any] | None) -> None:
        if event in {"edits", "clusters"}:
            self._stale.add(len(TABS))
        if opened is self._opened:
            self._stale |= {n for n, tab in enumerate(TABS) if event in tab.shows}
            if event == "edits" and self._after_edits is not None:
                self._after_edits()
            elif event == "fault":
                self._on_fault()
            elif task is not None:
                self._show_progress()
                if event == "ended" and task is not self._told:
                    self._say_end(task)
        self.status.show_unsaved(self._opened.project.unsaved)
        self._fill()

    def _on_fault(self) -> None:
        if self._opened.fault:
            self._shown_fault = self._opened.fault
            self.status.say(self._shown_fault, is_error=True)
        elif self._shown_fault:
            if self.status.text == self._shown_fault:  # later messages matter more
                self.say("The store can be reached again.")
            self._shown_fault = ""

    def _show_progress(self) -> None:
        """Show how far the map's step is, and look again as long as it runs."""
        task = self._opened.task
        # Asked once: it may end at any moment.
        is_running = task is not None and task.state == "running"
        if task is not None and is_running:
            self.status.show_task(task)
        else:
            self.status.end_task()
        if self._doc is None or is_running == (self._poll is not None):
            return
        if is_running:
            self._poll = self._doc.add_periodic_callback(self._show_progress, _POLL_MS)
        else:
            self._doc.remove_periodic_callback(self._poll)
            self._poll = None

    def _say_end(self, task: Task[Any]) -> None:
        """Say what became of a step that has ended."""
        self._told = task
        if task.state == "failed" and task.error is not None:
            self.show_error(task.error)
        elif task.state == "cancelled":
            self.say(f"{task.description} was cancelled; what was there before is kept.")
        else:
            self.say(f"{task.description} is done.")

    def _cancel(self) -> None:
        task = self._opened.task
        if task is not None and task.state == "running":
            task.cancel()
            self.say(f"{task.description} ends at its next step.")

    def _save(self) -> None:
        """Save edits that could not be saved when they were made."""
        project = self._opened.project

        def done(_result: None) -> None:
            self.status.show_unsaved(project.unsaved)
            self.say("All edits are saved.")

        self.scheduler.work(project.save_edits, done, self.show_error)

    def _forget(self) -> None:
        """Take a failure as read, so that no further page tells it."""
        if not self._opened.is_busy:
            self._opened.task = None

    def _leave(self) -> None:
        for end in self._end_subscriptions:
            end()


def _small_map(segmenter: PixelSegmenter) -> View:
    """Show a phase map in half the width of a page."""
    pictures = gui.view_phase_map(segmenter).makers
    return View(
        pictures,
        live=lambda: phase_map_page(segmenter, size=_CARD_MAP, opacity=1.0, stacked=True),
    )


def _title(opened: OpenMap) -> str:
    import html

    project = opened.project
    rows, columns = project.image.shape[:2]
    return (
        f'<span class="map-name">{html.escape(project.name)}</span> '
        f'<span class="map-size">{columns:,} × {rows:,} pixels</span>'
    )
