import numpy as np
import pytest

from sigma_scale.mosaic.global_fit import fit_positions, misplaced_tiles


@pytest.fixture
def network():
    """Positions of 5 x 6 tiles, the stage's 3 pixels off, and exact shifts of neighbours."""
    rng = np.random.default_rng(0)
    cells = np.stack([a.ravel() for a in np.indices((5, 6))], axis=1)
    true = 100.0 * cells + 3 * rng.standard_normal(cells.shape)
    pairs = np.array(
        [(i, j) for i in range(30) for j in range(30)
         if (cells[j] - cells[i]).tolist() in ([0, 1], [1, 0])]
    )  # fmt: skip
    shifts = true[pairs[:, 1]] - true[pairs[:, 0]]
    return 100.0 * cells, true, pairs, shifts


def test_the_solution_is_that_of_dense_least_squares(network):
    stage, _, pairs, shifts = network
    rng = np.random.default_rng(1)
    shifts = shifts + 0.1 * rng.standard_normal(shifts.shape)
    covariances = np.array([a @ a.T + 0.1 * np.eye(2) for a in rng.normal(size=(len(pairs), 2, 2))])
    everything = np.ones(len(pairs), bool)
    found = fit_positions(
        stage, pairs, shifts, covariances, everything, tolerance=50.0, stage_error=2.0
    )
    normal, right = np.eye(60) / 4, stage.ravel() / 4
    for (a, b), shift, covariance in zip(pairs, shifts, covariances, strict=True):
        row = np.zeros((2, 60))
        row[:, 2 * a : 2 * a + 2], row[:, 2 * b : 2 * b + 2] = -np.eye(2), np.eye(2)
        normal += row.T @ np.linalg.inv(covariance) @ row
        right += row.T @ np.linalg.inv(covariance) @ shift
    expected = np.linalg.solve(normal, right).reshape(-1, 2)
    np.testing.assert_allclose(found.positions, expected, atol=1e-5)
    assert found.used.all()
    between = expected[pairs[:, 1]] - expected[pairs[:, 0]]
    np.testing.assert_allclose(found.residuals, shifts - between, atol=1e-5)


def test_bad_pairs_are_rejected_and_only_they(network):
    stage, true, pairs, shifts = network
    bad = np.zeros(len(pairs), bool)
    bad[[3, 10, 17, 24, 31, 38]] = True
    wrong = shifts + bad[:, None] * np.array([8.0, -6.0])
    covariances = np.tile(0.05 * np.eye(2), (len(pairs), 1, 1))
    found = fit_positions(stage, pairs, wrong, covariances, np.ones(len(pairs), bool), tolerance=2)
    np.testing.assert_array_equal(found.used, ~bad)
    error = found.positions - true
    assert np.abs(error - error.mean(axis=0)).max() < 0.2
    np.testing.assert_allclose(found.residuals[bad], [[8.0, -6.0]] * 6, atol=0.3)


@pytest.mark.parametrize("stage_error", [0.5, 3.0])
def test_a_place_that_was_given_wrongly_does_not_tear_a_tile_off_its_pairs(network, stage_error):
    stage, true, pairs, shifts = network
    wrong = stage.copy()
    wrong[14] += (10.0, 70.0)
    covariances = np.tile(0.06 * np.eye(2), (len(pairs), 1, 1))
    found = fit_positions(
        wrong, pairs, shifts, covariances, np.ones(len(pairs), bool),
        tolerance=2, stage_error=stage_error,
    )  # fmt: skip
    assert found.used.all()
    error = found.positions - true
    assert np.abs(error - error.mean(axis=0)).max() < 0.7


def judged(network, used=(), *, rejected=(), strong=()):
    """Misplaced tiles; 7 has these pairs, with others nothing is compared, all else is good."""
    pairs = network[2]
    marked = np.ones((3, len(pairs)), bool)
    for number in np.flatnonzero((pairs == 7).any(axis=1)):
        other = int(pairs[number].sum() - 7)
        marked[:, number] = other in used, other in strong, other in {*used, *rejected}
    return misplaced_tiles(pairs, *marked, n_tiles=30, agreement=0.02).tolist()


def test_a_tile_that_most_neighbours_speak_against_is_misplaced(network):
    assert judged(network, used=[1], rejected=[6, 8, 13]) == [7]
    assert judged(network, used=[1], rejected=[6, 8]) == [7]


def test_tiles_with_good_or_untold_pairs_are_not_misplaced(network):
    assert judged(network, used=[1], strong=[1], rejected=[6, 8, 13]) == []
    assert judged(network, used=[1, 6], rejected=[8, 13]) == []
    assert judged(network, used=[1], rejected=[6]) == []
    assert judged(network, used=[1]) == []
    assert judged(network, rejected=[1, 6, 8, 13]) == []


def test_two_chance_matches_that_need_not_agree_are_two_of_chance(network):
    pairs = np.array([(0, n) for n in range(1, 9)] + [(n, n % 8 + 1) for n in range(1, 9)])
    used = np.array([True] * 2 + [False] * 6 + [True] * 8)
    strong = np.arange(16) >= 8
    everything = np.ones(16, bool)
    for agreement, expected in ((0.8, [0]), (1e-6, [])):
        found = misplaced_tiles(pairs, used, strong, everything, n_tiles=9, agreement=agreement)
        assert found.tolist() == expected


def test_rejected_pairs_with_tiles_that_are_used_nowhere_do_not_count():
    pairs = np.array([(0, 1), (0, 2), (0, 3), (0, 4)])
    used = np.array([True, False, False, False])
    nothing, everything = np.zeros(4, bool), np.ones(4, bool)
    found = misplaced_tiles(pairs, used, nothing, everything, n_tiles=5, agreement=0.02)
    assert found.size == 0


def test_tiles_without_pairs_stay_with_the_stage(network):
    stage, _, pairs, shifts = network
    known = (pairs != 7).all(axis=1)
    covariances = np.tile(0.05 * np.eye(2), (len(pairs), 1, 1))
    found = fit_positions(stage, pairs, shifts, covariances, known, tolerance=2)
    np.testing.assert_allclose(found.positions[7], stage[7], atol=1e-6)
    assert not found.used[~known].any()
