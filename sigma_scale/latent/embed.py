"""Feature maps in, latent maps out: any model of rows applied to a map."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.latent.mapped import map_rows
from sigma_scale.latent.placement import NOVELTY_THRESHOLD
from sigma_scale.latent.recipe import model_recipe
from sigma_scale.latent.sources import feature_source
from sigma_scale.latent.umap import UMAP

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from sigma_scale.latent.sources import FeatureSource

__all__ = ["embed"]

_LOGGER = logging.getLogger(__name__)


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
        is not fitted yet, it is fitted on this map: UMAP chunk by chunk, any other model on all
        of it in memory.

    Returns
    -------
    xarray.DataArray, shape (y, x, component), float32
        Lazy where the features are; ``attrs["recipe"]`` says how it was made. UMAP adds the
        coordinate ``novelty`` (y, x), see :meth:`~sigma_scale.latent.UMAP.novelty`: pixels where
        it exceeds ``attrs["novelty_threshold"]`` are unlike all that the model was fitted on.

    Raises
    ------
    ParameterError
        If the dimensions are others, or the model refuses the features.
    EmptyMapError
        If no pixel has features.
    MemoryLimitError
        If the result, or for other models than UMAP the map, doesn't fit into memory.
    """
    dims = getattr(features, "dims", None)
    if dims is None:
        raise ParameterError(
            "A feature map is an array of the dimensions (y, x, line), not "
            f"{type(features).__name__}. Make one of a map by line_intensity(image, lines)."
        )
    if dims[:2] != ("y", "x") or len(dims[2:]) != 1:
        raise ParameterError(
            f"A feature map has the dimensions (y, x, line), got {tuple(dims)}. "
            "Use .transpose('y', 'x', ...) to bring them into this order."
        )
    source = feature_source(features)
    if not _is_fitted(model):
        model.fit(features if isinstance(model, UMAP) else _valid_rows(source))
    latent: xr.DataArray
    attrs: dict[str, Any] = {"recipe": model_recipe("sigma_scale.latent.embed", model)}
    if isinstance(model, UMAP):
        latent, novelty = model.transform_with_novelty(features)
        novelty.attrs = {"long_name": "novelty"}
        latent = latent.assign_coords(novelty=novelty)
        attrs["novelty_threshold"] = NOVELTY_THRESHOLD
        _say_how_much_is_new(novelty)
    else:
        latent = _transformed(source, model)
    latent = latent.assign_coords(component=np.arange(latent.shape[2]))
    latent.name = "latent"
    if "recipe" in features.attrs:
        attrs["recipe"]["features"] = features.attrs["recipe"]
    latent.attrs = attrs
    return latent


def _is_fitted(model: BaseEstimator) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        return False
    return True


def _valid_rows(source: FeatureSource) -> NDArray[np.float32]:
    """Read all rows, for models that can't be fitted on a stream of them."""
    compute.check_memory(
        2 * source.n_rows * source.n_features * 4,
        what=f"Fitting a model on {source.n_rows:,} pixels at once",
        remedy="Fit it on some of them first, such as those that choose_landmarks gives, or "
        "raise memory_limit.",
    )
    values = source.values
    if source.is_lazy:
        (values,) = compute.run(values, description="Reading features")
    rows = source.table.valid_rows(values, (0, 0))[1]
    if not len(rows):
        raise EmptyMapError("No pixel has features: each one has NaN in a line at least.")
    return rows


def _transformed(source: FeatureSource, model: Any) -> xr.DataArray:
    def transform(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(model.transform(rows), np.float32)

    n_components = transform(np.zeros((1, source.n_features), np.float32)).shape[1]
    latent: xr.DataArray = map_rows(
        transform, source, n_components, workers=1, description="Placing pixels"
    )
    return latent


def _say_how_much_is_new(novelty: xr.DataArray) -> None:
    if novelty.chunks is not None:
        return  # nobody knows before it is computed
    n_new = int(np.count_nonzero(novelty.to_numpy() > NOVELTY_THRESHOLD))
    if n_new:
        _LOGGER.info(
            "%d of %d pixels are unlike all that UMAP was fitted on (novelty above %g)",
            n_new,
            novelty.size,
            NOVELTY_THRESHOLD,
        )
