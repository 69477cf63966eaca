"""The navigation image as a feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.features.normalisation import normalise_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from sigma_scale.features.normalisation import Normalisation

__all__ = ["NAVIGATOR", "append_navigation"]

NAVIGATOR = "Navigator"
"""Name of the feature."""


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
    steps : sequence of str or callable
        Normalisations for the image, usually those of the maps.

    Returns
    -------
    xarray.DataArray, shape (y, x, line + 1), float32
    """
    import xarray as xr
    from skimage.transform import resize

    shape = (maps.sizes["y"], maps.sizes["x"])
    resized = resize(
        np.asarray(navigation.data, dtype=np.float64),
        shape,
        anti_aliasing=True,
        preserve_range=True,
    )
    image = xr.DataArray(
        resized.astype(np.float32)[:, :, None],
        dims=("y", "x", "line"),
        coords={"line": [NAVIGATOR]},
    )
    others = maps.sel(line=[name for name in maps["line"].values if name != NAVIGATOR])
    feature = normalise_features(image, steps).assign_coords(y=maps["y"], x=maps["x"])
    joined: xr.DataArray = xr.concat([others.astype(np.float32), feature], dim="line")
    return joined.assign_attrs(maps.attrs)
