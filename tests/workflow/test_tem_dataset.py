"""TEMDataset: its first feature list, and real files of transmission microscopes."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SourceFile, SpectrumImage
from sigma_scale.workflow import norm
from sigma_scale.workflow.datasets import SEMDataset, TEMDataset


@pytest.fixture
def image():
    counts = np.random.default_rng(0).poisson(0.5, (12, 10, 400)).astype(np.uint8)
    metadata = MapMetadata(instrument="TEM", elements=("O", "Si"))
    return SpectrumImage(ArraySource(counts), EnergyAxis(400, 0.01), metadata=metadata)


def with_metadata(image, **values):
    return replace(image, metadata=replace(image.metadata, **values))


def test_without_lines_each_elements_ka(image):
    assert TEMDataset(image).feature_list == ["O_Ka", "Si_Ka"]
    assert TEMDataset(with_metadata(image, lines=("Si_Ka",))).feature_list == ["Si_Ka"]


def test_a_map_of_a_scanning_microscope_has_the_lines_it_names_alone(image):
    assert SEMDataset(image).feature_list == []
    velox = with_metadata(image, sources=(SourceFile("map.EMD", 1),))
    assert SEMDataset(velox).feature_list == ["O_Ka", "Si_Ka"]


def test_lines_beyond_the_measured_energies_are_left_out(image):
    with pytest.warns(SigmaScaleWarning, match="Fe_Ka"):
        assert TEMDataset(with_metadata(image, elements=("O", "Fe"))).feature_list == ["O_Ka"]


def test_the_instrument_is_what_the_user_says(image):
    assert TEMDataset(with_metadata(image, instrument="SEM")).spectra.metadata.instrument == "TEM"
    assert SEMDataset(image).spectra.metadata.instrument == "SEM"
    assert repr(TEMDataset(image)) == "<TEMDataset: 12 x 10 pixels, O_Ka, Si_Ka>"


STEPS = {
    "lines": lambda dataset: dataset.set_xray_lines(["Si_Ka"]),
    "features": lambda dataset: dataset.set_feature_list(["Si_Ka"]),
    "scale": lambda dataset: dataset.set_axes_scale(0.0102),
    "offset": lambda dataset: dataset.set_axes_offset(-0.02),
    "unit": lambda dataset: (dataset.set_axes_scale(10.2), dataset.set_axes_unit("eV")),
    "calibration": lambda dataset: dataset.calibrate_spectra({"O_Ka": 0.53, "Si_Ka": 1.75}),
    "extent": lambda dataset: dataset.remove_NaN(),
    "bins": lambda dataset: dataset.rebin_signal(size=(2, 3)),
    "denoising": lambda dataset: dataset.peak_denoising_PCA(3),
    "division": lambda dataset: dataset.peak_intensity_normalisation(),
    "first peak": lambda dataset: dataset.remove_first_peak(end=0.3),
    "maps": lambda dataset: dataset.normalisation([norm.zscore, norm.softmax]),
    "image": lambda dataset: (
        dataset.normalisation([norm.zscore]),
        dataset.get_feature_maps_with_nav_img([norm.zscore]),
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_each_step_does_what_it_does_to_a_map_of_a_scanning_microscope(image, step):
    counts = image.to_xarray().to_numpy().copy()
    counts[9:] = 0
    image = replace(with_metadata(image, lines=("O_Ka", "Si_Ka")), source=ArraySource(counts))
    before, tem, sem = TEMDataset(image), TEMDataset(image), SEMDataset(image)
    for dataset in (tem, sem):
        STEPS[step](dataset)
    assert tem.recipe() == sem.recipe() != before.recipe()
    assert tem.processed.energy == sem.processed.energy
    np.testing.assert_array_equal(tem.processed.to_xarray(), sem.processed.to_xarray())
    np.testing.assert_array_equal(tem.get_feature_maps(), sem.get_feature_maps())
    if step in {"maps", "image"}:
        np.testing.assert_array_equal(tem.normalised_elemental_data, sem.normalised_elemental_data)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("test_TEM.bcf", ["Cu_Ka", "O_Ka", "Pd_La", "Ti_Ka"]),
        ("velox_EELS_EDS_128x128x4096.emd", ["O_Ka", "Fe_Ka", "Co_Ka"]),
        ("16x16-spectrum_image_5x5x4000-not_square.emi", []),
    ],
)
def test_real_files(real_data, name, features):
    tem = TEMDataset(real_data / name)
    assert tem.feature_list == features
    assert tem.nav_img.shape == tem.shape
    tem.set_feature_list(features or ["Cu_Ka"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SigmaScaleWarning)
        tem.rebin_signal((2, 2))
    tem.peak_intensity_normalisation()
    tem.remove_first_peak(end=0.1)
    tem.normalisation([norm.neighbour_averaging, norm.zscore])
    tem.get_feature_maps_with_nav_img([norm.neighbour_averaging, norm.zscore])
    data = tem.normalised_elemental_data.reshape(-1, len(tem.feature_list))
    assert data.shape == (tem.shape[0] * tem.shape[1], len(features or ["Cu_Ka"]) + 1)
    assert np.isfinite(data).all()
