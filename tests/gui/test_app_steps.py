"""What a page tells of a long step, in whatever order its events come; without a browser."""

import threading
from types import SimpleNamespace

import panel as pn
import pytest
from bokeh.document import Document
from panel.io.state import set_curdoc

from sigma_scale.errors import CancelledError, ParameterError
from sigma_scale.gui.app import page as page_module
from sigma_scale.gui.app.tabs import Tab
from sigma_scale.gui.app.workspace import Workspace

LONGEST = 60
DONE = "Unmixing is done."


class SteppedDocument(Document):
    """A document of a server whose ticks and polls are given by hand, in order."""

    def __init__(self):
        super().__init__()
        self.ticks, self.polls = [], []
        self.context = SimpleNamespace(
            destroyed=False, session=None, request=SimpleNamespace(arguments={})
        )

    session_context = property(lambda self: self.context)

    def add_next_tick_callback(self, callback):
        self.ticks.append(callback)

    def add_periodic_callback(self, callback, period_milliseconds):
        self.polls.append(callback)
        return callback

    def remove_periodic_callback(self, callback):
        self.polls.remove(callback)

    def run_ticks(self):
        while self.ticks:
            self.ticks.pop(0)()

    def poll(self):
        for callback in list(self.polls):
            callback()


class Step:
    """A step that ends when it is told to."""

    def __init__(self, error=None):
        self.go_on = threading.Event()
        self.error = error

    def __call__(self):
        assert self.go_on.wait(LONGEST)
        if self.error is not None:
            raise self.error


class Seen:
    """A page, what it has said, and its document."""

    def __init__(self, opened):
        self.opened = opened
        self.said = []

    def open(self, workspace):
        self.doc = SteppedDocument()
        with set_curdoc(self.doc):
            self.page = page_module.Page(workspace)
        announced = self.page.status.announced
        self.said += [announced.value] if announced.value else []
        announced.param.watch(lambda event: event.new and self.said.append(event.new), "value")
        return self

    @property
    def has_bar(self):
        return any(
            isinstance(part, pn.pane.HTML) and part.visible and "<progress" in part.object
            for part in self.page.status.layout
        )

    def press(self, label):
        (button,) = (
            part
            for part in self.page.status.layout
            if isinstance(part, pn.widgets.Button) and part.label == label
        )
        button.clicks += 1

    def settle(self):
        """Let everything come that will."""
        self.doc.run_ticks()
        self.doc.poll()
        self.doc.run_ticks()


@pytest.fixture
def build(monkeypatch):
    """What the page's only tab does while it is built, which a test may set."""
    during = SimpleNamespace(work=lambda: None)

    def make(opened, page):
        during.work()
        return pn.pane.HTML("")

    tab = Tab("Unmixing", make, frozenset({"unmixing"}))
    monkeypatch.setattr(page_module, "TABS", (tab,))
    return during


@pytest.fixture
def workspace(build):
    project = SimpleNamespace(
        name="granite",
        image=SimpleNamespace(shape=(4, 5, 6)),
        unsaved=0,
        subscribe=lambda listener: None,
    )
    made = Workspace([project])
    yield made
    made.close()


@pytest.fixture
def opened(workspace):
    return workspace.maps[0]


@pytest.fixture
def seen(workspace, opened):
    return Seen(opened).open(workspace)


@pytest.fixture
def step():
    step = Step()
    yield step
    step.go_on.set()


def end(opened, step):
    """End a step, and wait until all are told so."""
    task = opened.task
    step.go_on.set()
    task._thread.join(LONGEST)
    assert task.state != "running"


def check_told_once(seen, text=DONE):
    seen.settle()
    assert seen.said == [text]
    assert not seen.has_bar
    assert seen.doc.polls == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, DONE),
        (ParameterError("Too many."), "Error: Too many."),
        (CancelledError(""), "Unmixing was cancelled; what was there before is kept."),
    ],
)
def test_a_step_ends_while_it_is_watched(seen, opened, error, text):
    step = Step(error)
    opened.start("Unmixing", step)
    seen.settle()
    assert seen.has_bar
    end(opened, step)
    check_told_once(seen, text)


def test_it_ends_before_the_page_hears_of_its_start(seen, opened, step):
    opened.start("Unmixing", step)
    end(opened, step)
    check_told_once(seen)


def test_its_end_is_told_before_its_start(seen, opened, step):
    seen.page._leave()  # so that the page hears of things after the one that holds them up
    ended = threading.Event()

    def hold_up(event, task):
        if event == "started":
            step.go_on.set()
            assert ended.wait(LONGEST)

    opened.subscribe(hold_up)
    heard = []
    opened.subscribe(
        lambda event, task: (heard.append(event), seen.page._heard(opened, event, task))
    )
    opened.subscribe(lambda event, task: ended.set() if event == "ended" else None)
    opened.start("Unmixing", step)
    assert heard == ["ended", "started"]
    check_told_once(seen)


@pytest.mark.parametrize("when", ["at its start", "at a poll"])
def test_it_ends_while_its_progress_is_shown(seen, opened, step, monkeypatch, when):
    status = seen.page.status
    show = status.show_task

    def show_then_end(task):
        show(task)
        end(opened, step)

    opened.start("Unmixing", step)
    if when == "at a poll":
        seen.doc.run_ticks()
    monkeypatch.setattr(status, "show_task", show_then_end)
    seen.settle()
    assert opened.task.state == "done"
    check_told_once(seen)


@pytest.mark.parametrize("is_shown", [True, False], ids=["watched", "not yet watched"])
def test_it_ends_while_its_tab_is_rebuilt(seen, opened, step, build, is_shown):
    opened.start("Unmixing", step)
    if is_shown:
        seen.settle()
    build.work = lambda: end(opened, step)
    opened.tell("unmixing")
    check_told_once(seen)


def test_it_ends_between_its_start_and_the_first_poll(seen, opened, step):
    opened.start("Unmixing", step)
    seen.doc.run_ticks()
    end(opened, step)
    seen.doc.poll()  # sooner than the news of the end
    assert not seen.has_bar
    check_told_once(seen)


def test_it_ends_while_a_page_is_opened(workspace, opened, step, build):
    opened.start("Unmixing", step)
    build.work = lambda: end(opened, step)
    check_told_once(Seen(opened).open(workspace))


def test_a_page_that_is_opened_meanwhile_tells_the_end(workspace, opened, step):
    opened.start("Unmixing", step)
    seen = Seen(opened).open(workspace)
    seen.settle()
    assert seen.has_bar
    end(opened, step)
    check_told_once(seen)


def test_a_page_that_is_opened_later_tells_failures_alone(workspace, opened, step):
    opened.start("Unmixing", step)
    end(opened, step)
    late = Seen(opened).open(workspace)
    late.settle()
    assert late.said == []
    failing = Step(ParameterError("Too many."))
    opened.start("Unmixing", failing)
    end(opened, failing)
    check_told_once(Seen(opened).open(workspace), "Error: Too many.")


def test_a_failure_while_a_page_is_opened_is_told_once(workspace, opened, build):
    failing = Step(ParameterError("Too many."))
    opened.start("Unmixing", failing)
    build.work = lambda: end(opened, failing)
    check_told_once(Seen(opened).open(workspace), "Error: Too many.")


def test_a_message_that_is_dismissed_takes_no_news_with_it(seen, workspace, opened):
    other = Seen(opened).open(workspace)
    failing = Step(ParameterError("Too many."))
    opened.start("Unmixing", failing)
    other.settle()
    end(opened, failing)
    seen.press("Dismiss")  # of whatever was there before
    check_told_once(seen, "Error: Too many.")
    check_told_once(other, "Error: Too many.")


def test_the_next_step_may_start_before_the_end_of_the_last_is_told(seen, opened, step):
    failing = Step(ParameterError("Too many."))
    opened.start("Embedding", failing)
    end(opened, failing)
    opened.start("Unmixing", step)
    seen.settle()
    assert seen.said == ["Error: Too many."]
    assert seen.has_bar
    end(opened, step)
    seen.settle()
    assert seen.said == ["Error: Too many.", DONE]
    assert not seen.has_bar


def test_a_button_that_cancels_says_nothing_of_a_step_that_has_ended(seen, opened, step):
    opened.start("Unmixing", step)
    seen.settle()
    end(opened, step)
    seen.press("Cancel")
    check_told_once(seen)


def test_nothing_is_told_to_a_page_that_was_closed(seen, opened, step):
    opened.start("Unmixing", step)
    seen.settle()
    seen.doc.context.destroyed = True
    end(opened, step)
    seen.doc.run_ticks()
    assert seen.said == []


AWAY = "The store is away."
BACK = "The store can be reached again."


def hear_fault(opened, fault):
    opened.fault = fault
    opened.tell("fault")


def test_the_end_of_a_fault_is_told_where_the_fault_still_stands(seen, opened):
    hear_fault(opened, AWAY)
    seen.settle()
    hear_fault(opened, "")
    seen.settle()
    assert seen.said == [f"Error: {AWAY}", BACK]


def test_the_end_of_a_fault_does_not_hide_what_was_said_since(seen, opened):
    hear_fault(opened, AWAY)
    seen.settle()
    seen.page.say("All edits are saved.")
    hear_fault(opened, "")
    seen.settle()
    assert seen.said == [f"Error: {AWAY}", "All edits are saved."]
