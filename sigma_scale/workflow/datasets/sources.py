"""How a dataset begins: the map, its navigation image and its first feature list."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sigma_scale import compute, features, store
from sigma_scale.errors import (
    EnergyRangeError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
    UnknownLineError,
)
from sigma_scale.readers.arrays import as_spectrum_image
from sigma_scale.spectra import Processing
from sigma_scale.spectra.window_sums import load_window_sums, window_sums

if TYPE_CHECKING:
    import xarray as xr

    from sigma_scale.spectra import EnergyAxis, SpectrumImage

__all__ = ["first_features", "open_map", "total_counts"]

_VELOX = ".emd"
_IMAGE_DIMENSIONS = 2


def open_map(
    source: Any,
    nav_img: Any,
    energy: EnergyAxis | None,
    instrument: Literal["SEM", "TEM"],
) -> SpectrumImage:
    """
    Open a map and give it the navigation image that is given, if any.

    Parameters
    ----------
    source : path, SpectrumImage, xarray.DataArray, HyperSpy signal or array-like
        The map.
    nav_img : path, HyperSpy signal or array-like, optional, shape (y, x)
        Image on the map's grid.
    energy : EnergyAxis, optional
        Energies of the channels, for arrays.
    instrument : {"SEM", "TEM"}
        Kind of microscope.

    Raises
    ------
    ParameterError
        If the source holds no map or one that is processed already, or the image is no image.
    ShapeMismatchError
        If the image is of another shape than the map.
    SourceNotFoundError, FileFormatError, NoSpectraError
        If a file isn't there or can't be read.
    """
    image = as_spectrum_image(source, energy)
    if image.processing != Processing():
        raise ParameterError(
            "The image is binned or normalised already. Give the map as it was measured, and call "
            "the dataset's methods instead."
        )
    image = replace(image, metadata=replace(image.metadata, instrument=instrument))
    if nav_img is None:
        return image
    navigation = _navigation(nav_img, image.shape[:2])
    return replace(image, images={**image.images, "navigation": navigation})


def _navigation(given: Any, shape: tuple[int, int]) -> xr.DataArray:
    import xarray as xr

    if isinstance(given, str | Path):
        from sigma_scale.readers.element_maps.folder import read_intensity

        return read_intensity(Path(given), shape)
    values = np.asarray(getattr(given, "data", given) if hasattr(given, "axes_manager") else given)
    if values.ndim != _IMAGE_DIMENSIONS or values.dtype.kind not in "biuf":
        raise ParameterError(
            f"A navigation image has rows and columns of grey values, not {values.dtype} of the "
            f"shape {values.shape}."
        )
    if values.shape != shape:
        raise ShapeMismatchError(
            f"The navigation image has {values.shape[0]} x {values.shape[1]} pixels, the map "
            f"{shape[0]} x {shape[1]}. Resize it first."
        )
    return xr.DataArray(values, dims=("y", "x"))


def first_features(image: SpectrumImage) -> tuple[str, ...]:
    """
    Choose the features to begin with: the lines that a file names.

    For TEM and Velox files that name elements only, each element's Ka. Lines that are unknown or
    lie outside the measured energies are left out with a warning.

    Parameters
    ----------
    image : SpectrumImage
        The map.

    Returns
    -------
    tuple of str
    """
    metadata = image.metadata
    names = metadata.lines
    velox = any(source.name.lower().endswith(_VELOX) for source in metadata.sources)
    if not names and (velox or metadata.instrument == "TEM"):
        names = tuple(f"{element}_Ka" for element in metadata.elements)
    # A file may name a line twice; dict.fromkeys keeps the order.
    return tuple(name for name in dict.fromkeys(names) if _is_measured(image, name))


def _is_measured(image: SpectrumImage, name: str) -> bool:
    try:
        features.line_channels(image, [name])
    except (EnergyRangeError, UnknownLineError) as error:
        warnings.warn(
            f"The file names {name}, which is not in the feature list. {error}",
            SigmaScaleWarning,
            stacklevel=4,
        )
        return False
    return True


def total_counts(image: SpectrumImage) -> xr.DataArray:
    """
    Counts of each pixel, as an image for navigation where there is no other.

    Parameters
    ----------
    image : SpectrumImage
        The map as it was measured.

    Returns
    -------
    xarray.DataArray, shape (y, x)
        In memory, or lazy where it doesn't fit the option ``memory_limit``.
    """
    import xarray as xr

    stored = store.stored_total(image.source)
    if stored is not None:
        return xr.DataArray(stored, dims=("y", "x"), name="total", attrs={"units": "counts"})
    rows, columns, channels = image.source.shape
    everything = [range(channels)]
    sums: Any
    if rows * columns * 2 * np.dtype(np.uint64).itemsize > compute.memory_limit():
        sums = window_sums(image.source, everything)[0]
    else:
        sums = load_window_sums(image.source, everything, description="Total counts")[0]
    return xr.DataArray(sums[:, :, 0], dims=("y", "x"), name="total", attrs={"units": "counts"})
