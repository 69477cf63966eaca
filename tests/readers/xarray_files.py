"""Writes zarr and NetCDF files with xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ["v2.zarr", "v3.zarr", "hdf5.nc", "classic.nc"]


def make_counts(shape: tuple[int, ...] = (20, 30, 40), dtype: Any = "i4") -> np.ndarray:
    """Few counts in each channel."""
    return np.random.default_rng(5).poisson(0.8, shape).astype(dtype)


def make_dataset(data: np.ndarray | None = None, **attrs: Any) -> xr.Dataset:
    """Map with axes in keV and micrometres, two images and a sum spectrum."""
    data = make_counts() if data is None else data
    rows, columns, channels = data.shape
    return xr.Dataset(
        {
            "BSE": (("y", "x"), np.arange(rows * columns, dtype="f4").reshape(rows, columns)),
            "counts": (("y", "x", "energy"), data),
            "SE": (("x", "y"), np.arange(rows * columns, dtype="f4").reshape(columns, rows)),
            "sum": (("energy",), data.sum((0, 1)).astype("f8")),
        },
        coords={
            "y": ("y", 0.5 * np.arange(rows), {"units": "µm"}),
            "x": ("x", 250.0 * np.arange(columns), {"units": "nm"}),
            "energy": ("energy", -0.1 + 0.02 * np.arange(channels), {"units": "keV"}),
        },
        attrs=attrs,
    )


def save(dataset: xr.Dataset, folder: Path, kind: str, **encoding: Any) -> Path:
    """Write a dataset in one of the :data:`KINDS`."""
    path = folder / f"map.{kind.split('.')[1]}"
    options = {"counts": encoding} if encoding else None
    if kind.endswith("zarr"):
        version = 2 if kind.startswith("v2") else 3
        dataset.to_zarr(path, zarr_format=version, encoding=options, consolidated=False)
    elif kind == "hdf5.nc":
        dataset.to_netcdf(path, engine="h5netcdf", encoding=options)
    else:
        dataset.to_netcdf(path, engine="scipy", format="NETCDF3_64BIT", encoding=options)
    return path
