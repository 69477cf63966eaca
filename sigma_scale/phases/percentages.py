"""Percent by weight and percent of the atoms, turned into each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.xray import atomic_weight

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["atomic_to_weight", "one_chunk", "weight_to_atomic"]


def weight_to_atomic(composition: xr.DataArray) -> xr.DataArray:
    """
    Convert percent by weight to percent of the atoms.

    Parameters
    ----------
    composition : xarray.DataArray, over element
        Percent by weight; ``element`` names them. Lazy or not.

    Returns
    -------
    xarray.DataArray, same dimensions, float64
        Atomic percent, which sums to 100; 0 where there is nothing.

    Raises
    ------
    ParameterError
        If there is no dimension element with names.

    Notes
    -----
    eXSpy's ``material.weight_to_atomic``.
    """
    return _convert(composition, "weight_to_atomic", "at%")


def atomic_to_weight(composition: xr.DataArray) -> xr.DataArray:
    """
    Convert percent of the atoms to percent by weight.

    Parameters
    ----------
    composition : xarray.DataArray, over element
        Atomic percent; ``element`` names them. Lazy or not.

    Returns
    -------
    xarray.DataArray, same dimensions, float64
        Percent by weight, which sums to 100; 0 where there is nothing.

    Raises
    ------
    ParameterError
        If there is no dimension element with names.

    Notes
    -----
    eXSpy's ``material.atomic_to_weight``.
    """
    return _convert(composition, "atomic_to_weight", "wt%")


def _convert(composition: xr.DataArray, name: str, unit: str) -> xr.DataArray:
    import xarray as xr

    if "element" not in composition.coords or composition.coords["element"].dims != ("element",):
        raise ParameterError(
            f"A composition has a dimension and coordinate element, got {composition.dims}."
        )
    elements = [str(element) for element in composition.indexes["element"]]
    for element in elements:
        atomic_weight(element)  # names what is no element
    result: xr.DataArray = xr.apply_ufunc(
        _converted,
        one_chunk(composition, "element"),
        kwargs={"name": name, "elements": elements},
        input_core_dims=[["element"]],
        output_core_dims=[["element"]],
        dask="parallelized",
        output_dtypes=[np.float64],
        keep_attrs=True,
    )
    return result.transpose(*composition.dims).assign_attrs(units=unit)


def _converted(values: NDArray[Any], *, name: str, elements: list[str]) -> NDArray[np.float64]:
    from exspy import material

    function: Callable[..., Any] = getattr(material, name)
    with np.errstate(divide="ignore", invalid="ignore"):
        converted = function(np.moveaxis(values, -1, 0).astype(np.float64), elements)
    moved = np.moveaxis(np.asarray(converted), 0, -1)
    return np.where((values == 0).all(axis=-1, keepdims=True), 0.0, moved)


def one_chunk(array: xr.DataArray, dim: str) -> xr.DataArray:
    """Array with one chunk along a dimension, where it has chunks."""
    return array if array.chunks is None else array.chunk({dim: -1})
