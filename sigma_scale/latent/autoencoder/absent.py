"""What stands in the place of PyTorch's modules where PyTorch is missing."""

from __future__ import annotations

from typing import Any

from sigma_scale.errors import EngineUnavailableError

__all__ = ["stand_in"]


def stand_in(reason: str) -> type:
    """
    Make a base class that can be derived from, and whose objects can't be made.

    Parameters
    ----------
    reason : str
        What is missing and how to get it.

    Returns
    -------
    type
        Raises an :class:`~sigma_scale.errors.EngineUnavailableError` when an object is made.
    """

    class Absent:
        def __init__(self, *_: Any, **__: Any) -> None:
            raise EngineUnavailableError(reason)

    return Absent
