"""Observers of long work."""

import threading
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest

from sigma_scale import compute, progress
from sigma_scale.config import options
from sigma_scale.errors import CancelledError
from sigma_scale.progress import Progress, observing, progress_bar


class Witness:
    def __init__(self, last=None):
        self.seen = []
        self.last = last

    def report(self, told):
        self.seen.append(told)

    def check(self):
        if self.last is not None and len(self.seen) >= self.last:
            raise CancelledError("enough")


def test_a_bar_is_told():
    witness = Witness()
    with observing(witness), progress_bar("Reading", total=3, unit="row") as bar:
        bar.update()
        bar.update(2)
        bar.set_postfix({"loss": 1})  # as on any bar
        assert bar.n == 3
    assert witness.seen == [Progress("Reading", n, 3, "row") for n in (0, 1, 3)]
    assert [told.share for told in witness.seen] == [0, pytest.approx(1 / 3), 1]
    assert Progress("x", 5, 0).share == 0


def test_without_an_observer_it_is_a_plain_bar():
    from tqdm.auto import tqdm

    with progress_bar("Reading", total=3) as bar:
        assert isinstance(bar, tqdm)
    assert progress.observer() is None
    progress.check()


def test_updates_from_other_threads_are_heard():
    witness = Witness()
    with observing(witness), progress_bar("Reading", total=8) as bar, ThreadPoolExecutor(4) as pool:
        list(pool.map(bar.update, [1] * 8))
    assert max(told.done for told in witness.seen) == 8


def test_other_threads_do_not_hear_of_it():
    found = []
    with observing(Witness()):
        thread = threading.Thread(target=lambda: found.append(progress.observer()))
        thread.start()
        thread.join()
    assert found == [None]


def test_an_observer_ends_work():
    with observing(Witness(last=2)), progress_bar("Reading", total=10) as bar:
        bar.update()
        with pytest.raises(CancelledError):
            bar.update()
    assert progress.observer() is None


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_tasks_of_dask_are_told(scheduler):
    import dask

    witness = Witness()
    values = da.from_array(np.arange(100), chunks=10) + 1
    with dask.config.set(scheduler=scheduler), observing(witness):
        (found,) = compute.run(values, description="Adding one")
    np.testing.assert_array_equal(found, np.arange(1, 101))
    assert witness.seen[0].done == 0
    assert witness.seen[-1].done == witness.seen[-1].total >= 10
    assert {told.description for told in witness.seen} == {"Adding one"}


def test_the_bar_is_shown_as_well(capsys):
    witness = Witness()
    values = da.from_array(np.arange(100), chunks=10) + 1
    with options(progress=True), observing(witness):
        compute.run(values, description="Adding one")
    assert "Adding one" in capsys.readouterr().err
    assert witness.seen[-1].share == 1


def test_work_on_a_cluster_is_told_and_ended():
    distributed = pytest.importorskip("distributed")
    values = da.from_array(np.arange(100), chunks=10) + 1
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None):
        witness = Witness()
        with observing(witness):
            (found,) = compute.run(values, description="Adding one")
        np.testing.assert_array_equal(found, np.arange(1, 101))
        assert witness.seen[0].done == 0
        with observing(Witness(last=0)), pytest.raises(CancelledError):
            compute.run(values + 1, description="Adding one")


def test_hidden_bars_are_neither_shown_nor_told(capsys):
    witness = Witness()
    with options(progress=True), observing(witness):
        with progress.hidden(), progress_bar("Inside", total=2) as bar:
            bar.update(2)
        assert witness.seen == []
        with progress_bar("Outside", total=2) as bar:
            bar.update(2)
    assert "Inside" not in capsys.readouterr().err
    assert {told.description for told in witness.seen} == {"Outside"}
