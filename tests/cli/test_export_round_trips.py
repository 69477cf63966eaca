"""What `run` and `demo` leave, exported by the command and opened by other programs."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import hyperspy.api as hs
import numpy as np
import pandas as pd
import pytest
import tifffile
import xarray as xr
import zarr
from commands import QUICK
from PIL import Image
from rsciio import msa
from skimage.measure import label

from sigma_scale import cli, config, store
from sigma_scale.export import array_from_hyperspy
from sigma_scale.readers.arrays import from_hyperspy

pytestmark = pytest.mark.slow
pytest.importorskip("exspy")

MAPS = (
    "labels",
    "probability",
    "line_intensity",
    "features",
    "binned/total",
    "latent/latent",
    "novelty",
)


@pytest.fixture(scope="module", params=["run", "demo"])
def folder(request, tmp_path_factory):
    """A folder of results of a measured map (binned, a column left out) or of a synthetic one."""
    path = tmp_path_factory.mktemp("results") / request.param
    arguments = ["demo", "--side", "128"]
    if request.param == "run":
        file = request.getfixturevalue("real_data") / "P45_the_default_job.bcf"
        arguments = ["run", str(file), "--bin", "3,3"]
    with config.options(progress=False):
        cli.main([*arguments, "-o", str(path), *QUICK])
    return path


@pytest.fixture(scope="module")
def known(folder):
    """All results by name, as the store gives them."""
    path = folder / "map.zarr"
    groups = [store.open_result(path, name).load() for name in ("binned", "latent", "phases")]
    found = {
        str(name): group[name].reset_coords(drop=True)
        for group in groups
        for name in group.variables
        if name not in group.indexes
    }
    return found | {"binned/total": groups[0]["total"], "latent/latent": found["latent"]}


@pytest.fixture(autouse=True)
def known_warnings():
    """HyperSpy remarks on defaults that have nothing to do with the files."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def planes(array):
    """Values with what is neither y nor x first; labels as they are in image files."""
    ordered = array.transpose(..., "y", "x").to_numpy()
    return ordered + 1 if array.name == "labels" else ordered


@pytest.mark.parametrize("what", MAPS)
def test_maps(call, folder, known, what):
    array, endings = known[what], (".ome.tif", ".ome.zarr", ".hspy", ".zspy")
    for ending in endings:
        code, _, err = call("export", folder, f"m{ending}", "--what", what)
        assert code == 0, err
    expected = planes(array)
    size = float(np.diff(array["x"])[0])
    with tifffile.TiffFile("m.ome.tif") as file:
        np.testing.assert_array_equal(file.asarray().reshape(expected.shape), expected)
        across, below = file.pages.first.tags["XResolution"].value
        assert 1e4 * below / across == pytest.approx(size, rel=1e-6)
    root = zarr.open_group("m.ome.zarr", mode="r")
    (multiscale,) = root.attrs["ome"]["multiscales"]
    (dataset,) = multiscale["datasets"]
    np.testing.assert_array_equal(root[dataset["path"]][:], expected)
    assert dataset["coordinateTransformations"][0]["scale"][-1] == pytest.approx(size, rel=1e-9)
    for ending in endings[2:]:
        for lazy in (False, True):
            signal = hs.load(f"m{ending}", lazy=lazy)
            assert signal._lazy == lazy
            back = array_from_hyperspy(signal)
            assert (back.chunks is not None) == lazy
            assert back.dtype == array.dtype
            np.testing.assert_array_equal(back.transpose(*array.dims), array)
            xr.testing.assert_allclose(back.compute(), array.drop_vars("novelty", errors="ignore"))


def test_regions_are_those_of_scikit_image(call, folder, known):
    labels = known["labels"].to_numpy()
    for ending in (".ome.tif", ".ome.zarr", ".hspy", ".zspy", ".csv", ".parquet"):
        assert call("export", folder, f"r{ending}", "--what", "regions")[0] == 0
    # Numbers differ from scikit-image's, which goes on counting where another phase begins.
    ours = tifffile.imread("r.ome.tif")
    theirs = label(labels + 1, background=0, connectivity=2)
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    assert pairs.shape[1] == ours.max() + (labels < 0).any() == theirs.max() + (labels < 0).any()
    np.testing.assert_array_equal(ours == 0, labels < 0)
    root = zarr.open_group("r.ome.zarr", mode="r")
    np.testing.assert_array_equal(root["labels/region/0"][:], ours)
    for ending in (".hspy", ".zspy"):
        np.testing.assert_array_equal(hs.load(f"r{ending}").data, ours)
    table = pd.read_csv("r.csv", index_col="region")
    pd.testing.assert_frame_equal(pd.read_parquet("r.parquet"), table)
    np.testing.assert_array_equal(table["pixels"], np.bincount(ours.ravel())[1:])
    for region, phase in table["phase"].items():
        assert (labels[ours == region] == phase).all()


@pytest.mark.parametrize("what", ["phases/counts", "phases/mean", "sum_spectrum"])
def test_spectra(call, folder, known, what):
    image = store.open_map(folder / "map.zarr")
    array = known.get(what.partition("/")[2])
    array = image.sum_spectrum().compute() if array is None else array
    spectra = array.transpose(..., "energy").to_numpy().reshape(-1, array.sizes["energy"])
    code, out, _ = call("export", folder, "s.msa", "--what", what)
    assert code == 0
    files = [line.partition(":")[0] for line in out.splitlines()]
    assert len(files) == len(spectra)
    for file, spectrum in zip(files, spectra, strict=True):
        (signal,) = msa.file_reader(file)
        np.testing.assert_array_equal(signal["data"], spectrum)
        assert signal["axes"][0]["offset"] == pytest.approx(float(array["energy"][0]))
    for ending in (".hspy", ".zspy"):
        assert call("export", folder, f"s{ending}", "--what", what)[0] == 0
        signal = hs.load(f"s{ending}")
        assert signal.metadata.Signal.signal_type == "EDS_SEM"
        np.testing.assert_array_equal(signal.data.reshape(spectra.shape), spectra)
    for ending, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        assert call("export", folder, f"s{ending}", "--what", what)[0] == 0
        table = read(f"s{ending}")
        table = table.set_index("energy") if "energy" in table else table
        np.testing.assert_array_equal(table.to_numpy().T, spectra)


def test_masks_lie_on_the_image(call, folder, known):
    """Bins are 2 x 2 or 3 x 3 pixels, and what doesn't fill one at the end belongs to none."""
    labels = known["labels"].to_numpy()
    image = store.open_map(folder / "map.zarr")
    rows, columns = image.shape[:2]
    factor = rows // labels.shape[0]
    whole = np.full((rows, columns), -1)
    raised = np.kron(labels, np.ones((factor, factor), int))
    whole[: raised.shape[0], : raised.shape[1]] = raised
    Image.fromarray(np.zeros((2 * rows, 2 * columns), np.uint8)).save("fine.png")
    wanted = {
        "a": (["--like", "navigation"], whole),
        "b": (["--like", "fine.png"], np.kron(whole, np.ones((2, 2), int))),
        "c": (["--size", f"{2 * columns},{rows}"], np.repeat(whole, 2, axis=1)),
    }
    for name, (options, expected) in wanted.items():
        assert call("export", folder, name, "--what", "masks", *options)[0] == 0
        table = pd.read_csv(f"{name}/masks.csv")
        assert table["phase"].tolist() == sorted({*labels.ravel().tolist()} - {-1})
        for row in table.itertuples():
            mask = np.asarray(Image.open(f"{name}/{row.file}"))
            np.testing.assert_array_equal(mask, 255 * (expected == row.phase))
            assert row.pixels == (expected == row.phase).sum()


@pytest.mark.parametrize("ending", [".hspy", ".zspy", ".zarr"])
def test_counts(call, folder, ending):
    assert call("export", folder, f"c{ending}", "--what", "counts")[0] == 0
    counts = store.open_map(folder / "map.zarr").to_xarray().to_numpy()
    written = xr.open_zarr(f"c{ending}")["counts"] if ending == ".zarr" else None
    np.testing.assert_array_equal(
        hs.load(f"c{ending}").data if written is None else written, counts
    )
    if ending != ".zarr":
        lazy = hs.load(f"c{ending}", lazy=True)
        again = from_hyperspy(lazy)
        np.testing.assert_array_equal(again.to_xarray().to_numpy(), counts)


def test_figures(call, folder):
    for ending in ("png", "svg"):
        options = ["--what", "figures", "--figure-format", ending]
        assert call("export", folder, ending, *options)[0] == 0
        table = pd.read_csv(f"{ending}/figures.csv")
        assert {"phase_map", "phase_spectra", "latent"} <= {f[:-4] for f in table["file"]}
        for file in table["file"]:
            if ending == "png":
                assert np.ptp(np.asarray(Image.open(f"{ending}/{file}"))) > 100
            else:
                root = ET.parse(f"{ending}/{file}").getroot()  # noqa: S314
                assert root.tag.endswith("svg")
