"""What goes wrong with an S3 server, in the user's words; nothing then looks finished."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

from sigma_scale.errors import SourceNotFoundError, StoreError, UnfinishedStoreError
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage
from sigma_scale.store import (
    is_store,
    locate,
    open_map,
    open_result,
    verify_map,
    write_map,
    write_result,
)
from sigma_scale.store.remote import Objects

QUICKLY = {"config_kwargs": {"retries": {"max_attempts": 1}, "connect_timeout": 1}}
"""A server that is out of reach is given up soon."""


@pytest.fixture
def url(s3, tmp_path):
    return f"s3://bucket/{tmp_path.name}/map.zarr"


def test_buckets_that_are_not_there_are_named(s3, image):
    with pytest.raises(SourceNotFoundError, match=r"s3://nowhere/map\.zarr.*bucket"):
        open_map("s3://nowhere/map.zarr")
    with pytest.raises(StoreError, match=r"s3://nowhere/map\.zarr.*a bucket has to be made first"):
        write_map(image, "s3://nowhere/map.zarr")


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (400, "ExpiredToken"), (403, "InvalidAccessKeyId")]
)
def test_refused_access_is_not_taken_for_a_missing_store(s3, url, image, status, code):
    stored = write_map(image, url)
    s3.fail(status, code)
    for act in (is_store, open_map, lambda place: write_map(image, place, overwrite=True)):
        with pytest.raises(StoreError, match=r"map\.zarr: access was refused.*Renew the cred"):
            act(url)
    with pytest.raises(StoreError, match=r"chunk counts/c/.*access was refused"):
        stored.sum_spectrum().compute()
    s3.recover()
    assert verify_map(open_map(url), image) == 150 * 140


def test_wrong_credentials_are_refused_by_the_server_itself(s3, url, image):
    write_map(image, url)
    s3.enforce(keys=True)
    try:
        with pytest.raises(StoreError, match="access was refused"):
            open_map(url)
    finally:
        s3.enforce(keys=False)
    open_map(url)


def test_missing_credentials_are_named(s3, url, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    # Other options, so that connections with credentials are not used again.
    with pytest.raises(StoreError, match=r"no usable credentials.*option anon"):
        open_map(url, storage_options={"default_block_size": 2**20})


def test_a_server_that_fails_for_a_while_is_asked_again(s3, url, image):
    s3.fail(500, times=3, after=10)
    write_map(image, url)
    s3.fail(503, "SlowDown", times=3)
    assert verify_map(open_map(url), image) == 150 * 140


def test_a_server_that_keeps_failing_leaves_no_finished_store(s3, url, image):
    s3.fail(403, "AccessDenied", "PUT", after=8)
    with pytest.raises(StoreError, match=r"map\.zarr"):
        write_map(image, url)
    s3.recover()
    with pytest.raises(UnfinishedStoreError):
        open_map(url)
    assert verify_map(write_map(image, url), image) == 150 * 140


def test_a_publication_that_fails_is_completed_by_the_next(s3, url, image):
    write_map(image, url)
    one = xr.Dataset({"labels": ("n", np.arange(5))})
    two = xr.Dataset({"labels": ("n", np.arange(7) + 9)})
    write_result(url, "phases", one)
    s3.fail(403, "AccessDenied", "PUT", after=9)
    with pytest.raises(StoreError, match="access was refused"):
        write_result(url, "phases", two)
    s3.recover()
    try:
        assert open_result(url, "phases").load().sizes["n"] == 5
    except StoreError as error:
        assert "unfinished" in str(error)  # noqa: PT017 -- either will do
    write_result(url, "other", one)
    left = [found.name for found in locate(url).parent.iterdir()]
    assert open_result(url, "phases").load().sizes["n"] in (5, 7)
    assert not [name for name in left if Objects(locate(url).parent / name).has("publish.json")]


class Ended(ArraySource):
    """Counts in whose middle the server ends."""

    def __init__(self, data, end):
        super().__init__(data)
        object.__setattr__(self, "end", end)

    def read_block(self, row, column, scratch=None):
        if (row, column) == (1, 1):
            self.end()
        return super().read_block(row, column)

    def __dask_tokenize__(self):
        return ("Ended", self.data.sum())


@pytest.mark.slow
def test_a_server_that_ends_half_way_is_named(s3_server, s3, counts, tmp_path):
    server = type(s3_server)()
    server.start()
    try:
        options = {"endpoint_url": server.endpoint, **QUICKLY}
        ended = Ended(counts, server.stop)
        with pytest.raises(StoreError, match=r"can't be reached.*endpoint_url"):
            write_map(
                SpectrumImage(ended, EnergyAxis(300, 0.01)),
                "s3://bucket/map.zarr",
                storage_options=options,
            )
        with pytest.raises(StoreError, match=r"s3://bucket/map\.zarr: the server can't be reached"):
            is_store(locate("s3://bucket/map.zarr", options))
    finally:
        server.stop()


def test_a_server_that_does_not_exist_is_named(s3, url):
    options = {"endpoint_url": "http://127.0.0.1:1", **QUICKLY}
    with pytest.raises(StoreError, match="can't be reached"):
        open_map(url, storage_options=options)


PROGRAM = """
import sys
from sigma_scale.store import write_map
from sigma_scale.synthetic import synthetic_map
write_map(synthetic_map((768, 768)).image, sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_store_completed_after_a_kill_equals_an_undisturbed_one(s3, url):
    def start(place):
        return subprocess.Popen([sys.executable, "-c", PROGRAM, place])  # noqa: S603

    objects = Objects(locate(url))
    writer = start(url)
    give_up = time.monotonic() + 120
    while len(objects.find("counts/c/")) < 5 and writer.poll() is None:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    kept = len(objects.find("counts/c/"))
    assert 5 <= kept < 36, "the writer was not killed on its way"
    with pytest.raises(UnfinishedStoreError):
        open_map(url)
    assert start(url).wait() == 0
    undisturbed = f"{url}-undisturbed"
    assert start(undisturbed).wait() == 0
    other = Objects(locate(undisturbed))
    assert sorted(objects.find()) == sorted(other.find())
    for name in objects.find():
        assert objects.read(name) == other.read(name), name


@pytest.mark.slow
def test_worker_processes_read_and_write_an_s3_store(s3, url, counts, tmp_path):
    distributed = pytest.importorskip("distributed")
    image = SpectrumImage.from_array(counts, EnergyAxis(300, 0.01))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
    ):
        stored = write_map(image, url)
        total = int(stored.sum_spectrum().compute().sum())
        result = xr.Dataset({"total": stored.to_xarray().sum("energy").variable})
        write_result(url, "phases", result)
        written = open_result(url, "phases").load()
    assert total == counts.sum()
    np.testing.assert_array_equal(written["total"], counts.sum(axis=-1))
    assert verify_map(open_map(url), image) == 150 * 140
