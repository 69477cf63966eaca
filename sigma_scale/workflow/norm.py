"""
Normalisations of feature maps for arrays of any kind, as the tutorial's ``norm`` module.

They are those of :mod:`sigma_scale.features`, which take labelled arrays; here arrays of NumPy and
dask are good as well. A user's own function from an array to an array of the same shape can stand
beside them in any list of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sigma_scale import compute, features
from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Maps = TypeVar("Maps")
    Step = str | Callable[..., Any]

__all__ = [
    "apply_steps",
    "check_steps",
    "labelled_steps",
    "neighbour_averaging",
    "softmax",
    "step_names",
    "zscore",
]

_MAP_DIMENSIONS = 3
_COPIES = 4
"""Arrays in memory while a user's function runs: input, result and what it needs between."""


def neighbour_averaging(maps: Maps) -> Maps:
    """
    Average each pixel with its neighbours.

    Parameters
    ----------
    maps : array, shape (y, x, feature)
        Of NumPy, dask or xarray.

    Returns
    -------
    array of the same kind and shape, float32
        Mean over the 3 x 3 neighbourhood; at the edges over the neighbours that exist.

    Raises
    ------
    ParameterError
        If the array isn't a stack of maps.
    """
    return _on_any(features.neighbour_averaging, maps, dimensions=(3,))


def zscore(maps: Maps) -> Maps:
    """
    Subtract each feature's mean and divide by its population standard deviation.

    Parameters
    ----------
    maps : array, shape (y, x, feature) or (pixel, feature)
        Of NumPy, dask or xarray.

    Returns
    -------
    array of the same kind and shape, float32
        A constant feature gives zeros.

    Raises
    ------
    ParameterError
        If the array is neither a stack of maps nor a table of pixels.
    """
    return _on_any(features.zscore, maps, dimensions=(2, 3))


def softmax(maps: Maps) -> Maps:
    """
    Apply the softmax function over the features of each pixel.

    Parameters
    ----------
    maps : array, shape (y, x, feature) or (pixel, feature)
        Of NumPy, dask or xarray.

    Returns
    -------
    array of the same kind and shape, float32
        Positive, summing to 1 at each pixel.

    Raises
    ------
    ParameterError
        If the array is neither a stack of maps nor a table of pixels.
    """
    return _on_any(features.softmax, maps, dimensions=(2, 3))


_NAMES: dict[Callable[..., Any], str] = {
    **{function: name for name, function in features.NORMALISATIONS.items()},
    neighbour_averaging: "neighbour_averaging",
    zscore: "zscore",
    softmax: "softmax",
}


def check_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """
    Give known steps their names, leave a user's functions as they are, refuse everything else.

    Parameters
    ----------
    steps : sequence of str or callable
        Names or functions of this module or of :mod:`sigma_scale.features`, or a user's own.

    Returns
    -------
    tuple of str or callable

    Raises
    ------
    ParameterError
        If it isn't a list, or a step is neither a function nor a known name.
    """
    if isinstance(steps, str) or callable(steps) or not isinstance(steps, Sequence):
        raise ParameterError(
            "Normalisations are given as a list, such as [norm.neighbour_averaging, norm.zscore]."
        )
    for step in steps:
        if not callable(step) and step not in features.NORMALISATIONS:
            raise ParameterError(
                f"Unknown normalisation {step!r}; there are: "
                f"{', '.join(features.NORMALISATIONS)}, and functions of your own."
            )
    return tuple(_NAMES.get(step, step) if callable(step) else step for step in steps)


def step_names(steps: Sequence[Step]) -> list[str]:
    """
    Names of steps for a recipe; a user's function gives its module and name.

    Parameters
    ----------
    steps : sequence of str or callable
        As :func:`check_steps` returns them.

    Returns
    -------
    list of str
    """
    return [step if isinstance(step, str) else _own_name(step) for step in steps]


def apply_steps(maps: xr.DataArray, steps: Sequence[Step]) -> xr.DataArray:
    """
    Apply normalisations one after the other.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Feature maps; they are not changed.
    steps : sequence of str or callable
        See :func:`check_steps`. A user's function takes and gives a NumPy array.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        Lazy where the maps are, unless a step is a user's own.

    Raises
    ------
    ParameterError
        If a step is not known, or gives what can't be feature maps.
    ShapeMismatchError
        If a user's function gives another shape.
    MemoryLimitError
        If a user's function is given and the maps don't fit into memory.
    """
    done = features.normalise_features(maps, labelled_steps(steps))
    return done.astype(np.float32)


def labelled_steps(steps: Sequence[Step]) -> list[Step]:
    """
    Make steps that take and give labelled arrays.

    Parameters
    ----------
    steps : sequence of str or callable
        See :func:`check_steps`.

    Returns
    -------
    list of str or callable

    Raises
    ------
    ParameterError
        If a step is not known.
    """
    return [step if isinstance(step, str) else _own(step) for step in check_steps(steps)]


def _on_any(
    step: Callable[[xr.DataArray], xr.DataArray], maps: Maps, *, dimensions: tuple[int, ...]
) -> Maps:
    import dask.array as da
    import xarray as xr

    labelled = isinstance(maps, xr.DataArray)
    data: Any = maps if labelled or isinstance(maps, da.Array) else np.asarray(maps)
    if data.ndim not in dimensions or data.dtype.kind not in "biuf":
        raise ParameterError(
            f"Feature maps are numbers of the shape (y, x, feature), not an array of "
            f"{data.dtype} with the shape {data.shape}."
        )
    result: Any
    if labelled and data.ndim == _MAP_DIMENSIONS:
        result = step(data)
        return result  # type: ignore[no-any-return]
    values = data.data if labelled else data
    stack = values if values.ndim == _MAP_DIMENSIONS else values[:, None, :]
    result = step(xr.DataArray(stack, dims=("y", "x", "line"))).data.reshape(data.shape)
    return data.copy(data=result) if labelled else result  # type: ignore[no-any-return]


def _own_name(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", "")
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    name = name or type(function).__qualname__
    return f"{module}:{name}" if module else str(name)


def _own(function: Callable[[NDArray[np.float32]], Any]) -> Callable[[xr.DataArray], xr.DataArray]:
    """Make a user's function, from NumPy to NumPy, a step from labelled array to labelled array."""
    name = _own_name(function)

    def step(maps: xr.DataArray) -> xr.DataArray:
        compute.check_memory(
            _COPIES * maps.size * np.dtype(np.float32).itemsize,
            what=f"The function {name}, which needs all feature maps in memory,",
            remedy="Use larger bins, only norm's own functions, or raise memory_limit.",
        )
        # A copy: the function may change what it is given.
        values = np.array(maps, dtype=np.float32)
        was_finite = bool(np.isfinite(values).all())
        result = np.asarray(function(values))
        if result.shape != maps.shape:
            raise ShapeMismatchError(
                f"The function {name} made feature maps of the shape {maps.shape} into "
                f"{result.shape}. It must keep the shape."
            )
        if result.dtype.kind not in "biuf":
            raise ParameterError(f"The function {name} gave {result.dtype}, not real numbers.")
        if was_finite and not np.isfinite(result).all():
            raise ParameterError(f"The function {name} gave values that are NaN or infinite.")
        recipe = dict(maps.attrs.get("recipe", {}))
        done = [*recipe.get("normalisation", []), name]
        normalised = maps.copy(data=result.astype(np.float32))
        return normalised.assign_attrs(units="", recipe={**recipe, "normalisation": done})

    return step
