"""Normalisation of feature maps: neighbour averaging, z-score, softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError
from sigma_scale.features.moments import add_sums, chunk_sums, mean_and_std

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import dask.array as da
    import xarray as xr
    from numpy.typing import NDArray

    Normalisation = Callable[[xr.DataArray], xr.DataArray]

__all__ = [
    "NORMALISATIONS",
    "neighbour_averaging",
    "normalise_features",
    "softmax",
    "zscore",
]

_WINDOW = 3
_MAP_DIMS = 3


def neighbour_averaging(maps: xr.DataArray) -> xr.DataArray:
    """
    Average each pixel with its neighbours.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Feature maps, lazy or not. Values that are NaN were not measured.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        Mean over the 3 x 3 neighbourhood; at the edges, and beside gaps, over the neighbours that
        exist. What is NaN stays NaN.

    Raises
    ------
    ParameterError
        If it is no array of three dimensions.
    """
    _check_maps(maps)
    if not _is_lazy(maps):
        return _result(maps, _mean_of_neighbours(np.asarray(maps.data)), "neighbour_averaging")
    import dask.array as da

    averaged = da.map_overlap(
        _mean_of_neighbours,
        maps.data.rechunk({2: -1}),
        depth={0: 1, 1: 1, 2: 0},
        boundary="none",
        dtype=np.float32,
        meta=np.empty((0, 0, 0), dtype=np.float32),
    )
    return _result(maps, averaged, "neighbour_averaging")


def _mean_of_neighbours(maps: NDArray[Any]) -> NDArray[np.float32]:
    """Mean over the neighbours that a block holds; a lazy map's blocks overlap by one pixel."""
    from scipy.ndimage import convolve1d

    ones = np.ones(_WINDOW)
    measured = ~np.isnan(maps)
    if not measured.all():
        return _mean_of_measured(maps, measured, ones)
    summed = maps.astype(np.float64)
    number = np.ones(maps.shape[:2])
    for axis in (0, 1):
        # A sum per pixel in a fixed order, unlike a running one, is the same for any chunking.
        summed = convolve1d(summed, ones, axis=axis, mode="constant")
        number = convolve1d(number, ones, axis=axis, mode="constant")
    averaged: NDArray[np.float32] = (summed / number[:, :, None]).astype(np.float32)
    return averaged


def _mean_of_measured(
    maps: NDArray[Any], measured: NDArray[np.bool_], ones: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Mean over the measured neighbours, feature by feature to save memory."""
    from scipy.ndimage import convolve1d

    averaged = np.full(maps.shape, np.nan, np.float32)
    for feature in range(maps.shape[2]):
        known = measured[:, :, feature]
        summed = np.where(known, maps[:, :, feature], 0.0).astype(np.float64)
        number = known.astype(np.float64)
        for axis in (0, 1):
            summed = convolve1d(summed, ones, axis=axis, mode="constant")
            number = convolve1d(number, ones, axis=axis, mode="constant")
        # What is added for gaps is 0: next to none, the mean is the same as without gaps.
        averaged[:, :, feature][known] = summed[known] / number[known]
    return averaged


def zscore(maps: xr.DataArray) -> xr.DataArray:
    """
    Subtract each feature's mean over the map and divide by its standard deviation.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Feature maps, lazy or not. Values that are NaN were not measured and take no part.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        With the population standard deviation; a constant feature gives zeros, and NaN stays NaN.
        The values do not depend on the chunks, to the last bit.

    Raises
    ------
    ParameterError
        If it is no array of three dimensions.
    """
    _check_maps(maps)
    if not _is_lazy(maps):
        moments = mean_and_std(chunk_sums(np.asarray(maps.data, dtype=np.float32)))
        return _result(maps, _standardise(np.asarray(maps.data), moments), "zscore")
    return _standardised(maps, _lazy_moments(maps))


def _lazy_moments(maps: xr.DataArray) -> Any:
    from dask.delayed import delayed

    data = maps.data.rechunk({2: -1}).astype(np.float32)
    parts = [delayed(chunk_sums, pure=True)(block) for block in _blocks(data)]
    return delayed(_join, pure=True)(parts)


def _standardised(maps: xr.DataArray, moments: Any) -> xr.DataArray:
    import dask.array as da

    data = maps.data.rechunk({2: -1})
    standardised = da.map_blocks(
        _standardise,
        data,
        moments,
        dtype=np.float32,
        meta=np.empty((0, 0, 0), dtype=np.float32),
    )
    return _result(maps, standardised, "zscore")


def _blocks(data: da.Array) -> list[Any]:
    return list(data.to_delayed().ravel())


def _join(parts: list[Any]) -> NDArray[np.float64]:
    return mean_and_std(add_sums(parts))


def _standardise(maps: NDArray[Any], moments: NDArray[np.float64]) -> NDArray[np.float32]:
    mean, std = moments
    centred = maps.astype(np.float32).astype(np.float64) - mean
    scores = np.divide(centred, std, out=np.zeros_like(centred), where=std != 0)
    scores[np.isnan(centred)] = np.nan  # Also where a feature is constant.
    standardised: NDArray[np.float32] = scores.astype(np.float32)
    return standardised


def softmax(maps: xr.DataArray) -> xr.DataArray:
    """
    Apply the softmax function over the features of each pixel.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Feature maps, lazy or not.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        Positive, summing to 1 at each pixel; NaN at pixels with NaN.

    Raises
    ------
    ParameterError
        If it is no array of three dimensions.
    """
    _check_maps(maps)
    if not _is_lazy(maps):
        return _result(maps, _softmax(np.asarray(maps.data)), "softmax")
    import dask.array as da

    shares = da.map_blocks(_softmax, maps.data.rechunk({2: -1}), dtype=np.float32)
    return _result(maps, shares, "softmax")


def _softmax(maps: NDArray[Any]) -> NDArray[np.float32]:
    from scipy.special import softmax as scipy_softmax

    shares: NDArray[np.float32] = scipy_softmax(maps.astype(np.float64), axis=-1).astype(np.float32)
    return shares


NORMALISATIONS: Mapping[str, Normalisation] = {
    "neighbour_averaging": neighbour_averaging,
    "zscore": zscore,
    "softmax": softmax,
}
"""Normalisations by name, as settings files spell them."""


def normalise_features(
    maps: xr.DataArray, steps: Sequence[str | Normalisation], *, streamed: bool = False
) -> xr.DataArray:
    """
    Apply normalisations one after the other.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Feature maps.
    steps : sequence of str or callable
        Names from :data:`NORMALISATIONS`, or functions from feature maps to feature maps.
    streamed : bool, default: False
        Read lazy maps once for each z-score, now, for its means and standard deviations. What is
        lazy afterwards needs no more than a few chunks at a time; otherwise each chunk waits in
        memory for the last one. The values are the same.

    Returns
    -------
    xarray.DataArray, shape (y, x, line)

    Raises
    ------
    ParameterError
        If a name is not known, or the maps are no array of three dimensions.
    """
    _check_maps(maps)
    for step in steps:
        if streamed and _is_lazy(maps) and (step == "zscore" or step is zscore):
            (moments,) = compute.run(_lazy_moments(maps), description="Means of the features")
            maps = _standardised(maps, moments)
        elif callable(step):
            maps = step(maps)
        elif step in NORMALISATIONS:
            maps = NORMALISATIONS[step](maps)
        else:
            raise ParameterError(
                f"Unknown normalisation {step!r}; there are: {', '.join(NORMALISATIONS)}."
            )
    return maps


def _is_lazy(maps: xr.DataArray) -> bool:
    return maps.chunks is not None


def _check_maps(maps: object) -> None:
    """Refuse what is no feature maps, above all the map that they are to be made of."""
    dims = getattr(maps, "dims", None)
    if dims is None or len(dims) != _MAP_DIMS:
        found = type(maps).__name__ if dims is None else f"the dimensions {tuple(dims)}"
        raise ParameterError(
            f"Feature maps are an array of the dimensions (y, x, line), not {found}. Make them of "
            "a map by line_intensity(image, lines)."
        )


def _result(maps: xr.DataArray, data: Any, step: str) -> xr.DataArray:
    """Put new values in place of the old, and the step on record."""
    recipe = dict(maps.attrs.get("recipe", {}))
    steps = [*recipe.get("normalisation", []), step]
    return maps.copy(data=data).assign_attrs(units="", recipe={**recipe, "normalisation": steps})
