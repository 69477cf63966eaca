"""Saved segmentations: what comes back, what is refused, and what is never run."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import zipfile
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr
from sklearn.datasets import make_blobs

from sigma_scale.errors import (
    MemoryLimitError,
    OutputExistsError,
    ParameterError,
    ShapeMismatchError,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.spectra import MapMetadata, SourceFile
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow.segmenter import PixelSegmenter

SHAPE = (24, 32)
CENTRES = [[0, 0], [5, 0], [0, 5], [5, 5]]
ROWS, _ = make_blobs(24 * 32, centers=CENTRES, cluster_std=0.8, random_state=5)
METHODS = {
    "GaussianMixture": {"n_components": 5, "means_init": np.arange(10.0).reshape(5, 2)},
    "BayesianGaussianMixture": {"n_components": 3, "tol": 10.0, "n_fit": np.int64(500)},
    "Kmeans": {"n_clusters": 4},
    "HDBSCAN": {"min_cluster_size": 20},
}


def dataset_of(seed=0, shape=SHAPE, **changes):
    image = synthetic_map(shape, channels=64, scale_kev=0.16, grain_size=8, seed=seed).image
    features = np.random.default_rng(0).normal(size=(*shape, 2))
    return SimpleNamespace(
        processed=replace(image, **changes),
        shape=shape,
        feature_list=["Si_Ka", "Fe_Ka"],
        normalised_elemental_data=features,
    )


DATASET = dataset_of()


@cache
def fitted(method):
    return PixelSegmenter(ROWS, DATASET, method, METHODS[method])


def segmenter(method="GaussianMixture", dataset=DATASET):
    """A segmenter of its own; the fit is made once."""
    ps = copy.copy(fitted(method))
    ps._history = copy.copy(ps._history)
    ps._take_dataset(dataset)
    return ps


def edited(ps):
    ps.merge_clusters([0, 2], name="both")
    ps.create_cluster(np.arange(100))
    ps.relabel_pixels(np.arange(50, 120), -1)
    ps.recolour_clusters([0, -1], "#010203")
    ps.rename_cluster(1, "second")
    ps.drop_empty_clusters()
    ps.undo()
    return ps


def snapshot(ps):
    return (
        ps.labels.tolist(), ps.prob_map.tolist(), ps.latent.tolist(), ps.cluster_colors,
        ps.cluster_names, ps.edit_log, ps.can_redo, ps.method, ps.n_components,
        ps.bic_list, repr(ps.mu.tolist()), ps.height, ps.width, ps.feature_list,
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_everything_comes_back_and_can_be_edited_further(tmp_path, method):
    ps = edited(segmenter(method))
    path = ps.save_state(tmp_path / "deeper" / "state.zarr.zip")
    other = PixelSegmenter.from_saved_state(path, DATASET)
    assert snapshot(other) == snapshot(ps)
    assert other.recipe["model"] == ps.recipe["model"]
    assert other.model is None
    assert list(other.method_args) == list(METHODS[method])
    for each in (ps, other):
        each.redo()
        each.undo()
        each.undo()
        each.merge_clusters([0, 1])
    assert snapshot(other) == snapshot(ps)
    for each in (ps, other):
        each.reset()
    assert snapshot(other) == snapshot(ps) == snapshot(PixelSegmenter.from_saved_state(
        segmenter(method).save_state(tmp_path / "fresh.zip"), DATASET
    ))[:6] + snapshot(ps)[6:]  # fmt: skip


def test_loading_into_a_segmenter_replaces_all_of_it(tmp_path):
    ps = edited(segmenter())
    path = ps.save_state(tmp_path / "state.zip")
    other = segmenter("Kmeans")
    other.get_all_spectra_profile()
    other.load_state(str(path))
    assert snapshot(other) == snapshot(ps)
    np.testing.assert_allclose(other.get_all_spectra_profile(), ps.get_all_spectra_profile())


def test_xarray_opens_a_state(tmp_path):
    ps = edited(segmenter())
    store = zarr.storage.ZipStore(ps.save_state(tmp_path / "state.zip"), mode="r")
    with store, xr.open_zarr(store, consolidated=False) as opened:
        np.testing.assert_array_equal(opened["labels"], ps.label_map)
        np.testing.assert_array_equal(opened["probability"].values.ravel(), ps.probability)
        assert opened["latent"].dims == ("y", "x", "component")
        written = opened.attrs["sigma_scale"]
    assert written["colours"] == {str(k): v for k, v in ps.cluster_colors.items()}
    assert written["names"]["1"] == "second"
    assert written["method_args"] == {
        "n_components": 5, "means_init": np.arange(10.0).reshape(5, 2).tolist(),
    }  # fmt: skip


def test_saving_replaces_states_and_nothing_else(tmp_path):
    path = tmp_path / "state.zip"
    segmenter("Kmeans").save_state(path)
    ps = edited(segmenter())
    ps.save_state(path)
    assert snapshot(PixelSegmenter.from_saved_state(path, DATASET)) == snapshot(ps)
    for name, content in (("map.bcf", b"counts"), ("other.zip", None)):
        other = tmp_path / name
        if content is None:
            with zipfile.ZipFile(other, "w") as archive:
                archive.writestr("a.txt", "a")
        else:
            other.write_bytes(content)
        before = other.read_bytes()
        with pytest.raises(OutputExistsError, match="no saved segmentation"):
            ps.save_state(other)
        assert other.read_bytes() == before
    with pytest.raises(OutputExistsError):
        ps.save_state(tmp_path)
    with pytest.raises(StoreError, match="can't be written"):
        ps.save_state(tmp_path / "map.bcf" / "state.zip")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.bcf", "other.zip", "state.zip"]


def test_interrupted_writing_leaves_the_old_state(tmp_path, monkeypatch):
    path = segmenter().save_state(tmp_path / "state.zip")
    before = path.read_bytes()

    def fail(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(zarr.Group, "create_array", fail)
    with pytest.raises(StoreError, match="disk full"):
        edited(segmenter()).save_state(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["state.zip"]


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def rewritten(path, target, change):
    """Copy an archive with one entry changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = change(entry.filename, old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content)


def document_with(**changes):
    def change(name, content):
        if name != "zarr.json":
            return content
        node = json.loads(content)
        node["attributes"]["sigma_scale"] |= changes
        return json.dumps(node)

    return change


def array_with(array, **changes):
    def change(name, content):
        if name != f"{array}/zarr.json":
            return content
        return json.dumps(json.loads(content) | changes)

    return change


GRID = {"name": "regular", "configuration": {"chunk_shape": [2**40, 2**20]}}
CHANGES = {
    "kind": document_with(kind="other"),
    "schema": document_with(schema=2),
    "log": document_with(log=[{"edit": "merge", "clusters": [0, 1]}]),
    "position": document_with(position=99),
    "labels of the document": document_with(n_clusters=2),
    "identity": document_with(identity={"shape": list(SHAPE)}),
    "no identity": document_with(identity=None),
    "method": document_with(method=3),
    "shape": array_with("labels", shape=[24, 33]),
    "huge": array_with("component_mean", shape=[2**40, 2]),
    "huge chunk": array_with("labels", chunk_grid=GRID),
    "type": array_with("labels", data_type="float64"),
    "object": array_with("labels", data_type="variable_length_bytes"),
    "codec": array_with("labels", codecs=[{"name": "numcodecs.pickle", "configuration": {}}]),
    "old format": array_with("labels", zarr_format=2),
    "chunk": lambda name, content: content[:-3] if name == "labels/c/0/0" else content,
    "changed chunk": lambda name, content: b"\0" * 9 if name == "latent/c/0/0/0" else content,
    "lost chunk": lambda name, content: None if name == "labels/c/0/0" else content,
    "lost latent chunk": lambda name, content: None if name == "latent/c/0/0/0" else content,
    "lost array": lambda name, content: None if name.startswith("latent/") else content,
    "lost mixture": lambda name, content: None if name.startswith("component_f") else content,
    "no json": lambda name, content: b"{" if name == "zarr.json" else content,
    "list": lambda name, content: b"[]" if name == "zarr.json" else content,
    "deep": lambda name, content: b"[" * 10**6 if name == "zarr.json" else content,
    "nothing": lambda name, content: None,
}


def refused(ps, path, error=StoreError, match=None):
    """Neither way of loading accepts a file, and the segmenter stays as it was."""
    before = snapshot(ps)
    with pytest.raises(error, match=match):
        ps.load_state(path)
    assert snapshot(ps) == before
    with pytest.raises(error, match=match):
        PixelSegmenter.from_saved_state(path, ps.dataset)


@pytest.mark.parametrize("change", CHANGES)
def test_altered_states_are_refused(tmp_path, change):
    ps = edited(segmenter())
    path = ps.save_state(tmp_path / "state.zip")
    bad = tmp_path / "bad.zip"
    rewritten(path, bad, CHANGES[change])
    expected = (StoreError, ShapeMismatchError, MemoryLimitError)
    refused(ps, bad, expected)


def test_states_with_edits_that_lead_elsewhere_are_refused(tmp_path, monkeypatch):
    ps = edited(segmenter())
    from sigma_scale.workflow.segmenter import state

    monkeypatch.setattr(state, "_digest", lambda *_: "same")
    path = ps.save_state(tmp_path / "state.zip")
    for name in ("log", "position", "labels of the document", "identity"):
        rewritten(path, tmp_path / "bad.zip", CHANGES[name])
        refused(ps, tmp_path / "bad.zip", StoreError, "can't be used|damaged")


def test_garbage_and_pickles_are_refused(tmp_path):
    ps = segmenter()
    path = ps.save_state(tmp_path / "state.zip")
    content = path.read_bytes()
    refused(ps, tmp_path / "nowhere", SourceNotFoundError, "nowhere")
    refused(ps, tmp_path, StoreError)
    bad = tmp_path / "bad"
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        bad.write_bytes(content[:size])
        refused(ps, bad, StoreError, "not a saved segmentation")
    for garbage in (b"\x80\x04N.", pickle.dumps(Trap()), pickle.dumps({"labels": Trap()})):
        bad.write_bytes(garbage)
        refused(ps, bad, StoreError, "not a saved segmentation")
    np.savez(tmp_path / "bad.npz", labels=np.array([1], object))
    refused(ps, tmp_path / "bad.npz", StoreError)
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", b" " * 10**7)
    refused(ps, bad, StoreError, "more bytes")


def test_flipped_bytes_never_pass(tmp_path):
    ps = edited(segmenter("Kmeans"))
    content = bytearray(ps.save_state(tmp_path / "state.zip").read_bytes())
    rng = np.random.default_rng(0)
    bad = tmp_path / "bad"
    for place in rng.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        bad.write_bytes(changed)
        try:
            loaded = PixelSegmenter.from_saved_state(bad, DATASET)
        except (StoreError, ShapeMismatchError):
            continue
        assert snapshot(loaded) == snapshot(ps)  # a byte that means nothing, such as a date


def test_states_of_other_maps_are_refused(tmp_path):
    ps = segmenter()
    path = ps.save_state(tmp_path / "state.zip")
    refused(segmenter(dataset=dataset_of(seed=1)), path, StoreError, "another map")
    with pytest.raises(ShapeMismatchError, match="24 x 32 pixels, the dataset has 24 x 31"):
        PixelSegmenter.from_saved_state(path, dataset_of(shape=(24, 31)))
    images = SimpleNamespace(**(vars(DATASET) | {"processed": None}))
    refused(segmenter(dataset=images), path, StoreError, "another map")


def test_maps_with_known_files_are_told_apart_by_their_hashes(tmp_path, monkeypatch):
    def with_source(sha256, seed=0, selection=None):
        source = SourceFile("map.bcf", 100, sha256)
        metadata = MapMetadata(sources=(source,), selection=selection or {})
        return dataset_of(seed, metadata=metadata)

    hashed = with_source("ab")
    path = segmenter(dataset=hashed).save_state(tmp_path / "state.zip")
    loaded = PixelSegmenter.from_saved_state(path, with_source("ab"))
    assert loaded._spectra._map_pass is None  # no pass over the counts was needed
    refused(segmenter(dataset=with_source("cd")), path, StoreError, r"another map \(map\.bcf\)")
    refused(segmenter(dataset=with_source("ab", selection={"map": 2})), path, StoreError)
    plain = segmenter(dataset=with_source(None)).save_state(tmp_path / "plain.zip")
    # The same counts under another name: such as the store that a file was ingested into.
    assert PixelSegmenter.from_saved_state(plain, DATASET).n_components == 5
    refused(segmenter(dataset=with_source(None, seed=1)), plain, StoreError, "another map")


def test_states_of_images(tmp_path):
    metadata = MapMetadata(sources=(SourceFile("Fe.png", 9),))
    images = SimpleNamespace(
        **(vars(DATASET) | {"processed": None, "maps": SimpleNamespace(metadata=metadata)})
    )
    ps = edited(segmenter(dataset=images))
    path = ps.save_state(tmp_path / "state.zip")
    assert snapshot(PixelSegmenter.from_saved_state(path, images)) == snapshot(ps)
    for change in ({"feature_list": ["a", "b"]}, {"maps": None}):
        other = SimpleNamespace(**(vars(images) | change))
        with pytest.raises(StoreError, match="another map"):
            PixelSegmenter.from_saved_state(path, other)


def test_states_that_would_not_fit(tmp_path, monkeypatch):
    from sigma_scale import compute

    ps = segmenter()
    path = ps.save_state(tmp_path / "state.zip")
    monkeypatch.setattr(compute, "memory_limit", lambda: 1000)
    with pytest.raises(MemoryLimitError, match=r"state\.zip"):
        ps.load_state(path)


def test_a_state_moved_elsewhere_is_the_same(tmp_path):
    path = segmenter().save_state(tmp_path / "state.zip")
    (tmp_path / "there").mkdir()
    moved = shutil.move(path, tmp_path / "there" / "x")
    assert PixelSegmenter.from_saved_state(moved, DATASET).n_components == 5
    with pytest.raises(ParameterError):
        PixelSegmenter(ROWS, DATASET, "none")
