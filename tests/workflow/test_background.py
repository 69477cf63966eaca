"""Calls that run in a thread."""

import threading

import numpy as np
import pytest

from sigma_scale import compute, progress
from sigma_scale.errors import CancelledError
from sigma_scale.workflow.background import Task


def test_a_result_comes_back():
    ended = []
    task = Task(lambda: 6 * 7, "Counting", on_change=lambda task: ended.append(task.state))
    assert task.wait(10)
    assert task.close(10)
    assert (task.state, task.result, task.error) == ("done", 42, None)
    assert ended == ["done"]
    task.cancel()
    assert task.state == "done"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_an_error_is_kept(error):
    def fail():
        raise error

    with Task(fail) as task:
        assert task.wait(10)
    assert (task.state, task.result, task.error) == ("failed", None, error)


def test_progress_is_seen_and_listeners_may_fail(caplog):
    seen = []

    def work():
        with progress.progress_bar("Reading", total=4, unit="row") as bar:
            bar.update(1)
            bar.update(3)

    def listen(task):
        if task.progress is not None and task.state == "running":
            seen.append((task.progress.description, task.progress.done, task.progress.total))
        raise ValueError("broken listener")

    task = Task(work, on_change=listen)
    assert task.wait(10)
    assert task.close(10)
    assert seen == [("Reading", 0, 4), ("Reading", 1, 4), ("Reading", 4, 4)]
    assert task.state == "done"
    assert "broken listener" in caplog.text


@pytest.mark.parametrize("workers", [1, 3])
def test_streamed_work_ends_within_a_chunk(workers):
    import dask

    calls, reached = [], threading.Event()

    def step(item):
        calls.append(item)
        if item >= 5:  # all threads, or those that don't wait would go on meanwhile
            reached.set()
            assert cancelled.wait(10)
        return item

    def work():
        return list(compute.stream(step, range(1000)))

    cancelled = threading.Event()
    with dask.config.set(num_workers=workers):
        task = Task(work)
        assert reached.wait(10)
        task.cancel()
        cancelled.set()
        assert task.wait(10)
    assert task.state == "cancelled"
    assert isinstance(task.error, CancelledError)
    assert len(calls) <= 6 + 3 * workers


def test_dask_work_ends_within_a_task():
    import dask

    calls, reached, cancelled = [], threading.Event(), threading.Event()

    @dask.delayed(pure=False)
    def step(item):
        calls.append(item)
        if len(calls) >= 3:
            reached.set()
            assert cancelled.wait(10)
        return item

    def work():
        return compute.run(*(step(item) for item in range(200)), description="Adding")

    with dask.config.set(num_workers=2):
        task = Task(work)
        assert reached.wait(10)
        task.cancel()
        cancelled.set()
        assert task.wait(10)
    assert task.state == "cancelled"
    assert task.progress.description == "Adding"
    assert len(calls) < 20


def test_tasks_are_told_apart():
    def work(name):
        def run():
            with progress.progress_bar(name, total=1) as bar:
                barrier.wait(10)
                bar.update(1)

        return run

    barrier = threading.Barrier(2)
    tasks = [Task(work("one")), Task(work("two"))]
    assert all(task.wait(10) for task in tasks)
    assert [task.progress.description for task in tasks] == ["one", "two"]


def test_results_are_the_same_with_and_without_an_observer():
    import dask.array as da

    values = da.from_array(np.arange(1000.0), chunks=10)
    (alone,) = compute.run(values.sum(), description="Sum")
    with Task(lambda: compute.run(values.sum(), description="Sum")) as task:
        assert task.wait(10)
    assert task.result == (alone,)
    assert task.progress.done == task.progress.total > 100
