import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from sigma_scale.clustering import merge_similar
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError

SCATTER = np.array([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 30.0]])


def phases(n: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Three phases 8 standard deviations apart in a direction of little scatter."""
    rng = np.random.default_rng(0)
    truth = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    centres = np.array([[0.0, 0, 0], [0, 8, 0], [0, 0, 8]]) @ SCATTER
    return centres[truth] + rng.normal(size=(n, 3)) @ SCATTER, truth


def test_parts_of_a_phase_are_put_together() -> None:
    features, truth = phases()
    # Each phase cut in two through its middle, along the direction of most scatter
    middle = np.array([np.median(features[truth == i, 2]) for i in range(3)])
    split = 2 * truth + (features[:, 2] > middle[truth])
    split[:50] = -1
    merged = merge_similar(split, features)
    assert merged.dtype == np.int32
    assert adjusted_rand_score(truth[50:], merged[50:]) == 1
    assert (merged[:50] == -1).all()
    sizes = np.bincount(merged[50:])
    assert sizes.tolist() == sorted(sizes, reverse=True)


def test_the_unit_is_the_scatter_of_pixels() -> None:
    features, truth = phases()
    assert len(np.unique(merge_similar(truth, features, max_distance=7.5))) == 3
    assert len(np.unique(merge_similar(truth, features, max_distance=12.0))) == 1
    scaled = features @ np.diag([1e-3, 5.0, 1.0])  # the units of the features don't matter
    assert len(np.unique(merge_similar(truth, scaled, max_distance=7.5))) == 3
    assert len(np.unique(merge_similar(truth, scaled, max_distance=12.0))) == 1


def test_maps_with_redundant_features_and_gaps() -> None:
    features, truth = phases()
    wide = np.column_stack([features, features.sum(axis=1), np.ones(len(features))])
    wide[::50, 1] = np.nan
    merged = merge_similar(truth.reshape(60, 100), wide.reshape(60, 100, 5))
    assert merged.shape == (60, 100)
    assert adjusted_rand_score(truth, merged.ravel()) == 1


def test_nothing_to_merge() -> None:
    assert merge_similar([4, 4, -1], np.ones((3, 2))).tolist() == [0, 0, -1]
    assert merge_similar([-1, -1], np.ones((2, 2))).tolist() == [-1, -1]


def test_clusters_without_any_scatter_are_told_apart() -> None:
    features = np.array([[0.0, 1], [0, 1], [5, 1], [5, 1]])
    assert merge_similar([0, 1, 2, 2], features).tolist() == [0, 0, 1, 1]


def test_bad_input_is_named() -> None:
    with pytest.raises(ShapeMismatchError, match="same pixels"):
        merge_similar([0, 1], np.ones((3, 2)))
    with pytest.raises(ParameterError, match="max_distance"):
        merge_similar([0, 1], np.ones((2, 2)), max_distance=-1)
    with pytest.raises(EmptyMapError):
        merge_similar([], np.ones((0, 2)))
