"""Label maps of any kind and size, checked once and read a band of whole rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.features.dose import MEASURED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "LabelBands",
    "as_label_map",
    "count_gaps",
    "count_labels",
    "load",
    "measured_of",
    "pixel_size_um",
    "prepare",
    "row_bands",
]

NOISE = -1
NO_REGION = -2
"""Stands for pixels that are left out, so that noise can be a phase like the others."""

_BAND_PIXELS = 2**22
_TALLEST = 4
"""A chunk of up to this many bands is read at once: half of one costs as much as all of it."""
_TABLE = 2**20
"""Range of labels up to which they are counted in a table rather than sorted."""
_SQUARE = 1e-9
_MICROMETRE = frozenset({"µm", "μm"})  # the micro sign and the Greek letter


def as_label_map(labels: Any) -> xr.DataArray:
    """
    Check a label map.

    Parameters
    ----------
    labels : xarray.DataArray, dask or NumPy array, shape (y, x), integer
        Cluster of each pixel; negative ones are noise.

    Returns
    -------
    xarray.DataArray, shape (y, x)
        The same values, lazy where they were.

    Raises
    ------
    ParameterError
        If there are not two dimensions, or the labels are not whole numbers.
    EmptyMapError
        If there are no pixels.
    """
    import xarray as xr

    if not isinstance(labels, xr.DataArray):
        if np.ndim(labels) != 2:  # noqa: PLR2004
            raise ParameterError(f"A label map has 2 dimensions (y, x), got {np.ndim(labels)}.")
        values = labels if hasattr(labels, "dtype") else np.asarray(labels)
        labels = xr.DataArray(values, dims=("y", "x"))
    if set(labels.dims) != {"y", "x"} or labels.ndim != 2:  # noqa: PLR2004
        raise ParameterError(f"A label map has the dimensions (y, x), got {tuple(labels.dims)}.")
    if labels.dtype.kind not in "iu":
        raise ParameterError(f"Labels must be whole numbers, got {labels.dtype}.")
    if labels.size == 0:
        raise EmptyMapError("The label map has no pixels.")
    checked: xr.DataArray = labels.transpose("y", "x")
    return checked


def pixel_size_um(
    labels: xr.DataArray, pixel_size: float | tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """
    Height and width of a map's pixels in µm.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x)
        The map.
    pixel_size : float or (float, float), optional
        Side of a square pixel, or height and width, in µm. None: the steps of the coordinates,
        where these are in micrometres.

    Returns
    -------
    tuple of float, or None
        None where the map has no scale.

    Raises
    ------
    ParameterError
        If the size is not positive.
    """
    if pixel_size is not None:
        sides = np.atleast_1d(np.asarray(pixel_size, dtype=float))
        if sides.shape not in {(1,), (2,)} or not (np.isfinite(sides).all() and (sides > 0).all()):
            raise ParameterError(
                f"pixel_size must be a positive number of µm, or two (height, width), "
                f"got {pixel_size!r}."
            )
        return float(sides[0]), float(sides[-1])
    steps = []
    for name in ("y", "x"):
        if name not in labels.coords or labels.coords[name].attrs.get("units") not in _MICROMETRE:
            return None
        values = labels.coords[name].to_numpy()
        if len(values) > 1:
            steps.append(float(abs(values[-1] - values[0])) / (len(values) - 1))
    if not steps or not all(step > 0 and np.isfinite(step) for step in steps):
        return None
    # A map of one row tells its pixels' width only: they are taken as square. So are pixels whose
    # sides differ by rounding.
    square = abs(steps[0] - steps[-1]) < _SQUARE * steps[0]
    return steps[0], steps[0] if square else steps[-1]


def row_bands(
    shape: Sequence[int], arrays: Sequence[Any], *, pixels: int | None = None
) -> list[tuple[int, int]]:
    """
    Divide a map into bands of whole rows, of whole chunks where it is lazy.

    Parameters
    ----------
    shape : sequence of int
        Rows and columns of the map.
    arrays : sequence of arrays
        What will be read; the chunks of the last one that is lazy count.
    pixels : int, optional
        Pixels of a band, about.

    Returns
    -------
    list of (int, int)
        First and last-plus-one row of each band.
    """
    height, width = int(shape[0]), int(shape[1])
    rows = max((pixels or _BAND_PIXELS) // max(width, 1), 1)
    chunked = [array.chunks[0] for array in arrays if getattr(array, "chunks", None) is not None]
    stops = np.arange(rows, height + rows, rows)
    if chunked:
        ends, stops_found, start = np.cumsum(chunked[-1]).tolist(), [], 0
        for end, following in zip(ends, [*ends[1:], None], strict=True):
            while end - start > _TALLEST * rows:
                start += rows
                stops_found.append(start)
            if end > start and (following is None or following - start > rows):
                stops_found.append(end)
                start = end
        stops = np.array(stops_found)
    stops = np.minimum(stops, height)
    return list(zip([0, *stops[:-1].tolist()], stops.tolist(), strict=True))


@dataclass(frozen=True)
class LabelBands:
    """
    A label map in bands of whole rows.

    Attributes
    ----------
    labels : xarray.DataArray, shape (y, x), integer
        As :func:`as_label_map` gives it.
    limits : list of (int, int)
        First and last-plus-one row of each band.
    noise : bool
        Whether noise is a phase, -1. Otherwise its pixels are :data:`NO_REGION`.
    phases : tuple of int, optional
        The phases that count; pixels of others are :data:`NO_REGION`. None: all.
    """

    labels: xr.DataArray
    limits: list[tuple[int, int]]
    noise: bool = False
    phases: tuple[int, ...] | None = None

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Bands from the top down."""
        return (self.read(index) for index in range(len(self.limits)))

    def read(self, index: int) -> NDArray[Any]:
        """
        Labels of a band, int32 or int64, in row-major order.

        Parameters
        ----------
        index : int
            Number of the band.

        Raises
        ------
        ParameterError
            If a label is beyond 64 signed bits.
        """
        start, stop = self.limits[index]
        return prepare(load(self.labels.data[start:stop]), noise=self.noise, phases=self.phases)


def prepare(
    values: NDArray[Any], *, noise: bool, phases: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """
    Give labels as they are counted: all noise alike, and what doesn't count set apart.

    Parameters
    ----------
    values : array, shape (y, x), integer
        Labels, which are not changed.
    noise, phases
        See :class:`LabelBands`.

    Returns
    -------
    array, shape (y, x), int32 or int64
        In row-major order.
    """
    narrow = np.can_cast(values.dtype, np.int32)
    if values.dtype == np.uint64 and values.max(initial=0) > np.iinfo(np.int64).max:
        raise ParameterError(f"Label {values.max()} is too large for a signed 64-bit integer.")
    prepared: NDArray[Any] = np.array(values, np.int32 if narrow else np.int64, order="C")
    prepared[prepared < 0] = NOISE if noise else NO_REGION
    if phases is not None:
        prepared[~np.isin(prepared, [*phases, NOISE])] = NO_REGION
    return prepared


def load(data: Any) -> NDArray[Any]:
    """Values of a part of an array, computed where it is lazy."""
    if getattr(data, "chunks", None) is not None and hasattr(data, "dask"):
        (data,) = compute.run(data, description="")
    return np.asarray(data)


def count_labels(labels: xr.DataArray) -> dict[int, int]:
    """
    Pixels of each label that occurs, band by band.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), integer
        As :func:`as_label_map` gives it.

    Returns
    -------
    dict of int to int
        By ascending label; all negative ones are -1.
    """
    bands = LabelBands(labels, row_bands(labels.shape, [labels.data]), noise=True)
    counted: dict[int, int] = {}
    for values in bands:
        for label, count in zip(*_unique(values), strict=True):
            counted[label] = counted.get(label, 0) + count
    return dict(sorted(counted.items()))


def count_gaps(labels: xr.DataArray) -> int:
    """
    Pixels that belong to no cluster because nothing was measured there, band by band.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), integer
        As :func:`as_label_map` gives it.

    Returns
    -------
    int
        Pixels with a negative label where the coordinate ``measured`` is false; 0 without it.
    """
    measured = measured_of(labels)
    if measured is None:
        return 0
    bands = row_bands(labels.shape, [labels.data])
    return sum(
        int(np.count_nonzero((load(labels.data[a:b]) < 0) & ~load(measured[a:b]))) for a, b in bands
    )


def measured_of(maps: xr.DataArray) -> Any:
    """Which pixels of a map were measured, shape (y, x), bool, lazy or not; None: all of them."""
    if MEASURED not in maps.coords:
        return None
    measured = maps.coords[MEASURED].transpose("y", "x").data
    return measured.astype(bool)


def _unique(values: NDArray[Any]) -> tuple[list[int], list[int]]:
    """Labels of a band and their pixels; counted in a table where they are close together."""
    low, high = int(values.min()), int(values.max())
    if high - low >= _TABLE:
        found, counts = np.unique(values, return_counts=True)
        return found.tolist(), counts.tolist()
    table = np.bincount((values - low).ravel(), minlength=high - low + 1)
    found = np.flatnonzero(table)
    return (found + low).tolist(), table[found].tolist()
