"""How large the pixels of a map are, after its coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["name_of", "pixel_size", "pixel_steps", "unit_of"]

_DIMS = ("y", "x")
_STEP_TOLERANCE = 1e-3


def name_of(maps: xr.DataArray, otherwise: str) -> str:
    """Name of an array, or another text where it has none."""
    return otherwise if maps.name is None else str(maps.name)


def pixel_size(maps: xr.DataArray) -> tuple[float, float] | None:
    """
    Height and width of a pixel in micrometres after the coordinates.

    Parameters
    ----------
    maps : xarray.DataArray
        With the dimensions y and x.

    Returns
    -------
    tuple of float or None
        None where a coordinate is missing, is not in micrometres, or both have one pixel only. A
        map of one row or column has square pixels.

    Raises
    ------
    ParameterError
        If pixels have unequal sizes.
    """
    steps = pixel_steps(maps)
    return steps if all(unit_of(maps, name) == "µm" for name in _DIMS) else None


def pixel_steps(maps: xr.DataArray) -> tuple[float, float] | None:
    """
    Height and width of a pixel after the coordinates, in whatever unit these have.

    None where both have one pixel only, or no coordinate. A map of one row or column has square
    pixels.

    Raises
    ------
    ParameterError
        If pixels have unequal sizes.
    """
    known = [step for step in (_step(maps, name) for name in _DIMS) if step is not None]
    return (known[0], known[-1]) if known else None


def unit_of(maps: xr.DataArray, name: str) -> str:
    """Unit of a coordinate; an empty text where there is none."""
    if name not in maps.coords:
        return ""
    return str(maps.coords[name].attrs.get("units", "")).replace("μ", "µ")


def _step(maps: xr.DataArray, name: str) -> float | None:
    if name not in maps.coords or maps.sizes[name] < 2:  # noqa: PLR2004
        return None
    values = maps.coords[name].to_numpy().astype(np.float64)
    step = float(values[-1] - values[0]) / (len(values) - 1)
    if (
        not np.isfinite(step)
        or step == 0
        or np.any(np.abs(np.diff(values) - step) > _STEP_TOLERANCE * abs(step))
    ):
        raise ParameterError(
            f"The coordinate {name} of {name_of(maps, 'the map')} doesn't go in equal steps, and "
            "images have pixels of one size. Drop the coordinate, or interpolate the map."
        )
    return abs(step)
