"""Pictures of spectra: the sum spectrum, those of phases, and unmixed components."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EmptyMapError, ShapeMismatchError
from sigma_scale.plot.figures import INK, dress_axes, new_figure, note
from sigma_scale.plot.line_labels import label_peaks, note_unnamed
from sigma_scale.plot.palette import complete_colours
from sigma_scale.plot.phase_map import phase_name
from sigma_scale.plot.spectrum_parts import (
    Spectrum,
    draw_curve,
    energy_range,
    factor_out,
    full_scale,
    peak_at,
    prominent_peaks,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_components", "plot_phase_spectra", "plot_sum_spectrum"]

_SUM_COLOUR = "#0072b2"
_SHOWN_SHARE, _SHOWN_SHARE_LOG = 0.98, 0.9995
_WIDTH, _NAME_WIDTH, _NAME_CHARACTER = 9.6, 18, 0.088
# Inches around stacked panels.
_LEFT, _BOTTOM, _TITLE, _LABEL_BAND = 0.75, 0.6, 0.3, 0.66
_MANY_PANELS = 12


def _check(spectra: xr.DataArray, dims: set[str], what: str) -> None:
    """Refuse an array that is not what is to be drawn."""
    if set(spectra.dims) != dims:
        wanted = ", ".join(repr(dim) for dim in sorted(dims, reverse=True))
        msg = f"{what} the dimension(s) {wanted}, and this array has {spectra.dims}."
        raise ShapeMismatchError(msg)
    if "energy" not in spectra.coords:
        msg = "The spectrum has no coordinate 'energy' (keV at the channels' centres)."
        raise ShapeMismatchError(msg)
    if 0 in spectra.shape:
        msg = f"There is nothing to draw: the spectrum has the shape {spectra.shape}."
        raise EmptyMapError(msg)


def _beam(spectra: xr.DataArray) -> float | None:
    """Return the beam's energy if the attributes say it."""
    value = spectra.attrs.get("beam_energy_kev")
    return float(value) if value else None


def _energies(lines: Sequence[str]) -> dict[str, float]:
    """Return the energies of lines in keV."""
    from sigma_scale.xray import line_energy

    return {line: line_energy(line) for line in lines}


def _values(spectrum: xr.DataArray) -> Spectrum:
    """Return counts as finite floats."""
    return np.nan_to_num(
        np.asarray(spectrum.values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0
    )


def plot_sum_spectrum(
    spectrum: xr.DataArray,
    lines: Sequence[str] = (),
    *,
    log: bool = False,
    title: str | None = None,
) -> Figure:
    """
    Draw a sum spectrum with its X-ray lines named.

    Parameters
    ----------
    spectrum : xarray.DataArray, shape (energy,)
        Counts; the coordinate ``energy`` is in keV. ``beam_energy_kev`` in its attributes
        bounds the energies shown.
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    log : bool, default: False
        Draw the counts on a logarithmic scale.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        The vertical scale is that of the peaks above 0.2 keV: a higher zero-energy peak runs
        out of the picture at the top.

    Raises
    ------
    ShapeMismatchError
        If the array is not a spectrum.
    EmptyMapError
        If it has no channels.
    UnknownLineError
        If a line is not in the table.
    """
    _check(spectrum, {"energy"}, "A sum spectrum has")
    axis, counts = np.asarray(spectrum["energy"].values, dtype=np.float64), _values(spectrum)
    energies = _energies(lines)
    share = _SHOWN_SHARE_LOG if log else _SHOWN_SHARE
    shown = energy_range(axis, counts, list(energies.values()), _beam(spectrum), share)
    figure = new_figure(_WIDTH, 3.9 + (0.3 if title else 0.0))
    if title:
        figure.suptitle(title, size=11, color=INK, x=0.01, ha="left", parse_math=False)
    ax = figure.add_subplot()
    dress_axes(ax)
    scale = full_scale(axis, counts, shown)
    draw_curve(ax, axis, counts, _SUM_COLOUR, scale, log=log)
    ax.set_xlim(shown)
    ax.set_xlabel("Energy (keV)")
    ax.set_ylabel("Counts")
    if not log:
        factor_out(ax)
    if scale <= 0:
        note(ax, "no counts")
    inside = {line: e for line, e in energies.items() if shown[0] <= e <= shown[1]}
    figure.draw_without_rendering()  # settles the layout, and so the width there is
    width = ax.get_window_extent().width / figure.dpi
    peaks = [peak_at(axis, counts, line, e) for line, e in inside.items()]
    crowded = label_peaks(ax, peaks, width)
    note_unnamed(figure, [line for line in energies if line not in inside], crowded)
    return figure


def _panels(
    spectra: xr.DataArray,
    lines: Sequence[str],
    titles: Sequence[str],
    colours: Sequence[str],
    *,
    y_label: str,
    title: str | None,
    known: Sequence[Collection[str]] | None = None,
) -> Figure:
    """Draw spectra one above the other, each naming the lines that stand out in it."""
    axis = np.asarray(spectra["energy"].values, dtype=np.float64)
    rows = _values(spectra.transpose(..., "energy"))
    n = rows.shape[0]
    energies = _energies(lines)
    # Each spectrum counts alike, however few pixels it stands for.
    heights = np.maximum(rows.max(axis=1, keepdims=True), np.finfo(float).tiny)
    whole = (float(axis[0]), float(axis[-1]))
    measured = {line: e for line, e in energies.items() if whole[0] <= e <= whole[1]}
    peaks = [prominent_peaks(axis, row, measured, full_scale(axis, row, whole)) for row in rows]
    if known is not None:
        peaks = [
            [peak for peak in found if peak.line in kept]
            for found, kept in zip(peaks, known, strict=True)
        ]
    named = [peak.energy_kev for found in peaks for peak in found]
    shown = energy_range(axis, (rows / heights).sum(axis=0), named, _beam(spectra))
    wrapped = [textwrap.fill(text, _NAME_WIDTH) for text in titles]
    longest = max(len(part) for text in wrapped for part in text.splitlines() or [""])
    # All sizes are known, so no layout engine is asked: it takes minutes for sixty panels.
    each = 1.45 if n <= _MANY_PANELS else 1.15
    width = _WIDTH - _LEFT - 0.25 - _NAME_CHARACTER * longest
    height = n * each + _BOTTOM + (_TITLE if title else 0.0)
    figure = new_figure(_WIDTH, height)
    figure.set_layout_engine("none")
    if title:
        figure.suptitle(title, size=11, color=INK, x=0.01, y=1 - 0.08 / height, ha="left",
                        va="top", parse_math=False)  # fmt: skip
    figure.supylabel(y_label, size=9, color=INK, x=0.012)
    panels: list[Axes] = []
    for index, row in enumerate(rows):
        floor = (_BOTTOM + (n - 1 - index) * each) / height
        place = (_LEFT / _WIDTH, floor, width / _WIDTH, (each - _LABEL_BAND) / height)
        ax = figure.add_axes(place, sharex=panels[0] if panels else None)
        dress_axes(ax)
        ax.locator_params(axis="y", nbins=3)
        scale = full_scale(axis, row, shown)
        draw_curve(ax, axis, row, colours[index], scale, log=False)
        factor_out(ax)
        if scale <= 0:
            note(ax, "no counts")
        ax.text(
            1.012, 0.5, wrapped[index], transform=ax.transAxes,
            ha="left", va="center", size=9, weight="bold", color=INK, parse_math=False,
            bbox={"facecolor": colours[index], "alpha": 0.25, "edgecolor": "none", "pad": 2.5},
        )  # fmt: skip
        ax.tick_params(labelbottom=index == n - 1)
        panels.append(ax)
    panels[-1].set_xlabel("Energy (keV)")
    panels[0].set_xlim(shown)
    crowded: list[str] = []
    for ax, found in zip(panels, peaks, strict=True):
        within = [peak for peak in found if shown[0] <= peak.energy_kev <= shown[1]]
        crowded += label_peaks(ax, within, width, size=7.5)
    outside = [line for line in energies if line not in measured]
    note_unnamed(figure, outside, sorted(set(crowded)))
    return figure


def plot_phase_spectra(
    spectra: xr.DataArray,
    lines: Sequence[str] = (),
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
    *,
    lines_of: Mapping[int, Collection[str]] | None = None,
    title: str | None = None,
) -> Figure:
    """
    Draw the spectra of phases one above the other.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Mean spectra; the coordinate ``phase`` holds the phases' numbers (0, 1, ... where it is
        missing), ``energy`` is in keV.
    lines : sequence of str
        X-ray lines; each panel names those that make a visible peak in it.
    names, colours : mapping of int to str, optional
        Names and colours of some or all phases.
    lines_of : mapping of int to collection of str, optional
        Those of the lines that are known to be in a phase: its panel names no others, as a line
        of another element may lie beneath a peak too. A phase that is missing has all.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        Panels share the energies; each has its own vertical scale, which leaves out a
        zero-energy peak.

    Raises
    ------
    ShapeMismatchError
        If the array is not a set of spectra.
    EmptyMapError
        If it has no phases or no channels.
    UnknownLineError
        If a line is not in the table.
    """
    _check(spectra, {"phase", "energy"}, "Phase spectra have")
    numbers = list(range(spectra.sizes["phase"]))
    if "phase" in spectra.coords:
        numbers = [int(number) for number in spectra["phase"].values]
    palette = complete_colours(numbers, colours)
    return _panels(
        spectra.transpose("phase", "energy"),
        lines,
        [phase_name(number, names) for number in numbers],
        [palette[number] for number in numbers],
        y_label="Mean intensity",
        title=title,
        known=None if lines_of is None else [lines_of.get(n, lines) for n in numbers],
    )


def plot_components(
    components: xr.DataArray,
    lines: Sequence[str] = (),
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
    *,
    lines_of: Mapping[int, Collection[str]] | None = None,
    title: str | None = None,
) -> Figure:
    """
    Draw the components of an unmixing (NMF) one above the other.

    Parameters
    ----------
    components : xarray.DataArray, shape (component, energy)
        Components; ``energy`` is in keV.
    lines : sequence of str
        X-ray lines; each panel names those that make a visible peak in it.
    names, colours : mapping of int to str, optional
        Names and colours by position (0, 1, ...).
    lines_of : mapping of int to collection of str, optional
        Lines that may be named in a component, as for :func:`plot_phase_spectra`.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        As :func:`plot_phase_spectra` draws them.

    Raises
    ------
    ShapeMismatchError
        If the array is not a set of components.
    EmptyMapError
        If it has no components or no channels.
    UnknownLineError
        If a line is not in the table.
    """
    _check(components, {"component", "energy"}, "Components have")
    numbers = list(range(components.sizes["component"]))
    palette = complete_colours(numbers, colours)
    given = names or {}
    return _panels(
        components.transpose("component", "energy"),
        lines,
        [given.get(number, f"Component {number}") for number in numbers],
        [palette[number] for number in numbers],
        y_label="Intensity",
        title=title,
        known=None if lines_of is None else [lines_of.get(n, lines) for n in numbers],
    )
