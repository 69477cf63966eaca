"""
How a detector really draws peaks: a little beside their energies, wider, with tails and escape.

Calibration, width and tail are found from the spectrum itself, held near what is known of the
detector, so that spectra of few counts keep that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.xray.continuum import escape_peaks, low_energy_tail
from sigma_scale.xray.families import gaussian_peaks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from sigma_scale.xray import XrayLine

__all__ = ["Response", "peak_shapes", "refine_response"]

_START = np.array([0.0, 0.0, 0.0, 0.1])  # within the bounds: a tail is not negative
_SPREAD = np.array([10.0, 2e-3, 5.0, 0.03])
"""By how much offset (eV), gain, FWHM of Mn Ka (eV) and the tail's share differ from nominal."""
_SMALL = 1e-3  # spreads, to differentiate by
_MOST_STEPS = 50
_REACH = 5.0  # spreads


@dataclass(frozen=True, slots=True)
class Response:
    """
    Where and how wide a detector draws a line.

    Parameters
    ----------
    resolution_mn_ka_ev : float
        FWHM of the Mn Ka peak in eV.
    offset_ev, gain : float
        A channel of the nominal energy E in keV holds the energy ``gain E + offset_ev / 1000``.
    tail : float
        Share of a peak's counts in its tail towards low energies.
    escape : bool
        Whether photons of silicon escape from the detector.
    """

    resolution_mn_ka_ev: float
    offset_ev: float = 0.0
    gain: float = 1.0
    tail: float = 0.0
    escape: bool = False


def peak_shapes(
    energy_kev: NDArray[np.float64], families: Sequence[Sequence[XrayLine]], response: Response
) -> NDArray[np.float64]:
    """
    Draw families of lines.

    Parameters
    ----------
    energy_kev : array, shape (channel,), float64
        Nominal channel centres, evenly spaced.
    families : sequence of sequence of XrayLine
        Lines of each family with their weights.
    response : Response
        Of the detector.

    Returns
    -------
    numpy.ndarray, shape (channel, family), float64
        Counts; those of a line inside the axis sum to its weight, its escape peak apart.
    """
    energies = response.gain * energy_kev + response.offset_ev / 1000.0
    step = float(energies[1] - energies[0])
    shapes = []
    for members in families:
        shape = gaussian_peaks(
            energies,
            np.array([item.energy_kev for item in members]),
            np.array([item.weight for item in members]),
            resolution_mn_ka_ev=response.resolution_mn_ka_ev,
        )
        if response.tail != 0.0:
            smeared = low_energy_tail(shape, step)
            shape = (1.0 - response.tail) * shape + response.tail * smeared
        if response.escape:
            shape = shape + escape_peaks(shape, energies)
        shapes.append(shape)
    return np.column_stack(shapes)


def refine_response(
    counts: NDArray[np.float64],
    variance: NDArray[np.float64],
    shapes_of: Callable[[Response], NDArray[np.float64]],
    nominal: Response,
) -> tuple[Response, NDArray[np.float64]]:
    """
    Find the response that describes a spectrum best.

    Parameters
    ----------
    counts : array, shape (channel,), float64
        The spectrum.
    variance : array, shape (channel,), float64
        Of each channel, above 0.
    shapes_of : callable
        Gives all columns of the linear fit for a response, array of shape (channel, column).
    nominal : Response
        What is known before.

    Returns
    -------
    response : Response
    slopes : numpy.ndarray, shape (4, channel, column), float64
        How the columns change with a standard error of the response, along its four independent
        directions.

    Notes
    -----
    Amounts are eliminated: for each response the best ones follow by linear least squares, and
    what is left is made small over the response alone (variable projection: G. Golub, V. Pereyra,
    Inverse Problems 19 (2003) R1). Departures from nominal count as residuals in units of what a
    well kept instrument shows: 10 eV, 0.2 %, 5 eV and 3 %.
    """
    from scipy.optimize import least_squares

    root = 1.0 / np.sqrt(variance)
    target = counts * root

    def response(steps: NDArray[np.float64]) -> Response:
        offset, gain, width, tail = (steps * _SPREAD).tolist()
        return Response(
            nominal.resolution_mn_ka_ev + width,
            nominal.offset_ev + offset,
            nominal.gain + gain,
            nominal.tail + tail,
            nominal.escape,
        )

    def left_over(steps: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = shapes_of(response(steps)) * root[:, None]
        lengths = np.linalg.norm(columns, axis=0)
        columns = columns[:, lengths > 0] / lengths[lengths > 0]
        # By the normal equations: a decomposition of all channels would take ten times as long.
        gram = np.linalg.pinv(columns.T @ columns, hermitian=True)
        amounts = gram @ (columns.T @ target)
        return np.concatenate([target - columns @ amounts, steps])

    reach = np.full(4, _REACH)

    def slopes_of(steps: NDArray[np.float64]) -> NDArray[np.float64]:
        # Wider differences than SciPy's: those would be of the size of rounding.
        here = left_over(steps)
        moved = [left_over(steps + _SMALL * own) for own in np.eye(4)]
        return (np.array(moved) - here).T / _SMALL

    lowest = np.where(_START > 0, 0.0, -reach)
    found = least_squares(
        left_over, _START, slopes_of, (lowest, reach), ftol=1e-6, xtol=1e-4, max_nfev=_MOST_STEPS
    )
    best = shapes_of(response(found.x))
    # Of J'J = V D V', the directions V of the errors 1 / sqrt(D); the priors keep D at 1 or more.
    sizes, directions = np.linalg.eigh(found.jac.T @ found.jac)
    errors = 1.0 / np.sqrt(np.maximum(sizes, 1.0))
    slopes = [
        (shapes_of(response(found.x + _SMALL * direction)) - best) * (error / _SMALL)
        for direction, error in zip(directions.T, errors, strict=True)
    ]
    return response(found.x), np.array(slopes)
