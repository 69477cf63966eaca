"""Features of pixels, from wherever they lie: arrays, Dask arrays, maps, datasets and stores."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.latent.rows import BATCH_ROWS, as_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["FeatureSource", "FeatureTable", "feature_source"]

_STORED_GROUP, _FEATURES = "binned", "features"
_TABLE = 2  # dimensions


@dataclass(frozen=True)
class FeatureTable:
    """
    How features are laid out, and what is wrong with them.

    Parameters
    ----------
    name : str
        What they are, for errors.
    shape : tuple of int
        Shape of the pixels: ``(n,)`` of a table, ``(y, x)`` of a map.
    n_features : int
        Number of features.
    skips_missing : bool
        Whether pixels that have NaN are left out, or are an error.
    """

    name: str
    shape: tuple[int, ...]
    n_features: int
    skips_missing: bool

    def valid_rows(
        self, values: NDArray[Any], origin: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """
        Give the pixels of a block that take part, with their row numbers.

        Parameters
        ----------
        values : numpy.ndarray, shape (..., k)
            Block of the features.
        origin : tuple of int
            Place of the block's first pixel.

        Returns
        -------
        numbers : numpy.ndarray, shape (m,), int64
        rows : numpy.ndarray, shape (m, k), float32

        Raises
        ------
        ParameterError
            If a value is infinite, or NaN where that is an error.
        """
        rows, valid = self.checked(values, origin)
        numbers = self._numbers(values.shape[:-1], origin)
        if valid.all():
            return numbers, rows
        return numbers[valid], rows[valid]

    def checked(
        self, values: NDArray[Any], origin: tuple[int, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """
        Give the pixels of a block as rows, and which of them take part.

        Parameters
        ----------
        values, origin
            As for :meth:`valid_rows`.

        Returns
        -------
        rows : numpy.ndarray, shape (n, k), float32
        valid : numpy.ndarray, shape (n,), bool

        Raises
        ------
        ParameterError
            As for :meth:`valid_rows`.
        """
        values = np.asarray(values)
        with np.errstate(over="ignore"):  # what is too large for the type is reported below
            rows = np.ascontiguousarray(values.reshape(-1, self.n_features), np.float32)
        valid = np.asarray(np.isfinite(rows).all(axis=1))
        if valid.all():
            return rows, valid
        bad = np.asarray(np.isinf(rows).any(axis=1)) if self.skips_missing else ~valid
        if bad.any():
            number = int(self._numbers(values.shape[:-1], origin)[int(np.argmax(bad))])
            raise ParameterError(
                f"The {self.name} contain NaN or infinity in {np.count_nonzero(bad)} of "
                f"{len(bad)} rows read at once (the first is {self._place(number)}). Fill these "
                "pixels or leave them out."
            )
        return rows, valid

    def _numbers(self, shape: tuple[int, ...], origin: tuple[int, ...]) -> NDArray[np.int64]:
        axes = [np.arange(size) + first for size, first in zip(shape, origin, strict=True)]
        grid = np.meshgrid(*axes, indexing="ij")
        return np.ravel_multi_index(grid, self.shape).ravel().astype(np.int64, copy=False)

    def _place(self, number: int) -> str:
        if len(self.shape) == 1:
            return f"row {number}"
        y, x = np.unravel_index(number, self.shape)
        return f"at y={y}, x={x}"


@dataclass(frozen=True)
class FeatureSource:
    """
    One row of features per pixel, read in blocks.

    Parameters
    ----------
    values : numpy.ndarray or dask.array.Array, shape (n, k) or (y, x, k)
        The features.
    table : FeatureTable
        How they are laid out.
    names : tuple of str, optional
        Names of the features, where they have any.
    labelled : xarray.DataArray, optional
        The map that the values are of, where it is one.
    """

    values: Any
    table: FeatureTable
    names: tuple[str, ...] | None = None
    labelled: xr.DataArray | None = None

    @property
    def n_rows(self) -> int:
        """Number of pixels, those with NaN among them."""
        return int(np.prod(self.table.shape))

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.table.n_features

    @property
    def is_lazy(self) -> bool:
        """Whether the features are computed when they are asked for."""
        return not isinstance(self.values, np.ndarray)

    def batches(self) -> Iterator[tuple[NDArray[Any], tuple[int, ...]]]:
        """
        Cut features in memory into views of at most some ten thousand pixels.

        Yields
        ------
        numpy.ndarray, tuple of int
            Block of features, and the place of its first pixel.
        """
        width = int(np.prod(self.table.shape[1:]))
        step = max(1, BATCH_ROWS // width)
        for first in range(0, self.table.shape[0], step):
            yield self.values[first : first + step], (first, *(0 for _ in self.table.shape[1:]))

    def chunks(self) -> list[tuple[Any, tuple[int, ...]]]:
        """
        Give the chunks of lazy features.

        Returns
        -------
        list of (dask.delayed.Delayed, tuple of int)
            Chunk, and the place of its first pixel.
        """
        values = self.values.rechunk({self.values.ndim - 1: -1})
        starts = [np.concatenate([[0], np.cumsum(sizes)[:-1]]) for sizes in values.chunks[:-1]]
        origins = [tuple(int(first) for first in place) for place in product(*starts)]
        return list(zip(values.to_delayed().ravel(), origins, strict=True))


def feature_source(
    features: Any,
    *,
    name: str = "features",
    model: str = "model",
    n_features: int | None = None,
    names: tuple[str, ...] | None = None,
) -> FeatureSource:
    """
    Find out what features are given, without reading those that are lazy.

    Parameters
    ----------
    features : object
        One of

        - anything that NumPy makes an array of shape (n, k) of; a DataFrame's columns name the
          features;
        - a Dask array of shape (n, k);
        - an xarray.DataArray of shape (y, x, k) or (n, k), lazy or not, whose last dimension is
          the features; its coordinate names them. Pixels that have NaN, such as those outside the
          tiles of a mosaic, take no part;
        - an xarray.Dataset with such an array as its variable ``features``;
        - the folder of a store that holds the result ``binned`` with that variable;
        - a dataset with ``normalised_maps``.
    name : str, default: "features"
        What they are, for errors.
    model : str, default: "model"
        Name of the model that they are for, for errors.
    n_features : int, optional
        Number of features that it was fitted on.
    names : tuple of str, optional
        Their names, where the model knows them.

    Returns
    -------
    FeatureSource

    Raises
    ------
    ParameterError
        If they are not a table or a map of real numbers, or have other names.
    EmptyMapError
        If there are no pixels or no features.
    ShapeMismatchError
        If the number of features is not the one expected.
    """
    import xarray as xr

    from sigma_scale.spectra import SpectrumImage

    if isinstance(features, SpectrumImage):
        raise ParameterError(
            "A spectrum image holds counts, not features. Give the maps that "
            "sigma_scale.features.line_intensity and normalise_features make of it."
        )
    if isinstance(features, (str, Path)):
        from sigma_scale.store import open_result

        features = open_result(features, _STORED_GROUP)
    if isinstance(features, xr.Dataset):
        features = _variable(features)
    elif hasattr(features, "normalised_maps"):
        features = features.normalised_maps
    if isinstance(features, xr.DataArray):
        source = _labelled(features, name)
    elif type(features).__module__.startswith("dask.array"):
        source = FeatureSource(features, _lazy_table(features, name, missing=False))
    else:
        matrix = as_matrix(features, name=name)
        table = FeatureTable(name, (len(matrix),), matrix.shape[1], skips_missing=False)
        source = FeatureSource(matrix, table, _column_names(features))
    _check_expected(source, model, n_features, names)
    return source


def _variable(dataset: xr.Dataset) -> xr.DataArray:
    if _FEATURES not in dataset:
        raise ParameterError(
            f"The dataset has no variable {_FEATURES!r}; it has: "
            f"{', '.join(map(str, dataset.data_vars)) or 'none'}. Give the array itself."
        )
    return dataset[_FEATURES]


def _labelled(features: xr.DataArray, name: str) -> FeatureSource:
    if features.ndim not in {_TABLE, _TABLE + 1} or "line" in features.dims[:-1]:
        raise ParameterError(
            f"A feature map has the dimensions (y, x, line), got {tuple(features.dims)}. "
            "Use .transpose('y', 'x', ...) to bring them into this order."
        )
    if 0 in features.shape:
        raise EmptyMapError(f"The feature map is empty: its shape is {features.shape}.")
    if features.dtype.kind not in "fiub":
        raise ParameterError(f"The {name} must be real numbers, got {features.dtype}.")
    values = features.data
    if features.chunks is None:
        values = np.asarray(values)
    table = FeatureTable(name, features.shape[:-1], features.shape[-1], skips_missing=True)
    line = features.coords.get(features.dims[-1])
    return FeatureSource(values, table, _text(None if line is None else line.values), features)


def _lazy_table(values: Any, name: str, *, missing: bool) -> FeatureTable:
    if values.ndim != _TABLE:
        raise ParameterError(
            f"The {name} must be a table with one row per pixel, got a Dask array of shape "
            f"{values.shape}. Reshape it to (-1, k), or give a map as an xarray.DataArray."
        )
    if values.dtype.kind not in "fiub":
        raise ParameterError(f"The {name} must be real numbers, got {values.dtype}.")
    if np.isnan(values.shape).any():
        raise ParameterError(
            f"The chunks of the {name} have unknown sizes. Call .compute_chunk_sizes() first."
        )
    if 0 in values.shape:
        raise EmptyMapError(f"The {name} are empty: their shape is {values.shape}.")
    return FeatureTable(name, (values.shape[0],), values.shape[1], skips_missing=missing)


def _column_names(features: Any) -> tuple[str, ...] | None:
    columns = getattr(features, "columns", None)
    return None if columns is None else _text(columns)


def _text(names: Any) -> tuple[str, ...] | None:
    """Names of features, if they are names: numbers of components are none."""
    if names is None or not all(isinstance(name, str) for name in names):
        return None
    return tuple(str(name) for name in names)


def _check_expected(
    source: FeatureSource, model: str, n_features: int | None, names: tuple[str, ...] | None
) -> None:
    if n_features is not None and source.n_features != n_features:
        raise ShapeMismatchError(
            f"X has {source.n_features} features, but {model} is expecting {n_features} features "
            f"as input: it was fitted on {n_features}. Give it the same features in the same order."
        )
    if names is not None and source.names is not None and names != source.names:
        raise ParameterError(
            f"X has the features {', '.join(source.names)}, but {model} was fitted on "
            f"{', '.join(names)}. Give it the same features in the same order."
        )
