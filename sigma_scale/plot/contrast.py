"""Limits of contrast that a few extreme pixels can't spoil."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sigma_scale.errors import ParameterError

__all__ = ["Limits", "contrast_limits"]


class Limits(NamedTuple):
    """
    Values that the first and the last colour stand for.

    Attributes
    ----------
    low, high : float
        Always finite and ``low < high``.
    extend : {"neither", "min", "max", "both"}
        On which sides there are values beyond them.
    whole : bool
        Whether the values are whole numbers, as counts are.
    """

    low: float
    high: float
    extend: Literal["neither", "min", "max", "both"]
    whole: bool = False


def contrast_limits(
    values: npt.ArrayLike, percentiles: tuple[float, float] = (0.5, 99.5)
) -> Limits:
    """
    Choose limits of contrast that a few extreme pixels can't spoil.

    Parameters
    ----------
    values : array_like
        Values of the pixels; those that are not finite are left out.
    percentiles : (float, float), default: (0.5, 99.5)
        Share of pixels, in percent, at or below each limit.

    Returns
    -------
    Limits
        Limits at the percentiles; the extremes where the percentiles coincide (a map that is
        nearly all zeros); half a unit either side of the value of a constant map.

    Raises
    ------
    ParameterError
        If the percentiles are not ``0 <= low < high <= 100``.
    """
    low_share, high_share = percentiles
    if not 0 <= low_share < high_share <= 100:  # noqa: PLR2004
        msg = f"percentiles must rise and lie within 0 and 100, and they are {percentiles}."
        raise ParameterError(msg)
    data = np.asarray(values)
    finite = data[np.isfinite(data)].astype(np.float64, copy=False)
    if finite.size == 0:
        return Limits(0.0, 1.0, "neither")
    least, most = float(finite.min()), float(finite.max())
    whole = data.dtype.kind in "iub"
    low, high = (float(v) for v in np.percentile(finite, [low_share, high_share]))
    if not low < high:
        low, high = least, most
    if not low < high:
        half = 0.5 * max(abs(low), 1.0) if abs(low) > 1 else 0.5
        return Limits(low - half, high + half, "neither", whole)
    below, above = least < low, most > high
    extend: Literal["neither", "min", "max", "both"] = (
        "both" if below and above else "min" if below else "max" if above else "neither"
    )
    return Limits(low, high, extend, whole)
