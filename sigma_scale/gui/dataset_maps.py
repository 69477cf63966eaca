"""Maps of a dataset as its views show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale import features
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.features.navigation import NAVIGATOR

if TYPE_CHECKING:
    import xarray as xr

    from sigma_scale.workflow.datasets import SpectrumDataset
    from sigma_scale.workflow.image_dataset import ImageDataset

__all__ = [
    "WINDOW_COUNTS",
    "comparable_maps",
    "line_features",
    "map_names",
    "maps_of",
    "placed_image",
]

WINDOW_COUNTS = (
    "Counts in the window of each line, background included; each map has its own contrast."
)
"""Caption of such maps."""

_RAW, _BINNED, _NORMALISED = "raw", "binned", "normalised"


def line_features(dataset: SpectrumDataset | ImageDataset) -> list[str]:
    """Features that are lines or elements: all but the navigation image."""
    return [name for name in dataset.feature_list if name != NAVIGATOR]


def map_names(maps: xr.DataArray) -> list[str]:
    """Names of maps."""
    return [str(name) for name in maps["line"].to_numpy()]


def maps_of(dataset: SpectrumDataset | ImageDataset, data: str | None) -> xr.DataArray:
    """
    Give maps of the features.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        Whose maps.
    data : {"raw", "binned", "normalised"} or None
        "raw": before any step on the spectra or the maps. None: normalised ones if there are,
        else those of the bins.

    Returns
    -------
    xarray.DataArray, shape (y, x, line)
        Lazy or not; with NaN in the gaps of a mosaic.

    Raises
    ------
    ParameterError
        If there are no such maps.
    """
    if data not in {None, _RAW, _BINNED, _NORMALISED}:
        raise ParameterError(f"data is {_RAW!r}, {_BINNED!r} or {_NORMALISED!r}, and not {data!r}.")
    if data == _RAW:
        return _raw_maps(dataset)
    if data == _BINNED:
        return _binned_maps(dataset)
    try:
        return dataset.normalised_maps
    except ParameterError:
        if data == _NORMALISED:
            raise
        return _binned_maps(dataset)


def comparable_maps(dataset: SpectrumDataset | ImageDataset) -> xr.DataArray:
    """
    Give the maps that a normalisation begins with.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        Whose maps.

    Returns
    -------
    xarray.DataArray, shape (y, x, line)
        Lazy or not; those of a mosaic are corrected for the doses of its tiles, with NaN in gaps.
    """
    maps, image = dataset.feature_maps, dataset.processed
    return maps if image is None else features.correct_dose(maps, image)


def _binned_maps(dataset: SpectrumDataset | ImageDataset) -> xr.DataArray:
    maps, image = dataset.feature_maps, dataset.processed
    return maps if image is None else features.mask_gaps(maps, image)


def _raw_maps(dataset: SpectrumDataset | ImageDataset) -> xr.DataArray:
    spectra = dataset.spectra
    if spectra is not None:
        counts = features.line_intensity(spectra, line_features(dataset))
        return features.mask_gaps(counts, spectra)
    maps: xr.DataArray = dataset.maps.maps  # type: ignore[union-attr]
    return maps.sel(line=line_features(dataset))


def placed_image(dataset: SpectrumDataset | ImageDataset) -> xr.DataArray:
    """
    Give the navigation image with the coordinates of the map's pixels, for its scale bar.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        Whose image.

    Returns
    -------
    xarray.DataArray, shape (y, x)

    Raises
    ------
    EmptyMapError
        If there is none.
    """
    image = dataset.nav_img
    if image is None:
        raise EmptyMapError("The dataset has no navigation image.")
    spectra = dataset.spectra
    if spectra is None or image.shape != spectra.shape[:2]:
        return image
    image = features.mask_gaps(image, spectra)
    coordinates = spectra.coordinates()
    return image.assign_coords({name: coordinates[name] for name in ("y", "x")})
