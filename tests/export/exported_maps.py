"""Maps and labels for the tests of the exports."""

from __future__ import annotations

import numpy as np
import xarray as xr


def labelled(values, name, *, pixel=(0.5, 0.25), planes=None, units="µm", origin=0.0):
    """An array with coordinates, as the steps of the package give it."""
    dims, coords = ["y", "x"], {}
    for dim, size, count in zip(dims, pixel, values.shape[:2], strict=True):
        coords[dim] = (dim, origin + np.arange(count) * size, {"units": units})
    if planes is not None:
        dims = [*dims, planes[0]]
        coords[planes[0]] = planes[1]
    return xr.DataArray(values, dims=dims, coords=coords, name=name)


def label_map(shape=(70, 60), *, low=-1, high=4, seed=2, **details):
    values = np.random.default_rng(seed).integers(low, high, shape).astype(np.int32)
    return labelled(values, "labels", **details)


def line_maps(shape=(70, 60), *, dtype=np.float32, lines=("Fe_Ka", "O_Ka", "Si_Ka"), **details):
    values = np.random.default_rng(5).random((*shape, len(lines))) * 100
    return labelled(values.astype(dtype), "maps", planes=("line", list(lines)), **details)
