"""Energy axis, calibration and X-ray lines of SEMDataset."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sigma_scale.errors import ParameterError
from sigma_scale.spectra import EnergyAxis
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow.datasets import SEMDataset


@pytest.fixture(scope="module")
def image():
    return synthetic_map((64, 64), counts_per_pixel=400, seed=1).image


@pytest.fixture
def sem(image):
    return SEMDataset(image)


def test_scale_and_offset_by_hand(sem, image):
    sem.set_axes_scale(0.02)
    assert sem.spectra.energy == replace(image.energy, scale_kev=0.02)
    sem.set_axes_offset(-0.1)
    assert sem.spectra.energy == EnergyAxis(image.energy.size, 0.02, -0.1)
    sem.set_axes_offset(0)
    assert sem.processed.energy.offset_kev == 0
    np.testing.assert_array_equal(sem.spectra.to_xarray(), image.to_xarray())


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_unit_may_be_set_before_or_after(sem, image, order):
    calls = [
        lambda: sem.set_axes_scale(10.0),
        lambda: sem.set_axes_offset(-200.0),
        lambda: sem.set_axes_unit("eV"),
    ]
    for number in order:
        calls[number]()
    axis = sem.spectra.energy
    np.testing.assert_allclose([axis.scale_kev, axis.offset_kev], [0.01, -0.2])


def test_the_unit_alone_changes_nothing(sem, image):
    sem.set_axes_unit("eV")
    assert sem.spectra.energy == image.energy


def test_feature_maps_follow_the_axis(sem):
    sem.set_feature_list(["Si_Ka"])
    before = sem.get_feature_maps()
    sem.remove_first_peak(0.5)
    channel = sem.processed.processing.zeroed_below
    sem.set_axes_scale(2 * sem.spectra.energy.scale_kev)
    assert sem.processed.processing.zeroed_below == channel // 2
    assert sem.get_feature_maps().sum() != before.sum()


def test_given_peaks_put_the_axis_right(sem, image):
    wrong = SEMDataset(replace(image, energy=replace(image.energy, offset_kev=0.03)))
    found = wrong.calibrate_spectra({"Si_Ka": 1.7397 + 0.03, "Fe_Ka": 6.4039 + 0.03})
    np.testing.assert_allclose([found.gain, found.shift_kev], [1, -0.03], atol=1e-4)
    np.testing.assert_allclose(wrong.processed.energy.values, image.energy.values, atol=1e-3)


def test_found_peaks_put_the_axis_right(image):
    wrong = SEMDataset(replace(image, energy=EnergyAxis(1024, 0.0101, 0.02)))
    wrong.set_feature_list(["O_Ka", "Si_Ka", "Al_Ka", "Fe_Ka", "Ca_Ka", "K_Ka", "Mg_Ka"])
    found = wrong.calibrate_spectra(tolerance=0.1)
    assert {peak.line for peak in found.used} >= {"Si_Ka", "O_Ka"}
    np.testing.assert_allclose(wrong.spectra.energy.values, image.energy.values, atol=0.01)
    with pytest.raises(ParameterError, match=r"can't be matched|allow"):
        wrong.calibrate_spectra(tolerance=0.001)
    wrong.set_feature_list(["Ni_Ka", "Cu_Ka", "Zn_Ka"])
    with pytest.raises(ParameterError, match="Zn_Ka"):
        wrong.calibrate_spectra()


def test_a_calibration_starts_anew_or_from_the_last(sem, image):
    peaks = {"Si_Ka": 1.76, "Fe_Ka": 6.44}
    first = sem.calibrate_spectra(peaks)
    axis = sem.spectra.energy
    assert axis == image.energy.calibrated(first.gain, first.shift_kev)
    sem.calibrate_spectra(peaks, reset=True)
    assert sem.spectra.energy == axis
    sem.calibrate_spectra(peaks, reset=False)
    twice = axis.calibrated(first.gain, first.shift_kev)
    np.testing.assert_allclose(sem.spectra.energy.values, twice.values)


def test_what_is_set_by_hand_after_a_calibration_counts(sem):
    sem.set_axes_scale(0.0102)
    sem.calibrate_spectra({"Si_Ka": 1.76, "Fe_Ka": 6.44})
    scale = sem.spectra.energy.scale_kev
    sem.set_axes_offset(-0.15)
    assert sem.spectra.energy.offset_kev == -0.15
    assert sem.spectra.energy.scale_kev == scale


def test_lines_for_features_and_metadata(sem):
    sem.set_xray_lines(["Si_Ka", "Fe_Ka", "Fe_La"])
    assert sem.feature_list == ["Si_Ka", "Fe_Ka", "Fe_La"]
    assert sem.spectra.metadata.lines == ("Si_Ka", "Fe_Ka", "Fe_La")
    assert sem.processed.metadata.elements == ("Si", "Fe")
    sem.set_feature_list(["Si_Ka"])
    assert sem.spectra.metadata.lines == ("Si_Ka", "Fe_Ka", "Fe_La")
