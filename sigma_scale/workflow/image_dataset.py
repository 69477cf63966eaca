"""ImageDataset: element maps without spectra, as the tutorial's notebooks hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import preprocess
from sigma_scale.errors import BinningError, ParameterError
from sigma_scale.readers.element_maps.reader import read_element_maps
from sigma_scale.spectra.element_maps import ElementMaps
from sigma_scale.workflow.datasets.cropped import filled_extent
from sigma_scale.workflow.datasets.feature_dataset import FeatureDataset

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from sigma_scale.workflow.datasets.steps import Steps

__all__ = ["ImageDataset"]


class ImageDataset(FeatureDataset):
    """
    A map of which there are only images of elements or X-ray lines.

    The maps are never changed: each method changes how they are seen. Methods can be called in
    any order and again; the last call of each counts.

    Parameters
    ----------
    chemical_maps_dir : path or ElementMaps
        Folder of images, one for each element and named after it; an .h5oina file with element
        maps; or maps in memory, such as a stack of phase maps.
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

    spectra: None = None
    """There are no spectra; the attribute is for code that handles any dataset."""
    spectra_bin: None = None
    processed: None = None

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
        super().__init__(self.maps.lines)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the processed map."""
        rows, columns = self._steps.extent or self.maps.shape[:2]
        factor_x, factor_y = self._steps.bin_size or (1, 1)
        return rows // factor_y, columns // factor_x

    @property
    def nav_img(self) -> xr.DataArray | None:
        """Image on the maps' grid, or None."""
        navigation = self.maps.navigation
        if navigation is None or self._steps.extent is None:
            return navigation
        rows, columns = self._steps.extent
        return navigation[:rows, :columns]

    def rebin_signal(self, size: tuple[int, int] = (2, 2)) -> xr.DataArray:
        """
        Sum blocks of pixels of the maps; :attr:`nav_img_bin` likewise.

        Parameters
        ----------
        size : tuple of int, default: (2, 2)
            Columns and rows of a block (x, y). Columns and rows at the end that don't fill one are
            left out.

        Returns
        -------
        xarray.DataArray, shape (y, x, line)
            The binned maps of the feature list.

        Raises
        ------
        BinningError
            If the factors aren't positive integers or larger than the map; nothing changes then.
        """
        if not isinstance(size, tuple | list):
            raise BinningError(f"Binning needs two whole numbers (x, y), not {size!r}.")
        self._change(bin_size=tuple(size))
        return self.feature_maps

    def remove_NaN(self) -> None:  # noqa: N802 -- the tutorial's name
        """
        Leave out rows and columns at the end where nothing was acquired; other NaN become zero.

        Raises
        ------
        EmptyMapError
            If nothing was acquired in any pixel.
        """
        filled = np.asarray(np.isfinite(self.maps.maps.data).any(axis=2))
        self._change(extent=filled_extent(filled))

    def _check(self, steps: Steps) -> None:
        if steps.bin_size is not None:
            rows, columns = steps.extent or self.maps.shape[:2]
            preprocess.rebin_image(self.maps.maps[:rows, :columns, 0], steps.bin_size)

    def _check_features(self, names: tuple[str, ...]) -> None:
        unknown = [name for name in names if name not in self.maps.lines]
        if unknown or not names:
            what = f"there is no map {unknown[0]!r}" if unknown else "it names no map"
            raise ParameterError(
                f"The feature list can't be {list(names)}: {what}. There are: "
                f"{', '.join(self.maps.lines)}."
            )

    def _feature_maps(self, features: tuple[str, ...]) -> xr.DataArray:
        """Maps as float32, NaN where nothing was acquired; lazy where the maps are."""
        maps = self.maps.maps.sel(line=list(features))
        if self._steps.extent is not None:
            rows, columns = self._steps.extent
            maps = maps[:rows, :columns].fillna(0)
        if self._steps.bin_size is not None:
            maps = preprocess.rebin_image(maps, self._steps.bin_size)
        return maps.astype(np.float32).rename("features")

    def _normalised_maps(self, steps: Steps) -> xr.DataArray:
        maps = self.feature_maps
        if maps.chunks is None and not np.isfinite(maps.data).all():
            raise ParameterError(
                "The maps have pixels where nothing was acquired (NaN). Call remove_NaN() first."
            )
        return super()._normalised_maps(steps)
