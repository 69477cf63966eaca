"""How much of each end-member there is in each pixel, from one pass over the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EnergyRangeError, ParameterError
from sigma_scale.phases.end_member_checks import checked_profiles, end_member_array
from sigma_scale.phases.unmixing_pass import Fit, lazy_amounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage

__all__ = ["unmix_pixels"]

_METHODS = ("least_squares", "poisson")
_SCRATCH_BYTES = 64 * 2**20
"""Memory that a thread takes besides its region's results, at most about that."""


def unmix_pixels(
    image: SpectrumImage,
    end_members: xr.DataArray | pd.DataFrame,
    *,
    method: str = "least_squares",
    left_out: Sequence[tuple[float, float]] = (),
    shares: bool = False,
    tolerance: float = 1e-9,
    lazy: bool = True,
) -> xr.Dataset:
    """
    Write the spectrum of every pixel as a sum of end-members that is nowhere negative.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing. Channels removed with the first peak are left
        out.
    end_members : xarray.DataArray, shape (phase, energy), or pandas.DataFrame
        Spectra that are not negative, in any units: of phases (``phase_spectra(...)["mean"]``),
        of picked regions (:func:`region_end_members`), from files (:func:`read_end_members`), or
        the table of components of :func:`unmix`.
    method : {"least_squares", "poisson"}, default: "least_squares"
        What the amounts make least: the sum of squares of what is left of the spectrum, or the
        negative logarithm of the likelihood that Poisson counts are as measured. The latter is
        the better estimate for few counts, in which channels without counts say much, and takes
        several times as long.
    left_out : sequence of (float, float), optional
        Energy ranges in keV that don't count, such as that of a line of the coating.
    shares : bool, default: False
        Divide the amounts of each pixel by their sum, so that they sum to 1.
    tolerance : float, default: 1e-9
        With ``"poisson"``: a pixel's log-likelihood is less than this, times its counts, below
        its maximum.
    lazy : bool, default: True
        False: compute at once.

    Returns
    -------
    xarray.Dataset
        ``abundance`` (y, x, phase), float32: counts of the spectrum that belong to each
        end-member, in the channels used; if the image is normalised, the share of the spectrum's
        sum; with ``shares``, of the sum of the amounts, NaN where they are all 0. ``residual``
        (y, x), float32: with least squares, the root mean square over the channels used of
        spectrum less fit, in counts or shares; with ``"poisson"``, Pearson's chi-square per
        degree of freedom, of the counts before any division: about 1, a little less at few
        counts, where the fit is as good as counting allows. ``end_member`` (phase, energy),
        float64: the end-members as they were used, each of sum 1 over the channels used and 0 in
        the others, so that ``abundance @ end_member`` is the fitted spectrum (with ``shares``,
        that over the sum of the amounts). A pixel without counts has amounts and a residual of 0.

    Raises
    ------
    ParameterError
        If end-members are negative, not numbers, empty in the channels used, or so nearly sums of
        one another that amounts mean nothing (it names which), there is no such method, a range
        to leave out is no pair, or the tolerance is not positive.
    ShapeMismatchError
        If the end-members are of other channels than the image.
    EnergyRangeError
        If a range to leave out lies outside the measured energies, or no channel remains.
    MemoryLimitError
        If the results don't fit into memory and are wanted at once.

    Warns
    -----
    SigmaScaleWarning
        If a part of the map has pixels for which rounding kept the minimum from being reached.

    Notes
    -----
    With end-members E and a spectrum s, least squares need only the products ``E' s`` and
    ``s' s`` of each pixel, which its events give. The small problem ``min x' E' E x / 2 - x' E' s``
    over ``x >= 0`` is solved by active sets [1]_ [2]_. The Poisson form minimises
    ``sum(E' x) - s' log(E' x)``, the Kullback-Leibler divergence of s and the fit [3]_, by
    quadratic steps over amounts that are not negative [4]_. Channels in which no end-member has
    any counts, of which that model says that nothing can be measured there, are left out of it.
    Where a pixel has fewer events than there are end-members, several sets of amounts may be
    equally likely; one of them is given.

    Amounts depend on the pixel alone, not on how the map is cut into chunks.

    References
    ----------
    .. [1] C. Lawson, R. Hanson: Solving least squares problems. Prentice-Hall 1974, chapter 23.
    .. [2] R. Bro, S. de Jong: A fast non-negativity-constrained least squares algorithm.
       J. Chemometrics 11 (1997) 393-401.
    .. [3] L. Shepp, Y. Vardi: Maximum likelihood reconstruction for emission tomography. IEEE
       Trans. Med. Imaging 1 (1982) 113-122.
    .. [4] Y. Kim, P. Carbonetto, M. Stephens, M. Anitescu: A fast algorithm for maximum likelihood
       estimation of mixture proportions using sequential quadratic programming. J. Comput. Graph.
       Stat. 29 (2020) 261-273.
    """
    import xarray as xr

    if method not in _METHODS:
        raise ParameterError(f"There is no method {method!r}; there are: {', '.join(_METHODS)}.")
    if not tolerance > 0:
        raise ParameterError(f"The tolerance must be positive, got {tolerance}.")
    members = end_member_array(end_members, image)
    used = _channels_used(image, left_out)
    profiles = checked_profiles(members, used)
    poisson = method == "poisson"
    if poisson:
        used = used & profiles.any(axis=1)
    fit = Fit(profiles, used, poisson=poisson, shares=shares, tolerance=tolerance)
    amounts, residual = lazy_amounts(image, fit)
    recipe = {
        "function": "unmix_pixels",
        "method": method,
        "left_out_kev": [[float(low), float(high)] for low, high in left_out],
        "n_channels_used": int(used.sum()),
        "shares": shares,
        **({"tolerance": tolerance} if poisson else {}),
        **image.processing.recipe(),
    }
    share = shares or image.processing.normalised
    spectrum_units = "share" if image.processing.normalised else "counts"
    kind = "chi-square per degree of freedom" if poisson else "root mean square"
    coordinates = image.coordinates()
    result = xr.Dataset(
        {
            "abundance": (
                ("y", "x", "phase"),
                amounts,
                {"units": "share" if share else "counts", "recipe": recipe},
            ),
            "residual": (
                ("y", "x"),
                residual,
                {"units": "" if poisson else spectrum_units, "kind": kind, "recipe": recipe},
            ),
            "end_member": (("phase", "energy"), profiles.T.copy(), {"units": "share"}),
        },
        coords={**coordinates, "phase": members["phase"]},
        attrs={"recipe": recipe},
    )
    if lazy:
        return result
    _check_memory(image, len(members))
    computed = compute.run(result, description="Unmixing pixels")
    done: xr.Dataset = computed[0]
    return done


def _channels_used(
    image: SpectrumImage, left_out: Sequence[tuple[float, float]]
) -> NDArray[np.bool_]:
    used = np.arange(image.energy.size) >= image.processing.zeroed_below
    if any(np.shape(limits) != (2,) for limits in left_out):
        raise ParameterError(
            f"Ranges to leave out are pairs of energies in keV, such as [(0.0, 0.2)], got "
            f"{left_out!r}."
        )
    for low, high in left_out:
        if not low < high:
            raise EnergyRangeError(
                f"A range to leave out goes from a lower to a higher energy in keV, not from {low} "
                f"to {high}."
            )
        window = image.energy.window_channels(low, high, name="what is to be left out")
        used[window.start : window.stop] = False
    if not used.any():
        raise EnergyRangeError("No channel remains to be fitted. Leave out less.")
    return used


def _check_memory(image: SpectrumImage, n_members: int) -> None:
    rows, columns, _ = image.shape
    # The pieces and the whole that they are joined to.
    results = 2 * rows * columns * (n_members + 1) * np.dtype(np.float32).itemsize
    compute.check_memory(
        results + compute.local_workers() * _SCRATCH_BYTES,
        what=f"The abundance of {n_members} end-members in {rows} x {columns} pixels",
        remedy="Use lazy=True and write the result to a store, bin the map, or raise memory_limit.",
    )
