"""What goes to cuML, told by a stand-in for it, and by cuML itself where there is a GPU."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

import sigma_scale.latent.umap as umap_module
from sigma_scale import config
from sigma_scale.errors import EngineUnavailableError, ParameterError
from sigma_scale.latent import UMAP


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Let a stand-in lay out landmarks at their first two features, and note what it was asked."""
    calls: list[dict[str, object]] = []

    class StandIn:
        def __init__(self, **parameters: object) -> None:
            self.parameters = parameters

        def fit(self, landmarks: np.ndarray, targets: np.ndarray | None) -> None:
            calls.append({**self.parameters, "targets": targets, "landmarks": landmarks})
            self.embedding_ = landmarks[:, :2]

    monkeypatch.setitem(sys.modules, "cuml", SimpleNamespace(UMAP=StandIn))
    monkeypatch.setattr(umap_module, "choose_engine", lambda engine, **_: "gpu")
    return calls


def test_parameters_reach_the_gpu(rows: np.ndarray, asked: list[dict[str, object]]) -> None:
    model = UMAP(
        engine="gpu",
        n_neighbors=7,
        n_landmarks=100,
        min_dist=0.02,
        metric="manhattan",
        n_epochs=33,
        random_state=4,
        target_weight=0.3,
        local_connectivity=2.0,
    )
    labels = np.arange(500) % 3
    places = model.fit(rows, labels).transform(rows)
    (call,) = asked
    wanted = {"n_neighbors": 7, "min_dist": 0.02, "metric": "manhattan", "n_epochs": 33}
    assert wanted.items() <= call.items()
    assert call["target_weight"] == 0.3
    assert call["local_connectivity"] == 2
    assert isinstance(call["local_connectivity"], int)
    assert isinstance(call["random_state"], int)
    assert not {"densmap", "n_jobs", "disconnection_distance", "n_landmarks", "engine"} & set(call)
    nearest, distances = call["precomputed_knn"]
    np.testing.assert_array_equal(nearest[:, 0], np.arange(100))
    assert nearest.shape == distances.shape == (100, 7)
    np.testing.assert_array_equal(call["targets"], labels[model.landmark_rows_])
    assert model.engine_ == "gpu"
    np.testing.assert_array_equal(places[model.landmark_rows_], rows[model.landmark_rows_, :2])


def test_seeds_of_the_gpu(rows: np.ndarray, asked: list[dict[str, object]]) -> None:
    for seed in (1, 1, 2, None):
        UMAP(engine="gpu", random_state=seed).fit(rows)
    first, again, other, none = (call["random_state"] for call in asked)
    assert first == again != other
    assert none is None


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"densmap": True}, "densmap"),
        ({"dens_lambda": 1.0}, "dens_lambda"),
        ({"disconnection_distance": 3.0}, "disconnection_distance"),
        ({"init": "pca"}, "init='pca'"),
        ({"target_metric": "manhattan"}, "target_metric='manhattan'"),
        ({"local_connectivity": 1.5}, "local_connectivity"),
    ],
)
def test_what_a_gpu_cannot_do_is_refused_by_name(
    rows: np.ndarray, asked: list[dict[str, object]], parameters: dict[str, object], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        UMAP(engine="gpu", **parameters).fit(rows)
    assert not asked


def test_a_gpu_that_is_not_there_is_said_to_be_missing(
    rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigma_scale.engines.gpu_obstacle", lambda needs: f"no {needs[0]}")
    with pytest.raises(EngineUnavailableError, match="UMAP can't run on a GPU here: no cuml"):
        UMAP(engine="gpu").fit(rows)
    with config.options(engine="gpu"), pytest.raises(EngineUnavailableError):
        UMAP().fit(rows)
    assert UMAP(n_epochs=2).fit(rows).engine_ == "cpu"
    with pytest.raises(ParameterError, match="engine must be one of"):
        UMAP(engine="tpu").fit(rows)


@pytest.mark.gpu
def test_cuml_lays_out_landmarks() -> None:
    pytest.importorskip("cuml")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 20_000)
    features = (rng.normal(size=(4, 9))[labels] * 6 + rng.normal(size=(20_000, 9))).astype("f4")
    model = UMAP(engine="gpu", n_landmarks=4000, random_state=0).fit(features)
    places = model.transform(features)
    assert model.engine_ == "gpu"
    assert trustworthiness(features[:2000], places[:2000]) > 0.9
    cpu = UMAP(engine="cpu", n_landmarks=4000, random_state=0).fit(features)
    np.testing.assert_array_equal(model.landmark_rows_, cpu.landmark_rows_)
    supervised = UMAP(engine="gpu", n_landmarks=4000, random_state=0).fit(features, labels)
    assert np.isfinite(supervised.embedding_).all()
