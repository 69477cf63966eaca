"""Settings that the results of a store were made with."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import xarray as xr

from sigma_scale import store
from sigma_scale.errors import ParameterError, SigmaScaleError
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.workflow.settings import RunSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

__all__ = ["features_recipe", "known_sum_spectrum", "stored_settings", "with_settings"]

_KEY = "settings"


def with_settings(group: xr.Dataset, settings: RunSettings) -> xr.Dataset:
    """
    Note in a result which settings it was made with.

    Parameters
    ----------
    group : xarray.Dataset
        The result.
    settings : RunSettings
        The settings.

    Returns
    -------
    xarray.Dataset
    """
    return group.assign_attrs({_KEY: json.loads(json.dumps(asdict(settings)))})


def stored_settings(
    image: SpectrumImage, groups: Mapping[str, xr.Dataset], file: Path | None
) -> RunSettings:
    """
    Find out which settings the results were made with.

    Parameters
    ----------
    image : SpectrumImage
        The map.
    groups : mapping of str to xarray.Dataset
        Results, in the order in which they were made.
    file : pathlib.Path, optional
        Settings of a run, where it left them.

    Returns
    -------
    RunSettings
        Those noted in the last result; else those of the file, if the results were made so; else
        as far as the recipes of the results tell; else those that would be chosen.

    Raises
    ------
    ParameterError
        If the file can't be read.
    """
    for group in reversed(list(groups.values())):
        if _KEY in group.attrs:
            return RunSettings.from_mapping(group.attrs[_KEY])
    written = None if file is None else RunSettings.from_yaml(file)
    if "binned" not in groups:
        return _chosen(image, written or RunSettings())
    if written is not None and _made_so(image, written, groups["binned"]):
        return written
    return _from_recipes(image, groups)


def known_sum_spectrum(image: SpectrumImage) -> xr.DataArray | None:
    """
    Give the sum spectrum of a map, if its store has it.

    Parameters
    ----------
    image : SpectrumImage
        The map.

    Returns
    -------
    xarray.DataArray, shape (energy,), or None
    """
    values = store.stored_sum_spectrum(image.source)
    return None if values is None else xr.DataArray(values, dims=("energy",))


def features_recipe(binned: xr.Dataset) -> dict[str, Any]:
    """
    Give the recipe of feature maps.

    Parameters
    ----------
    binned : xarray.Dataset
        The group of a store with them.

    Returns
    -------
    dict
    """
    recipe = binned["features"].attrs.get("recipe", {})
    return dict(recipe) if isinstance(recipe, dict) else {}


def _chosen(image: SpectrumImage, settings: RunSettings) -> RunSettings:
    from sigma_scale.workflow.pipeline import choose_bin, choose_lines

    spectrum = known_sum_spectrum(image)
    if spectrum is None:
        return settings
    try:
        lines: tuple[str, ...] | None = choose_lines(image, settings, spectrum)
    except ParameterError:  # none to be found; whoever measures features will hear of it
        lines = settings.lines
    return replace(settings, lines=lines, bin=choose_bin(image, settings, int(spectrum.sum())))


def _made_so(image: SpectrumImage, settings: RunSettings, binned: xr.Dataset) -> bool:
    """Whether feature maps were made with these settings."""
    from sigma_scale.workflow.job_steps import preprocess_map

    recipe = features_recipe(binned)
    try:
        steps = preprocess_map(image, settings).processing.recipe()
    except SigmaScaleError:
        return False
    expected = json.loads(json.dumps(steps)) | {
        "lines": list(settings.lines or ()),
        "normalisation": list(settings.normalisation),
    }
    has_navigation = NAVIGATOR in binned["feature"].values
    return settings.navigation == has_navigation and all(
        recipe.get(key) == value for key, value in expected.items()
    )


def _from_recipes(image: SpectrumImage, groups: Mapping[str, xr.Dataset]) -> RunSettings:
    # Their models need scikit-learn, a second's import that other stores can do without.
    from sigma_scale.clustering.cluster import make_clusterer
    from sigma_scale.latent import UMAP

    binned = groups["binned"]
    recipe = features_recipe(binned)
    rows, columns = recipe.get("bin_yx", (1, 1))
    first = int(recipe.get("zeroed_below_channel") or 0)
    values: dict[str, Any] = {
        "lines": binned["line"].values.tolist(),
        "bin": (int(columns), int(rows)),
        "normalise": recipe.get("normalised_from_channel") is not None,
        "remove_below_kev": float(image.energy.values[first]) if first else None,
        "normalisation": recipe.get("normalisation", ()),
        "navigation": NAVIGATOR in binned["feature"].values,
    }
    if "latent" in groups:
        model = groups["latent"]["latent"].attrs.get("recipe", {})
        if str(model.get("model", "")).endswith(".UMAP"):
            changed = _changed(model["parameters"], UMAP().get_params())
            values["random_state"] = changed.pop("random_state", None) or 0
            values["latent"] = changed
    if "phases" in groups:
        model = groups["phases"].attrs.get("recipe", {})
        method = str(model.get("model", "")).rpartition(".")[2]
        try:
            defaults = make_clusterer(method).get_params()
        except ParameterError:
            return RunSettings(**values)
        changed = _changed(model["parameters"], defaults)
        changed.pop("random_state", None)
        values |= {"clustering": method, "clustering_args": changed}
    return RunSettings(**values)


def _changed(parameters: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that differ from the defaults."""
    return {
        name: value
        for name, value in parameters.items()
        if name in defaults and value != defaults[name]
    }
