"""What supervises a layout: labels or numbers at the landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.latent.sources import FeatureTable

__all__ = ["landmark_targets"]

_UNKNOWN = -1


def landmark_targets(
    y: Any, table: FeatureTable, numbers: NDArray[np.int64], target_metric: str
) -> NDArray[Any]:
    """
    Take labels or numbers at the landmarks.

    Parameters
    ----------
    y : array-like, shape (n,) or (y, x)
        One per pixel; a Dask array or an xarray.DataArray too.
    table : FeatureTable
        How the pixels are laid out.
    numbers : numpy.ndarray, shape (m,), int64
        Row numbers of the landmarks.
    target_metric : str
        ``"categorical"``: they are labels, -1 where not known; else numbers.

    Returns
    -------
    numpy.ndarray, shape (m,)
        int32 for labels, -1 where not known; else float32.

    Raises
    ------
    ShapeMismatchError
        If there is not one per pixel.
    ParameterError
        If a number is NaN or infinite, or is none.
    """
    values = getattr(y, "data", y) if hasattr(y, "dims") else y
    if not type(values).__module__.startswith("dask.array"):
        values = np.asarray(values)
    n_pixels = int(np.prod(table.shape))
    if values.shape not in {table.shape, (n_pixels,), (n_pixels, 1)}:
        raise ShapeMismatchError(
            f"y has the shape {values.shape}, but the pixels have {table.shape}. Give one value "
            "per pixel."
        )
    taken = values.ravel()[numbers]
    if not isinstance(taken, np.ndarray):
        (taken,) = compute.run(taken, description="Reading labels")
    if target_metric == "categorical":
        return _codes(taken)
    try:
        targets: NDArray[np.float32] = taken.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"y must be numbers for target_metric={target_metric!r}.") from error
    if not np.isfinite(targets).all():
        raise ParameterError("y contains NaN or infinity. Leave these pixels out, or fill them.")
    return targets


def _codes(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Number the labels, whatever they are; the unknown stay -1."""
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ParameterError("y contains NaN or infinity. Use -1 where a label is not known.")
    try:
        found, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise ParameterError("y must hold labels of one kind: numbers or text.") from error
    numbered: NDArray[np.int32] = codes.astype(np.int32)
    if labels.dtype.kind in "if":
        numbered[np.asarray(found[numbered] == _UNKNOWN)] = _UNKNOWN
    return numbered
