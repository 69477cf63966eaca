"""Signals of HyperSpy made of maps, labels and spectra, and back."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from exported_maps import label_map, line_maps

from sigma_scale import config, preprocess
from sigma_scale.errors import MemoryLimitError, OutputExistsError, ParameterError
from sigma_scale.export import array_from_hyperspy, export_signal, to_hyperspy
from sigma_scale.readers.arrays import from_hyperspy
from sigma_scale.spectra import MapMetadata

exspy = pytest.importorskip("exspy")
hs = pytest.importorskip("hyperspy.api")


@pytest.mark.parametrize("lazy", [None, True, False])
def test_a_map_is_an_eds_signal_and_comes_back(described, counts, lazy):
    signal = to_hyperspy(described, lazy=lazy)
    assert isinstance(signal, exspy.signals.EDSSEMSpectrum)
    assert signal._lazy == (lazy is not False)
    np.testing.assert_array_equal(np.asarray(signal.data), counts)
    height, width = reversed(signal.axes_manager.navigation_axes)
    (energy,) = signal.axes_manager.signal_axes
    assert (height.scale, height.units, width.scale) == (0.5, "µm", 0.25)
    assert (energy.scale, energy.offset, energy.units) == (0.05, -0.2, "keV")
    sample, sem = signal.metadata.Sample, signal.metadata.Acquisition_instrument.SEM
    assert sample.elements == ["Al", "Si"]
    assert sample.xray_lines == ["Al_Ka", "Si_Ka"]
    assert sem.beam_energy == 20
    assert sem.Detector.EDS.energy_resolution_MnKa == 128
    assert sem.Detector.EDS.live_time == 12.5
    assert sem.Stage.x == 1.5
    back = from_hyperspy(signal)
    xr.testing.assert_allclose(back.to_xarray().compute(), described.to_xarray().compute())
    assert back.energy == described.energy
    assert (back.pixel_size, back.pixel_unit) == (described.pixel_size, described.pixel_unit)
    for name in ("beam_energy_kev", "live_time_s", "elevation_deg", "azimuth_deg", "stage_x_mm"):
        assert getattr(back.metadata, name) == getattr(described.metadata, name)
    assert set(back.metadata.lines) == set(described.metadata.lines)


def test_exspy_computes_on_the_signal(described, counts):
    signal = to_hyperspy(described, lazy=False)
    (silicon,) = signal.get_lines_intensity(["Si_Ka"], integration_windows=2.0)
    from sigma_scale.features import feature_pass

    ours = feature_pass(described, ["Si_Ka"])["line_intensity"].compute().values[:, :, 0]
    np.testing.assert_array_equal(silicon.data, ours)


def test_processing_and_tem_are_kept(described):
    from dataclasses import replace

    image = replace(described, metadata=replace(described.metadata, instrument="TEM"))
    seen = preprocess.normalise(preprocess.rebin(image, (2, 2)))
    signal = to_hyperspy(seen)
    assert isinstance(signal, exspy.signals.LazyEDSTEMSpectrum)
    assert signal.metadata.Acquisition_instrument.TEM.beam_energy == 20
    assert signal.axes_manager.navigation_shape == (30, 35)
    assert signal.axes_manager.navigation_axes[1].scale == 1.0
    np.testing.assert_allclose(signal.data.compute(), seen.to_xarray().values)
    assert from_hyperspy(signal).metadata.instrument == "TEM"


def test_a_map_too_large_for_memory_stays_lazy(described):
    with config.options(memory_limit="100kB"):
        assert to_hyperspy(described)._lazy
        with pytest.raises(MemoryLimitError, match="lazy=True"):
            to_hyperspy(described, lazy=False)


@pytest.mark.parametrize("lazy", [None, True, False])
@pytest.mark.parametrize(
    "array",
    [
        line_maps((7, 5), origin=2.0),
        line_maps((7, 5), units="pixel", pixel=(1, 1)),
        line_maps((7, 5))[:, :, 0].drop_vars("line").rename("total"),
        line_maps((7, 5))[::-1],
        label_map((6, 9)),
        line_maps((4, 3)).astype(np.uint16).rename(line="phase").assign_coords(phase=[0, 1, 5]),
    ],
    ids=["maps", "pixels", "single", "upside down", "labels", "phases"],
)
def test_maps_and_labels_come_back_equal(array, lazy):
    array.attrs["units"] = "counts"
    signal = to_hyperspy(array, lazy=lazy)
    assert isinstance(signal, hs.signals.Signal2D)
    assert signal._lazy == bool(lazy)
    assert signal.axes_manager.signal_shape == array.shape[1::-1]
    back = array_from_hyperspy(signal)
    xr.testing.assert_allclose(back.compute(), array)
    assert back.dtype == array.dtype
    assert back.name == array.name
    assert back.attrs == {"units": "counts"}
    assert back["x"].attrs == array["x"].attrs


@pytest.mark.parametrize("lazy", [True, False])
def test_spectra_come_back_equal(lazy):
    energy = ("energy", -0.2 + 0.01 * np.arange(50), {"units": "keV"})
    spectra = xr.DataArray(
        np.random.default_rng(0).random((2, 50)),
        dims=("phase", "energy"), coords={"phase": [1, 4], "energy": energy}, name="mean",
    )  # fmt: skip
    known = MapMetadata(instrument="TEM", beam_energy_kev=200.0, elements=("Fe",))
    signal = to_hyperspy(spectra, lazy=lazy, metadata=known)
    assert isinstance(signal, exspy.signals.EDSTEMSpectrum)
    assert signal.metadata.Acquisition_instrument.TEM.beam_energy == 200
    assert signal.metadata.Sample.elements == ["Fe"]
    xr.testing.assert_allclose(array_from_hyperspy(signal).compute(), spectra)
    one = array_from_hyperspy(to_hyperspy(spectra[0].drop_vars("phase")))
    xr.testing.assert_allclose(one, spectra[0].drop_vars("phase"))


@pytest.mark.parametrize("ending", [".hspy", ".zspy"])
@pytest.mark.parametrize("lazy", [True, False])
def test_files_are_loaded_by_hyperspy(tmp_path, ending, lazy, quietly, left):
    maps = line_maps((30, 20))
    path = export_signal(maps.chunk(y=7, x=9) if lazy else maps, tmp_path / f"maps{ending}")
    signal = quietly(hs.load, path)
    assert type(signal).__name__ == "Signal2D"
    xr.testing.assert_allclose(array_from_hyperspy(signal), maps)
    later = quietly(hs.load, path, lazy=True)
    assert type(later).__name__ == "LazySignal2D"
    assert array_from_hyperspy(later).chunks is not None
    xr.testing.assert_allclose(array_from_hyperspy(later).compute(), maps)
    with pytest.raises(OutputExistsError, match="exists already"):
        export_signal(maps, path)
    export_signal(label_map((6, 9)), path, overwrite=True)
    xr.testing.assert_allclose(array_from_hyperspy(quietly(hs.load, path)), label_map((6, 9)))
    with pytest.raises(ParameterError, match=r"must end in \.hspy, \.zspy"):
        export_signal(maps, tmp_path / "maps.tif")
    assert left() == [path.name]


def test_other_signals_and_arrays():
    plain = array_from_hyperspy(hs.signals.Signal2D(np.arange(24).reshape(2, 3, 4)))
    assert plain.dims[:2] == ("y", "x")
    assert plain.shape == (3, 4, 2)
    assert plain["y"].attrs["units"] == "pixel"
    with pytest.raises(ParameterError, match=r"readers\.arrays\.from_hyperspy"):
        array_from_hyperspy(hs.signals.Signal1D(np.zeros((2, 3, 4))))
    for wrong in (xr.DataArray(np.zeros(3), dims="x"), line_maps((3, 4)).expand_dims("time")):
        with pytest.raises(ParameterError, match="no map"):
            to_hyperspy(wrong)


def test_one_pixel_without_a_scale():
    pixel = label_map((1, 1))
    back = array_from_hyperspy(to_hyperspy(pixel))
    assert back.shape == (1, 1)
    assert back.item() == pixel.item()
