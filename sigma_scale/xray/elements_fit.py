"""Fit a spectrum by the peak families of as few elements as explain it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.xray.continuum import (
    escape_peaks,
    low_energy_tail,
    pile_up,
    smooth_basis,
    snip_continuum,
)
from sigma_scale.xray.families import candidate_elements, excited_families, family_shape
from sigma_scale.xray.peaks import fwhm_kev
from sigma_scale.xray.selection import (
    Candidate,
    Solution,
    all_columns,
    loss_without,
    select_elements,
    solve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["ElementEvidence", "ElementsFit"]

_MINIMUM_PEAK_SIGMA = 3.0
_MODEL_ERROR = 0.05  # peaks are not quite Gaussian: a share of their height is no evidence
_CONTINUUM_ERROR = 0.01  # nor is the shape of the continuum known better
_KEY_OVERVOLTAGE = 1.5
_MOST_SHIFT_CHANNELS = 2.0


@dataclass(frozen=True, slots=True)
class ElementEvidence:
    """
    What speaks for one element.

    Attributes
    ----------
    element : str
        Symbol.
    line : str
        The line to analyse.
    significance : float
        Growth of chi-square if the family of that line is left out.
    """

    element: str
    line: str
    significance: float


class ElementsFit:
    """
    Stepwise non-negative least squares over the elements of the table.

    Parameters
    ----------
    beam_energy_kev : float
        Energy of the electrons in keV.
    resolution_mn_ka_ev : float
        FWHM of Mn Ka in eV.
    elements : sequence of str, optional
        Elements to choose from. None: all that a solid sample may plausibly contain.
    """

    def __init__(
        self,
        *,
        beam_energy_kev: float,
        resolution_mn_ka_ev: float,
        elements: Sequence[str] | None = None,
    ) -> None:
        self.beam_energy_kev = beam_energy_kev
        self.resolution_mn_ka_ev = resolution_mn_ka_ev
        self.elements = candidate_elements() if elements is None else tuple(elements)

    def fit(
        self, counts: NDArray[np.float64], energy_kev: NDArray[np.float64]
    ) -> list[ElementEvidence]:
        """
        Find the elements that a spectrum needs.

        Parameters
        ----------
        counts : numpy.ndarray, shape (channel,), float64
            Raw counts between the noise threshold and the beam energy.
        energy_kev : numpy.ndarray, shape (channel,), float64
            Channel centres in keV, ascending and evenly spaced.

        Returns
        -------
        list of ElementEvidence
            In no particular order.
        """
        from scipy.ndimage import uniform_filter1d

        step = float(energy_kev[1] - energy_kev[0])
        continuum = snip_continuum(counts, step)
        smooth = uniform_filter1d(counts, 5, mode="nearest")
        # Poisson variance of the smoothed counts, because that of single small counts is biased
        variance = (
            np.maximum(smooth, 1.0)
            + (_MODEL_ERROR * np.maximum(smooth - continuum, 0.0)) ** 2
            + (_CONTINUUM_ERROR * continuum) ** 2
        )
        weight = 1.0 / np.sqrt(variance)
        # SNIP finds the continuum's shape; its height, biased where counts are few, is fitted
        spline = smooth_basis(energy_kev) * (continuum * weight)[:, None]

        target = counts * weight
        _, solution = select_elements(self._candidates(energy_kev, weight), [spline], target)
        peaks = (target - solution.residual) / weight
        peaks -= spline @ solution.amounts[-spline.shape[1] :] / weight
        # second round: the axis is put right, and what strong peaks do to others is known
        energy_kev = energy_kev - _axis_error(peaks, solution.residual, weight) * step
        candidates = self._candidates(energy_kev, weight)
        fixed = [spline, _side_effects(peaks, energy_kev) * weight[:, None]]
        target = (counts - escape_peaks(peaks, energy_kev)) * weight
        chosen, solution = select_elements(candidates, fixed, target)
        while chosen:
            sigmas = self._peak_sigmas(chosen, solution, energy_kev, weight)
            worst = int(np.argmin(sigmas))
            if sigmas[worst] >= _MINIMUM_PEAK_SIGMA:
                break
            del chosen[worst]
            solution = solve(all_columns(chosen, fixed), target)
        return [
            ElementEvidence(
                item.element,
                item.families[item.key].main.name,
                loss_without(item, chosen, solution, fixed, target),
            )
            for item in chosen
        ]

    def _candidates(
        self, energy_kev: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> list[Candidate]:
        candidates = []
        for element in self.elements:
            families = excited_families(
                element,
                low_kev=float(energy_kev[0]),
                high_kev=float(energy_kev[-1]),
                beam_energy_kev=self.beam_energy_kev,
            )
            if not families:
                continue
            excited = [family.overvoltage >= _KEY_OVERVOLTAGE for family in families]
            key = excited.index(True) if any(excited) else len(families) - 1
            shapes = [
                family_shape(family, energy_kev, resolution_mn_ka_ev=self.resolution_mn_ka_ev)
                for family in families
            ]
            columns = np.stack(shapes, axis=1) * weight[:, None]
            candidates.append(Candidate(element, key, families, columns))
        return candidates

    def _peak_sigmas(
        self,
        chosen: list[Candidate],
        solution: Solution,
        energy_kev: NDArray[np.float64],
        weight: NDArray[np.float64],
    ) -> list[float]:
        """
        Measure how far each main line stands out of its surroundings once all else is subtracted.

        The difference between the mean in the middle of the peak and beside it vanishes on a slope
        or a hump, which a sum of peaks could imitate (Phillips and Marlow, Nucl. Instrum. Methods
        137 (1976) 525).
        """
        sigmas = []
        start = 0
        for item in chosen:
            amount = solution.amounts[start + item.key]
            left = (solution.residual + item.key_column * amount) / weight
            start += item.columns.shape[1]
            width = fwhm_kev(item.key_energy_kev, resolution_mn_ka_ev=self.resolution_mn_ka_ev)
            distance = np.abs(energy_kev - item.key_energy_kev) / width
            inside = distance <= 0.5  # noqa: PLR2004
            beside = (distance > 0.75) & (distance <= 1.25)  # noqa: PLR2004
            if not inside.any() or not beside.any():
                sigmas.append(0.0)
                continue
            variance = 1.0 / weight**2
            error = variance[inside].mean() / inside.sum() + variance[beside].mean() / beside.sum()
            difference = left[inside].mean() - left[beside].mean()
            sigmas.append(float(difference / np.sqrt(error)))
        return sigmas


def _side_effects(
    peaks: NDArray[np.float64], energy_kev: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Stack the shapes of what peaks do besides being peaks.

    A peak moved or widened a little is itself plus some of its derivatives, of either sign.
    """
    slope = np.gradient(peaks)
    bend = np.gradient(slope)
    tail = low_energy_tail(peaks, float(energy_kev[1] - energy_kev[0]))
    return np.stack([pile_up(peaks, energy_kev), tail, slope, -slope, bend, -bend], axis=1)


def _axis_error(
    peaks: NDArray[np.float64], residual: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Estimate in channels how far the measured peaks lie above the fitted ones."""
    slope = np.gradient(peaks) * weight
    norm = float(slope @ slope)
    shift = -float(slope @ residual) / norm if norm > 0 else 0.0
    return min(max(shift, -_MOST_SHIFT_CHANNELS), _MOST_SHIFT_CHANNELS)
