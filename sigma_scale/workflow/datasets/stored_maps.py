"""Maps of a store, read when they are needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sigma_scale import compute
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.workflow import norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from sigma_scale.workflow.datasets.steps import Steps

__all__ = ["StoredMaps", "loaded"]

_COPIES = 2
"""A map and what is made of it."""


def loaded(maps: xr.DataArray) -> xr.DataArray:
    """
    Read maps into memory where they fit the option ``memory_limit``; else they stay lazy.

    Parameters
    ----------
    maps : xarray.DataArray
        Lazy or not; it stays as it is.

    Returns
    -------
    xarray.DataArray
    """
    if not hasattr(maps.data, "dask") or _COPIES * maps.nbytes > compute.memory_limit():
        return maps
    (values,) = compute.run(maps, description="Reading maps")
    read: xr.DataArray = values
    return read


class StoredMaps:
    """A dataset that can take over feature maps that were made before."""

    _steps: Steps
    _cache: dict[str, Any]
    _stored: tuple[Steps, xr.DataArray, xr.DataArray] | None = None
    shape: Any

    def _go_to(self, steps: Steps) -> None:
        raise NotImplementedError

    def take_maps(
        self,
        maps: xr.DataArray,
        normalised: xr.DataArray,
        *,
        norm_list: Sequence[str] = (),
        navigator: bool = False,
    ) -> None:
        """
        Take over feature maps that were made before, such as those of a store.

        They hold as long as the state is what it is now; they are read when they are needed.

        Parameters
        ----------
        maps : xarray.DataArray, shape (y, x, line)
            Maps of the feature list before normalisation; lazy or not.
        normalised : xarray.DataArray, shape (y, x, line)
            The same after normalisation, with the navigation image where it is a feature.
        norm_list : sequence of str
            The steps of that normalisation.
        navigator : bool, default: False
            Whether the navigation image is a feature, normalised by the same steps.

        Raises
        ------
        ParameterError
            If they are not maps of these features, or a step is not known.
        ShapeMismatchError
            If they are of other pixels.
        """
        steps = norm.check_steps(norm_list)
        state = replace(self._steps, normalisation=steps, navigator=steps if navigator else None)
        names = [*state.features, *([NAVIGATOR] if navigator else [])]
        for given, expected in ((maps, list(state.features)), (normalised, names)):
            if given.dims != ("y", "x", "line") or given["line"].values.tolist() != expected:
                raise ParameterError(
                    f"These are not maps of {', '.join(expected)} with the dimensions (y, x, line)."
                )
            if given.shape[:2] != tuple(self.shape):
                raise ShapeMismatchError(
                    f"The feature maps have {given.shape[0]} x {given.shape[1]} pixels, the "
                    f"dataset has {self.shape[0]} x {self.shape[1]}."
                )
        self._go_to(state)
        self._cache.pop("maps", None)
        self._cache.pop("normalised", None)
        self._stored = (state, maps, normalised)

    def _stored_maps(self) -> tuple[xr.DataArray, xr.DataArray] | None:
        """Maps that were taken over, before and after normalisation, if they are of this state."""
        if self._stored is None:
            return None
        unnormalised: dict[str, Any] = {"normalisation": None, "navigator": None}
        same = replace(self._stored[0], **unnormalised) == replace(self._steps, **unnormalised)
        return self._stored[1:] if same else None

    @property
    def stored_features(self) -> xr.DataArray | None:
        """Normalised maps that were taken over, not read yet; None where there are none."""
        if self._stored is None or self._stored[0] != self._steps:
            return None
        return self._stored[2]
