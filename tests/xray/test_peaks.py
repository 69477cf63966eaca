from __future__ import annotations

import numpy as np
import pytest

from sigma_scale import xray
from sigma_scale.errors import ParameterError, UnknownLineError


@pytest.mark.parametrize("resolution", [122.0, 125.0, 130.0, 150.0])
def test_width_agrees_with_exspy(resolution: float) -> None:
    from exspy._misc.eds.utils import get_FWHM_at_Energy

    for energy in (0.1, 0.277, 1.74, 5.8987, 6.4039, 17.4, 40.0):
        ours = xray.fwhm_kev(energy, resolution_mn_ka_ev=resolution)
        assert ours == pytest.approx(get_FWHM_at_Energy(resolution, energy), rel=1e-12)


def test_width_at_mn_ka_is_the_resolution() -> None:
    assert xray.fwhm_kev(xray.line_energy("Mn_Ka"), resolution_mn_ka_ev=127.0) == pytest.approx(
        0.127
    )


@pytest.mark.parametrize("energy", [-0.5, 0.0, 0.02])
def test_width_has_a_floor_where_the_formula_has_none(energy: float) -> None:
    assert xray.fwhm_kev(energy, resolution_mn_ka_ev=115.0) == xray.MINIMUM_FWHM_KEV


def test_width_of_an_array_is_that_of_its_items() -> None:
    energies = np.array([[-0.2, 0.0, 0.5], [1.0, 5.0, 20.0]])
    widths = xray.fwhm_kev(energies, resolution_mn_ka_ev=118.0)
    assert widths.shape == energies.shape
    assert widths.dtype == np.float64
    for energy, width in zip(energies.flat, widths.flat, strict=True):
        assert width == xray.fwhm_kev(float(energy), resolution_mn_ka_ev=118.0)


@pytest.mark.parametrize("resolution", [0.0, -130.0, float("nan"), float("inf")])
def test_width_refuses_an_impossible_resolution(resolution: float) -> None:
    with pytest.raises(ParameterError, match="resolution_mn_ka_ev"):
        xray.fwhm_kev(1.0, resolution_mn_ka_ev=resolution)


@pytest.mark.parametrize(("resolution", "width"), [(130.0, 2.0), (126.5, 1.0), (145.0, 3.5)])
def test_windows_agree_with_exspy(resolution: float, width: float) -> None:
    from exspy.signals import EDSSEMSpectrum

    lines = ["C_Ka", "O_Ka", "Si_Ka", "Fe_Ka", "Ag_La", "Pb_Ma"]
    signal = EDSSEMSpectrum(np.ones(2048))
    signal.axes_manager[-1].scale = 0.01
    signal.axes_manager[-1].units = "keV"
    signal.set_microscope_parameters(beam_energy=20.0, energy_resolution_MnKa=resolution)
    theirs = signal.estimate_integration_windows(windows_width=width, xray_lines=lines)
    for name, window in zip(lines, theirs, strict=True):
        ours = xray.window_kev(name, resolution_mn_ka_ev=resolution, window_width=width)
        assert ours == pytest.approx(window, rel=1e-12)


def test_window_names_what_is_wrong() -> None:
    with pytest.raises(ParameterError, match=r"window_width.*Fe_Ka"):
        xray.window_kev("Fe_Ka", window_width=0.0)
    with pytest.raises(UnknownLineError, match="Xx_Ka"):
        xray.window_kev("Xx_Ka")
