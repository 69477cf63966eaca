import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from sigma_scale import compute, preprocess, store
from sigma_scale.errors import (
    CorruptChunkError,
    FileFormatError,
    OutputExistsError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.mosaic import GridRule, Registration, TileLayout, ingest
from sigma_scale.mosaic.ingest import folder_names, ingest_tiles
from sigma_scale.progress import observing
from sigma_scale.spectra import EnergyAxis, SpectrumImage
from sigma_scale.synthetic import synthetic_tiles

OPTIONS = {"scale_kev": 0.01}
RULE = GridRule(columns=3, pattern="map {index}")


@pytest.fixture
def layout(folder):
    """The six tiles, each of the number in its name in every channel."""
    return TileLayout.from_folder(folder, grid=RULE, options=OPTIONS)


def counts(path):
    return store.open_map(path).to_xarray().to_numpy()


def times(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def test_each_tile_becomes_a_store_at_the_same_place(layout, tmp_path):
    stored = ingest_tiles(layout, tmp_path / "out")
    assert [tile.name for tile in stored] == [f"map {n}" for n in range(1, 7)]
    for number, (old, new) in enumerate(zip(layout, stored, strict=True), start=1):
        assert (new.position, new.row, new.column) == (old.position, old.row, old.column)
        assert new.path.parent == tmp_path / "out"
        np.testing.assert_array_equal(counts(new.path), np.full((20, 30, 4), number))
        np.testing.assert_array_equal(new.read().to_xarray().values, counts(new.path))
    assert stored.left_out == {}
    assert len({tile.path for tile in stored}) == 6


def test_a_registration_stays_one(layout, tmp_path):
    pairs = pd.DataFrame(
        {
            "tile_a": ["map 1", "map 1", "map 2"],
            "tile_b": ["map 2", "map 3", "map 3"],
            "used": [True, True, False],
            "residual": [0.1, 0.2, 3.0],
        }
    )
    given = Registration(layout, pairs, ("map 3", "map 5"))
    stored = ingest_tiles(given, tmp_path / "out")
    assert stored.layout["map 1"].path == tmp_path / "out" / f"{folder_names(['map 1'])[0]}.zarr"
    pd.testing.assert_frame_equal(stored.pairs, pairs)
    assert stored.unmatched == ("map 3", "map 5")
    # A tile that is left out takes its pairs with it.
    layout["map 3"].path.unlink()
    with pytest.warns(SigmaScaleWarning, match="map 3"):
        fewer = ingest_tiles(given, tmp_path / "fewer", unreadable="skip")
    assert list(fewer.layout.left_out) == ["map 3"]
    assert fewer.pairs["tile_b"].tolist() == ["map 2"]
    assert fewer.unmatched == ("map 5",)


def test_layouts_and_registrations_show_what_they_are(layout):
    shown = repr(layout).splitlines()
    assert shown[0] == "<TileLayout>"
    assert shown[1].split() == ["Tiles", "6", "of", "30", "x", "20", "pixels"]
    pairs = pd.DataFrame({"used": [True, False], "residual": [0.5, 9.0]})
    shown = repr(Registration(layout, pairs, ()))
    assert shown.startswith("<Registration>")
    assert "1 of 2 pairs used, 0.50 pixels rms" in shown


def test_what_is_finished_is_kept_and_what_is_half_done_is_completed(layout, tmp_path):
    out = tmp_path / "out"
    stored = ingest_tiles(layout, out)
    before = times(out)
    ingest_tiles(layout, out)
    assert times(out) == before
    shutil.rmtree(stored.tiles[4].path)
    ingest_tiles(layout, out)
    changed = {path for path, time in times(out).items() if before.get(path) != time}
    assert {path.relative_to(out).parts[0] for path in changed} == {stored.tiles[4].path.name}


class Interrupted:
    """Counts whose reading ends the program, after a few blocks."""

    def __init__(self, source, blocks):
        self.source, self.left = source, blocks
        self.shape, self.dtype, self.chunk_shape = source.shape, source.dtype, source.chunk_shape

    def read_block(self, row, column, scratch=None):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.source.read_block(row, column, scratch)

    def __dask_tokenize__(self):
        return self.source.__dask_tokenize__()


@pytest.mark.parametrize("large", [False, True])
def test_an_interrupted_tile_goes_on(tmp_path, monkeypatch, large):
    if large:
        monkeypatch.setattr(ingest, "_LARGE", 1)
    made = synthetic_tiles((1, 2), (200, 300), channels=400, seed=3).images
    whole = TileLayout.from_grid(made, GridRule(rows=1))
    cut = replace(made["tile_0_1"], source=Interrupted(made["tile_0_1"].source, 3))
    broken = TileLayout.from_grid({**made, "tile_0_1": cut}, GridRule(rows=1))
    with compute_in_order(), pytest.raises(KeyboardInterrupt):
        ingest_tiles(broken, tmp_path)
    chunks = sorted((tmp_path / "tile_0_1.zarr" / "counts").rglob("c/*/*/0"))
    assert len(chunks) == 3
    written = [path.stat().st_mtime_ns for path in chunks]
    stored = ingest_tiles(whole, tmp_path)
    assert [path.stat().st_mtime_ns for path in chunks] == written
    for tile in stored:
        np.testing.assert_array_equal(
            counts(tile.path), made[tile.name].to_xarray().values, strict=True
        )


def compute_in_order():
    import dask

    return dask.config.set(scheduler="sync")


def test_small_tiles_are_tasks_and_large_ones_are_shared_out(layout, tmp_path, monkeypatch):
    told = []

    def stream(function, items, **_):
        items = list(items)
        told.append((type(function).__name__, len(items)))
        return map(function, items)

    monkeypatch.setattr(compute, "stream", stream)
    monkeypatch.setattr(ingest, "_LARGE", 600)
    ingest_tiles(layout, tmp_path / "small")
    assert told[0] == ("_Alone", 6)
    told.clear()
    monkeypatch.setattr(ingest, "_LARGE", 599)
    ingest_tiles(layout, tmp_path / "large")
    assert told[0] == ("_Alone", 0)
    assert [name for name, _ in told[1:]] == ["_RegionWriter"] * 6


def test_progress_is_told_of_all_tiles_at_once(layout, tmp_path):
    class Witness:
        seen: ClassVar[list] = []

        def report(self, told):
            self.seen.append(told)

        def check(self):
            pass

    with observing(Witness()):
        ingest_tiles(layout, tmp_path / "out")
    assert {told.description for told in Witness.seen} == {"Writing tiles"}
    assert [told.done for told in Witness.seen] == [600 * n for n in range(7)]
    assert {told.total for told in Witness.seen} == {3600}


def test_stores_are_taken_as_they_are(layout, tmp_path):
    stored = ingest_tiles(layout, tmp_path / "out")
    again = ingest_tiles(stored, tmp_path / "other")
    assert [tile.path for tile in again] == [tile.path for tile in stored]
    assert not (tmp_path / "other").exists()


def truncate(path):
    path.write_bytes(path.read_bytes()[:200])


def reshape(path):
    np.save(path, np.ones((5, 5, 4), np.uint16))


def lock(path):
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")


FAULTS = [
    (truncate, FileFormatError, "map 3.npy"),
    (Path.unlink, SourceNotFoundError, "There is no file"),
    (reshape, ParameterError, "Make the layout again"),
    (lock, FileFormatError, "Permission denied"),
]


@pytest.mark.parametrize(
    ("fault", "error", "words"), FAULTS, ids=lambda v: getattr(v, "__name__", "")
)
def test_tiles_that_cannot_be_read_are_named_or_left_out(tmp_path, folder, fault, error, words):
    layout = TileLayout.from_folder(folder, grid=RULE, options=OPTIONS)
    manifest = layout.write_manifest(tmp_path / "tiles.csv")
    layout = TileLayout.read_manifest(manifest)
    fault(folder / "map 3.npy")
    start = r"Tile 'map 3' \(line 4\) can't be read from .*map 3\.npy: "
    with pytest.raises(error, match=rf"{start}.*{words}.*--skip-unreadable"):
        ingest_tiles(layout, tmp_path / "out")
    with pytest.warns(SigmaScaleWarning, match="Left out.*map 3"):
        stored = ingest_tiles(layout, tmp_path / "out", unreadable="skip")
    assert [tile.name for tile in stored] == [f"map {n}" for n in (1, 2, 4, 5, 6)]
    assert list(stored.left_out) == ["map 3"]
    assert words in stored.left_out["map 3"]
    np.testing.assert_array_equal(counts(stored["map 4"].path), 4)


def test_if_no_tile_can_be_read_it_is_an_error(layout, folder, tmp_path):
    for path in folder.glob("*.npy"):
        path.unlink()
    with pytest.raises(SourceNotFoundError, match="Tile 'map 1'"):
        ingest_tiles(layout, tmp_path / "out", unreadable="skip")


class Vanishing:
    """Counts on a disk that is pulled out half-way."""

    shape, dtype, chunk_shape = (20, 30, 4), np.dtype(np.uint8), (10, 30)

    def read_block(self, row, column, scratch=None):
        raise OSError(5, "Input/output error")

    def __dask_tokenize__(self):
        return "vanishing"


def test_troubles_of_reading_and_writing_are_told_apart(make_image, tmp_path, monkeypatch):
    bad = SpectrumImage(
        Vanishing(), EnergyAxis(4, 0.01), pixel_size=(0.5, 0.5), pixel_unit="µm",
        metadata=make_image().metadata,
    )  # fmt: skip
    layout = TileLayout.from_grid({"a": make_image(), "b": bad}, GridRule(rows=1))
    with pytest.raises(FileFormatError, match=r"Tile 'b' can't be read: .*Input/output error"):
        ingest_tiles(layout, tmp_path)
    with pytest.warns(SigmaScaleWarning, match="b"):
        assert list(ingest_tiles(layout, tmp_path, unreadable="skip").left_out) == ["b"]

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    shutil.rmtree(tmp_path / "a.zarr")
    monkeypatch.setattr("sigma_scale.store.chunks.write_atomically", full)
    with pytest.raises(StoreError, match=r"Tile 'a' can't be stored: .*No space left"):
        ingest_tiles(layout, tmp_path, unreadable="skip")


def test_a_target_that_is_a_file_is_refused(layout, tmp_path):
    (tmp_path / "out").write_text("notes")
    with pytest.raises(StoreError, match=r"Tile 'map .' can't be stored"):
        ingest_tiles(layout, tmp_path / "out", unreadable="skip")


def test_a_file_that_has_changed_is_not_mixed_up_with_its_old_store(folder, layout, tmp_path):
    ingest_tiles(layout, tmp_path / "out")
    np.save(folder / "map 2.npy", np.full((20, 30, 4), 99, np.uint16))
    layout = TileLayout.from_folder(folder, grid=RULE, options=OPTIONS)
    with pytest.raises(OutputExistsError, match=r"Tile 'map 2'.*--overwrite"):
        ingest_tiles(layout, tmp_path / "out")
    stored = ingest_tiles(layout, tmp_path / "out", overwrite=True)
    np.testing.assert_array_equal(counts(stored["map 2"].path), 99)
    np.testing.assert_array_equal(counts(stored["map 1"].path), 1)


def test_a_store_of_one_tile_is_not_replaced_by_another(make_image, tmp_path):
    store.write_map(make_image(), tmp_path / "a.zarr")
    layout = TileLayout.from_grid({"a": make_image(), "b": tmp_path / "a.zarr"}, GridRule(rows=1))
    with pytest.raises(ParameterError, match=r"the file of tile 'b'.*another folder"):
        ingest_tiles(layout, tmp_path, overwrite=True)
    opened = store.open_map(tmp_path / "a.zarr")
    layout = TileLayout.from_grid({"a": opened}, GridRule(rows=1))
    with pytest.raises(ParameterError, match="another folder"):
        ingest_tiles(layout, tmp_path, overwrite=True)


def test_tiles_whose_channels_are_too_different_are_refused_or_left_out(make_image, tmp_path):
    axis = EnergyAxis(100, 0.01)
    images = {"a": make_image(axis=axis), "b": make_image(axis=axis)}
    layout = TileLayout.from_grid(
        {**images, "c": make_image(axis=EnergyAxis(33, 0.03))}, GridRule(rows=1)
    )
    with pytest.raises(ParameterError, match=r"Tile 'c'.*too different"):
        ingest_tiles(layout, tmp_path)
    with pytest.warns(SigmaScaleWarning, match="c"):
        stored = ingest_tiles(layout, tmp_path, unreadable="skip")
    assert [tile.name for tile in stored] == ["a", "b"]
    assert not (tmp_path / "c.zarr").exists()


def test_maps_that_were_processed_are_refused(make_image, tmp_path):
    binned = preprocess.rebin(make_image(), (2, 2))
    layout = TileLayout.from_grid({"a": binned}, GridRule(rows=1))
    with pytest.raises(ParameterError, match=r"Tile 'a'.*without these steps"):
        ingest_tiles(layout, tmp_path)


def test_an_unknown_way_with_unreadable_tiles(layout, tmp_path):
    with pytest.raises(ParameterError, match="'raise' or 'skip'"):
        ingest_tiles(layout, tmp_path, unreadable="ignore")


ODD = ["map 1", "a/b", "a_b", "..", "a.zarr", "Ä", "CON", "Tile", "tile", "x" * 90, "x" * 91, "-"]


def test_names_of_folders_are_safe_unique_and_stable():
    names = folder_names(ODD)
    assert len({name.lower() for name in names}) == len(ODD)
    for name in names:
        assert name.replace("-", "").replace("_", "").isascii()
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        assert len(name) <= 70
    assert names[2] == "a_b"
    assert names[6] != "CON"
    for odd, name in zip(ODD, names, strict=True):
        if odd.lower() != "tile":
            assert folder_names([odd, "another"]) == [name, "another"]
    assert folder_names(["Tile", "other"]) == ["Tile", "other"]


def test_tiles_with_odd_names_are_stored(make_image, tmp_path):
    layout = TileLayout.from_grid({name: make_image() for name in ODD}, GridRule(rows=1))
    stored = ingest_tiles(layout, tmp_path / "out")
    assert {tile.path.parent for tile in stored} == {tmp_path / "out"}
    assert len(list((tmp_path / "out").iterdir())) == len(ODD)


def test_workers_in_other_processes_write_tiles(folder, layout, tmp_path):
    from distributed import Client, LocalCluster

    expected = ingest_tiles(layout, tmp_path / "here")
    (folder / "map 5.npy").write_bytes(b"nothing")
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        Client(cluster),
        pytest.warns(SigmaScaleWarning, match="map 5"),
    ):
        found = ingest_tiles(layout, tmp_path / "there", unreadable="skip")
    assert list(found.left_out) == ["map 5"]
    for tile in found:
        np.testing.assert_array_equal(counts(tile.path), counts(expected[tile.name].path))


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_stores_that_lost_counts_are_left_out_before_composition(layout, tmp_path, damage):
    stored = ingest_tiles(layout, tmp_path / "out")
    source = stored["map 2"].read().source
    chunk = (
        stored["map 2"].path / source.array.path / source.array.metadata.encode_chunk_key((0,) * 3)
    )
    if damage == "missing":
        chunk.unlink()
        with pytest.raises(CorruptChunkError, match=r"Tile 'map 2' can't be read.*row 0, column 0"):
            ingest_tiles(stored, tmp_path / "again")
    else:
        chunk.write_bytes(chunk.read_bytes()[:-1] + b"!")
    with pytest.warns(SigmaScaleWarning, match="Left out, since they can't be read: map 2"):
        again = ingest_tiles(stored, tmp_path / "again", unreadable="skip")
    assert list(again.left_out) == ["map 2"]
    assert "map 2 (Tile 'map 2' can't be read" in repr(again)
    assert len(again) == 5
