"""The steps of the main job, each kept in a step store, and in the order in which it needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale import config
from sigma_scale.clustering.density.placer import DensityPlacer, StoredPlacer
from sigma_scale.clustering.placed import number_clusters, placer_of
from sigma_scale.latent import UMAP, embed
from sigma_scale.phases import phase_contacts, phase_spectra, region_statistics
from sigma_scale.workflow import job_steps
from sigma_scale.workflow.job_steps import (
    feature_maps,
    fit_latent,
    fit_pixels,
    line_intensities,
    navigator_map,
)
from sigma_scale.workflow.kept_tables import dataset_of_table, table_of_dataset

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sigma_scale.clustering.cluster import FittedClusters
    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.workflow.settings import RunSettings
    from sigma_scale.workflow.step_store import StepStore

__all__ = [
    "keep_clusters",
    "keep_contacts",
    "keep_features",
    "keep_intensities",
    "keep_latent",
    "keep_regions",
    "keep_spectra",
]


def keep_intensities(image: SpectrumImage, settings: RunSettings, steps: StepStore) -> xr.Dataset:
    """
    Measure the lines; see :func:`~sigma_scale.workflow.job_steps.line_intensities`.

    Parameters
    ----------
    image : SpectrumImage
        The map, seen through the preprocessing.
    settings : RunSettings
        Settings, with lines and bins chosen.
    steps : StepStore
        Where to keep them.

    Returns
    -------
    xarray.Dataset
        ``line_intensity`` (y, x, line) and ``total`` (y, x); lazy if they are kept.
    """
    return steps.keep(
        "line_intensity",
        lambda: line_intensities(image, settings, lazy=steps.on_disk),
        recipe=[settings.lines, settings.bin, settings.normalise, settings.remove_below_kev],
    )


def keep_features(
    image: SpectrumImage, settings: RunSettings, intensities: xr.DataArray, steps: StepStore
) -> xr.DataArray:
    """
    Make the feature maps; see :func:`~sigma_scale.workflow.job_steps.feature_maps`.

    Parameters
    ----------
    image, settings, steps
        As for :func:`keep_intensities`.
    intensities : xarray.DataArray, shape (y, x, line)
        Its result.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        Lazy if they are kept.
    """
    recipe = [settings.normalisation, settings.navigation]
    navigation, navigator = image.navigation, None
    if steps.on_disk and settings.navigation and navigation is not None:
        made = steps.keep(
            "navigator",
            lambda: navigator_map(image, settings, navigation, intensities).to_dataset(
                name="navigator"
            ),
            recipe=recipe,
        )
        navigator = made["navigator"]

    def features() -> xr.Dataset:
        maps = feature_maps(image, settings, intensities, navigator=navigator)
        return maps.to_dataset(name="features")

    return steps.keep("features", features, recipe=recipe)["features"]


def keep_latent(maps: xr.DataArray, settings: RunSettings, steps: StepStore) -> xr.DataArray:
    """
    Fit the model of the latent space and place all pixels in it.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Result of :func:`keep_features`.
    settings, steps
        As for :func:`keep_intensities`.

    Returns
    -------
    xarray.DataArray, shape (y, x, component), float32
        Lazy if it is kept.
    """
    model = steps.keep_model(
        "umap",
        lambda: fit_latent(maps, settings),
        UMAP.save,
        UMAP.load,
        recipe=[settings.latent, settings.random_state, config.get("engine")],
    )
    return steps.keep("latent", lambda: embed(maps, model).to_dataset(name="latent"))["latent"]


def keep_clusters(latent: xr.DataArray, settings: RunSettings, steps: StepStore) -> xr.Dataset:
    """
    Cluster the pixels in their latent space.

    Parameters
    ----------
    latent : xarray.DataArray, shape (y, x, component)
        Result of :func:`keep_latent`.
    settings, steps
        As for :func:`keep_intensities`.

    Returns
    -------
    xarray.Dataset
        ``labels`` and ``probability`` (y, x); lazy if they are kept.
    """

    def placed() -> xr.Dataset:
        fitted = fit_pixels(latent, settings)
        return fitted.place(latent, None if fitted.own is not None else _placer(fitted, steps))

    recipe: list[Any] = [
        settings.clustering,
        settings.clustering_args,
        settings.random_state,
        job_steps.MOST_FITTED,
        config.get("engine"),
    ]
    return number_clusters(steps.keep("placed", placed, recipe=recipe))


def _placer(fitted: FittedClusters, steps: StepStore) -> Any:
    """Give what places pixels; a large one as files, which the workers of a machine share."""
    placer = placer_of(fitted.model)
    folder = steps.place("placer")
    if folder is None or not isinstance(placer, DensityPlacer):
        return placer
    placer.save(folder)
    return StoredPlacer(str(folder))


def keep_spectra(
    image: SpectrumImage, labels: xr.DataArray, total: xr.DataArray, steps: StepStore
) -> xr.Dataset:
    """
    Sum the spectra of the phases; see :func:`~sigma_scale.phases.phase_spectra`.

    Parameters
    ----------
    image, steps
        As for :func:`keep_intensities`.
    labels, total : xarray.DataArray, shape (y, x)
        Phase of each pixel, and what its spectrum is divided by.

    Returns
    -------
    xarray.Dataset
        In memory.
    """
    return steps.keep("spectra", lambda: phase_spectra(image, labels, total=total)).compute()


def keep_contacts(labels: xr.DataArray, steps: StepStore) -> xr.Dataset:
    """
    Measure the borders of the phases; see :func:`~sigma_scale.phases.phase_contacts`.

    Parameters
    ----------
    labels, steps
        As for :func:`keep_spectra`.

    Returns
    -------
    xarray.Dataset
        In memory.
    """
    return steps.keep("contacts", lambda: phase_contacts(labels)).compute()


def keep_regions(labels: xr.DataArray, lines: xr.DataArray, steps: StepStore) -> pd.DataFrame:
    """
    Measure the connected regions; see :func:`~sigma_scale.phases.region_statistics`.

    Parameters
    ----------
    labels, steps
        As for :func:`keep_spectra`.
    lines : xarray.DataArray, shape (y, x, line)
        Intensities of the lines.

    Returns
    -------
    pandas.DataFrame
    """
    if not steps.on_disk:
        return region_statistics(labels, lines)
    kept = steps.keep("regions", lambda: dataset_of_table(region_statistics(labels, lines)))
    return table_of_dataset(kept)
