import warnings
from collections.abc import Callable

import dask.array as da
import numpy as np
import pytest
import umap as umap_learn
import xarray as xr
from sklearn.neighbors import KNeighborsClassifier

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent import UMAP


@pytest.fixture(scope="module")
def noise() -> tuple[np.ndarray, np.ndarray]:
    """Pixels whose labels can only be told apart by a feature that is drowned in noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 1500)
    rows = rng.normal(size=(1500, 5)).astype(np.float32)
    rows[:, 0] += labels * 1.5
    return rows, labels


def separation(places: np.ndarray, labels: np.ndarray) -> float:
    classifier = KNeighborsClassifier(10).fit(places[::2], labels[::2])
    return classifier.score(places[1::2], labels[1::2])


def fitted(rows: object, y: object, **parameters: object) -> UMAP:
    return UMAP(**{"n_epochs": 60, "random_state": 0, **parameters}).fit(rows, y)


def test_labels_pull_phases_apart(noise: tuple[np.ndarray, np.ndarray]) -> None:
    rows, labels = noise
    plain, supervised = fitted(rows, None).transform(rows), fitted(rows, labels).transform(rows)
    assert separation(supervised, labels) > separation(plain, labels) + 0.2


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        (lambda labels: labels, "categorical"),
        (lambda labels: np.where(np.arange(len(labels)) % 2, labels, -1), "categorical"),
        (lambda labels: np.full(len(labels), -1), "categorical"),
        # Compiles for half a minute.
        pytest.param(lambda labels: labels * 0.5, "euclidean", marks=pytest.mark.slow),
    ],
)
def test_it_is_umap_learn_that_is_supervised(
    noise: tuple[np.ndarray, np.ndarray], change: Callable[[np.ndarray], np.ndarray], metric: str
) -> None:
    rows, labels = noise[0][:400], change(noise[1][:400])
    distances = np.linalg.norm(rows[:, None].astype(float) - rows[None].astype(float), axis=2)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :15]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        reference = umap_learn.UMAP(
            n_epochs=60,
            n_jobs=1,
            target_metric=metric,
            random_state=np.random.RandomState(0),
            precomputed_knn=(
                nearest.astype(np.int32),
                np.take_along_axis(distances, nearest, axis=1).astype(np.float32),
            ),
        ).fit(rows, labels)
    ours = fitted(rows, labels, target_metric=metric)
    np.testing.assert_allclose(ours.embedding_, reference.embedding_, atol=1e-3)


def test_labels_may_come_as_maps_and_words(noise: tuple[np.ndarray, np.ndarray]) -> None:
    rows, labels = noise
    expected = fitted(rows, labels, n_landmarks=200).embedding_
    maps = xr.DataArray(rows.reshape(30, 50, 5), dims=("y", "x", "line"))
    of_map = xr.DataArray(labels.reshape(30, 50), dims=("y", "x"))
    words = np.array(["albite", "calcite", "quartz"])[labels]
    for x, y in [
        (maps, of_map),
        (maps, of_map.chunk({"y": 7})),
        (rows, da.from_array(labels, chunks=100)),
        (rows, words),
        (rows, labels.astype(float)),
        (rows, labels[:, np.newaxis]),
        (rows, labels + 7),
    ]:
        np.testing.assert_array_equal(fitted(x, y, n_landmarks=200).embedding_, expected)


@pytest.mark.parametrize(
    ("y", "parameters", "error", "words"),
    [
        (np.zeros(7), {}, ShapeMismatchError, "one value"),
        (np.full(1500, np.nan), {}, ParameterError, "Use -1"),
        (np.array([1, "a"] * 750, object), {}, ParameterError, "one kind"),
        (np.full(1500, np.inf), {"target_metric": "euclidean"}, ParameterError, "infinity"),
        (np.full(1500, "a"), {"target_metric": "euclidean"}, ParameterError, "must be numbers"),
        (np.zeros(1500), {"target_n_neighbors": 1}, ParameterError, "umap-learn refuses"),
    ],
)
def test_bad_targets_are_named(
    noise: tuple[np.ndarray, np.ndarray],
    y: np.ndarray,
    parameters: dict[str, object],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        fitted(noise[0], y, n_epochs=2, **parameters)
