"""
Intensities of overlapping X-ray lines, from a linear fit of peak shapes to spectra of phases.

Energies, widths and the relative weights of a family's lines are known, so only the amounts of
the families and of a smooth continuum are fitted. That separates lines that a window can't, as
S Ka and Pb Ma.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EnergyRangeError, ParameterError, SigmaScaleWarning
from sigma_scale.phases.net_lines import (
    QUANTILE,
    energy_axis,
    instrument_of,
    line_coordinates,
    resolution_of,
    spectra_and_variance,
)
from sigma_scale.phases.peak_response import Response, peak_shapes, refine_response
from sigma_scale.phases.peak_solve import (
    LEAST_VARIANCE,
    first_variance,
    least_variance,
    solve_weighted,
)
from sigma_scale.xray import XrayLine, line, lines_of
from sigma_scale.xray.continuum import smooth_basis
from sigma_scale.xray.families import excited_families

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.xray import Shell

__all__ = ["fit_lines"]

_LOWEST_KEV = 0.16  # below lie the detector's zero peak and its noise threshold
_ITERATIONS = 60
_TOLERANCE = 1e-7
_ROUNDS = 2  # of refining the response and its weights
_LEAST_EIGENVALUE = 1e-9  # of the correlation of peak shapes; below, they are the same shape


@dataclass(frozen=True, slots=True)
class _Design:
    """What is fitted: one column per family, then the continuum's."""

    columns: NDArray[np.float64]
    """Shape (channel, column)."""
    families: tuple[tuple[XrayLine, ...], ...]
    of_line: NDArray[np.intp]
    """Column of each line."""
    weight: NDArray[np.float64]
    """Counts of each line per unit of its column."""
    slopes: NDArray[np.float64] | None = None
    """Shape (direction, channel, column): change of the columns with the response's errors."""

    @property
    def n_families(self) -> int:
        """Columns before those of the continuum."""
        return len(self.families)


@dataclass(frozen=True, slots=True)
class _Fit:
    amounts: NDArray[np.float64]
    covariance: NDArray[np.float64]
    unseen: NDArray[np.float64]
    """Standard error of each family's amount if the family were absent."""
    chi_square: float


def fit_lines(
    spectra: xr.DataArray,
    lines: Sequence[str],
    *,
    variance: xr.DataArray | None = None,
    non_negative: bool = False,
    refine: bool = True,
    energy_range: tuple[float, float] | None = None,
    resolution_mn_ka_ev: float | None = None,
    beam_energy_kev: float | None = None,
) -> xr.Dataset:
    """
    Fit peak families and a smooth continuum to spectra.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (..., energy)
        Summed counts of one spectrum or of several; energies in keV.
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``. Each stands for its family, all lines of its element's
        shell; the other families that the beam excites in these elements are fitted too.
    variance : xarray.DataArray, shape (..., energy), optional
        Variance of each channel, for spectra that are not plain counts. None: that of the
        fitted counts, after Poisson's law.
    non_negative : bool, default: False
        Allow no negative amounts. Their estimates of absent lines are then biased upward.
    refine : bool, default: True
        Find the detector's calibration (offset and gain), its width and the tail of its peaks from
        the sum of all these spectra, near what is known of them, and draw the escape peaks of
        silicon. False: Gaussians of the given width at the energies of the table.
    energy_range : tuple of float, optional
        Energies in keV to fit. None: from 0.16 keV, above the detector's zero peak, to the beam
        energy or the end of the axis.
    resolution_mn_ka_ev : float, optional
        FWHM of the Mn Ka peak in eV. None: from the spectra's attribute of that name, else 130.
    beam_energy_kev : float, optional
        Energy of the electrons. None: from the attribute of that name, else unknown.

    Returns
    -------
    xarray.Dataset
        Over (..., line), float64: ``net``, the area of each line (not of its family);
        ``net_error``, from the covariance; ``signal_to_noise``; ``detection_limit``, Currie's,
        which overlaps raise. ``net_covariance`` (..., line, line_2). ``reduced_chi_square``
        (...). ``fitted`` and ``continuum`` (..., energy): counts, NaN outside the fit. The
        attribute ``response`` has the detector's: ``resolution_mn_ka_ev``, ``offset_ev`` and
        ``gain`` (a channel called E holds ``gain E + offset``), ``tail``, the share of a peak in
        its tail, which belongs to its area, and ``escape``, whose peaks don't.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    EnergyRangeError
        If a line lies outside the fitted energies.
    ShapeMismatchError
        If the variance has another shape than the spectra.
    ParameterError
        If the spectra are not ones of counts, there are more shapes than channels, or two
        families have the same shape and can't be told apart (they are named).

    Warns
    -----
    SigmaScaleWarning
        If the weights of a fit don't settle.

    Notes
    -----
    Weighted least squares, the weights from the fit before until they settle: of a linear model
    that is the maximum of Poisson's likelihood (P. McCullagh, J. A. Nelder, Generalized Linear
    Models, 1989, 2.5). The covariance is the inverse of ``A.T W A`` with all columns A, whether
    an amount is held at 0 or not. The continuum is a cubic spline with wide knots. The response is
    one for all spectra, since one detector measured them; its errors are part of the covariance.
    Name all elements that show strong peaks: one that is not named pulls at its neighbours and at
    the response. Pile-up and absorption edges are not modelled; a reduced chi-square well above 1
    tells of them, and the errors are then too small. Weights within a family are eXSpy's, whatever
    the beam energy.
    """
    import xarray as xr

    counts, variances = spectra_and_variance(spectra, variance)
    resolution = resolution_of(spectra, resolution_mn_ka_ev)
    beam = spectra.attrs.get("beam_energy_kev") if beam_energy_kev is None else beam_energy_kev
    energy = energy_axis(spectra).values
    inside = _fitted_channels(energy, energy_range, beam)
    nominal = Response(resolution, escape=refine)
    design = _design(lines, energy[inside], nominal, beam)
    n_columns = design.columns.shape[1]
    if n_columns >= len(energy[inside]):
        raise ParameterError(
            f"There are {n_columns} shapes to fit to {len(energy[inside])} channels. Name fewer "
            "lines, or fit a wider range of energies."
        )
    flat = counts[..., inside].reshape(-1, int(inside.sum()))
    given = variances[..., inside].reshape(flat.shape)
    response = nominal
    if refine and flat.any():
        whole = None if variance is None else given.sum(axis=0)
        response, design = _refined(design, energy[inside], flat.sum(axis=0), whole, nominal)
    fits = [
        _fit(design, row, None if variance is None else spread, lines, non_negative=non_negative)
        for row, spread in zip(flat, given, strict=True)
    ]
    amounts = np.array([fit.amounts for fit in fits]).reshape(-1, n_columns)
    index, weight = design.of_line, design.weight
    net = amounts[:, index] * weight
    covariance = np.array([fit.covariance[np.ix_(index, index)] for fit in fits], np.float64)
    covariance = covariance.reshape(-1, len(lines), len(lines)) * weight * weight[:, None]
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    unseen = np.array([fit.unseen for fit in fits]).reshape(-1, design.n_families)
    limit = QUANTILE**2 + 2.0 * QUANTILE * unseen[:, index] * weight
    freedom = flat.shape[1] - n_columns
    outer = spectra.dims[:-1]
    shape = counts.shape[:-1]

    def over_lines(values: NDArray[np.float64]) -> tuple[tuple[object, ...], NDArray[np.float64]]:
        return (*outer, "line"), values.reshape(*shape, len(lines))

    def over_energy(columns: slice) -> tuple[tuple[object, ...], NDArray[np.float64]]:
        full = np.full((*shape, len(energy)), np.nan)
        model = amounts[:, columns] @ design.columns[:, columns].T
        full[..., inside] = model.reshape(*shape, len(model.T))
        return (*outer, "energy"), full

    return xr.Dataset(
        {
            "net": over_lines(net),
            "net_error": over_lines(error),
            "net_covariance": (
                (*outer, "line", "line_2"),
                covariance.reshape(*shape, len(lines), len(lines)),
            ),
            "signal_to_noise": over_lines(net / error),
            "detection_limit": over_lines(limit),
            "reduced_chi_square": (
                outer,
                np.array([fit.chi_square / freedom for fit in fits]).reshape(shape),
            ),
            "fitted": over_energy(slice(None)),
            "continuum": over_energy(slice(design.n_families, None)),
        },
        coords={**spectra.coords, **line_coordinates(lines), "line_2": list(lines)},
        attrs={
            "recipe": {
                "function": "fit_lines",
                "lines": list(lines),
                "non_negative": non_negative,
                "refine": refine,
                "energy_range_kev": [float(energy[inside][0]), float(energy[inside][-1])],
                "resolution_mn_ka_ev": resolution,
                "beam_energy_kev": beam,
            },
            "response": asdict(response),
            **instrument_of(spectra),
            "units": spectra.attrs.get("units", "counts"),
        },
    )


def _fitted_channels(
    energy: NDArray[np.float64], energy_range: tuple[float, float] | None, beam: float | None
) -> NDArray[np.bool_]:
    default = (_LOWEST_KEV, float(energy[-1]) if beam is None else float(beam))
    low, high = default if energy_range is None else energy_range
    inside = (energy >= low) & (energy <= high)
    if inside.sum() <= 1:
        raise EnergyRangeError(
            f"No energies from {low:.3f} to {high:.3f} keV were measured "
            f"({energy[0]:.3f} to {energy[-1]:.3f} keV)."
        )
    return np.asarray(inside)


def _design(
    lines: Sequence[str], energy: NDArray[np.float64], response: Response, beam: float | None
) -> _Design:
    """Make the shapes: families of the lines, other families of their elements, continuum."""
    if isinstance(lines, str) or len(lines) == 0 or len(set(lines)) < len(lines):
        raise ParameterError(
            f"Lines must be a list of names, each only once, such as ['Fe_Ka']; got {lines!r}."
        )
    named = [line(name) for name in lines]
    for item in named:
        if not energy[0] <= item.energy_kev <= energy[-1]:
            raise EnergyRangeError(
                f"{item.name} at {item.energy_kev:.3f} keV lies outside the fitted energies "
                f"({energy[0]:.3f} to {energy[-1]:.3f} keV). Leave it out."
            )
    families: dict[tuple[str, Shell], tuple[XrayLine, ...]] = {}
    for item in named:
        own = tuple(other for other in lines_of(item.element) if other.shell == item.shell)
        families.setdefault((item.element, item.shell), own)
    excitation = 2.0 * float(energy[-1]) if beam is None else beam
    for element in dict.fromkeys(item.element for item in named):
        for family in excited_families(
            element,
            low_kev=float(energy[0]),
            high_kev=float(energy[-1]),
            beam_energy_kev=excitation,
        ):
            families.setdefault((element, family.shell), family.lines)
    members = tuple(families.values())
    places = {key: number for number, key in enumerate(families)}
    return _Design(
        np.column_stack([peak_shapes(energy, members, response), smooth_basis(energy)]),
        members,
        np.array([places[item.element, item.shell] for item in named]),
        np.array([item.weight for item in named]),
    )


def _refined(
    design: _Design,
    energy: NDArray[np.float64],
    counts: NDArray[np.float64],
    variance: NDArray[np.float64] | None,
    nominal: Response,
) -> tuple[Response, _Design]:
    """Draw the peaks as the detector does that measured the sum of all spectra."""
    continuum = design.columns[:, design.n_families :]

    def columns_of(response: Response) -> NDArray[np.float64]:
        return np.column_stack([peak_shapes(energy, design.families, response), continuum])

    spread = first_variance(counts) if variance is None else least_variance(variance)
    for _ in range(_ROUNDS if variance is None else 1):
        response, slopes = refine_response(counts, spread, columns_of, nominal)
        columns = columns_of(response)
        if variance is None:
            amounts = solve_weighted(columns, counts, spread, non_negative=False)
            spread = np.maximum(columns @ amounts, LEAST_VARIANCE)
    return response, replace(design, columns=columns, slopes=slopes)


def _fit(
    design: _Design,
    counts: NDArray[np.float64],
    variance: NDArray[np.float64] | None,
    lines: Sequence[str],
    *,
    non_negative: bool,
) -> _Fit:
    columns = design.columns
    if variance is None:
        spread = first_variance(counts)
        for _ in range(_ITERATIONS):
            amounts = solve_weighted(columns, counts, spread, non_negative=non_negative)
            before, spread = spread, np.maximum(columns @ amounts, LEAST_VARIANCE)
            if np.allclose(before, spread, rtol=_TOLERANCE):
                break
        else:
            warnings.warn(
                f"The weights of the fit of {', '.join(lines)} don't settle: the spectrum has few "
                "counts. Sum more pixels, or fit a narrower range of energies.",
                SigmaScaleWarning,
                stacklevel=3,
            )
        least = LEAST_VARIANCE
    else:
        spread = least_variance(variance)
        least = float(spread.min())
        amounts = solve_weighted(columns, counts, spread, non_negative=non_negative)
    fitted = columns @ amounts
    covariance = _covariance(columns, spread, design, lines, amounts)
    unseen = np.empty(design.n_families)
    for number in range(design.n_families):
        own = columns[:, number] * max(float(amounts[number]), 0.0)
        # The line's own counts add nothing to the noise where it is absent.
        share = np.clip(own / np.maximum(fitted, least), 0.0, 1.0)
        without = np.maximum(spread * (1.0 - share), least)
        others = np.where(np.arange(len(amounts)) == number, 0.0, amounts)
        absent = _covariance(columns, without, design, lines, others)
        unseen[number] = np.sqrt(absent[number, number])
    chi_square = float(((counts - fitted) ** 2 / spread).sum())
    return _Fit(amounts, covariance, unseen, chi_square)


def _covariance(
    columns: NDArray[np.float64],
    spread: NDArray[np.float64],
    design: _Design,
    lines: Sequence[str],
    amounts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Inverse of the weighted normal equations, and what the response's errors add."""
    weighted = columns / np.sqrt(spread)[:, None]
    length = np.linalg.norm(weighted, axis=0)
    gram = (weighted / length).T @ (weighted / length)
    peaks = gram[: design.n_families, : design.n_families]
    if np.linalg.eigvalsh(peaks)[0] < _LEAST_EIGENVALUE:
        off = np.abs(peaks - np.diag(np.diag(peaks)))
        pair = np.unravel_index(int(off.argmax()), off.shape)
        names = [
            name for name, column in zip(lines, design.of_line, strict=True) if column in pair
        ] or list(lines)
        raise ParameterError(
            f"The peaks of {' and '.join(names)} have the same shape and can't be told apart in "
            "this range of energies. Leave one out, or fit a range with further lines of them."
        )
    inverse = np.linalg.pinv(gram, hermitian=True) / length / length[:, None]
    if design.slopes is not None:
        moved = (design.slopes @ amounts) / np.sqrt(spread)
        wrong = inverse @ (weighted.T @ moved.T)
        inverse = inverse + wrong @ wrong.T
    return np.asarray(inverse)
