"""Saved segmentations: what comes back, and to which maps."""

from __future__ import annotations

import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr
from saved_states import (
    DATASET,
    METHODS,
    ROWS,
    dataset_of,
    edited,
    refused,
    segmenter,
    snapshot,
)

from sigma_scale import config
from sigma_scale.errors import (
    MemoryLimitError,
    OutputExistsError,
    ParameterError,
    ShapeMismatchError,
    StoreError,
)
from sigma_scale.spectra import MapMetadata, SourceFile
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow.datasets import SEMDataset
from sigma_scale.workflow.segmenter import PixelSegmenter


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


def test_states_of_other_maps_are_refused(tmp_path):
    ps = segmenter()
    path = ps.save_state(tmp_path / "state.zip")
    refused(segmenter(dataset=dataset_of(seed=1)), path, StoreError, "another map")
    narrow = PixelSegmenter(ROWS[: 24 * 31], dataset_of(shape=(24, 31)), "Kmeans")
    message = "24 x 32 pixels, the dataset has 24 x 31"
    refused(narrow, path, ShapeMismatchError, message)
    images = SimpleNamespace(**(vars(DATASET) | {"processed": None}))
    refused(segmenter(dataset=images), path, StoreError, "another map")


def test_maps_with_known_files_are_told_apart_by_their_hashes(tmp_path, monkeypatch):
    def with_source(digest, seed=0, selection=None):
        source = SourceFile("map.bcf", 100, digest)
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


def test_later_steps_of_the_dataset_change_neither_clusters_nor_states(tmp_path):
    sem = SEMDataset(synthetic_map((24, 24), seed=2).image)
    sem.set_feature_list(["Si_Ka", "O_Ka"])
    sem.rebin_signal((2, 2))
    sem.normalisation(["zscore"])
    ps = PixelSegmenter(sem.normalised_elemental_data, sem, "Kmeans", {"n_clusters": 3})
    before, labels = snapshot(ps), ps.label_map
    sem.rebin_signal((3, 3))
    sem.set_feature_list(["Si_Ka"])
    path = ps.save_state(tmp_path / "state.zip")
    ps.load_state(path)
    assert snapshot(ps) == before
    xr.testing.assert_equal(ps.label_map, labels)
    sem.rebin_signal((2, 2))
    assert PixelSegmenter.from_saved_state(path, sem).labels.tolist() == before[0]


def test_later_features_of_images_change_no_state(tmp_path):
    images = SimpleNamespace(**(vars(DATASET) | {"processed": None}))
    ps = segmenter(dataset=images)
    images.feature_list = ["Si_Ka"]
    path = ps.save_state(tmp_path / "state.zip")
    ps.load_state(path)
    with pytest.raises(StoreError, match="another map"):
        PixelSegmenter.from_saved_state(path, images)


def test_states_of_several_chunks(tmp_path):
    """Chunks have 1024 pixels at most to each side, and the last ones are not full."""
    shape = (70, 1030)
    rows = np.random.default_rng(0).normal(size=(70 * 1030, 2)) + ROWS[:1]
    ps = PixelSegmenter(rows, dataset_of(shape=shape), "Kmeans", {"n_clusters": 3, "n_fit": 500})
    path = ps.save_state(tmp_path / "state.zip")
    with zipfile.ZipFile(path) as written:
        assert "latent/c/0/1/0" in written.namelist()
    other = PixelSegmenter.from_saved_state(path, ps.dataset)
    np.testing.assert_array_equal(other.labels, ps.labels)
    np.testing.assert_array_equal(other.latent, ps.latent)


def test_states_that_would_not_fit(tmp_path):
    ps = segmenter()
    path = ps.save_state(tmp_path / "state.zip")
    with (
        config.options(memory_limit=1000),
        pytest.raises(MemoryLimitError, match=r"state\.zip"),
    ):
        ps.load_state(path)


def test_a_state_moved_elsewhere_is_the_same(tmp_path):
    path = segmenter().save_state(tmp_path / "state.zip")
    (tmp_path / "there").mkdir()
    moved = shutil.move(path, tmp_path / "there" / "x")
    assert PixelSegmenter.from_saved_state(moved, DATASET).n_components == 5
    with pytest.raises(ParameterError):
        PixelSegmenter(ROWS, DATASET, "none")
