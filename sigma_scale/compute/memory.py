"""How much memory a step may take."""

from __future__ import annotations

import sys
from typing import Any

from sigma_scale import config
from sigma_scale.errors import MemoryLimitError, ParameterError

__all__ = ["check_memory", "memory_limit", "own_worker", "size_in_bytes"]

_SHARE_OF_FREE_MEMORY = 0.75
_SMALLEST_WITHOUT_UNIT = 10**6
"""Bytes that a text may mean without saying so: who writes less has forgotten the unit."""


def memory_limit() -> int:
    """
    Bytes that a step may take: the option ``memory_limit``, or most of what is free.

    In a task of a cluster: the worker's limit, or the option where that is less, shared by the
    tasks that the worker runs at once.

    Raises
    ------
    ParameterError
        If the option can't be understood.
    """
    chosen = config.get("memory_limit")
    limit = None if chosen is None else size_in_bytes(chosen, name="memory_limit")
    worker = own_worker()
    if worker is None:
        return _most_of_free_memory() if limit is None else limit
    limits = [value for value in (worker.memory_manager.memory_limit, limit) if value]
    shared = min(limits) if limits else _most_of_free_memory()
    return max(1, int(shared) // int(worker.state.nthreads))


def own_worker() -> Any:
    """Worker whose task runs in this thread; None outside of a cluster's tasks."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        return get_worker()
    except ValueError:
        return None


def _most_of_free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available * _SHARE_OF_FREE_MEMORY)


def size_in_bytes(size: Any, *, name: str) -> int:
    """
    Read a size such as ``"8GB"``.

    Parameters
    ----------
    size : str or int
        What was chosen.
    name : str
        Parameter or option, for the message.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ParameterError
        If it can't be understood, isn't positive, or is a text of a few bytes without a unit.
    """
    from dask.utils import parse_bytes

    try:
        found = int(parse_bytes(size))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ParameterError(f"{name} must be a size such as '8GB', not {size!r}.") from error
    if found < 1:
        raise ParameterError(f"{name} must be a size such as '8GB', not {size!r}.")
    if isinstance(size, str) and found < _SMALLEST_WITHOUT_UNIT and not size.strip()[-1].isalpha():
        raise ParameterError(
            f"{name} is {size!r}, which means so many bytes. Give a unit, such as "
            f"'{size.strip()}GB'."
        )
    return found


def check_memory(needed: int, *, what: str, remedy: str) -> None:
    """
    Refuse work that would not fit, before it starts.

    Parameters
    ----------
    needed : int
        Projected bytes.
    what : str
        The step, as the subject of the message.
    remedy : str
        What the user can do, as a full sentence.

    Raises
    ------
    MemoryLimitError
        If the projection exceeds the limit.
    """
    limit = memory_limit()
    if needed > limit:
        from dask.utils import format_bytes

        raise MemoryLimitError(
            f"{what} would take {format_bytes(needed)} of memory, the limit is "
            f"{format_bytes(limit)}. {remedy}"
        )
