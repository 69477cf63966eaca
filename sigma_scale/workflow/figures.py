"""The figures of the main job, each with what is to be said about it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from sigma_scale import compute, features, plot
from sigma_scale.plot import FigurePanel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from sigma_scale.workflow.pipeline import PhaseMapping

__all__ = ["largest_phases", "make_figures", "phase_names"]

_MOST_SHOWN = 20
"""Phases that legends name and whose spectra are drawn: the largest."""
_END_MEMBER_COLOUR = "#5b6773"
"""One for all, and of no phase: an end-member is none."""
_CONSIDERABLE = 0.2
"""Share of an end-member from which on its phase's lines are named in it."""
_MOST_POINTS = 10_000_000
"""Pixels that the picture of the latent space has at most: more fill no further cells of it."""


def phase_names(result: PhaseMapping) -> dict[int, str]:
    """Name each phase by its number and its likely elements."""
    elements = result.elements["elements"]
    return {int(phase): f"{phase}: {elements[phase] or 'no lines'}" for phase in elements.index}


def make_figures(result: PhaseMapping) -> dict[str, FigurePanel]:
    """
    Draw the figures of the main job.

    Parameters
    ----------
    result : PhaseMapping
        What it found.

    Returns
    -------
    dict of str to FigurePanel
        By file name without ending.
    """
    phases = phase_names(result)
    names = {**phases, -1: "Not assigned"}
    shown = largest_phases(result.proportions)
    lines = result.settings.lines or ()
    labels = result.clusters["labels"]
    colours = plot.phase_colours(list(names))
    panels: dict[str, FigurePanel] = {}
    navigation = result.image.navigation
    if navigation is not None:
        unbinned = result.image.with_processing(bin_factors=(1, 1))
        raw = unbinned.coordinates()
        seen = features.mask_gaps(navigation, unbinned)
        placed = seen.assign_coords({dim: raw[dim] for dim in ("y", "x")})
        title = str(navigation.attrs.get("long_name", "Navigation image"))
        panels["navigation"] = FigurePanel(
            plot.plot_image(placed, title=title), "Navigation image, at the map's own resolution."
        )
    beam = result.image.metadata.beam_energy_kev
    spectrum = result.sum_spectrum.assign_attrs({"beam_energy_kev": beam} if beam else {})
    panels["sum_spectrum"] = _sum_panel(result, spectrum)
    panels["element_maps"] = FigurePanel(
        plot.plot_element_maps(
            features.mask_gaps(result.intensities["line_intensity"], result.image)
        ),
        f"{_about_intensities(result)} in the window of each line (two FWHM wide, background "
        "included): the features before the steps on feature maps.",
    )
    remark = _left_out(phases, shown, "listed and numbered", "phases.csv")
    panels["latent"] = _latent_panel(result, names, colours, shown, remark)
    panels["phase_map"] = FigurePanel(
        plot.plot_phase_map(labels, names=names, colours=colours, listed=shown),
        "Phases by number, with the elements whose lines stand out of the background, strongest "
        "first, and their share of the area." + _left_out(phases, shown, "listed", "phases.csv"),
    )
    present = _lines_of(result)
    drawn = result.spectra["mean"].sel(phase=shown)
    panels["phase_spectra"] = FigurePanel(
        plot.plot_phase_spectra(drawn, lines, names, colours, lines_of=present),
        "Mean spectrum of each phase, with the lines of the elements found in it."
        + _left_out(phases, shown, "drawn", "phase_spectra.csv"),
    )
    components = _components(result)
    numbers = range(components.sizes["component"])
    panels["end_members"] = FigurePanel(
        plot.plot_components(
            components,
            lines,
            {number: f"End-member {number}" for number in numbers},
            dict.fromkeys(numbers, _END_MEMBER_COLOUR),
            lines_of=_lines_of_end_members(result, present),
        ),
        "End-member spectra from unmixing the phases' mean spectra (NMF).",
    )
    return panels


def largest_phases(proportions: pd.DataFrame) -> list[int]:
    """
    Choose the phases that legends name and whose spectra are drawn.

    Parameters
    ----------
    proportions : pandas.DataFrame
        Pixels of each phase, as :func:`sigma_scale.phases.proportions` gives them.

    Returns
    -------
    list of int
        Numbers of the 20 largest, in their order.
    """
    pixels = proportions["pixels"]
    largest = pixels[pixels.index >= 0].sort_values(ascending=False, kind="stable")[:_MOST_SHOWN]
    return sorted(int(phase) for phase in largest.index)


def _left_out(phases: Mapping[int, str], shown: Sequence[int], how: str, table: str) -> str:
    """Say which phases a figure shows where it leaves some out."""
    if len(shown) == len(phases):
        return ""
    return (
        f" The {len(shown)} largest of {len(phases):,} phases are {how}; all are in tables/{table}."
    )


def _lines_of(result: PhaseMapping) -> dict[int, set[str]]:
    """Return the features' lines of the elements that were found in each phase."""
    found = result.evidence[result.evidence["decision"] == "present"]
    elements = found.groupby(level="phase")["element"].agg(set)
    return {
        int(phase): {
            line
            for line in result.settings.lines or ()
            if line.partition("_")[0] in elements.get(phase, set())
        }
        for phase in result.spectra["phase"].to_numpy()
    }


def _lines_of_end_members(
    result: PhaseMapping, present: Mapping[int, set[str]]
) -> dict[int, set[str]]:
    """Return the lines in the phases that have a good part of an end-member, or the most."""
    weights = result.weights.to_numpy()
    totals = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    much = shares >= np.minimum(shares.max(axis=0), _CONSIDERABLE)
    phases = list(present)
    return {
        number: set().union(*(present[phases[row]] for row in np.flatnonzero(much[:, number])))
        for number in range(weights.shape[1])
    }


def _sum_panel(result: PhaseMapping, spectrum: xr.DataArray) -> FigurePanel:
    """Draw the sum spectrum as far as it is used: without the zero-energy peak."""
    caption = "Sum spectrum of all pixels with the X-ray lines that serve as features."
    least = result.settings.remove_below_kev
    if least is not None:
        spectrum = spectrum.where(spectrum["energy"] >= least, drop=True)
        caption += f" It begins at {least:g} keV, as what lies below is not used."
    lines = result.settings.lines or ()
    return FigurePanel(plot.plot_sum_spectrum(spectrum, lines, log=True), caption)


def _about_intensities(result: PhaseMapping) -> str:
    """Say what the values of the element maps are."""
    return "Share of each pixel's counts" if result.settings.normalise else "Counts"


def _latent_panel(
    result: PhaseMapping,
    names: Mapping[int, str],
    colours: Mapping[int, str],
    shown: Sequence[int],
    remark: str,
) -> FigurePanel:
    labels = result.clusters["labels"]
    step = math.ceil(math.sqrt(labels.size / _MOST_POINTS))
    some = slice(None, None, step)
    points, groups = compute.run(
        result.latent[some, some], labels[some, some], description="Points of the latent space"
    )
    which = "each pixel" if step == 1 else f"one pixel in {step**2}, in rows and columns,"
    return FigurePanel(
        plot.plot_latent(points.to_numpy(), groups.to_numpy(), colours, names=names, listed=shown),
        f"Latent space (UMAP): {which} of the binned map is a point, coloured by its phase. "
        "Distances between islands mean little." + remark,
    )


def _components(result: PhaseMapping) -> xr.DataArray:
    table = result.components
    return xr.DataArray(
        table.to_numpy().T,
        dims=("component", "energy"),
        coords={"component": np.arange(table.shape[1]), "energy": table.index.to_numpy()},
    )
