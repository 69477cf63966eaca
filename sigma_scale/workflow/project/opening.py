"""What a store holds: the map, how it was processed, and what was derived from it."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import store
from sigma_scale.errors import FileFormatError, SigmaScaleError, SigmaScaleWarning, StoreError
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.store.layout import EDITS, open_group
from sigma_scale.store.places import place_at
from sigma_scale.workflow.datasets import SEMDataset, TEMDataset
from sigma_scale.workflow.project.stored_settings import features_recipe, stored_settings
from sigma_scale.workflow.segmenter import PixelSegmenter

if TYPE_CHECKING:
    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.workflow.settings import RunSettings

__all__ = ["GROUPS", "Opened", "find_store", "open_derived", "stamps"]

GROUPS = ("binned", "latent", "phases")
"""Groups of derived results, each made of the one before."""

_STORE = "map.zarr"
_SETTINGS = "settings.yaml"


@dataclass(frozen=True, eq=False, kw_only=True)
class Opened:
    """
    What a store holds.

    Parameters
    ----------
    settings : RunSettings
        How the results were made, or would be.
    dataset : SEMDataset or TEMDataset
        The map with the steps of the settings.
    maps : xarray.DataArray, shape (y, x, line), optional
        Feature maps, lazy.
    latent : xarray.DataArray, shape (y, x, component), optional
        Latent space, in memory.
    segmenter : PixelSegmenter, optional
        Clusters as they were found.
    stamps : tuple
        Tells these results from others that come in their place.
    """

    settings: RunSettings
    dataset: SEMDataset | TEMDataset
    maps: xr.DataArray | None
    latent: xr.DataArray | None
    segmenter: PixelSegmenter | None
    stamps: tuple[Any, ...]


def find_store(path: store.PathOrUrl) -> tuple[store.Location, str, Path | None]:
    """
    Find a store and the settings it was processed with.

    Parameters
    ----------
    path : path or URL
        A store, or a folder of results that holds one.

    Returns
    -------
    store : pathlib.Path or UrlPath
    name : str
        What to call it.
    settings : pathlib.Path or None
        File of settings.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    FileFormatError
        If it is a file.
    StoreError
        If there is no finished store.
    """
    given = store.locate(path)
    if given.is_file():
        raise FileFormatError(
            f"{given} is a file, not a store. Make a store of it and open that: sigma-scale ingest "
            f"{quote(str(given))} {quote(str(given.with_name(f'{given.stem}.zarr')))}"
        )
    found, folder = given, given.parent
    if not (given / "zarr.json").exists() and (given / _SETTINGS).is_file():
        found, folder = given / _STORE, given
        if not found.exists():
            raise StoreError(
                f"{given} holds the results of a store that lies elsewhere. Open that store."
            )
    _check_edits(found)
    open_group(found)
    settings = folder / _SETTINGS if isinstance(folder, Path) else None
    with_results = found.name == _STORE and settings is not None and settings.is_file()
    name = folder.resolve().name if with_results else found.resolve().stem
    return found.resolve(), name, settings if with_results else None


def _check_edits(path: store.Location) -> None:
    """Name edits that zarr can't even list, over which it would stumble without a word."""
    for file in path.glob(f"{EDITS}*/zarr.json"):
        try:
            json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise StoreError(
                f"The edits in {file.parent} can't be read: {error}. The map is unharmed: move "
                "that folder out of the store, and open it again."
            ) from error


def stamps(path: store.Location) -> tuple[Any, ...]:
    """
    Give what changes when results are replaced.

    Parameters
    ----------
    path : pathlib.Path or UrlPath
        The store.

    Returns
    -------
    tuple
    """
    place = place_at(path)
    return tuple(place.stamp(f"{name}/zarr.json") for name in GROUPS)


def open_derived(path: store.Location, image: SpectrumImage, settings_file: Path | None) -> Opened:
    """
    Open what was derived from a map; the counts are not read.

    Parameters
    ----------
    path : pathlib.Path or UrlPath
        The store.
    image : SpectrumImage
        Its map.
    settings_file : pathlib.Path, optional
        Settings that may have been used.

    Returns
    -------
    Opened

    Raises
    ------
    StoreError
        If results can't be read.
    ParameterError
        If the settings can't work for this map.

    Warns
    -----
    SigmaScaleWarning
        If results don't belong together; those that follow from others are left out.
    """
    marks = stamps(path)
    try:
        groups = _belonging(path)
        settings = stored_settings(image, groups, settings_file)
        dataset = _dataset(image, settings)
        maps = _take_maps(dataset, settings, groups.get("binned"))
        latent = _latent(groups.get("latent"), dataset.shape)
        segmenter = None
        if latent is not None and "phases" not in groups:
            latent = latent.copy(data=_read(latent)[0])
        elif latent is not None:
            segmenter = _segmenter(latent, dataset, groups["phases"])
            # One copy of the coordinates is enough.
            latent = latent.copy(data=segmenter.latent.reshape(latent.shape))
    except SigmaScaleError:
        raise
    except (OSError, LookupError, ValueError, TypeError) as error:
        raise StoreError(f"The results in {path} can't be read: {error}") from error
    return Opened(
        settings=settings, dataset=dataset, maps=maps, latent=latent, segmenter=segmenter,
        stamps=marks,
    )  # fmt: skip


def _belonging(path: store.Location) -> dict[str, xr.Dataset]:
    """Results that are complete and were made of each other, as far as that is written."""
    found: dict[str, xr.Dataset] = {}
    before: Any = None
    for name, part, variable in zip(
        GROUPS, (None, "features", "latent"), ("features", "latent", None), strict=True
    ):
        if not (path / name / "zarr.json").exists():
            break
        try:
            group = store.open_result(path, name)
        except StoreError as error:
            _leave_out(name, str(error))
            break
        recipe = (group.attrs if variable is None else group[variable].attrs).get("recipe", {})
        made_of = None if part is None else recipe.get(part)
        if made_of is not None and made_of != before:
            _leave_out(name, f"It was not made of the results {GROUPS[len(found) - 1]!r} there.")
            break
        found[name] = group
        before = recipe
    return found


def _leave_out(name: str, why: str) -> None:
    warnings.warn(
        f"The results {name!r} of the store are not used. {why}", SigmaScaleWarning, stacklevel=2
    )


def _dataset(image: SpectrumImage, settings: RunSettings) -> SEMDataset | TEMDataset:
    kind = TEMDataset if image.metadata.instrument == "TEM" else SEMDataset
    with warnings.catch_warnings():
        # What is left out was said when the lines were chosen.
        warnings.simplefilter("ignore", SigmaScaleWarning)
        dataset: SEMDataset | TEMDataset = kind(image)
        if settings.bin not in ("auto", (1, 1)):
            dataset.rebin_signal(settings.bin)  # type: ignore[arg-type]
        if settings.normalise:
            dataset.peak_intensity_normalisation()
        if settings.remove_below_kev is not None:
            dataset.remove_first_peak(settings.remove_below_kev)
        if settings.lines:
            dataset.set_feature_list(list(settings.lines))
    return dataset


def _take_maps(
    dataset: SEMDataset | TEMDataset, settings: RunSettings, binned: xr.Dataset | None
) -> xr.DataArray | None:
    if binned is None:
        return None
    maps: xr.DataArray = binned["features"].rename(feature="line")
    steps = features_recipe(binned).get("normalisation", settings.normalisation)
    dataset.take_maps(
        binned["line_intensity"],
        maps,
        norm_list=tuple(steps),
        navigator=NAVIGATOR in maps["line"].values,
    )
    return maps


def _latent(group: xr.Dataset | None, shape: tuple[int, int]) -> xr.DataArray | None:
    if group is None:
        return None
    lazy = group["latent"]
    if lazy.shape[:2] != tuple(shape):
        _leave_out("latent", "They are of another number of pixels than the binned map.")
        return None
    return lazy


def _segmenter(
    latent: xr.DataArray, dataset: SEMDataset | TEMDataset, group: xr.Dataset
) -> PixelSegmenter:
    recipe = group.attrs.get("recipe", {})
    coordinates, labels, probability = _read(latent, group["labels"], group["probability"])
    return PixelSegmenter.from_labels(
        latent.copy(data=coordinates),
        dataset,
        labels,
        probability=probability,
        method=str(recipe.get("model", "labels")).rpartition(".")[2],
        recipe=recipe,
    )


def _read(*lazy: xr.DataArray) -> list[np.ndarray[Any, Any]]:
    """Read arrays together, in threads of this process, wherever Dask would work."""
    import dask.base
    import dask.threaded

    # The function, not its name, for which Dask would import its distributed part first.
    values = dask.base.compute(*(each.data for each in lazy), scheduler=dask.threaded.get)
    return [np.asarray(each) for each in values]
