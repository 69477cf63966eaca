"""Peaks of a sum spectrum and their places to a fraction of a channel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sigma_scale.xray.continuum import snip_continuum
from sigma_scale.xray.peaks import DEFAULT_RESOLUTION_MN_KA_EV, FWHM_PER_SIGMA, fwhm_kev

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.spectra import EnergyAxis

__all__ = ["FoundPeak", "find_peaks"]

_LOWEST_KEV = 0.2  # below lie the detector's zero peak and its noise threshold
_SMOOTHING_FWHM = 0.2  # of the width of a peak at 1 keV: smooths noise, hardly widens a peak
_MINIMUM_SIGMAS = 8.0
_MINIMUM_SHARE = 0.002  # of the highest peak: what is smaller may be an artefact of it
_FIT_HALF_WIDTH = 1.0  # FWHM: wide enough for few counts, short of the next peak
_NORMAL_WIDTH = (0.7, 1.2)
"""A peak narrower or wider than this, relative to the others, is noise or a blend of lines."""


class FoundPeak(NamedTuple):
    """
    A peak of a spectrum.

    Attributes
    ----------
    energy_kev : float
        Its centre on the axis as it is, in keV.
    error_kev : float
        Standard error of the centre from counting statistics, in keV.
    counts : float
        Net area of the peak.
    """

    energy_kev: float
    error_kev: float
    counts: float


def find_peaks(
    counts: NDArray[np.floating],
    axis: EnergyAxis,
    *,
    resolution_mn_ka_ev: float = DEFAULT_RESOLUTION_MN_KA_EV,
) -> tuple[FoundPeak, ...]:
    """
    Find the clear, single peaks of a sum spectrum.

    Parameters
    ----------
    counts : numpy.ndarray, shape (channel,)
        Counts summed over a map.
    axis : EnergyAxis
        Energies of the channels; they may be somewhat wrong.
    resolution_mn_ka_ev : float, default: 130.0
        FWHM of the Mn Ka peak in eV.

    Returns
    -------
    tuple of FoundPeak
        By energy. Left out is what is wider than a line, because the centre of two lines that
        overlap is the place of neither.

    Notes
    -----
    Each centre comes from a least-squares fit of a Gaussian on a straight background to the
    counts within one FWHM to either side.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks as local_maxima

    spectrum = np.asarray(counts, dtype=np.float64)
    first = max(0, math.ceil((_LOWEST_KEV - axis.offset_kev) / axis.scale_kev))
    visible = spectrum[first:]
    if visible.size < 3 or not visible.any():  # noqa: PLR2004
        return ()
    width = fwhm_kev(1.0, resolution_mn_ka_ev=resolution_mn_ka_ev) / axis.scale_kev
    smoothing = max(_SMOOTHING_FWHM * width, 0.5)
    smooth = gaussian_filter1d(visible, smoothing, mode="nearest")
    net = smooth - snip_continuum(visible, axis.scale_kev)
    # Averaging over n channels leaves 1 / sqrt(n) of the noise.
    noise = np.sqrt(np.maximum(smooth, 1.0) / (2.0 * math.sqrt(math.pi) * smoothing))
    needed = np.maximum(_MINIMUM_SIGMAS * noise, _MINIMUM_SHARE * net.max())
    places, _ = local_maxima(net, prominence=needed, distance=max(1.0, width / 2.0))
    fits = [
        _fitted(spectrum, axis, int(place) + first, resolution_mn_ka_ev=resolution_mn_ka_ev)
        for place in places
    ]
    return _single([fit for fit in fits if fit is not None])


def _fitted(
    spectrum: NDArray[np.float64], axis: EnergyAxis, place: int, *, resolution_mn_ka_ev: float
) -> tuple[FoundPeak, float] | None:
    """Peak near a channel with its width relative to the expected one, if there is one."""
    from scipy.optimize import least_squares

    expected = fwhm_kev(
        axis.offset_kev + place * axis.scale_kev, resolution_mn_ka_ev=resolution_mn_ka_ev
    )
    sigma = expected / FWHM_PER_SIGMA / axis.scale_kev
    reach = max(3, round(_FIT_HALF_WIDTH * expected / axis.scale_kev))
    low, high = max(place - reach, 0), min(place + reach + 1, spectrum.size)
    values = spectrum[low:high]
    unit = max(float(spectrum[place]), 1.0)
    distance = (np.arange(low, high) - place) / sigma
    noise = np.sqrt(np.maximum(values, 1.0))

    def deviations(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        return (unit * _peak_on_slope(distance, parameters) - values) / noise

    floor = float(values.min()) / unit
    fit = least_squares(deviations, (1.0 - floor, 0.0, 1.0, floor, 0.0), max_nfev=100)
    height, centre, width = fit.x[:3]
    variances = np.diag(np.linalg.pinv(fit.jac.T @ fit.jac))
    error = math.sqrt(max(float(variances[1]), 0.0))
    if not fit.success or height <= 0 or abs(centre) * sigma > reach or error > 1.0:
        return None
    peak = FoundPeak(
        axis.offset_kev + (place + float(centre) * sigma) * axis.scale_kev,
        error * sigma * axis.scale_kev,
        float(unit * height * abs(width) * sigma * math.sqrt(2.0 * math.pi)),
    )
    return peak, float(abs(width))


def _peak_on_slope(x: NDArray[np.float64], parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    height, centre, sigma, floor, slope = parameters
    shape: NDArray[np.float64] = height * np.exp(-0.5 * ((x - centre) / sigma) ** 2)
    shape += floor + slope * x
    return shape


def _single(fits: list[tuple[FoundPeak, float]]) -> tuple[FoundPeak, ...]:
    """Leave out blends; most peaks are of the detector's true width, which metadata may miss."""
    if not fits:
        return ()
    usual = float(np.median([width for _, width in fits]))
    low, high = _NORMAL_WIDTH
    return tuple(peak for peak, width in fits if low * usual <= width <= high * usual)
