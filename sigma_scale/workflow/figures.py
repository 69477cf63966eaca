"""The figures of the main job, each with what is to be said about it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from sigma_scale import compute, features, plot
from sigma_scale.plot import FigurePanel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sigma_scale.workflow.pipeline import PhaseMapping

__all__ = ["make_figures", "phase_names"]

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
    names = phase_names(result)
    lines = result.settings.lines or ()
    labels = result.clusters["labels"]
    colours = plot.phase_colours([-1, *names])
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
    panels["sum_spectrum"] = FigurePanel(
        plot.plot_sum_spectrum(spectrum, lines, log=True),
        "Sum spectrum of all pixels with the X-ray lines that serve as features. The "
        "zero-energy peak, if there is one, is cut off.",
    )
    panels["element_maps"] = FigurePanel(
        plot.plot_element_maps(
            features.mask_gaps(result.intensities["line_intensity"], result.image)
        ),
        "Counts in the window of each line (two FWHM wide, background included), as the features "
        "before their normalisation.",
    )
    panels["latent"] = _latent_panel(result, colours)
    panels["phase_map"] = FigurePanel(
        plot.plot_phase_map(labels, names=names, colours=colours),
        "Phases by number, with the elements whose lines stand out of the background, strongest "
        "first, and their share of the area.",
    )
    panels["phase_spectra"] = FigurePanel(
        plot.plot_phase_spectra(result.spectra["mean"], lines, names, colours),
        "Mean spectrum of each phase.",
    )
    panels["end_members"] = FigurePanel(
        plot.plot_components(_components(result), lines, _component_names(result)),
        "End-member spectra from unmixing the phases' mean spectra (NMF).",
    )
    return panels


def _latent_panel(result: PhaseMapping, colours: Mapping[int, str]) -> FigurePanel:
    labels = result.clusters["labels"]
    step = math.ceil(math.sqrt(labels.size / _MOST_POINTS))
    some = slice(None, None, step)
    points, groups = compute.run(
        result.latent[some, some], labels[some, some], description="Points of the latent space"
    )
    which = "each pixel" if step == 1 else f"each pixel of every {step}th row and column"
    return FigurePanel(
        plot.plot_latent(points.to_numpy(), groups.to_numpy(), colours),
        f"Latent space (UMAP): {which} of the binned map is a point, coloured by its phase. "
        "Distances between islands mean little.",
    )


def _components(result: PhaseMapping) -> xr.DataArray:
    table = result.components
    return xr.DataArray(
        table.to_numpy().T,
        dims=("component", "energy"),
        coords={"component": np.arange(table.shape[1]), "energy": table.index.to_numpy()},
    )


def _component_names(result: PhaseMapping) -> Mapping[int, str]:
    return {number: str(name) for number, name in enumerate(result.components.columns)}
