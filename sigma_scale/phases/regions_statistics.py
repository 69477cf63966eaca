"""Size, shape and intensities of connected regions."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError, SigmaScaleWarning
from sigma_scale.phases.label_bands import as_label_map, load, pixel_size_um
from sigma_scale.phases.regions import find_regions

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.phases.regions import FoundRegions

__all__ = ["region_statistics"]

_BAND_VALUES = 2**24
"""Labels and intensities that are read at once, about."""
_BYTES_PER_REGION, _BYTES_PER_LINE = 500, 72
_LARGEST_SUM = int(np.iinfo(np.int64).max)
_ROUNDING = 8 * np.finfo(np.float64).eps
_DIRECT = ("f4", "f8", "u1", "u2", "u4", "i4", "i8")


class _Sums(NamedTuple):
    """What is summed over regions; see the kernels for the columns."""

    places: NDArray[np.int64]
    moments: NDArray[Any]
    halves: NDArray[np.int64]
    line_sums: NDArray[np.float64]
    line_lows: NDArray[np.float64]
    line_highs: NDArray[np.float64]


def region_statistics(
    labels: Any,
    line_maps: xr.DataArray | None = None,
    *,
    connectivity: int = 2,
    noise: bool = False,
    phases: Iterable[int] | None = None,
    pixel_size: float | tuple[float, float] | None = None,
) -> pd.DataFrame:
    """
    Measure the connected regions of each phase over the whole map.

    Parameters
    ----------
    labels : xarray.DataArray, dask or NumPy array, shape (y, x), integer
        Cluster of each pixel; negative ones are noise.
    line_maps : xarray.DataArray, shape (y, x, line), optional
        Intensities, lazy or not, whose minimum, mean and maximum per region are wanted.
    connectivity : {2, 1}, default: 2
        2: pixels that share a corner belong together; 1: only those that share an edge.
    noise : bool, default: False
        Whether noise has regions too, as a phase of its own, -1.
    phases : iterable of int, optional
        Only regions of these phases. None: of all.
    pixel_size : float or (float, float), optional
        Side of a square pixel, or height and width, in µm. None: from the coordinates, where they
        are in micrometres; where they are not, lengths are in pixels.

    Returns
    -------
    pandas.DataFrame
        One row per region. The index ``region`` is the number that
        :func:`~sigma_scale.phases.regions.region_labels` gives it. Names of lengths end with
        ``_um``, or with ``_px`` where the map has no scale; areas with ``_um2`` or ``_px2``;
        ``attrs["units"]`` has the unit of each column, ``attrs["recipe"]`` how they were made.

        ``phase``; ``pixels``, int64; ``area``; ``equivalent_diameter``, of the circle of that
        area; ``major_axis`` and ``minor_axis`` of the ellipse with the same second moments;
        ``aspect_ratio``, major over minor, NaN for regions without width; ``orientation_rad``,
        angle from the y axis to the major axis, from -pi/2 to pi/2; ``perimeter``;
        ``centroid_y`` and ``centroid_x``, in the map's coordinates (in pixels from the first
        where it has no scale); ``row_min``, ``column_min``, ``row_max``, ``column_max``, the
        bounding box in pixels, its end excluded; ``touches_border``, whether it reaches the map's
        edge and may go on beyond it; for each line, such as ``Fe_Ka``, ``Fe_Ka_min``,
        ``Fe_Ka_mean`` and ``Fe_Ka_max``, float64.

    Raises
    ------
    ParameterError
        If the labels are not whole numbers, a parameter can't work, or the line maps are not
        (y, x, line) with a name for each.
    ShapeMismatchError
        If labels and line maps have different shapes.
    EmptyMapError
        If no pixel belongs to a phase.
    MemoryLimitError
        If there are too many regions for a table in memory.

    Warns
    -----
    SigmaScaleWarning
        If a phase that was named has no pixels, or pixels are not square: perimeters are then NaN.

    Notes
    -----
    The definitions are those of ``skimage.measure.regionprops`` with the pixel size as
    ``spacing``: moments of the pixels' centres, axes of 4 times the square root of the eigenvalues
    of the covariance (a single pixel's are 0), the perimeter of Benkrid and Crookes [1]_ with the
    neighbourhood of 4. It reads the labels twice, the intensities once.

    .. [1] K. Benkrid and D. Crookes, Design and FPGA Implementation of a Perimeter Estimator,
       The Queen's University of Belfast.
    """
    source = as_label_map(labels)
    lines = None if line_maps is None else _checked_lines(line_maps, source.shape)
    names = [] if lines is None else [str(name) for name in lines["line"].to_numpy()]
    size = pixel_size_um(source, pixel_size)
    found = find_regions(
        source,
        connectivity=connectivity,
        noise=noise,
        phases=phases,
        beside=None if lines is None else lines.data,
        band_pixels=_BAND_VALUES // (4 + len(names)),
    )
    if found.count == 0:
        raise EmptyMapError("No pixel belongs to a phase: there are no regions to measure.")
    needed = found.count * (_BYTES_PER_REGION + _BYTES_PER_LINE * len(names))
    compute.check_memory(
        needed,
        what=f"A table of {found.count:,} regions",
        remedy="Smooth the labels first, or measure some of the phases.",
    )
    sums = _measured(found, lines)
    _warn_of_missing(found, sums)
    table = _table(sums, source, size, from_axes=size is not None and pixel_size is None)
    units = table.attrs["units"]
    line_unit = "" if lines is None else str(lines.attrs.get("units", ""))
    for k, name in enumerate(names):
        for kind, values in (
            ("min", sums.line_lows[:, k]),
            ("mean", sums.line_sums[:, k] / sums.places[:, 0]),
            ("max", sums.line_highs[:, k]),
        ):
            table[f"{name}_{kind}"] = values
            units[f"{name}_{kind}"] = line_unit
    table.attrs["recipe"] = found.recipe("region_statistics") | {
        "pixel_size_um": None if size is None else list(size),
        "lines": names,
    }
    return table


def _checked_lines(line_maps: xr.DataArray, shape: tuple[int, ...]) -> xr.DataArray:
    if set(getattr(line_maps, "dims", ())) != {"y", "x", "line"}:
        raise ParameterError(
            "Line maps are an xarray.DataArray with the dimensions (y, x, line), got "
            f"{getattr(line_maps, 'dims', type(line_maps).__name__)}."
        )
    lines = line_maps.transpose("y", "x", "line")
    if lines.shape[:2] != shape:
        raise ShapeMismatchError(
            f"The labels have the shape {shape}, the line maps {lines.shape[:2]}. Give the maps of "
            "the same binning and crop."
        )
    names = [str(name) for name in lines["line"].to_numpy()]
    if len(set(names)) < len(names):
        raise ParameterError(f"Each line can be there once, got {', '.join(names)}.")
    return lines


def _measured(found: FoundRegions, lines: xr.DataArray | None) -> _Sums:
    """Second pass: sum everything over the regions, from the top down."""
    from sigma_scale.phases.regions_kernels import measure_lines, measure_perimeters, measure_runs

    n, (height, width) = found.count, found.bands.labels.shape
    n_lines = 0 if lines is None else lines.shape[2]
    fits = height * width * max(height, width) ** 2 < _LARGEST_SUM
    sums = _Sums(
        np.zeros((n, 7), np.int64),
        np.zeros((n, 5), np.int64 if fits else np.float64),
        np.zeros((n, 2), np.int64),
        np.zeros((n, n_lines)),
        np.full((n, n_lines), np.inf),
        np.full((n, n_lines), -np.inf),
    )
    # Perimeters need two more rows on each side: those of a band's last two rows wait for the next.
    tail = np.zeros((4, width), found.numbers.dtype)
    for (start, stop), (values, regions) in zip(found.bands.limits, found, strict=True):
        measure_runs(regions, values, start, sums.places, sums.moments)
        if lines is not None:
            intensities = load(lines.data[start:stop])
            if intensities.dtype.str[1:] not in _DIRECT or not intensities.dtype.isnative:
                intensities = intensities.astype(np.float64)
            measure_lines(regions, intensities, *sums[3:])
        window = np.concatenate([tail, regions])
        measure_perimeters(np.pad(window, ((0, 0), (2, 2))), sums.halves)
        tail = window[-4:].copy()
    measure_perimeters(np.pad(tail, ((0, 2), (2, 2))), sums.halves)
    return sums


def _warn_of_missing(found: FoundRegions, sums: _Sums) -> None:
    missing = sorted(set(found.bands.phases or ()) - set(np.unique(sums.places[:, 6]).tolist()))
    if missing:
        warnings.warn(
            f"No pixel belongs to phase {', '.join(map(str, missing))}: it has no regions.",
            SigmaScaleWarning,
            stacklevel=3,
        )


def _table(
    sums: _Sums, labels: xr.DataArray, size: tuple[float, float] | None, *, from_axes: bool
) -> pd.DataFrame:
    """Turn sums into sizes and shapes, in µm where the map has a scale."""
    import pandas as pd

    (height, width), places = labels.shape, sums.places
    (step_y, step_x), unit = ((1.0, 1.0), "px") if size is None else (size, "um")
    pixels, first_row, first_column = places[:, 0], places[:, 1], places[:, 2]
    mean_y, mean_x, var_y, var_xy, var_x = _central(pixels, sums.moments)
    var_y, var_xy, var_x = var_y * step_y**2, var_xy * step_y * step_x, var_x * step_x**2
    half_spread = np.hypot((var_y - var_x) / 2, var_xy)
    larger = (var_y + var_x) / 2 + half_spread
    smaller = (var_y + var_x) / 2 - half_spread
    # Less than rounding makes of a slanted line, which has no width.
    smaller[smaller < _ROUNDING * larger] = 0
    major, minor = 4 * np.sqrt(larger), 4 * np.sqrt(smaller)
    area = pixels * (step_y * step_x)
    tilted = 0.5 * np.arctan2(2 * var_xy, var_y - var_x)
    # Where neither axis of the map is longer: the convention of scikit-image.
    diagonal = np.where(var_xy > 0, np.pi / 4, -np.pi / 4)
    box = {
        "row_min": first_row,
        "column_min": places[:, 3],
        "row_max": places[:, 4] + 1,
        "column_max": places[:, 5] + 1,
    }
    at_border = (first_row == 0) | (box["column_min"] == 0)
    at_border |= (box["row_max"] == height) | (box["column_max"] == width)
    columns: dict[str, tuple[NDArray[Any], str]] = {
        "phase": (places[:, 6], ""),
        "pixels": (pixels, "pixel"),
        f"area_{unit}2": (area, "µm²" if size else "pixel²"),
    }
    lengths = {
        "equivalent_diameter": 2 * np.sqrt(area / np.pi),
        "major_axis": major,
        "minor_axis": minor,
        "perimeter": _perimeters(sums.halves, step_y, step_x),
        "centroid_y": _positions(labels, "y", first_row + mean_y, step_y, scaled=from_axes),
        "centroid_x": _positions(labels, "x", first_column + mean_x, step_x, scaled=from_axes),
    }
    for name, values in lengths.items():
        columns[f"{name}_{unit}"] = (values, "µm" if size else "pixel")
    ratio = np.divide(major, minor, out=np.full(len(major), np.nan), where=minor > 0)
    columns["aspect_ratio"] = (ratio, "")
    columns["orientation_rad"] = (np.where(var_y == var_x, diagonal, tilted), "rad")
    columns |= {name: (values, "pixel") for name, values in box.items()}
    columns["touches_border"] = (at_border, "")
    table = pd.DataFrame(
        {name: values for name, (values, _) in columns.items()},
        index=pd.RangeIndex(1, len(pixels) + 1, name="region"),
    )
    table.attrs["units"] = {name: unit for name, (_, unit) in columns.items()}
    return table


def _central(pixels: NDArray[np.int64], moments: NDArray[Any]) -> list[NDArray[np.float64]]:
    """
    Mean y and x from the first pixel, and the covariance yy, xy, xx.

    The moments are moved to the whole number below the mean first, in whole numbers: what is then
    taken off is small, and nothing cancels.
    """
    sum_y, sum_x, sum_yy, sum_xy, sum_xx = moments.T
    (low_y, rest_y), (low_x, rest_x) = np.divmod(sum_y, pixels), np.divmod(sum_x, pixels)
    share_y, share_x = rest_y / pixels, rest_x / pixels
    moved_yy = sum_yy - 2 * low_y * sum_y + pixels * low_y * low_y
    moved_xy = sum_xy - low_x * sum_y - low_y * sum_x + pixels * low_y * low_x
    moved_xx = sum_xx - 2 * low_x * sum_x + pixels * low_x * low_x
    return [
        low_y + share_y,
        low_x + share_x,
        moved_yy / pixels - share_y**2,
        moved_xy / pixels - share_y * share_x,
        moved_xx / pixels - share_x**2,
    ]


def _perimeters(halves: NDArray[np.int64], step_y: float, step_x: float) -> NDArray[np.float64]:
    if not np.isclose(step_y, step_x, rtol=1e-6, atol=0):
        warnings.warn(
            f"Pixels of {step_y:g} by {step_x:g} µm are not square: perimeters are NaN, since they "
            "are defined for square pixels only.",
            SigmaScaleWarning,
            stacklevel=4,
        )
        return np.full(len(halves), np.nan)
    side = np.sqrt(step_y * step_x)
    perimeters: NDArray[np.float64] = (halves[:, 0] + halves[:, 1] * np.sqrt(2)) / 2 * side
    return perimeters


def _positions(
    labels: xr.DataArray, name: str, index: NDArray[np.float64], step: float, *, scaled: bool
) -> NDArray[np.float64]:
    """Places along an axis, after its coordinates where they gave the scale."""
    if not scaled:
        return index * step
    axis = labels.coords[name].to_numpy()
    falling = len(axis) > 1 and axis[-1] < axis[0]
    return float(axis[0]) + index * (-step if falling else step)
