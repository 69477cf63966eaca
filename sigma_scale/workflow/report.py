"""The report of the main job."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sigma_scale import features, plot, xray
from sigma_scale.plot import FigurePanel, ReportContent, ReportTable, Section
from sigma_scale.plot.line_labels import line_name
from sigma_scale.workflow.report_numbers import plain, with_error
from sigma_scale.workflow.report_tables import (
    NOT_ASSIGNED,
    composition_shown,
    contacts_shown,
    evidence_shown,
    shortened,
    weights_shown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sigma_scale.workflow.pipeline import PhaseMapping

__all__ = ["make_report", "phase_table", "versions"]

_ABOUT_ELEMENTS = (
    "An element is taken to be there where its line is more than three standard errors strong, has "
    "at least 1 % of the counts of all lines, and the peaks of the other elements don't explain "
    "the spectrum without it. Counts are no concentrations: elements emit, and samples "
    "absorb, to different degrees."
)
_ABOUT_CONTACTS = (
    "Which phases touch. Borders follow the edges of pixels, so slanting ones are up to 1.4 times "
    "too long: compare phases, not maps. Errors take each edge for an independent point, so they "
    "are too small where a map has few grains; so are those of the areas."
)
_MANY_CLUSTERS = 30
_LIBRARIES = (
    "sigma-scale",
    "numpy",
    "scipy",
    "dask",
    "xarray",
    "zarr",
    "numba",
    "scikit-learn",
    "umap-learn",
    "hdbscan",
    "hyperspy",
    "exspy",
    "rosettasciio",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a result depends on."""
    return {
        "Python": platform.python_version(),
        **{name: _version(name) for name in _LIBRARIES},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def make_report(
    result: PhaseMapping,
    figures: Mapping[str, FigurePanel],
    *,
    notes: Sequence[str] = (),
    extra: Sequence[Section] = (),
) -> ReportContent:
    """
    Put together what the report says.

    Parameters
    ----------
    result : PhaseMapping
        What the main job found.
    figures : mapping of str to FigurePanel
        Its figures, from :func:`~sigma_scale.workflow.figures.make_figures`.
    notes : sequence of str
        What the reader must know, such as warnings of the run.
    extra : sequence of Section
        Sections to put at the end.
    """
    image = result.image
    return ReportContent(
        title=f"Phases of {image.metadata.title or 'an untitled map'}",
        subtitle=", ".join(source.name for source in image.metadata.sources),
        facts=_facts(result),
        warnings=[*notes, *_too_many(result)],
        sections=[
            Section("The map", _about_map(result), _chosen(figures, "navigation", "sum_spectrum")),
            Section(
                "Phases",
                _about_phases(result),
                _chosen(figures, "phase_map"),
                [shortened(_table(result))],
            ),
            Section("Spectra of the phases", "", _chosen(figures, "phase_spectra")),
            Section(
                "Elements",
                _about_elements(result),
                tables=[shortened(evidence_shown(result.evidence))],
            ),
            *_composition(result),
            Section(
                "Neighbours", _ABOUT_CONTACTS, tables=[shortened(contacts_shown(result.contacts))]
            ),
            Section("Latent space", "", _chosen(figures, "latent")),
            Section("Element maps", "", _chosen(figures, "element_maps")),
            Section(
                "Unmixing",
                "Each phase's spectrum as a mixture of end-members. Weights belong to spectra "
                "divided by their maxima: they are no concentrations.",
                _chosen(figures, "end_members"),
                [shortened(weights_shown(result.weights))],
            ),
            *extra,
        ],
        settings=result.settings.to_yaml(),
        versions=versions(),
    )


def _too_many(result: PhaseMapping) -> list[str]:
    """Say what helps where there are more clusters than a sample has minerals."""
    number, settings = result.spectra.sizes["phase"], result.settings
    if number <= _MANY_CLUSTERS:
        return []
    if settings.clustering == "HDBSCAN":
        helps = ["a larger min_cluster_size (--cluster-arg min_cluster_size=...)"]
    else:
        helps = [f"fewer components of {settings.clustering}"]
    helps.append(f"a larger bin (--bin, now {result.bin_size[0]},{result.bin_size[1]})")
    if "neighbour_averaging" in settings.normalisation:
        helps.append(
            "no neighbour averaging (--normalisation zscore), which makes a cluster of each kind "
            "of grain border"
        )
    note = (
        f"There are {number:,} clusters, more than most samples have phases: many may be parts of "
        f"one phase, mixtures at grain borders, or noise. What helps: {'; '.join(helps)}."
    )
    return [note]


def _about_elements(result: PhaseMapping) -> str:
    """Say how elements are judged, and which the sum spectrum shows that were not looked for."""
    image, looked_for = (
        result.image,
        {line.partition("_")[0] for line in result.settings.lines or ()},
    )
    suggested = xray.suggest_lines(
        result.sum_spectrum.to_numpy(),
        image.energy.values,
        beam_energy_kev=image.metadata.beam_energy_kev,
        resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev,
    )
    further = [line for line in suggested if line.partition("_")[0] not in looked_for]
    if not further:
        return _ABOUT_ELEMENTS
    return (
        f"{_ABOUT_ELEMENTS}\n\nOnly elements of the features are looked for. The sum spectrum also "
        f"suggests {', '.join(further)}, perhaps of the holder or a coating; name them among the "
        "lines to see which phases have them."
    )


def _composition(result: PhaseMapping) -> list[Section]:
    table = result.composition
    if table is None:
        return []
    used = table.groupby("line", sort=False)["k_factor"].first()
    factors = ", ".join(f"{name} {factor:g}" for name, factor in used.items())
    text = f"{table.attrs['statement']}\n\nk-factors: {factors}."
    return [Section("Composition", text, tables=[shortened(composition_shown(table))])]


def _chosen(figures: Mapping[str, FigurePanel], *names: str) -> list[FigurePanel]:
    return [figures[name] for name in names if name in figures]


def _facts(result: PhaseMapping) -> dict[str, object]:
    image, settings = result.image, result.settings
    rows, columns, channels = image.source.shape
    counts = int(result.sum_spectrum.sum())
    n_measured = features.count_measured(image.with_processing(bin_factors=(1, 1)))
    noise = float(result.proportions["share"].get(-1, 0.0))
    beam = image.metadata.beam_energy_kev
    facts: dict[str, object] = {
        "Map": f"{columns:,} × {rows:,} pixels, {channels:,} channels",
        "Counts": f"{counts:,} ({plain(counts / max(n_measured, 1), 3, trim=True)} per pixel)",
        "Instrument": image.metadata.instrument + (f", {beam:g} kV" if beam else ""),
        "Bins": f"{result.bin_size[0]} × {result.bin_size[1]} pixels",
        "Lines": ", ".join(map(line_name, settings.lines or ())),
        "Phases": result.spectra.sizes["phase"],
    }
    if image.pixel_unit == "µm":
        high, wide = (plain(side, 4, trim=True) for side in image.pixel_size)
        facts["Pixel"] = f"{wide} × {high} µm"
    if n_measured < rows * columns:
        facts["Gaps"] = f"{1 - n_measured / (rows * columns):.1%} of the map, not measured"
    if noise:
        facts["Not assigned"] = f"{noise:.1%} of the area"
    return facts


def _about_map(result: PhaseMapping) -> str:
    scale = "" if result.image.pixel_unit == "µm" else " The file has no scale: lengths are pixels."
    return "The data as they were measured." + scale


def _about_phases(result: PhaseMapping) -> str:
    method = result.settings.clustering
    noise = " Pixels that belong to no dense group are grey." if method == "HDBSCAN" else ""
    return (
        f"Pixels were grouped by {method} in the latent space.{noise} Several groups may be one "
        "mineral, and groups of few pixels are often mixtures at grain borders. Elements are a "
        "guess from X-ray lines that stand out of the background; see Elements for the evidence."
    )


def _table(result: PhaseMapping) -> ReportTable:
    table = phase_table(result)
    colours = plot.phase_colours([int(label) for label in table.index])
    areas = [
        with_error(100 * share, 100 * error)
        for share, error in zip(table["share"], table["share_error"], strict=True)
    ]
    shown = pd.DataFrame(
        {
            "Phase": [NOT_ASSIGNED if label < 0 else str(label) for label in table.index],
            "Elements": table["elements"].fillna(""),
            "Pixels": table["pixels"],
            "Area, %": [area for area, _ in areas],
            "±": [error for _, error in areas],
        }
    )
    if "area_um2" in table and table["area_um2"].notna().all():
        shown["Area, µm²"] = [plain(area, 4, trim=True) for area in table["area_um2"]]
    shown["Regions"] = table["regions"].map("{:,.0f}".format).where(table["regions"].notna(), "")
    diameter = _diameter(result.regions)
    size, unit = (
        table[diameter.replace("equivalent", "median")],
        result.regions.attrs["units"][diameter],
    )
    shown[f"Median diameter, {unit}"] = ["" if np.isnan(v) else plain(v, 3) for v in size]
    chips = [colours[int(label)] for label in table.index]
    shown.index.name = None
    caption = (
        "Area with its counting error, likely elements, and the connected regions: their number, "
        "and the median diameter of circles of their areas. tables/regions.csv has each of them."
    )
    numeric = [str(name) for name in shown.columns if name not in {"Phase", "Elements"}]
    return ReportTable(shown, caption, chips, numeric=numeric)


def phase_table(result: PhaseMapping) -> pd.DataFrame:
    """Area, likely elements and regions of each phase, pixels without a phase last."""
    diameter = _diameter(result.regions)
    regions = result.regions.groupby("phase")[diameter].agg(["size", "median"])
    regions.columns = ["regions", diameter.replace("equivalent", "median")]
    return result.proportions.join(result.elements).join(regions)


def _diameter(regions: pd.DataFrame) -> str:
    """Name of the column of diameters, which ends with its unit."""
    (name,) = regions.filter(regex="^equivalent_diameter")
    return str(name)
