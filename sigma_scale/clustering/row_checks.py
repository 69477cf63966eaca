"""Checks of what models are fitted on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sigma_scale.clustering.row_source import RowSource

__all__ = ["check_different", "check_n_fit", "is_positive", "one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """
    Keep libraries inside the ``with`` block to one thread: more of them round sums differently.

    Yields
    ------
    None
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def check_n_fit(n_fit: Any) -> None:
    """
    Check the number of rows to fit on.

    Raises
    ------
    ParameterError
        If it is neither a whole number above 0 nor None.
    """
    if n_fit is not None and not is_positive(n_fit):
        raise ParameterError(f"n_fit must be at least 1, or None for all, got {n_fit!r}.")


def is_positive(number: Any) -> bool:
    """Whether this is a whole number above 0."""
    return isinstance(number, int | np.integer) and bool(number >= 1)


def check_different(source: RowSource, number: int, what: str) -> None:
    """
    Refuse rows of which fewer are different than there shall be components.

    Parameters
    ----------
    source : RowSource
        The rows; read no further than needed.
    number : int
        How many have to be different.
    what : str
        What there shall be so many of, for the error.

    Raises
    ------
    ParameterError
        If there are fewer, or a value is NaN or infinite.
    """
    found = np.empty((0, source.n_features))
    for _, rows in source.batches():
        found = np.unique(np.concatenate([found, rows[: 10 * number]]), axis=0)
        if len(found) < number:
            found = np.unique(np.concatenate([found, rows]), axis=0)
        if len(found) >= number:
            return
    raise ParameterError(
        f"{number} {what} cannot be fitted on {len(source)} pixels of which {len(found)} are "
        f"different (n_samples={len(source)}). Ask for fewer {what}."
    )
