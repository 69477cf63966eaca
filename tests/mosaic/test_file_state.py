"""Files of tiles that are replaced or written to after the layout was made."""

import os
import shutil

import numpy as np
import pytest
import xarray as xr

from sigma_scale import store
from sigma_scale.errors import OutputExistsError, ParameterError, SigmaScaleWarning
from sigma_scale.mosaic import GridRule, Tile, TileLayout, compose, register
from sigma_scale.mosaic.ingest import ingest_tiles
from sigma_scale.mosaic.writing import write_mosaic
from sigma_scale.spectra import EnergyAxis, SpectrumImage

RULE = GridRule(columns=3, pattern="map {index}")
AXIS = EnergyAxis(4, 0.01)


def laid_out(folder, files="*.npy"):
    options = {"scale_kev": 0.01} if files == "*.npy" else None
    return TileLayout.from_folder(folder, files=files, grid=RULE, options=options)


def replace_file(folder, number=2, value=99):
    """Another file of the same size in its place, as a microscope that measures again leaves."""
    np.save(folder / "new.npy", np.full((20, 30, 4), value, np.uint16))
    assert (folder / "new.npy").stat().st_size == (folder / f"map {number}.npy").stat().st_size
    (folder / "new.npy").replace(folder / f"map {number}.npy")


CHANGED = r"file of tile 'map 2', .*map 2\.\w+, has been replaced or changed.*Make the layout again"


def test_a_tile_that_changed_before_ingest_is_refused(folder, tmp_path):
    layout = laid_out(folder)
    replace_file(folder)
    with pytest.raises(ParameterError, match=CHANGED):
        ingest_tiles(layout, tmp_path / "out")
    with pytest.warns(SigmaScaleWarning, match="map 2"):
        left = ingest_tiles(layout, tmp_path / "out", unreadable="skip")
    assert "has been replaced" in left.left_out["map 2"]
    # Laid out again, it is what it is now.
    stored = ingest_tiles(laid_out(folder), tmp_path / "out")
    assert store.open_map(stored["map 2"].path).to_xarray().values.max() == 99


def test_an_ingested_tile_that_changed_later_is_not_taken_for_the_old_one(folder, tmp_path):
    before = laid_out(folder)
    ingest_tiles(before, tmp_path / "out")
    replace_file(folder)
    with pytest.raises(ParameterError, match=CHANGED):
        ingest_tiles(before, tmp_path / "out", overwrite=True)
    with pytest.raises(OutputExistsError, match=r"Tile 'map 2'.*has changed since.*--overwrite"):
        ingest_tiles(laid_out(folder), tmp_path / "out")
    stored = ingest_tiles(laid_out(folder), tmp_path / "out", overwrite=True)
    assert store.open_map(stored["map 2"].path).to_xarray().values.max() == 99


def test_a_tile_that_changed_before_composition_is_refused(folder):
    layout = laid_out(folder)
    replace_file(folder)
    with pytest.raises(ParameterError, match=CHANGED):
        compose(layout)
    with pytest.raises(ParameterError, match=CHANGED):
        register(layout, image="total")


def test_a_tile_that_changes_while_the_mosaic_is_read_is_refused(folder):
    image = compose(laid_out(folder), doses="equal")
    values = image.to_xarray().values
    assert np.unique(values).tolist() == [1, 2, 3, 4, 5, 6]
    # Its file has been opened by now, and kept open.
    with (folder / "map 2.npy").open("r+b") as stream:
        stream.seek(-2, os.SEEK_END)
        stream.write(b"\x63\0")
    with pytest.raises(ParameterError, match=CHANGED):
        image.source.read_block(0, 0)


def test_touching_a_file_is_a_change_and_reading_is_none(folder, tmp_path):
    layout = laid_out(folder)
    ingest_tiles(layout, tmp_path / "out")
    compose(layout, doses="equal").to_xarray().load()
    os.utime(folder / "map 2.npy", ns=(0, 10**18))
    with pytest.raises(ParameterError, match=CHANGED):
        compose(layout)


def test_a_manifest_may_be_older_than_its_files(folder, tmp_path):
    path = laid_out(folder).write_manifest(tmp_path / "tiles.csv")
    replace_file(folder)
    layout = TileLayout.read_manifest(path)
    assert np.unique(compose(layout, doses="equal").to_xarray()).tolist() == [1, 3, 4, 5, 6, 99]
    replace_file(folder, value=98)
    with pytest.raises(ParameterError, match=r"'map 2' \(line 3\).* has been replaced"):
        compose(layout)


@pytest.fixture
def stored(folder, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "stores").mkdir()
    for number in range(1, 4):
        counts = rng.poisson(1.0, (20, 30, 4)).astype(np.uint8)
        store.write_map(
            SpectrumImage.from_array(counts, AXIS), tmp_path / "stores" / f"map {number}.zarr"
        )
    return tmp_path / "stores"


def test_a_store_that_is_replaced_is_noticed_and_results_added_to_it_are_none(stored, tmp_path):
    layout = laid_out(stored, "*.zarr")
    store.write_result(stored / "map 2.zarr", "labels", xr.Dataset({"a": ("y", np.arange(2))}))
    compose(layout, doses="equal").to_xarray().load()
    other = SpectrumImage.from_array(np.ones((20, 30, 4), np.uint8), AXIS)
    shutil.rmtree(stored / "map 2.zarr")
    store.write_map(other, stored / "map 2.zarr")
    with pytest.raises(ParameterError, match=CHANGED):
        compose(layout)
    with pytest.raises(ParameterError, match=CHANGED):
        ingest_tiles(layout, tmp_path / "out")


def test_stores_made_by_ingest_are_watched_too(folder, tmp_path):
    ingested = ingest_tiles(laid_out(folder), tmp_path / "out")
    write_mosaic(ingested, tmp_path / "map.zarr", doses="equal")
    replace_file(folder)
    ingest_tiles(laid_out(folder), tmp_path / "out", overwrite=True)
    with pytest.raises(ParameterError, match=r"tile 'map 2'.* has been replaced"):
        write_mosaic(ingested, tmp_path / "other.zarr", doses="equal")


def ripple(path, value):
    """Counts in a file of their own, described by another one; only the latter is named a tile."""
    np.full((6, 5, 4), value, "<u2").tofile(path.with_suffix(".raw"))
    lines = {
        "key": "value", "width": 5, "height": 6, "depth": 4, "offset": 0, "data-length": 2,
        "data-type": "unsigned", "byte-order": "little-endian", "record-by": "vector",
        "depth-scale": 10.0, "depth-origin": 0.0, "depth-units": "eV",
    }  # fmt: skip
    path.write_text("".join(f"{key}\t{value}\n" for key, value in lines.items()))
    return path


def test_files_that_belong_to_a_tile_are_watched_too(tmp_path):
    tiles = [
        Tile.describe(ripple(tmp_path / f"{n}.rpl", n), str(n), position=(0.0, 5.0 * n))
        for n in range(1, 3)
    ]
    layout = TileLayout(tuple(tiles), "pixel")
    np.full((6, 5, 4), 7, "<u2").tofile(tmp_path / "2.raw")
    with pytest.raises(ParameterError, match=r"tile '2', .*2\.rpl, has been replaced or changed"):
        compose(layout)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_folders_of_other_programs_are_watched_too(tmp_path):
    def write(value):
        counts = xr.DataArray(
            np.full((6, 5, 4), value, np.uint16), dims=("y", "x", "energy"), name="counts",
            coords={"energy": ("energy", np.arange(4) * 0.01, {"units": "keV"})},
        )  # fmt: skip
        counts.to_dataset().to_zarr(tmp_path / "other.zarr", mode="w")

    write(1)
    tile = Tile.describe(tmp_path / "other.zarr", "o", position=(0.0, 0.0))
    layout = TileLayout((tile,), "pixel")
    assert compose(layout, doses="equal").to_xarray().values.max() == 1
    write(2)
    with pytest.raises(ParameterError, match=r"tile 'o', .*other\.zarr, has been replaced"):
        compose(layout)
