"""Choose as few elements as explain a spectrum, by stepwise non-negative least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.xray.families import Family

__all__ = ["Candidate", "Solution", "all_columns", "loss_without", "select_elements", "solve"]

# fmt: off
_COMMON = frozenset({
    "C", "N", "O", "F", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K", "Ca", "Ti", "Cr", "Mn", "Fe",
    "Ni", "Cu", "Zn",
})
# fmt: on
_MINIMUM_CHI2 = 25.0  # five sigma for common elements
_MINIMUM_CHI2_RARE = 36.0  # six for the others: there are many of them, and they overlap
_MOST_ELEMENTS = 30
_MOST_EXCHANGES = 8
_RIVAL_DISTANCE_KEV = 0.1
_OUSTING_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    Shapes of the line families of one element.

    Attributes
    ----------
    element : str
        Symbol.
    key : int
        Index of the family that must be seen for the element to be believed.
    families : tuple of Family
        What each column shows.
    columns : numpy.ndarray, shape (channel, family), float64
        Expected counts of one count in the family, times the channels' weights.
    """

    element: str
    key: int
    families: tuple[Family, ...]
    columns: NDArray[np.float64]

    @property
    def key_column(self) -> NDArray[np.float64]:
        """Column of the key family, shape (channel,)."""
        return self.columns[:, self.key]

    @property
    def other_columns(self) -> NDArray[np.float64]:
        """Columns of the other families, shape (channel, family - 1)."""
        return np.delete(self.columns, self.key, axis=1)

    @property
    def key_energy_kev(self) -> float:
        """Energy of the main line of the key family in keV."""
        return self.families[self.key].main.energy_kev

    @property
    def threshold(self) -> float:
        """Chi-square that the key family must explain."""
        return _MINIMUM_CHI2 if self.element in _COMMON else _MINIMUM_CHI2_RARE


@dataclass(frozen=True, slots=True)
class Solution:
    """
    A non-negative least-squares fit.

    Attributes
    ----------
    amounts : numpy.ndarray, shape (column,), float64
        Factor of each column.
    residual : numpy.ndarray, shape (channel,), float64
        Target less fit, weighted as the columns are.
    """

    amounts: NDArray[np.float64]
    residual: NDArray[np.float64]

    @property
    def chi2(self) -> float:
        """Sum of the squared residual."""
        return float(self.residual @ self.residual)


def solve(columns: list[NDArray[np.float64]], target: NDArray[np.float64]) -> Solution:
    """Fit weighted columns, each group of shape (channel, column), to a weighted target."""
    from scipy.optimize import nnls

    matrix = np.concatenate(columns, axis=1)
    amounts, _ = nnls(matrix, target)
    return Solution(amounts, target - matrix @ amounts)


def _without(
    item: Candidate, chosen: list[Candidate], fixed: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Collect all columns but the key family of one element."""
    return [*(other.columns for other in chosen if other is not item), item.other_columns, *fixed]


def loss_without(
    item: Candidate,
    chosen: list[Candidate],
    solution: Solution,
    fixed: list[NDArray[np.float64]],
    target: NDArray[np.float64],
) -> float:
    """Calculate how much chi-square grows if the key family of one element is left out."""
    return solve(_without(item, chosen, fixed), target).chi2 - solution.chi2


def select_elements(
    candidates: list[Candidate], fixed: list[NDArray[np.float64]], target: NDArray[np.float64]
) -> tuple[list[Candidate], Solution]:
    """
    Add elements while they explain enough, then drop and exchange some of them.

    Parameters
    ----------
    candidates : list of Candidate
        All elements that may be there.
    fixed : list of numpy.ndarray, shape (channel, column)
        Weighted columns that are always in the fit.
    target : numpy.ndarray, shape (channel,), float64
        Weighted counts.

    Returns
    -------
    chosen : list of Candidate
        The elements that are needed.
    solution : Solution
        Fit of ``all_columns(chosen, fixed)``.
    """
    chosen: list[Candidate] = []
    solution = solve(fixed, target)
    while len(chosen) < _MOST_ELEMENTS:
        rest = [item for item in candidates if item not in chosen]
        if not rest:
            break
        # relative to its threshold, so that of two equal explanations the common one wins
        gains = [_gain(item, solution.residual) / item.threshold for item in rest]
        best = rest[int(np.argmax(gains))]
        trial = solve(all_columns([*chosen, best], fixed), target)
        if solution.chi2 - trial.chi2 < best.threshold:
            break
        chosen.append(best)
        solution = trial
    chosen, solution = _pruned(chosen, fixed, target)
    return _exchanged(chosen, solution, candidates, fixed, target)


def _pruned(
    chosen: list[Candidate], fixed: list[NDArray[np.float64]], target: NDArray[np.float64]
) -> tuple[list[Candidate], Solution]:
    """Drop elements that others have made needless."""
    chosen = list(chosen)
    solution = solve(all_columns(chosen, fixed), target)
    while chosen:
        losses = [
            loss_without(item, chosen, solution, fixed, target) - item.threshold for item in chosen
        ]
        worst = int(np.argmin(losses))
        if losses[worst] >= 0:
            break
        del chosen[worst]
        solution = solve(all_columns(chosen, fixed), target)
    return chosen, solution


def _exchanged(
    chosen: list[Candidate],
    solution: Solution,
    candidates: list[Candidate],
    fixed: list[NDArray[np.float64]],
    target: NDArray[np.float64],
) -> tuple[list[Candidate], Solution]:
    """
    Try the rivals of each element, because the first to explain a peak need not be the right one.

    Sulphur, for example, takes molybdenum's main peak, and then two more elements are needed for
    what sulphur leaves. A rival is kept if, once it has made others needless, chi-square plus the
    thresholds of all elements is lower. To oust a common element it must explain clearly more:
    a peak a few eV off its place must not turn aluminium into bromine.
    """
    loyalty = {
        item.element: _OUSTING_SHARE * loss_without(item, chosen, solution, fixed, target)
        for item in chosen
        if item.element in _COMMON
    }

    def cost(elements: list[Candidate], fit: Solution) -> float:
        present = {item.element for item in elements}
        ousted = sum(value for element, value in loyalty.items() if element not in present)
        return fit.chi2 + ousted + sum(item.threshold for item in elements)

    for _ in range(_MOST_EXCHANGES):
        energies = np.array([item.key_energy_kev for item in chosen])
        rivals = [
            item
            for item in candidates
            if item not in chosen
            and (np.abs(energies - item.key_energy_kev) < _RIVAL_DISTANCE_KEV).any()
        ]
        trials = [_pruned([*chosen, item], fixed, target) for item in rivals]
        best = min(trials, key=lambda trial: cost(*trial), default=(chosen, solution))
        if cost(*best) >= cost(chosen, solution):
            break
        chosen, solution = best
    return chosen, solution


def all_columns(
    chosen: list[Candidate], fixed: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Collect the columns of elements, followed by those that are always in the fit."""
    return [*(item.columns for item in chosen), *fixed]


def _gain(item: Candidate, residual: NDArray[np.float64]) -> float:
    """Calculate how much chi-square falls if the key family alone takes what it can."""
    column = item.key_column
    norm = float(column @ column)
    overlap = max(0.0, float(column @ residual))
    return overlap**2 / norm if norm > 0 else 0.0
