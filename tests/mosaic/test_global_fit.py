import numpy as np
import pytest

from sigma_scale.mosaic.global_fit import fit_positions


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


def test_tiles_without_pairs_stay_with_the_stage(network):
    stage, _, pairs, shifts = network
    known = (pairs != 7).all(axis=1)
    covariances = np.tile(0.05 * np.eye(2), (len(pairs), 1, 1))
    found = fit_positions(stage, pairs, shifts, covariances, known, tolerance=2)
    np.testing.assert_allclose(found.positions[7], stage[7], atol=1e-6)
    assert not found.used[~known].any()
