"""Cuts of a dendrogram, against the hdbscan library's functions on the same dendrogram."""

from dataclasses import replace

import numpy as np
import pytest
from density_cases import islands, same_groups
from hdbscan._hdbscan_tree import compute_stability, condense_tree, get_clusters
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial.distance import cdist

from sigma_scale.clustering import HDBSCAN
from sigma_scale.clustering.density.hierarchy import Dendrogram, cut_dendrogram
from sigma_scale.clustering.density.hierarchy_kernels import label_points
from sigma_scale.errors import ParameterError


def labels_of_the_library(
    dendrogram: Dendrogram, parameters: dict[str, object]
) -> tuple[np.ndarray, np.ndarray]:
    linkage = np.column_stack(
        [dendrogram.children.astype(float), np.sqrt(dendrogram.heights), dendrogram.sizes]
    )
    condensed = condense_tree(linkage, parameters["min_cluster_size"])
    return get_clusters(
        condensed,
        compute_stability(condensed),
        parameters["cluster_selection_method"],
        cluster_selection_epsilon=parameters["cluster_selection_epsilon"],
        max_cluster_size=parameters["max_cluster_size"],
    )[:2]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("max_cluster_size", [0, 200, 700])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("min_cluster_size", [5, 20, 50])
def test_cuts_are_those_of_the_library(
    min_cluster_size: int, epsilon: float, max_cluster_size: int, method: str, seed: int
) -> None:
    parameters = {
        "min_cluster_size": min_cluster_size,
        "cluster_selection_epsilon": epsilon,
        "cluster_selection_method": method,
        "max_cluster_size": max_cluster_size,
    }
    model = HDBSCAN(min_samples=(1, 5, 12)[seed]).fit(islands(1500, seed)[0])
    # The library undoes joins at the same distance one by one, so no two may be at the same.
    heights = np.maximum.accumulate(model._dendrogram.heights) * (1 + 1e-12 * np.arange(1, 1500))
    assert (np.diff(heights) > 0).all()
    dendrogram = replace(model._dendrogram, heights=heights)
    cut = cut_dendrogram(dendrogram, **parameters)
    expected, strength = labels_of_the_library(dendrogram, parameters)
    labels, probabilities = np.empty(1500, np.int32), np.empty(1500, np.float32)
    label_points(
        heights, cut.owners, cut.leaving, cut.labels, cut.peaks, np.arange(1500),
        labels, probabilities,
    )  # fmt: skip
    assert same_groups(labels, expected)
    np.testing.assert_allclose(probabilities, strength, atol=1e-6)


def labels_by_thresholds(rows: np.ndarray, k: int, least: int, method: str) -> np.ndarray:
    """The definition: connected components of what is nearer than each distance."""
    distances = cdist(rows, rows, "sqeuclidean")
    cores = np.sort(distances, axis=1)[:, k]
    reach = np.maximum(np.maximum(distances, cores), cores[:, None])
    labels = np.full(len(rows), -1)

    def best_of(members: np.ndarray, birth: float) -> tuple[float, list[np.ndarray]]:
        """Stability and clusters of a branch that begins with these points."""
        stability, inside, branches = 0.0, members, []
        while len(inside) and not branches:
            height = minimum_spanning_tree(reach[np.ix_(inside, inside)]).data.max()
            _, part = connected_components(reach[np.ix_(inside, inside)] < height)
            sizes = np.bincount(part)
            large = np.flatnonzero(sizes >= least)
            staying = sizes[large[0]] if len(large) == 1 else 0
            stability += (len(inside) - staying) * (height**-0.5 - birth)
            if len(large) > 1:
                branches = [best_of(inside[part == i], height**-0.5) for i in large]
            inside = inside[part == large[0]] if len(large) == 1 else inside[:0]
        below = sum(score for score, _ in branches)
        if branches and (method == "leaf" or birth == 0 or below > stability):
            return below, [cluster for _, found in branches for cluster in found]
        return stability, [] if birth == 0 else [members]

    for label, members in enumerate(best_of(np.arange(len(rows)), 0.0)[1]):
        labels[members] = label
    return labels


@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("seed", range(4))
def test_labels_are_those_of_the_definition(seed: int, method: str) -> None:
    rows, _ = islands(250, seed)
    k, least = 3 + seed, (5, 10, 20, 8)[seed]
    model = HDBSCAN(min_cluster_size=least, min_samples=k, cluster_selection_method=method)
    assert same_groups(model.fit(rows).labels_, labels_by_thresholds(rows, k, least, method))
    assert model.n_clusters_ > 1


def test_a_recut_is_a_fit_with_other_parameters() -> None:
    rows, _ = islands(2000)
    model = HDBSCAN(min_cluster_size=100, min_samples=5).fit(rows)
    before = model.labels_.copy()
    for parameters in (
        {"min_cluster_size": 10},
        {"cluster_selection_method": "leaf", "min_cluster_size": 20},
        {"cluster_selection_epsilon": 0.4, "min_cluster_size": 20},
        {"max_cluster_size": 500, "min_cluster_size": 20},
    ):
        recut = model.recut(**parameters)
        anew = HDBSCAN(**{"min_cluster_size": 100, "min_samples": 5} | parameters).fit(rows)
        assert recut.get_params() == anew.get_params()
        np.testing.assert_array_equal(recut.labels_, anew.labels_)
        np.testing.assert_array_equal(recut.probabilities_, anew.probabilities_)
        np.testing.assert_array_equal(recut.predict(rows), anew.labels_)
        assert recut.n_clusters_ == anew.n_clusters_
    assert model.recut(min_cluster_size=10, cluster_selection_method="leaf").n_clusters_ > 10
    np.testing.assert_array_equal(model.labels_, before)
    assert model.min_cluster_size == 100


def test_a_recut_measures_no_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HDBSCAN(min_cluster_size=100).fit(islands(2000)[0])
    for name in ("build_tree", "core_distances", "spanning_tree"):
        monkeypatch.setattr(f"sigma_scale.clustering.density.estimator.{name}", None)
    assert model.recut(min_cluster_size=10).min_samples == 15  # what the tree was made with


def test_a_recut_refuses_what_cannot_work() -> None:
    model = HDBSCAN(min_cluster_size=10).fit(islands(300)[0])
    with pytest.raises(ParameterError, match="at least 301 pixels"):
        model.recut(min_cluster_size=301)
    with pytest.raises(ParameterError, match="eom, leaf"):
        model.recut(cluster_selection_method="best")
    assert model.min_cluster_size == 10
