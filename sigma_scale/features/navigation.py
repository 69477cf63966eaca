"""The navigation image as a feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import compute
from sigma_scale.features.normalisation import normalise_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.features.normalisation import Normalisation

__all__ = ["NAVIGATOR", "append_navigation", "join_navigation", "navigation_feature"]

NAVIGATOR = "Navigator"
"""Name of the feature."""

_BYTES_PER_PIXEL = 32
"""Of an image that is resized: in double precision, once more filtered, and what is known of it."""

_LEAST_KNOWN = 1e-3
"""Share of a pixel's neighbourhood, as the filter weighs it, that has to be known."""


def append_navigation(
    maps: xr.DataArray, navigation: xr.DataArray, steps: Sequence[str | Normalisation] = ()
) -> xr.DataArray:
    """
    Append the navigation image to feature maps.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Normalised feature maps. A ``Navigator`` that is there already is replaced.
    navigation : xarray.DataArray, shape (any y, any x)
        Image of the same area at any resolution; it is resized to the maps with anti-aliasing.
        Pixels that are NaN, as in the gaps of a mosaic, take no part.
    steps : sequence of str or callable
        Normalisations for the image, usually those of the maps.

    Returns
    -------
    xarray.DataArray, shape (y, x, line + 1), float32
        The image is NaN where nothing of it is known; elsewhere it is not corrected for the doses
        of tiles, with which grey values need not rise.
    """
    return join_navigation(maps, navigation_feature(maps, navigation, steps))


def join_navigation(maps: xr.DataArray, feature: xr.DataArray) -> xr.DataArray:
    """
    Append the feature that is made of the navigation image.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Feature maps, lazy or not. A ``Navigator`` that is there already is replaced.
    feature : xarray.DataArray, shape (y, x, 1)
        From :func:`navigation_feature`.

    Returns
    -------
    xarray.DataArray, shape (y, x, line + 1), float32
    """
    import xarray as xr

    others = maps.sel(line=[name for name in maps["line"].values if name != NAVIGATOR])
    joined: xr.DataArray = xr.concat([others.astype(np.float32), feature], dim="line")
    return joined.assign_attrs(maps.attrs)


def navigation_feature(
    maps: xr.DataArray, navigation: xr.DataArray, steps: Sequence[str | Normalisation] = ()
) -> xr.DataArray:
    """
    Make a feature of the navigation image.

    Parameters
    ----------
    maps, navigation, steps
        As for :func:`append_navigation`; the maps are not read.

    Returns
    -------
    xarray.DataArray, shape (y, x, 1), float32
        In memory.

    Raises
    ------
    MemoryLimitError
        If the image doesn't fit.
    """
    import xarray as xr

    compute.check_memory(
        navigation.size * _BYTES_PER_PIXEL,
        what=f"The navigation image of {navigation.size:,} pixels as a feature",
        remedy="Leave it out of the features, or raise memory_limit.",
    )
    shape = (maps.sizes["y"], maps.sizes["x"])
    resized = _resized(np.asarray(navigation.data, dtype=np.float64), shape)
    image = xr.DataArray(
        resized.astype(np.float32)[:, :, None],
        dims=("y", "x", "line"),
        coords={"line": [NAVIGATOR]},
    )
    feature = normalise_features(image, steps)
    return feature.assign_coords(y=maps["y"], x=maps["x"])


def _resized(image: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Resize an image; next to gaps from the part of the neighbourhood that is known."""
    from skimage.transform import resize

    def to_shape(values: NDArray[np.float64]) -> NDArray[np.float64]:
        done: NDArray[np.float64] = resize(values, shape, anti_aliasing=True, preserve_range=True)
        return done

    known = ~np.isnan(image)
    if known.all():
        return to_shape(image)
    share = to_shape(known.astype(np.float64))
    summed = to_shape(np.where(known, image, 0.0))
    resized: NDArray[np.float64] = np.full(shape, np.nan)
    np.divide(summed, share, out=resized, where=share > _LEAST_KNOWN)
    return resized
