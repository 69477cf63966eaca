"""What lies under and between the peaks of a spectrum: continuum, escape peaks, pile-up, tails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["escape_peaks", "low_energy_tail", "pile_up", "smooth_basis", "snip_continuum"]

_SNIP_HALF_WINDOW_KEV = 0.3  # wider than any peak, narrower than the bend at low energies
_SMOOTHING_CHANNELS = 5
_SILICON_KA_KEV = 1.74
_SILICON_EDGE_KEV = 1.84
_ESCAPE_FRACTION_AT_EDGE = 0.02
_TAIL_KEV = 0.1
_KNOTS_KEV = np.array([0.5, 1.0, 2.0, 4.0, 7.0, 12.0, 20.0, 40.0])


def snip_continuum(counts: NDArray[np.float64], step_kev: float) -> NDArray[np.float64]:
    """
    Estimate the continuum by clipping peaks (SNIP).

    Parameters
    ----------
    counts : numpy.ndarray, shape (channel,), float64
        Counts, 0 or more.
    step_kev : float
        Width of a channel in keV.

    Returns
    -------
    numpy.ndarray, shape (channel,), float64
        Continuum in counts, 0 or more.

    Notes
    -----
    Clipped on the scale ``log(log(sqrt(counts + 1) + 1) + 1)``, on which peaks of any height are
    clipped alike: Ryan et al., Nucl. Instrum. Methods B 34 (1988) 396.
    """
    from pybaselines import Baseline
    from scipy.ndimage import uniform_filter1d

    smooth = uniform_filter1d(counts, _SMOOTHING_CHANNELS, mode="nearest")
    scaled = np.log(np.log(np.sqrt(smooth + 1.0) + 1.0) + 1.0)
    half_window = min(max(1, round(_SNIP_HALF_WINDOW_KEV / step_kev)), (counts.size - 1) // 2)
    clipped, _ = Baseline().snip(
        scaled, max_half_window=half_window, decreasing=True, pad_kwargs={"mode": "edge"}
    )
    continuum = (np.exp(np.exp(clipped) - 1.0) - 1.0) ** 2 - 1.0
    return np.asarray(np.clip(continuum, 0.0, None))


def smooth_basis(energy_kev: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Make smooth shapes whose sums can follow a continuum, but not a peak.

    Parameters
    ----------
    energy_kev : numpy.ndarray, shape (channel,), float64
        Channel centres in keV, ascending.

    Returns
    -------
    numpy.ndarray, shape (channel, spline), float64
        Non-negative cubic B-splines that sum to one, with knots further apart where the
        continuum bends less. Cubic, because a kink would look like a small peak.
    """
    from scipy.interpolate import BSpline

    low, high = energy_kev[0], energy_kev[-1]
    inner = _KNOTS_KEV[(low < _KNOTS_KEV) & (high > _KNOTS_KEV)]
    knots = np.concatenate([np.repeat(low, 4), inner, np.repeat(high, 4)])
    return np.asarray(BSpline.design_matrix(energy_kev, knots, 3).toarray())


def escape_peaks(
    peaks: NDArray[np.float64], energy_kev: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Predict the silicon escape peaks of a peak spectrum.

    Parameters
    ----------
    peaks : numpy.ndarray, shape (channel,), float64
        Counts in peaks, without continuum.
    energy_kev : numpy.ndarray, shape (channel,), float64
        Channel centres in keV, evenly spaced.

    Returns
    -------
    numpy.ndarray, shape (channel,), float64
        Counts that appear 1.74 keV below their peaks.

    Notes
    -----
    The share that escapes falls from about 2 % at silicon's edge with the square of the energy,
    close to Reed and Ware, J. Phys. E 5 (1972) 582.
    """
    shift = round(_SILICON_KA_KEV / (energy_kev[1] - energy_kev[0]))
    fraction = np.where(
        energy_kev > _SILICON_EDGE_KEV,
        _ESCAPE_FRACTION_AT_EDGE * (_SILICON_EDGE_KEV / energy_kev) ** 2,
        0.0,
    )
    escaped = np.zeros_like(peaks)
    escaped[: max(0, peaks.size - shift)] = (peaks * fraction)[shift:]
    return escaped


def pile_up(peaks: NDArray[np.float64], energy_kev: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Calculate the shape of pile-up: two photons counted as one of their summed energy.

    Parameters
    ----------
    peaks : numpy.ndarray, shape (channel,), float64
        Counts in peaks, without continuum.
    energy_kev : numpy.ndarray, shape (channel,), float64
        Channel centres in keV, evenly spaced.

    Returns
    -------
    numpy.ndarray, shape (channel,), float64
        Shape with a sum of 1, or zeros where no pile-up falls on the axis.
    """
    from scipy.signal import fftconvolve

    both = np.clip(fftconvolve(peaks, peaks), 0.0, None)
    # channel i holds offset + i * step, so the sum of i and j belongs to i + j + offset / step
    offset = round(energy_kev[0] / (energy_kev[1] - energy_kev[0]))
    shape = np.zeros_like(peaks)
    if offset >= 0:
        shape[offset:] = both[: max(0, peaks.size - offset)]
    else:
        shape[:] = both[-offset : peaks.size - offset]
    total = shape.sum()
    return shape / total if total > 0 else shape


def low_energy_tail(peaks: NDArray[np.float64], step_kev: float) -> NDArray[np.float64]:
    """
    Calculate the shape of the tail that incomplete charge collection leaves below peaks.

    Parameters
    ----------
    peaks : numpy.ndarray, shape (channel,), float64
        Counts in peaks, without continuum.
    step_kev : float
        Width of a channel in keV.

    Returns
    -------
    numpy.ndarray, shape (channel,), float64
        Peaks smeared towards low energies by an exponential of 0.1 keV.
    """
    decay = np.exp(-np.arange(0.0, 6.0 * _TAIL_KEV, step_kev) / _TAIL_KEV)
    smeared = np.convolve(peaks[::-1], decay / decay.sum())[: peaks.size]
    return smeared[::-1]
