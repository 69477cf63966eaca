"""Which phases touch, and along how long a border."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError
from sigma_scale.phases.label_bands import (
    NO_REGION,
    NOISE,
    LabelBands,
    as_label_map,
    count_labels,
    pixel_size_um,
    row_bands,
)

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["phase_contacts"]


def phase_contacts(
    labels: Any,
    *,
    noise: bool = False,
    pixel_size: float | tuple[float, float] | None = None,
) -> xr.Dataset:
    """
    Measure the borders that phases share.

    Parameters
    ----------
    labels : xarray.DataArray, dask or NumPy array, shape (y, x), integer
        Cluster of each pixel; negative ones are noise.
    noise : bool, default: False
        Whether noise counts as a phase, -1; last where there is any.
    pixel_size : float or (float, float), optional
        Side of a square pixel, or height and width, in µm. None: from the coordinates, where they
        are in micrometres.

    Returns
    -------
    xarray.Dataset
        Over ``phase`` and ``neighbour``, both the labels that occur, ascending. ``edges``
        (phase, neighbour), int64: edges of pixels with one phase on the one side and the other on
        the other; symmetric, 0 on the diagonal. ``length`` (phase, neighbour), float64: their
        length in µm, or in pixels where the map has no scale, as its ``units`` say. ``share``
        (phase, neighbour), float64: of the length of the phase's borders with all others here,
        those within the row; NaN for a phase that touches none. ``share_error`` (phase,
        neighbour), float64: its standard error. ``map_edge`` (phase), int64: edges of its pixels
        at the map's edge.

    Raises
    ------
    ParameterError
        If the labels are not whole numbers with the dimensions (y, x), or the size is not positive.
    EmptyMapError
        If no pixel belongs to a phase.
    MemoryLimitError
        If there are so many labels that the matrix would not fit.

    Notes
    -----
    Lengths follow the edges of pixels, as stairs: a slanting border is up to the square root of 2
    longer than the straight line along it. They are for comparing phases of one map. The labels
    are read twice.

    The error of a share p is that of counting n edges, sqrt(p (1 - p) / n) of the binomial
    distribution, as if each edge were an independent point. Edges of one grain are not, so the
    true uncertainty is larger, the more so the fewer grains a map has.
    """
    import xarray as xr

    source = as_label_map(labels)
    size = pixel_size_um(source, pixel_size)
    found = count_labels(source)
    phases = np.array([label for label in found if label != NOISE], np.int64)
    if len(phases) == 0:
        raise EmptyMapError("No pixel belongs to a phase: all labels are negative.")
    if noise and NOISE in found:
        phases = np.append(phases, NOISE)
    compute.check_memory(
        len(phases) ** 2 * 64,
        what=f"A contact matrix of {len(phases):,} labels",
        remedy="Give a map of phases, not of single regions.",
    )
    bands = LabelBands(source, row_bands(source.shape, [source.data]), noise)
    edges, map_edge = _counted(bands, phases)
    edges += edges.transpose(0, 2, 1)
    # Edges between rows are as long as a pixel is wide.
    step_y, step_x = size or (1.0, 1.0)
    length = edges[0] * step_x + edges[1] * step_y
    total = length.sum(axis=1, keepdims=True)
    share = np.divide(length, total, out=np.full_like(length, np.nan), where=total > 0)
    counted = np.maximum(edges.sum(axis=(0, 2))[:, np.newaxis], 1)
    error = np.sqrt(share * (1.0 - share) / counted)
    dims = ("phase", "neighbour")
    recipe: dict[str, Any] = {
        "function": "sigma_scale.phases.phase_contacts",
        "noise": noise,
        "pixel_size_um": None if size is None else list(size),
    }
    if "recipe" in source.attrs:
        recipe["labels"] = source.attrs["recipe"]
    return xr.Dataset(
        {
            "edges": (dims, edges.sum(axis=0), {"units": "pixel edges"}),
            "length": (dims, length, {"units": "pixel" if size is None else "µm"}),
            "share": (dims, share, {"units": ""}),
            "share_error": (dims, error, {"units": ""}),
            "map_edge": (("phase",), map_edge, {"units": "pixel edges"}),
        },
        coords={"phase": phases, "neighbour": phases},
        attrs={"recipe": recipe},
    )


def _counted(
    bands: LabelBands, phases: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges between rows and between columns, the upper triangle, and those at the map's edge."""
    from sigma_scale.phases.regions_kernels import count_contacts

    n, width = len(phases), bands.labels.shape[1]
    order = np.argsort(phases)
    edges = np.zeros((2, n, n), np.int64)
    outline = np.zeros(n, np.int64)
    above = np.full(width, -1, np.int32)
    for index, values in enumerate(bands):
        numbers = _numbers(values, phases, order)
        count_contacts(numbers, above, edges)
        above = numbers[-1].copy()
        ends = [numbers[:, 0], numbers[:, -1], *([numbers[0]] if index == 0 else [])]
        for end in ends:
            outline += np.bincount(end[end >= 0], minlength=n)
    outline += np.bincount(above[above >= 0], minlength=n)
    return edges, outline


def _numbers(
    values: NDArray[Any], phases: NDArray[np.int64], order: NDArray[np.intp]
) -> NDArray[np.int32]:
    """Place of each pixel's label among the phases, -1 for what doesn't count."""
    place = np.minimum(np.searchsorted(phases, values, sorter=order), len(phases) - 1)
    numbers = order[place].astype(np.int32)
    numbers[values == NO_REGION] = -1
    return numbers
