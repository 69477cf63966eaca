"""Stores: read by anyone, written safely."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from blake3 import blake3
from interrupted_source import Interrupted

from sigma_scale.errors import (
    CorruptChunkError,
    OutputExistsError,
    ParameterError,
    SourceNotFoundError,
    StoreError,
    UnfinishedStoreError,
)
from sigma_scale.files import digest_of
from sigma_scale.spectra import (
    ArraySource,
    EnergyAxis,
    MapMetadata,
    SourceFile,
    SpectrumImage,
)
from sigma_scale.store import Encoding, EventsCodec, create, is_store, open_map, write_map

DETAILS = {
    "pixel_size": (0.5, 0.25),
    "pixel_unit": "µm",
    "metadata": MapMetadata(
        title="granite",
        beam_energy_kev=15.0,
        resolution_mn_ka_ev=125.0,
        live_time_s=60.0,
        elements=("O", "Si"),
        lines=("O_Ka",),
        sources=(SourceFile("granite.bcf", 12, "blake3:ab12"),),
    ),
}


@pytest.fixture
def rich(counts):
    rng = np.random.default_rng(3)
    images = {
        "navigation": xr.DataArray(rng.integers(0, 9, (150, 140)), dims=("y", "x")),
        "SE": xr.DataArray(rng.random((300, 280)), dims=("y", "x")),
    }
    return SpectrumImage.from_array(counts, EnergyAxis(300, 0.01, -0.2), images=images, **DETAILS)


def test_a_map_comes_back_whole(rich, counts, tmp_path):
    stored = write_map(rich, tmp_path / "map.zarr")
    np.testing.assert_array_equal(stored.to_xarray(), counts)
    assert stored.energy == rich.energy
    assert stored.metadata == rich.metadata
    assert (stored.pixel_size, stored.pixel_unit) == ((0.5, 0.25), "µm")
    for name, picture in rich.images.items():
        np.testing.assert_array_equal(stored.images[name], picture)
        assert stored.images[name].dims == ("y", "x")


@pytest.mark.filterwarnings("error")
def test_xarray_and_zarr_read_it_as_dense(rich, counts, tmp_path):
    write_map(rich, tmp_path / "map.zarr")
    dataset = xr.open_zarr(tmp_path / "map.zarr")
    np.testing.assert_array_equal(dataset["counts"], counts)
    np.testing.assert_array_equal(dataset["total"], counts.sum(axis=-1))
    np.testing.assert_array_equal(dataset["sum_spectrum"], counts.sum(axis=(0, 1)))
    assert dataset["energy"].attrs["units"] == "keV"
    assert dataset["x"].attrs["units"] == "µm"
    assert dataset.attrs["beam_energy_kev"] == 15.0
    array = zarr.open(tmp_path / "map.zarr")["counts"]
    np.testing.assert_array_equal(array[100:140, 120:], counts[100:140, 120:])


def test_zarr_itself_writes_chunks_that_we_read(counts, tmp_path):
    rich = SpectrumImage.from_array(counts, EnergyAxis(300, 0.01))
    write_map(rich, tmp_path / "map.zarr")
    array = zarr.open(tmp_path / "map.zarr")["counts"]
    array[100:140, 120:] = counts[100:140, 120:] + 1
    expected = counts.copy()
    expected[100:140, 120:] += 1
    np.testing.assert_array_equal(open_map(tmp_path / "map.zarr").to_xarray(), expected)


def test_floats_go_through_a_standard_codec(counts, tmp_path):
    floats = SpectrumImage.from_array(counts / np.float32(3), EnergyAxis(300, 0.01))
    stored = write_map(floats, tmp_path / "map.zarr")
    np.testing.assert_array_equal(stored.to_xarray(), counts / np.float32(3))
    array = zarr.open(tmp_path / "map.zarr")["counts"]
    assert not isinstance(array.serializer, EventsCodec)


@pytest.mark.parametrize(
    ("shape", "dtype", "chunks"),
    [
        ((4, 4), "u1", (2, 4)),
        ((4, 4, 9), "i2", (2, 2, 9)),
        ((4, 4, 9), "u8", (2, 2, 9)),
        ((4, 4, 9), "u1", (2, 2, 3)),
        ((1, 1, 65536), "u1", (1, 1, 65536)),
    ],
)
def test_the_codec_refuses_arrays_it_cannot_hold(shape, dtype, chunks):
    with pytest.raises(ParameterError, match=r"sigma_scale\.events"):
        zarr.create_array(
            store={},
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            serializer=EventsCodec(),
            compressors=None,
            filters=None,
        )


def interrupt(counts, path, **details):
    broken = SpectrumImage(Interrupted(counts, fail=True), EnergyAxis(300, 0.01), **details)
    with pytest.raises(KeyboardInterrupt):
        write_map(broken, path)


def test_an_interrupted_store_says_so_and_is_completed(counts, tmp_path):
    path = tmp_path / "map.zarr"
    interrupt(counts, path)
    assert is_store(path)
    with pytest.raises(UnfinishedStoreError, match="Run the same ingest again"):
        open_map(path)
    again = Interrupted(counts, fail=False)
    done = {tuple(int(n) for n in p.parts[-3:-1]) for p in path.glob("counts/c/*/*/0")}
    assert done
    stored = write_map(SpectrumImage(again, EnergyAxis(300, 0.01)), path)
    assert not done & set(again.read)
    np.testing.assert_array_equal(stored.to_xarray(), counts)
    assert not list(path.rglob("*.part"))


def test_an_interrupted_store_is_not_mixed_with_another_map(counts, tmp_path):
    path = tmp_path / "map.zarr"
    interrupt(counts, path)
    other = SpectrumImage.from_array(counts + 1, EnergyAxis(300, 0.01))
    with pytest.raises(OutputExistsError, match="unfinished store of another map"):
        write_map(other, path)
    np.testing.assert_array_equal(write_map(other, path, overwrite=True).to_xarray(), counts + 1)


def test_nothing_that_exists_is_replaced_unasked(image, tmp_path):
    path = tmp_path / "map.zarr"
    write_map(image, path)
    before = sorted(p.stat().st_mtime_ns for p in path.rglob("*"))
    with pytest.raises(OutputExistsError, match=r"exists already.*--overwrite.*overwrite=True"):
        write_map(image, path)
    assert sorted(p.stat().st_mtime_ns for p in path.rglob("*")) == before
    write_map(image, path, overwrite=True)
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    (photographs / "cat.png").write_bytes(b"cat")
    with pytest.raises(OutputExistsError, match="not a store"):
        write_map(image, photographs, overwrite=True)
    assert (photographs / "cat.png").read_bytes() == b"cat"


def test_a_store_is_not_overwritten_with_itself(image, counts, tmp_path):
    stored = write_map(image, tmp_path / "map.zarr")
    with pytest.raises(OutputExistsError, match="read from"):
        write_map(stored, tmp_path / "map.zarr", overwrite=True)
    np.testing.assert_array_equal(open_map(tmp_path / "map.zarr").to_xarray(), counts)
    copy = write_map(stored, tmp_path / "copy.zarr")
    np.testing.assert_array_equal(copy.to_xarray(), counts)


def test_damaged_and_missing_chunks_are_named(image, tmp_path):
    path = tmp_path / "map.zarr"
    stored = write_map(image, path)
    chunk = path / "counts" / "c" / "1" / "0" / "0"
    good = chunk.read_bytes()
    chunk.write_bytes(good[:-1])
    with pytest.raises(CorruptChunkError, match=r"chunk \(1, 0\) of .*map\.zarr"):
        stored.sum_spectrum().compute()
    with pytest.raises(CorruptChunkError):
        xr.open_zarr(path)["counts"].values  # noqa: B018
    chunk.unlink()
    with pytest.raises(StoreError, match="missing"):
        stored.sum_spectrum().compute()


def test_what_is_not_a_store_is_named(tmp_path, image):
    with pytest.raises(SourceNotFoundError, match="nothing"):
        open_map(tmp_path / "nothing")
    (tmp_path / "file").write_text("text")
    with pytest.raises(StoreError):
        open_map(tmp_path / "file")
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    assert not is_store(tmp_path / "other.zarr")
    with pytest.raises(StoreError, match="not a map"):
        open_map(tmp_path / "other.zarr")
    write_map(image, tmp_path / "map.zarr")
    marks = tmp_path / "map.zarr" / "zarr.json"
    later = json.loads(marks.read_text())
    later["attributes"]["sigma_scale"]["schema"] = 99
    marks.write_text(json.dumps(later))
    with pytest.raises(StoreError, match="layout 99"):
        open_map(tmp_path / "map.zarr")
    later["attributes"]["sigma_scale"]["schema"] = 1
    marks.write_text(json.dumps(later))
    shutil.rmtree(tmp_path / "map.zarr" / "counts")
    with pytest.raises(StoreError, match="damaged"):
        open_map(tmp_path / "map.zarr")


def test_maps_without_any_count_and_of_one_row(tmp_path):
    for number, shape in enumerate([(5, 4, 30), (1, 200, 3), (200, 1, 3)]):
        empty = SpectrumImage.from_array(np.zeros(shape, np.uint16), EnergyAxis(shape[2], 0.01))
        stored = write_map(empty, tmp_path / f"{number}.zarr", encoding=Encoding("lz4"))
        assert stored.to_xarray().shape == shape
        assert int(stored.sum_spectrum().sum()) == 0


def file_of_counts(path, counts):
    np.save(path, counts)
    return SpectrumImage.from_array(
        counts, EnergyAxis(300, 0.01), metadata=MapMetadata(sources=(SourceFile.at(path),))
    )


def test_a_store_keeps_the_hash_of_its_source(counts, tmp_path):
    image = file_of_counts(tmp_path / "map.npy", counts)
    assert image.metadata.sources[0].digest is None
    (source,) = write_map(image, tmp_path / "map.zarr").metadata.sources
    content = (tmp_path / "map.npy").read_bytes()
    assert source.size == len(content)
    assert source.digest == f"blake3:{blake3(content).hexdigest()}"


def with_old_hash(path, sha256):
    """Give a store's source the hash that stores had before BLAKE3."""
    marks = path / "zarr.json"
    attrs = json.loads(marks.read_text())
    (source,) = attrs["attributes"]["sources"]
    source.pop("digest", None)
    source["sha256"] = sha256
    marks.write_text(json.dumps(attrs))


def test_a_store_with_a_hash_of_another_algorithm_is_read_and_copied(counts, tmp_path):
    write_map(file_of_counts(tmp_path / "map.npy", counts), tmp_path / "old.zarr")
    with_old_hash(tmp_path / "old.zarr", "ab12")
    old = open_map(tmp_path / "old.zarr")
    assert old.metadata.sources[0].digest == "sha256:ab12"
    copy = write_map(old, tmp_path / "copy.zarr")
    assert copy.metadata.sources[0].digest == "sha256:ab12"
    np.testing.assert_array_equal(copy.to_xarray(), counts)
    with_old_hash(tmp_path / "old.zarr", "cd34")
    with pytest.raises(OutputExistsError, match="exists already"):
        write_map(open_map(tmp_path / "old.zarr"), tmp_path / "copy.zarr", reuse=True)


def test_an_unfinished_store_with_a_hash_of_another_algorithm_is_completed(counts, tmp_path):
    # Whether the file is the same is told by its fingerprint, not by this hash.
    image = file_of_counts(tmp_path / "map.npy", counts)
    broken = dataclasses.replace(image, source=Interrupted(counts, fail=True))
    with pytest.raises(KeyboardInterrupt):
        write_map(broken, tmp_path / "map.zarr")
    with_old_hash(tmp_path / "map.zarr", "ab12")
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "map.zarr").glob("counts/c/*/*/0")}
    assert kept
    (source,) = write_map(image, tmp_path / "map.zarr").metadata.sources
    assert source.digest == f"blake3:{blake3((tmp_path / 'map.npy').read_bytes()).hexdigest()}"
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_the_hash_of_a_folder_tells_names_and_contents(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two" * 2**20)  # more than is read at a time
    lines = [
        f"{name} {blake3((tmp_path / name).read_bytes()).hexdigest()}\n"
        for name in ("b", "below/a")
    ]
    seen = []
    expected = f"blake3:{blake3(''.join(lines).encode()).hexdigest()}"
    assert digest_of(tmp_path, seen.append) == expected
    assert sum(seen) == 3 + 3 * 2**20
    (tmp_path / "b").rename(tmp_path / "c")
    assert digest_of(tmp_path) != expected


def test_an_unknown_source_hash_does_not_stand_for_the_counts(counts, tmp_path):
    # Two maps of files that share name and size, whose hashes nobody knows.
    metadata = MapMetadata(sources=(SourceFile("map.bcf", 100),))
    one, other = (
        SpectrumImage.from_array(data, EnergyAxis(300, 0.01), metadata=metadata)
        for data in (counts, counts + 1)
    )
    write_map(one, tmp_path / "map.zarr")
    write_map(one, tmp_path / "map.zarr", reuse=True)
    with pytest.raises(OutputExistsError, match="exists already"):
        write_map(other, tmp_path / "map.zarr", reuse=True)


def test_a_source_that_changes_meanwhile_leaves_no_finished_store(counts, tmp_path):
    image = file_of_counts(tmp_path / "map.npy", counts)

    class Touched(ArraySource):
        def read_block(self, row, column, scratch=None):
            with (tmp_path / "map.npy").open("ab") as stream:
                stream.write(b"more")
            return super().read_block(row, column, scratch)

    changing = dataclasses.replace(image, source=Touched(counts))
    with pytest.raises(StoreError, match=r"map\.npy was changed"):
        write_map(changing, tmp_path / "map.zarr")
    with pytest.raises(UnfinishedStoreError):
        open_map(tmp_path / "map.zarr")


def test_a_folder_that_another_program_lays_out_is_named(image, tmp_path, monkeypatch):
    laid_out = create._lay_out

    def twice(*arguments):
        laid_out(*arguments)
        laid_out(*arguments)

    monkeypatch.setattr(create, "_lay_out", twice)
    with pytest.raises(StoreError, match=r"map\.zarr can't be created: another program"):
        write_map(image, tmp_path / "map.zarr")
    assert not is_store(tmp_path / "map.zarr")


@pytest.mark.parametrize("gone", [True, False])
def test_a_folder_that_vanishes_meanwhile_leaves_no_finished_store(counts, tmp_path, gone):
    path, moved, asked = tmp_path / "map.zarr", tmp_path / "moved.zarr", []

    class Moving(ArraySource):
        def read_block(self, row, column, scratch=None):
            if not asked:
                asked.append(None)
                path.rename(moved)
                if gone:
                    shutil.rmtree(moved)
            return super().read_block(row, column, scratch)

    source = Moving(counts)
    image = SpectrumImage(source, EnergyAxis(counts.shape[2], 0.01))
    with pytest.raises(StoreError):
        write_map(image, path)
    assert not is_store(path)
    if not gone:
        with pytest.raises(UnfinishedStoreError):
            open_map(moved)


def test_an_unfinished_store_is_not_completed_from_a_changed_file(counts, tmp_path):
    file = tmp_path / "map.npy"
    image = file_of_counts(file, counts)
    broken = dataclasses.replace(image, source=Interrupted(counts, fail=True))
    with pytest.raises(KeyboardInterrupt):
        write_map(broken, tmp_path / "map.zarr")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(OutputExistsError, match="unfinished store of another map"):
        write_map(image, tmp_path / "map.zarr")
