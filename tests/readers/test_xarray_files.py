"""Zarr and NetCDF files that xarray writes."""

import pickle
import shutil
import warnings

import h5py
import numpy as np
import pytest
import xarray as xr
from hyperspy_files import zipped
from mutate import MUTATIONS, faults, read_everything
from xarray_files import KINDS, make_counts, make_dataset, save

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    NoSpectraError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
    UnfinishedStoreError,
)
from sigma_scale.readers import read
from sigma_scale.readers.xarray_files import reader as xarray_files
from sigma_scale.spectra import EnergyAxis, SpectrumImage
from sigma_scale.store import write_map


@pytest.fixture(autouse=True)
def no_warnings():
    """Warnings of ours are asked for where they are due."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SigmaScaleWarning)
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_counts_axes_images_and_metadata_are_read(tmp_path, kind):
    attrs = {
        "beam_energy_kev": 15.0,
        "elements": ["Fe", "Si"],
        "live_time_s": 12,
        "title": "a rock",
    }
    dataset = make_dataset(**{**attrs, "elements": "Fe, Si"} if kind == "classic.nc" else attrs)
    image = read(save(dataset, tmp_path, kind))
    np.testing.assert_array_equal(image.to_xarray(), make_counts())
    assert image.source.dtype == np.uint32
    np.testing.assert_allclose(image.energy.values, dataset.energy, atol=1e-12)
    assert image.pixel_size == pytest.approx((0.5, 0.25))
    assert image.pixel_unit == "µm"
    assert set(image.images) == {"navigation", "SE"}
    np.testing.assert_array_equal(image.navigation, dataset.BSE)
    np.testing.assert_array_equal(image.images["SE"], dataset.SE.T)
    ours = image.metadata
    assert (ours.title, ours.beam_energy_kev, ours.live_time_s) == ("a rock", 15.0, 12.0)
    assert ours.elements == ("Fe", "Si")
    assert ours.sources[0].name == f"map.{kind.split('.')[1]}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [("energy", "y", "x"), ("x", "y", "energy"), ("y", "energy", "x")])
def test_dimensions_may_be_in_any_order(tmp_path, kind, dims):
    dataset = make_dataset()
    dataset["counts"] = dataset.counts.transpose(*dims)
    image = read(save(dataset, tmp_path, kind))
    np.testing.assert_array_equal(image.to_xarray(), make_counts())
    assert image.pixel_size == pytest.approx((0.5, 0.25))
    np.testing.assert_array_equal(image.navigation, dataset.BSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
def test_any_type_of_counts_is_read(tmp_path, kind, dtype):
    data = make_counts(dtype=dtype)
    dataset = make_dataset(data)
    if kind == "classic.nc" and dtype == "u1":
        pytest.skip("NetCDF 3 has no unsigned type")
    image = read(save(dataset, tmp_path, kind))
    np.testing.assert_array_equal(image.to_xarray(), data)
    assert image.source.dtype.kind == ("f" if dtype.startswith("f") else "u")


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("chunks", [(8, 8, 40), (20, 30, 7), (1, 30, 40)])
def test_chunks_may_have_any_shape(tmp_path, kind, chunks):
    name = "chunks" if kind.endswith("zarr") else "chunksizes"
    path = save(make_dataset(), tmp_path, kind, **{name: chunks})
    image = pickle.loads(pickle.dumps(read(path)))  # noqa: S301
    np.testing.assert_array_equal(image.to_xarray(), make_counts())


@pytest.mark.parametrize("kind", ["v2.zarr", "v3.zarr"])
def test_a_zipped_zarr_is_read(tmp_path, kind):
    path = zipped(save(make_dataset(), tmp_path, kind))
    path = path.rename(path.with_name("map.zarr.zip"))
    image = xarray_files.read(path)
    np.testing.assert_array_equal(image.to_xarray(), make_counts())
    assert image.metadata.title == "map"


def test_zeros_are_counts_although_zarr_fills_with_them(tmp_path):
    data = make_counts(dtype="u2")
    image = read(save(make_dataset(data), tmp_path, "v2.zarr", _FillValue=0))
    assert image.source.dtype == np.uint16
    np.testing.assert_array_equal(image.to_xarray(), data)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_the_fill_value_have_no_counts(tmp_path, kind):
    data = make_counts(dtype="i2")
    data[3, 4] = -1
    path = save(make_dataset(data), tmp_path, kind, _FillValue=-1)
    data[3, 4] = 0
    np.testing.assert_array_equal(read(path).to_xarray(), data)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_numbers_are_unpacked(tmp_path, kind):
    data = make_counts().astype("f8") / 4
    data[3, 4] = np.nan
    options = {"dtype": "i2", "scale_factor": 0.25, "add_offset": -1.0, "_FillValue": -99}
    image = read(save(make_dataset(data), tmp_path, kind, **options))
    np.testing.assert_allclose(image.to_xarray(), np.nan_to_num(data))


def test_energies_in_ev_become_kev(tmp_path):
    dataset = make_dataset()
    dataset = dataset.assign_coords(
        energy=("energy", 20.0 * np.arange(40) - 100, {"units": "eV"})
    ).rename(energy="dispersion")
    image = read(save(dataset, tmp_path, "v3.zarr"))
    assert image.energy.scale_kev == pytest.approx(0.02)
    assert image.energy.offset_kev == pytest.approx(-0.1)


@pytest.mark.parametrize("name", ["Energy", "E", "keV", "energy_kev", "channel"])
def test_the_energy_dimension_goes_by_its_name_or_unit(tmp_path, name):
    image = read(save(make_dataset().rename(energy=name), tmp_path, "hdf5.nc"))
    assert image.energy.scale_kev == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("name", "step", "expected"), [("keV", 0.02, 0.02), ("eV", 10.0, 0.01), ("energy_ev", 5, 0.005)]
)
def test_a_name_is_a_unit(tmp_path, name, step, expected):
    dataset = make_dataset().rename(energy=name)
    dataset = dataset.assign_coords({name: step * np.arange(40)})
    assert read(save(dataset, tmp_path, "v3.zarr")).energy.scale_kev == pytest.approx(expected)


@pytest.mark.parametrize(("step", "expected", "unit"), [(0.02, 0.02, "keV"), (10.0, 0.01, "eV")])
def test_without_units_energies_are_guessed_with_a_warning(tmp_path, step, expected, unit):
    dataset = make_dataset().assign_coords(energy=step * np.arange(40))
    path = save(dataset, tmp_path, "v3.zarr")
    with pytest.warns(SigmaScaleWarning, match=rf"map\.zarr.*{unit} is assumed"):
        assert read(path).energy.scale_kev == pytest.approx(expected)


def test_without_energies_ten_ev_are_assumed_with_a_warning(tmp_path):
    path = save(make_dataset().drop_vars("energy"), tmp_path, "v3.zarr")
    with pytest.warns(SigmaScaleWarning, match=r"10 eV per channel from -0\.2 keV"):
        assert read(path).energy == EnergyAxis(40, 0.01, -0.2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["swap", "gap", "repeat", "descend", "nan"])
def test_energies_that_are_no_axis_are_refused(tmp_path, kind, change):
    values = -0.1 + 0.02 * np.arange(40)
    values = {
        "swap": np.r_[values[:5], values[6], values[5], values[7:]],
        "gap": np.r_[values[:20], values[20:] + 0.001],
        "repeat": np.full(40, 1.0),
        "descend": values[::-1],
        "nan": np.r_[values[:5], np.nan, values[6:]],
    }[change]
    dataset = make_dataset().assign_coords(energy=("energy", values, {"units": "keV"}))
    with pytest.raises(FileFormatError, match=r"map\.(zarr|nc).*energ"):
        read(save(dataset, tmp_path, kind))


def test_energies_of_single_precision_are_an_axis(tmp_path):
    values = (-0.2 + 0.01 * np.arange(2048)).astype("f4")
    dataset = make_dataset(make_counts((3, 4, 2048)))
    dataset = dataset.assign_coords(energy=("energy", values, {"units": "keV"}))
    found = read(save(dataset, tmp_path, "v3.zarr")).energy
    assert found.scale_kev == pytest.approx(0.01, rel=1e-5)


def test_wavelengths_are_no_energies(tmp_path):
    dataset = make_dataset()
    dataset.energy.attrs["units"] = "nm"
    with pytest.raises(FileFormatError, match=r"map\.zarr.*'nm'"):
        read(save(dataset, tmp_path, "v3.zarr"))


def test_positions_that_go_back_are_refused(tmp_path):
    dataset = make_dataset().assign_coords(y=np.r_[1.0, 0.0, 2:20:1])
    with pytest.raises(FileFormatError, match=r"map\.zarr.*'y'"):
        read(save(dataset, tmp_path, "v3.zarr"))


def test_positions_may_descend_or_be_uneven(tmp_path):
    dataset = make_dataset().isel(y=slice(None, None, -1))
    image = read(save(dataset, tmp_path, "v3.zarr"))
    assert image.pixel_size == pytest.approx((0.5, 0.25))
    np.testing.assert_array_equal(image.to_xarray(), make_counts()[::-1])
    uneven = dataset.assign_coords(y=("y", np.r_[0.0, 2:21:1], {"units": "µm"}))
    with pytest.warns(SigmaScaleWarning, match="uneven"):
        assert read(save(uneven, tmp_path, "hdf5.nc")).pixel_size[0] == pytest.approx(20 / 19)


def test_without_lengths_pixels_are_pixels(tmp_path):
    image = read(save(make_dataset().drop_vars(["x", "y"]), tmp_path, "v3.zarr"))
    assert (image.pixel_size, image.pixel_unit) == ((1.0, 1.0), "pixel")


def test_several_maps_are_listed_and_chosen(tmp_path):
    dataset = make_dataset()
    dataset["variance"] = dataset.counts + 1
    path = save(dataset, tmp_path, "v3.zarr")
    with pytest.raises(ParameterError, match=r"map\.zarr.*'counts', 'variance'.*variable="):
        read(path)
    np.testing.assert_array_equal(read(path, variable="variance").to_xarray(), make_counts() + 1)
    assert read(path, variable="sum").shape == (1, 1, 40)
    with pytest.raises(ParameterError, match=r"'nothing'.*'counts'"):
        read(path, variable="nothing")


def test_the_energy_dimension_can_be_named(tmp_path):
    dataset = make_dataset().rename(energy="third").drop_vars("third")
    dataset = dataset.assign_coords(loss=("third", 0.5 + 0.02 * np.arange(40)))
    path = save(dataset, tmp_path, "v3.zarr")
    with pytest.raises(NoSpectraError, match=r"map\.zarr.*counts.*energy="):
        read(path)
    with pytest.raises(ParameterError, match=r"dimensions .*energy="):
        read(path, variable="counts")
    with pytest.warns(SigmaScaleWarning, match="10 eV"):
        np.testing.assert_array_equal(read(path, energy="third").to_xarray(), make_counts())


def test_a_file_without_spectra_lists_what_it_holds(tmp_path):
    with pytest.raises(NoSpectraError, match=r"map\.zarr.*BSE.*SE"):
        read(save(make_dataset()[["BSE", "SE"]], tmp_path, "v3.zarr"))


def test_a_line_scan_becomes_one_row(tmp_path):
    image = read(save(make_dataset()[["counts"]].isel(y=0, drop=True), tmp_path, "hdf5.nc"))
    assert image.shape == (1, 30, 40)
    np.testing.assert_array_equal(image.to_xarray()[0], make_counts()[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_without_pixels_is_refused(tmp_path, kind):
    dataset = make_dataset()[["counts"]].isel(y=slice(0, 0))
    with pytest.raises((EmptyMapError, FileFormatError), match=r"map\.(zarr|nc)"):
        read(save(dataset, tmp_path, kind))


def test_an_unfinished_store_of_ours_is_refused_even_in_a_zip(tmp_path):
    image = SpectrumImage.from_array(make_counts(dtype="u1"), EnergyAxis(40, 0.01))
    write_map(image, tmp_path / "map.zarr")
    for change in ("complete", "unfinished"):
        store = tmp_path / change / "map.zarr"
        shutil.copytree(tmp_path / "map.zarr", store)
        header = store / "zarr.json"
        header.write_text(header.read_text().replace('"complete"', f'"{change}"'))
        path = zipped(store)
        path = path.rename(path.with_name("map.zarr.zip"))
        if change == "complete":
            np.testing.assert_array_equal(xarray_files.read(path).to_xarray(), make_counts())
        else:
            with pytest.raises(UnfinishedStoreError, match=r"map\.zarr\.zip"):
                xarray_files.read(path)


@pytest.mark.parametrize("name", ["none.zarr", "none.nc"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(SourceNotFoundError, match=name):
        xarray_files.read(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"CDF", b"CDF\x01" + b"\xff" * 100, b"\x89HDF\r\n\x1a\n"])
@pytest.mark.parametrize("name", ["map.nc", "map.zarr"])
def test_files_of_rubbish_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=name):
        read(tmp_path / name)


def test_an_endless_coordinate_is_refused(tmp_path):
    path = save(make_dataset(), tmp_path, "hdf5.nc")
    with h5py.File(path, "r+") as file:
        file.create_dataset("extra", (2**30,), chunks=(2**20,), dtype="u1")
    with pytest.raises(FileFormatError, match=r"map\.nc.*'extra'"):
        read(path)


def ignoring_warnings(path):
    """Read everything; warnings say nothing of faults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_everything(path)


def make_sample(folder, kind):
    """Small file with a map, images and attributes."""
    dataset = make_dataset(make_counts((8, 9, 40)), beam_energy_kev=15.0)
    return save(dataset, folder, kind)


@pytest.mark.parametrize("kind", ["hdf5.nc", "classic.nc"])
def test_damaged_files_are_refused_or_read(tmp_path, kind):
    path = make_sample(tmp_path, kind)
    folder = tmp_path / "damaged"
    folder.mkdir()
    assert faults(ignoring_warnings, path, folder) == {}


MEMBERS = {
    "v2.zarr": [".zattrs", "counts/.zarray", "counts/.zattrs", "counts/0.0.0", "energy/.zarray"],
    "v3.zarr": ["zarr.json", "counts/zarr.json", "counts/c/0/0/0", "energy/c/0", "BSE/zarr.json"],
}


@pytest.mark.parametrize(("kind", "member"), [(k, m) for k, ms in MEMBERS.items() for m in ms])
def test_damaged_members_of_a_zarr_are_refused_or_read(tmp_path, kind, member):
    path = make_sample(tmp_path, kind)
    target = path / member
    whole = tmp_path / "whole"
    shutil.copy(target, whole)
    folder = tmp_path / "damaged"
    folder.mkdir()
    found = faults(
        lambda _: ignoring_warnings(path),
        whole,
        folder,
        number=max(5, MUTATIONS // 5),
        prepare=lambda damaged: shutil.copy(damaged, target),
    )
    assert found == {}


def test_what_is_read_is_what_xarray_reads(tmp_path):
    path = save(make_dataset(), tmp_path, "v3.zarr")
    with xr.open_zarr(path, consolidated=False) as dataset:
        np.testing.assert_array_equal(read(path).to_xarray(), dataset.counts)
