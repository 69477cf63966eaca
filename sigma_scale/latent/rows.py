"""Rows of numbers, one per pixel: their checks, their batches and seeded samples of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.random import RandomState
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Item = TypeVar("Item")
    Result = TypeVar("Result")

__all__ = [
    "RandomState_",
    "as_matrix",
    "as_rows",
    "finite_rows",
    "in_threads",
    "random_generator",
    "row_batches",
    "seeded_sample",
]

RandomState_: TypeAlias = "int | RandomState | None"
"""What scikit-learn takes as ``random_state``."""

_TABLE = 2  # dimensions

BATCH_ROWS = 65_536
"""Rows worked on at a time: some tens of MB with the neighbours of each."""


def as_matrix(values: ArrayLike, *, name: str, n_features: int | None = None) -> NDArray[Any]:
    """
    Check that values are a table of numbers, without copying or reading them.

    Parameters
    ----------
    values : array-like, shape (n, k)
        One row per pixel.
    name : str
        What the values are, for the error.
    n_features : int, optional
        Number of columns that a fitted model expects.

    Returns
    -------
    numpy.ndarray, shape (n, k)

    Raises
    ------
    ParameterError
        If the values are not two-dimensional or not real numbers, or sparse.
    TypeError
        If they are Python objects that can't be numbers, such as lists; scikit-learn's contract
        asks for it.
    EmptyMapError
        If there are no rows or no columns.
    ShapeMismatchError
        If the number of columns is not the one expected.
    """
    if type(values).__module__.startswith("scipy.sparse"):
        raise ParameterError(
            f"The {name} are sparse, and sparse input is not supported. Use .toarray()."
        )
    matrix = np.asarray(values)
    if matrix.dtype.kind == "O":
        matrix = _numbers(matrix, name)
    if matrix.ndim != _TABLE:
        raise ParameterError(
            f"The {name} must be a table with one row per pixel, got an array of shape "
            f"{matrix.shape}. Reshape your data: a map (y, x, k) becomes .reshape(-1, k)."
        )
    if matrix.dtype.kind == "c":
        raise ParameterError(f"Complex data not supported: the {name} must be real numbers.")
    if matrix.dtype.kind not in "fiub":
        raise ParameterError(f"The {name} must be real numbers, got {matrix.dtype}.")
    for size, what in zip(matrix.shape, ("sample", "feature"), strict=True):
        if size == 0:
            raise EmptyMapError(
                f"The {name} have 0 {what}(s) (shape={matrix.shape}) while a minimum of 1 is "
                "required."
            )
    if n_features is not None and matrix.shape[1] != n_features:
        raise ShapeMismatchError(
            f"The {name} have {matrix.shape[1]} features, but the model was fitted on "
            f"{n_features}. Give it the same features in the same order."
        )
    return matrix


def as_rows(
    values: ArrayLike, *, name: str, dtype: DTypeLike, n_features: int | None = None
) -> NDArray[Any]:
    """
    Check and convert all values at once: finite, contiguous, of one type.

    Raises
    ------
    ParameterError
        If a value is NaN or infinite, or the values are not a table of numbers.
    """
    return finite_rows(as_matrix(values, name=name, n_features=n_features), name=name, dtype=dtype)


def finite_rows(
    values: NDArray[Any], *, name: str, dtype: DTypeLike, first: int = 0
) -> NDArray[Any]:
    """
    Convert rows to contiguous ones of a type, and check that all are finite.

    Parameters
    ----------
    values : array, shape (n, k)
    name : str
        What they are, for the error.
    dtype : dtype-like
    first : int, default: 0
        Number of the first row, for the error.

    Raises
    ------
    ParameterError
        If a value is NaN or infinite.
    """
    with np.errstate(over="ignore"):  # what is too large for the type is reported below
        rows = np.ascontiguousarray(values, dtype=dtype)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise ParameterError(
            f"The {name} contain NaN or infinity in {np.count_nonzero(~finite)} or more rows (the "
            f"first is row {first + int(np.argmin(finite))}). Fill these pixels or leave them out."
        )
    return rows


def row_batches(
    matrix: NDArray[Any], *, name: str, dtype: DTypeLike, batch_rows: int = BATCH_ROWS
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """
    Check and convert values batch by batch, so that only one batch is held twice.

    Yields
    ------
    slice, numpy.ndarray
        Which rows, and these rows converted.

    Raises
    ------
    ParameterError
        If a value is NaN or infinite.
    """
    for first in range(0, len(matrix), batch_rows):
        rows = slice(first, min(first + batch_rows, len(matrix)))
        yield rows, finite_rows(matrix[rows], name=name, dtype=dtype, first=first)


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> list[Result]:
    """
    Call a function for each item, in threads of this process.

    Parameters
    ----------
    function : callable
        Releases the GIL where it takes long.
    items : iterable
        Its arguments.
    workers : int
        Threads.

    Returns
    -------
    list
        Results in the order of the items.
    """
    if workers == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


def random_generator(random_state: RandomState_) -> RandomState:
    """
    Make scikit-learn's random generator from a seed.

    Raises
    ------
    ParameterError
        If the seed is not an integer from 0 to 2**32 - 1, a ``RandomState`` or None.
    """
    from sklearn.utils import check_random_state

    try:
        generator: RandomState = check_random_state(random_state)
    except ValueError as error:
        raise ParameterError(
            "random_state must be None, a numpy RandomState or an integer from 0 to 2**32 - 1, "
            f"got {random_state!r}."
        ) from error
    return generator


def seeded_sample(n_rows: int, size: int, *, random_state: RandomState_) -> NDArray[np.int64]:
    """
    Draw rows uniformly and without repetition; all rows where there are not more.

    Returns
    -------
    numpy.ndarray, shape (min(n_rows, size),), int64
        Sorted row numbers.
    """
    if n_rows <= size:
        return np.arange(n_rows)
    generator = random_generator(random_state)
    return np.sort(generator.permutation(n_rows)[:size]).astype(np.int64, copy=False)


def _numbers(objects: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Make numbers of objects."""
    message = f"The {name} hold objects that are no numbers"
    try:
        return objects.astype(np.float64)
    except TypeError as error:
        raise TypeError(f"{message}: {error}") from error
    except ValueError as error:
        raise ParameterError(f"{message}: {error}") from error
