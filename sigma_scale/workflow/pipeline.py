"""The main job: from a map to its phases."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from sigma_scale import features, xray
from sigma_scale.errors import (
    EnergyRangeError,
    ParameterError,
    SigmaScaleWarning,
    UnknownLineError,
)
from sigma_scale.features.lines import check_lines
from sigma_scale.phases import element_evidence, proportions
from sigma_scale.phases.elements import summary_of
from sigma_scale.workflow.composition import choose_quantified, composition_table
from sigma_scale.workflow.job_steps import measure_sum_spectrum, preprocess_map, unmix_phases
from sigma_scale.workflow.kept_steps import (
    keep_clusters,
    keep_contacts,
    keep_features,
    keep_intensities,
    keep_latent,
    keep_regions,
    keep_spectra,
)
from sigma_scale.workflow.models import check_models, clustering_arguments, make_umap
from sigma_scale.workflow.step_store import StepStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.workflow.settings import RunSettings

__all__ = [
    "PhaseMapping",
    "check_settings",
    "check_unread",
    "choose_bin",
    "choose_lines",
    "map_phases",
]

_log = logging.getLogger(__name__)

_COUNTS_PER_BIN = 150
"""Counts that tell minerals apart: lines of a tenth of them have an error of a quarter."""
_LARGEST_BIN = 8
_SMALLEST_SIDE = 24
"""Pixels that a binned map keeps along its shorter side."""


@dataclass(frozen=True)
class PhaseMapping:
    """
    What the main job finds.

    Parameters
    ----------
    image : SpectrumImage
        The map, seen through the preprocessing.
    settings : RunSettings
        The settings, with lines and bins as they were chosen.
    sum_spectrum : xarray.DataArray, shape (energy,), uint64
        Counts of the whole map.
    intensities : xarray.Dataset
        ``line_intensity`` (y, x, line) and ``total`` (y, x) of the binned map.
    features : xarray.DataArray, shape (y, x, line), float32
        Normalised feature maps.
    latent : xarray.DataArray, shape (y, x, component), float32
        Latent space.
    clusters : xarray.Dataset
        ``labels`` and ``probability`` (y, x); with the coordinate ``measured`` (y, x), bool, where
        the map is a mosaic with gaps: these have label -1 and probability 0.
    spectra : xarray.Dataset
        ``counts`` and ``mean`` (phase, energy) with their errors, and ``n_pixels`` (phase).
    proportions, elements : pandas.DataFrame
        Area and likely elements of each phase.
    evidence : pandas.DataFrame
        Net counts and significance of each line in each phase, and what is concluded.
    contacts : xarray.Dataset
        Borders that phases share, over ``phase`` and ``neighbour``.
    composition : pandas.DataFrame or None
        Percentages of each phase and element by k-factors; None without them.
    regions : pandas.DataFrame
        Connected regions of each phase: sizes, shapes and line intensities.
    weights, components : pandas.DataFrame
        Unmixing of the phases' spectra.
    """

    image: SpectrumImage
    settings: RunSettings
    sum_spectrum: xr.DataArray
    intensities: xr.Dataset
    features: xr.DataArray
    latent: xr.DataArray
    clusters: xr.Dataset
    spectra: xr.Dataset
    proportions: pd.DataFrame
    elements: pd.DataFrame
    evidence: pd.DataFrame
    contacts: xr.Dataset
    composition: pd.DataFrame | None
    regions: pd.DataFrame
    weights: pd.DataFrame
    components: pd.DataFrame

    @property
    def bin_size(self) -> tuple[int, int]:
        """Columns and rows of a bin (x, y)."""
        factor_y, factor_x = self.image.processing.bin_factors
        return factor_x, factor_y


def map_phases(
    image: SpectrumImage, settings: RunSettings, *, steps: StepStore | None = None
) -> PhaseMapping:
    """
    Find the phases of a map.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.
    settings : RunSettings
        What to do.
    steps : StepStore, optional
        Where to keep what each step finds: maps are lazy then and need not fit the memory, and
        steps that are finished there are not done again. None: maps are in memory. Their values
        are the same.

    Returns
    -------
    PhaseMapping

    Raises
    ------
    EmptyMapError
        If the map has no counts, or no pixel belongs to a phase.
    ParameterError
        If a setting can't work for this map.
    MemoryLimitError
        If the feature maps don't fit the memory and are not kept.
    StoreError
        If a step can't be kept.
    """
    steps = steps or StepStore()
    check_settings(image, settings)
    check_unread(settings)
    spectrum = measure_sum_spectrum(image)
    settings = replace(
        settings,
        lines=choose_lines(image, settings, spectrum),
        bin=choose_bin(image, settings, int(spectrum.sum())),
    )
    lines = settings.lines or ()
    factors = cast("Mapping[str, float] | None", settings.k_factors)  # a path is read already
    quantified = [] if factors is None else choose_quantified(lines, factors)
    seen = preprocess_map(image, settings)
    intensities = keep_intensities(seen, settings, steps)
    maps = keep_features(seen, settings, intensities["line_intensity"], steps)
    latent = keep_latent(maps, settings, steps)
    # Gaps between the tiles of a mosaic are no noise.
    clusters = features.mark_measured(keep_clusters(latent, settings, steps), seen)
    labels = clusters["labels"]
    spectra = keep_spectra(seen, labels, intensities["total"], steps)
    counts = spectra["counts"]
    evidence = element_evidence(counts, lines)
    composition = None
    if factors is not None:
        composition = composition_table(counts, lines, quantified, factors)
    weights, components = unmix_phases(spectra["mean"], settings)
    return PhaseMapping(
        image=seen,
        settings=settings,
        sum_spectrum=spectrum,
        intensities=intensities,
        features=maps,
        latent=latent,
        clusters=clusters,
        spectra=spectra,
        proportions=proportions(labels),
        elements=summary_of(evidence, counts),
        evidence=evidence,
        contacts=keep_contacts(labels, steps),
        composition=composition,
        regions=keep_regions(labels, intensities["line_intensity"], steps),
        weights=weights,
        components=components,
    )


def check_unread(settings: RunSettings) -> None:
    """
    Refuse settings that can't work for any map, before one is even opened.

    Parameters
    ----------
    settings : RunSettings
        What to do.

    Raises
    ------
    ParameterError, UnknownLineError
        If a setting can't work.
    EngineUnavailableError
        If an engine was asked for that can't be used here.
    """
    _check_steps(settings)
    n_features = 2
    if settings.lines is not None:
        check_lines(settings.lines)
        n_features = len(settings.lines) + settings.navigation
    check_models(settings, n_features)


def check_settings(image: SpectrumImage, settings: RunSettings) -> None:
    """
    Refuse settings that can't work for a map, before any of its counts are read.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.
    settings : RunSettings
        What to do.

    Raises
    ------
    ParameterError
        If a setting can't work for this map.
    """
    with warnings.catch_warnings():
        # What is left out is said when it is done.
        warnings.simplefilter("ignore", SigmaScaleWarning)
        seen = preprocess_map(image, settings)
    if settings.lines is not None:
        features.line_channels(seen, settings.lines)
    _check_steps(settings)
    if settings.navigation and image.navigation is None:
        raise ParameterError("The map has no navigation image to use as a feature.")


def _check_steps(settings: RunSettings) -> None:
    """Refuse steps, models and parameters that there are not."""
    unknown = [step for step in settings.normalisation if step not in features.NORMALISATIONS]
    if unknown:
        raise ParameterError(
            f"Unknown normalisation {', '.join(unknown)}; there are: "
            f"{', '.join(features.NORMALISATIONS)}."
        )
    if settings.k_factors is not None and settings.lines is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SigmaScaleWarning)
            choose_quantified(settings.lines, cast("Mapping[str, float]", settings.k_factors))
    make_umap(settings)
    clustering_arguments(settings, 1)


def choose_lines(
    image: SpectrumImage, settings: RunSettings, sum_spectrum: xr.DataArray
) -> tuple[str, ...]:
    """
    Choose the X-ray lines: those asked for, else named by the file, else suggested.

    Lines named by the file that are unknown, or lie outside the energies that are measured and
    kept, are left out with a warning.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.
    settings : RunSettings
        Settings.
    sum_spectrum : xarray.DataArray, shape (energy,)
        Counts of the whole map.

    Returns
    -------
    tuple of str

    Raises
    ------
    ParameterError
        If there are none, and the sum spectrum suggests none.
    """
    kept = preprocess_map(image, replace(settings, bin="auto"))
    if settings.lines is not None:
        features.line_channels(kept, settings.lines)
        return settings.lines
    # A file may name a line twice; dict.fromkeys keeps the order, unlike a set.
    named = tuple(line for line in dict.fromkeys(image.metadata.lines) if _is_measured(kept, line))
    if named:
        return named
    suggested = xray.suggest_lines(
        sum_spectrum.to_numpy(),
        image.energy.values,
        beam_energy_kev=image.metadata.beam_energy_kev,
        resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev,
    )
    lines = tuple(line for line in suggested if _is_measured(kept, line))
    if not lines:
        raise ParameterError(
            "The file names no X-ray lines and its sum spectrum suggests none. Name them, such "
            "as --lines O_Ka,Si_Ka."
        )
    _log.info("Lines suggested by the sum spectrum: %s", ", ".join(lines))
    return lines


def _is_measured(image: SpectrumImage, line: str) -> bool:
    try:
        features.line_channels(image, [line])
    except (EnergyRangeError, UnknownLineError) as error:
        warnings.warn(f"{line} is not used. {error}", SigmaScaleWarning, stacklevel=4)
        return False
    return True


def choose_bin(image: SpectrumImage, settings: RunSettings, counts: int) -> tuple[int, int]:
    """
    Choose the bins: those asked for, or square ones as small as give enough counts.

    Gaps of a mosaic, which have no counts, don't make them larger.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.
    settings : RunSettings
        Settings.
    counts : int
        Counts of the whole map.

    Returns
    -------
    tuple of int
        Columns and rows of a bin (x, y).
    """
    if settings.bin != "auto":
        return settings.bin
    rows, columns, _ = image.shape
    per_pixel = counts / max(features.count_measured(image), 1)
    largest = max(1, min(_LARGEST_BIN, min(rows, columns) // _SMALLEST_SIDE))
    wanted = next((n for n in range(1, largest) if n * n * per_pixel >= _COUNTS_PER_BIN), largest)
    return wanted, wanted
