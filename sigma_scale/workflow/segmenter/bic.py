"""How many components a mixture needs, by the Bayesian information criterion."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import clustering
from sigma_scale.errors import EmptyMapError, ParameterError, SigmaScaleError
from sigma_scale.latent.rows import seeded_sample
from sigma_scale.progress import progress_bar
from sigma_scale.workflow.segmenter.methods import METHODS, find_method, make_model
from sigma_scale.workflow.segmenter.mixture import Components

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["bic_curve", "choose_n_components"]

_FIT_ROWS = 100_000
_CHOICE_ROWS = 20_000
_MOST_COMPONENTS = 50
_PATIENCE = 5
_TABLE = 2  # dimensions


def bic_curve(
    latent: NDArray[Any],
    n_components: int | Iterable[int],
    model: str,
    model_args: Mapping[str, Any],
) -> list[float]:
    """
    Fit mixtures of several numbers of components and rate them.

    Parameters
    ----------
    latent : array, shape (n, component)
        Latent coordinates; rows with NaN are left out. Of more than 100 000 rows (or ``n_fit``
        of them) a uniform sample is used, for the fit and for the criterion.
    n_components : int or iterable of int
        Numbers to try; one number means all from 1 to it.
    model : {"GaussianMixture", "BayesianGaussianMixture"}
        Kind of mixture.
    model_args : mapping
        Its parameters, without ``n_components``.

    Returns
    -------
    list of float
        The criterion for each number; the lower the better.

    Raises
    ------
    ParameterError
        If the model is no mixture, a parameter is unknown, or there are fewer pixels than
        components.
    EmptyMapError
        If there are no rows, or no numbers to try.

    Notes
    -----
    BIC = -2 ln L + p ln n, with p free parameters and n pixels [1]_.

    References
    ----------
    .. [1] G. Schwarz: Estimating the dimension of a model. Annals of Statistics 6 (1978) 461-464.
    """
    numbers = _numbers(n_components)
    with progress_bar("Fitting mixtures", total=len(numbers)) as bar:
        curve = []
        for criterion in _criteria(latent, numbers, model, model_args):
            curve.append(criterion)
            bar.update(1)
    return curve


def _criteria(
    latent: NDArray[Any], numbers: Iterable[int], model: str, model_args: Mapping[str, Any]
) -> Iterator[float]:
    """Criterion for one number after the other."""
    if not find_method(model).mixture:
        mixtures = [name for name, entry in METHODS.items() if entry.mixture]
        raise ParameterError(
            f"The criterion needs a mixture: {', '.join(mixtures)}; {model} is none."
        )
    arguments = dict(model_args)
    arguments.pop("n_components", None)
    n_fit = arguments.pop("n_fit", None) or _FIT_ROWS
    if latent.ndim != _TABLE or 0 in latent.shape:
        raise EmptyMapError(f"There are no latent coordinates in an array of {latent.shape}.")
    valid = latent[~np.isnan(latent).any(axis=1)]
    seed = arguments.get("random_state", 0)
    rows = np.asarray(valid[seeded_sample(len(valid), n_fit, random_state=seed)], np.float64)
    if not len(rows):
        raise EmptyMapError("No pixel has latent coordinates: there is nothing to cluster.")
    for number in numbers:
        yield _bic(rows, model, {**arguments, "n_components": number})


def choose_n_components(
    rows: NDArray[Any], method: str, method_args: Mapping[str, Any]
) -> tuple[int, list[float]]:
    """
    Choose the number of components with the lowest criterion, from 1 to 50.

    The search ends when five more components in a row have brought nothing.

    Parameters
    ----------
    rows : array, shape (n, component)
        Latent coordinates; a sample of at most 20 000 of them is used.
    method, method_args
        Kind of mixture and its other parameters.

    Returns
    -------
    int
        Number of components; of equally good ones the smallest.
    list of float
        The criterion for 1, 2, ... components, as far as it was tried.
    """
    valid = rows[~np.isnan(rows).any(axis=1)]
    most = max(1, min(_MOST_COMPONENTS, len(np.unique(valid[: 10 * _CHOICE_ROWS], axis=0))))
    n_fit = min(method_args.get("n_fit") or _CHOICE_ROWS, _CHOICE_ROWS)
    curve: list[float] = []
    with progress_bar("Fitting mixtures", total=most) as bar:
        arguments = {**method_args, "n_fit": n_fit}
        for criterion in _criteria(valid, range(1, most + 1), method, arguments):
            curve.append(criterion)
            bar.update(1)
            if len(curve) - 1 - int(np.argmin(curve)) >= _PATIENCE:
                break
    return int(np.argmin(curve)) + 1, curve


def _numbers(n_components: int | Iterable[int]) -> list[int]:
    try:
        if isinstance(n_components, int | np.integer):
            return list(range(1, int(n_components) + 1)) or _no_numbers()
        return [index(number) for number in n_components] or _no_numbers()
    except TypeError as error:
        raise ParameterError(
            f"n_components is a number or several of them, not {n_components!r}."
        ) from error


def _no_numbers() -> list[int]:
    raise EmptyMapError("There are no numbers of components to try. Give at least one.")


def _bic(rows: NDArray[np.float64], method: str, arguments: Mapping[str, Any]) -> float:
    model = make_model(method, arguments)
    try:
        model.fit(rows)
    except SigmaScaleError:
        raise
    except (ValueError, TypeError) as error:
        raise ParameterError(f"{method} can't be fitted: {error}") from error
    _, likelihoods = Components.of(model).most_likely(rows)
    free = clustering.n_free_parameters(model.covariance_type, *model.means_.shape)
    return float(-2 * likelihoods.sum() + free * np.log(len(rows)))
