"""The log of edits, where one stands in it, and the clusters that follow from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.workflow.segmenter.edits import apply_edit, replay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sigma_scale.workflow.segmenter.clusters import ClusterState

__all__ = ["History"]


class History:
    """
    Edits since the clustering.

    Parameters
    ----------
    first : ClusterState
        Clusters before any edit.
    records : sequence of mapping, optional
        Edits to begin with, those that were undone included.
    position : int, optional
        How many of them are in effect; None: all.

    Attributes
    ----------
    current : ClusterState
        Clusters after the edits in effect.

    Raises
    ------
    ParameterError
        If an edit in effect can't be replayed, or the position lies outside the log.
    """

    def __init__(
        self,
        first: ClusterState,
        records: Sequence[Mapping[str, Any]] = (),
        position: int | None = None,
    ) -> None:
        self.first = first
        self.records = [_written(record) for record in records]
        self.position = len(self.records) if position is None else position
        if not 0 <= self.position <= len(self.records):
            raise ParameterError(
                f"The log has {len(self.records)} edits, {self.position} can't be in effect."
            )
        self.current = replay(first, self.records[: self.position])

    def add(self, record: dict[str, Any], mask: NDArray[np.bool_] | None = None) -> None:
        """Apply an edit; those that were undone before are forgotten. Nothing if it fails."""
        record = _written(record)
        self.current = apply_edit(self.current, record, mask)
        self.records = [*self.records[: self.position], record]
        self.position += 1

    def extend(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Apply several edits, all of them or none."""
        added = [_written(record) for record in records]
        self.current = replay(self.current, added)
        self.records = [*self.records[: self.position], *added]
        self.position = len(self.records)

    def go_to(self, position: int) -> None:
        """Put the first edits of the log into effect, as many as said."""
        later = position - self.position
        start = self.current if later >= 0 else self.first
        skipped = self.position if later >= 0 else 0
        self.current = replay(start, self.records[skipped:position])
        self.position = position


def _written(record: Mapping[str, Any]) -> dict[str, Any]:
    """Record as it will be read again, so that what is replayed is what was done."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(record), default=_number))
    except (TypeError, ValueError) as error:
        raise ParameterError(f"The edit can't be written down: {error}") from error
    return plain


def _number(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is neither a number nor a text.")
