"""A history of edits that takes over another log, replaying only what differs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sigma_scale.workflow.segmenter.history import History

__all__ = ["followed"]


def followed(history: History, records: Sequence[dict[str, Any]], position: int) -> History:
    """
    Give a history with the same first state and another log.

    Parameters
    ----------
    history : History
        A history; it stays as it is.
    records : sequence of dict
        The other log, those that were undone included, as JSON gives it.
    position : int
        How many of its edits are in effect.

    Returns
    -------
    History

    Raises
    ------
    ParameterError
        If an edit in effect can't be replayed.
    """
    other = copy.copy(history)
    shared = 0
    for ours, theirs in zip(history.records, records, strict=False):
        if ours != theirs:
            break
        shared += 1
    if other.position > shared:
        other.go_to(shared)
    # States that follow from edits which are not in the other log.
    other._forget_undone()  # noqa: SLF001 - a copy of our own
    other.records = list(records)
    other.go_to(position)
    return other
