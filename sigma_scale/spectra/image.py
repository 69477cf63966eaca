"""SpectrumImage: a map's X-ray counts, its energy axis and what else is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.spectra.binned import dense_region, processed_region
from sigma_scale.spectra.metadata import MapMetadata
from sigma_scale.spectra.passes import lazy_pass, plan_regions
from sigma_scale.spectra.processing import Processing
from sigma_scale.spectra.source import ArraySource, BlockSource
from sigma_scale.spectra.window_sums import spectrum_dtype, sums_dtype, window_sums

if TYPE_CHECKING:
    from collections.abc import Mapping

    import scipy.sparse as sp
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra.axis import EnergyAxis

__all__ = ["SpectrumImage"]

NAVIGATION = "navigation"
"""Name of the image that lies on the map's own grid."""

_DENSE_PIXELS = 128
"""Side of a dense block of :meth:`SpectrumImage.to_xarray`, in pixels before binning."""


@dataclass(frozen=True, eq=False, repr=False)
class SpectrumImage:
    """
    X-ray counts of a map, read block by block when asked for.

    Parameters
    ----------
    source : BlockSource
        Where the counts come from.
    energy : EnergyAxis
        Energies of the channels in keV.
    pixel_size : tuple of float, default: (1.0, 1.0)
        Height and width of a pixel of the source.
    pixel_unit : str, default: "pixel"
        Unit of the pixel size: ``"µm"``, or ``"pixel"`` where the file has no scale.
    metadata : MapMetadata
        What else is known of the map.
    images : mapping of str to xarray.DataArray
        Images with the dimensions y and x; ``"navigation"`` lies on the map's grid.
    processing : Processing
        Steps that the counts are seen through; see :mod:`sigma_scale.preprocess`.

    Raises
    ------
    EmptyMapError
        If the map has no pixels.
    ShapeMismatchError
        If the energy axis or the navigation image doesn't fit the counts.
    """

    source: BlockSource
    energy: EnergyAxis
    pixel_size: tuple[float, float] = (1.0, 1.0)
    pixel_unit: str = "pixel"
    metadata: MapMetadata = field(default_factory=MapMetadata)
    images: Mapping[str, xr.DataArray] = field(default_factory=dict)
    processing: Processing = field(default_factory=Processing)

    def __post_init__(self) -> None:
        if 0 in self.source.shape:
            raise EmptyMapError(f"The map has no pixels or channels: shape {self.source.shape}.")
        if self.energy.size != self.source.shape[2]:
            raise ShapeMismatchError(
                f"The energy axis has {self.energy.size} channels, the counts have "
                f"{self.source.shape[2]}."
            )
        navigation = self.images.get(NAVIGATION)
        if navigation is not None and navigation.shape != self.source.shape[:2]:
            raise ShapeMismatchError(
                f"The navigation image has the shape {navigation.shape}, the map "
                f"{self.source.shape[:2]}. Give images of another size another name."
            )
        object.__setattr__(self, "images", MappingProxyType(dict(self.images)))

    @classmethod
    def from_array(cls, counts: NDArray[Any], energy: EnergyAxis, **details: Any) -> SpectrumImage:
        """
        Make an image from counts in memory.

        Parameters
        ----------
        counts : array, shape (y, x, energy), unsigned integer of up to 32 bits
            X-ray counts.
        energy : EnergyAxis
            Energies of the channels.
        **details
            Further parameters of :class:`SpectrumImage`.
        """
        return cls(ArraySource(np.asarray(counts)), energy, **details)

    def __repr__(self) -> str:
        rows, columns, channels = self.shape
        steps = "" if self.processing == Processing() else f", {self.processing}"
        return (
            f"<SpectrumImage {self.metadata.title!r}: {rows} x {columns} pixels, {channels} "
            f"channels, {self.energy.low:.2f} to {self.energy.high:.2f} keV{steps}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # The read-only view of the images can't be pickled.
        values = (self.source, self.energy, self.pixel_size, self.pixel_unit, self.metadata)
        return type(self), (*values, dict(self.images), self.processing)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns (complete bins) and channels."""
        return self.processing.binned_shape(self.source.shape)

    @property
    def n_blocks(self) -> tuple[int, int]:
        """Number of blocks of counts in y and x."""
        rows, columns = self.source.shape[:2]
        height, width = self.source.chunk_shape
        return -(-rows // height), -(-columns // width)

    @property
    def navigation(self) -> xr.DataArray | None:
        """Image on the map's grid, before binning, or None."""
        return self.images.get(NAVIGATION)

    def with_processing(self, **changes: Any) -> SpectrumImage:
        """Image of the same counts seen through other steps."""
        return replace(self, processing=replace(self.processing, **changes))

    def coordinates(self) -> dict[str, Any]:
        """
        Coordinates of the (binned) pixels' centres and of the channels, for xarray.

        The centre of the first pixel of the source is at 0.
        """
        rows, columns, _ = self.shape
        coordinates: dict[str, Any] = {}
        for name, count, size, factor in zip(
            ("y", "x"), (rows, columns), self.pixel_size, self.processing.bin_factors, strict=True
        ):
            centres = (np.arange(count) * factor + (factor - 1) / 2) * size
            coordinates[name] = (name, centres, {"units": self.pixel_unit})
        coordinates["energy"] = ("energy", self.energy.values, {"units": "keV"})
        return coordinates

    def block(self, row: int, column: int) -> sp.csr_array:
        """
        Counts of a block as they were measured, without the processing.

        Parameters
        ----------
        row, column : int
            Number of the block, below :attr:`n_blocks`.

        Returns
        -------
        scipy.sparse.csr_array, shape (pixels of the block, channels)
            Counts, pixels in row-major order.
        """
        n_rows, n_columns = self.n_blocks
        if not (0 <= row < n_rows and 0 <= column < n_columns):
            raise ParameterError(
                f"There is no block ({row}, {column}): the map has {n_rows} x {n_columns}."
            )
        return self.source.read_block(row, column).to_csr().astype(self.source.dtype, copy=False)

    def sum_spectrum(self) -> xr.DataArray:
        """
        Counts per channel summed over all pixels of the source, lazily; not normalised.

        Returns
        -------
        xarray.DataArray, shape (energy,), uint64
        """
        _, spectrum = window_sums(self.source, ())
        kept = np.arange(spectrum.size) >= self.processing.zeroed_below
        return self._spectrum_array(spectrum * kept, "sum_spectrum").assign_attrs(units="counts")

    def total(self) -> xr.DataArray:
        """
        Counts of each (binned) pixel, summed over the channels that are kept, lazily.

        Where the spectra are normalised these are the counts that each was divided by, so the
        counts can be told from the shares.

        Returns
        -------
        xarray.DataArray, shape (y, x)
            Counts: uint32, or uint64 where that could overflow; float64 where the source holds
            floats.
        """
        import xarray as xr

        steps = self.processing
        kept = range(steps.counted_from, self.shape[2])
        sums, _ = window_sums(self.source, [kept], steps.bin_factors)
        coordinates = self.coordinates()
        return xr.DataArray(
            sums[:, :, 0],
            dims=("y", "x"),
            coords={name: coordinates[name] for name in ("y", "x")},
            name="total",
            attrs={"units": "counts", "recipe": {"function": "total", **steps.recipe()}},
        )

    def spectrum(self, y: int, x: int) -> xr.DataArray:
        """
        Spectrum of one (binned) pixel, with the processing.

        Parameters
        ----------
        y, x : int
            Row and column of the pixel.

        Returns
        -------
        xarray.DataArray, shape (energy,), uint64, or float32 if normalised
        """
        rows, columns, _ = self.shape
        if not (0 <= y < rows and 0 <= x < columns):
            raise ParameterError(
                f"There is no pixel ({y}, {x}): the map has {rows} rows and {columns} columns."
            )
        mask = np.zeros((rows, columns), dtype=bool)
        mask[y, x] = True
        return self.region_spectrum(mask).rename("spectrum")

    def region_spectrum(self, mask: NDArray[np.bool_] | xr.DataArray) -> xr.DataArray:
        """
        Sum of the (binned, processed) spectra of the pixels of a region.

        Only the blocks that the region touches are read.

        Parameters
        ----------
        mask : array, shape (y, x), bool
            Pixels of the region.

        Returns
        -------
        xarray.DataArray, shape (energy,), uint64, or float64 if normalised

        Raises
        ------
        ShapeMismatchError
            If the mask is not of the image's shape.
        EmptyMapError
            If the mask selects no pixel.
        """
        chosen = np.asarray(mask, dtype=bool)
        if chosen.shape != self.shape[:2]:
            raise ShapeMismatchError(
                f"The mask has the shape {chosen.shape}, the image {self.shape[:2]}."
            )
        if not chosen.any():
            raise EmptyMapError("The region has no pixels. Select at least one.")
        steps = self.processing
        dtype = np.dtype(np.float64) if steps.normalised else spectrum_dtype(self.source.dtype)
        total = np.zeros(self.shape[2], dtype=dtype)
        plan = plan_regions(self.source, steps.bin_factors, target=_DENSE_PIXELS)
        for i, j in np.ndindex(plan.shape):
            limits = plan.limits(i, j)
            part = chosen[plan.bins(i, j)].ravel()
            if part.any():
                total += part.astype(total.dtype) @ processed_region(self.source, limits, steps)
        return self._spectrum_array(total, "region_spectrum")

    def to_xarray(self) -> xr.DataArray:
        """
        Dense view of the processed spectra; nothing is read before it is computed.

        Returns
        -------
        xarray.DataArray, shape (y, x, energy)
            Of the counts' type, uint32 or uint64 if binned, float32 if normalised.
        """
        import dask.array as da
        import xarray as xr

        steps = self.processing
        plan = plan_regions(self.source, steps.bin_factors, target=_DENSE_PIXELS)
        dtype = self._dense_dtype()
        data = da.map_blocks(
            _unwrap,
            lazy_pass(dense_region, self.source, plan, steps, processing=steps, dtype=dtype),
            chunks=(*plan.binned_chunks, (self.shape[2],)),
            new_axis=2,
            dtype=dtype,
            meta=np.empty((0, 0, 0), dtype=dtype),
        )
        return xr.DataArray(
            data,
            dims=("y", "x", "energy"),
            coords=self.coordinates(),
            name="spectra" if steps.normalised else "counts",
            attrs={"recipe": steps.recipe()},
        )

    def _dense_dtype(self) -> np.dtype[Any]:
        if self.processing.normalised:
            return np.dtype(np.float32)
        if self.processing.bin_factors == (1, 1):
            return self.source.dtype
        return sums_dtype(self.source.dtype, math.prod(self.processing.bin_factors))

    def _spectrum_array(self, data: Any, name: str) -> xr.DataArray:
        import xarray as xr

        return xr.DataArray(
            data,
            dims=("energy",),
            coords={"energy": self.coordinates()["energy"]},
            name=name,
            attrs={"units": "share" if self.processing.normalised else "counts"},
        )


def _unwrap(holder: NDArray[np.object_]) -> NDArray[Any]:
    data: NDArray[Any] = holder[0, 0]
    return data
