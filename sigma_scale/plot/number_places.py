"""Where numbers stand in a picture so that none covers another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["place_numbers"]

_CHARACTER_WIDTH, _LINE_HEIGHT = 0.72, 1.05
"""Of a bold digit and of a line of digits, in units of the size of the letters."""


def place_numbers(
    wanted: Mapping[int, tuple[float, float]], size: float
) -> dict[int, tuple[float, float]]:
    """
    Move numbers by at most their own size so that they don't overlap, or leave them out.

    Parameters
    ----------
    wanted : mapping of int to (float, float)
        Where the middle of each number should be, in points; the most important first.
    size : float
        Size of the letters in points.

    Returns
    -------
    dict of int to (float, float)
        Places of the numbers that find one. Each takes the first of its own place, above,
        below, left and right of it that overlaps none before it, so numbers that come later
        change nothing for those before.
    """
    places: dict[int, tuple[float, float]] = {}
    taken = np.empty((0, 4))
    high = _LINE_HEIGHT * size
    for number, (x, y) in wanted.items():
        wide = _CHARACTER_WIDTH * size * len(str(number))
        for across, along in ((0, 0), (0, 1), (0, -1), (-1, 0), (1, 0)):
            place = x + across * wide, y + along * high
            apart = np.abs(taken[:, :2] - place) >= (taken[:, 2:] + (wide, high)) / 2
            if apart.any(axis=1).all():
                places[number] = place
                taken = np.vstack([taken, (*place, wide, high)])
                break
    return places
