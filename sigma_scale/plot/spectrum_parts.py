"""What a picture of a spectrum is made of: its range, its peaks and its curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sigma_scale.plot.line_labels import Peak

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

__all__ = [
    "Spectrum",
    "draw_curve",
    "energy_range",
    "factor_out",
    "full_scale",
    "peak_at",
    "prominent_peaks",
]

Spectrum = npt.NDArray[np.float64]

_ZERO_PEAK_END_KEV = 0.2
_COUNTED_SHARE = 0.98
_LEAST_RELATIVE_HEIGHT = 0.02
_LEAST_RISE = 1.25
_LEAST_SIGNIFICANCE = 3.0
_PLAIN_EXPONENTS = range(-1, 4)


def energy_range(
    energy: npt.ArrayLike, counts: npt.ArrayLike, lines_kev: Sequence[float] = (),
    beam_energy_kev: float | None = None, share: float = _COUNTED_SHARE,
) -> tuple[float, float]:  # fmt: skip
    """
    Choose the part of a spectrum worth showing.

    Parameters
    ----------
    energy : array_like, shape (n,)
        Energies of the channels in keV, rising.
    counts : array_like, shape (n,)
        Counts of the channels, of any scale.
    lines_kev : sequence of float, optional
        Energies that must stay in the picture where they were measured.
    beam_energy_kev : float, optional
        No X-ray has more than that.
    share : float, default: 0.98
        Share of the counts above the zero-energy peak that must be in the picture.

    Returns
    -------
    low, high : float
        From zero (or the first channel, if that is higher) to where the share of the counts
        lies below, with a margin; at most the beam's energy.
    """
    axis = np.asarray(energy, dtype=np.float64)
    values = np.nan_to_num(np.asarray(counts, dtype=np.float64), posinf=0.0, neginf=0.0)
    first, last = float(axis[0]), float(axis[-1])
    low = max(first, 0.0)
    cumulative = np.cumsum(np.where(axis > _ZERO_PEAK_END_KEV, np.maximum(values, 0), 0))
    high = last
    if cumulative[-1] > 0:
        end = int(np.searchsorted(cumulative, share * cumulative[-1]))
        high = float(axis[min(end, axis.size - 1)]) * 1.05
    if beam_energy_kev is not None and beam_energy_kev > low:
        high = min(high, float(beam_energy_kev))
    measured = [e for e in lines_kev if first <= e <= last]
    high = min(max([high, *(1.05 * e for e in measured)]), last)
    return (low, high) if high > low else (first, last if last > first else first + 1.0)


def _half_width(energy_kev: float) -> float:
    """Return half of a peak's width at half maximum, in keV."""
    from sigma_scale.xray import fwhm_kev

    return float(fwhm_kev(energy_kev)) / 2


def peak_at(axis: Spectrum, counts: Spectrum, line: str, energy: float) -> Peak:
    """Find how high the spectrum is at a line."""
    near = np.abs(axis - energy) <= _half_width(energy) / 2
    near[int(np.abs(axis - energy).argmin())] = True
    return Peak(line, energy, float(counts[near].max()))


def _stands_out(axis: Spectrum, counts: Spectrum, peak: Peak, scale: float) -> bool:
    """Tell whether a line makes a peak that an eye would see in this spectrum."""
    half = _half_width(peak.energy_kev)
    distance = np.abs(axis - peak.energy_kev)
    side = (distance > 2.5 * half) & (distance < 4.5 * half)
    beside = float(np.percentile(counts[side], 30)) if side.any() else 0.0
    core = counts[distance <= half / 2]
    # The mean of the core, not its highest channel: noise makes single channels high.
    top = float(core.mean()) if core.size else peak.height
    rise = top - beside
    # Differences of neighbouring channels measure the noise whatever the counts' unit.
    steps = np.diff(counts[distance < 4.5 * half])
    noise = float(steps.std()) / np.sqrt(2 * max(core.size, 1)) if steps.size else 0.0
    return bool(
        top > _LEAST_RISE * beside
        and rise > _LEAST_RELATIVE_HEIGHT * scale
        and rise > _LEAST_SIGNIFICANCE * noise
    )


def prominent_peaks(
    axis: Spectrum, counts: Spectrum, energies: Mapping[str, float], scale: float
) -> list[Peak]:
    """Return the lines that make visible peaks in a spectrum."""
    peaks = [peak_at(axis, counts, line, energy) for line, energy in energies.items()]
    return [peak for peak in peaks if _stands_out(axis, counts, peak, scale)]


def full_scale(axis: Spectrum, counts: Spectrum, shown: tuple[float, float]) -> float:
    """Return the highest value within a range, the zero-energy peak left out."""
    inside = (axis >= shown[0]) & (axis <= shown[1])
    proper = inside & (axis > _ZERO_PEAK_END_KEV)
    chosen = counts[proper if proper.any() else inside]
    return float(chosen.max()) if chosen.size else 0.0


def draw_curve(
    ax: Axes, axis: Spectrum, counts: Spectrum, colour: str, scale: float, *, log: bool
) -> None:
    """Draw a spectrum as a filled curve and set the vertical limits."""
    from matplotlib.colors import to_rgb

    # Light colours (yellow) would vanish as a thin line on white.
    red, green, blue = to_rgb(colour)
    light = 0.3 * red + 0.59 * green + 0.11 * blue
    line_colour = tuple(c * (0.7 if light > 0.45 else 1.0) for c in (red, green, blue))  # noqa: PLR2004
    if log and scale > 0:
        floor = max(float(counts[counts > 0].min()) * 0.8, scale * 1e-6)
        counts = np.where(counts > floor, counts, floor)
        ax.set_yscale("log")
        ax.set_ylim(floor, scale * 1.3)
    else:
        floor = 0.0
        ax.set_ylim(min(0.0, float(counts.min())), scale * 1.03 if scale > 0 else 1.0)
    ax.fill_between(axis, floor, counts, color=colour, alpha=0.25, lw=0, step="mid", zorder=2)
    ax.plot(axis, counts, color=line_colour, lw=0.9, drawstyle="steps-mid", zorder=3)


def factor_out(ax: Axes) -> None:
    """
    Write small and large intensities as plain numbers, their power of ten beside the axis.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes of a spectrum with its limits set, and its label if it has one. Matplotlib would
        write the power above the axis, where the names of the lines stand.
    """
    from matplotlib.ticker import FuncFormatter

    top = max(map(abs, ax.get_ylim()))
    exponent = math.floor(math.log10(top)) if top > 0 else 0
    if exponent in _PLAIN_EXPONENTS:
        ax.ticklabel_format(axis="y", style="plain", useOffset=False)
        return
    unit = 10.0**exponent
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:.3g}"))
    factor, label = rf"$\times\,10^{{{exponent}}}$", ax.get_ylabel()
    if label:
        ax.set_ylabel(f"{label} ({factor})")
    else:
        ax.set_ylabel(factor, size=7, labelpad=2)
