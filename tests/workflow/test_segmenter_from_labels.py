"""A segmenter of labels that are there already."""

import numpy as np
import pytest
from saved_states import DATASET, ROWS, SHAPE

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.workflow.segmenter import PixelSegmenter

LABELS = np.random.default_rng(3).integers(-1, 4, SHAPE)
PROBABILITY = np.random.default_rng(4).random(SHAPE)


@pytest.mark.parametrize("labels", [LABELS, LABELS.ravel(), LABELS.astype(np.int8)])
def test_labels_are_taken_as_they_are(labels):
    ps = PixelSegmenter.from_labels(ROWS, DATASET, labels)
    np.testing.assert_array_equal(ps.labels, LABELS.ravel())
    np.testing.assert_array_equal(ps.probability, LABELS.ravel() >= 0)
    assert (ps.n_components, ps.method, ps.model, ps.mixture) == (4, "labels", None, None)


def test_probability_and_recipe_are_kept_and_edits_work():
    ps = PixelSegmenter.from_labels(
        ROWS, DATASET, LABELS, probability=PROBABILITY, method="mine", recipe={"by": "hand"}
    )
    expected = np.where(LABELS < 0, 0, PROBABILITY.astype(np.float32)).ravel()
    np.testing.assert_array_equal(ps.probability, expected)
    assert (ps.method, ps.recipe) == ("mine", {"by": "hand"})
    ps.merge_clusters([1, 3])
    merged = np.where(LABELS == 3, 1, LABELS).ravel()
    np.testing.assert_array_equal(ps.labels, merged)
    ps.undo()
    np.testing.assert_array_equal(ps.labels, LABELS.ravel())


def test_a_number_without_pixels_is_an_empty_cluster():
    ps = PixelSegmenter.from_labels(ROWS, DATASET, np.where(LABELS == 2, 1, LABELS))
    assert ps.n_components == 4
    assert ps.cluster_sizes[2] == 0


def test_it_is_saved_and_loaded(tmp_path):
    ps = PixelSegmenter.from_labels(ROWS, DATASET, LABELS, probability=PROBABILITY)
    ps.merge_clusters([0, 1])
    path = ps.save_state(tmp_path / "state.zip")
    again = PixelSegmenter.from_saved_state(path, DATASET)
    np.testing.assert_array_equal(again.labels, ps.labels)
    np.testing.assert_array_equal(again.probability, ps.probability)
    again.undo()
    np.testing.assert_array_equal(again.labels, LABELS.ravel())


def test_the_labels_given_are_not_changed():
    labels = LABELS.astype(np.int32)
    PixelSegmenter.from_labels(ROWS, DATASET, labels).merge_clusters([0, 1])
    labels[0, 0] = 1  # still the caller's own
    np.testing.assert_array_equal(labels.ravel()[1:], LABELS.ravel()[1:])


@pytest.mark.parametrize(
    ("labels", "probability", "error"),
    [
        (LABELS[:5], None, ShapeMismatchError),
        (LABELS.T, None, ShapeMismatchError),
        (LABELS * 1.0, None, ParameterError),
        (LABELS - 1, None, ParameterError),
        (np.where(LABELS == 3, 10**6, LABELS), None, ParameterError),
        (LABELS, PROBABILITY[:5], ShapeMismatchError),
        (LABELS, PROBABILITY + 0.5, ParameterError),
        (LABELS, -PROBABILITY, ParameterError),
        (LABELS, np.full(SHAPE, np.nan), ParameterError),
        (LABELS, PROBABILITY * 1j, ParameterError),
    ],
)
def test_what_can_not_be_is_refused(labels, probability, error):
    with pytest.raises(error):
        PixelSegmenter.from_labels(ROWS, DATASET, labels, probability=probability)
