"""How much of a map each phase covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.phases.label_bands import (
    NOISE,
    as_label_map,
    count_gaps,
    count_labels,
    load,
    measured_of,
    pixel_size_um,
    row_bands,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["proportions", "soft_proportions"]

_TOLERANCE = 1e-4
"""By how much probabilities may miss 1: they may be of single precision."""
_BAND_VALUES = 2**24
_DIRECT = ("f4", "f8")


def proportions(
    labels: Any,
    *,
    pixel_area: float | None = None,
    names: Mapping[int, str] | None = None,
    phases: Iterable[int] | None = None,
) -> pd.DataFrame:
    """
    Count the pixels of each label.

    Parameters
    ----------
    labels : xarray.DataArray, dask or NumPy array, shape (y, x), int
        Cluster of each pixel; negative ones are noise. May be lazy. Where a coordinate
        ``measured`` (y, x) is false, as in the gaps of a mosaic, pixels without a cluster are
        left out.
    pixel_area : float, optional
        Area of a pixel in µm². None: from the coordinates, where they are in micrometres.
    names : mapping of int to str, optional
        Names of labels, for a column ``name``.
    phases : iterable of int, optional
        Labels that have a row even where no pixel has them.

    Returns
    -------
    pandas.DataFrame
        One row per label, in their order, noise (label -1) last. Columns: ``name`` where names
        are given; ``pixels``, int64; ``share`` of all measured pixels, noise included, 0 to 1;
        ``share_error``, its standard error; ``area_um2`` and ``area_error_um2`` where the area of
        a pixel is known.

    Raises
    ------
    EmptyMapError
        If there are no pixels, or none was measured.
    ParameterError
        If the labels are not whole numbers with the dimensions (y, x), or the area is not positive.

    Notes
    -----
    The error is that of counting, sqrt(p (1 - p) / n) of the binomial distribution. It takes
    each pixel as an independent point; pixels of one grain are not, so the true uncertainty of
    a phase's share in the sample is larger, the more so the fewer grains a map has.
    """
    source = as_label_map(labels)
    area = _pixel_area(source, pixel_area)
    counted = count_labels(source)
    n_gaps = count_gaps(source)
    n_noise = counted.pop(NOISE, 0) - n_gaps
    wanted = sorted({*counted, *(int(label) for label in phases or () if label >= 0)})
    counts = {label: counted.get(label, 0) for label in wanted}
    if n_noise:
        counts[NOISE] = n_noise
    pixels = np.array(list(counts.values()), np.int64)
    table = pd.DataFrame({"pixels": pixels}, index=pd.Index(list(counts), name="label"))
    return _with_shares(table.astype(np.int64), source.size - n_gaps, area, names)


def soft_proportions(
    probabilities: xr.DataArray,
    *,
    pixel_area: float | None = None,
    names: Mapping[int, str] | None = None,
) -> pd.DataFrame:
    """
    Sum the probabilities of each cluster over the map.

    Parameters
    ----------
    probabilities : xarray.DataArray, shape (y, x, cluster)
        Probability of each cluster in each pixel, 0 to 1; the name of the third dimension is
        free, and its coordinate, if there is one, has the labels (else they count from 0). What
        they lack of 1 in a pixel is noise, and so is a pixel with NaN. May be lazy. Abundances
        that sum to 1 serve too. Where a coordinate ``measured`` (y, x) is false, pixels without
        any probability are left out.
    pixel_area : float, optional
        Area of a pixel in µm². None: from the coordinates, where they are in micrometres.
    names : mapping of int to str, optional
        Names of labels, for a column ``name``.

    Returns
    -------
    pandas.DataFrame
        As :func:`proportions` gives it, with ``pixels``, the expected number, float64; and
        ``assignment_error``, the part of the share's standard error that comes from not knowing
        to which cluster pixels belong. Rows for all clusters, and one for noise (-1), last, if
        there is any.

    Raises
    ------
    EmptyMapError
        If there are no pixels or no clusters, or no pixel was measured.
    ParameterError
        If values are below 0 or above 1, or those of a pixel sum to more than 1 (by more than
        1e-4); if the dimensions are others, labels are not whole numbers, or the area is not
        positive.

    Notes
    -----
    ``share_error`` is sqrt(P (1 - P) / n) with P the share, as for labels. That is the whole
    variance of belonging to a cluster, var(p) + mean(p (1 - p)): sampling and assignment together.
    ``assignment_error`` is sqrt(sum of p (1 - p)) / n. Both take pixels as independent.
    """
    source = checked_probabilities(probabilities)
    height, width, n = source.shape
    area = _pixel_area(source, pixel_area)
    labels = labels_of(source)
    bands = row_bands(source.shape, [source.data], pixels=max(_BAND_VALUES // n, 1))
    sums, variances = np.zeros((height, n + 1)), np.zeros((height, n + 1))
    measured = measured_of(source)
    n_gaps = 0
    for start, stop in bands:
        values = load(source.data[start:stop])
        _sum_band(values, start, sums[start:stop], variances[start:stop])
        if measured is not None:
            without = ~(values > 0).any(axis=2)
            n_gaps += int(np.count_nonzero(without & ~load(measured[start:stop])))
    # Sums of single rows were made from left to right: the result doesn't depend on the bands.
    pixels, variance = sums.sum(axis=0), variances.sum(axis=0)
    pixels[-1] -= n_gaps  # A whole pixel of noise each, without any variance.
    kept = slice(None) if pixels[-1] > 0 else slice(-1)
    index = pd.Index(np.append(labels, NOISE)[kept], name="label")
    table = pd.DataFrame({"pixels": pixels[kept]}, index=index)
    n_pixels = height * width - n_gaps
    table = _with_shares(table, n_pixels, area, names)
    place = list(table.columns).index("share_error") + 1
    table.insert(place, "assignment_error", np.sqrt(variance[kept]) / n_pixels)
    return table


def _sum_band(
    values: NDArray[Any],
    first_row: int,
    sums: NDArray[np.float64],
    variances: NDArray[np.float64],
) -> None:
    from sigma_scale.phases.proportions_kernels import sum_probabilities

    if values.dtype.str[1:] not in _DIRECT or not values.dtype.isnative:
        values = values.astype(np.float64)
    y, x = sum_probabilities(values, _TOLERANCE, sums, variances)
    if y >= 0:
        shown = np.array2string(values[y, x], threshold=8, precision=4, suppress_small=True)
        raise ParameterError(
            f"The probabilities of the pixel in row {first_row + y}, column {x} are {shown}. They "
            "must be between 0 and 1 and sum to 1 at most: divide them by their sum first."
        )


def checked_probabilities(probabilities: xr.DataArray) -> xr.DataArray:
    """
    Probabilities of clusters as (y, x, cluster).

    Raises
    ------
    EmptyMapError
        If there are none.
    ParameterError
        If they are no numbers or have other dimensions.
    """
    dims = tuple(getattr(probabilities, "dims", ()))
    if len(dims) != 3 or not {"y", "x"} < set(dims):  # noqa: PLR2004
        raise ParameterError(
            "Probabilities are an xarray.DataArray with the dimensions (y, x, cluster), got "
            f"{dims or type(probabilities).__name__}."
        )
    if probabilities.dtype.kind not in "fiub":
        raise ParameterError(f"Probabilities must be numbers, got {probabilities.dtype}.")
    if probabilities.size == 0:
        raise EmptyMapError(f"There are no probabilities: their shape is {probabilities.shape}.")
    return probabilities.transpose("y", "x", ...)


def labels_of(probabilities: xr.DataArray) -> NDArray[np.int64]:
    """
    Labels along the third dimension of probabilities.

    Raises
    ------
    ParameterError
        If they are not different whole numbers from 0 upward.
    """
    dim = probabilities.dims[2]
    labels = np.asarray(probabilities[dim].to_numpy())
    if labels.dtype.kind not in "iu" or len(set(labels.tolist())) < len(labels) or labels.min() < 0:
        raise ParameterError(
            f"The coordinate {dim} must have the clusters' labels, different whole numbers from 0 "
            f"upward, got {labels.tolist()[:8]}."
        )
    return labels.astype(np.int64)


def _with_shares(
    table: pd.DataFrame, n_pixels: int, area: float | None, names: Mapping[int, str] | None
) -> pd.DataFrame:
    """Add shares, errors, areas and names to a table of pixels."""
    if n_pixels == 0:
        raise EmptyMapError("No pixel was measured: all of the map is a gap.")
    pixels = table["pixels"].to_numpy()
    share = pixels / n_pixels
    table["share"] = share
    # Shares of probabilities may pass 1 by rounding.
    table["share_error"] = np.sqrt(np.clip(share * (1 - share), 0, None) / n_pixels)
    if area is not None:
        table["area_um2"] = pixels * area
        table["area_error_um2"] = table["share_error"] * n_pixels * area
    if names is not None:
        known = {NOISE: "noise"} | dict(names)
        titles = [known.get(label, f"cluster_{label}") for label in table.index.tolist()]
        table.insert(0, "name", titles)
    return table


def _pixel_area(labels: xr.DataArray, given: float | None) -> float | None:
    """Area of a pixel in µm²; None where the map has no scale."""
    if given is None:
        size = pixel_size_um(labels)
        return None if size is None else size[0] * size[1]
    area = float(given)
    if not (area > 0 and np.isfinite(area)):
        raise ParameterError(f"pixel_area must be a positive number of µm², got {area}.")
    return area
