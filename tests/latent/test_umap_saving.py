import errno
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sigma_scale import config
from sigma_scale.errors import (
    FileFormatError,
    MemoryLimitError,
    OutputExistsError,
    ParameterError,
    ShapeMismatchError,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.latent import UMAP

LINES = ["Al_Ka", "Si_Ka", "Fe_Ka"]


@pytest.fixture(scope="module")
def maps() -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(20, 30, 3)).astype(np.float32)
    return xr.DataArray(values, dims=("y", "x", "line"), coords={"line": LINES})


@pytest.fixture(scope="module")
def model(maps: xr.DataArray) -> UMAP:
    return UMAP(n_landmarks=100, n_epochs=5, random_state=0, min_dist=np.float32(0.25)).fit(maps)


@pytest.fixture
def saved(model: UMAP, tmp_path: Path) -> Path:
    return model.save(tmp_path / "model.npz")


def test_a_model_read_back_is_the_same(model: UMAP, saved: Path, maps: xr.DataArray) -> None:
    twin = UMAP.load(saved)
    xr.testing.assert_identical(twin.transform(maps), model.transform(maps))
    xr.testing.assert_identical(twin.novelty(maps), model.novelty(maps))
    assert twin.get_params() == model.get_params()
    assert list(twin.feature_names_in_) == LINES
    assert twin.engine_ == model.engine_ == "cpu"
    np.testing.assert_array_equal(twin.landmark_rows_, model.landmark_rows_)


def test_a_saved_model_knows_its_features(saved: Path, maps: xr.DataArray) -> None:
    twin = UMAP.load(saved)
    with pytest.raises(ParameterError, match="Mg_Ka, Si_Ka, Fe_Ka, but UMAP was fitted on Al_Ka"):
        twin.transform(maps.assign_coords(line=["Mg_Ka", "Si_Ka", "Fe_Ka"]))
    with pytest.raises(ShapeMismatchError, match="was fitted on 3"):
        twin.transform(maps[..., :2])


def test_numpy_reads_the_file_without_pickle(model: UMAP, saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["landmarks"], model.landmarks_)
        np.testing.assert_array_equal(archive["embedding"], model.embedding_)


def test_arrays_and_states_as_parameters(maps: xr.DataArray, tmp_path: Path) -> None:
    rows = maps.to_numpy().reshape(-1, 3)[:60]
    init = np.random.default_rng(1).normal(size=(60, 2))
    model = UMAP(init=init, n_epochs=5, random_state=np.random.RandomState(0)).fit(rows)
    twin = UMAP.load(model.save(tmp_path / "model.npz"))
    np.testing.assert_array_equal(twin.init, init)
    assert twin.random_state is None
    assert not hasattr(twin, "feature_names_in_")
    np.testing.assert_array_equal(twin.transform(rows), model.transform(rows))


def test_only_models_are_replaced(model: UMAP, saved: Path, tmp_path: Path) -> None:
    model.save(saved)
    other = tmp_path / "notes.txt"
    other.write_text("precious")
    with pytest.raises(OutputExistsError, match="notes"):
        model.save(other)
    assert other.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.npz", "notes.txt"]


def test_a_place_that_takes_no_file_is_named(model: UMAP, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"notes\.txt/a\.npz can't be written.*another place"):
        model.save(tmp_path / "notes.txt" / "a.npz")
    with pytest.raises(StoreError, match=r"can't be written: File name too long"):
        model.save(tmp_path / ("a" * 300))
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputExistsError, match="folder exists"):
        model.save(tmp_path / "folder")
    assert model.save(tmp_path / "new" / "a.npz").is_file()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_what_cannot_be_written_is_said_and_leaves_the_earlier_model(
    model: UMAP, saved: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before, reason = saved.read_bytes(), os.strerror(number)

    def refuse(self: Path, target: Path) -> None:
        raise OSError(number, reason, str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)  # of the draft, when all is written
        with pytest.raises(StoreError, match=rf"model\.npz can't be written: {reason}.*again"):
            model.save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model.npz"]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        UMAP.load(tmp_path / "nowhere.npz")
    path = tmp_path / "model.npz"
    for content in (b"", b"text", pickle.dumps({"a": 1})):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="not a saved umap"):
            UMAP.load(path)
    np.savez(path, landmarks=np.ones((3, 2)))
    with pytest.raises(FileFormatError, match=r"model\.json"):
        UMAP.load(path)


def rewritten(path: Path, change: object, compression: int = zipfile.ZIP_STORED) -> None:
    """Write the archive again with some entries changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def test_compressed_archives_are_refused(saved: Path) -> None:
    rewritten(saved, lambda entries: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(FileFormatError, match="compressed"):
        UMAP.load(saved)


def with_honest_digest(entries: dict[str, bytes], **changes: object) -> None:
    import hashlib

    document = json.loads(entries["model.json"]) | changes
    document["sha256"] = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in sorted(entries.items())
        if name != "model.json"
    }
    entries["model.json"] = json.dumps(document).encode()


def test_claims_of_an_array_are_checked_against_its_size(saved: Path) -> None:
    def claim(entries: dict[str, bytes]) -> None:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 3)}
        )
        entries["landmarks.npy"] = header.getvalue() + b"\0" * 100
        with_honest_digest(entries)

    rewritten(saved, claim)
    with pytest.raises(FileFormatError, match="shape and its size"):
        UMAP.load(saved)


def test_pickled_arrays_are_refused(saved: Path) -> None:
    def smuggle(entries: dict[str, bytes]) -> None:
        buffer = io.BytesIO()
        np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        entries["landmarks.npy"] = buffer.getvalue()
        with_honest_digest(entries)

    rewritten(saved, smuggle)
    with pytest.raises(FileFormatError, match="type object"):
        UMAP.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 99},
        {"kind": "gaussian"},
        {"parameters": {"n_neighbours": 3}},
        {"parameters": {"n_neighbors": 15, "metric": "cosine"}},
        {"parameters": {"n_neighbors": 500}},
        {"parameters": None},
        {"feature_names": ["a"]},
    ],
)
def test_documents_that_cannot_be_are_refused(saved: Path, changes: dict[str, object]) -> None:
    rewritten(saved, lambda entries: with_honest_digest(entries, **changes))
    with pytest.raises(FileFormatError):
        UMAP.load(saved)


def test_damage_is_found(saved: Path) -> None:
    content = saved.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[position] ^= 0x55
        saved.write_bytes(damaged)
        try:
            model = UMAP.load(saved)
        except FileFormatError:
            continue
        # Only what nobody reads may be altered: dates and the like.
        saved.write_bytes(content)
        original = UMAP.load(saved)
        np.testing.assert_array_equal(model.landmarks_, original.landmarks_)
        np.testing.assert_array_equal(model.embedding_, original.embedding_)
    for length in rng.integers(0, len(content), 20):
        saved.write_bytes(content[:length])
        with pytest.raises(FileFormatError):
            UMAP.load(saved)


def test_memory_is_checked_before_it_is_taken(saved: Path) -> None:
    with config.options(memory_limit="1 kB"), pytest.raises(MemoryLimitError, match="memory_limit"):
        UMAP.load(saved)
