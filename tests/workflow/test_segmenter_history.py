"""Going back and forth in the log: the same states as by replaying all of it, in bounded memory."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale.errors import ParameterError
from sigma_scale.workflow.segmenter import history
from sigma_scale.workflow.segmenter.clusters import first_state
from sigma_scale.workflow.segmenter.edits import apply_edit
from sigma_scale.workflow.segmenter.history import History
from sigma_scale.workflow.segmenter.selection import encode_mask

N = 200
STATE_BYTES = 5 * N  # labels and marks of edited pixels
FIRST = first_state(np.arange(N, dtype=np.int32) % 5, 5, 0)


def records(n, seed=0):
    """Edits that can follow each other in any order."""
    rng = np.random.default_rng(seed)
    kinds = [
        lambda: {
            "edit": "relabel", "cluster": int(rng.integers(-1, 5)),
            "pixels": encode_mask(rng.random(N) < 0.2),
        },
        lambda: {"edit": "recolour", "clusters": [int(rng.integers(5))], "colour": "red"},
        lambda: {"edit": "rename", "cluster": 1, "name": f"name {rng.integers(1000)}"},
    ]  # fmt: skip
    return [kinds[rng.choice(3, p=[0.6, 0.2, 0.2])]() for _ in range(n)]


def same(state, other):
    np.testing.assert_array_equal(state.pixels.labels, other.pixels.labels)
    np.testing.assert_array_equal(state.pixels.edited, other.pixels.edited)
    assert state.colours == other.colours
    assert state.names == other.names


def kept_bytes(log):
    pixels = {id(s.pixels): s.pixels.nbytes for s in log._kept.values() if s is not log.current}
    pixels.pop(id(FIRST.pixels), None)
    pixels.pop(id(log.current.pixels), None)
    return sum(pixels.values())


@given(
    st.lists(st.one_of(st.integers(0, 40), st.just("add")), max_size=12),
    st.integers(1, 12), st.integers(0, 100),
)  # fmt: skip
def test_any_walk_through_the_log_meets_the_states_of_a_full_replay(steps, n_kept, seed):
    log = History(FIRST, records(25, seed), kept_bytes=n_kept * STATE_BYTES)
    for step in steps:
        if step == "add":
            log.add(records(1, seed + 1)[0])
        else:
            log.go_to(min(step, len(log.records)))
        wanted = FIRST
        for record in log.records[: log.position]:
            wanted = apply_edit(wanted, record)
        same(log.current, wanted)
        # One is kept at least; the state left last may still stand beside the others.
        assert kept_bytes(log) <= max(n_kept, 1) * STATE_BYTES


@pytest.fixture
def applied(monkeypatch):
    """Edits applied since the last look."""
    seen = []

    def counting(*arguments):
        seen.append(arguments)
        return apply_edit(*arguments)

    monkeypatch.setattr(history, "apply_edit", counting)
    return seen


def test_undo_and_redo_of_the_last_edits_replay_nothing(applied):
    log = History(FIRST)
    for record in records(6):
        log.add(record)
    states = [log.current]
    applied.clear()
    for position in range(5, -1, -1):
        log.go_to(position)
        states.append(log.current)
    for position in range(1, 7):
        log.go_to(position)
        assert log.current is states[6 - position]
    assert not applied


def test_undoing_all_of_a_long_log_costs_little_in_bounded_memory(applied):
    log = History(FIRST, kept_bytes=8 * STATE_BYTES)
    mask = np.zeros(N, bool)
    for number in range(100):
        mask = np.roll(mask, 1)
        mask[number] = True
        log.add({"edit": "relabel", "cluster": number % 5, "pixels": encode_mask(mask)}, mask)
    applied.clear()
    costs = []
    for position in range(99, -1, -1):
        before = len(applied)
        log.go_to(position)
        costs.append(len(applied) - before)
        assert kept_bytes(log) <= 8 * STATE_BYTES
    # Replaying from the first state each time would apply 99 + 98 + ... = 4950 edits.
    assert sum(costs) < 500
    assert max(costs) < 50
    assert sum(costs[:3]) <= 3


def test_an_edit_after_undoing_forgets_what_came_later():
    log = History(FIRST, records(6))
    log.go_to(2)
    log.add({"edit": "rename", "cluster": 0, "name": "fresh"})
    assert len(log.records) == 3
    wanted = log.current
    log.add({"edit": "recolour", "clusters": [0], "colour": "blue"})
    log.go_to(3)
    same(log.current, wanted)


def test_copies_go_their_own_ways():
    log = History(FIRST, records(4))
    other = copy.copy(log)
    other.go_to(1)
    other.add({"edit": "rename", "cluster": 0, "name": "mine"})
    log.go_to(2)
    wanted = History(FIRST, log.records, 2)
    same(log.current, wanted.current)


def test_a_failed_extension_changes_nothing():
    log = History(FIRST, records(5))
    log.go_to(3)
    before, kept = log.current, dict(log._kept)
    with pytest.raises(ParameterError, match="Edit 1 can't"):
        log.extend([records(1)[0], {"edit": "recolour", "clusters": [77], "colour": "red"}])
    assert (log.current, log.position, len(log.records), log._kept) == (before, 3, 5, kept)
