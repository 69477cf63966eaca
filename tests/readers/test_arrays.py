"""Arrays as maps: .npy files, NumPy, dask, xarray and HyperSpy."""

import pickle
import re

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hyperspy_files import make_data, make_signal
from mutate import faults, read_everything
from xarray_files import make_counts, make_dataset

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
)
from sigma_scale.readers import read
from sigma_scale.readers.arrays import (
    as_spectrum_image,
    from_array,
    from_hyperspy,
    from_xarray,
)
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage

AXIS = EnergyAxis(40, 0.02, -0.1)


def saved(folder, data, **options):
    """Write a .npy file."""
    np.save(folder / "map.npy", data, **options)
    return folder / "map.npy"


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i4", "i8", "f2", "<f4", ">f8", "?"])
def test_npy_files_of_any_type_are_read(tmp_path, dtype):
    data = make_counts((150, 140, 40), dtype)
    image = read(saved(tmp_path, data), scale_kev=0.02, offset_kev=-0.1)
    np.testing.assert_array_equal(image.to_xarray(), data)
    assert image.energy == AXIS
    assert (image.pixel_unit, image.metadata.title) == ("pixel", "map")
    assert image.metadata.sources[0].name == "map.npy"


def test_npy_files_in_the_order_of_fortran_are_read(tmp_path):
    data = make_counts()
    image = read(saved(tmp_path, np.asfortranarray(data)), scale_kev=0.02)
    np.testing.assert_array_equal(image.to_xarray(), data)
    assert image.energy.offset_kev == 0.0


@pytest.mark.parametrize("place", [0, 1, -3])
def test_the_energy_dimension_may_be_anywhere(tmp_path, place):
    data = make_counts()
    path = saved(tmp_path, np.moveaxis(data, -1, place))
    image = read(path, energy_dimension=place, scale_kev=0.02)
    np.testing.assert_array_equal(image.to_xarray(), data)


@pytest.mark.parametrize("shape", [(7, 40), (40,)])
def test_fewer_dimensions_are_a_line_scan_or_a_spectrum(tmp_path, shape):
    data = make_counts(shape)
    image = read(saved(tmp_path, data), scale_kev=0.02)
    np.testing.assert_array_equal(image.to_xarray().values.reshape(shape), data)
    assert image.shape[0] == 1


def test_without_energies_a_warning_says_how_to_set_them(tmp_path):
    path = saved(tmp_path, make_counts())
    with pytest.warns(SigmaScaleWarning, match=r"map\.npy.*10 eV.*scale_kev"):
        assert read(path).energy == EnergyAxis(40, 0.01, -0.2)


def test_an_npy_source_is_pickled_without_its_counts(tmp_path):
    image = read(saved(tmp_path, make_counts((200, 100, 40))), scale_kev=0.02)
    content = pickle.dumps(image)
    assert len(content) < 5_000
    again = pickle.loads(content)  # noqa: S301
    np.testing.assert_array_equal(again.to_xarray(), make_counts((200, 100, 40)))


@pytest.mark.parametrize(
    "data",
    [np.array([[["a"]]]), np.zeros((2, 3, 4), complex), np.zeros((2, 3, 4, 5)), np.zeros(())],
)
def test_npy_files_that_are_no_maps_are_refused(tmp_path, data):
    with pytest.raises(FileFormatError, match=r"map\.npy"):
        read(saved(tmp_path, data), scale_kev=0.02)


def test_pickled_objects_are_refused(tmp_path):
    path = saved(tmp_path, np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(FileFormatError, match=r"map\.npy"):
        read(path, scale_kev=0.02)


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_npy_files_without_pixels_are_refused(tmp_path, shape):
    with pytest.raises((EmptyMapError, FileFormatError), match=r"map\.npy"):
        read(saved(tmp_path, np.zeros(shape, "u2")), scale_kev=0.02)


@pytest.mark.parametrize("cut", [1, 100, 47_950, 48_127])
def test_truncated_npy_files_are_refused(tmp_path, cut):
    path = saved(tmp_path, make_counts(dtype="u2"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    with pytest.raises(FileFormatError, match=r"map\.npy"):
        read(path, scale_kev=0.02)


def test_npy_options_out_of_range_are_refused(tmp_path):
    path = saved(tmp_path, make_counts())
    with pytest.raises(ParameterError, match=r"dimension 3.*\(20, 30, 40\)"):
        read(path, energy_dimension=3)
    with pytest.raises(ParameterError, match="positive"):
        read(path, scale_kev=0.0)
    with pytest.raises(SourceNotFoundError, match=r"none\.npy"):
        read(tmp_path / "none.npy")


def test_counts_that_cannot_be_are_refused_with_their_place(tmp_path):
    data = make_counts((200, 30, 40))
    data[170, 4, 5] = -3
    image = read(saved(tmp_path, data), scale_kev=0.02)
    image.source.read_block(0, 0)
    with pytest.raises(FileFormatError, match=r"map\.npy, rows 128 to .*-3"):
        image.source.read_block(1, 0)


def test_damaged_files_are_refused_or_read(tmp_path):
    path = saved(tmp_path, make_counts(dtype="u2"))
    folder = tmp_path / "damaged"
    folder.mkdir()
    assert faults(lambda p: read_everything(p, scale_kev=0.02), path, folder) == {}


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", ">u2"])
@pytest.mark.parametrize("chunks", [None, (7, 11, 13), (20, 30, 1), (1, 30, 40)])
def test_arrays_of_numpy_and_dask_become_maps(dtype, chunks):
    data = make_counts(dtype=dtype)
    array = data if chunks is None else da.from_array(data, chunks=chunks)
    image = from_array(array, AXIS, pixel_size=(2.0, 3.0), pixel_unit="µm")
    np.testing.assert_array_equal(image.to_xarray(), data)
    np.testing.assert_array_equal(image.sum_spectrum(), data.sum((0, 1)))
    assert (image.pixel_size, image.energy) == ((2.0, 3.0), AXIS)
    assert image.source.dtype.kind in "uf"


def test_dask_arrays_are_computed_block_by_block_and_once():
    made = []

    def chunk(block_info=None):
        made.append(tuple(block_info[None]["chunk-location"]))
        return np.ones(block_info[None]["chunk-shape"], np.uint8)

    sizes = ((64,) * 5, (64,) * 4, (40,))
    array = da.map_blocks(chunk, chunks=sizes, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    image = from_array(array, AXIS)
    assert made == []
    image.source.read_block(0, 1)
    assert sorted(made) == [(0, 2, 0), (0, 3, 0), (1, 2, 0), (1, 3, 0)]
    for i, j in np.ndindex(image.n_blocks):
        if (i, j) != (0, 1):
            image.source.read_block(i, j)
    assert len(made) == 20


def test_lists_become_maps():
    np.testing.assert_array_equal(
        from_array([[[1, 2], [3, 4]]], EnergyAxis(2, 1.0)).to_xarray(), [[[1, 2], [3, 4]]]
    )


@pytest.mark.parametrize("bad", [-1, 2**32])
def test_arrays_with_counts_that_cannot_be_are_refused(bad):
    data = make_counts(dtype="i8")
    data[3, 4, 5] = bad
    with pytest.raises(ParameterError, match=str(bad)):
        from_array(data, AXIS).source.read_block(0, 0)


def as_numpy(data):
    return SpectrumImage(ArraySource(data, (16, 16)), AXIS)


def as_dask(data):
    return from_array(da.from_array(data, chunks=(7, 11, 13)), AXIS)


def as_labelled(data):
    return from_xarray(make_dataset(data).counts)


def as_signal(data):
    return from_hyperspy(make_signal(data))


IN_MEMORY = [as_numpy, as_dask, as_labelled, as_signal]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("make", IN_MEMORY)
def test_pixels_in_memory_that_were_not_measured_have_no_counts(make, dtype):
    data = make_counts(dtype=dtype)
    data[3, 4] = data[19, 29] = np.nan
    image = make(data)
    np.testing.assert_array_equal(image.to_xarray(), np.nan_to_num(data))
    assert image.source.read_block(0, 0).to_dense()[3, 4].sum() == 0
    assert np.isnan(data[3, 4]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("make", IN_MEMORY)
def test_pixels_in_memory_that_are_no_numbers_are_refused_by_their_place(make, bad):
    data = make_counts(dtype="f4")
    data[18, 25, 7] = bad
    image = make(data)
    with pytest.raises(ParameterError, match=r"1 pixels.*missing.*row 18 and column 25\."):
        image.to_xarray().compute()


@pytest.mark.parametrize("make", IN_MEMORY)
def test_maps_in_memory_have_no_blocks_outside_of_them(make):
    source = make(make_counts(dtype="f4")).source
    for place in [(-1, 0), (0, -1), (9, 0), (0, 9)]:
        with pytest.raises(ParameterError, match=re.escape(f"no block {place}")):
            source.read_block(*place)


def test_arrays_that_are_no_maps_are_refused():
    with pytest.raises(ParameterError, match="not 2"):
        from_array(np.zeros((3, 40), "u1"), AXIS)
    with pytest.raises(ParameterError, match="complex"):
        from_array(np.zeros((3, 4, 40), complex), AXIS)
    with pytest.raises(EmptyMapError):
        from_array(np.zeros((0, 4, 40), "u1"), AXIS)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dims", [("y", "x", "energy"), ("energy", "x", "y")])
def test_labelled_arrays_become_maps(lazy, dims):
    array = make_dataset().counts.transpose(*dims).assign_attrs(beam_energy_kev=20.0)
    image = from_xarray(array.chunk({"y": 7}) if lazy else array)
    np.testing.assert_array_equal(image.to_xarray(), make_counts())
    assert image.energy.scale_kev == pytest.approx(0.02)
    assert image.pixel_size == pytest.approx((0.5, 0.25))
    assert (image.metadata.title, image.metadata.beam_energy_kev) == ("counts", 20.0)


def test_labelled_arrays_without_energies_are_refused():
    array = xr.DataArray(make_counts(), dims=("a", "b", "c"))
    with pytest.raises(ParameterError, match=r"'a', 'b', 'c'.*energy="):
        from_xarray(array)
    with pytest.warns(SigmaScaleWarning, match="10 eV"):
        assert from_xarray(array, energy="a").shape == (30, 40, 20)


def test_what_to_xarray_gives_becomes_the_same_map():
    image = SpectrumImage.from_array(
        make_counts(dtype="u1"), AXIS, pixel_size=(0.5, 0.5), pixel_unit="µm"
    )
    again = from_xarray(image.to_xarray())
    np.testing.assert_array_equal(again.to_xarray(), make_counts())
    assert again.energy.scale_kev == pytest.approx(AXIS.scale_kev)
    assert again.pixel_size == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", ["SEM", "TEM"])
def test_signals_of_hyperspy_become_maps(kind, lazy):
    pytest.importorskip("exspy")
    data = make_data()
    signal = make_signal(da.from_array(data, chunks=(2, 3, 60)) if lazy else data, kind, lazy=lazy)
    signal.set_microscope_parameters(beam_energy=15.0, elevation_angle=35.0)
    signal.set_elements(["Al", "Si"])
    signal.metadata.General.title = "a rock"
    image = from_hyperspy(signal)
    assert signal._lazy is lazy
    np.testing.assert_array_equal(image.to_xarray(), data)
    np.testing.assert_allclose(image.energy.values, -0.1 + 0.02 * np.arange(60), atol=1e-12)
    assert (image.pixel_size, image.pixel_unit) == ((0.5, 0.25), "µm")
    ours = image.metadata
    assert (ours.title, ours.instrument, ours.beam_energy_kev) == ("a rock", kind, 15.0)
    assert (ours.elevation_deg, ours.elements) == (35.0, ("Al", "Si"))


def test_any_signal_with_an_energy_axis_becomes_a_map():
    hs = pytest.importorskip("hyperspy.api")
    signal = hs.signals.Signal1D(make_data())
    axis = signal.axes_manager.signal_axes[0]
    axis.units, axis.scale = "eV", 10.0
    assert from_hyperspy(signal).energy.scale_kev == pytest.approx(0.01)
    turned = signal.transpose(signal_axes=[0], navigation_axes=[1, 2])
    with pytest.raises(ParameterError, match="two others"):
        from_hyperspy(hs.signals.Signal2D(make_data()))
    assert from_hyperspy(turned).shape[2] == 7


def test_whatever_holds_a_map_is_taken(tmp_path):
    data = make_counts(dtype="u1")
    path = saved(tmp_path, data)
    image = SpectrumImage.from_array(data, AXIS)
    assert as_spectrum_image(image) is image
    with pytest.warns(SigmaScaleWarning):
        np.testing.assert_array_equal(as_spectrum_image(str(path)).to_xarray(), data)
    for given in (make_dataset().counts, make_signal(data)):
        np.testing.assert_array_equal(as_spectrum_image(given).to_xarray(), make_counts())
    np.testing.assert_array_equal(as_spectrum_image(data, AXIS).to_xarray(), data)
    with pytest.raises(ParameterError, match=r"ndarray.*energy=EnergyAxis"):
        as_spectrum_image(data)
