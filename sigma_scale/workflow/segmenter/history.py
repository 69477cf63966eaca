"""The log of edits, where one stands in it, and the clusters that follow from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError
from sigma_scale.workflow.segmenter.edits import apply_edit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from sigma_scale.workflow.segmenter.clusters import ClusterState

__all__ = ["History"]

_KEPT_BYTES = 1 << 29


class History:
    """
    Edits since the clustering.

    States before the current one are kept in bounded memory, the closer to it the denser, so that
    undoing an edit neither waits for the whole log nor holds a copy of the map for each edit.

    Parameters
    ----------
    first : ClusterState
        Clusters before any edit.
    records : sequence of mapping, optional
        Edits to begin with, those that were undone included.
    position : int, optional
        How many of them are in effect; None: all.
    kept_bytes : int, optional
        Memory that kept states may take; that of one is taken in any case. None: an eighth of the
        memory limit, at most 512 MiB.

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
        *,
        kept_bytes: int | None = None,
    ) -> None:
        self.first = first
        self.records = [_written(record) for record in records]
        self.position = len(self.records) if position is None else position
        if not 0 <= self.position <= len(self.records):
            raise ParameterError(
                f"The log has {len(self.records)} edits, {self.position} can't be in effect."
            )
        if kept_bytes is None:
            kept_bytes = min(_KEPT_BYTES, compute.memory_limit() // 8)
        self._kept_bytes = kept_bytes
        # Never changed in place: copies of a history share it.
        self._kept: dict[int, ClusterState] = {}
        self.current = first
        self.current = self._replay(0, first, self.records[: self.position])

    def add(self, record: dict[str, Any], mask: NDArray[np.bool_] | None = None) -> None:
        """Apply an edit; those that were undone before are forgotten. Nothing if it fails."""
        record = _written(record)
        after = apply_edit(self.current, record, mask)
        self._forget_undone()
        before, self.current = self.current, after
        self._keep(self.position, before, self.position + 1)
        self.records = [*self.records[: self.position], record]
        self.position += 1

    def extend(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Apply several edits, all of them or none."""
        added = [_written(record) for record in records]
        kept = self._kept
        self._forget_undone()
        try:
            self.current = self._replay(self.position, self.current, added)
        except ParameterError:
            self._kept = kept
            raise
        self.records = [*self.records[: self.position], *added]
        self.position = len(self.records)

    def go_to(self, position: int) -> None:
        """Put the first edits of the log into effect, as many as said."""
        known = {0: self.first, **self._kept, self.position: self.current}
        start = max(number for number in known if number <= position)
        found = self._replay(start, known[start], self.records[start:position])
        before, self.current = self.current, found
        self._keep(self.position, before, position)
        self.position = position

    def _replay(
        self, start: int, state: ClusterState, records: Sequence[Mapping[str, Any]]
    ) -> ClusterState:
        """Apply edits to the state at a position of the log; keep some of the states between."""
        for number, record in enumerate(records):
            self._keep(start + number, state, start + len(records))
            try:
                state = apply_edit(state, record)
            except ParameterError as error:
                raise ParameterError(f"Edit {number} can't be replayed: {error}") from error
        return state

    def _forget_undone(self) -> None:
        self._kept = {n: state for n, state in self._kept.items() if n <= self.position}

    def _keep(self, position: int, state: ClusterState, goal: int) -> None:
        """Keep a state, at the cost of others if there are too many, for moves around a goal."""
        if position in {0, goal}:
            return  # they are there anyway, as the first and the current state
        kept = dict(sorted({**self._kept, position: state}.items()))
        kept.pop(goal, None)
        while len(kept) > 1 and self._bytes(kept.values()) > self._kept_bytes:
            del kept[_least_useful(list(kept), goal)]
        self._kept = kept

    def _bytes(self, states: Iterable[ClusterState]) -> int:
        """Memory of states; those that differ in colours and names only share their pixels."""
        pixels = {id(state.pixels): state.pixels.nbytes for state in states}
        for shared in (self.first, self.current):
            pixels.pop(id(shared.pixels), None)
        return sum(pixels.values())


def _least_useful(positions: list[int], goal: int) -> int:
    """Position whose loss lengthens the least, for its distance from the goal, what is replayed."""
    ends = [0, *positions, max(goal, positions[-1]) + 1]

    def worth(number: int) -> float:
        gap = ends[number + 1] - ends[number - 1]
        return gap / (1 + abs(goal - ends[number]))

    return ends[min(range(1, len(ends) - 1), key=worth)]


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
