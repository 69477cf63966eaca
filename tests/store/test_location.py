"""Where stores are: what is a path, what a URL, and what is neither."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from sigma_scale import readers
from sigma_scale.errors import EngineUnavailableError, ParameterError, StoreError
from sigma_scale.export import export_counts
from sigma_scale.store import UrlPath, is_store, local_path, locate, open_map, write_map
from sigma_scale.store import remote as remote_module
from sigma_scale.synthetic import synthetic_map


def test_paths_stay_paths(tmp_path):
    assert locate("a/b.zarr") == Path("a/b.zarr")
    assert locate(tmp_path) == tmp_path
    assert locate("a:b") == Path("a:b")
    assert locate("C:/maps") == Path("C:/maps")


def test_urls_of_files_are_paths(tmp_path):
    odd = tmp_path / "a map & more.zarr"
    assert locate(odd.as_uri()) == odd
    assert locate(f"file://{tmp_path}/b") == tmp_path / "b"
    with pytest.raises(ParameterError, match="three slashes"):
        locate("file://folder/map.zarr")


def test_urls_have_the_parts_of_paths():
    place = locate("s3://bucket/a/map.zarr/")
    assert str(place) == "s3://bucket/a/map.zarr"
    assert (place.name, place.stem, place.suffix) == ("map.zarr", "map", ".zarr")
    assert str(place.parent) == "s3://bucket/a"
    assert str(place / "counts") == "s3://bucket/a/map.zarr/counts"
    assert locate(place) is place
    assert str(locate("gcs://bucket/a")) == "gs://bucket/a"
    assert str(locate("memory:///a/b")) == str(locate("memory://a/b"))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("https://example.org/map.zarr", "can't be at https://"),
        ("s3://bucket", "whole bucket"),
        ("s3://bucket/", "whole bucket"),
        ("s3://bucket//map.zarr", "must not be empty"),
        ("s3://bucket/../map.zarr", "must not be empty"),
        ("s3://bucket/map[1].zarr", r"any of \* \? \[ \]"),
        ("s3://bucket/*", "any of"),
        (Path("s3://bucket/map.zarr"), "Give it as text"),
        ("gs:/bucket/map.zarr", "Give it as text"),
    ],
)
def test_what_cannot_be_a_store_is_refused(given, complaint):
    with pytest.raises(ParameterError, match=complaint):
        locate(given)


@pytest.mark.parametrize(
    "options",
    [
        {"key": "AKIA"},
        {"secret": "hush"},
        {"token": "hush"},
        {"client_kwargs": {"aws_secret_access_key": "hush"}},
        {"client_kwargs": {"aws_session_token": "hush"}},
    ],
)
def test_credentials_are_no_options_and_are_not_repeated(options):
    with pytest.raises(ParameterError, match="is a credential") as caught:
        locate("s3://bucket/map.zarr", options)
    assert "hush" not in str(caught.value)
    with pytest.raises(ParameterError, match="must not hold credentials") as caught:
        locate("s3://me:hush@bucket/map.zarr")
    assert "hush" not in str(caught.value)


def test_googles_ways_to_a_token_are_options_but_tokens_are_not():
    assert locate("gs://bucket/map.zarr", {"token": "anon"}).options == {"token": "anon"}
    with pytest.raises(ParameterError, match="credential"):
        locate("gs://bucket/map.zarr", {"token": {"private_key": "hush"}})


def test_options_belong_to_urls_and_are_json(tmp_path):
    with pytest.raises(ParameterError, match="no storage options"):
        locate(tmp_path, {"anon": True})
    with pytest.raises(ParameterError, match="JSON"):
        locate("s3://bucket/map.zarr", {"session": object()})
    place = locate("s3://bucket/map.zarr", {"anon": True})
    assert pickle.loads(pickle.dumps(place)) == place  # noqa: S301
    assert place.parent.options == (place / "counts").options == {"anon": True}


def test_results_go_to_local_folders(tmp_path):
    assert local_path(tmp_path.as_uri(), "Results") == tmp_path
    with pytest.raises(ParameterError, match="Results go to a local file or folder"):
        local_path("s3://bucket/results", "Results")


def test_a_missing_file_system_names_the_extra(monkeypatch):
    def missing(*_):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(remote_module, "_open_file_system", missing)
    with pytest.raises(EngineUnavailableError, match=r"sigma-scale\[cloud\]"):
        open_map("s3://bucket/map.zarr")


def test_options_that_a_file_system_does_not_have_are_named():
    with pytest.raises(StoreError, match="Check the storage options"):
        is_store(locate("s3://bucket/map.zarr", {"config_kwargs": {"no_such_thing": 1}}))


def test_a_place_knows_what_lies_in_it():
    import fsspec

    fsspec.filesystem("memory").pipe({"/look/a/one": b"1", "/look/b": b"22", "/lookout": b"3"})
    place = locate("memory://look")
    assert place.exists()
    assert place.is_dir()
    assert not place.is_file()
    assert (place / "b").is_file()
    assert (place / "b").read_bytes() == b"22"
    assert sorted(found.name for found in place.iterdir()) == ["a", "b"]
    assert list(place.glob("a*/one")) == [place / "a" / "one"]
    assert list(place.glob("a*/other")) == []
    assert not (place / "c").exists()
    with pytest.raises(FileNotFoundError):
        (place / "c").read_bytes()
    assert isinstance(place, UrlPath)


def test_a_map_that_was_opened_by_a_relative_path_is_read_from_anywhere(tmp_path, monkeypatch):
    image = synthetic_map((20, 20)).image
    monkeypatch.chdir(tmp_path)
    stored = write_map(image, "map.zarr")
    read = readers.read("map.zarr")
    export_counts(image, "map.hspy")
    file = readers.read("map.hspy")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    expected = image.source.read_block(0, 0).to_dense()
    for there in (stored, read, file):
        np.testing.assert_array_equal(there.source.read_block(0, 0).to_dense(), expected)
