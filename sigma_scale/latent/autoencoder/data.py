"""Feature vectors of pixels, from wherever they lie, some rows at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.compute import check_memory
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.latent.autoencoder.settings import checked_count
from sigma_scale.latent.landmarks import choose_landmarks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["ALL_ROWS", "FeatureRows", "training_rows"]

_LOGGER = logging.getLogger(__name__)

ALL_ROWS = 250_000
"""Rows up to which a network is trained on all of them, and landmarks above."""

_CANDIDATES = 4_000_000  # rows that landmarks are chosen from: some hundred MB
_BAND_ROWS = 262_144
_TABLE, _MAP = 2, 3  # dimensions


class FeatureRows:
    """
    One row of features per pixel, read in bands of bounded size.

    Parameters
    ----------
    dataset : array-like, shape (n, k) or (y, x, k)
        NumPy, Dask or xarray array, or anything with a shape, a dtype and slices.

    Attributes
    ----------
    n_rows, n_features : int
        Number of pixels, and of features of each.

    Raises
    ------
    ParameterError
        If it is neither a table nor a map of real numbers.
    EmptyMapError
        If there are no pixels or no features.
    """

    def __init__(self, dataset: Any) -> None:
        self._values = _sliceable(dataset)
        shape = tuple(int(size) for size in self._values.shape)
        if len(shape) not in {_TABLE, _MAP}:
            raise ParameterError(
                f"The dataset must be a table (pixels, features) or a map (y, x, features), got "
                f"an array of shape {shape}."
            )
        if np.dtype(self._values.dtype).kind not in "fiub":
            raise ParameterError(f"The dataset must be real numbers, got {self._values.dtype}.")
        if 0 in shape:
            raise EmptyMapError(f"The dataset is empty: its shape is {shape}.")
        self._width = shape[1] if len(shape) == _MAP else 1
        self.n_rows = shape[0] * self._width
        self.n_features = shape[-1]

    def bands(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """
        Read all rows in order.

        Yields
        ------
        int, numpy.ndarray of shape (m, k), float32
            Number of the first row of the band, and the rows.

        Raises
        ------
        ParameterError
            If a value is NaN or infinite.
        MemoryLimitError
            If a row of chunks doesn't fit into memory.
        """
        for top, bottom in self._cuts():
            band = np.asarray(self._values[top:bottom])
            with np.errstate(over="ignore"):  # what is too large is reported below
                rows = np.ascontiguousarray(band.reshape(-1, self.n_features), np.float32)
            first = top * self._width
            self._check_finite(rows, first)
            yield first, rows

    def all(self) -> NDArray[np.float32]:
        """Read all rows into one array of shape (n, k), float32."""
        self._check_room(self.n_rows, "Reading all features")
        rows = np.empty((self.n_rows, self.n_features), np.float32)
        for first, band in self.bands():
            rows[first : first + len(band)] = band
        return rows

    def take(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """
        Read some rows.

        Parameters
        ----------
        numbers : numpy.ndarray of int64
            Sorted row numbers.

        Returns
        -------
        numpy.ndarray, shape (len(numbers), k), float32
        """
        self._check_room(len(numbers), "Reading a sample of the features")
        taken = np.empty((len(numbers), self.n_features), np.float32)
        for first, band in self.bands():
            low, high = np.searchsorted(numbers, (first, first + len(band)))
            taken[low:high] = band[numbers[low:high] - first]
        return taken

    def _cuts(self) -> Iterator[tuple[int, int]]:
        """Bands along the first axis: whole chunks of lazy arrays, so that each is read once."""
        height = int(self._values.shape[0])
        step = max(1, _BAND_ROWS // self._width)
        chunks = getattr(self._values, "chunks", None)
        if not isinstance(chunks, tuple) or not isinstance(chunks[0], tuple):
            for top in range(0, height, step):
                yield top, min(top + step, height)
            return
        tallest = max(chunks[0]) * self._width
        self._check_room(max(tallest, _BAND_ROWS), "Reading a row of chunks of the features")
        top = bottom = 0
        for chunk in chunks[0]:
            if bottom > top and bottom + chunk - top > step:
                yield top, bottom
                top = bottom
            bottom += chunk
        yield top, bottom

    def _check_room(self, n_rows: int, what: str) -> None:
        check_memory(
            min(n_rows, self.n_rows)
            * self.n_features
            * (4 + np.dtype(self._values.dtype).itemsize),
            what=what,
            remedy="Raise memory_limit, lower n_landmarks, or use smaller chunks along y.",
        )

    def _check_finite(self, rows: NDArray[np.float32], first: int) -> None:
        finite = np.isfinite(rows).all(axis=1)
        if finite.all():
            return
        number = first + int(np.argmin(finite))
        where = f"row {number}"
        if len(self._values.shape) == _MAP:
            where = f"y={number // self._width}, x={number % self._width}"
        raise ParameterError(
            f"The dataset contains NaN or infinity (the first pixel is at {where}). Fill these "
            "pixels, or leave them out, before an autoencoder is trained on or applied to them."
        )


def training_rows(rows: FeatureRows, n_landmarks: int | None, *, seed: int) -> NDArray[np.float32]:
    """
    Read the rows that a network is trained on.

    Parameters
    ----------
    rows : FeatureRows
        All of them.
    n_landmarks : int, optional
        How many to train on at most; None: all up to :data:`ALL_ROWS`, and as many landmarks
        where there are more.
    seed : int
        Seed of the choice.

    Returns
    -------
    numpy.ndarray, shape (m, k), float32
        In the order of the pixels. The choice doesn't depend on how the data are chunked.

    Raises
    ------
    ParameterError
        If ``n_landmarks`` is not positive, or a value is NaN or infinite.
    """
    wanted = ALL_ROWS if n_landmarks is None else checked_count("n_landmarks", n_landmarks)
    if rows.n_rows <= wanted:
        return rows.all()
    _LOGGER.info("The autoencoder is trained on %d landmarks of %d pixels", wanted, rows.n_rows)
    candidates = _candidates(rows, max(wanted, _CANDIDATES), seed)
    return candidates[choose_landmarks(candidates, wanted, random_state=seed)]


def _candidates(rows: FeatureRows, most: int, seed: int) -> NDArray[np.float32]:
    """Read all rows, or a uniform sample where they would not fit into memory."""
    if rows.n_rows <= most:
        return rows.all()
    generator = np.random.default_rng(seed)
    # Without shuffling, a small sample of a billion numbers takes the memory of the sample only.
    numbers = generator.choice(rows.n_rows, most, replace=False, shuffle=False)
    return rows.take(np.sort(numbers))


def _sliceable(dataset: Any) -> Any:
    """Give what can be cut along its first axis, without reading what is lazy."""
    dims = getattr(dataset, "dims", None)
    if isinstance(dims, tuple) and hasattr(dataset, "transpose"):
        if "line" in dims[:-1]:
            raise ParameterError(
                f"The features must be the last dimension of the dataset, got {dims}. Use "
                ".transpose(..., 'line')."
            )
        dataset = dataset.data
    wanted = ("shape", "dtype", "__getitem__", "__array__")
    if all(hasattr(dataset, name) for name in wanted) and type(dataset).__module__ != "torch":
        return dataset
    try:
        return np.asarray(dataset)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ParameterError(
            f"The dataset, a {type(dataset).__name__}, is no array of numbers: {error}."
        ) from error
