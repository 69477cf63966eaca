"""How many end-members the spectra of phases are made of."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.phases.nmf import Loss, nmf_arguments, nmf_matrix
from sigma_scale.phases.nmf_consensus import relative_error, seeded_factors, stability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["knee", "unmixing_curve"]

_STABLE = 0.9


def unmixing_curve(
    spectra: xr.DataArray,
    n_components: Sequence[int] | None = None,
    *,
    n_runs: int = 10,
    stable: float = _STABLE,
    normalised: bool = True,
    random_state: int = 0,
    loss: Loss = "frobenius",
    method_args: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """
    Unmix spectra into different numbers of end-members, and suggest one.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Mean or summed spectrum of each phase, not negative.
    n_components : sequence of int, optional
        Numbers to try. None: from 1 to the number of spectra, 12 at most.
    n_runs : int, default: 10
        Random starts for each number, at least 2.
    stable : float, default: 0.9
        Least stability of the suggestion, 0 to 1.
    normalised, random_state, loss, method_args
        See :func:`~sigma_scale.phases.nmf_consensus.consensus_unmix`.

    Returns
    -------
    xarray.Dataset
        Over ``n_components``: ``reconstruction_error``, least ``||V - WH|| / ||V||`` of the runs;
        ``loss``, least of what was made small; ``stability``, that of the least stable component.
        The attribute ``suggested`` is the number suggested, ``knee`` the error's alone, and
        ``rule`` says how.

    Raises
    ------
    ParameterError, EmptyMapError
        See :func:`~sigma_scale.phases.nmf_consensus.consensus_unmix`; also if there are no numbers
        to try.

    Warns
    -----
    SigmaScaleWarning
        If no number up to the knee is stable; the knee is suggested all the same.

    Notes
    -----
    The knee is the number where the error lies farthest below the straight line from no component
    (error 1) to the largest number tried, both axes scaled to 0 to 1 [1]_. The suggestion is the
    largest number up to the knee at which every component is stable. It is a suggestion: end
    members that differ little, or one phase that is a mixture of two others, move the knee.

    References
    ----------
    .. [1] V. Satopää, J. Albrecht, D. Irwin, B. Raghavan: Finding a "Kneedle" in a haystack.
       ICDCS Workshops (2011) 166-171.
    """
    import xarray as xr

    numbers = range(1, min(len(spectra), 12) + 1) if n_components is None else n_components
    tried = sorted(set(numbers))
    if not tried:
        raise ParameterError("n_components names no number to try.")
    for number in (tried[0], tried[-1]):
        values = nmf_matrix(spectra, number, normalised=normalised)
    arguments = nmf_arguments(loss, method_args)
    errors, losses, stabilities = (np.empty(len(tried)) for _ in range(3))
    for place, number in enumerate(tried):
        runs = seeded_factors(values, number, arguments, n_runs, random_state)
        errors[place] = min(relative_error(values, run) for run in runs)
        losses[place] = min(run.loss for run in runs)
        stabilities[place] = stability(runs).min()
    at_knee = knee(np.array(tried), errors)
    upto = [n for n, s in zip(tried, stabilities, strict=True) if n <= at_knee and s >= stable]
    if not upto:
        warnings.warn(
            f"No number of components up to {at_knee}, the knee of the error, gives the same "
            f"spectra from different starts (stability {stable}). More runs or iterations may.",
            SigmaScaleWarning,
            stacklevel=2,
        )
    return xr.Dataset(
        {
            "reconstruction_error": (("n_components",), errors),
            "loss": (("n_components",), losses),
            "stability": (("n_components",), stabilities),
        },
        coords={"n_components": tried},
        attrs={
            "suggested": upto[-1] if upto else at_knee,
            "knee": at_knee,
            "rule": "largest number up to the knee of the error (farthest below the line from no "
            f"component to the largest number) whose components all have a stability of {stable} "
            "or more",
            "recipe": {
                "function": "unmixing_curve",
                "n_runs": n_runs,
                "random_state": random_state,
                "normalised": normalised,
                "loss": loss,
            },
        },
    )


def knee(numbers: NDArray[np.integer[Any]], errors: NDArray[np.float64]) -> int:
    """
    Number of components beyond which the error falls slowly.

    Parameters
    ----------
    numbers : array, shape (n,), integer
        Numbers of components, ascending.
    errors : array, shape (n,)
        Relative error of each; that of no component is 1.
    """
    x = np.concatenate([[0], numbers]) / numbers[-1]
    y = np.concatenate([[1.0], errors])
    fall = y[0] - y[-1]
    scaled = (y - y[-1]) / fall if fall > 0 else np.ones_like(y)
    below = (1 - x) - scaled
    return int(numbers[below[1:].argmax()])
