"""Tables to draw from discrete distributions in constant time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AliasTables", "poisson_tables"]

_TAIL = 1e-15  # probability beyond the ends of a table of Poisson totals


@dataclass(frozen=True, slots=True, eq=False)
class AliasTables:
    """
    Alias tables, one row per distribution (Vose, IEEE Trans. Softw. Eng. 17 (1991) 972).

    Attributes
    ----------
    threshold : numpy.ndarray, shape (distribution, value), uint32
        A slot keeps its own value if a 32-bit random number is below this, ...
    other : numpy.ndarray, shape (distribution, value), uint16
        ... and takes this one otherwise.
    """

    threshold: NDArray[np.uint32]
    other: NDArray[np.uint16]

    @classmethod
    def from_weights(cls, weights: NDArray[np.float64]) -> AliasTables:
        """
        Build the tables.

        Parameters
        ----------
        weights : numpy.ndarray, shape (distribution, value), float64
            Relative probabilities, 0 or more; each row has a positive sum and at most 65,536
            values.

        Returns
        -------
        AliasTables
            Tables that draw value v of a row with its probability to within 2**-32.
        """
        rows = [_alias_row(row) for row in weights]
        return cls(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]))


def _alias_row(weights: NDArray[np.float64]) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    scaled = (weights * (weights.size / weights.sum())).tolist()
    keep = np.ones(weights.size)
    other = np.arange(weights.size)
    small = [index for index, value in enumerate(scaled) if value < 1.0]
    large = [index for index, value in enumerate(scaled) if value >= 1.0]
    while small and large:
        poor, rich = small.pop(), large[-1]
        keep[poor], other[poor] = scaled[poor], rich
        scaled[rich] -= 1.0 - scaled[poor]
        if scaled[rich] < 1.0:
            small.append(large.pop())
    threshold = np.minimum(np.round(keep * 2.0**32), 2.0**32 - 1.0)
    return threshold.astype(np.uint32), other.astype(np.uint16)


def poisson_tables(means: NDArray[np.float64]) -> tuple[AliasTables, int, int]:
    """
    Build tables of Poisson distributions.

    Parameters
    ----------
    means : numpy.ndarray, shape (distribution,), float64
        Positive means.

    Returns
    -------
    tables : AliasTables
        Value v stands for ``lowest + v``.
    lowest, highest : int
        Smallest and largest number that can be drawn.
    """
    from scipy.stats import poisson

    lowest = int(poisson.ppf(_TAIL, means.min()))
    highest = int(poisson.isf(_TAIL, means.max())) + 1
    values = np.arange(max(0, lowest), highest + 1)
    weights = poisson.pmf(values[None, :], means[:, None])
    return AliasTables.from_weights(weights), int(values[0]), highest
