"""Many calls on a cluster: how they are sent, how many there are, and how they fail."""

import os
import time

import numpy as np
import processes
import pytest

from sigma_scale import compute, store
from sigma_scale.compute import cluster_stream
from sigma_scale.errors import BinningError, CancelledError, ClusterError
from sigma_scale.progress import observing


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with processes.running(tmp_path_factory.mktemp("cluster"), 2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def connection(cluster):
    with compute.connect(cluster.file, n_workers=2, timeout="2m") as connection:
        yield connection


class Table:
    """A function that holds what is large, as a model does."""

    def __init__(self, n_bytes):
        self.table = np.zeros(n_bytes, np.uint8)
        self.pickled = 0

    def __getstate__(self):
        self.pickled += 1
        return self.__dict__

    def __call__(self, item):
        time.sleep(0.02)
        return item + self.table.size, os.getpid()


def test_a_large_function_is_sent_once_and_used_by_all(connection):
    function = Table(3_000_000)
    results = list(compute.stream(function, range(60)))
    assert sorted(item for item, _ in results) == list(range(3_000_000, 3_000_060))
    assert function.pickled == 1
    assert len({pid for _, pid in results}) == 2
    client = connection.client
    processes.wait_for(
        lambda: not any(client.run(lambda dask_worker: len(dask_worker.data)).values()),
        "forgetting the function",
    )


def test_few_calls_are_under_way_and_results_are_let_go(connection):
    taken, finished = [], 0

    def items():
        for number in range(60):
            taken.append(number)
            yield number

    for _ in compute.stream(lambda number: np.full(1000, number), items()):
        finished += 1
        assert len(taken) - finished <= 2 * 2
    assert finished == 60
    held = connection.client.run(lambda dask_worker: len(dask_worker.data))
    assert sum(held.values()) <= 4


@pytest.mark.parametrize("n_bytes", [10, 3_000_000])
def test_many_calls_go_in_few_messages(connection, monkeypatch, recwarn, n_bytes):
    """Each is a task of its own nevertheless, and large items are no reason for a warning."""
    monkeypatch.setattr(cluster_stream, "_CALLS_PER_THREAD", 50)
    sent, send = [], connection.client.map

    def count(function, functions, items, **options):
        sent.append(len(items))
        return send(function, functions, items, **options)

    monkeypatch.setattr(connection.client, "map", count)
    large = np.zeros(500_000, np.uint8)

    def size(item):
        return item[0], item[1].size

    results = list(compute.stream(size, ((number, large) for number in range(90))))
    assert sorted(results) == [(number, 500_000) for number in range(90)]
    assert sent[:3] == [32, 32, 26]
    assert sum(sent) == 90
    sent.clear()
    numbers = [number for number, _ in compute.stream(Table(n_bytes), range(40))]
    assert sorted(numbers) == list(range(n_bytes, n_bytes + 40))
    assert sum(sent) == 40
    assert sent[0] == 32
    assert not [warning for warning in recwarn if "graph" in str(warning.message)]


def test_the_same_call_is_made_anew_and_items_are_not_searched(connection):
    """Neither results nor names of an earlier stream are taken for those of this one."""

    def stamp(item):
        return time.time_ns(), item

    first = list(compute.stream(stamp, ["x", ("x", 1), {"y": [1]}]))
    second = list(compute.stream(stamp, ["x", ("x", 1), {"y": [1]}]))
    assert {stamp for stamp, _ in first}.isdisjoint(stamp for stamp, _ in second)
    assert sorted((item for _, item in first), key=str) == sorted(
        ["x", ("x", 1), {"y": [1]}], key=str
    )


def test_what_is_left_is_not_done(connection):
    for _ in compute.stream(time.sleep, [0.01] * 3 + [0.1] * 1000):
        break
    started = time.monotonic()
    assert list(compute.stream(abs, [-1])) == [1]
    assert time.monotonic() - started < 30


def test_our_errors_arrive_as_they_are(connection):
    with pytest.raises(BinningError, match="bins of part 3 don't fit") as caught:
        list(compute.stream(processes.fail_in, [3]))
    assert any(entry.name == "fail_in" for entry in caught.traceback)
    with pytest.raises(ZeroDivisionError):
        list(compute.stream(lambda number: 1 / number, [1, 0]))

    def vanish(number):
        raise TimeoutError("the disk sleeps")

    with pytest.raises(TimeoutError, match="the disk sleeps"):
        list(compute.stream(vanish, [1]))


def test_want_of_memory_names_step_and_remedy(connection):
    def allocate(number):
        raise MemoryError("Unable to allocate 7 PiB")

    with pytest.raises(ClusterError, match=r"'Filling' stopped.*7 PiB.*--worker-memory.*again"):
        list(compute.stream(allocate, [1], description="Filling"))


def test_an_observer_ends_it(connection):
    class Impatient:
        seen = 0

        def report(self, told):
            pass

        def check(self):
            self.seen += 1
            if self.seen > 5:
                raise CancelledError("enough")

    with observing(Impatient()), pytest.raises(CancelledError):
        list(compute.stream(abs, range(10_000)))


def test_a_store_is_the_same_byte_by_byte(connection, image, tmp_path):
    there = store.write_map(image, tmp_path / "there.zarr")
    assert store.verify_map(there, image) == 150 * 140
    with compute.inline():
        store.write_map(image, tmp_path / "here.zarr")
    assert processes.digests(tmp_path / "there.zarr") == processes.digests(tmp_path / "here.zarr")
