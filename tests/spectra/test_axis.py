"""The energy axis against HyperSpy's."""

import hyperspy.api as hs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale.errors import EnergyRangeError, ParameterError
from sigma_scale.spectra import EnergyAxis

AXES = [EnergyAxis(2048, 0.010001, -0.472397235), EnergyAxis(1024, 0.01), EnergyAxis(7, 0.5, -1)]


def hyperspy_channels(axis, low, high):
    signal = hs.signals.Signal1D(np.arange(axis.size))
    ax = signal.axes_manager[0]
    ax.scale, ax.offset = axis.scale_kev, axis.offset_kev
    return signal.isig[float(low) : float(high)].data


@given(
    axis=st.sampled_from(AXES),
    low=st.floats(-0.9, 9.0),
    width=st.floats(0.02, 3.0),
)
def test_windows_follow_hyperspys_rule(axis, low, width):
    high = low + width
    try:
        expected = hyperspy_channels(axis, low, high)
    except IndexError:
        expected = np.arange(0)
    if expected.size == 0:
        with pytest.raises(EnergyRangeError):
            axis.window_channels(low, high)
    else:
        np.testing.assert_array_equal(list(axis.window_channels(low, high)), expected)


@pytest.mark.parametrize("energy", [0.005, 0.015, 0.025, -0.005, -0.015, 0.0])
def test_halves_round_as_hyperspy_rounds_them(energy):
    axis = EnergyAxis(100, 0.01, -0.3)
    signal = hs.signals.Signal1D(np.arange(axis.size))
    ax = signal.axes_manager[0]
    ax.scale, ax.offset = axis.scale_kev, axis.offset_kev
    assert axis.channel(energy) == ax.value2index(energy)


def test_window_outside_names_the_line_and_the_range():
    with pytest.raises(EnergyRangeError, match=r"Pb_La.*10\.45.*0\.000 to 10\.230"):
        EnergyAxis(1024, 0.01).window_channels(10.45, 10.65, name="Pb_La")


@pytest.mark.parametrize(
    "values", [(0, 0.01, 0), (5, 0, 0), (5, -0.01, 0), (5, np.nan, 0), (5, 0.01, np.inf)]
)
def test_impossible_axes_are_refused(values):
    with pytest.raises(ParameterError):
        EnergyAxis(*values)


def test_calibration_maps_energies():
    axis = EnergyAxis(10, 0.01, 0.1)
    np.testing.assert_allclose(axis.calibrated(1.02, -0.03).values, 1.02 * axis.values - 0.03)
