"""How much of a map each phase covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sigma_scale.errors import EmptyMapError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["proportions"]


def proportions(
    labels: xr.DataArray,
    *,
    pixel_area: float | None = None,
    names: Mapping[int, str] | None = None,
) -> pd.DataFrame:
    """
    Count the pixels of each label.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), int
        Cluster of each pixel; negative ones are noise. May be lazy.
    pixel_area : float, optional
        Area of a pixel in µm². None: from the coordinates, where they are in micrometres.
    names : mapping of int to str, optional
        Names of labels, for a column ``name``.

    Returns
    -------
    pandas.DataFrame
        One row per label, in their order, noise (label -1) last. Columns: ``name`` where names
        are given; ``pixels``, int64; ``share`` of all pixels, noise included, 0 to 1;
        ``share_error``, its standard error; ``area_um2`` where the area of a pixel is known.

    Raises
    ------
    EmptyMapError
        If there are no pixels.
    ParameterError
        If the labels are not whole numbers or the area is not positive.

    Notes
    -----
    The error is that of counting, sqrt(p (1 - p) / n) of the binomial distribution. It takes
    each pixel as an independent point; pixels of one grain are not, so the true uncertainty of
    a phase's share in the sample is larger, the more so the fewer grains a map has.
    """
    if labels.dtype.kind not in "iu":
        raise ParameterError(f"Labels must be whole numbers, got {labels.dtype}.")
    if labels.size == 0:
        raise EmptyMapError("The label map has no pixels.")
    area = _pixel_area(labels) if pixel_area is None else float(pixel_area)
    if area is not None and not (area > 0 and np.isfinite(area)):
        raise ParameterError(f"pixel_area must be a positive number of µm², got {area}.")
    found, counts = _counted(labels)
    is_noise = found < 0
    n_noise = int(counts[is_noise].sum())
    found, counts = found[~is_noise], counts[~is_noise]
    if n_noise:
        found, counts = np.append(found, -1), np.append(counts, n_noise)
    share = counts / labels.size
    table = pd.DataFrame(
        {
            "pixels": counts.astype(np.int64),
            "share": share,
            "share_error": np.sqrt(share * (1 - share) / labels.size),
        },
        index=pd.Index(found.astype(np.int64), name="label"),
    )
    if area is not None:
        table["area_um2"] = counts * area
    if names is not None:
        noise = {-1: "noise"} if n_noise else {}
        known = noise | dict(names)
        table.insert(0, "name", [known.get(label, f"cluster_{label}") for label in found.tolist()])
    return table


def _counted(labels: xr.DataArray) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Labels that occur, sorted, and their pixels; of a lazy map block by block."""
    if labels.chunks is None:
        return np.unique(labels.to_numpy(), return_counts=True)
    import dask.array as da
    from dask.base import compute

    found, counts = compute(*da.unique(labels.data, return_counts=True))
    return found, counts


def _pixel_area(labels: xr.DataArray) -> float | None:
    """Area of a pixel in µm² after the coordinates; None where they have another unit."""
    sides = []
    for name in ("y", "x"):
        if name not in labels.coords or labels.coords[name].attrs.get("units") != "µm":
            return None
        values = labels.coords[name].to_numpy()
        if len(values) > 1:
            sides.append(float(abs(values[-1] - values[0])) / (len(values) - 1))
    # A map of one row tells its pixels' width only: they are taken as square.
    return sides[0] * sides[-1] if sides else None
