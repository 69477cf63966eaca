"""
Text in stores.

Strings of a fixed width, NumPy's usual ones, have no place in zarr's specification (v3) yet: zarr
warns of them, and other programs may not read them. Strings of any length have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["text_of_any_length", "text_of_fixed_width"]


def text_of_any_length(dataset: xr.Dataset) -> xr.Dataset:
    """
    Prepare text for being stored.

    Parameters
    ----------
    dataset : xarray.Dataset
        Variables with names of lines or phases, among others.

    Returns
    -------
    xarray.Dataset
        With strings of any length in place of those of a fixed width.
    """
    texts = {
        name: variable.astype(np.dtypes.StringDType())
        for name, variable in dataset.variables.items()
        if variable.dtype.kind == "U"
    }
    return dataset.assign(texts) if texts else dataset


def text_of_fixed_width(dataset: xr.Dataset) -> xr.Dataset:
    """
    Read text that was stored, which is little, into NumPy's usual strings.

    Parameters
    ----------
    dataset : xarray.Dataset
        As it was opened.

    Returns
    -------
    xarray.Dataset
        With strings of a fixed width in place of those of any length.
    """
    texts = {
        name: (variable.dims, np.array(variable.to_numpy().tolist(), dtype=str), variable.attrs)
        for name, variable in dataset.variables.items()
        if variable.dtype.kind == "T"
    }
    coordinates = {name: text for name, text in texts.items() if name in dataset.coords}
    others = {name: text for name, text in texts.items() if name not in coordinates}
    return dataset.assign_coords(coordinates).assign(others)
