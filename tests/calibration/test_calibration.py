from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from sigma_scale.calibration import (
    Calibration,
    calibrate,
    find_peaks,
    fit_calibration,
    set_calibration,
)
from sigma_scale.errors import ParameterError, SigmaScaleWarning, UnknownLineError
from sigma_scale.preprocess import normalise, rebin, remove_first_peak
from sigma_scale.readers import read
from sigma_scale.spectra import EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.synthetic import synthetic_map
from sigma_scale.xray import line_energy

ENERGIES = np.linspace(0.5, 10.0, 20)
WRONG = [(0.98, -0.08), (0.98, 0.08), (1.0, 0.08), (1.005, -0.03), (1.02, -0.08), (1.02, 0.08)]


def miscalibrated(image: SpectrumImage, gain: float, shift_kev: float) -> SpectrumImage:
    """Image on an axis that ``gain * energy + shift`` would put right."""
    axis = image.energy
    return replace(
        image,
        energy=EnergyAxis(axis.size, axis.scale_kev / gain, (axis.offset_kev - shift_kev) / gain),
    )


def without_elements(image: SpectrumImage) -> SpectrumImage:
    return replace(image, metadata=replace(image.metadata, elements=(), lines=()))


def named(image: SpectrumImage, *elements: str) -> SpectrumImage:
    return replace(image, metadata=replace(image.metadata, elements=elements, lines=()))


def largest_error_ev(wrong: SpectrumImage, right: SpectrumImage, **options: object) -> float:
    """How far energies from 0.5 to 10 keV lie off after the calibration."""
    channels = (ENERGIES - right.energy.offset_kev) / right.energy.scale_kev
    found = calibrate(wrong, **options).energy
    return 1000 * float(np.abs(found.offset_kev + channels * found.scale_kev - ENERGIES).max())


@pytest.fixture(scope="module")
def minerals() -> SpectrumImage:
    return synthetic_map((128, 128), counts_per_pixel=100, seed=1).image


@pytest.mark.parametrize(("gain", "shift"), WRONG)
def test_a_wrong_axis_is_put_right_by_the_elements_of_the_file(minerals, gain, shift):
    wrong = miscalibrated(minerals, gain, shift)
    assert largest_error_ev(wrong, minerals) < 3.0


@pytest.mark.parametrize(("gain", "shift"), WRONG)
def test_a_wrong_axis_is_put_right_where_no_elements_are_named(minerals, gain, shift):
    wrong = miscalibrated(without_elements(minerals), gain, shift)
    assert largest_error_ev(wrong, minerals) < 3.0


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_a_peak_at_zero_energy_does_no_harm(seed):
    image = synthetic_map((128, 128), counts_per_pixel=100, zero_peak=True, seed=seed).image
    assert largest_error_ev(miscalibrated(image, 1.01, -0.05), image) < 3.0


def test_elements_that_are_not_there_do_no_harm(minerals):
    planted = named(minerals, *minerals.metadata.elements, "Zn", "As", "Br", "W", "Ta", "Sr", "Mo")
    calibration = fit_calibration(miscalibrated(planted, 1.01, 0.06))
    assert largest_error_ev(miscalibrated(planted, 1.01, 0.06), minerals) < 3.0
    assert calibration.gain == pytest.approx(1.01, abs=5e-4)


def test_lines_and_elements_that_are_given_take_the_place_of_the_files(minerals):
    misnamed = miscalibrated(named(minerals, "Au", "Pd"), 1.01, 0.06)
    with pytest.raises(ParameterError, match="measured_peaks="):
        fit_calibration(misnamed)
    elements = minerals.metadata.elements
    assert largest_error_ev(misnamed, minerals, elements=elements) < 3.0
    lines = [f"{element}_Ka" for element in elements if element != "Zr"]
    assert largest_error_ev(misnamed, minerals, lines=lines) < 3.0


def test_the_steps_of_an_image_stay_and_play_no_part(minerals):
    wrong = miscalibrated(minerals, 1.01, 0.02)
    seen = remove_first_peak(normalise(rebin(wrong, (2, 2))), 1.6)
    result = calibrate(seen)
    assert result.processing == seen.processing
    assert result.energy == calibrate(wrong).energy
    assert result.source is wrong.source
    assert wrong.energy == miscalibrated(minerals, 1.01, 0.02).energy


def test_the_result_is_the_same_every_time_and_says_what_it_rests_on(minerals):
    wrong = miscalibrated(minerals, 1.01, 0.06)
    calibration = fit_calibration(wrong)
    assert fit_calibration(wrong) == calibration
    assert pickle.loads(pickle.dumps(calibration)) == calibration  # noqa: S301
    names = {peak.line for peak in calibration.used}
    assert {"O_Ka", "Al_Ka", "Si_Ka", "Ca_Ka", "Fe_Ka"} <= names
    for peak in calibration.used:
        corrected = calibration.gain * peak.measured_kev + calibration.shift_kev
        assert peak.residual_ev == pytest.approx(1000 * (corrected - peak.true_kev))
        assert abs(peak.residual_ev) <= 20.0
        assert peak.true_kev == pytest.approx(line_energy(peak.line), abs=0.025)
    table = str(calibration).splitlines()[1:]
    assert table[0].split() == ["line", "measured", "true", "left", "after"]
    assert [row.split()[0] for row in table[1:]] == [peak.line for peak in calibration.peaks]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("gain", "shift"), WRONG)
def test_a_real_map_shifted_by_hand_comes_back(real_data, known, gain, shift):
    rock = read(real_data / "P45_the_default_job.bcf")
    if known:
        rock = named(rock, "C", "O", "Na", "Mg", "Al", "Si", "K", "Ca", "Ti", "Fe")
    right = calibrate(rock)
    assert abs(right.energy.scale_kev / rock.energy.scale_kev - 1) < 2e-3
    assert abs(right.energy.offset_kev - rock.energy.offset_kev) < 0.01
    assert largest_error_ev(miscalibrated(rock, gain, shift), right) < 4.0


def test_peaks_lie_where_they_were_put():
    axis = EnergyAxis(1024, 0.01, -0.1)
    centres = np.array([0.5249, 1.7397, 3.6917, 6.4039])
    sigma = np.sqrt(2500 * (centres - 5.8987) + 130**2) / 2354.82
    shapes = np.exp(-0.5 * ((axis.values[:, None] - centres) / sigma) ** 2)
    expected = shapes @ np.array([9e4, 2e5, 5e4, 2e4]) + 2000.0
    found = find_peaks(np.random.default_rng(5).poisson(expected), axis)
    np.testing.assert_allclose([peak.energy_kev for peak in found], centres, atol=0.001)
    areas = np.array([9e4, 2e5, 5e4, 2e4]) * sigma * np.sqrt(2 * np.pi) / 0.01
    np.testing.assert_allclose([peak.counts for peak in found], areas, rtol=0.05)


def test_two_lines_in_one_peak_are_no_anchor():
    axis = EnergyAxis(1024, 0.01)
    centres = np.array([1.7397, 2.35, 2.42, 4.5, 6.4039])
    sigma = np.sqrt(2500 * (centres - 5.8987) + 130**2) / 2354.82
    shapes = np.exp(-0.5 * ((axis.values[:, None] - centres) / sigma) ** 2)
    spectrum = shapes @ np.array([9e4, 6e4, 5e4, 9e4, 9e4]) + 500.0
    found = [peak.energy_kev for peak in find_peaks(spectrum, axis)]
    np.testing.assert_allclose(found, [1.7397, 4.5, 6.4039], atol=0.001)


@pytest.mark.parametrize(
    "spectrum", [np.zeros(1024), np.ones(1024), np.random.default_rng(1).poisson(50.0, 1024)]
)
def test_where_there_is_no_peak_none_is_found(spectrum):
    assert find_peaks(spectrum, EnergyAxis(1024, 0.01)) == ()


def flat(n_channels: int = 1024) -> SpectrumImage:
    counts = np.ones((4, 4, n_channels), dtype=np.uint8)
    return SpectrumImage.from_array(counts, EnergyAxis(n_channels, 0.01))


@pytest.mark.parametrize(
    "image", [flat(), flat(2), replace(flat(), metadata=MapMetadata(elements=("Fe",)))]
)
def test_a_map_without_peaks_is_refused_with_the_way_to_go_on(image):
    with pytest.raises(ParameterError, match=r"Peaks found \(keV\): none.*measured_peaks="):
        calibrate(image)


def test_two_peaks_are_too_few():
    axis = EnergyAxis(1024, 0.01)
    shapes = [np.exp(-0.5 * ((axis.values - e) / 0.04) ** 2) for e in (1.75, 3.70)]
    counts = np.round(200 * sum(shapes)).astype(np.uint8)
    image = SpectrumImage.from_array(np.tile(counts, (8, 8, 1)), axis)
    with pytest.raises(ParameterError, match="2 of 2 agree; a calibration needs 3"):
        calibrate(image, elements=["Si", "Ca"])


def peaks_image(energies_kev) -> SpectrumImage:
    """Peaks of the detector's width on a flat background, on an axis that is right."""
    axis = EnergyAxis(1024, 0.01)
    energies = np.array(energies_kev)
    sigma = np.sqrt(2500 * (energies - 5.8987) + 130**2) / 2354.82
    shapes = np.exp(-0.5 * ((axis.values[:, None] - energies) / sigma) ** 2).sum(axis=1)
    counts = np.round(500 * shapes + 5).astype(np.uint16)
    return SpectrumImage.from_array(np.tile(counts, (8, 8, 1)), axis)


@pytest.mark.parametrize("off_kev", [-0.03, 0.03])
@pytest.mark.parametrize(("gain", "shift"), [(1.0, 0.0), (1.01, -0.04)])
def test_one_found_peak_of_another_line_hardly_pulls_and_is_rejected(gain, shift, off_kev):
    """At the end of the axis, far from the others, a plain fit would follow it."""
    names = ["O_Ka", "Na_Ka", "Al_Ka", "Si_Ka", "Ca_Ka", "Zn_Ka"]
    energies = [line_energy(name) for name in names]
    wrong = [*energies[:-1], energies[-1] + off_kev]
    elements = [name.partition("_")[0] for name in names]
    calibration = fit_calibration(miscalibrated(peaks_image(wrong), gain, shift), elements=elements)
    assert [peak.line for peak in calibration.rejected] == ["Zn_Ka"]
    assert {peak.line for peak in calibration.used} == set(names) - {"Zn_Ka"}
    measured = (np.array(energies[:-1]) - shift) / gain
    corrected = calibration.gain * measured + calibration.shift_kev
    np.testing.assert_allclose(corrected, energies[:-1], atol=0.002)
    assert calibration.rejected[0].residual_ev == pytest.approx(1000 * off_kev, abs=5.0)


def test_corrections_beyond_what_is_allowed_are_not_made(minerals):
    wrong = miscalibrated(minerals, 1.02, 0.08)
    with pytest.raises(ParameterError):
        calibrate(wrong, max_gain_error=0.005, tolerance_kev=0.02)
    assert largest_error_ev(wrong, minerals, max_gain_error=0.05, tolerance_kev=0.1) < 3.0


def test_given_peaks():
    image = flat()
    shifted = fit_calibration(image, measured_peaks={"Fe_Ka": 6.41})
    assert shifted.gain == 1.0
    assert shifted.shift_kev == pytest.approx(line_energy("Fe_Ka") - 6.41)
    assert [peak.line for peak in shifted.used] == ["Fe_Ka"]
    two = {"Fe_Ka": 12.9, "Si_Ka": 3.5}  # an axis in half its unit is no obstacle
    fitted = calibrate(image, measured_peaks=two).energy
    exact = np.polyfit([3.5, 12.9], [line_energy("Si_Ka"), line_energy("Fe_Ka")], 1)
    assert fitted.scale_kev == pytest.approx(0.01 * exact[0])
    assert fitted.offset_kev == pytest.approx(exact[1])


def measured(gain: float, shift: float, **off: float) -> dict[str, float]:
    names = ["C_Ka", "O_Ka", "Al_Ka", "Si_Ka", "Ca_Ka", "Fe_Ka", "Cu_Ka"]
    return {name: (line_energy(name) - shift) / gain + off.get(name, 0.0) for name in names}


def test_a_given_peak_of_another_line_is_left_out_and_named():
    peaks = measured(1.013, -0.07, Ca_Ka=0.321, O_Ka=0.002)
    with pytest.warns(SigmaScaleWarning, match=r"contradict: Ca_Ka\.$"):
        calibration = fit_calibration(flat(), measured_peaks=peaks)
    assert calibration.gain == pytest.approx(1.013, abs=5e-4)
    assert calibration.shift_kev == pytest.approx(-0.07, abs=2e-3)
    assert [peak.line for peak in calibration.rejected] == ["Ca_Ka"]
    assert calibration.rejected[0].residual_ev == pytest.approx(325, abs=10)


@pytest.mark.parametrize(
    ("peaks", "error", "message"),
    [
        ({}, ParameterError, "No measured peaks"),
        ({"Fe_Kx": 6.4}, UnknownLineError, "Fe_Kx"),
        ({"Fe_Ka": float("nan")}, ParameterError, "energies in keV"),
        ({"Fe_Ka": "6.4 keV"}, ParameterError, "energies in keV"),
        ({"Fe_Ka": None}, ParameterError, "energies in keV"),
        (["Fe_Ka"], ParameterError, "energies by lines"),
        ({"Fe_Ka": 1.7, "Si_Ka": 6.4}, ParameterError, "not in the order"),
        ({"Fe_Ka": 6.4, "Si_Ka": 6.4}, ParameterError, "same energy"),
        ({"Fe_Ka": 6.4, "Si_Ka": 1.74, "Ca_Ka": 4.1}, ParameterError, "No three .* Ca_Ka"),
    ],
)
def test_given_peaks_that_make_no_sense_are_refused(peaks, error, message):
    with pytest.raises(error, match=message):
        calibrate(flat(), measured_peaks=peaks)


@pytest.mark.parametrize("name", ["tolerance_kev", "max_gain_error", "max_residual_ev"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "0.1", None])
def test_limits_must_be_positive_numbers(name, value):
    with pytest.raises(ParameterError, match=name):
        calibrate(flat(), **{name: value})


@pytest.mark.parametrize(("name", "word"), [("elements", "CO"), ("lines", "Fe_Ka")])
def test_a_word_is_no_list_of_names(name, word):
    with pytest.raises(ParameterError, match=rf"{name} must be a list"):
        calibrate(flat(), **{name: word})


def test_unknown_elements_are_named(minerals):
    with pytest.raises(UnknownLineError, match="Xx"):
        calibrate(minerals, elements=["Xx"])


def test_calibration_by_hand():
    image = replace(flat(), energy=EnergyAxis(1024, 0.01, -0.2))
    assert set_calibration(image, offset_kev=0.0).energy == EnergyAxis(1024, 0.01, 0.0)
    assert set_calibration(image, scale_kev=0.02).energy == EnergyAxis(1024, 0.02, -0.2)
    assert set_calibration(image).energy == image.energy
    assert image.energy.offset_kev == -0.2
    for name, values, message in (
        ("scale_kev", (0.0, -0.01, float("nan")), "positive width"),
        ("scale_kev", ("0.01",), "scale_kev must be a number"),
        ("offset_kev", (float("inf"), float("nan")), "finite"),
        ("offset_kev", ("zero",), "offset_kev must be a number"),
    ):
        for value in values:
            with pytest.raises(ParameterError, match=message):
                set_calibration(image, **{name: value})
    assert image.energy == EnergyAxis(1024, 0.01, -0.2)


def test_a_calibration_can_be_applied_to_another_map():
    calibration = Calibration(1.01, -0.02)
    axis = calibration.apply(flat()).energy
    np.testing.assert_allclose(axis.values, 1.01 * flat().energy.values - 0.02)
