"""Where the work of views runs: at once in a notebook, off the page's thread in a server."""

import threading
from types import SimpleNamespace

import panel as pn
import pytest

from sigma_scale.gui.scheduling import LatestOnly, Scheduler


class Page:
    """A document of a server whose ticks are given by hand."""

    def __init__(self):
        self.session_context = SimpleNamespace(destroyed=False)
        self._lock, self._ticks = threading.Condition(), []

    def add_next_tick_callback(self, change):
        with self._lock:
            self._ticks.append(change)
            self._lock.notify()

    def wait(self):
        with self._lock:
            assert self._lock.wait_for(lambda: self._ticks, timeout=60)

    def tick(self):
        self.wait()
        self._ticks.pop(0)()


@pytest.fixture
def page(monkeypatch):
    made = Page()
    monkeypatch.setattr(type(pn.state), "curdoc", made)
    return made


def unexpected(error):
    raise AssertionError(error)


def test_in_a_notebook_all_is_done_when_the_call_returns():
    results, scheduler = [], Scheduler()
    assert not scheduler.is_served
    scheduler.work(lambda: 3, results.append, unexpected)
    assert results == [3]
    scheduler.work(lambda: 1 / 0, results.append, lambda error: results.append(type(error)))
    assert results == [3, ZeroDivisionError]
    scheduler.apply(lambda: results.append("applied"))
    assert results[-1] == "applied"


def test_in_a_page_work_runs_in_a_thread_and_comes_back_by_a_tick(page):
    here, threads, results = threading.get_ident(), [], []
    scheduler = Scheduler()
    assert scheduler.is_served
    scheduler.work(lambda: threads.append(threading.get_ident()) or 7, results.append, unexpected)
    assert results == []
    page.tick()
    assert results == [7]
    assert threads != [here]


def test_a_failure_comes_back_as_well(page):
    errors = []
    Scheduler().work(lambda: 1 / 0, unexpected, errors.append)
    page.tick()
    assert isinstance(errors[0], ZeroDivisionError)


def test_nothing_is_done_for_a_page_that_was_closed(page):
    results, scheduler = [], Scheduler()
    scheduler.work(lambda: 7, results.append, unexpected)
    page.wait()
    page.session_context.destroyed = True
    page.tick()
    scheduler.apply(lambda: results.append("applied"))
    assert results == []
    assert scheduler.is_over


def test_only_the_last_of_several_requests_is_done_after_the_one_that_runs(page):
    go, done, started = threading.Event(), [], []
    latest = LatestOnly(Scheduler())

    def slow(number):
        def task():
            started.append(number)
            assert go.wait(60)
            return number

        return task

    for number in range(5):
        latest.work(slow(number), done.append, unexpected)
    go.set()
    page.tick()
    page.tick()
    assert done == [0, 4]
    assert started == [0, 4]
    latest.work(slow(9), done.append, unexpected)
    page.tick()
    assert done == [0, 4, 9]


def test_requests_go_on_after_one_that_failed(page):
    errors, done = [], []
    latest = LatestOnly(Scheduler())
    latest.work(lambda: 1 / 0, done.append, errors.append)
    page.tick()
    latest.work(lambda: 5, done.append, errors.append)
    page.tick()
    assert len(errors) == 1
    assert done == [5]


def test_a_notebook_hears_of_changes_that_no_event_of_bokeh_caused(monkeypatch):
    sent, comm = [], object()
    changed = SimpleNamespace(callbacks=SimpleNamespace(_held_events=["a new frame"]))
    unchanged = SimpleNamespace(callbacks=SimpleNamespace(_held_events=[]))
    views = {"a": (None, None, changed, comm), "b": (None, None, unchanged, comm)}
    monkeypatch.setattr(pn.state, "_views", {**views, "served": (None, None, changed, None)})
    monkeypatch.setattr("panel.io.notebook.push", lambda *page: sent.append(page))
    Scheduler().work(lambda: 7, lambda _result: None, unexpected)
    assert sent == [(changed, comm)]
    Scheduler().apply(lambda: None)
    assert sent == [(changed, comm)] * 2
