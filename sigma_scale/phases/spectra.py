"""Summed and mean spectra per phase with their errors, from one pass over the counts."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import (
    EmptyMapError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
)
from sigma_scale.phases.proportions import checked_probabilities, labels_of
from sigma_scale.phases.spectra_pass import (
    LabelSums,
    check_size,
    join_sums,
    region_label_sums,
    region_soft_sums,
)
from sigma_scale.spectra.passes import plan_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.spectra.regions import RegionPlan

__all__ = ["phase_spectra", "soft_phase_spectra"]

_FAN_IN = 8
"""Partial sums that are added by one task."""

_DIMS = ("phase", "energy")
_COUNTS, _SHARE = {"units": "counts"}, {"units": "share"}


def phase_spectra(
    image: SpectrumImage,
    labels: xr.DataArray,
    *,
    total: xr.DataArray | None = None,
    probability: xr.DataArray | None = None,
    threshold: float | None = None,
    phases: Sequence[int] | None = None,
    noise: bool = False,
) -> xr.Dataset:
    """
    Sum and average the spectra of each phase, raw and normalised, with counting errors.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing.
    labels : xarray.DataArray, shape (y, x), integer
        Phase of each (binned) pixel; negative ones belong to none. Lazy or not.
    total : xarray.DataArray, shape (y, x), optional
        What each spectrum is divided by, as :func:`~sigma_scale.features.feature_pass` gives it;
        saves a third of the time. None: it is summed in the same pass.
    probability : xarray.DataArray, shape (y, x), optional
        How likely each pixel belongs to its phase, 0 to 1. Without a threshold, each spectrum
        counts with it as its weight.
    threshold : float, optional
        Take only pixels whose probability is higher than this, all with weight 1.
    phases : sequence of int, optional
        Phases of the result, in this order. None: the labels that occur, ascending.
    noise : bool, default: False
        Give the spectra of pixels without a phase as well, as phase -1.

    Returns
    -------
    xarray.Dataset
        Over ``phase`` and ``energy`` (keV), float64 unless said otherwise:

        ``counts``: sum of the counts as measured, without the processing; uint64, or float64
        where they are weighted or no integers. ``mean_counts``: its mean per (binned) pixel.
        ``normalised``: sum of the spectra that are each divided by their total, without the
        channels that were removed; ``mean_normalised``: its mean. ``mean``: mean of the
        processed spectra, so of the normalised ones where the image is normalised. Each has its
        standard error in ``counts_error``, ``mean_counts_error`` and so on. Their attributes
        ``instrument``, ``resolution_mn_ka_ev`` and, where it is known, ``beam_energy_kev`` are
        what functions that measure lines in them look for.

        Over ``phase``: ``n_pixels``, int64: (binned) pixels that were taken. ``total_counts``: sum
        of ``counts``. ``weight``: sum of the weights, where a probability weights the spectra.

    Raises
    ------
    ShapeMismatchError
        If labels, totals or probabilities are not of the image's shape.
    ParameterError
        If labels are not integers, a probability lies outside 0 to 1, or there is a threshold
        without probabilities.
    EmptyMapError
        If no pixel has a label.
    MemoryLimitError
        If there are so many labels that their spectra don't fit.

    Warns
    -----
    SigmaScaleWarning
        If a phase has no pixels: its sums are zero and its means NaN.

    Notes
    -----
    Counts n are Poisson variables, of which a single measured value estimates the variance. So a
    sum over pixels i with factors ``c_i`` has the variance ``sum c_i^2 n_i`` [1]_, with ``c = w``
    for sums of counts and ``c = w / T`` for normalised spectra; w is the pixel's weight, 1 without
    a probability, and T its total. Means are sums over ``sum w``, and so are their errors.

    T and w are taken as known. A channel is part of T, though, and given T its counts are binomial:
    where it holds the share s of all counts its true error is smaller by ``sqrt(1 - s)``. A channel
    without a single count gets the error 0, which says little. Counts that came as floats have
    these errors only if they are true counts; they are NaN where a variance would be negative.

    References
    ----------
    .. [1] G. Bohm, G. Zech: Statistics of weighted Poisson events and its applications. Nuclear
       Instruments and Methods in Physics Research A 748 (2014) 1-6.
    """
    if labels.dtype.kind not in "iu":
        raise ParameterError(f"Labels must be integers, not {labels.dtype}.")
    if threshold is not None and probability is None:
        raise ParameterError("A threshold needs probabilities. Give `probability` as well.")
    if threshold is not None and not 0 <= threshold < 1:
        raise ParameterError(f"threshold is a probability from 0 to below 1, not {threshold}.")
    _check_shapes(image, labels=labels, totals=total, probabilities=probability)
    sums = _sums(
        image, (labels, total, probability), region_label_sums, threshold=threshold, noise=noise
    )
    if sums.labels.size == 0:
        raise EmptyMapError("No pixel belongs to a phase: all labels are negative.")
    wanted = sums.labels if phases is None else np.asarray(phases, np.int64)
    weighted = probability is not None and threshold is None
    result = _dataset(image, _of_phases(sums, wanted), weighted=weighted)
    for spectra in result.data_vars.values():
        if "energy" in spectra.dims:  # what net_lines and the like need to know
            spectra.attrs.update(image.metadata.measured_with())
    return result.assign_attrs(
        recipe={
            "function": "phase_spectra",
            "weighted_by_probability": weighted,
            "threshold": threshold,
            **image.processing.recipe(),
        }
    )


def soft_phase_spectra(
    image: SpectrumImage,
    memberships: xr.DataArray,
    *,
    total: xr.DataArray | None = None,
    threshold: float | None = None,
) -> xr.Dataset:
    """
    Sum and average the spectra of phases to which each pixel belongs in part.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing.
    memberships : xarray.DataArray, shape (y, x, phase)
        How much of each (binned) pixel belongs to each phase, or how likely, 0 to 1; NaN counts as
        0. They need not sum to 1. The name of the third dimension is free, and its coordinate, if
        there is one, has the labels (else they count from 0). Lazy or not.
    total : xarray.DataArray, shape (y, x), optional
        As in :func:`phase_spectra`.
    threshold : float, optional
        Let each phase take the pixels whose membership of it is higher than this, with weight 1; a
        pixel may then be taken by several phases, or none. None: each pixel's spectrum counts for
        each phase with the membership as its weight.

    Returns
    -------
    xarray.Dataset
        As :func:`phase_spectra` gives it. ``n_pixels`` counts the pixels with any weight.

    Raises
    ------
    ShapeMismatchError
        If memberships or totals are not of the image's shape.
    ParameterError
        If a membership or the threshold lies outside 0 to 1, memberships are no numbers or have
        other dimensions, or their labels are not different integers.
    EmptyMapError
        If there are no phases, or no pixel belongs to one.
    MemoryLimitError
        If there are so many phases that their spectra don't fit.

    Warns
    -----
    SigmaScaleWarning
        If a phase has no pixels: its sums are zero and its means NaN.

    Notes
    -----
    With the membership as the weight w of a pixel, sums, means and errors are those of
    :func:`phase_spectra`: the variance of a sum of counts n is ``sum w^2 n``. Where phases share
    pixels, they share their counts, so the errors of different phases are not independent.
    """
    shares = checked_probabilities(memberships)
    if threshold is not None and not 0 <= threshold < 1:
        raise ParameterError(f"threshold is a membership from 0 to below 1, not {threshold}.")
    _check_shapes(image, memberships=shares[:, :, 0], totals=total)
    labels = labels_of(shares)
    check_size(labels.size, image.shape[2])
    order = np.argsort(labels)
    sums = _sums(
        image,
        (shares, total),
        region_soft_sums,
        phases=np.arange(labels.size),
        threshold=threshold,
    )
    if not sums.n_pixels.any():
        raise EmptyMapError("No pixel belongs to a phase: all memberships are 0, NaN or too low.")
    weighted = threshold is None
    named = LabelSums(labels[order], sums.n_pixels[order], sums.weight[order], sums.sums[order])
    result = _dataset(image, _of_phases(named, labels), weighted=weighted)
    return result.assign_attrs(
        recipe={
            "function": "soft_phase_spectra",
            "threshold": threshold,
            **image.processing.recipe(),
        }
    )


def _check_shapes(image: SpectrumImage, **maps: xr.DataArray | None) -> None:
    for name, given in maps.items():
        if given is not None and given.shape != image.shape[:2]:
            raise ShapeMismatchError(
                f"The {name} have the shape {given.shape}, the image {image.shape[:2]}."
            )


def _sums(
    image: SpectrumImage,
    maps: tuple[xr.DataArray | None, ...],
    function: Callable[..., LabelSums],
    **options: Any,
) -> LabelSums:
    """Call a function for each region with its parts of the maps, and join what it gives."""
    from dask.delayed import delayed

    steps, source = image.processing, image.source
    plan = plan_regions(source, steps.bin_factors)
    parts_of = [_cutter(None if given is None else given.data, plan) for given in maps]
    # Not named after their arguments: to hash the maps would take as long as to sum the counts.
    # What all share is bound before, as Dask would look into it anew for each region.
    task = delayed(partial(function, source, steps=steps, **options), pure=False)
    parts = [
        task(plan.limits(i, j), *(part(i, j) for part in parts_of))
        for i, j in np.ndindex(plan.shape)
    ]
    join = delayed(join_sums, pure=False)
    # In a fixed order, so that the result doesn't depend on which part is ready first.
    while len(parts) > 1:
        starts = range(0, len(parts), _FAN_IN)
        parts = [join(parts[k : k + _FAN_IN], source.shape[2]) for k in starts]
    (sums,) = compute.run(parts[0], description="Summing phase spectra")
    result: LabelSums = sums
    return result


def _cutter(data: Any, plan: RegionPlan) -> Callable[[int, int], Any]:
    """Give the part of a map that a region needs, lazy where the map is; further axes whole."""
    if data is None:
        return lambda _i, _j: None
    if isinstance(data, np.ndarray):
        return lambda i, j: data[plan.bins(i, j)]
    import dask.array as da

    chunks = (*plan.binned_chunks, *data.shape[2:])
    blocks = da.asarray(data).rechunk(chunks).to_delayed().reshape(plan.shape)
    return lambda i, j: blocks[i, j]


def _of_phases(sums: LabelSums, wanted: NDArray[np.int64]) -> LabelSums:
    """Sums of the phases that are wanted; zeros, and a warning, for those without pixels."""
    places = np.searchsorted(sums.labels, wanted).clip(max=sums.labels.size - 1)
    there = (sums.labels[places] == wanted) & (sums.n_pixels[places] > 0)
    chosen = LabelSums(
        wanted,
        np.where(there, sums.n_pixels[places], 0),
        np.where(there, sums.weight[places], 0.0),
        np.where(there[:, None, None], sums.sums[places], 0.0),
    )
    empty = wanted[chosen.weight == 0]
    if empty.size:
        names = ", ".join(map(str, empty.tolist()))
        warnings.warn(
            f"Phase {names} has no pixels that count: sums are zero, means NaN.",
            SigmaScaleWarning,
            stacklevel=3,
        )
    return chosen


def _dataset(image: SpectrumImage, sums: LabelSums, *, weighted: bool) -> xr.Dataset:
    import xarray as xr

    steps = image.processing
    weight = np.where(sums.weight > 0, sums.weight, np.nan)[:, None]
    kept = np.arange(image.shape[2]) >= steps.zeroed_below
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(sums.sums[:, :, 1::2])
    counts, counts_error = sums.sums[:, :, 0], errors[:, :, 0]
    shares, shares_error = sums.sums[:, :, 2] * kept, errors[:, :, 1] * kept
    whole = image.source.dtype.kind != "f" and not weighted
    processed = (shares, shares_error) if steps.normalised else (counts * kept, counts_error * kept)
    units = _SHARE if steps.normalised else _COUNTS
    return xr.Dataset(
        {
            "counts": (_DIMS, counts.astype(np.uint64) if whole else counts.copy(), _COUNTS),
            "counts_error": (_DIMS, counts_error, _COUNTS),
            "mean_counts": (_DIMS, counts / weight, _COUNTS),
            "mean_counts_error": (_DIMS, counts_error / weight, _COUNTS),
            "normalised": (_DIMS, shares, _SHARE),
            "normalised_error": (_DIMS, shares_error, _SHARE),
            "mean_normalised": (_DIMS, shares / weight, _SHARE),
            "mean_normalised_error": (_DIMS, shares_error / weight, _SHARE),
            "mean": (_DIMS, processed[0] / weight, units),
            "mean_error": (_DIMS, processed[1] / weight, units),
            "n_pixels": (("phase",), sums.n_pixels),
            "total_counts": (("phase",), counts.sum(axis=1), _COUNTS),
            **({"weight": (("phase",), sums.weight)} if weighted else {}),
        },
        coords={"phase": sums.labels, "energy": image.coordinates()["energy"]},
    )
