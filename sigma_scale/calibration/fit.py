"""Fit a calibration to peaks that are given, or found and matched to lines; or set it by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import compute
from sigma_scale.calibration.anchors import COMMON_ELEMENTS, Anchor, anchors_of
from sigma_scale.calibration.given import BY_HAND, FEWEST_PEAKS, calibration_from
from sigma_scale.calibration.matching import Bounds, coarse_line, robust_line
from sigma_scale.calibration.overlaps import apparent_anchors
from sigma_scale.calibration.peaks import FoundPeak, find_peaks
from sigma_scale.calibration.result import Calibration, peak_list
from sigma_scale.errors import ParameterError
from sigma_scale.xray import line, suggest_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage

__all__ = ["calibrate", "fit_calibration", "set_calibration"]

_LOWEST_LINE_KEV = 0.2
_USUAL_BEAM_KEV = 20.0
_MATCH_KEV = 0.04
_ROUNDS = 4


def calibrate(
    image: SpectrumImage,
    *,
    measured_peaks: Mapping[str, float] | None = None,
    tolerance_kev: float = 0.2,
    max_gain_error: float = 0.03,
    max_residual_ev: float = 20.0,
    elements: Sequence[str] | None = None,
    lines: Sequence[str] | None = None,
) -> SpectrumImage:
    """
    Put the energy axis right by peaks of known lines.

    Parameters
    ----------
    image, measured_peaks, tolerance_kev, max_gain_error, max_residual_ev, elements, lines
        See :func:`fit_calibration`, whose result also says which peaks were used and how well
        they fit.

    Returns
    -------
    SpectrumImage
        The same counts on the corrected axis; what the files on disk hold is not touched.

    Raises
    ------
    ParameterError
        If the peaks are too few, contradict each other or ask for an implausible correction.
    UnknownLineError
        If a line or element is not in the table.
    """
    return fit_calibration(
        image,
        measured_peaks=measured_peaks,
        tolerance_kev=tolerance_kev,
        max_gain_error=max_gain_error,
        max_residual_ev=max_residual_ev,
        elements=elements,
        lines=lines,
    ).apply(image)


def set_calibration(
    image: SpectrumImage, *, scale_kev: float | None = None, offset_kev: float | None = None
) -> SpectrumImage:
    """
    Set the energy axis by hand.

    Parameters
    ----------
    image : SpectrumImage
        The image.
    scale_kev : float, optional
        Width of a channel in keV. None: as it is.
    offset_kev : float, optional
        Energy at the centre of channel 0 in keV; 0 is an energy like any other. None: as it is.

    Returns
    -------
    SpectrumImage
        The same counts on the new axis.

    Raises
    ------
    ParameterError
        If the width is not positive or a number is not finite.
    """
    for name, value in (("scale_kev", scale_kev), ("offset_kev", offset_kev)):
        if value is not None and not isinstance(value, Real):
            raise ParameterError(f"{name} must be a number in keV, not {value!r}.")
    axis = image.energy
    if scale_kev is not None:
        axis = replace(axis, scale_kev=float(scale_kev))
    if offset_kev is not None:
        axis = replace(axis, offset_kev=float(offset_kev))
    return replace(image, energy=axis)


def fit_calibration(
    image: SpectrumImage,
    *,
    measured_peaks: Mapping[str, float] | None = None,
    tolerance_kev: float = 0.2,
    max_gain_error: float = 0.03,
    max_residual_ev: float = 20.0,
    elements: Sequence[str] | None = None,
    lines: Sequence[str] | None = None,
) -> Calibration:
    """
    Fit ``true = gain * measured + shift`` to peaks.

    Parameters
    ----------
    image : SpectrumImage
        The image as it is. One pass over its counts gives the sum spectrum, unless peaks are given.
    measured_peaks : mapping of str to float, optional
        Where peaks of known lines lie on the axis as it is, in keV, such as ``{"Fe_Ka": 6.41}``.
        One gives a shift, two or more give gain and shift. From four on, one that contradicts the
        others is rejected with a warning. None: peaks of the sum spectrum are found and matched.
    tolerance_kev : float, default: 0.2
        Largest shift in keV that is looked for.
    max_gain_error : float, default: 0.03
        Largest distance of the gain from 1 that is looked for.
    max_residual_ev : float, default: 20.0
        How far a peak may lie from its line after the calibration, in eV, to count as a match.
    elements : sequence of str, optional
        Elements whose lines are looked for.
    lines : sequence of str, optional
        X-ray lines; their elements are looked for. If neither is given: those that the file names,
        else common elements and then those that the sum spectrum suggests.

    Returns
    -------
    Calibration
        Gain, shift and the peaks behind them; :meth:`Calibration.apply` gives the calibrated image.

    Raises
    ------
    ParameterError
        If the peaks are too few, contradict each other or ask for an implausible correction.
    UnknownLineError
        If a line or element is not in the table.
    """
    for name, value in (
        ("tolerance_kev", tolerance_kev),
        ("max_gain_error", max_gain_error),
        ("max_residual_ev", max_residual_ev),
    ):
        if not (isinstance(value, Real) and math.isfinite(value) and value > 0):
            raise ParameterError(f"{name} must be a positive number, not {value!r}.")
    for name, names in (("elements", elements), ("lines", lines)):
        if isinstance(names, str):
            raise ParameterError(f"{name} must be a list such as [{names!r}], not a word.")
    if measured_peaks is not None:
        return calibration_from(measured_peaks, max_residual_ev / 1000.0)
    spectrum = _sum_spectrum(image)
    peaks = find_peaks(
        spectrum, image.energy, resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev
    )
    bounds = Bounds(max_gain_error, tolerance_kev)
    known = _known_elements(image, elements, lines)
    anchors = _anchors(image, known or COMMON_ELEMENTS, shells="KLM" if known else "K")
    start = coarse_line(peaks, anchors, bounds)
    if start is None:
        raise _no_match(peaks, anchors, 0)
    if not known:
        known = _suggested_elements(image, spectrum, start)
        anchors = _anchors(image, known) or anchors
    rough = _refined(peaks, anchors, start, bounds, max_residual_ev / 1000.0)
    anchors = apparent_anchors(
        anchors,
        spectrum,
        image.energy.calibrated(rough.gain, rough.shift_kev),
        known,
        beam_energy_kev=_beam_energy(image),
        resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev,
    )
    return _refined(peaks, anchors, (rough.gain, rough.shift_kev), bounds, max_residual_ev / 1000.0)


def _sum_spectrum(image: SpectrumImage) -> NDArray[np.float64]:
    (spectrum,) = compute.run(
        image.with_processing(zeroed_below=0).sum_spectrum(), description="Summing spectra"
    )
    return np.asarray(spectrum.values, dtype=np.float64)


def _known_elements(
    image: SpectrumImage, elements: Sequence[str] | None, lines: Sequence[str] | None
) -> tuple[str, ...]:
    """Elements that were named, by the caller or else by the file."""
    if elements is None and lines is None:
        elements, lines = image.metadata.elements, image.metadata.lines
    of_lines = [line(name).element for name in lines or ()]
    return tuple(dict.fromkeys([*(elements or ()), *of_lines]))


def _anchors(
    image: SpectrumImage, elements: Sequence[str], *, shells: str = "KLM"
) -> tuple[Anchor, ...]:
    return anchors_of(
        elements,
        low_kev=max(_LOWEST_LINE_KEV, image.energy.low),
        high_kev=image.energy.high,
        beam_energy_kev=_beam_energy(image),
        resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev,
        shells=shells,
    )


def _beam_energy(image: SpectrumImage) -> float:
    return image.metadata.beam_energy_kev or max(_USUAL_BEAM_KEV, image.energy.high)


def _suggested_elements(
    image: SpectrumImage, spectrum: NDArray[np.float64], start: tuple[float, float]
) -> tuple[str, ...]:
    """Elements that the spectrum shows once its axis is roughly right."""
    lines = suggest_lines(
        spectrum,
        image.energy.calibrated(*start).values,
        beam_energy_kev=_beam_energy(image),
        resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev,
    )
    return tuple(line(name).element for name in lines)


def _refined(
    peaks: Sequence[FoundPeak],
    anchors: Sequence[Anchor],
    start: tuple[float, float],
    bounds: Bounds,
    tolerance_kev: float,
) -> Calibration:
    """Match peaks and lines one to one and fit, until nothing changes."""
    measured = np.array([peak.energy_kev for peak in peaks])
    errors = np.array([peak.error_kev for peak in peaks])
    fitted = start
    pairs: list[tuple[int, int]] = []
    for _ in range(_ROUNDS):
        before, pairs = pairs, _matched(fitted[0] * measured + fitted[1], anchors)
        if pairs == before or len(pairs) < 2:  # noqa: PLR2004
            break
        chosen = [i for i, _ in pairs]
        true = np.array([anchors[j].energy_kev for _, j in pairs])
        fitted = robust_line(measured[chosen], true, errors[chosen], fitted)
    chosen = [i for i, _ in pairs]
    true = np.array([anchors[j].energy_kev for _, j in pairs])
    used = np.abs(fitted[0] * measured[chosen] + fitted[1] - true) <= tolerance_kev
    if used.sum() < FEWEST_PEAKS or 2 * used.sum() < len(peaks):
        raise _no_match(peaks, anchors, int(used.sum()))
    if abs(fitted[0] - 1.0) > bounds.gain_error or abs(fitted[1]) > bounds.shift_kev:
        raise ParameterError(
            f"The calibration found (gain {fitted[0]:.4f}, shift {1000 * fitted[1]:+.0f} eV) is "
            f"larger than max_gain_error {bounds.gain_error:g} and tolerance_kev "
            f"{bounds.shift_kev:g} allow. Allow more if it is plausible. {BY_HAND}"
        )
    rest = sorted(set(range(measured.size)) - set(chosen))
    return Calibration(
        *fitted,
        peak_list([anchors[j].line for _, j in pairs], measured[chosen], true, fitted, used),
        tuple(float(measured[i]) for i in rest),
    )


def _matched(energies: NDArray[np.float64], anchors: Sequence[Anchor]) -> list[tuple[int, int]]:
    """Peaks and lines that are each other's nearest and close enough."""
    true = np.array([anchor.energy_kev for anchor in anchors])
    distance = np.abs(energies[:, None] - true[None, :])
    if distance.size == 0:
        return []
    nearest_line, nearest_peak = distance.argmin(axis=1), distance.argmin(axis=0)
    return [
        (i, int(j))
        for i, j in enumerate(nearest_line)
        if nearest_peak[j] == i and distance[i, j] <= _MATCH_KEV
    ]


def _no_match(
    peaks: Sequence[FoundPeak], anchors: Sequence[Anchor], n_matched: int
) -> ParameterError:
    found = ", ".join(f"{peak.energy_kev:.3f}" for peak in peaks) or "none"
    lines = ", ".join(f"{anchor.line} {anchor.energy_kev:.3f}" for anchor in anchors) or "none"
    return ParameterError(
        f"The peaks can't be matched to lines: {n_matched} of {len(peaks)} agree; a calibration "
        f"needs {FEWEST_PEAKS}, and at least half of them. Peaks found (keV): {found}. "
        f"Lines looked for (keV): {lines}. Name the elements of the sample. {BY_HAND}"
    )
