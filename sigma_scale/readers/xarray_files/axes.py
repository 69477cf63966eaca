"""Which dimensions of a labelled array are y, x and energy, and what their coordinates say."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import FileFormatError, NoSpectraError, SigmaScaleWarning
from sigma_scale.readers.layout import Layout
from sigma_scale.readers.signals import micrometres
from sigma_scale.spectra import EnergyAxis

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["default_energy_axis", "energy_axis", "energy_dimension", "map_layout", "pixel_size"]

_ENERGY_NAMES = {
    "e", "energy", "energies", "energy_kev", "energy_ev", "x-ray energy", "xray_energy",
    "channel", "channels", "ev", "kev",
}  # fmt: skip
_Y_NAMES = {"y", "row", "rows", "height", "line", "lines"}
_X_NAMES = {"x", "column", "columns", "col", "cols", "width"}
_UNITS = {"ev": 1e-3, "kev": 1.0}
_TOLERANCE = 1e-4
_UNEVEN = 0.01
_HIGHEST_KEV = 200.0


def energy_dimension(array: xr.DataArray, named: str | None = None) -> Hashable | None:
    """
    Dimension of the channels: the one named, one in eV or keV, or one with a usual name.

    Returns
    -------
    hashable or None
        None if there is none, or several that could be it.
    """
    if named is not None:
        if named in array.dims:
            return named
        dims: tuple[Hashable, ...] = array.coords[named].dims if named in array.coords else ()
        return dims[0] if len(dims) == 1 else None
    by_unit = [dim for dim in array.dims if _coordinate_in_ev(array, dim) is not None]
    if len(by_unit) == 1:
        return by_unit[0]
    by_name = [dim for dim in by_unit or array.dims if str(dim).lower() in _ENERGY_NAMES]
    return by_name[0] if len(by_name) == 1 else None


def _coordinate_in_ev(array: xr.DataArray, dim: Hashable) -> xr.DataArray | None:
    candidates: list[xr.DataArray] = [c for c in array.coords.values() if c.dims == (dim,)]
    candidates.sort(key=lambda coordinate: coordinate.name != dim)
    for coordinate in candidates:
        if str(coordinate.attrs.get("units", "")).strip().lower() in _UNITS:
            return coordinate
    return None


def map_layout(array: xr.DataArray, energy: Hashable) -> tuple[Layout, list[Hashable | None]]:
    """
    Layout of a map, and the names of its dimensions y and x.

    Raises
    ------
    NoSpectraError
        If it has more than two dimensions besides energy.
    """
    others: list[Hashable | None] = [dim for dim in array.dims if dim != energy]
    if len(others) > 2:  # noqa: PLR2004
        raise NoSpectraError(
            f"An EDS map has one energy axis and up to two others, not {array.dims}. Choose one "
            "map of the stack first."
        )
    if len(others) == 2 and (_is(others[0], _X_NAMES) or _is(others[1], _Y_NAMES)):  # noqa: PLR2004
        others.reverse()
    elif len(others) == 1 and _is(others[0], _Y_NAMES):
        others.append(None)
    y, x = [None] * (2 - len(others)) + others
    places: dict[Hashable | None, int] = {dim: i for i, dim in enumerate(array.dims)}
    return Layout(places.get(y), places.get(x), places[energy]), [y, x]


def _is(dim: Hashable | None, names: set[str]) -> bool:
    return str(dim).lower() in names


def default_energy_axis(size: int, what: str, how: str) -> EnergyAxis:
    """Axis of 10 eV per channel from -0.2 keV, with a warning that says how to set it."""
    warnings.warn(
        f"{what} doesn't say which energies its channels have: 10 eV per channel from -0.2 keV "
        f"is assumed. {how}",
        SigmaScaleWarning,
        stacklevel=2,
    )
    return EnergyAxis(size, 0.01, -0.2)


def energy_axis(array: xr.DataArray, dim: Hashable, what: str) -> EnergyAxis:
    """
    Energy axis in keV from the coordinate of a dimension.

    Without units, energies beyond 200 are taken as eV; without a coordinate, the channels are
    taken as 10 eV wide from -0.2 keV. Both with a warning.

    Parameters
    ----------
    array : xarray.DataArray
        The map.
    dim : hashable
        Its energy dimension.
    what : str
        File or array, for messages.

    Raises
    ------
    FileFormatError
        If the energies don't ascend in equal steps, or have the units of something else.
    """
    size = array.sizes[dim]
    coordinate = _coordinate_in_ev(array, dim)
    if coordinate is None and dim in array.coords and array.coords[dim].dtype.kind in "iuf":
        coordinate = array.coords[dim]
    is_number = str(dim).lower().startswith("channel")
    if coordinate is None or (is_number and not coordinate.attrs.get("units")):
        return default_energy_axis(size, what, "Give the array a coordinate in keV.")
    scale, offset = uniform(np.asarray(coordinate.values, dtype=np.float64), what)
    units = str(coordinate.attrs.get("units", "")).strip().lower()
    if units in _UNITS:
        return EnergyAxis(size, scale * _UNITS[units], offset * _UNITS[units])
    if units:
        raise FileFormatError(f"{what}: energies must be in eV or keV, not in {units!r}.")
    named = next((unit for unit in _UNITS if str(dim).lower().split("_")[-1] == unit), None)
    if named is None:
        named = "ev" if offset + scale * (size - 1) > _HIGHEST_KEV else "kev"
        warnings.warn(
            f"{what} doesn't say in which unit its energies are: {named[:-1]}V is assumed. Set "
            f"the attribute units of {str(coordinate.name)!r} to 'eV' or 'keV'.",
            SigmaScaleWarning,
            stacklevel=2,
        )
    return EnergyAxis(size, scale * _UNITS[named], offset * _UNITS[named])


def uniform(values: NDArray[np.float64], what: str) -> tuple[float, float]:
    """
    Step and first value of energies.

    Raises
    ------
    FileFormatError
        If they don't ascend in equal steps, within a ten-thousandth of a step.
    """
    if values.size < 2 or not np.isfinite(values).all():  # noqa: PLR2004
        raise FileFormatError(f"{what}: an energy axis needs two or more finite energies.")
    step = float(values[-1] - values[0]) / (values.size - 1)
    expected = values[0] + step * np.arange(values.size)
    if step <= 0 or np.abs(values - expected).max() > _tolerance(values, step):
        raise FileFormatError(
            f"{what}: the energies must ascend in equal steps, which those from {values[0]:g} to "
            f"{values[-1]:g} don't."
        )
    return step, float(values[0])


def _tolerance(values: NDArray[np.float64], step: float) -> float:
    """Largest deviation: a ten-thousandth of a step, or what 32-bit floats can't tell."""
    return max(_TOLERANCE * step, float(np.abs(values).max()) * float(np.finfo(np.float32).eps))


def pixel_size(
    array: xr.DataArray, dims: list[Hashable | None], what: str
) -> tuple[tuple[float, float], str]:
    """
    Height and width of a pixel in micrometres, or in pixels where there is no length.

    Raises
    ------
    FileFormatError
        If positions neither ascend nor descend.
    """
    sizes = [_step(array, dim, what) for dim in dims]
    if dims[0] is None:  # a line scan: its pixels are as high as wide
        sizes[0] = sizes[1]
    if dims[1] is None:
        sizes[1] = sizes[0]
    if sizes[0] is None or sizes[1] is None:
        return (1.0, 1.0), "pixel"
    return (sizes[0], sizes[1]), "µm"


def _step(array: xr.DataArray, dim: Hashable | None, what: str) -> float | None:
    if dim is None or dim not in array.coords or array.coords[dim].dtype.kind not in "iuf":
        return None
    coordinate = array.coords[dim]
    values = np.asarray(coordinate.values, dtype=np.float64)
    if values.size < 2:  # noqa: PLR2004
        return None
    steps = np.diff(values)
    if not (np.isfinite(steps).all() and ((steps > 0).all() or (steps < 0).all())):
        raise FileFormatError(f"{what}: the positions along {dim!r} neither ascend nor descend.")
    mean = abs(float(steps.mean()))
    if np.abs(np.abs(steps) - mean).max() > _UNEVEN * mean:
        warnings.warn(
            f"{what}: the steps along {dim!r} are uneven; their mean is taken as pixel size.",
            SigmaScaleWarning,
            stacklevel=2,
        )
    return micrometres(mean, coordinate.attrs.get("units"))
