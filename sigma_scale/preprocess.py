"""
Linear steps on spectrum images: rebin, normalise, remove the zero-energy peak.

Each step returns an image that sees the same counts through one more step; nothing is read or
copied. The steps commute with summing energy windows, so feature maps come from one pass over the
counts, and no processed copy of them ever exists.
"""

from __future__ import annotations

import math
import warnings
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import BinningError, EnergyRangeError, ParameterError, SigmaScaleWarning

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage

__all__ = ["normalise", "rebin", "rebin_image", "rebin_labels", "remove_first_peak"]


def rebin(image: SpectrumImage, size: tuple[int, int]) -> SpectrumImage:
    """
    Sum blocks of pixels.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        Not normalised yet: the sum of normalised spectra is not the spectrum of a larger pixel.
    size : tuple of int
        Columns and rows of a block, x first as in HyperSpy.

    Returns
    -------
    SpectrumImage, shape (y // size[1], x // size[0], energy)
        Columns and rows at the end that don't fill a block are left out, with a warning.

    Raises
    ------
    BinningError
        If a factor is not a positive integer, or larger than the map.
    ParameterError
        If the image is normalised already.
    """
    factor_x, factor_y = _factors(size)
    if image.processing.normalised:
        raise ParameterError("Rebin an image before it is normalised, not after.")
    rows, columns, _ = image.shape
    if factor_x > columns or factor_y > rows:
        raise BinningError(
            f"Blocks of {factor_x} x {factor_y} pixels (x, y) don't fit a map of "
            f"{columns} x {rows}."
        )
    left_out = [
        f"{count} {name if count > 1 else name[:-1]}"
        for count, name in ((columns % factor_x, "columns"), (rows % factor_y, "rows"))
        if count
    ]
    if left_out:
        warnings.warn(
            f"Blocks of {factor_x} x {factor_y} pixels don't divide the map of {columns} x {rows} "
            f"(x, y): {' and '.join(left_out)} at the end left out.",
            SigmaScaleWarning,
            stacklevel=2,
        )
    before_y, before_x = image.processing.bin_factors
    return image.with_processing(bin_factors=(before_y * factor_y, before_x * factor_x))


def _factors(size: tuple[int, int]) -> tuple[int, int]:
    try:
        factor_x, factor_y = (index(factor) for factor in size)
    except (TypeError, ValueError) as error:
        raise BinningError(f"Binning needs two whole numbers (x, y), not {size!r}.") from error
    if factor_x < 1 or factor_y < 1:
        raise BinningError(f"Binning factors must be at least 1, not {factor_x} x {factor_y}.")
    return factor_x, factor_y


def normalise(image: SpectrumImage) -> SpectrumImage:
    """
    Divide each pixel's spectrum by its sum over all channels that are not removed.

    An empty pixel gives zeros.

    Parameters
    ----------
    image : SpectrumImage
        The image; binning comes first.

    Returns
    -------
    SpectrumImage
        Of the same shape; what is normalised already stays as it is.
    """
    if image.processing.normalised:
        return image
    return image.with_processing(total_from=image.processing.zeroed_below)


def remove_first_peak(image: SpectrumImage, end: float) -> SpectrumImage:
    """
    Set the channels below an energy to zero; the axis keeps its length.

    The order matters: after :func:`normalise`, the sums that were divided by still include the
    channels removed now.

    Parameters
    ----------
    image : SpectrumImage
        The image.
    end : float
        Lowest energy to keep, in keV.

    Returns
    -------
    SpectrumImage
        Of the same shape.

    Raises
    ------
    EnergyRangeError
        If nothing would be left, or the energy is not a finite number.
    """
    if not math.isfinite(end):
        raise EnergyRangeError(f"The lowest energy to keep must be a number in keV, not {end}.")
    first = image.energy.first_channel_from(end)
    return image.with_processing(zeroed_below=max(first, image.processing.zeroed_below))


def rebin_image(picture: xr.DataArray, size: tuple[int, int]) -> xr.DataArray:
    """
    Sum blocks of pixels of a picture; incomplete ones at the end are left out.

    Parameters
    ----------
    picture : xarray.DataArray, shape (y, x)
        Such as the navigation image.
    size : tuple of int
        Columns and rows of a block, x first.

    Returns
    -------
    xarray.DataArray, shape (y // size[1], x // size[0])
        uint64 for unsigned integers, int64 for signed ones, float64 for floats.

    Raises
    ------
    BinningError
        If a factor is not a positive integer, or larger than the picture.
    """
    wide = {"u": np.uint64, "i": np.int64, "b": np.uint64}.get(picture.dtype.kind, np.float64)
    summed: xr.DataArray = _bins(picture.astype(wide), size).sum()
    return summed.assign_attrs(picture.attrs)


def rebin_labels(labels: xr.DataArray, size: tuple[int, int]) -> xr.DataArray:
    """
    Give each bin the label of most of its pixels, the lowest of several.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), integer
        Label of each pixel.
    size : tuple of int
        Columns and rows of a bin, x first.

    Returns
    -------
    xarray.DataArray, shape (y // size[1], x // size[0]), of the labels' type

    Raises
    ------
    BinningError
        If a factor is not a positive integer, or larger than the map.
    """
    reduced: xr.DataArray = _bins(labels, size).reduce(_most_frequent)
    return reduced.astype(labels.dtype).assign_attrs(labels.attrs)


def _most_frequent(values: NDArray[Any], axis: tuple[int, ...]) -> NDArray[Any]:
    from scipy.stats import mode

    bins = np.moveaxis(np.asarray(values), axis, tuple(range(-len(axis), 0)))
    frequent: NDArray[Any] = mode(bins.reshape(*bins.shape[: -len(axis)], -1), axis=-1).mode
    return frequent


def _bins(picture: xr.DataArray, size: tuple[int, int]) -> Any:
    factor_x, factor_y = _factors(size)
    if factor_x > picture.sizes["x"] or factor_y > picture.sizes["y"]:
        raise BinningError(
            f"Blocks of {factor_x} x {factor_y} pixels (x, y) don't fit a picture of "
            f"{picture.sizes['x']} x {picture.sizes['y']}."
        )
    return picture.coarsen(y=factor_y, x=factor_x, boundary="trim")
