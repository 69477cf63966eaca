"""ImageDataset: element maps without spectra, as the tutorial's notebooks hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.readers.element_maps.reader import read_element_maps
from sigma_scale.spectra.element_maps import ElementMaps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr

__all__ = ["ImageDataset"]


class ImageDataset:
    """
    A map of which there are only images of elements or X-ray lines.

    Parameters
    ----------
    chemical_maps_dir : path or ElementMaps
        Folder of images, one for each element and named after it; an .h5oina file with element
        maps; or maps in memory.
    intensity_map_path : path, optional
        Image for navigation, of the maps' size: a file, or the name of one in the folder.

    Attributes
    ----------
    maps : ElementMaps
        The maps as they were read.

    Raises
    ------
    ParameterError
        If an intensity image is given beside maps in memory.
    SourceNotFoundError, FileFormatError, NoSpectraError, ShapeMismatchError
        See :func:`sigma_scale.readers.element_maps.read_element_maps`.
    """

    def __init__(
        self,
        chemical_maps_dir: str | Path | ElementMaps,
        intensity_map_path: str | Path | None = None,
    ) -> None:
        if not isinstance(chemical_maps_dir, ElementMaps):
            self.maps = read_element_maps(chemical_maps_dir, intensity_map_path)
        elif intensity_map_path is None:
            self.maps = chemical_maps_dir
        else:
            raise ParameterError(
                "Maps in memory have their intensity image with them: give it as "
                "ElementMaps(..., navigation=...), not by intensity_map_path."
            )
        self._feature_list = list(self.maps.lines)

    def __repr__(self) -> str:
        rows, columns, _ = self.maps.shape
        return f"<ImageDataset: {rows} x {columns} pixels, {', '.join(self._feature_list)}>"

    @property
    def feature_list(self) -> list[str]:
        """Names of the maps in use; setting it chooses some of them, in any order."""
        return list(self._feature_list)

    @feature_list.setter
    def feature_list(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self.maps.lines]
        if unknown or not names or len({*names}) != len(names):
            what = f"there is no map {unknown[0]!r}" if unknown else "each map is named once"
            raise ParameterError(
                f"The feature list can't be {list(names)}: {what}. There are: "
                f"{', '.join(self.maps.lines)}."
            )
        self._feature_list = list(names)

    @property
    def nav_img(self) -> xr.DataArray | None:
        """Image on the maps' grid, or None."""
        return self.maps.navigation

    def get_feature_maps(self) -> xr.DataArray:
        """
        Give the maps of the feature list.

        Returns
        -------
        xarray.DataArray, shape (y, x, line), float32
            Values as in the files, NaN where nothing was acquired; lazy where the maps are.
        """
        chosen = self.maps.maps.sel(line=self._feature_list)
        return chosen.astype(np.float32).rename("features")
