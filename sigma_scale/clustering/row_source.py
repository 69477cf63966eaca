"""Rows of any size, read in batches whose limits depend on the row numbers alone."""

from __future__ import annotations

import logging
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sklearn.utils.validation import validate_data

from sigma_scale.compute import local_workers, memory_limit
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent.rows import as_matrix, finite_rows, random_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from sigma_scale.latent.rows import RandomState_

    Result = TypeVar("Result")

__all__ = ["BATCH_ROWS", "RowSource"]

_LOGGER = logging.getLogger(__name__)

BATCH_ROWS = 16_384
"""Rows of a batch: some hundred microseconds of work, some hundred kilobytes."""

_READ_ROWS = 16 * BATCH_ROWS
"""Rows of small Dask chunks that are computed together."""

_KEPT_SHARE = 0.25
"""Share of the memory limit up to which a lazy array is read once and kept."""


class RowSource:
    """
    A table of numbers that is read batch by batch: a NumPy array or a lazy Dask array.

    Batch i holds the rows from ``i * BATCH_ROWS``, however the table is chunked, and results come
    in the order of the rows. What is summed batch by batch is therefore the same to the last bit
    for any chunking and any number of threads.

    Parameters
    ----------
    X : array-like or dask.array.Array, shape (n, d)
        One row per pixel; an ``xarray.DataArray`` or a memory-mapped array will do.
    name : str, default: "latent coordinates"
        What the values are, for errors.

    Raises
    ------
    ParameterError
        If this is no table of real numbers, or a Dask array does not know how long it is.
    EmptyMapError
        If there are no rows or no columns.
    """

    def __init__(self, X: Any, *, name: str = "latent coordinates") -> None:  # noqa: N803
        self.name = name
        xarray = sys.modules.get("xarray")
        labelled = xarray is not None and isinstance(X, xarray.DataArray)
        values = X.data if labelled else X  # lazy, where it is
        self._table: Any
        if _is_dask(values):
            if np.isnan(values.shape[0]):
                raise ParameterError(
                    f"The {name} are a Dask array of unknown length. Call its "
                    "compute_chunk_sizes() first."
                )
            # A stand-in of the same shape and type, which takes no memory.
            as_matrix(np.broadcast_to(np.zeros((), values.dtype), values.shape), name=name)
            self._table = values
        else:
            self._table = as_matrix(values, name=name)
        self.n_rows, self.n_features = (int(size) for size in self._table.shape)

    @classmethod
    def of(cls, estimator: Any, X: Any, *, reset: bool) -> RowSource:  # noqa: N803
        """
        Take the rows that an estimator is given, and compare their features with its own.

        Parameters
        ----------
        estimator : sklearn.base.BaseEstimator
            Its number and names of features are set, or else compared.
        X : array-like or dask.array.Array, shape (n, n_features)
            One row per pixel.
        reset : bool
            True in ``fit``, False afterwards.

        Raises
        ------
        ParameterError
            If this is no table of real numbers.
        EmptyMapError
            If there are no rows or no columns.
        ShapeMismatchError
            If the features are not those of the fit.
        """
        source = X if isinstance(X, cls) else cls(X)
        # What validate_data looks at is the shape and, of a data frame, the names.
        given = source._table if source is X else X  # noqa: SLF001 - an object of this very class
        try:
            validate_data(estimator, given, reset=reset, skip_check_array=True)
        except ValueError as error:
            raise ShapeMismatchError(
                f"{error} The model was fitted on {getattr(estimator, 'n_features_in_', '?')} "
                "features: give it the same ones in the same order."
            ) from error
        return source

    def __len__(self) -> int:
        return self.n_rows

    def map(
        self,
        function: Callable[[slice, NDArray[np.float64]], Result],
        *,
        batch_rows: int = BATCH_ROWS,
        workers: int | None = None,
    ) -> Iterator[tuple[slice, Result]]:
        """
        Call a function for each batch in threads, and give the results in the order of the rows.

        Parameters
        ----------
        function : callable
            Called with the rows' numbers and the rows, shape (b, d), float64, C-contiguous.
        batch_rows : int, default: 16_384
            Rows of a batch.
        workers : int, optional
            Threads; None: as many as Dask would use.

        Yields
        ------
        slice, object
            Which rows, and what the function gave for them.

        Raises
        ------
        ParameterError
            If a value is NaN or infinite.
        """

        def work(rows: slice, values: NDArray[Any]) -> tuple[slice, Result]:
            return rows, function(rows, self._finite(values, rows.start))

        workers = local_workers() if workers is None else workers
        batches = self._batches(batch_rows)
        if workers == 1 or self.n_rows <= batch_rows:
            for rows, values in batches:
                yield work(rows, values)
            return
        with ThreadPoolExecutor(workers) as pool:
            pending: deque[Any] = deque()
            try:
                for rows, values in batches:
                    pending.append(pool.submit(work, rows, values))
                    if len(pending) > 2 * workers:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def batches(
        self, *, batch_rows: int = BATCH_ROWS
    ) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """
        Read the batches one after the other.

        Yields
        ------
        slice, numpy.ndarray of shape (b, d), float64
            Which rows, and the rows.

        Raises
        ------
        ParameterError
            If a value is NaN or infinite.
        """
        for rows, values in self._batches(batch_rows):
            yield rows, self._finite(values, rows.start)

    def take(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """
        Read some rows.

        Parameters
        ----------
        chosen : array, shape (m,), int64
            Sorted row numbers.

        Returns
        -------
        numpy.ndarray, shape (m, d), float64
        """
        taken = np.empty((len(chosen), self.n_features))
        for rows, values in self._batches(_READ_ROWS):
            first, last = np.searchsorted(chosen, [rows.start, rows.stop])
            if last > first:
                wanted = values[chosen[first:last] - rows.start]
                taken[first:last] = self._finite(wanted, rows.start)
        return taken

    def sample(self, size: int, *, random_state: RandomState_) -> NDArray[np.float64]:
        """
        Read a uniform sample without repetition, in the order of the rows; all rows of few.

        Returns
        -------
        numpy.ndarray, shape (min(n, size), d), float64
        """
        if self.n_rows <= size:
            return self.take(np.arange(self.n_rows))
        seed = random_generator(random_state).randint(2**31 - 1)
        # The legacy generator would permute all row numbers.
        chosen = np.random.default_rng(seed).choice(self.n_rows, size, replace=False, shuffle=False)
        return self.take(np.sort(chosen))

    def kept(self) -> RowSource:
        """Read a lazy array once and for all if it is small against the memory limit."""
        if not _is_dask(self._table):
            return self
        n_bytes = self.n_rows * self.n_features * self._table.dtype.itemsize
        if n_bytes > _KEPT_SHARE * memory_limit():
            _LOGGER.info("%d rows are too many to keep: each pass reads them anew", self.n_rows)
            return self
        values = np.empty(self._table.shape, self._table.dtype)
        for rows, batch in self._batches(_READ_ROWS):
            values[rows] = batch
        return RowSource(values, name=self.name)

    def _finite(self, values: NDArray[Any], first: int) -> NDArray[np.float64]:
        return finite_rows(values, name=self.name, dtype=np.float64, first=first)

    def _batches(self, batch_rows: int) -> Iterator[tuple[slice, NDArray[Any]]]:
        if not _is_dask(self._table):
            for first in range(0, self.n_rows, batch_rows):
                rows = slice(first, min(first + batch_rows, self.n_rows))
                yield rows, self._table[rows]
            return
        first = 0
        waiting: list[NDArray[Any]] = []  # rows of the next batch that have been read
        n_waiting = 0
        for values in self._computed():
            part = values
            while len(part):
                head, part = part[: batch_rows - n_waiting], part[batch_rows - n_waiting :]
                waiting.append(head)
                n_waiting += len(head)
                if n_waiting == batch_rows or first + n_waiting == self.n_rows:
                    batch = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
                    yield slice(first, first + n_waiting), batch
                    first += n_waiting
                    waiting, n_waiting = [], 0

    def _computed(self) -> Iterator[NDArray[Any]]:
        """Compute a Dask array in order, each of its chunks once, small ones together."""
        first = last = 0
        for size in self._table.chunks[0]:
            if last > first and last + size - first > _READ_ROWS:
                yield np.asarray(self._table[first:last].compute())
                first = last
            last += int(size)
        yield np.asarray(self._table[first:last].compute())


def _is_dask(values: Any) -> bool:
    """Whether this is a Dask array, without importing Dask's arrays where nobody else has."""
    module = sys.modules.get("dask.array")
    return module is not None and isinstance(values, module.Array)
