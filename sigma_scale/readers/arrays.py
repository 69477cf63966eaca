"""Arrays as maps: .npy files, and what is in memory already, of NumPy, dask, xarray, HyperSpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError, ParameterError
from sigma_scale.readers.guard import decoding, require_file
from sigma_scale.readers.layout import Layout
from sigma_scale.readers.lazy_arrays import ArrayLikeSource, ChunkedSource, plan_for
from sigma_scale.readers.xarray_files.axes import (
    default_energy_axis,
    energy_axis,
    energy_dimension,
    map_layout,
    pixel_size,
)
from sigma_scale.readers.xarray_files.metadata import metadata_from_attrs
from sigma_scale.spectra import EnergyAxis, MapMetadata, SourceFile, SpectrumImage

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["NpySource", "as_spectrum_image", "from_array", "from_hyperspy", "from_xarray", "read"]

_FORMAT = "NumPy .npy"


def read(
    path: Path,
    *,
    scale_kev: float | None = None,
    offset_kev: float | None = None,
    energy_dimension: int = -1,
) -> SpectrumImage:
    """
    Read a map from a NumPy file, mapped into memory; pickled objects are refused.

    Parameters
    ----------
    path : pathlib.Path
        The .npy file with an array of the dimensions y, x and energy. Without y it is a line
        scan, without both a single spectrum.
    scale_kev : float, optional
        Width of a channel in keV; 0.01 with a warning if it isn't given.
    offset_kev : float, optional
        Energy of channel 0 in keV; -0.2 if neither this nor ``scale_kev`` is given, else 0.
    energy_dimension : int, default: -1
        Position of the energy dimension in the array.

    Returns
    -------
    SpectrumImage
        Signed counts become unsigned, floats stay as they are.

    Raises
    ------
    SourceNotFoundError
        If there is no file.
    FileFormatError
        If the file is damaged, or holds no array of numbers with one to three dimensions.
    ParameterError
        If an option is out of range.
    EmptyMapError
        If the array is empty.
    """
    require_file(path, _FORMAT)
    with decoding(path, _FORMAT):
        array = _mapped(path)
        if array.ndim not in (1, 2, 3):
            raise FileFormatError(
                f"{path} has the shape {array.shape}. A map has the dimensions y, x and energy."
            )
        if not -array.ndim <= energy_dimension < array.ndim:
            raise ParameterError(
                f"There is no dimension {energy_dimension} in {path}: its shape is {array.shape}."
            )
        layout = Layout.with_energy(energy_dimension, array.ndim)
        plan = plan_for(array, layout)
        source = NpySource(
            path=path,
            format_name=_FORMAT,
            shape=layout.of_map(array.shape),
            stored_dtype=array.dtype,
            chunk_shape=plan.chunk_shape,
            layout=layout,
            rows_at_once=plan.rows_at_once,
        )
    return SpectrumImage(
        source,
        _energies(source.shape[2], str(path), scale_kev, offset_kev),
        metadata=MapMetadata(title=path.stem, sources=(SourceFile.at(path),)),
    )


def _energies(
    size: int, what: str, scale_kev: float | None, offset_kev: float | None
) -> EnergyAxis:
    if scale_kev is None and offset_kev is None:
        return default_energy_axis(
            size,
            what,
            "Set them with the options scale_kev and offset_kev, or use "
            "sigma_scale.calibration.set_calibration.",
        )
    return EnergyAxis(size, 0.01 if scale_kev is None else scale_kev, offset_kev or 0.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class NpySource(ChunkedSource):
    """Counts in a .npy file."""

    def read_rows(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Part of the array."""
        array = _mapped(self.path)
        return self.layout.arranged(np.array(array[self.layout.index(rows, columns)]))


def _mapped(path: Path) -> NDArray[Any]:
    """Array of a file, which NumPy refuses if the file is shorter than the header says."""
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    if array.dtype.hasobject:
        raise FileFormatError(f"{path} holds pickled objects, which are never read.")
    return array


def from_array(counts: Any, energy: EnergyAxis, **details: Any) -> SpectrumImage:
    """
    Make a map of an array of NumPy or dask.

    Parameters
    ----------
    counts : array-like, shape (y, x, energy)
        Counts, integers of any type or floats. They are not copied; dask arrays are computed
        block by block when they are needed.
    energy : EnergyAxis
        Energies of the channels.
    **details
        Further parameters of :class:`~sigma_scale.spectra.SpectrumImage`.

    Returns
    -------
    SpectrumImage
        Signed counts become unsigned, floats stay as they are.

    Raises
    ------
    ParameterError
        If the array has other dimensions or can't hold counts.
    EmptyMapError
        If there are no pixels or channels.
    """
    array = counts if hasattr(counts, "dtype") and hasattr(counts, "shape") else np.asarray(counts)
    if len(array.shape) != 3:  # noqa: PLR2004
        raise ParameterError(
            f"A spectrum image has the dimensions y, x and energy, not {len(array.shape)}."
        )
    return SpectrumImage(ArrayLikeSource(array, Layout(0, 1, 2)), energy, **details)


def from_xarray(array: xr.DataArray, *, energy: str | None = None) -> SpectrumImage:
    """
    Make a map of a labelled array with an energy dimension.

    Parameters
    ----------
    array : xarray.DataArray
        Of NumPy or dask. Its coordinates give energies and pixel size, its attributes what
        :class:`~sigma_scale.spectra.MapMetadata` names.
    energy : str, optional
        Dimension of the channels, if its name or unit doesn't tell.

    Raises
    ------
    ParameterError
        If it has no energy dimension, or can't hold counts.
    FileFormatError
        If its energies don't ascend in equal steps.
    """
    dim = energy_dimension(array, energy)
    if dim is None:
        raise ParameterError(
            f"It isn't clear which of the dimensions {array.dims} is that of the channels. Name "
            "it: energy='...'."
        )
    name = "" if array.name is None else str(array.name)
    what = f"The array {name!r}" if name else "The array"
    layout, dims = map_layout(array, dim)
    size, unit = pixel_size(array, dims, what)
    return SpectrumImage(
        ArrayLikeSource(array.data, layout),
        energy_axis(array, dim, what),
        pixel_size=size,
        pixel_unit=unit,
        metadata=metadata_from_attrs(array.attrs, title=name),
    )


def from_hyperspy(signal: Any) -> SpectrumImage:
    """
    Make a map of a signal of HyperSpy with one energy axis, in memory or lazy.

    Parameters
    ----------
    signal : hyperspy.signals.Signal1D
        Such as ``EDSSEMSpectrum`` or ``EDSTEMSpectrum``. Lazy ones are computed block by block.

    Raises
    ------
    ParameterError
        If its axes or data make no sense for a map.
    """
    from sigma_scale.readers.signals import (
        energy_axis_of,
        metadata_of,
        pixel_size_of,
    )
    from sigma_scale.readers.signals import map_layout as layout_of

    described = {
        "data": signal.data,
        "axes": [axis.get_axis_dictionary() | {"size": axis.size} for axis in _axes(signal)],
        "metadata": signal.metadata.as_dictionary(),
    }
    title = str(signal.metadata.get_item("General.title", "") or "")
    try:
        layout, axes = layout_of(described)
        size, unit = pixel_size_of(axes)
        source = ArrayLikeSource(signal.data, layout)
        return SpectrumImage(
            source,
            energy_axis_of(axes[2], source.shape[2]),
            pixel_size=size,
            pixel_unit=unit,
            metadata=metadata_of(described, title=title),
        )
    except FileFormatError as error:
        raise ParameterError(f"The signal {title!r}: {error}") from error


def _axes(signal: Any) -> list[Any]:
    """Axes in the order of the data, as HyperSpy keeps them internally."""
    manager = signal.axes_manager
    axes = [*manager.navigation_axes, *manager.signal_axes]
    return sorted(axes, key=lambda axis: int(axis.index_in_array))


def as_spectrum_image(data: Any, energy: EnergyAxis | None = None) -> SpectrumImage:
    """
    Make a map of whatever holds one.

    Parameters
    ----------
    data : path, SpectrumImage, xarray.DataArray, HyperSpy signal or array-like
        The map.
    energy : EnergyAxis, optional
        Energies of the channels, for arrays.

    Raises
    ------
    ParameterError
        If it holds no map, or is an array and no energies are given.
    """
    if isinstance(data, SpectrumImage):
        return data
    if isinstance(data, str | Path):
        from sigma_scale.readers.registry import read as read_file

        return read_file(data)
    if hasattr(data, "axes_manager"):
        return from_hyperspy(data)
    if hasattr(data, "dims") and hasattr(data, "coords") and hasattr(data, "data"):
        return from_xarray(data)
    if energy is None:
        raise ParameterError(
            f"An object of the type {type(data).__name__} doesn't say which energies its channels "
            "have. Give energy=EnergyAxis(...)."
        )
    return from_array(data, energy)
