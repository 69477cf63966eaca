"""Libraries that models are compared with: here as they are installed, or as they are pinned."""

import importlib.util

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from benchmarks import clustering, mixture
from benchmarks.libraries import named, of_memory, run_library
from benchmarks.peers import HERE, PeerError

FAST = pytest.mark.skipif(
    importlib.util.find_spec("fast_hdbscan") is None, reason="fast_hdbscan is not installed"
)
PINNED = dict(
    line.split("==") for line in (HERE / "libraries.txt").read_text().splitlines() if "==" in line
)


def test_a_share_of_the_memory_s_rate():
    assert of_memory(2e9, 0.5, 1e10) == {"limit": "reading memory", "of_limit": 0.4}


def test_names_differ_in_what_does_not_count():
    report = {"versions": {"Fast_HDBSCAN": "0.3.4", "hdbscan": "0.8.44"}}
    assert named("fast-hdbscan", report) == "fast-hdbscan 0.3.4"
    assert named("hdbscan", report) == "hdbscan 0.8.44"


def test_a_failing_program_says_what_went_wrong(tmp_path):
    with pytest.raises(PeerError, match=r"mixture_fit failed in this environment:[\s\S]*none\.npy"):
        run_library("mixture_fit", tmp_path / "none.npy", 2, tmp_path / "r.npz", installed=True)


def test_steps_from_a_start_are_those_of_the_library(tmp_path):
    rows = mixture.points(3000, 3)
    start = mixture.start_of(rows, 3)
    np.save(tmp_path / "points.npy", rows)
    np.savez(tmp_path / "start.npz", **start)
    words = [tmp_path / name for name in ("points.npy", "result.npz", "start.npz")]
    report = run_library("mixture_fit", words[0], 3, *words[1:], 4, installed=True)
    model = GaussianMixture(3, max_iter=4, tol=0, **start)
    with pytest.warns(match="converge"):
        model.fit(rows.astype(float))
    result = np.load(words[1])
    np.testing.assert_allclose(result["means"], model.means_, rtol=1e-9)
    np.testing.assert_allclose(result["weights"], model.weights_, rtol=1e-9)
    np.testing.assert_array_equal(result["labels"], model.predict(rows.astype(float)))
    assert report["steps"] == 4
    assert report["bound"] == pytest.approx(model.lower_bound_)
    assert report["fit"] > 0
    assert report["predict"] > 0
    assert 0 < report["peak"] < 2e9


@pytest.mark.slow
@pytest.mark.parametrize("library", ["hdbscan", pytest.param("fast_hdbscan", marks=FAST)])
def test_density_clusters_of_the_pinned_libraries(tmp_path, library):
    np.save(tmp_path / "points.npy", clustering.groups(5000))
    labels = {}
    for installed in (False, True):
        file = tmp_path / f"{installed}.npy"
        words = ("density_fit", library, tmp_path / "points.npy", 4000, 30, 15, file)
        report = run_library(*words, installed=installed)
        labels[installed] = np.load(file)
        if not installed:
            assert named(library, report) == f"{library} {PINNED[library]}"
            assert report["fit"] > 0
            assert report["peak"] > 0
    assert labels[False].shape == (4000,)
    assert labels[False].max() > 5
    assert adjusted_rand_score(*labels.values()) > 0.99


@pytest.mark.slow
def test_mixtures_and_layouts_of_the_pinned_libraries(tmp_path):
    rows = mixture.points(3000, 3)
    points, result, places = (tmp_path / name for name in ("p.npy", "r.npz", "places.npy"))
    np.save(points, rows)
    report = run_library("mixture_fit", points, 3, result, installed=False)
    assert named("scikit-learn", report) == f"scikit-learn {PINNED['scikit-learn']}"
    expected = GaussianMixture(3, random_state=0).fit(rows.astype(float))
    assert report["bound"] == pytest.approx(expected.lower_bound_, abs=0.01)
    report = run_library("umap_fit", points, places, installed=False)
    assert named("umap-learn", report) == f"umap-learn {PINNED['umap-learn']}"
    layout = np.load(places)
    assert layout.shape == (3000, 2)
    assert np.isfinite(layout).all()
