"""Numbers as the report writes them: plain, with as many digits as tell something."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["plain", "same_places", "with_error"]

_MOST_PLACES = 6


def plain(value: float, digits: int, *, trim: bool = False) -> str:
    """
    Write a number with some significant digits and without powers of ten.

    Parameters
    ----------
    value : float
        The number.
    digits : int
        Significant digits, 1 or more. Whole numbers of more digits are written in full.
    trim : bool, default: False
        Leave out zeros at the end of the decimals.

    Returns
    -------
    str
        Such as ``"0.0321"``, ``"20"`` or ``"11,108"``; six decimals at most. A dash stands for
        a value that is missing.
    """
    if not math.isfinite(value):
        return "–"
    # Rounded first: 9.99 with two digits is 10 and not 10.0.
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded))) if rounded else 0
    places = min(max(digits - 1 - exponent, 0), _MOST_PLACES)
    text = f"{value:,.{places}f}" if rounded else "0"
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text


def with_error(value: float, error: float) -> tuple[str, str]:
    """
    Write a number with the decimals of its error, which has one significant digit.

    Parameters
    ----------
    value, error : float
        The number and its standard error.

    Returns
    -------
    value, error : str
        Such as ``("6.7", "0.9")``. Without an error the number has three significant digits.
    """
    if not (math.isfinite(error) and error > 0):
        return plain(value, 3), plain(error, 1)
    text = plain(error, 1)
    places = len(text.partition(".")[2])
    return f"{value:,.{places}f}", text


def same_places(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """
    Write the numbers of a table with the same decimals everywhere.

    Parameters
    ----------
    table : pandas.DataFrame
        Numbers.
    digits : int
        Significant digits of the largest of them.

    Returns
    -------
    pandas.DataFrame
        Texts.
    """
    sizes = np.abs(table.to_numpy(np.float64))
    largest = float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))
    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    places = min(max(digits - 1 - exponent, 0), _MOST_PLACES)
    return table.map(lambda value: f"{value:,.{places}f}" if math.isfinite(value) else "–")
