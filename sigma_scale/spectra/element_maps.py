"""ElementMaps: one image per element or X-ray line, for maps without spectra."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.spectra.metadata import MapMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["ElementMaps"]

_DIMS = ("y", "x", "line")
_NAVIGATION = "navigation"


@dataclass(frozen=True, eq=False, repr=False)
class ElementMaps:
    """
    Intensity of elements or X-ray lines in each pixel of a map.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Numbers of any type, in memory or lazy. The coordinate ``line`` names the maps, such as
        ``"Fe"`` or ``"Fe_Ka"``. NaN where nothing was acquired. Coordinates of the pixels'
        centres are added where there are none.
    navigation : xarray.DataArray, optional, shape (y, x)
        Image on the map's grid.
    images : mapping of str to xarray.DataArray
        Further images with the dimensions y and x, of any size.
    pixel_size : tuple of float, default: (1.0, 1.0)
        Height and width of a pixel.
    pixel_unit : str, default: "pixel"
        Unit of the pixel size: ``"µm"``, or ``"pixel"`` where there is no scale.
    metadata : MapMetadata
        What else is known of the map.

    Raises
    ------
    EmptyMapError
        If there are no pixels or no maps.
    ParameterError
        If the maps' dimensions, type or names can't be right.
    ShapeMismatchError
        If the navigation image doesn't fit the maps.
    """

    maps: xr.DataArray
    navigation: xr.DataArray | None = None
    images: Mapping[str, xr.DataArray] = field(default_factory=dict)
    pixel_size: tuple[float, float] = (1.0, 1.0)
    pixel_unit: str = "pixel"
    metadata: MapMetadata = field(default_factory=MapMetadata)

    def __post_init__(self) -> None:
        if self.maps.dims != _DIMS:
            raise ParameterError(
                f"Element maps have the dimensions {', '.join(_DIMS)}, not "
                f"{', '.join(map(str, self.maps.dims))}."
            )
        if 0 in self.maps.shape:
            raise EmptyMapError(f"There are no pixels or no maps: shape {self.maps.shape}.")
        if self.maps.dtype.kind not in "biuf":
            raise ParameterError(f"Element maps are numbers, not {self.maps.dtype}.")
        self._check_names()
        if self.navigation is not None and self.navigation.shape != self.shape[:2]:
            raise ShapeMismatchError(
                f"The navigation image has the shape {self.navigation.shape}, the maps "
                f"{self.shape[:2]}. Give images of another size by images=."
            )
        if _NAVIGATION in self.images:
            raise ParameterError("Give the navigation image by navigation=, not among the images.")
        missing = {n: c for n, c in self.coordinates().items() if n not in self.maps.coords}
        object.__setattr__(self, "maps", self.maps.assign_coords(missing))
        object.__setattr__(self, "images", MappingProxyType(dict(self.images)))

    def _check_names(self) -> None:
        if "line" not in self.maps.coords:
            raise ParameterError(
                "Element maps need names: the coordinate 'line', such as ['Fe', 'Si']."
            )
        names = self.maps.coords["line"].values.tolist()
        if not all(isinstance(name, str) and name for name in names):
            raise ParameterError(f"The names of element maps are texts, not {names}.")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ParameterError(f"Several element maps have the same name: {', '.join(twice)}.")

    def __repr__(self) -> str:
        rows, columns, _ = self.shape
        return (
            f"<ElementMaps {self.metadata.title!r}: {rows} x {columns} pixels, "
            f"{', '.join(self.lines)}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # The read-only view of the images can't be pickled.
        values = (self.pixel_size, self.pixel_unit, self.metadata)
        return type(self), (self.maps, self.navigation, dict(self.images), *values)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and number of maps."""
        rows, columns, number = self.maps.shape
        return rows, columns, number

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of the maps."""
        return tuple(map(str, self.maps.coords["line"].values))

    def coordinates(self) -> dict[str, Any]:
        """Coordinates of the pixels' centres, for xarray; the first is at 0."""
        return {
            name: (name, np.arange(count) * size, {"units": self.pixel_unit})
            for name, count, size in zip(("y", "x"), self.shape, self.pixel_size, strict=False)
        }
