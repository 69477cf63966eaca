"""The steps of the main job, each a function of what the one before it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import compute, features, preprocess
from sigma_scale.clustering import cluster_latent
from sigma_scale.errors import EmptyMapError
from sigma_scale.latent import embed
from sigma_scale.phases import unmix
from sigma_scale.workflow.models import clustering_arguments, make_umap

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.workflow.settings import RunSettings

__all__ = [
    "cluster_pixels",
    "embed_features",
    "feature_maps",
    "line_intensities",
    "measure_sum_spectrum",
    "preprocess_map",
    "unmix_phases",
]

_END_MEMBERS = 5


def measure_sum_spectrum(image: SpectrumImage) -> xr.DataArray:
    """
    Sum the spectra of a map.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.

    Returns
    -------
    xarray.DataArray, shape (energy,)

    Raises
    ------
    EmptyMapError
        If it holds no counts.
    """
    lazy = image.sum_spectrum()
    (spectrum,) = compute.run(lazy, description="Sum spectrum")
    if not spectrum.any():
        raise EmptyMapError(f"The map {image.metadata.title!r} holds no counts.")
    measured: xr.DataArray = spectrum
    return measured


def preprocess_map(image: SpectrumImage, settings: RunSettings) -> SpectrumImage:
    """
    See a map binned, normalised and without its first peak, as the settings say.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.
    settings : RunSettings
        Settings; bins that are not chosen yet leave the map as it is.

    Returns
    -------
    SpectrumImage
        Nothing is read.

    Raises
    ------
    ParameterError
        If a setting can't work for this map.
    """
    if settings.bin != "auto":
        image = preprocess.rebin(image, settings.bin)
    if settings.normalise:
        image = preprocess.normalise(image)
    if settings.remove_below_kev is not None:
        image = preprocess.remove_first_peak(image, settings.remove_below_kev)
    return image


def line_intensities(image: SpectrumImage, settings: RunSettings) -> xr.Dataset:
    """
    Measure the lines and the total of each pixel, in one pass over the counts.

    Parameters
    ----------
    image : SpectrumImage
        Result of :func:`preprocess_map`.
    settings : RunSettings
        Settings, with the lines chosen.

    Returns
    -------
    xarray.Dataset
        ``line_intensity`` (y, x, line) and ``total`` (y, x), in memory.

    Raises
    ------
    MemoryLimitError
        If the feature maps don't fit the memory.
    """
    lines = settings.lines or ()
    rows, columns, _ = image.shape
    # Intensities, features, and the working copies of a normalisation step, in float64.
    compute.check_memory(
        rows * columns * (len(lines) + 2) * (4 + 4 + 16),
        what=f"Feature maps of {rows} x {columns} pixels and {len(lines)} lines",
        remedy="Use larger bins or fewer lines, or raise memory_limit.",
    )
    return features.feature_pass(image, lines, lazy=False).drop_vars("sum_spectrum")


def feature_maps(
    image: SpectrumImage, settings: RunSettings, intensities: xr.DataArray
) -> xr.DataArray:
    """
    Make feature maps of line intensities.

    Parameters
    ----------
    image : SpectrumImage
        Result of :func:`preprocess_map`; its navigation image may be a feature.
    settings : RunSettings
        Settings.
    intensities : xarray.DataArray, shape (y, x, line)
        From :func:`line_intensities`.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
    """
    maps = features.normalise_features(intensities, settings.normalisation)
    if not settings.navigation or image.navigation is None:
        return maps
    return features.append_navigation(maps, image.navigation, settings.normalisation)


def embed_features(maps: xr.DataArray, settings: RunSettings) -> xr.DataArray:
    """
    Make the latent space.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        From :func:`feature_maps`.
    settings : RunSettings
        Settings.

    Returns
    -------
    xarray.DataArray, shape (y, x, component), float32

    Raises
    ------
    EmptyMapError
        If there are fewer pixels than neighbours.
    """
    model = make_umap(settings)
    n_pixels = int(np.prod(maps.shape[:2]))
    if n_pixels <= model.n_neighbors:
        raise EmptyMapError(
            f"The binned map has {n_pixels} pixels, too few for n_neighbors={model.n_neighbors}. "
            "Use smaller bins."
        )
    return embed(maps, model)


def cluster_pixels(latent: xr.DataArray, settings: RunSettings) -> xr.Dataset:
    """
    Cluster the pixels in their latent space.

    Parameters
    ----------
    latent : xarray.DataArray, shape (y, x, component)
        From :func:`embed_features`.
    settings : RunSettings
        Settings.

    Returns
    -------
    xarray.Dataset
        ``labels`` and ``probability`` (y, x).
    """
    n_pixels = int(np.prod(latent.shape[:2]))
    arguments = clustering_arguments(settings, n_pixels)
    return cluster_latent(latent, settings.clustering, arguments)


def unmix_phases(spectra: xr.DataArray, settings: RunSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Unmix the mean spectra of the phases.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Mean spectra.
    settings : RunSettings
        Settings; without ``n_end_members`` there are at most five.

    Returns
    -------
    weights, components : pandas.DataFrame
        See :func:`sigma_scale.phases.unmix`.
    """
    n_components = settings.n_end_members or min(_END_MEMBERS, spectra.sizes["phase"])
    return unmix(spectra, n_components, random_state=settings.random_state)
