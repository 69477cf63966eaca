from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sigma_scale.export import export_counts
from sigma_scale.preprocess import rebin
from sigma_scale.readers import read
from sigma_scale.spectra import MapMetadata


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
@pytest.mark.parametrize("instrument", ["SEM", "TEM"])
def test_hyperspy_loads_an_eds_signal(tmp_path, described, suffix, instrument, quietly):
    hyperspy = pytest.importorskip("hyperspy.api")
    pytest.importorskip("exspy")
    metadata = replace(described.metadata, instrument=instrument)
    path = export_counts(replace(described, metadata=metadata), tmp_path / f"map{suffix}")
    signal = quietly(hyperspy.load, path)
    lazy = quietly(hyperspy.load, path, lazy=True)
    assert type(signal).__name__ == f"EDS{instrument}Spectrum"
    assert type(lazy).__name__ == f"LazyEDS{instrument}Spectrum"
    np.testing.assert_array_equal(signal.data, described.to_xarray())
    np.testing.assert_array_equal(lazy.data.compute(), signal.data)
    axes = {axis.name: axis for axis in signal.axes_manager._axes}
    assert [*axes] == ["height", "width", "Energy"]
    assert (axes["height"].scale, axes["width"].scale) == (0.5, 0.25)
    assert (axes["height"].units, axes["Energy"].units) == ("µm", "keV")
    assert (axes["Energy"].scale, axes["Energy"].offset) == (0.05, -0.2)
    assert signal.axes_manager.navigation_shape == (60, 70)
    found = signal.metadata.as_dictionary()
    microscope = found["Acquisition_instrument"][instrument]
    assert microscope["beam_energy"] == 20.0
    assert microscope["Stage"]["x"] == 1.5
    assert microscope["Detector"]["EDS"] == {
        "energy_resolution_MnKa": 128.0,
        "live_time": 12.5,
        "real_time": 15.0,
        "elevation_angle": 18.0,
        "azimuth_angle": 45.0,
    }
    assert found["General"]["title"] == "a/rock."
    assert list(found["Sample"]["elements"]) == ["Al", "Si"]
    assert list(found["Sample"]["xray_lines"]) == ["Al_Ka", "Si_Ka"]
    assert signal.get_lines_intensity(["Al_Ka"])[0].data.sum() > 0


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_hyperspy_can_save_an_export_again(tmp_path, described, suffix, dense, quietly):
    hyperspy = pytest.importorskip("hyperspy.api")
    pytest.importorskip("exspy")
    path = export_counts(described, tmp_path / f"map{suffix}")
    signal = quietly(hyperspy.load, path)
    quietly(signal.save, tmp_path / "again.hspy")
    np.testing.assert_array_equal(dense(tmp_path / "again.hspy"), described.source.data)


@pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")
@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
@pytest.mark.parametrize("steps", [lambda image: image, lambda image: rebin(image, (2, 3))])
def test_our_own_readers_read_exports(tmp_path, described, suffix, steps):
    seen = steps(described)
    path = export_counts(seen, tmp_path / f"map{suffix}")
    again = read(path)
    np.testing.assert_array_equal(again.to_xarray().values, seen.to_xarray().values)
    assert again.energy == seen.energy
    assert again.pixel_unit == "µm"
    bins = seen.processing.bin_factors
    assert again.pixel_size == (0.5 * bins[0], 0.25 * bins[1])
    for name in ("instrument", "beam_energy_kev", "resolution_mn_ka_ev", "live_time_s"):
        assert getattr(again.metadata, name) == getattr(seen.metadata, name)
    assert again.metadata.elements == ("Al", "Si")
    assert again.metadata.lines == ("Al_Ka", "Si_Ka")


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
@pytest.mark.parametrize("title", ["", "..", "/", "x" * 5000, "Röntgen µ"])
def test_any_title_will_do(tmp_path, image, suffix, title, dense):
    named = replace(image, metadata=MapMetadata(title=title))
    path = export_counts(named, tmp_path / f"map{suffix}")
    np.testing.assert_array_equal(dense(path), image.source.data)
    assert read(path).pixel_unit == "pixel"
