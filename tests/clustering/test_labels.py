import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sigma_scale.clustering import contingency, merge_by_majority, order_by_size, relabel
from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError

LABELS = arrays(np.int32, (4, 5), elements=st.integers(-1, 6))


@given(LABELS)
def test_ordering_by_size_keeps_the_clusters(labels: np.ndarray) -> None:
    ordered, original = order_by_size(labels)
    assert ordered.dtype == np.int32
    np.testing.assert_array_equal(ordered == -1, labels == -1)
    back = np.append(original, -1)[ordered]
    np.testing.assert_array_equal(back, labels)
    sizes = [(ordered == new).sum() for new in range(len(original))]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes, default=1) > 0


def test_equal_sizes_keep_their_order() -> None:
    ordered, original = order_by_size([5, 9, 9, 2, 2, 7])
    assert original.tolist() == [2, 9, 5, 7]
    assert ordered.tolist() == [2, 1, 1, 0, 0, 3]


def test_relabel_swaps_and_merges() -> None:
    labels = np.array([[0, 1], [2, -1]])
    assert relabel(labels, {0: 1, 1: 0}).tolist() == [[1, 0], [2, -1]]
    assert relabel(labels, {2: 0, -1: 0}).tolist() == [[0, 1], [0, 0]]
    with pytest.raises(ParameterError, match="no label 4"):
        relabel(labels, {4: 0})


@given(LABELS, LABELS)
def test_contingency_is_a_cross_table(labels: np.ndarray, truth: np.ndarray) -> None:
    expected = pd.crosstab(labels.ravel(), truth.ravel())
    table = contingency(labels, truth)
    np.testing.assert_array_equal(table, expected)
    np.testing.assert_array_equal(table.index, expected.index)
    np.testing.assert_array_equal(table.columns, expected.columns)


def test_merging_by_majority() -> None:
    truth = np.array([0, 0, 0, 1, 1, 1, 2, -1, -1, 2])
    labels = np.array([5, 5, 3, 3, 3, 4, 6, 6, 6, -1])
    assert merge_by_majority(labels, truth).tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, -1]
    unknown = merge_by_majority([0, 0, 1], [-1, -1, 3])
    assert unknown.tolist() == [-1, -1, 3]


@given(LABELS)
def test_a_perfect_segmentation_is_the_truth(truth: np.ndarray) -> None:
    renamed = np.where(truth < 0, -1, 10 - truth)
    np.testing.assert_array_equal(merge_by_majority(renamed, truth), truth)


def test_bad_labels_are_named() -> None:
    with pytest.raises(ShapeMismatchError, match="same pixels"):
        contingency([0, 1], [0, 1, 2])
    with pytest.raises(EmptyMapError):
        order_by_size(np.empty((0, 3), int))
    with pytest.raises(ParameterError, match="whole numbers"):
        order_by_size([0.5])
