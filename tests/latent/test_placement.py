import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from sigma_scale.latent.placement import METRICS, LandmarkIndex, Placement, radii_of


def brute(rows: np.ndarray, landmarks: np.ndarray, metric: str, k: int) -> np.ndarray:
    name = {"manhattan": "cityblock"}.get(metric, metric)
    return np.sort(cdist(rows.astype(float), landmarks.astype(float), name), axis=1)[:, :k]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "k"), [(3, 1), (129, 2), (1000, 10), (700, 3)])
def test_neighbours_are_exact(metric: str, n: int, k: int) -> None:
    rng = np.random.default_rng(n)
    landmarks = rng.normal(size=(n, k)).astype(np.float32)
    landmarks[: n // 2] *= 1e-3
    rows = np.concatenate([landmarks[:50], rng.normal(size=(200, k))]).astype(np.float32)
    index = LandmarkIndex.of(landmarks, metric)
    wanted = min(n, 12)
    distances, nearest = index.query(rows, wanted, workers=2)
    expected = brute(rows, landmarks, metric, wanted)
    np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-15)
    assert all(len(set(numbers)) == wanted for numbers in nearest.tolist())
    of_nearest = landmarks[nearest].astype(float) - rows[:, np.newaxis].astype(float)
    order = {"euclidean": 2, "manhattan": 1, "chebyshev": np.inf}[metric]
    np.testing.assert_allclose(np.linalg.norm(of_nearest, order, axis=2), distances, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    landmarks=hnp.arrays(np.int8, st.tuples(st.integers(5, 300), st.just(2))),
    rows=hnp.arrays(np.int8, st.tuples(st.integers(1, 20), st.just(2))),
)
def test_of_equally_near_landmarks_the_first_count(landmarks: np.ndarray, rows: np.ndarray) -> None:
    index = LandmarkIndex.of(landmarks.astype(np.float32), "euclidean")
    nearest = index.query(rows.astype(np.float32), 5, workers=1)[1]
    squares = cdist(rows.astype(float), landmarks.astype(float), "sqeuclidean")
    np.testing.assert_array_equal(nearest, np.argsort(squares, axis=1, kind="stable")[:, :5])


def test_radii_do_not_speak_for_emptiness() -> None:
    rng = np.random.default_rng(0)
    landmarks = rng.normal(size=(300, 2)).astype(np.float32)
    landmarks[0] = 1000
    index = LandmarkIndex.of(landmarks, "euclidean")
    radii = radii_of(*index.query(landmarks, 10, workers=1))
    assert radii[0] < 10
    assert (radii > 0).all()


def test_novelty_is_the_distance_in_radii() -> None:
    landmarks = np.arange(20, dtype=np.float32)[:, np.newaxis] * np.ones((1, 2), np.float32)
    index = LandmarkIndex.of(landmarks, "chebyshev")
    positions = landmarks.copy()
    placement = Placement(index, positions, np.full(20, 2.0), 3)
    rows = np.array([[5, 5], [5.25, 5.25], [29, 29]], np.float32)
    places, novelty = placement.place(rows)
    np.testing.assert_array_equal(novelty, np.float32([0, 0.125, 5]))
    np.testing.assert_array_equal(places[0], [5, 5])
