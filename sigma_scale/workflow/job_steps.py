"""The steps of the main job, each a function of what the one before it made."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import compute, features, preprocess, store
from sigma_scale.clustering.cluster import fit_clusters
from sigma_scale.clustering.placed import number_clusters
from sigma_scale.errors import EmptyMapError, SigmaScaleWarning
from sigma_scale.latent import embed
from sigma_scale.phases import unmix
from sigma_scale.workflow.models import clustering_arguments, make_umap

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sigma_scale.clustering.cluster import FittedClusters
    from sigma_scale.latent import UMAP
    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.workflow.settings import RunSettings

__all__ = [
    "MOST_FITTED",
    "cluster_pixels",
    "embed_features",
    "feature_maps",
    "fit_latent",
    "fit_pixels",
    "line_intensities",
    "measure_sum_spectrum",
    "navigator_map",
    "preprocess_map",
    "unmix_phases",
]

_END_MEMBERS = 5

MOST_FITTED = 4_000_000
"""
Pixels that a clustering is fitted on, at most: a cluster of a two-thousandth of the map still has
two thousand of them, and HDBSCAN takes half a gigabyte.
"""


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
    stored = store.stored_sum_spectrum(image.source)
    if stored is None or image.processing.zeroed_below:
        (spectrum,) = compute.run(lazy, description="Sum spectrum")
    else:
        spectrum = lazy.copy(data=stored)
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


def line_intensities(
    image: SpectrumImage, settings: RunSettings, *, lazy: bool = False
) -> xr.Dataset:
    """
    Measure the lines and the total of each pixel, in one pass over the counts.

    Parameters
    ----------
    image : SpectrumImage
        Result of :func:`preprocess_map`.
    settings : RunSettings
        Settings, with the lines chosen.
    lazy : bool, default: False
        Measure them when they are asked for, chunk by chunk. All that follows is lazy then.

    Returns
    -------
    xarray.Dataset
        ``line_intensity`` (y, x, line) and ``total`` (y, x), in memory unless they are lazy.

    Raises
    ------
    MemoryLimitError
        If the feature maps don't fit the memory in which they should be.
    """
    lines = settings.lines or ()
    if lazy:
        return features.feature_pass(image, lines).drop_vars("sum_spectrum")
    rows, columns, _ = image.shape
    # Intensities, features, and the working copies of a normalisation step, in float64.
    compute.check_memory(
        rows * columns * (len(lines) + 2) * (4 + 4 + 16),
        what=f"Feature maps of {rows} x {columns} pixels and {len(lines)} lines",
        remedy="Use larger bins or fewer lines, or raise memory_limit.",
    )
    return features.feature_pass(image, lines, lazy=False).drop_vars("sum_spectrum")


def feature_maps(
    image: SpectrumImage,
    settings: RunSettings,
    intensities: xr.DataArray,
    *,
    navigator: xr.DataArray | None = None,
) -> xr.DataArray:
    """
    Make feature maps of line intensities.

    Of a mosaic, intensities are corrected for the doses of its tiles, and its gaps become NaN.

    Parameters
    ----------
    image : SpectrumImage
        Result of :func:`preprocess_map`; its navigation image may be a feature.
    settings : RunSettings
        Settings.
    intensities : xarray.DataArray, shape (y, x, line)
        From :func:`line_intensities`, lazy or not.
    navigator : xarray.DataArray, shape (y, x, 1), optional
        Result of :func:`navigator_map`, lazy or not. None: it is made where it is wanted.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        Lazy where the intensities are. Means and standard deviations of lazy ones, which a
        z-score needs, are found at once.

    Raises
    ------
    MemoryLimitError
        If the navigation image doesn't fit the memory.
    """
    comparable = features.correct_dose(intensities, image)
    maps = features.normalise_features(comparable, settings.normalisation, streamed=True)
    if not settings.navigation or image.navigation is None:
        return maps
    if navigator is None:
        navigator = navigator_map(image, settings, image.navigation, maps)
    return features.join_navigation(maps, navigator)


def navigator_map(
    image: SpectrumImage, settings: RunSettings, navigation: xr.DataArray, maps: xr.DataArray
) -> xr.DataArray:
    """
    Make a feature of the navigation image.

    Parameters
    ----------
    image : SpectrumImage
        Result of :func:`preprocess_map`.
    settings : RunSettings
        Settings.
    navigation : xarray.DataArray, shape (y, x)
        Its navigation image.
    maps : xarray.DataArray, shape (y, x, line)
        Maps of the binned pixels; they are not read.

    Returns
    -------
    xarray.DataArray, shape (y, x, 1), float32
        In memory.

    Raises
    ------
    MemoryLimitError
        If the image doesn't fit the memory.
    """
    unbinned = image.with_processing(bin_factors=(1, 1))
    measured = features.mask_gaps(navigation, unbinned)
    return features.navigation_feature(maps, measured, settings.normalisation)


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
    return embed(maps, fit_latent(maps, settings))


def fit_latent(maps: xr.DataArray, settings: RunSettings) -> UMAP:
    """
    Fit the model of the latent space to landmarks of the feature maps.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        From :func:`feature_maps`; lazy ones are read once, chunk by chunk.
    settings : RunSettings
        Settings.

    Returns
    -------
    UMAP
        The fitted model.

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
    return model.fit(maps)


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
    return number_clusters(fit_pixels(latent, settings).place(latent))


def fit_pixels(latent: xr.DataArray, settings: RunSettings) -> FittedClusters:
    """
    Fit the clustering to the pixels, or to a sample of some millions where there are more.

    Parameters
    ----------
    latent : xarray.DataArray, shape (y, x, component)
        From :func:`embed_features`, lazy or not.
    settings : RunSettings
        Settings.

    Returns
    -------
    FittedClusters
    """
    # Those in the gaps of a mosaic are none.
    number = latent[:, :, 0].notnull().sum()  # noqa: PD004 -- of xarray, which has no notna
    (placed,) = compute.run(number, description="Counting pixels")
    arguments = clustering_arguments(settings, int(placed))
    return fit_clusters(latent, settings.clustering, arguments, n_fit=MOST_FITTED)


def unmix_phases(spectra: xr.DataArray, settings: RunSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Unmix the mean spectra of the phases.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Mean spectra.
    settings : RunSettings
        Settings; without ``n_end_members`` there are at most five. There are never more than
        phases, whose number nobody knows before.

    Returns
    -------
    weights, components : pandas.DataFrame
        See :func:`sigma_scale.phases.unmix`.

    Warns
    -----
    SigmaScaleWarning
        If more end members were asked for than there are phases.
    """
    n_phases = spectra.sizes["phase"]
    asked = settings.n_end_members
    if asked is not None and asked > n_phases:
        warnings.warn(
            f"n_end_members is {asked}, but there are only {n_phases} phases: their spectra are "
            f"unmixed into {n_phases} end members.",
            SigmaScaleWarning,
            stacklevel=2,
        )
    n_components = min(asked or _END_MEMBERS, n_phases)
    return unmix(spectra, n_components, random_state=settings.random_state)
