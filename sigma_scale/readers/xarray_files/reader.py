"""Any zarr or NetCDF file that xarray opens and that has a variable with an energy dimension."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import (
    FileFormatError,
    NoSpectraError,
    ParameterError,
    SourceNotFoundError,
    UnfinishedStoreError,
)
from sigma_scale.files import size_of
from sigma_scale.readers.guard import check_plausible, decoding
from sigma_scale.readers.hdf5.files import check_stored, find, opened
from sigma_scale.readers.hdf5.heaps import check_attributes, check_heaps
from sigma_scale.readers.signals import load_image, unused_name
from sigma_scale.readers.stored_arrays import (
    Hdf5Source,
    Netcdf3Source,
    Packing,
    StoredArraySource,
    ZarrSource,
    open_netcdf3,
    open_zarr,
    refuse_pickle,
)
from sigma_scale.readers.xarray_files.axes import (
    energy_axis,
    energy_dimension,
    map_layout,
    pixel_size,
)
from sigma_scale.readers.xarray_files.metadata import metadata_from_attrs
from sigma_scale.spectra import SourceFile, SpectrumImage
from sigma_scale.spectra.image import NAVIGATION
from sigma_scale.store.layout import STATE, state_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from pathlib import Path

    import xarray as xr

__all__ = ["read"]

_LONGEST_COORDINATE = 2**24
_NETCDF3 = b"CDF"


def read(path: Path, *, variable: str | None = None, energy: str | None = None) -> SpectrumImage:
    """
    Read a map from a zarr group (folder or zip file) or a NetCDF file.

    Parameters
    ----------
    path : pathlib.Path
        Zarr of version 2 or 3, or NetCDF of version 3 or 4.
    variable : str, optional
        Variable with the counts; needed where several could be it.
    energy : str, optional
        Dimension of the channels, or a coordinate along it; else the one whose coordinate is in
        eV or keV, or that has a usual name such as ``energy`` or ``channel``.

    Returns
    -------
    SpectrumImage
        Signed counts become unsigned, floats stay as they are.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    FileFormatError
        If the file is damaged, or its energies don't ascend in equal steps.
    NoSpectraError
        If no variable has an energy dimension.
    ParameterError
        If there is no such variable, or several could be the map.
    UnfinishedStoreError
        If it is a store of ours whose writing was interrupted.
    MemoryLimitError
        If its chunks are too large for the memory.
    """
    if not path.exists():
        raise SourceNotFoundError(f"There is no file {path}.")
    kind, format_name = _kind(path)
    with decoding(path, format_name), _opened(path, kind) as (dataset, arrays):
        if STATE in dataset.attrs and state_of(dataset.attrs) != "complete":
            raise UnfinishedStoreError(
                f"{path} is an unfinished store: its writing was interrupted. Run the same ingest "
                "again to complete it."
            )
        array, dim = _choose(path, dataset, variable, energy)
        layout, dims = map_layout(array, dim)
        stored = arrays[str(array.name)]
        source = kind.of(path, format_name, stored, layout, _packing(array.attrs))
        size, unit = pixel_size(array, dims, str(path))
        return SpectrumImage(
            source,
            energy_axis(array, dim, str(path)),
            pixel_size=size,
            pixel_unit=unit,
            metadata=metadata_from_attrs(
                {**dataset.attrs, **array.attrs},
                title=path.name.split(".")[0],
                sources=(SourceFile.at(path),),
            ),
            images=_images(path, dataset, dims, source.shape[:2]),
        )


def _kind(path: Path) -> tuple[type[StoredArraySource], str]:
    if path.is_dir() or path.suffix.lower() in (".zip", ".zarr"):
        return ZarrSource, "zarr"
    with decoding(path, "NetCDF"), path.open("rb") as stream:
        is_netcdf3 = stream.read(len(_NETCDF3)) == _NETCDF3
    return (Netcdf3Source if is_netcdf3 else Hdf5Source), "NetCDF"


@contextmanager
def _opened(
    path: Path, kind: type[StoredArraySource]
) -> Iterator[tuple[xr.Dataset, Mapping[str, Any]]]:
    """Dataset with its labels, and the arrays of the file by their names."""
    import xarray as xr

    # Numbers as they are stored: xarray would make floats of counts that have a fill value.
    options: dict[str, Any] = {"mask_and_scale": False, "decode_times": False, "cache": False}
    if kind is ZarrSource:
        group: Any = open_zarr(path)
        arrays = dict(group.arrays())
        _check_arrays(path, arrays)
        with xr.open_dataset(group.store, engine="zarr", consolidated=False, **options) as dataset:
            yield dataset, arrays
    elif kind is Netcdf3Source:
        with open_netcdf3(path) as file:
            arrays = {name: _Described(name, item) for name, item in file.variables.items()}
            _check_arrays(path, arrays)
        with xr.open_dataset(path, engine="scipy", **options) as dataset:
            yield dataset, arrays
    else:
        import h5py

        check_heaps(path)
        with opened(path, "NetCDF") as file:
            found = {name: find(file, name) for name in file}
            check_attributes(file, [file, *found.values()])
            arrays = {name: item for name, item in found.items() if isinstance(item, h5py.Dataset)}
            for array in arrays.values():
                check_stored(array, sparse=True, others=True)
            _check_arrays(path, arrays)
            with xr.open_dataset(path, engine="h5netcdf", **options) as dataset:
                yield dataset, arrays


class _Described:
    """Shape and type of a variable of a NetCDF 3 file, which is closed by then."""

    def __init__(self, name: str, item: Any) -> None:
        self.name = name
        self.shape = tuple(item.data.shape)
        self.ndim = len(self.shape)
        self.dtype = item.data.dtype


def _check_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Refuse what xarray would read while it opens: pickles, and endless coordinates."""
    for name, array in arrays.items():
        refuse_pickle(array)
        size = math.prod(map(int, array.shape))
        if array.ndim <= 1 and size > _LONGEST_COORDINATE:
            raise FileFormatError(f"The array {name!r} has {size:,} values in one dimension.")
        check_plausible(path, size * max(np.dtype(array.dtype).itemsize, 1), size_of(path))


def _choose(
    path: Path, dataset: xr.Dataset, variable: str | None, energy: str | None
) -> tuple[xr.DataArray, Hashable]:
    """Variable with the counts, and its energy dimension."""
    if variable is not None:
        if variable not in dataset.variables:
            names = ", ".join(map(repr, dataset.data_vars)) or "none"
            raise ParameterError(f"{path} has no variable {variable!r}; there are {names}.")
        dim = energy_dimension(dataset[variable], energy)
        if dim is None:
            raise ParameterError(
                f"It isn't clear which of the dimensions {dataset[variable].dims} of {variable!r} "
                f"in {path} is that of the channels. Name it: energy='...'."
            )
        return dataset[variable], dim
    found = {name: energy_dimension(array, energy) for name, array in dataset.data_vars.items()}
    maps = [
        name
        for name, dim in found.items()
        if dim is not None and dataset[name].dtype.kind in "iufb" and dataset[name].ndim <= 3  # noqa: PLR2004
    ]
    if not maps:
        listing = "; ".join(
            f"{n} {dict(a.sizes)}" for n, a in sorted(dataset.data_vars.items(), key=str)
        )
        raise NoSpectraError(
            f"{path} has no variable with an energy dimension. It holds: {listing or 'nothing'}. "
            "Name the variable and the dimension: variable='...', energy='...'."
        )
    most = max(dataset[name].ndim for name in maps)
    best = sorted((name for name in maps if dataset[name].ndim == most), key=str)
    if len(best) > 1:
        raise ParameterError(
            f"{path} has several variables with an energy dimension: "
            f"{', '.join(map(repr, best))}. Choose one: variable='...'."
        )
    dim = found[best[0]]
    if dim is None:
        raise NoSpectraError(f"{path} has no variable with an energy dimension.")
    return dataset[best[0]], dim


def _packing(attrs: Mapping[str, Any]) -> Packing:
    fill = _number(attrs.get("_FillValue", attrs.get("missing_value")))
    scale, offset = _number(attrs.get("scale_factor", 1)), _number(attrs.get("add_offset", 0))
    if scale is None or offset is None:
        raise FileFormatError("The attributes scale_factor and add_offset must be numbers.")
    return Packing(fill, scale, offset)


def _number(value: Any) -> float | None:
    number = np.asarray(value)
    if number.size != 1 or number.dtype.kind not in "iuf" or not np.isfinite(number).all():
        return None
    return float(number.ravel()[0])


def _images(
    path: Path, dataset: xr.Dataset, dims: list[Hashable | None], shape: tuple[int, int]
) -> dict[str, xr.DataArray]:
    """Variables on the map's grid; that of the name, or the first, is the navigation image."""
    import xarray as xr

    y, x = dims
    grid = {y, x} - {None}
    # In the order of their names: files don't all keep another.
    found: dict[str, xr.DataArray] = {}
    for name in sorted(dataset.data_vars, key=str):
        array = dataset[name]
        if len(grid) == array.ndim == 2 and set(array.dims) == grid and array.dtype.kind in "iufb":  # noqa: PLR2004
            found[str(name)] = array.transpose(y, x)
    main = NAVIGATION if NAVIGATION in found else next(iter(found), None)
    images: dict[str, xr.DataArray] = {}
    for name, array in found.items():
        kept = {key: array.attrs[key] for key in ("long_name", "units") if key in array.attrs}
        data = load_image(path, array.variable)
        image = xr.DataArray(
            data, dims=("y", "x"), attrs={"long_name": name} | {k: str(v) for k, v in kept.items()}
        )
        if name == main and data.shape == shape:
            images[NAVIGATION] = image
        else:
            images[unused_name(name, {*images, NAVIGATION})] = image
    return images
