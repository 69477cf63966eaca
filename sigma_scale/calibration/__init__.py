"""
Energy calibration: put a map's energy axis right by peaks of known lines, or by hand.

The counts stay as they are; a calibrated image is a new one with another energy axis.
"""

from __future__ import annotations

from sigma_scale.calibration.fit import calibrate, fit_calibration, set_calibration
from sigma_scale.calibration.peaks import FoundPeak, find_peaks
from sigma_scale.calibration.result import Calibration, CalibrationPeak

__all__ = [
    "Calibration",
    "CalibrationPeak",
    "FoundPeak",
    "calibrate",
    "find_peaks",
    "fit_calibration",
    "set_calibration",
]
