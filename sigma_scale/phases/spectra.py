"""Summed and mean spectra per phase, from one pass over the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.spectra.events import past_end_error
from sigma_scale.spectra.passes import blocks_of_region, plan_regions
from sigma_scale.spectra.window_sums import window_sums

if TYPE_CHECKING:
    import dask.array as da
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource, Processing, SpectrumImage

__all__ = ["phase_spectra"]

_FAN_IN = 8
"""Partial sums that are added by one task."""


class LabelSums(NamedTuple):
    """Sums per label of a part of a map."""

    counts: NDArray[Any]
    """Counts per channel as measured, shape (labels, channels)."""
    processed: NDArray[np.float64]
    """Processed spectra, shape (labels, channels)."""


def phase_spectra(
    image: SpectrumImage, labels: xr.DataArray, *, total: xr.DataArray | None = None
) -> xr.Dataset:
    """
    Sum and average the spectra of each phase.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing.
    labels : xarray.DataArray, shape (y, x), integer
        Phase of each (binned) pixel; negative ones belong to none. Lazy or not.
    total : xarray.DataArray, shape (y, x), optional
        What each spectrum is divided by, as :func:`~sigma_scale.features.feature_pass` gives it;
        saves a pass over the counts where the image is normalised.

    Returns
    -------
    xarray.Dataset
        Over ``phase``, the labels that occur, ascending. ``counts`` (phase, energy), uint64:
        counts as measured, summed over the phase's pixels, without the processing. ``mean``
        (phase, energy), float64: mean of the processed spectra. ``n_pixels`` (phase), int64.

    Raises
    ------
    ShapeMismatchError
        If the labels are not of the image's shape.
    ParameterError
        If they are not integers.
    EmptyMapError
        If no pixel has a label.
    """
    import xarray as xr

    if labels.shape != image.shape[:2]:
        raise ShapeMismatchError(
            f"The labels have the shape {labels.shape}, the image {image.shape[:2]}."
        )
    if labels.dtype.kind not in "iu":
        raise ParameterError(f"Labels must be integers, not {labels.dtype}.")
    phases, numbered, n_pixels = _number(labels)
    sums = _sums(image, numbered, len(phases), total)
    mean = sums.processed / n_pixels[:, None]
    coordinates = {"phase": phases, "energy": image.coordinates()["energy"]}
    dims = ("phase", "energy")
    units = "share" if image.processing.normalised else "counts"
    return xr.Dataset(
        {
            "counts": (dims, sums.counts, {"units": "counts"}),
            "mean": (dims, mean, {"units": units}),
            "n_pixels": (("phase",), n_pixels),
        },
        coords=coordinates,
        attrs={"recipe": {"function": "phase_spectra", **image.processing.recipe()}},
    )


def _number(
    labels: xr.DataArray,
) -> tuple[NDArray[np.int64], xr.DataArray, NDArray[np.int64]]:
    """Labels that occur, a map of their numbers from 0 upward, and the pixels of each."""
    values = np.asarray(labels.data)
    phases, counts = np.unique(values[values >= 0], return_counts=True)
    if phases.size == 0:
        raise EmptyMapError("No pixel belongs to a phase: all labels are negative.")
    numbers = np.searchsorted(phases, values).astype(np.int32)
    numbers[values < 0] = -1
    return phases.astype(np.int64), labels.copy(data=numbers), counts.astype(np.int64)


def _sums(
    image: SpectrumImage, labels: xr.DataArray, n_labels: int, total: xr.DataArray | None
) -> LabelSums:
    import dask.array as da
    from dask.delayed import delayed

    steps, source = image.processing, image.source
    plan = plan_regions(source, steps.bin_factors)
    label_blocks = da.from_array(labels.data, chunks=plan.binned_chunks).to_delayed()
    total_blocks = _totals(image, total).rechunk(plan.binned_chunks).to_delayed()
    task = delayed(region_label_sums, pure=True)
    parts = [
        task(
            source,
            plan.limits(i, j),
            label_blocks[i, j],
            total_blocks[i, j],
            steps=steps,
            n_labels=n_labels,
        )
        for i, j in np.ndindex(plan.shape)
    ]
    add = delayed(_add, pure=True)
    while len(parts) > 1:
        parts = [add(parts[k : k + _FAN_IN]) for k in range(0, len(parts), _FAN_IN)]
    (sums,) = compute.run(parts[0], description="Summing phase spectra")
    result: LabelSums = sums
    return result


def _totals(image: SpectrumImage, total: xr.DataArray | None) -> da.Array:
    """Divisor of each pixel's spectrum; ones where nothing is divided."""
    import dask.array as da

    steps = image.processing
    if steps.total_from is None:
        divisors: da.Array = da.ones(image.shape[:2], dtype=np.float64, chunks=512)
    elif total is None:
        window = range(steps.total_from, image.shape[2])
        divisors = window_sums(image.source, [window], steps.bin_factors)[0][:, :, 0]
    elif total.shape == image.shape[:2]:
        divisors = da.asarray(total.data)
    else:
        raise ShapeMismatchError(
            f"The totals have the shape {total.shape}, the image {image.shape[:2]}."
        )
    return divisors


def _add(parts: list[LabelSums]) -> LabelSums:
    return LabelSums(
        sum(part.counts for part in parts),  # type: ignore[arg-type]
        sum(part.processed for part in parts),  # type: ignore[arg-type]
    )


def region_label_sums(
    source: BlockSource,
    limits: tuple[int, int, int, int],
    labels: NDArray[np.int32],
    total: NDArray[Any],
    *,
    steps: Processing,
    n_labels: int,
) -> LabelSums:
    """
    Sum the spectra of a region per label.

    Parameters
    ----------
    source : BlockSource
        The map's counts.
    limits : tuple of int
        First and last-plus-one row and column of the region in pixels.
    labels : array, shape (bins in y, bins in x), int32
        Numbers of the labels from 0 upward, or -1.
    total : array, shape (bins in y, bins in x)
        Divisor of each spectrum.
    steps : Processing
        Binning, and channels to zero.
    n_labels : int
        Number of labels.

    Raises
    ------
    CorruptChunkError
        If a block is damaged.
    """
    from sigma_scale.spectra.kernels import label_sums

    n_channels = source.shape[2]
    counts_dtype = np.float64 if source.dtype.kind == "f" else np.uint64
    counts = np.zeros((n_labels, n_channels + 1), dtype=counts_dtype)
    processed = np.zeros((n_labels, n_channels + 1))
    weights = np.divide(1.0, total, out=np.zeros(total.shape), where=total > 0)
    pixel_labels = _per_pixel(labels, limits, steps.bin_factors, outside=-1)
    pixel_weights = _per_pixel(weights, limits, steps.bin_factors, outside=0.0)
    for block, (y, x), (row0, row1, column0, column1) in blocks_of_region(source, limits):
        inside = (slice(row0, row1), slice(column0, column1))
        rows = slice(y + row0 - limits[0], y + row1 - limits[0])
        columns = slice(x + column0 - limits[2], x + column1 - limits[2])
        block_labels = np.full(block.shape[:2], -1, dtype=np.int32)
        block_weights = np.zeros(block.shape[:2])
        block_labels[inside] = pixel_labels[rows, columns]
        block_weights[inside] = pixel_weights[rows, columns]
        label_sums(
            block.per_pixel,
            block.gap_low,
            block.gap_high,
            block.counts,
            block.shape[1],
            block_labels,
            block_weights,
            counts,
            processed,
        )
        if counts[:, n_channels].any():
            raise past_end_error(block.shape)
    processed[:, : steps.zeroed_below] = 0
    return LabelSums(counts[:, :n_channels], processed[:, :n_channels])


def _per_pixel(
    binned: NDArray[Any],
    limits: tuple[int, int, int, int],
    factors: tuple[int, int],
    *,
    outside: float,
) -> NDArray[Any]:
    """Values of bins at each of their pixels; pixels of incomplete bins get ``outside``."""
    shape = (limits[1] - limits[0], limits[3] - limits[2])
    spread = np.repeat(np.repeat(binned, factors[0], axis=0), factors[1], axis=1)
    missing = [(0, shape[axis] - spread.shape[axis]) for axis in (0, 1)]
    return np.pad(spread, missing, constant_values=outside)
