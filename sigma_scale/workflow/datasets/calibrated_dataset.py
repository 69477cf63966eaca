"""Energy axis, calibration and X-ray lines of a dataset with spectra."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from sigma_scale import xray
from sigma_scale.calibration import Calibration, fit_calibration
from sigma_scale.errors import ParameterError
from sigma_scale.workflow.datasets.feature_dataset import FeatureDataset
from sigma_scale.workflow.datasets.sources import first_features
from sigma_scale.workflow.datasets.steps import UNITS, Steps, check, energy_axis, raw_view, recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sigma_scale.spectra import SpectrumImage

__all__ = ["CalibratedDataset", "number"]

_FEWEST_PEAKS = 2


class CalibratedDataset(FeatureDataset):
    """
    A map with spectra, whose energies can be put right.

    Parameters
    ----------
    raw : SpectrumImage
        The map as it was measured.
    """

    REPLAYABLE: ClassVar[frozenset[str]] = FeatureDataset.REPLAYABLE | {
        "set_axes_offset",
        "set_axes_scale",
        "set_axes_unit",
        "set_xray_lines",
    }

    def __init__(self, raw: SpectrumImage) -> None:
        self._raw = raw
        super().__init__(first_features(raw))

    @property
    def spectra(self) -> SpectrumImage:
        """The map as it was measured, with the energy axis that was set."""
        return raw_view(self._raw, self._steps)

    def set_xray_lines(self, xray_lines: Sequence[str]) -> None:
        """
        Choose X-ray lines, as the feature list and as what the map's metadata name.

        Parameters
        ----------
        xray_lines : sequence of str
            Lines such as ``"Fe_Ka"``.

        Raises
        ------
        ParameterError
            If a line is not known or listed twice; nothing changes then.
        """
        names, navigator = self._checked(xray_lines)
        self._change(features=names, navigator=navigator, lines=names)

    def set_axes_scale(self, scale: float) -> None:
        """
        Set the width of a channel by hand.

        Parameters
        ----------
        scale : float
            Width in the unit that :meth:`set_axes_unit` says, keV otherwise.

        Raises
        ------
        ParameterError
            If it isn't a positive number; nothing changes then.
        """
        self._go_to(replace(self._uncalibrated(), scale=number(scale, "The width of a channel")))

    def set_axes_offset(self, offset: float) -> None:
        """
        Set the energy of the first channel by hand.

        Parameters
        ----------
        offset : float
            Energy in the unit that :meth:`set_axes_unit` says, keV otherwise; 0 is one like any
            other.

        Raises
        ------
        ParameterError
            If it isn't a number; nothing changes then.
        """
        self._go_to(replace(self._uncalibrated(), offset=number(offset, "The offset")))

    def set_axes_unit(self, unit: str) -> None:
        """
        Say in which unit scale and offset are set, before or afterwards.

        What a file says of its energies stays as it is: its unit is known.

        Parameters
        ----------
        unit : {"keV", "eV"}
            The unit.

        Raises
        ------
        ParameterError
            If it is another one; nothing changes then.
        """
        if unit not in UNITS:
            raise ParameterError(f"Energies are in {' or '.join(UNITS)}, not {unit!r}.")
        self._change(unit=unit)

    def _uncalibrated(self) -> Steps:
        """State in which the calibrated axis is the one to start from."""
        if self._steps.calibration is None:
            return self._steps
        axis = self.spectra.energy
        return replace(self._steps, axis=axis, scale=None, offset=None, calibration=None)

    def calibrate_spectra(
        self,
        measured_peaks_dict: Mapping[str, float] | None = None,
        tolerance: float = 0.2,
        reset: bool = True,  # noqa: FBT001, FBT002 -- the tutorial's call
    ) -> Calibration:
        """
        Put the energy axis right by peaks of known lines.

        Parameters
        ----------
        measured_peaks_dict : mapping of str to float, optional
            Where peaks of lines lie, in keV, such as ``{"Si_Ka": 1.76, "Fe_Ka": 6.44}``. None:
            peaks of the sum spectrum are found and matched to the lines of the feature list.
        tolerance : float, default: 0.2
            Largest shift in keV that is looked for.
        reset : bool, default: True
            Start from the axis of the file, or as set by hand; False: from an earlier calibration.

        Returns
        -------
        Calibration
            The correction and the peaks behind it.

        Raises
        ------
        ParameterError
            If fewer than two peaks are given, or too few match; nothing changes then.
        """
        if measured_peaks_dict is not None and len(measured_peaks_dict) < _FEWEST_PEAKS:
            raise ParameterError(
                "A calibration needs two peaks or more, such as "
                '{"Si_Ka": 1.76, "Fe_Ka": 6.44}. With one, use set_axes_offset(...).'
            )
        earlier = None if reset else self._steps.calibration
        start = replace(self._steps, calibration=earlier)
        image = raw_view(self._raw, start)
        fitted = fit_calibration(
            image,
            measured_peaks=measured_peaks_dict,
            tolerance_kev=tolerance,
            lines=self._steps.features or None,
        )
        self._change(calibration=fitted if earlier is None else _joined(earlier, fitted))
        return fitted

    def recipe(self) -> list[dict[str, Any]]:
        """
        List the methods to call on the data as read to come to this state.

        Returns
        -------
        list of dict
            ``"method"`` and ``"arguments"``, JSON types only; see :meth:`replay`. A calibration is
            listed as the energy axis that it led to. A function of your own is listed by its
            module and name, and can't be replayed.
        """
        axis = energy_axis(self._raw.energy, self._steps)
        return recipe(self._steps, None if axis == self._raw.energy else axis)

    def _check(self, steps: Steps) -> None:
        check(self._raw, steps)

    def _check_features(self, names: tuple[str, ...]) -> None:
        for name in names:
            xray.line(name)


def number(value: Any, what: str) -> float:
    """
    Take a finite number from a user.

    Raises
    ------
    ParameterError
        If it is none; ``what`` is the subject of the message.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{what} must be a number, not {value!r}.") from error
    if not math.isfinite(number):
        raise ParameterError(f"{what} must be a finite number, not {value!r}.")
    return number


def _joined(first: Calibration, second: Calibration) -> Calibration:
    """Two calibrations, one after the other, with the peaks of the second."""
    return replace(
        second,
        gain=second.gain * first.gain,
        shift_kev=second.gain * first.shift_kev + second.shift_kev,
    )
