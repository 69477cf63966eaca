"""Clusters of all pixels: places in a fitted model, and their numbers in the order of size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sigma_scale import compute
from sigma_scale.clustering.labels import NOISE, order_by_size
from sigma_scale.clustering.row_source import BATCH_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Placer = Callable[[NDArray[Any]], tuple[NDArray[np.int32], NDArray[np.float32]]]

__all__ = ["number_clusters", "place_pixels", "placer_of", "scattered"]

_PLACED = np.dtype([("labels", np.int32), ("probability", np.float32)])


def placer_of(model: Any) -> Placer:
    """
    Give the function that a fitted model places rows with, to be sent to workers.

    Parameters
    ----------
    model : object
        Clustering with ``predict``. One that has a method ``placer`` gives it itself, without
        what is only needed to fit.

    Returns
    -------
    callable
        Takes rows and gives their labels and probabilities; works in the thread that calls it.
    """
    placer: Placer = model.placer() if hasattr(model, "placer") else _ModelPlacer(model)
    return placer


class _ModelPlacer:
    """Places rows by a model's own methods, few at a time, for which it starts no threads."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, rows: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        labels, probability = np.empty(len(rows), np.int32), np.ones(len(rows), np.float32)
        for start in range(0, len(rows), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            if hasattr(self.model, "predict_proba_max"):
                labels[part], probability[part] = self.model.predict_proba_max(rows[part])
            else:
                labels[part] = self.model.predict(rows[part])
        return labels, probability


def place_pixels(latent: xr.DataArray, place: Placer) -> xr.Dataset:
    """
    Assign every pixel of a lazy latent map to the clusters of a fitted model.

    Parameters
    ----------
    latent : xarray.DataArray, shape (y, x, component)
        Lazy. Pixels with NaN get the label -1 and the probability 0.
    place : callable
        From :func:`placer_of`; it is sent to each worker once.

    Returns
    -------
    xarray.Dataset
        ``labels`` (y, x), int32, as the model numbers them, and ``probability`` (y, x), float32;
        lazy, both from one pass if computed together.
    """
    import dask.array as da
    from dask.delayed import delayed

    values = latent.data.rechunk({2: -1})
    placed = da.map_blocks(
        _place_block,
        values,
        # A task of its own: in every other one, it would travel with each of them.
        delayed(place, pure=False),
        drop_axis=2,
        dtype=_PLACED,
        meta=np.empty((0, 0), _PLACED),
    )
    return _maps(latent, placed["labels"], placed["probability"])


def _place_block(block: NDArray[Any], place: Placer) -> NDArray[Any]:
    rows = np.ascontiguousarray(block).reshape(-1, block.shape[2])
    valid = ~np.isnan(rows).any(axis=1)
    placed = np.zeros(len(rows), _PLACED)
    placed["labels"] = NOISE
    if valid.any():
        placed["labels"][valid], placed["probability"][valid] = place(rows[valid])
    return placed.reshape(block.shape[:2])


def scattered(
    latent: xr.DataArray,
    numbers: NDArray[np.int64],
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
) -> xr.Dataset:
    """
    Put what is known of some pixels on the map; the others are noise.

    Parameters
    ----------
    latent : xarray.DataArray, shape (y, x, component)
        The map.
    numbers : numpy.ndarray, shape (m,), int64
        Numbers of the pixels.
    labels, probability : numpy.ndarray, shape (m,)
        Of these pixels.

    Returns
    -------
    xarray.Dataset
        As :func:`place_pixels` gives it, in memory.
    """
    height, width = latent.shape[:2]
    on_map = np.full(height * width, NOISE, np.int32)
    sure = np.zeros(height * width, np.float32)
    on_map[numbers], sure[numbers] = labels, probability
    return _maps(latent, on_map.reshape(height, width), sure.reshape(height, width))


def _maps(latent: xr.DataArray, labels: Any, probability: Any) -> xr.Dataset:
    return xr.Dataset(
        {"labels": (("y", "x"), labels), "probability": (("y", "x"), probability)},
        coords={name: latent.coords[name] for name in ("y", "x") if name in latent.coords},
    )


def number_clusters(placed: xr.Dataset) -> xr.Dataset:
    """
    Number the clusters from 0 in the order of their size, the largest first.

    Parameters
    ----------
    placed : xarray.Dataset
        ``labels`` (y, x) as a model numbers them, lazy or not, and other maps. Lazy labels are
        counted at once.

    Returns
    -------
    xarray.Dataset
        With the new labels, lazy where they were; ``attrs["recipe"]["original_labels"]`` has the
        original label of each.
    """
    labels = placed["labels"]
    data: Any
    if labels.chunks is None:
        data, original = order_by_size(labels.to_numpy())
    else:
        found, counts = _counted(labels.data)
        original = found[found >= 0][np.argsort(-counts[found >= 0], kind="stable")]
        table = np.full(int(found.max(initial=0)) + 2, NOISE, np.int32)
        table[original] = np.arange(len(original))
        data = labels.data.map_blocks(_looked_up, table, dtype=np.int32)
    recipe = {**placed.attrs.get("recipe", {}), "original_labels": original.tolist()}
    return placed.assign(labels=(("y", "x"), data)).assign_attrs(recipe=recipe)


def _looked_up(labels: NDArray[Any], table: NDArray[np.int32]) -> NDArray[np.int32]:
    # Noise, -1, finds the last entry of the table, which is noise too.
    found: NDArray[np.int32] = table[labels]
    return found


def _counted(labels: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from dask.delayed import delayed

    count = delayed(_count, pure=False)
    blocks = [count(block) for block in labels.to_delayed().ravel()]
    parts = compute.run(*blocks, description="Counting pixels of the clusters")
    totals: dict[int, int] = {}
    for values, counts in parts:
        for value, number in zip(values.tolist(), counts.tolist(), strict=True):
            totals[value] = totals.get(value, 0) + number
    found = sorted(totals)
    return np.array(found, np.int64), np.array([totals[value] for value in found], np.int64)


def _count(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    values, counts = np.unique(labels, return_counts=True)
    return values, counts
