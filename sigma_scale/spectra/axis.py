"""The energy axis of a spectrum image, and which channels an energy window covers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EnergyRangeError, ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EnergyAxis"]

# HyperSpy cuts channel positions to this many digits, so that 2.4999999999999996 counts as 2.5.
_DIGITS = 1e12


@dataclass(frozen=True, slots=True)
class EnergyAxis:
    """
    A uniform energy axis.

    Parameters
    ----------
    size : int
        Number of channels.
    scale_kev : float
        Width of a channel in keV, positive.
    offset_kev : float
        Energy at the centre of channel 0 in keV.

    Raises
    ------
    ParameterError
        If the axis has no channels, or a width that is not positive and finite.
    """

    size: int
    scale_kev: float
    offset_kev: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ParameterError(f"An energy axis needs at least one channel, got {self.size}.")
        if not (self.scale_kev > 0 and math.isfinite(self.scale_kev)):
            raise ParameterError(f"A channel must have a positive width, got {self.scale_kev} keV.")
        if not math.isfinite(self.offset_kev):
            raise ParameterError(f"The energy offset must be finite, got {self.offset_kev} keV.")

    @property
    def values(self) -> NDArray[np.float64]:
        """Energies at the channel centres in keV, shape (size,)."""
        return self.offset_kev + self.scale_kev * np.arange(self.size, dtype=np.float64)

    @property
    def low(self) -> float:
        """Energy at the centre of the first channel in keV."""
        return self.offset_kev

    @property
    def high(self) -> float:
        """Energy at the centre of the last channel in keV."""
        return self.offset_kev + self.scale_kev * (self.size - 1)

    def channel(self, energy_kev: float) -> int:
        """
        Nearest channel of an energy by HyperSpy's rule; it may lie outside the axis.

        Halves go toward zero for energies from 0 upward and away from zero below, so that
        windows agree with ``signal.isig[low:high]``.

        Raises
        ------
        EnergyRangeError
            If the energy is not a finite number.
        """
        if not math.isfinite(energy_kev):
            raise EnergyRangeError(f"An energy must be a number in keV, not {energy_kev}.")
        position = math.trunc((energy_kev - self.offset_kev) / self.scale_kev * _DIGITS) / _DIGITS
        towards_zero = energy_kev >= 0
        magnitude = abs(position)
        rounded = math.ceil(magnitude - 0.5) if towards_zero else math.floor(magnitude + 0.5)
        return int(math.copysign(rounded, position))

    def window_channels(self, low_kev: float, high_kev: float, *, name: str = "") -> range:
        """
        Channels of an energy window: nearest channels, the end excluded, clipped to the axis.

        Parameters
        ----------
        low_kev, high_kev : float
            Limits of the window in keV.
        name : str, optional
            What the window is for, named in the error.

        Returns
        -------
        range
            Channel numbers; at least one.

        Raises
        ------
        EnergyRangeError
            If no channel of the axis lies in the window.
        """
        start = max(self.channel(low_kev), 0)
        stop = min(self.channel(high_kev), self.size)
        # A window that ends on the last channel's centre excludes it; one beyond takes it in.
        if start >= stop:
            what = f"The window of {name}" if name else "The window"
            raise EnergyRangeError(
                f"{what} ({low_kev:.3f} to {high_kev:.3f} keV) lies outside the measured energies "
                f"({self.low:.3f} to {self.high:.3f} keV). Leave it out, or check the calibration."
            )
        return range(start, stop)

    def first_channel_from(self, energy_kev: float) -> int:
        """
        Lowest channel that is not below an energy, as HyperSpy's ``isig[:energy]`` excludes it.

        Raises
        ------
        EnergyRangeError
            If the whole axis lies below the energy.
        """
        first = max(self.channel(energy_kev), 0)
        if first >= self.size:
            raise EnergyRangeError(
                f"All measured energies ({self.low:.3f} to {self.high:.3f} keV) lie below "
                f"{energy_kev:.3f} keV."
            )
        return first

    def calibrated(self, gain: float, shift_kev: float) -> EnergyAxis:
        """Axis after ``true = gain * measured + shift_kev``."""
        return replace(
            self,
            scale_kev=gain * self.scale_kev,
            offset_kev=gain * self.offset_kev + shift_kev,
        )
