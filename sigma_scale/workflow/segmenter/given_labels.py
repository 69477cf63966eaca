"""Clusters that are given by the label of each pixel instead of found by a method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.workflow.segmenter.methods import Clustering

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

__all__ = ["given_clusters"]


def given_clusters(
    labels: ArrayLike | xr.DataArray,
    probability: ArrayLike | xr.DataArray | None,
    shape: tuple[int, int],
    *,
    recipe: Mapping[str, Any] | None = None,
) -> Clustering:
    """
    Bring labels and probabilities into the form that methods give them in.

    Parameters
    ----------
    labels : array-like, shape (y, x) or (y * x,), integer
        Cluster of each pixel; -1 is noise.
    probability : array-like of the same shape, optional
        How surely each pixel belongs to its cluster, 0 to 1. None: 1.
    shape : tuple of int
        Rows and columns of the map.
    recipe : mapping, optional
        How the labels were made.

    Returns
    -------
    Clustering

    Raises
    ------
    ShapeMismatchError, ParameterError
        See :meth:`PixelSegmenter.from_labels`.
    """
    numbers = _flat("labels", labels, shape)
    if numbers.dtype.kind not in "iu":
        raise ParameterError(f"The labels must be whole numbers, got {numbers.dtype}.")
    lowest, highest = int(numbers.min()), int(numbers.max())
    # Each cluster has a colour: a stray label of two thousand million must not ask for as many.
    if lowest < NOISE or highest >= numbers.size:
        raise ParameterError(
            f"Labels go from -1, noise, to less than the number of pixels, {numbers.size}; these "
            f"go from {lowest} to {highest}. Number the clusters from 0."
        )
    numbers = numbers.astype(np.int32, copy=False)
    return Clustering(
        labels=numbers,
        n_clusters=highest + 1,
        mixture=None,
        strength=_strength(numbers, probability, shape),
        model=None,
        recipe=dict(recipe or {"function": "sigma_scale.workflow.PixelSegmenter.from_labels"}),
        is_blurred=False,
    )


def _strength(
    labels: NDArray[np.int32],
    probability: ArrayLike | xr.DataArray | None,
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    if probability is None:
        sure: NDArray[np.float32] = (labels != NOISE).astype(np.float32)
        return sure
    given = _flat("probability", probability, shape)
    if given.dtype.kind not in "fiub":
        raise ParameterError(f"The probability must be real numbers, got {given.dtype}.")
    strength: NDArray[np.float32] = np.where(labels == NOISE, 0, given).astype(np.float32)
    if not (strength.min() >= 0 and strength.max() <= 1):  # NaN fails as well
        raise ParameterError("Each probability must lie between 0 and 1.")
    return strength


def _flat(what: str, values: ArrayLike | xr.DataArray, shape: tuple[int, int]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape not in {tuple(shape), (shape[0] * shape[1],)}:
        raise ShapeMismatchError(
            f"The {what} have the shape {array.shape}, the dataset has {shape[0]} x {shape[1]} "
            "pixels. Bin the dataset as it was when they were made."
        )
    return array.reshape(-1)
