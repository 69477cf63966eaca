"""Calibrate by peaks that someone has read off a spectrum."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.calibration.matching import best_line
from sigma_scale.calibration.result import Calibration, peak_list
from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.xray import line_energy

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BY_HAND", "FEWEST_PEAKS", "calibration_from"]

FEWEST_PEAKS = 3
"""Peaks that must agree; two lie on every line."""

BY_HAND = (
    'Read the energies of two or more peaks off the sum spectrum and give them: '
    'measured_peaks={"Si_Ka": 1.76, "Fe_Ka": 6.44}.'
)  # fmt: skip


def calibration_from(measured_peaks: Mapping[str, float], tolerance_kev: float) -> Calibration:
    """
    Calibrate by peaks whose lines are known.

    Parameters
    ----------
    measured_peaks : mapping of str to float
        Energy in keV of each line's peak on the axis as it is.
    tolerance_kev : float
        How far a peak that agrees with the others may lie off.

    Raises
    ------
    ParameterError
        If they are no energies by lines, or contradict each other.
    UnknownLineError
        If a line is not in the table.
    """
    if not isinstance(measured_peaks, Mapping):
        raise ParameterError(
            f"Measured peaks are energies by lines, not {measured_peaks!r}. {BY_HAND}"
        )
    if not measured_peaks:
        raise ParameterError(f"No measured peaks are given. {BY_HAND}")
    names = sorted(measured_peaks, key=line_energy)
    true = np.array([line_energy(name) for name in names])
    try:
        measured = np.array([float(measured_peaks[name]) for name in names])
    except (TypeError, ValueError):
        measured = np.full(true.shape, np.nan)
    if not np.isfinite(measured).all():
        raise ParameterError(f"Measured peaks are energies in keV, not {dict(measured_peaks)}.")
    agrees = np.ones(true.size, dtype=bool)
    if true.size == 1:
        gain, shift = 1.0, float(true[0] - measured[0])
    elif true.size < FEWEST_PEAKS:
        gain, shift = _straight_line(measured, true)
    else:
        _, _, agrees = best_line(measured, true, tolerance_kev=tolerance_kev)
        if agrees.sum() < FEWEST_PEAKS:
            gain, shift = _straight_line(measured, true)
            off = 1000.0 * (gain * measured + shift - true)
            listing = ", ".join(
                f"{name} {value:+.0f} eV" for name, value in zip(names, off, strict=True)
            )
            raise ParameterError(
                f"No three of the measured peaks agree on one calibration within "
                f"{1000 * tolerance_kev:g} eV; from the best line they lie off by {listing}. "
                "Check which line each peak is, or give only two that are certain."
            )
        gain, shift = _straight_line(measured[agrees], true[agrees])
    if gain <= 0:
        raise ParameterError(
            f"The measured peaks {dict(measured_peaks)} are not in the order of their lines. "
            "Check which line each peak is."
        )
    if not agrees.all():
        wrong = ", ".join(name for name, good in zip(names, agrees, strict=True) if not good)
        warnings.warn(
            f"Left out of the calibration, because the other peaks contradict: {wrong}.",
            SigmaScaleWarning,
            stacklevel=4,
        )
    return Calibration(gain, shift, peak_list(names, measured, true, (gain, shift), agrees))


def _straight_line(measured: NDArray[np.float64], true: NDArray[np.float64]) -> tuple[float, float]:
    """Least-squares line through two or more points."""
    if np.ptp(measured) == 0 or np.ptp(true) == 0:
        raise ParameterError("Two measured peaks can't have the same energy. Check them.")
    gain, shift = np.polyfit(measured, true, 1)
    return float(gain), float(shift)
