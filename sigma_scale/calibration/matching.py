"""
Which peak is which line: the gain and shift that most peaks agree on.

Every two peaks taken for two lines propose a gain and a shift, and the proposal under which most
peaks fall on lines wins. So a wrong match has one voice among many. All proposals are tried: there
are few enough, and chance plays no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.calibration.anchors import Anchor
    from sigma_scale.calibration.peaks import FoundPeak

__all__ = ["Bounds", "best_line", "coarse_line", "robust_line"]

_LEAST_DISTANCE_KEV = 0.4  # a gain from lines closer together is mostly noise
_COARSE_TOLERANCE_KEV = 0.02
_FIT_SCALE_KEV = 0.003  # deviations well above this hardly pull
_CONSENSUS_KEV = 0.006  # a peak further off than this contradicts, however far it is
_MODEL_ERROR_KEV = 0.002  # line energies and peak shapes are not known better
_RESERVE = 0.15
"""How much of the score the largest plausible correction costs; of two equals the smaller wins."""
_MOST_CELLS = 4_000_000


class Bounds(NamedTuple):
    """What corrections are plausible."""

    gain_error: float
    """Largest distance of the gain from 1."""
    shift_kev: float
    """Largest shift in keV."""


def coarse_line(
    peaks: Sequence[FoundPeak], anchors: Sequence[Anchor], bounds: Bounds
) -> tuple[float, float] | None:
    """
    Find the gain and shift that put most peaks on lines.

    Parameters
    ----------
    peaks : sequence of FoundPeak
        Peaks of the spectrum.
    anchors : sequence of Anchor
        Lines that may be there, by energy.
    bounds : Bounds
        Plausible corrections.

    Returns
    -------
    tuple of float, or None
        Gain and shift in keV; None where no two peaks can be two of the lines.
    """
    measured = np.array([peak.energy_kev for peak in peaks])
    true = np.array([anchor.energy_kev for anchor in anchors])
    if measured.size == 0 or true.size == 0:
        return None
    gains, shifts = _proposals(measured, true, bounds)
    if gains.size == 0:
        return None
    voices = np.log1p(np.array([peak.counts for peak in peaks]))
    ranks = 0.5 + 0.5 * np.array([anchor.weight for anchor in anchors])
    per_step = max(1, _MOST_CELLS // measured.size)
    scores = np.concatenate(
        [
            _agreement(gains[i : i + per_step], shifts[i : i + per_step], measured, (true, ranks))
            @ voices
            for i in range(0, gains.size, per_step)
        ]
    )
    size = ((gains - 1.0) / bounds.gain_error) ** 2 + (shifts / bounds.shift_kev) ** 2
    best = int(np.argmax(scores - _RESERVE * voices.mean() * size))
    return float(gains[best]), float(shifts[best])


def _proposals(
    measured: NDArray[np.float64], true: NDArray[np.float64], bounds: Bounds
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gains and shifts from every two peaks taken for every two lines."""
    reach = bounds.shift_kev + bounds.gain_error * measured
    peak, line = np.nonzero(np.abs(measured[:, None] - true[None, :]) <= reach[:, None])
    lower, upper = np.nonzero(
        (true[line][None, :] - true[line][:, None] >= _LEAST_DISTANCE_KEV)
        & (measured[peak][None, :] > measured[peak][:, None])
    )
    between_lines = true[line[upper]] - true[line[lower]]
    gains = between_lines / (measured[peak[upper]] - measured[peak[lower]])
    shifts = true[line[lower]] - gains * measured[peak[lower]]
    plausible = (np.abs(gains - 1.0) <= bounds.gain_error) & (np.abs(shifts) <= bounds.shift_kev)
    return gains[plausible], shifts[plausible]


def _agreement(
    gains: NDArray[np.float64],
    shifts: NDArray[np.float64],
    measured: NDArray[np.float64],
    lines: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """How well each peak lies on a line under each proposal, the stronger lines more."""
    true, ranks = lines
    proposed = gains[:, None] * measured + shifts[:, None]
    nearest = _nearest(proposed, true)
    distance = (proposed - true[nearest]) / _COARSE_TOLERANCE_KEV
    agreement: NDArray[np.float64] = np.maximum(0.0, 1.0 - distance**2) * ranks[nearest]
    return agreement


def _nearest(values: NDArray[np.float64], ascending: NDArray[np.float64]) -> NDArray[np.intp]:
    right = np.clip(np.searchsorted(ascending, values), 1, max(ascending.size - 1, 1))
    right = np.minimum(right, ascending.size - 1)
    left = np.maximum(right - 1, 0)
    nearer_left = np.abs(values - ascending[left]) <= np.abs(values - ascending[right])
    return np.where(nearer_left, left, right)


def best_line(
    measured: NDArray[np.float64], true: NDArray[np.float64], *, tolerance_kev: float
) -> tuple[float, float, NDArray[np.bool_]]:
    """
    Find the gain and shift that most pairs of known partners agree on.

    Parameters
    ----------
    measured, true : numpy.ndarray, shape (peak,), float64
        Energies of each peak in keV.
    tolerance_kev : float
        How far a peak that agrees may lie off.

    Returns
    -------
    gain, shift_kev : float
        The proposal with the most peaks in agreement.
    agrees : numpy.ndarray, shape (peak,), bool
        Which peaks these are.
    """
    best: tuple[int, float, float, float] = (0, -np.inf, 1.0, 0.0)
    for i in range(measured.size):
        for j in range(i + 1, measured.size):
            if measured[i] == measured[j] or true[i] == true[j]:
                continue
            gain = float((true[j] - true[i]) / (measured[j] - measured[i]))
            shift = float(true[i] - gain * measured[i])
            off = np.abs(gain * measured + shift - true)
            near = off <= tolerance_kev
            best = max(best, (int(near.sum()), -float(off[near].sum()), gain, shift))
    _, _, gain, shift = best
    return gain, shift, np.abs(gain * measured + shift - true) <= tolerance_kev


def robust_line(
    measured: NDArray[np.float64],
    true: NDArray[np.float64],
    errors: NDArray[np.float64],
    start: tuple[float, float],
) -> tuple[float, float]:
    """
    Fit gain and shift so that peaks which are off hardly pull.

    Parameters
    ----------
    measured, true : numpy.ndarray, shape (peak,), float64
        Energies of each peak in keV.
    errors : numpy.ndarray, shape (peak,), float64
        Standard errors of the measured energies in keV.
    start : tuple of float
        Gain and shift to begin with.

    Returns
    -------
    tuple of float
        Gain and shift in keV.

    Notes
    -----
    Least squares with a Cauchy loss (``scipy.optimize.least_squares``). Such a loss has several
    minima, and a wrong peak far from the others can make the lowest: all peaks a little off. So the
    fit is made again, of those peaks only that agree with the line most of them lie on, and the
    line that contradicts fewer peaks counts.
    """
    from scipy.optimize import least_squares

    scale = np.hypot(errors, _MODEL_ERROR_KEV)

    def fitted(
        begin: tuple[float, float], chosen: NDArray[np.bool_] | slice
    ) -> NDArray[np.float64]:
        def deviations(line: NDArray[np.float64]) -> NDArray[np.float64]:
            off: NDArray[np.float64] = (line[0] * measured + line[1] - true) / scale
            return off[chosen]

        loss = {"loss": "cauchy", "f_scale": _FIT_SCALE_KEV / _MODEL_ERROR_KEV}
        line: NDArray[np.float64] = least_squares(deviations, begin, x_scale=(1e-3, 1e-3), **loss).x
        return line

    def contradictions(line: NDArray[np.float64]) -> float:
        off = (line[0] * measured + line[1] - true) / _CONSENSUS_KEV
        return float(np.minimum(off**2, 1.0).sum())

    gain, shift, agrees = best_line(measured, true, tolerance_kev=_CONSENSUS_KEV)
    best = min(fitted(start, slice(None)), fitted((gain, shift), agrees), key=contradictions)
    return float(best[0]), float(best[1])
