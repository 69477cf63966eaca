"""All engines mean the same by the same parameters."""

import importlib.util
import logging
import sys
import types

import numpy as np
import pytest
from density_cases import islands
from sklearn.cluster import HDBSCAN as PEER
from sklearn.metrics import adjusted_rand_score

from sigma_scale import config
from sigma_scale.clustering import HDBSCAN
from sigma_scale.clustering.density import engines
from sigma_scale.errors import EngineUnavailableError, ParameterError


@pytest.mark.parametrize("min_samples", [1, 4, 15])
@pytest.mark.parametrize("engine", ["hdbscan", "fast_hdbscan", "cuml"])
def test_engines_give_the_same_labels(engine: str, min_samples: int) -> None:
    pytest.importorskip(engine, reason=f"{engine} is not installed")
    rows, _ = islands(1500)
    parameters = {"min_cluster_size": 20, "min_samples": min_samples}
    ours = HDBSCAN(**parameters).fit(rows)
    theirs = HDBSCAN(**parameters, engine=engine).fit(rows)
    assert (ours.engine_, theirs.engine_) == ("exact", engine)
    assert ours.n_clusters_ == theirs.n_clusters_
    assert adjusted_rand_score(ours.labels_, theirs.labels_) >= 0.99
    # Another number of neighbours makes other trees: so this can tell that they mean the same.
    heights = [np.sort(model._dendrogram.heights) for model in (ours, theirs)]
    np.testing.assert_allclose(*heights, rtol=1e-4)


@pytest.mark.parametrize("min_samples", [2, 9])
def test_libraries_count_neighbours_as_documented(min_samples: int) -> None:
    rows, _ = islands(1500)
    ours = HDBSCAN(min_cluster_size=50, min_samples=min_samples).fit(rows)
    sklearn = PEER(min_cluster_size=50, min_samples=min_samples + 1, copy=True).fit(rows)
    heights = np.sqrt(ours._dendrogram.heights)
    np.testing.assert_allclose(sklearn._single_linkage_tree_["value"], heights, rtol=1e-9)
    assert adjusted_rand_score(ours.labels_, sklearn.labels_) >= 0.99
    hdbscan = pytest.importorskip("hdbscan")
    theirs = hdbscan.HDBSCAN(
        min_cluster_size=50, min_samples=min_samples, approx_min_span_tree=False
    ).fit(rows)
    distances = theirs.single_linkage_tree_.to_numpy()[:, 2]
    np.testing.assert_allclose(distances, heights, rtol=1e-9)
    assert adjusted_rand_score(ours.labels_, theirs.labels_) >= 0.99


def test_cuml_is_asked_for_the_tree_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter, on a stand-in whose tree comes from the hdbscan library."""
    asked = {}

    class Fake:
        def __init__(self, **parameters: object) -> None:
            asked.update(parameters)

        def fit(self, rows: np.ndarray) -> types.SimpleNamespace:
            import hdbscan

            assert rows.dtype == np.float32
            model = hdbscan.HDBSCAN(
                min_samples=asked["min_samples"],
                approx_min_span_tree=False,
                gen_min_span_tree=True,
            ).fit(rows.astype(float))
            return types.SimpleNamespace(minimum_spanning_tree_=model.minimum_spanning_tree_)

    module = types.ModuleType("cuml.cluster")
    module.HDBSCAN = Fake
    package = types.ModuleType("cuml")
    package.__spec__ = importlib.util.spec_from_loader("cuml", None)
    monkeypatch.setitem(sys.modules, "cuml", package)
    monkeypatch.setitem(sys.modules, "cuml.cluster", module)
    rows, _ = islands(1000)
    model = HDBSCAN(min_cluster_size=30, min_samples=6, engine="gpu").fit(rows)
    assert model.engine_ == "cuml"
    assert asked["min_samples"] == 6
    assert asked["gen_min_span_tree"] is True
    ours = HDBSCAN(min_cluster_size=30, min_samples=6).fit(rows)
    assert adjusted_rand_score(ours.labels_, model.labels_) >= 0.99
    with pytest.raises(ParameterError, match=r"min_samples=1024 .*'cuml'"):
        HDBSCAN(min_samples=1024, engine="cuml").fit(islands(1100)[0])


@pytest.mark.parametrize("engine", ["hdbscan", "fast_hdbscan", "cuml"])
def test_a_missing_engine_is_named(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(EngineUnavailableError, match=f"'{engine}' is not installed: pip install"):
        HDBSCAN(engine=engine).fit(islands(200)[0])


def test_unknown_engines_and_what_one_cannot_do_are_refused() -> None:
    with pytest.raises(ParameterError, match="auto, exact, hdbscan, fast_hdbscan, cuml"):
        HDBSCAN(engine="best").fit(islands(200)[0])
    pytest.importorskip("fast_hdbscan", reason="fast_hdbscan is not installed")
    with pytest.raises(ParameterError, match="more than 30 features"):
        HDBSCAN(engine="fast_hdbscan").fit(np.random.default_rng(0).normal(size=(200, 31)))


def test_auto_follows_the_option_and_says_what_it_chose(caplog: pytest.LogCaptureFixture) -> None:
    rows, _ = islands(300)
    with caplog.at_level(logging.INFO):
        assert HDBSCAN().fit(rows).engine_ == "exact"
        assert caplog.text == ""  # The rule needs no words.
        with config.options(engine="hdbscan"):
            assert HDBSCAN().fit(rows).engine_ == "hdbscan"
            assert HDBSCAN(engine="cpu").fit(rows).engine_ == "exact"
    assert "engine hdbscan" in caplog.text
