"""The commands that read and write maps: ingest, export, calibrate, info."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from sigma_scale import readers, store
from sigma_scale.spectra import EnergyAxis
from sigma_scale.synthetic import synthetic_map


@pytest.fixture
def counts():
    return np.random.default_rng(3).poisson(0.2, (40, 30, 64)).astype(np.uint16)


@pytest.fixture
def npy(tmp_path, counts):
    np.save(tmp_path / "map.npy", counts)
    return "map.npy"


AXIS = ("-O", "scale_kev=0.02", "-O", "offset_kev=0")


def test_ingest_writes_verifies_and_is_done_when_it_is_called_again(call, npy, counts, tmp_path):
    code, out, _ = call("ingest", npy, "out.zarr", "--verify", *AXIS)
    assert code == 0
    assert out.splitlines() == [
        "out.zarr: 30 x 40 pixels, 64 channels",
        "Verified: the counts of all 1,200 pixels agree with map.npy.",
    ]
    stored = store.open_map("out.zarr")
    np.testing.assert_array_equal(stored.to_xarray(), counts)
    assert stored.energy == EnergyAxis(64, 0.02, 0.0)
    assert stored.metadata.selection == {
        "scale_kev": 0.02,
        "offset_kev": 0,
        "energy_dimension": -1,
    }
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out.zarr").rglob("*")}
    assert call("ingest", npy, "out.zarr", *AXIS)[:2] == (
        0,
        "out.zarr: 30 x 40 pixels, 64 channels\n",
    )
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out.zarr").rglob("*")} == before


def test_ingest_refuses_another_source_or_reading_for_a_store(call, npy, counts):
    assert call("ingest", npy, "out.zarr", *AXIS)[0] == 0
    code, _, err = call("ingest", npy, "out.zarr", "-O", "scale_kev=0.01")
    assert code == 2
    assert "out.zarr exists already" in err
    np.save("other.npy", counts + 1)
    code, _, err = call("ingest", "other.npy", "out.zarr", *AXIS)
    assert code == 2
    assert "out.zarr exists already" in err
    assert call("ingest", "other.npy", "out.zarr", "--overwrite", *AXIS)[0] == 0
    np.testing.assert_array_equal(store.open_map("out.zarr").to_xarray(), counts + 1)


@pytest.mark.parametrize("name", ["out.hspy2", "out.hspy", "out.csv"])
def test_a_store_is_not_called_what_it_is_not(call, npy, tmp_path, name):
    code, _, err = call("ingest", npy, name, *AXIS)
    assert code == 2
    assert f"ends in .zarr, not in .{name[4:]}" in err
    assert "Call it out.zarr." in err
    assert [path.name for path in tmp_path.iterdir()] == [npy]


def test_names_of_stores_without_an_ending_will_do(call, npy, counts):
    for name in ("out", "out_1.5", "OUT.ZARR"):
        assert call("ingest", npy, name, *AXIS)[0] == 0
        np.testing.assert_array_equal(store.open_map(name).to_xarray(), counts)
    store.write_map(store.open_map("out"), "mine.store")
    code, _, err = call("ingest", "out", "mine.store", "--overwrite")
    assert (code, err) == (0, "")  # It is a store, whatever it is called.


def test_verify_finds_a_store_that_was_changed(call, npy, tmp_path):
    assert call("ingest", npy, "out.zarr", *AXIS)[0] == 0
    np.save("zeros.npy", np.zeros((40, 30, 64), np.uint16))
    assert call("ingest", "zeros.npy", "zeros.zarr", *AXIS)[0] == 0
    chunk = ("counts", "c", "0", "0", "0")
    content = (tmp_path / "zeros.zarr").joinpath(*chunk).read_bytes()
    (tmp_path / "out.zarr").joinpath(*chunk).write_bytes(content)
    code, out, err = call("ingest", npy, "out.zarr", "--verify", *AXIS)
    assert code == 2
    assert "Verified" not in out
    assert "1,200 pixels of the store differ" in err


@pytest.mark.parametrize("command", ["ingest", "info", "run", "export", "calibrate"])
def test_options_that_there_are_not_are_refused(call, npy, command):
    target = {"ingest": ["a.zarr"], "export": ["a.zarr"]}.get(command, [])
    code, _, err = call(command, npy, *target, "-O", "sharpness=3")
    assert code == 2
    assert "no option 'sharpness' for .npy files; there are scale_kev, offset_kev" in err


@pytest.mark.parametrize("target", ["out.hspy", "out.zspy", "plain.zarr"])
def test_export_writes_what_other_programs_read(call, npy, counts, target):
    code, out, _ = call("export", npy, target, *AXIS)
    assert (code, out) == (0, f"{target}: 30 x 40 pixels, 64 channels\n")
    image = readers.read(target)
    np.testing.assert_array_equal(image.to_xarray(), counts)
    np.testing.assert_allclose(image.energy.values, 0.02 * np.arange(64), atol=1e-12)
    code, _, err = call("export", npy, target, *AXIS)
    assert code == 2
    assert target in err


def test_export_bins_on_the_way(call, npy, counts):
    assert call("export", npy, "square.zarr", "--bin", "2", *AXIS)[0] == 0
    square = counts.reshape(20, 2, 15, 2, 64).sum((1, 3))
    np.testing.assert_array_equal(xr.open_zarr("square.zarr")["counts"], square)
    code, out, _ = call("export", npy, "binned.zarr", "--bin", "3,2", "--dtype", "uint32", *AXIS)
    assert (code, out) == (0, "binned.zarr: 10 x 20 pixels, 64 channels\n")
    expected = counts.reshape(20, 2, 10, 3, 64).sum((1, 3))
    plain = xr.open_zarr("binned.zarr")["counts"]
    assert plain.dtype == np.uint32
    np.testing.assert_array_equal(plain, expected)


def test_calibrate_reports_and_ingest_applies_it(call):
    made = synthetic_map((48, 48), counts_per_pixel=300, seed=2).image
    dense = made.to_xarray().values
    np.save("shifted.npy", dense)
    true = made.energy
    wrong = ("-O", f"scale_kev={true.scale_kev}", "-O", f"offset_kev={true.offset_kev - 0.05}")
    code, out, _ = call("calibrate", "shifted.npy", *wrong)
    assert code == 0
    assert "Si_Ka" in out
    code, _, _ = call("ingest", "shifted.npy", "right.zarr", "--calibrate", *wrong)
    assert code == 0
    found = store.open_map("right.zarr").energy
    for channel in (100, 700):
        assert found.values[channel] == pytest.approx(true.values[channel], abs=0.004)


def test_info_on_a_folder_of_element_images(call, tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    for name in ("Fe", "Si"):
        Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)).save(
            folder / f"{name}.tif"
        )
    code, out, _ = call("info", "maps")
    assert code == 0
    said = " ".join(out.split())
    assert "30 x 20 pixels (x, y), element maps without spectra" in said
    assert "element maps Fe, Si" in said
    code, _, err = call("run", "maps")
    assert code == 2
    assert "folder of images, without spectra" in err


def test_info_leaves_counts_out_if_told(call, npy, counts):
    assert f"{counts.sum():,}" in call("info", npy, *AXIS)[1]
    out = call("info", npy, "--no-counts", *AXIS)[1]
    assert f"{counts.sum():,}" not in out
    assert "--counts" in out
