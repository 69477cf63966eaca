"""The main job: from a map to its phases."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import compute, features, preprocess, xray
from sigma_scale.clustering import cluster_latent
from sigma_scale.errors import (
    EmptyMapError,
    EnergyRangeError,
    ParameterError,
    SigmaScaleWarning,
    UnknownLineError,
)
from sigma_scale.latent import embed
from sigma_scale.phases import (
    element_summary,
    phase_spectra,
    proportions,
    region_statistics,
    unmix,
)
from sigma_scale.workflow.models import clustering_arguments, make_umap

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.workflow.settings import RunSettings

__all__ = ["PhaseMapping", "check_settings", "choose_bin", "choose_lines", "map_phases"]

_log = logging.getLogger(__name__)

_COUNTS_PER_BIN = 150
"""Counts that tell minerals apart: lines of a tenth of them have an error of a quarter."""
_LARGEST_BIN = 8
_SMALLEST_SIDE = 24
"""Pixels that a binned map keeps along its shorter side."""
_END_MEMBERS = 5


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
        ``labels`` and ``probability`` (y, x).
    spectra : xarray.Dataset
        ``counts`` and ``mean`` (phase, energy) and ``n_pixels`` (phase).
    proportions, elements : pandas.DataFrame
        Area and likely elements of each phase.
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
    regions: pd.DataFrame
    weights: pd.DataFrame
    components: pd.DataFrame

    @property
    def bin_size(self) -> tuple[int, int]:
        """Columns and rows of a bin (x, y)."""
        factor_y, factor_x = self.image.processing.bin_factors
        return factor_x, factor_y


def map_phases(image: SpectrumImage, settings: RunSettings) -> PhaseMapping:
    """
    Find the phases of a map.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.
    settings : RunSettings
        What to do.

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
        If the feature maps don't fit the memory.
    """
    check_settings(image, settings)
    spectrum = _sum_spectrum(image)
    settings = replace(
        settings,
        lines=choose_lines(image, settings, spectrum),
        bin=choose_bin(image, settings, int(spectrum.sum())),
    )
    seen = _preprocess(image, settings)
    intensities = _intensities(seen, settings)
    maps = _feature_maps(seen, settings, intensities["line_intensity"])
    latent = _embed(maps, settings)
    clusters = _cluster(latent, settings)
    labels = clusters["labels"]
    spectra = phase_spectra(seen, labels, total=intensities["total"])
    elements = element_summary(
        spectra["counts"],
        settings.lines or (),
        resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev,
        beam_energy_kev=image.metadata.beam_energy_kev,
    )
    n_phases = spectra.sizes["phase"]
    n_components = settings.n_end_members or min(_END_MEMBERS, n_phases)
    weights, components = unmix(spectra["mean"], n_components, random_state=settings.random_state)
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
        elements=elements,
        regions=region_statistics(labels, intensities["line_intensity"]),
        weights=weights,
        components=components,
    )


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
        seen = _preprocess(image, settings)
    if settings.lines is not None:
        features.line_channels(seen, settings.lines)
    unknown = [step for step in settings.normalisation if step not in features.NORMALISATIONS]
    if unknown:
        raise ParameterError(
            f"Unknown normalisation {', '.join(unknown)}; there are: "
            f"{', '.join(features.NORMALISATIONS)}."
        )
    if settings.navigation and image.navigation is None:
        raise ParameterError("The map has no navigation image to use as a feature.")
    make_umap(settings)
    clustering_arguments(settings, 1)


def _sum_spectrum(image: SpectrumImage) -> xr.DataArray:
    lazy = image.sum_spectrum()
    (spectrum,) = compute.run(lazy, description="Sum spectrum")
    if not spectrum.any():
        raise EmptyMapError(f"The map {image.metadata.title!r} holds no counts.")
    measured: xr.DataArray = spectrum
    return measured


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
    kept = _preprocess(image, replace(settings, bin="auto"))
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
    per_pixel = counts / (rows * columns)
    largest = max(1, min(_LARGEST_BIN, min(rows, columns) // _SMALLEST_SIDE))
    wanted = next((n for n in range(1, largest) if n * n * per_pixel >= _COUNTS_PER_BIN), largest)
    return wanted, wanted


def _preprocess(image: SpectrumImage, settings: RunSettings) -> SpectrumImage:
    if settings.bin != "auto":
        image = preprocess.rebin(image, settings.bin)
    if settings.normalise:
        image = preprocess.normalise(image)
    if settings.remove_below_kev is not None:
        image = preprocess.remove_first_peak(image, settings.remove_below_kev)
    return image


def _intensities(image: SpectrumImage, settings: RunSettings) -> xr.Dataset:
    lines = settings.lines or ()
    rows, columns, _ = image.shape
    # Intensities, features, and the working copies of a normalisation step, in float64.
    compute.check_memory(
        rows * columns * (len(lines) + 2) * (4 + 4 + 16),
        what=f"Feature maps of {rows} x {columns} pixels and {len(lines)} lines",
        remedy="Use larger bins or fewer lines, or raise memory_limit.",
    )
    return features.feature_pass(image, lines, lazy=False).drop_vars("sum_spectrum")


def _feature_maps(
    image: SpectrumImage, settings: RunSettings, intensities: xr.DataArray
) -> xr.DataArray:
    maps = features.normalise_features(intensities, settings.normalisation)
    if not settings.navigation or image.navigation is None:
        return maps
    return features.append_navigation(maps, image.navigation, settings.normalisation)


def _embed(maps: xr.DataArray, settings: RunSettings) -> xr.DataArray:
    model = make_umap(settings)
    n_pixels = int(np.prod(maps.shape[:2]))
    if n_pixels <= model.n_neighbors:
        raise EmptyMapError(
            f"The binned map has {n_pixels} pixels, too few for n_neighbors={model.n_neighbors}. "
            "Use smaller bins."
        )
    return embed(maps, model)


def _cluster(latent: xr.DataArray, settings: RunSettings) -> xr.Dataset:
    n_pixels = int(np.prod(latent.shape[:2]))
    arguments = clustering_arguments(settings, n_pixels)
    return cluster_latent(latent, settings.clustering, arguments)
