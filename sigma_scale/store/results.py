"""Results that are kept beside the counts they were made from, as groups of the store."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import zarr

from sigma_scale.errors import StoreError
from sigma_scale.store.layout import COUNTS, STATE, consolidate, open_group, state_of

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

__all__ = ["open_result", "write_result"]


def write_result(path: str | Path, name: str, result: xr.Dataset) -> None:
    """
    Write a derived result into a group of a store; one of that name is replaced.

    The raw counts are never touched, and a group counts as written only once it is complete.

    Parameters
    ----------
    path : path
        Folder of the store.
    name : str
        Name of the group, such as ``"latent"``.
    result : xarray.Dataset
        The result, with its recipe in the attributes; lazy or not.

    Raises
    ------
    StoreError
        If the store can't be written.
    """
    if name == COUNTS:
        raise StoreError("Derived results can't replace the counts. Choose another name.")
    open_group(path)
    try:
        with warnings.catch_warnings():
            # zarr warns that text coordinates are not yet part of its v3 specification.
            warnings.filterwarnings("ignore", message=".*(specification|data type).*")
            marked = result.assign_attrs({STATE: {"state": "unfinished"}})
            marked.to_zarr(path, group=name, mode="w", consolidated=False, zarr_format=3)
            group = zarr.open_group(str(path), path=name, mode="r+", use_consolidated=False)
            group.attrs[STATE] = {"state": "complete"}
            consolidate(path)
    except OSError as error:
        raise StoreError(f"The result {name!r} can't be written to {path}: {error}") from error


def open_result(path: str | Path, name: str) -> xr.Dataset:
    """
    Open a derived result, lazily.

    Parameters
    ----------
    path : path
        Folder of the store.
    name : str
        Name of the group.

    Returns
    -------
    xarray.Dataset
        Lazy.

    Raises
    ------
    StoreError
        If there is no such result, or its writing was interrupted.
    """
    import xarray as xr

    if name not in open_group(path):
        raise StoreError(f"{path} holds no result {name!r}.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(specification|data type).*")
        result: xr.Dataset = xr.open_zarr(path, group=name, consolidated=False)
    if state_of(result.attrs) != "complete":
        raise StoreError(f"The result {name!r} of {path} is unfinished. Make it again.")
    return result
