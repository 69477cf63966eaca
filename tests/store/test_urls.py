"""The same store in a folder, in memory and on an S3 server: one behaviour, the same arrays."""

import dataclasses
import json
import multiprocessing
import pickle

import numpy as np
import pytest
import xarray as xr
import zarr
from interrupted_source import Interrupted

import sigma_scale
from sigma_scale.errors import (
    FileFormatError,
    OutputExistsError,
    SourceNotFoundError,
    StoreError,
    UnfinishedStoreError,
)
from sigma_scale.spectra import EnergyAxis, SpectrumImage
from sigma_scale.store import (
    draft_results,
    is_store,
    locate,
    open_map,
    open_result,
    result_names,
    size_of_counts,
    stored_total,
    verify_map,
    write_map,
    write_result,
)
from sigma_scale.store.places import place_at, zarr_store
from sigma_scale.store.remote import Objects


def phases(start):
    values = np.arange(start, start + 12, dtype=np.int32).reshape(3, 4)
    names = ("phase", ["quartz", "mica"])
    return xr.Dataset({"labels": (("y", "x"), values), "name": names}, attrs={"recipe": {"a": 1}})


def arrays_of(location):
    """All arrays of a store by their paths, as zarr alone reads them."""
    group = zarr.open_group(zarr_store(locate(location)), mode="r", use_consolidated=False)
    return {
        path: (array[...], dict(array.attrs), array.metadata.to_dict()["codecs"])
        for path, array in group.members(max_depth=None)
        if isinstance(array, zarr.Array)
    }


def assert_same_arrays(one, other):
    ours, theirs = arrays_of(one), arrays_of(other)
    assert ours.keys() == theirs.keys()
    for path, (values, *about) in ours.items():
        np.testing.assert_array_equal(values, theirs[path][0])
        assert about == list(theirs[path][1:])


@pytest.fixture
def pictured(counts):
    picture = xr.DataArray(np.arange(150 * 140).reshape(150, 140), dims=("y", "x"))
    return SpectrumImage.from_array(
        counts, EnergyAxis(300, 0.01, -0.2), images={"navigation": picture}
    )


def test_a_map_is_the_same_wherever_it_is(place, pictured, counts, tmp_path):
    url, local = f"{place}/map.zarr", tmp_path / "local.zarr"
    stored = write_map(pictured, url)
    write_map(pictured, local)
    assert verify_map(stored, pictured) == 150 * 140
    np.testing.assert_array_equal(stored_total(stored.source), counts.sum(axis=-1))
    assert_same_arrays(url, local)
    assert size_of_counts(url) == size_of_counts(local)
    attributes = dict(zarr.open_group(zarr_store(locate(url)), mode="r").attrs)
    assert attributes == dict(zarr.open_group(str(local), mode="r").attrs)
    opened = sigma_scale.read(url)
    np.testing.assert_array_equal(opened.to_xarray(), counts)
    np.testing.assert_array_equal(opened.images["navigation"], pictured.images["navigation"])
    # Anyone who has the codec reads it, from the metadata gathered in one place.
    dataset = xr.open_zarr(zarr_store(locate(url)), consolidated=True)
    np.testing.assert_array_equal(dataset["counts"], counts)


def test_floats_are_the_same_wherever_they_are(place, counts):
    thirds = counts[:40, :70] / np.float32(3)
    stored = write_map(SpectrumImage.from_array(thirds, EnergyAxis(300, 0.01)), f"{place}/f.zarr")
    np.testing.assert_array_equal(stored.to_xarray(), thirds)


def test_an_interrupted_store_says_so_and_is_completed(place, counts, tmp_path):
    url = f"{place}/map.zarr"
    with pytest.raises(KeyboardInterrupt):
        write_map(SpectrumImage(Interrupted(counts, fail=True), EnergyAxis(300, 0.01)), url)
    assert is_store(url)
    with pytest.raises(UnfinishedStoreError, match="Run the same ingest again"):
        open_map(url)
    with pytest.raises(OutputExistsError, match="unfinished store of another map"):
        write_map(SpectrumImage.from_array(counts + 1, EnergyAxis(300, 0.01)), url)
    chunks = locate(url) / "counts" / "c"
    done = {
        (row, column)
        for row in range(2)
        for column in range(2)
        if (chunks / str(row) / str(column) / "0").is_file()
    }
    assert 0 < len(done) < 4
    again = Interrupted(counts, fail=False)
    stored = write_map(SpectrumImage(again, EnergyAxis(300, 0.01)), url)
    assert not done & set(again.read)
    np.testing.assert_array_equal(stored.to_xarray(), counts)
    write_map(SpectrumImage(again, EnergyAxis(300, 0.01)), tmp_path / "local.zarr")
    assert_same_arrays(url, tmp_path / "local.zarr")


def test_only_stores_are_replaced_and_only_when_asked(place, image, counts):
    url = f"{place}/map.zarr"
    stored = write_map(image, url)
    with pytest.raises(OutputExistsError, match="exists already"):
        write_map(image, url)
    with pytest.raises(OutputExistsError, match="read from"):
        write_map(stored, url, overwrite=True)
    neighbour = locate(f"{place}/map.zarr-notes")
    place_at(neighbour).write("notes.txt", b"mine")
    other = SpectrumImage.from_array(counts[:130] + 1, EnergyAxis(300, 0.01, -0.2))
    np.testing.assert_array_equal(
        write_map(other, url, overwrite=True).to_xarray(), counts[:130] + 1
    )
    assert (neighbour / "notes.txt").read_bytes() == b"mine"
    with pytest.raises(OutputExistsError, match="not a store"):
        write_map(image, neighbour, overwrite=True)
    assert (neighbour / "notes.txt").read_bytes() == b"mine"


def test_what_is_not_there_or_no_store_is_named(place):
    with pytest.raises(SourceNotFoundError, match=r"none\.zarr"):
        open_map(f"{place}/none.zarr")
    with pytest.raises(SourceNotFoundError, match=r"none\.zarr"):
        sigma_scale.read(f"{place}/none.zarr")
    assert not is_store(f"{place}/none.zarr")
    zarr.create_group(zarr_store(locate(f"{place}/other.zarr")))
    assert not is_store(f"{place}/other.zarr")
    with pytest.raises(StoreError, match="not a map"):
        open_map(f"{place}/other.zarr")
    with pytest.raises(StoreError):
        open_result(f"{place}/other.zarr", "phases")


def test_microscopes_files_are_not_read_by_url():
    place_at(locate("memory://files")).write("map.bcf", b"AAMVHFSS")
    with pytest.raises(FileFormatError, match=r"sigma-scale ingest map\.bcf memory://files/map"):
        sigma_scale.read("memory://files/map.bcf")


def test_a_missing_chunk_is_named(place, image):
    url = f"{place}/map.zarr"
    stored = write_map(image, url)
    zarr.open_group(zarr_store(locate(url)), mode="r+")  # which looks, and changes nothing
    _delete(locate(url), "counts/c/1/0/0")
    with pytest.raises(StoreError, match=r"counts/c/1/0/0 is missing from .*map\.zarr"):
        stored.sum_spectrum().compute()


def _delete(location, name):
    if hasattr(location, "options"):
        Objects(location).delete([name])
    else:
        (location / name).unlink()


def test_results_are_kept_replaced_and_removed(place, image):
    url = f"{place}/map.zarr"
    write_map(image, url)
    with pytest.raises(StoreError, match="no result 'phases'"):
        open_result(url, "phases")
    write_result(url, "phases", phases(0))
    write_result(url, "latent", xr.Dataset({"latent": ("n", np.arange(5.0))}))
    xr.testing.assert_equal(open_result(url, "phases").load(), phases(0))
    assert open_result(url, "phases").attrs["recipe"] == {"a": 1}
    with draft_results(url, {"latent": phases(5)}) as publish:
        xr.testing.assert_equal(open_result(url, "phases").load(), phases(0))
        publish(remove=("phases",))
    assert result_names(url) == ["latent"]
    xr.testing.assert_equal(open_result(url, "latent").load(), phases(5))
    node = json.loads((locate(url) / "zarr.json").read_bytes())
    assert "latent/labels" in node["consolidated_metadata"]["metadata"]
    # Nothing is left beside the store, and what is not published changes nothing.
    with draft_results(url, {"latent": phases(9)}):
        pass
    assert {found.name for found in locate(place).iterdir() if "map" in found.name} == {"map.zarr"}
    xr.testing.assert_equal(open_result(url, "latent").load(), phases(5))
    with pytest.raises(StoreError, match="can't replace the counts"):
        write_result(url, "counts", phases(0))


@pytest.mark.parametrize("stop", range(1, 14))
def test_a_publication_killed_at_any_request_is_never_taken_for_whole(stop, image, monkeypatch):
    """Old, new or unfinished, after each request; and the next writer completes it."""
    url = f"memory://killed-{stop}/map.zarr"
    write_map(image, url)
    write_result(url, "phases", phases(0))
    write_result(url, "latent", phases(50))
    done = 0

    class Killed(BaseException):
        pass

    def counted(name):
        method = getattr(Objects, name)

        def wrapped(self, *arguments):
            nonlocal done
            done += 1
            if done > stop:
                raise Killed
            return method(self, *arguments)

        return wrapped

    with monkeypatch.context() as patch, draft_results(url, {"phases": phases(100)}) as publish:
        for name in ("write", "delete", "copy_to"):
            patch.setattr(Objects, name, counted(name))
        try:
            publish(remove=("latent",))
        except Killed:
            published = False
        else:
            published = True
        # A killed writer can't tidy up either.
        patch.setattr("sigma_scale.store.remote_place.RemoteDrafts.remove", lambda _: None)
    try:
        found = open_result(url, "phases").load()
    except StoreError as error:
        assert "unfinished" in str(error)  # noqa: PT017 -- one of three outcomes
        assert not published
    else:
        assert any(found.identical(each) for each in _with_marks(found)), found
        if published:
            xr.testing.assert_equal(found, phases(100))
    begun = (published, done > 1) != (False, False)
    write_result(url, "other", phases(7))
    assert begun
    xr.testing.assert_equal(open_result(url, "phases").load(), phases(100))
    assert "latent" not in result_names(url)
    np.testing.assert_array_equal(open_map(url).to_xarray(), image.to_xarray())


def _with_marks(found):
    mark = {"sigma_scale": found.attrs["sigma_scale"]}
    return [phases(start).assign_attrs(mark) for start in (0, 100)]


def test_a_result_replaced_while_it_is_read_is_not_mixed(image):
    url = "memory://mixed/map.zarr"
    write_map(image, url)
    write_result(url, "phases", phases(0))
    early = open_result(url, "phases")
    carried = pickle.loads(pickle.dumps(early))  # noqa: S301 -- as it goes to workers
    write_result(url, "phases", phases(0))
    for opened in (early, carried):
        with pytest.raises(StoreError, match="replaced while it was read"):
            opened.load()
    xr.testing.assert_equal(open_result(url, "phases").load(), phases(0))


def test_what_a_killed_writer_left_is_not_put_into_another_store(image):
    url = "memory://leftover/map.zarr"
    write_map(image, url)
    drafts = place_at(locate("memory://leftover/.map.zarr.0123.results"))
    plan = {"names": ["phases"], "remove": [], "token": "0"}
    drafts.write("publish.json", json.dumps(plan).encode())
    write_map(image, url, overwrite=True)
    write_result(url, "other", phases(7))
    assert result_names(url) == ["other"]


def test_an_overwriting_that_was_killed_leaves_an_unfinished_store(image, monkeypatch):
    url = "memory://half/map.zarr"
    write_map(image, url)
    monkeypatch.setattr(Objects, "delete", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_map(image, url, overwrite=True)
    monkeypatch.undo()
    with pytest.raises(UnfinishedStoreError):
        open_map(url)
    np.testing.assert_array_equal(
        write_map(image, url, overwrite=True).to_xarray(), image.to_xarray()
    )


def test_a_writer_killed_before_the_counts_is_not_in_the_way(image, monkeypatch):
    url = "memory://early/map.zarr"

    def kill(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("sigma_scale.store.create._images_dataset", kill)
    with pytest.raises(KeyboardInterrupt):
        write_map(image, url)
    monkeypatch.undo()
    write_map(image, url)
    monkeypatch.setattr("xarray.Dataset.to_zarr", kill)
    with pytest.raises(KeyboardInterrupt):
        write_map(image, "memory://early/other.zarr")
    monkeypatch.undo()
    with pytest.raises(UnfinishedStoreError):
        open_map("memory://early/other.zarr")
    write_map(image, "memory://early/other.zarr")


def _total_of(pickled, results):
    try:
        results.put(int(pickle.loads(pickled).sum_spectrum().compute().sum()))  # noqa: S301
    except StoreError as error:
        results.put(str(error))


def _in_another_process(image):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_total_of, args=(pickle.dumps(image), results))
    process.start()
    found = results.get(timeout=120)
    process.join()
    return found


@pytest.mark.slow
def test_maps_travel_to_other_processes_without_credentials(s3, image, counts):
    stored = write_map(image, "s3://bucket/travel/map.zarr")
    secret = b"testing-secret"
    assert secret not in pickle.dumps(stored)
    assert secret not in pickle.dumps(open_map("s3://bucket/travel/map.zarr").to_xarray())
    assert _in_another_process(stored) == counts.sum()
    for found in Objects(locate("s3://bucket/travel")).find():
        assert secret not in (locate("s3://bucket/travel") / found).read_bytes()


@pytest.mark.slow
def test_memory_is_not_looked_for_in_other_processes(image):
    stored = write_map(image, "memory://alone/map.zarr")
    assert "memory of another process" in _in_another_process(stored)


def test_storage_options_travel_and_leave_no_trace_in_the_store(s3, image, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    options = {"endpoint_url": s3.endpoint}
    url = f"s3://bucket/{tmp_path.name}/map.zarr"
    stored = write_map(image, url, storage_options=options)
    assert pickle.loads(pickle.dumps(stored)).source.array.store.place.options == options  # noqa: S301
    again = sigma_scale.read(url, storage_options=options)
    np.testing.assert_array_equal(again.to_xarray(), image.to_xarray())
    assert s3.endpoint.encode() not in (locate(url, options) / "zarr.json").read_bytes()


def test_reading_takes_one_request_a_chunk_and_resuming_one_a_row(s3, counts, tmp_path):
    url = f"s3://bucket/{tmp_path.name}/map.zarr"
    stored = write_map(SpectrumImage.from_array(counts, EnergyAxis(300, 0.01)), url)
    s3.ask("/-seen")
    stored.sum_spectrum().compute()
    assert json.loads(s3.ask("/-seen").replace(b"'", b'"')) == {"GET": 4}
    from sigma_scale.store.chunks import EncodedChunks

    found = EncodedChunks(stored.source.array).present(range(2), range(3))
    assert found == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert json.loads(s3.ask("/-seen").replace(b"'", b'"')) == {"GET": 2}


def test_a_copy_from_url_to_url_equals_its_source(s3, image, tmp_path):
    one = write_map(image, f"s3://bucket/{tmp_path.name}/one.zarr")
    two = write_map(one, f"s3://bucket/{tmp_path.name}/two.zarr")
    assert verify_map(two, one) == 150 * 140
    assert dataclasses.replace(two.metadata) == one.metadata
