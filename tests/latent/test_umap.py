import logging
import warnings
from itertools import pairwise

import numpy as np
import pytest
import umap as umap_learn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances
from sklearn.utils.estimator_checks import check_estimator

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent import UMAP
from sigma_scale.latent.rows import row_batches


def blobs(n: int, *, k: int = 9, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=3, size=(6, k))
    return (centres[rng.integers(0, 6, n)] + rng.normal(size=(n, k))).astype(np.float32)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return blobs(6000)


@pytest.fixture(scope="module")
def model(features: np.ndarray) -> UMAP:
    return UMAP(n_landmarks=800, n_epochs=50, random_state=0).fit(features)


def test_a_row_has_the_same_place_in_any_batch_and_order(
    features: np.ndarray, model: UMAP, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.transform(features)
    assert whole.dtype == np.float32
    assert whole.shape == (6000, 2)
    cuts = [0, 1, 2, 17, 1000, 1001, 4097, 6000]
    parts = [model.transform(features[a:b]) for a, b in pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    order = np.random.default_rng(0).permutation(6000)
    np.testing.assert_array_equal(model.transform(features[order]), whole[order])
    monkeypatch.setitem(row_batches.__kwdefaults__, "batch_rows", 777)
    np.testing.assert_array_equal(model.transform(features), whole)
    np.testing.assert_array_equal(clone_with_jobs(model, 1).transform(features), whole)
    np.testing.assert_array_equal(model.transform(np.asfortranarray(features[::2])), whole[::2])


def clone_with_jobs(model: UMAP, n_jobs: int) -> UMAP:
    twin = clone(model).set_params(n_jobs=n_jobs)
    twin.__dict__.update({k: v for k, v in vars(model).items() if k != "n_jobs"})
    return twin


def test_fit_transform_is_fit_then_transform(features: np.ndarray) -> None:
    parameters = {"n_landmarks": 500, "n_epochs": 20, "random_state": 7}
    at_once = UMAP(**parameters).fit_transform(features)
    np.testing.assert_array_equal(at_once, UMAP(**parameters).fit(features).transform(features))


def test_landmarks_are_rows_and_land_on_their_places(features: np.ndarray, model: UMAP) -> None:
    assert model.landmarks_.shape == (800, 9)
    assert model.embedding_.shape == (800, 2)
    assert {row.tobytes() for row in model.landmarks_} <= {row.tobytes() for row in features}
    np.testing.assert_array_equal(model.transform(model.landmarks_), model.embedding_)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_places_are_weighted_means_of_the_nearest_landmarks(
    features: np.ndarray, metric: str
) -> None:
    model = UMAP(n_landmarks=300, n_epochs=5, random_state=0, metric=metric, n_neighbors=7)
    placed = model.fit(features).transform(features[:50])
    distances = pairwise_distances(
        features[:50].astype(float), model.landmarks_.astype(float), metric=metric
    )
    for row, expected in zip(distances, placed, strict=True):
        nearest = np.argsort(row)[:7]
        weights = 1 / np.maximum(row[nearest], 1e-150) ** 2
        mean = np.average(model.embedding_[nearest], axis=0, weights=weights)
        np.testing.assert_allclose(expected, mean, rtol=1e-5, atol=1e-5)


def test_small_maps_are_laid_out_by_umap_learn_itself(features: np.ndarray) -> None:
    few = features[:300]
    model = UMAP(n_epochs=30, random_state=5).fit(few)
    np.testing.assert_array_equal(model.landmarks_, few)
    distance, nearest = (a[:, :15] for a in _sorted_distances(few))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = umap_learn.UMAP(
            n_epochs=30,
            random_state=np.random.RandomState(5),
            precomputed_knn=(nearest.astype(np.int32), distance.astype(np.float32)),
        ).fit(few)
    np.testing.assert_allclose(model.transform(few), reference.embedding_, atol=1e-4)


def _sorted_distances(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distances = pairwise_distances(rows.astype(float))
    np.fill_diagonal(distances, 0)
    nearest = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, nearest, axis=1), nearest


@pytest.mark.slow
def test_neighbourhoods_are_kept_as_well_as_by_umap_learn() -> None:
    features = blobs(10_000, seed=3)
    ours = UMAP(n_landmarks=3000, random_state=0).fit_transform(features)
    theirs = umap_learn.UMAP(random_state=0, n_jobs=1).fit_transform(features)
    difference = trustworthiness(features, theirs) - trustworthiness(features, ours)
    assert difference < 0.02


def test_phases_stay_apart(features: np.ndarray, model: UMAP) -> None:
    # 0.5 is chance; fitted on an eighth of the pixels with few epochs
    assert trustworthiness(features[:2000], model.transform(features[:2000])) > 0.9


def test_twin_rows_are_one_landmark() -> None:
    few = np.repeat(blobs(60), 5, axis=0)
    few[0] = -0.0
    few[1] = 0.0
    model = UMAP(n_epochs=5, random_state=0).fit(few)
    assert len(model.landmarks_) == 61
    placed = model.transform(few).reshape(60, 5, 2)
    np.testing.assert_array_equal(placed[1:, :1].repeat(5, axis=1), placed[1:])


def test_more_dimensions_and_names(features: np.ndarray) -> None:
    model = UMAP(n_components=3, n_landmarks=200, n_epochs=5, random_state=0).fit(features)
    assert model.transform(features[:4]).shape == (4, 3)
    assert list(model.get_feature_names_out()) == ["umap0", "umap1", "umap2"]


def test_fits_without_warnings_and_says_how_many_landmarks(
    features: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error", UserWarning)
        UMAP(n_landmarks=300, n_epochs=5, random_state=0).fit(features)
    assert "UMAP is fitted on 300 of 6000 pixels" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "sigma_scale.latent"):
        UMAP(n_epochs=5, random_state=0).fit(features[:200])
    assert "fitted on" not in caplog.text  # On all of them, which is nothing to be told of.


def test_parameters_survive_cloning() -> None:
    model = UMAP(n_neighbors=9, min_dist=0.3, n_landmarks=77)
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n_neighbors": 1}, "n_neighbors must be at least 2"),
        ({"n_components": 0}, "n_components must be at least 1"),
        ({"n_landmarks": 0}, "n_landmarks must be at least 1"),
        ({"min_dist": 2.0}, "min_dist"),
        ({"metric": "cosine"}, "euclidean, manhattan, chebyshev"),
        ({"n_neighbors": 100}, "Lower n_neighbors"),
        ({"n_landmarks": 10}, "raise n_landmarks"),
        ({"learning_rate": -1.0}, "umap-learn refuses"),
        ({"init": "nowhere"}, "umap-learn refuses"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"random_state": "today"}, "random_state"),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        UMAP(**parameters).fit(blobs(80))


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.ones((100, 1)), r"1 feature\(s\)"),
        (np.ones((100, 3)), "constant"),
        (np.full((100, 3), np.nan), "NaN"),
        (blobs(10), "different pixels"),
        (np.ones(5), "one row per pixel"),
    ],
)
def test_bad_features_are_named(features: np.ndarray, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        UMAP().fit(features)


def test_a_fitted_model_refuses_other_features(features: np.ndarray, model: UMAP) -> None:
    with pytest.raises(ShapeMismatchError, match="fitted on 9"):
        model.transform(features[:, :4])
    spoilt = features[:10].copy()
    spoilt[3, 2] = np.inf
    with pytest.raises(ParameterError, match="first is row 3"):
        model.transform(spoilt)
    with pytest.raises(NotFittedError):
        UMAP().transform(features)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_accepts_it() -> None:
    check_estimator(UMAP(n_neighbors=3, n_epochs=3, random_state=0))


def test_unseen_phases_are_flagged(features: np.ndarray, model: UMAP) -> None:
    from sigma_scale.latent.placement import NOVELTY_THRESHOLD

    rng = np.random.default_rng(5)
    unseen = (rng.normal(size=(500, 9)) + 12).astype(np.float32)
    assert (model.novelty(unseen) > NOVELTY_THRESHOLD).all()
    # Of the pixels that the landmarks were chosen from, few; of others like them too.
    known = model.novelty(features)
    assert known.dtype == np.float32
    assert (known > NOVELTY_THRESHOLD).mean() < 0.01
    assert (model.novelty(model.landmarks_) == 0).all()
    places, novelty = model.transform_with_novelty(features)
    np.testing.assert_array_equal(places, model.transform(features))
    np.testing.assert_array_equal(novelty, known)


def test_one_stray_pixel_does_not_speak_for_the_emptiness_around_it() -> None:
    rows = blobs(2000, k=4)
    rows[7] = 300
    model = UMAP(n_epochs=5, random_state=0).fit(rows)
    assert (model.novelty(np.full((1, 4), 150, np.float32)) > 10).all()
