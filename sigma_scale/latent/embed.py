"""Feature maps in, latent maps out: any model of rows applied to a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.latent.recipe import model_recipe
from sigma_scale.latent.rows import BATCH_ROWS
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

__all__ = ["embed"]


def embed(features: xr.DataArray, model: BaseEstimator) -> xr.DataArray:
    """
    Place every pixel of a feature map in a model's latent space.

    Parameters
    ----------
    features : xarray.DataArray, shape (y, x, line)
        Feature map, in memory or lazy. Pixels with NaN (such as those outside the tiles of a
        mosaic) take no part and stay NaN.
    model : sklearn.base.BaseEstimator
        Model with ``fit`` and ``transform``, such as :class:`~sigma_scale.latent.UMAP`. If it
        is not fitted yet, it is fitted on this map, which reads the map into memory.

    Returns
    -------
    xarray.DataArray, shape (y, x, component), float32
        Lazy where the features are; ``attrs["recipe"]`` says how it was made.

    Raises
    ------
    ParameterError
        If the dimensions are others, or the model refuses the features.
    EmptyMapError
        If no pixel has features.
    """
    if features.dims[:2] != ("y", "x") or len(features.dims[2:]) != 1:
        raise ParameterError(
            f"A feature map has the dimensions (y, x, line), got {tuple(features.dims)}. "
            "Use .transpose('y', 'x', ...) to bring them into this order."
        )
    if 0 in features.shape:
        raise EmptyMapError(f"The feature map is empty: its shape is {features.shape}.")
    if not _is_fitted(model):
        features = features.load() if features.chunks is None else features.compute()
        model.fit(_valid_rows(features.to_numpy()))
    n_components = model.transform(_zero_row(features.shape[2])).shape[1]
    if features.chunks is None:
        placed = _transformed_map(features.to_numpy(), model, n_components)
        latent = xr.DataArray(placed, dims=("y", "x", "component"))
    else:
        latent = _lazily(features, model, n_components)
    coords: dict[str, Any] = {
        name: features.coords[name] for name in ("y", "x") if name in features.coords
    }
    latent = latent.assign_coords(coords | {"component": np.arange(n_components)})
    latent.name = "latent"
    latent.attrs = {"recipe": model_recipe("sigma_scale.latent.embed", model)}
    if "recipe" in features.attrs:
        latent.attrs["recipe"]["features"] = features.attrs["recipe"]
    return latent


def _is_fitted(model: BaseEstimator) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        return False
    return True


def _valid_rows(features: NDArray[Any]) -> NDArray[Any]:
    rows = features.reshape(-1, features.shape[2])
    valid = ~np.isnan(rows).any(axis=1)
    if not valid.any():
        raise EmptyMapError("No pixel has features: each one has NaN in a line at least.")
    return rows if valid.all() else rows[valid]


def _zero_row(n_features: int) -> NDArray[np.float32]:
    return np.zeros((1, n_features), np.float32)


def _transformed_map(
    features: NDArray[Any], model: BaseEstimator, n_components: int
) -> NDArray[np.float32]:
    """Transform a map in memory, some rows of pixels at a time."""
    height, width, n_features = features.shape
    placed = np.empty((height, width, n_components), np.float32)
    step = max(1, BATCH_ROWS // width)
    with progress_bar("Placing pixels", total=height * width) as bar:
        for top in range(0, height, step):
            part = features[top : top + step]
            rows = _transformed_rows(part.reshape(-1, n_features), model, n_components)
            placed[top : top + step] = rows.reshape(*part.shape[:2], n_components)
            bar.update(len(rows))
    return placed


def _transformed_rows(
    rows: NDArray[Any], model: BaseEstimator, n_components: int
) -> NDArray[np.float32]:
    valid = ~np.isnan(rows).any(axis=1)
    placed = np.full((len(rows), n_components), np.nan, np.float32)
    if valid.any():
        placed[valid] = model.transform(rows if valid.all() else rows[valid])
    return placed


def _lazily(features: xr.DataArray, model: BaseEstimator, n_components: int) -> xr.DataArray:
    """Transform each block of a Dask array when it is asked for."""

    def block(values: NDArray[Any]) -> NDArray[np.float32]:
        rows = _transformed_rows(values.reshape(-1, values.shape[-1]), model, n_components)
        return rows.reshape(*values.shape[:-1], n_components)

    line = features.dims[2]
    latent: xr.DataArray = xr.apply_ufunc(
        block,
        features.chunk({line: -1}),
        input_core_dims=[[line]],
        output_core_dims=[["component"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        dask_gufunc_kwargs={"output_sizes": {"component": n_components}},
    )
    return latent
