"""Names of X-ray lines at their peaks, moved apart where they would overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sigma_scale.plot.figures import INK, MUTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Peak", "label_peaks", "line_name", "note_unnamed", "spread"]

_GREEK = {"a": "α", "b": "β", "g": "γ", "l": "ℓ", "n": "η", "z": "ζ"}
_LARGEST, _SMALLEST = 8.0, 5.0
_SPACING = 1.35
_POINTS = 72.0


@dataclass(frozen=True)
class Peak:
    """
    One peak to be named.

    Attributes
    ----------
    line : str
        X-ray line such as ``"Fe_Ka"``.
    energy_kev : float
        Where the line lies.
    height : float
        Where the spectrum passes it, in the spectrum's own units.
    """

    line: str
    energy_kev: float
    height: float


def line_name(line: str) -> str:
    """
    Write the name of a line as in print.

    Parameters
    ----------
    line : str
        Such as ``"Fe_Ka"`` or ``"Fe_Lb3"``.

    Returns
    -------
    str
        ``"Fe Kα"`` or ``"Fe Lβ3"``; a name of another form stays as it is.
    """
    element, separator, rest = line.partition("_")
    if not separator or len(rest) < 2 or rest[0] not in "KLM" or rest[1] not in _GREEK:  # noqa: PLR2004
        return line
    return f"{element} {rest[0]}{_GREEK[rest[1]]}{rest[2:]}"


def spread(
    positions: npt.ArrayLike, spacing: float, low: float, high: float
) -> npt.NDArray[np.float64]:
    """
    Move positions apart, as little as possible and without changing their order.

    Parameters
    ----------
    positions : array_like, shape (n,)
        Wanted positions in rising order.
    spacing : float
        Least distance between neighbours.
    low, high : float
        Where positions must stay, if ``(n - 1) * spacing`` allows it.

    Returns
    -------
    ndarray, shape (n,), float64
        The positions with the least sum of squared moves.

    Notes
    -----
    With ``q_i = p_i - i * spacing`` the distances become an order, so this is isotonic
    regression, and clipping its result keeps it optimal within bounds.
    """
    from scipy.optimize import isotonic_regression

    wanted = np.asarray(positions, dtype=np.float64)
    if wanted.size == 0:
        return wanted
    offsets = spacing * np.arange(wanted.size)
    ordered = isotonic_regression(wanted - offsets).x
    result: npt.NDArray[np.float64] = np.clip(ordered, low, max(high - offsets[-1], low)) + offsets
    return result


def label_peaks(
    ax: Axes, peaks: Sequence[Peak], width: float, *, size: float = _LARGEST
) -> list[str]:
    """
    Name peaks above an axes, each joined to its peak by a thin line.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes of a spectrum, with its limits already set.
    peaks : sequence of Peak
        What to name, within the limits.
    width : float
        Width of the axes in inches.
    size : float, default: 8
        Size of the names in points; smaller where there are many.

    Returns
    -------
    list of str
        Lines left without a name for want of room: those of the lowest peaks.
    """
    if not peaks:
        return []
    width *= _POINTS
    room = max(int(width / (_SMALLEST * _SPACING)), 1)
    by_height = sorted(peaks, key=lambda peak: -peak.height)
    shown = sorted(by_height[:room], key=lambda peak: peak.energy_kev)
    size = min(size, max(width / (len(shown) * _SPACING), _SMALLEST))
    start, end = ax.get_xlim()
    at = [(peak.energy_kev - start) / (end - start) * width for peak in shown]
    half = size * _SPACING / 2
    moved = spread(at, size * _SPACING, half, width - half)
    top = ax.get_ylim()[1]
    for peak, wanted, place in zip(shown, at, moved, strict=True):
        foot = min(max(peak.height, ax.get_ylim()[0]), top)
        ax.plot([peak.energy_kev] * 2, [foot, top], color=MUTED, lw=0.6, ls=(0, (2, 2)), zorder=1)
        ax.annotate(
            line_name(peak.line),
            xy=(peak.energy_kev, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(place - wanted, 9.0),
            textcoords="offset points",
            rotation=90,
            ha="center",
            va="bottom",
            size=size,
            color=INK,
            parse_math=False,
            arrowprops={
                "arrowstyle": "-", "lw": 0.6, "color": MUTED,
                "shrinkA": 0, "shrinkB": 0, "relpos": (0.5, 0.0),
            },
        )  # fmt: skip
    return [peak.line for peak in by_height[room:]]


def note_unnamed(figure: Figure, outside: Sequence[str], crowded: Sequence[str]) -> None:
    """
    Say at the foot of a figure which lines have no name in it, and why.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure of spectra.
    outside : sequence of str
        Lines outside the energies shown.
    crowded : sequence of str
        Lines for which there was no room.
    """
    parts = []
    if outside:
        parts.append("outside the energies shown: " + ", ".join(map(line_name, outside)))
    if crowded:
        parts.append("no room for: " + ", ".join(map(line_name, crowded)))
    if not parts:
        return
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    remark = figure.supxlabel(
        "Not labelled: " + "; ".join(parts), size=7, color=MUTED, x=0.01, ha="left",
        parse_math=False, wrap=True,
    )  # fmt: skip
    if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        remark.set_y(0.04 / figure.get_size_inches()[1])
