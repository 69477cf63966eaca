"""What a calibration is, and what it was made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage

__all__ = ["Calibration", "CalibrationPeak", "peak_list"]


@dataclass(frozen=True, slots=True)
class CalibrationPeak:
    """
    A peak and the line it was taken for.

    Attributes
    ----------
    line : str
        X-ray line such as ``"Fe_Ka"``.
    measured_kev : float
        Where the peak lies on the axis before the calibration, in keV.
    true_kev : float
        Where it should lie, in keV: at the line, or some eV from it where other peaks overlap.
    residual_ev : float
        How far it lies from there after the calibration, in eV.
    used : bool
        Whether the calibration rests on it; False: rejected, because it contradicts the others.
    """

    line: str
    measured_kev: float
    true_kev: float
    residual_ev: float
    used: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """
    A change of the energy axis: ``true = gain * measured + shift_kev``.

    Attributes
    ----------
    gain : float
        Factor on measured energies.
    shift_kev : float
        What is added after that, in keV.
    peaks : tuple of CalibrationPeak
        What it rests on and what was rejected, by energy.
    unmatched_kev : tuple of float
        Measured energies in keV of further peaks of the sum spectrum that no line was found for,
        such as escape peaks or elements that were not named.
    """

    gain: float
    shift_kev: float
    peaks: tuple[CalibrationPeak, ...] = ()
    unmatched_kev: tuple[float, ...] = ()

    @property
    def used(self) -> tuple[CalibrationPeak, ...]:
        """Peaks that the calibration rests on."""
        return tuple(peak for peak in self.peaks if peak.used)

    @property
    def rejected(self) -> tuple[CalibrationPeak, ...]:
        """Peaks that contradict it."""
        return tuple(peak for peak in self.peaks if not peak.used)

    def apply(self, image: SpectrumImage) -> SpectrumImage:
        """
        Put an image's energy axis right.

        Parameters
        ----------
        image : SpectrumImage
            The image that the peaks were measured in, or one of the same detector and settings.

        Returns
        -------
        SpectrumImage
            The same counts on the corrected axis.
        """
        return replace(image, energy=image.energy.calibrated(self.gain, self.shift_kev))

    def __str__(self) -> str:
        lines = [f"true = {self.gain:.6f} * measured {1000 * self.shift_kev:+.2f} eV"]
        lines.append(f"{'line':>8}  {'measured':>12}  {'true':>12}  {'left after':>10}")
        lines += [
            f"{peak.line:>8}  {peak.measured_kev:8.4f} keV  {peak.true_kev:8.4f} keV  "
            f"{peak.residual_ev:+7.2f} eV{'' if peak.used else '  rejected'}"
            for peak in self.peaks
        ]
        return "\n".join(lines)


def peak_list(
    names: Sequence[str],
    measured: NDArray[np.float64],
    true: NDArray[np.float64],
    fitted: tuple[float, float],
    used: NDArray[np.bool_],
) -> tuple[CalibrationPeak, ...]:
    """
    List peaks with how far they lie off.

    Parameters
    ----------
    names : sequence of str
        Lines.
    measured, true : numpy.ndarray, shape (peak,), float64
        Energies in keV.
    fitted : tuple of float
        Gain and shift in keV.
    used : numpy.ndarray, shape (peak,), bool
        Which peaks the calibration rests on.
    """
    residuals = 1000.0 * (fitted[0] * measured + fitted[1] - true)
    return tuple(
        CalibrationPeak(name, float(m), float(t), float(r), bool(u))
        for name, m, t, r, u in zip(names, measured, true, residuals, used, strict=True)
    )
