"""The command that exports the results of a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import xarray as xr
import zarr
from PIL import Image
from rsciio import hspy, msa, zspy

from sigma_scale import store
from sigma_scale.spectra import EnergyAxis, SpectrumImage


@pytest.fixture(scope="module")
def results(home, image):
    """A folder as `run` leaves it: a store with the groups of the results."""
    from sigma_scale.phases import phase_spectra

    path = home / "results" / "map.zarr"
    image = replace(image, metadata=replace(image.metadata, live_time_s=100.0))
    stored = store.write_map(image, path)
    values = np.arange(64 * 64).reshape(64, 64) % 4 - 1
    coords = {dim: stored.coordinates()[dim] for dim in ("y", "x")}
    labels = xr.DataArray(values.astype(np.int32), dims=("y", "x"), coords=coords)
    lines = xr.DataArray(
        np.random.default_rng(0).integers(0, 99, (64, 64, 2)).astype(np.uint32),
        dims=("y", "x", "line"), coords={**coords, "line": ["O_Ka", "Si_Ka"]},
    )  # fmt: skip
    spectra = phase_spectra(stored, labels)
    store.write_result(path, "binned", xr.Dataset({"line_intensity": lines}))
    store.write_result(path, "phases", xr.merge([labels.rename("labels"), spectra]))
    return path.parent, labels, lines, spectra


def test_export_of_labels_and_maps_as_images(call, results):
    folder, labels, lines, _ = results
    assert call("export", folder, "p.ome.tif")[:2] == (0, "p.ome.tif: labels\n")
    np.testing.assert_array_equal(tifffile.imread("p.ome.tif"), labels + 1)
    assert call("export", folder / "map.zarr", "p.ome.zarr")[0] == 0
    root = zarr.open_group("p.ome.zarr", mode="r")
    np.testing.assert_array_equal(root["labels/labels/0"][:], labels + 1)
    colours = root["labels/labels"].attrs["ome"]["image-label"]["colors"]
    assert [colour["label-value"] for colour in colours] == [1, 2, 3]
    code, out, _ = call("export", folder, "l.ome.tif", "--what", "line_intensity")
    assert (code, out) == (0, "l.ome.tif: line_intensity\n")
    np.testing.assert_array_equal(tifffile.imread("l.ome.tif"), lines.to_numpy().transpose(2, 0, 1))
    assert call("export", folder, "l.ome.zarr", "--what", "binned/line_intensity")[0] == 0
    assert zarr.open_group("l.ome.zarr", mode="r")["0"].shape == (2, 64, 64)
    code, _, err = call("export", folder, "p.ome.tif")
    assert code == 2
    assert "p.ome.tif exists already" in err
    assert call("export", folder, "p.ome.tif", "--overwrite")[0] == 0


def test_export_of_spectra_tables_masks_and_figures(call, results, tmp_path):
    folder, labels, lines, spectra = results
    code, out, _ = call("export", folder, "s.msa")
    assert code == 0
    assert out.splitlines() == [f"s_phase_{i}.msa: phases/counts" for i in range(3)]
    (signal,) = msa.file_reader("s_phase_1.msa")
    np.testing.assert_array_equal(signal["data"], spectra["counts"][1])
    assert b"LIVETIME  -s: 25.0" in (tmp_path / "s_phase_1.msa").read_bytes()
    assert call("export", folder, "t.csv")[0] == 0
    assert pd.read_csv("t.csv", index_col=0)["pixels"].tolist() == [1024] * 4
    assert call("export", folder, "n.csv", "--what", "n_pixels")[0] == 0
    assert pd.read_csv("n.csv", index_col="phase")["n_pixels"].tolist() == [1024] * 3
    assert call("export", folder, "m.csv", "--what", "phases/mean")[0] == 0
    table = pd.read_csv("m.csv", index_col="energy")
    np.testing.assert_array_equal(table.to_numpy().T, spectra["mean"])
    code, out, _ = call("export", folder, "masks", "--what", "masks", "--size", "128,64")
    assert (code, out) == (0, "masks: masks\n")
    mask = np.asarray(Image.open("masks/0_phase_0.png"))
    np.testing.assert_array_equal(mask, np.repeat(labels == 0, 2, axis=1) * 255)
    assert call("export", folder, "l.hspy", "--what", "line_intensity")[0] == 0
    (signal,) = hspy.file_reader("l.hspy")
    np.testing.assert_array_equal(signal["data"], lines.transpose("line", "y", "x"))
    for name, what in (("a.png", "labels"), ("b.svg", "line_intensity"), ("c.png", "phases/mean")):
        assert call("export", folder, name, "--what", what)[0] == 0
        first = (tmp_path / name).read_bytes()[:5]
        assert first == (b"<?xml" if name.endswith("svg") else b"\x89PNG\r")
    assert call("export", folder, "a.png")[0] == 2


def test_regions_as_a_map_and_as_a_table(call, results):
    folder, labels, _, _ = results
    for ending in (".ome.tif", ".ome.zarr", ".zspy", ".csv"):
        assert call("export", folder, f"r{ending}", "--what", "regions")[0] == 0
    regions = tifffile.imread("r.ome.tif")
    np.testing.assert_array_equal(regions == 0, labels < 0)
    root = zarr.open_group("r.ome.zarr", mode="r")
    np.testing.assert_array_equal(root["labels/region/0"][:], regions)
    (signal,) = zspy.file_reader("r.zspy")
    np.testing.assert_array_equal(signal["data"], regions)
    table = pd.read_csv("r.csv", index_col="region")
    np.testing.assert_array_equal(table["pixels"], np.bincount(regions.ravel())[1:])


def test_masks_at_the_size_of_an_image(call, results):
    folder, labels, _, _ = results
    Image.fromarray(np.zeros((192, 128), np.uint8)).save("fine.png")
    for name, like, times in (("a", "navigation", (1, 1)), ("b", "fine.png", (3, 2))):
        code, _, err = call("export", folder, name, "--what", "masks", "--like", like)
        assert code == 0, err
        mask = np.asarray(Image.open(f"{name}/2_phase_2.png"))
        np.testing.assert_array_equal(mask, np.kron(labels == 2, np.ones(times)) * 255)


def test_figures_show_the_largest_of_many_phases(call, results, tmp_path):
    from sigma_scale.phases import phase_spectra

    folder, labels, *_ = results
    many = tmp_path / "many.zarr"
    stored = store.write_map(store.open_map(folder / "map.zarr"), many)
    # 27 phases, the larger the higher their number.
    rising = np.minimum(np.sqrt(np.arange(64 * 64) / 3).astype(np.int32), 26)
    numbers = labels.copy(data=rising.reshape(64, 64))
    spectra = phase_spectra(stored, numbers)
    store.write_result(many, "phases", xr.merge([numbers.rename("labels"), spectra]))
    assert call("export", many, "few", "--what", "figures", "--figure-format", "svg")[0] == 0
    assert "and 7 more" in Path("few/phase_map.svg").read_text()
    drawn = Path("few/phase_spectra.svg").read_text()
    assert "Phase 26" in drawn
    assert "Phase 7" in drawn
    assert "Phase 6" not in drawn


def test_a_folder_of_figures(call, results, tmp_path):
    folder = results[0]
    options = ("--what", "figures", "--figure-format", "svg")
    assert call("export", folder, "f", *options)[:2] == (0, "f: figures\n")
    table = pd.read_csv("f/figures.csv", index_col="file")["result"]
    assert table["phase_map.svg"] == "phases/labels"
    assert {path.name for path in (tmp_path / "f").iterdir()} == {*table.index, "figures.csv"}
    code, _, err = call("export", folder, "f", *options)
    assert code == 2
    assert "f exists already" in err
    (tmp_path / "f" / "notes.txt").touch()
    assert "is no exported" in call("export", folder, "f", *options, "--overwrite")[2]
    (tmp_path / "photo.png").write_bytes(b"a photo")
    assert "is no exported" in call("export", folder, "photo.png", "--overwrite")[2]


def test_counts_of_a_folder_of_results(call, results):
    assert call("export", results[0], "c.zarr")[0] == 0
    counts = store.open_map(results[0] / "map.zarr").to_xarray()
    np.testing.assert_array_equal(xr.open_zarr("c.zarr")["counts"], counts)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.csv", "--what", "labels"], "labels is a map"),
        (["x.png", "--what", "n_pixels"], "no figure of n_pixels"),
        (["x.xyz", "--what", "labels"], "must end in .ome.tif"),
        (["x.tif"], "must end in .hspy, .zspy, .zarr for counts, or in .ome.tif, "),
        (["x.tif", "--what", "label"], "no result 'label'. Did you mean labels"),
        (["x.ome.tif", "--what", "Line_intensities"], "Did you mean line_intensity"),
        (["x", "--what", "mask"], "Did you mean masks"),
        (["x.csv", "--what", "masks"], "masks are written to a folder"),
        (["x.HSPY", "--what", "masks"], "Name a folder, such as x; --mask-format says"),
        (["x.png", "--what", "figures"], "Name a folder, such as x; --figure-format says"),
        (["x.ome.tif", "--what", "rgb"], "no result 'rgb'. There are: binned/line_intensity"),
        (["x.ome.tif", "--bin", "2,2"], "--bin, --dtype and --option are for counts"),
        (["x", "--what", "masks", "--size", "big"], "--size takes two whole numbers"),
        (["x.msa", "--what", "labels"], "dimension energy"),
        (["x.ome.tif", "--size", "9,9"], "--size is for masks"),
        (["x.ome.tif", "--like", "a.png"], "--like is for masks"),
        (
            ["x", "--what", "masks", "--like", "SE9"],
            "of that name. Its images: navigation",
        ),
        (["x", "--what", "masks", "--size", "9,9", "--like", "SE"], "Give one of them"),
        (["x", "--what", "masks", "--size", "0,9"], "at least one pixel"),
        (["x.hspy", "--what", "proportions"], "no map and no spectra. Write it to"),
        (["x.csv", "--what", "grains"], "made of the labels, regions, proportions, masks"),
    ],
)
def test_results_that_cannot_be_written_are_refused(call, results, tmp_path, arguments, words):
    source = results[0] / "map.zarr"
    code, out, err = call("export", source, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("what", "endings"),
    [
        ("labels", ".ome.tif, .ome.tiff, .ome.zarr, .hspy, .zspy, .png, .svg"),
        ("line_intensity", ".ome.tif, .ome.tiff, .ome.zarr, .hspy, .zspy, .png, .svg"),
        ("regions", ".ome.tif, .ome.tiff, .ome.zarr, .csv, .parquet, .hspy, .zspy, .png, .svg"),
        ("phases/mean", ".msa, .emsa, .csv, .parquet, .hspy, .zspy, .png, .svg"),
        ("n_pixels", ".csv, .parquet"),
        ("proportions", ".csv, .parquet"),
    ],
)
def test_the_endings_that_are_offered_are_those_that_work(call, results, tmp_path, what, endings):
    source = results[0] / "map.zarr"
    code, _, err = call("export", source, "x.xyz", "--what", what)
    assert code == 2
    assert f"must end in {endings}.\n" in err
    for ending in endings.split(", "):
        assert call("export", source, f"x{ending}", "--what", what)[0] == 0


def test_files_without_results_are_refused(call, map_store):
    np.save("map.npy", np.zeros((4, 4, 8), np.uint8))
    code, _, err = call("export", "map.npy", "x.ome.tif")
    assert code == 2
    assert "map.npy is no store" in err
    assert "sigma-scale run" in err
    code, _, err = call("export", "nothing.zarr", "x.ome.tif")
    assert code == 2
    assert "nothing.zarr" in err
    code, _, err = call("export", map_store, "x.ome.tif")
    assert code == 2
    assert "There are: none" in err


def test_a_map_without_a_pixel_size_is_said_to_have_none(call, home):
    path = home / "unscaled.zarr"
    store.write_map(
        SpectrumImage.from_array(np.ones((4, 5, 8), np.uint8), EnergyAxis(8, 1.0)), path
    )
    labels = xr.DataArray(np.zeros((4, 5), np.int32), dims=("y", "x"))
    store.write_result(path, "phases", xr.Dataset({"labels": labels}))
    for target in ("p.ome.tif", "p.ome.zarr"):
        code, _, err = call("export", path, target)
        assert code == 0
        assert err == (f"Note: labels has no pixel size in micrometres, so {target} names none.\n")
