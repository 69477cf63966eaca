"""Spectra of a segmentation against plain NumPy and scikit-learn's NMF."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs
from sklearn.decomposition import NMF

from sigma_scale import preprocess
from sigma_scale.errors import EmptyMapError, NoSpectraError, ParameterError, SigmaScaleWarning
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow.segmenter import PixelSegmenter
from sigma_scale.workflow.segmenter import spectra as spectra_module

GMM = {"n_components": 4, "random_state": 0}


def dataset_of(image):
    features = np.random.default_rng(0).normal(size=(*image.shape[:2], 2))
    return SimpleNamespace(
        processed=image,
        shape=image.shape[:2],
        feature_list=["Si_Ka", "Fe_Ka"],
        normalised_elemental_data=features,
    )


@pytest.fixture(scope="module", params=["counts", "processed"])
def image(request):
    raw = synthetic_map((24, 32), channels=128, scale_kev=0.08, grain_size=8, seed=3).image
    if request.param == "counts":
        return raw
    binned = preprocess.normalise(preprocess.rebin(raw, (2, 2)))
    return preprocess.remove_first_peak(binned, 0.3)


@pytest.fixture(scope="module")
def dense(image):
    values = image.to_xarray().to_numpy().astype(float)
    return values.reshape(-1, values.shape[2])


@pytest.fixture(scope="module")
def fitted(image):
    n_pixels = image.shape[0] * image.shape[1]
    centres = [[0, 0], [5, 0], [0, 5], [5, 5]]
    rows, _ = make_blobs(n_pixels, centers=centres, cluster_std=1.3, random_state=1)
    return PixelSegmenter(rows, dataset_of(image), "GaussianMixture", GMM)


@pytest.fixture
def ps(fitted):
    """A segmenter of its own; the fit is made once."""
    own = copy.copy(fitted)
    own._history = copy.copy(own._history)
    own._take_dataset(own.dataset)
    return own


@pytest.fixture
def passes(monkeypatch):
    """Counts the passes over the map that average spectra."""
    import sigma_scale.phases.spectra as module

    made = []
    original = module._sums
    monkeypatch.setattr(
        module, "_sums", lambda *given, **named: made.append(1) or original(*given, **named)
    )
    return made


def test_spectra_of_labels_are_means_of_processed_spectra(ps, dense, passes):
    for cluster in range(4):
        found = ps.get_binary_map_spectra_profile(cluster_num=cluster, use_label=True)
        binary, (rows, columns), table = found
        mask = ps.labels == cluster
        np.testing.assert_array_equal(binary.ravel(), mask)
        assert binary.shape == (ps.height, ps.width)
        np.testing.assert_array_equal(rows * ps.width + columns, np.flatnonzero(mask))
        assert list(table) == ["energy", "intensity"]
        np.testing.assert_allclose(table["energy"], ps.dataset.processed.energy.values)
        np.testing.assert_allclose(table["intensity"], dense[mask].mean(axis=0), rtol=1e-5)
    assert len(passes) == 1


@pytest.mark.parametrize("threshold", [0.8, 0.5, 0.3])
def test_spectra_above_a_threshold(ps, dense, threshold, passes):
    ps.merge_clusters([0, 2])
    for cluster in range(3):
        mask = ps.prob_map[:, cluster] > np.float32(threshold)
        assert mask.any()
        found = ps.get_binary_map_spectra_profile(cluster, threshold=threshold)
        np.testing.assert_array_equal(found.binary_map.ravel(), mask)
        np.testing.assert_allclose(
            found.spectra_profile["intensity"], dense[mask].mean(axis=0), rtol=1e-5
        )
    assert len(passes) == (3 if threshold < 0.5 else 1)
    default = ps.get_binary_map_spectra_profile(0)
    np.testing.assert_array_equal(default.binary_map.ravel(), ps.prob_map[:, 0] > 0.8)


def test_hard_methods_have_thresholds_too(ps, dense):
    hard = PixelSegmenter(ps.latent, ps.dataset, "Kmeans", {"n_clusters": 3})
    for threshold in (0.8, 0.2):
        found = hard.get_binary_map_spectra_profile(2, threshold=threshold)
        np.testing.assert_array_equal(found.binary_map.ravel(), hard.labels == 2)


def test_table_of_all_spectra(ps, dense, passes):
    means = np.array([dense[ps.labels == k].mean(axis=0) for k in range(4)])
    table = ps.get_all_spectra_profile(normalised=False)
    assert list(table) == [f"cluster_{k}" for k in range(4)]
    np.testing.assert_allclose(table.index, ps.dataset.processed.energy.values)
    np.testing.assert_allclose(table.to_numpy().T, means, rtol=1e-5)
    scaled = ps.get_all_spectra_profile()
    np.testing.assert_allclose(scaled.max(), 1)
    np.testing.assert_allclose(scaled, table / table.max())
    assert len(passes) == 1


def test_passes_are_made_again_only_for_other_labels(ps, passes):
    ps.get_all_spectra_profile()
    ps.recolour_clusters(0, "red")
    ps.rename_cluster(0, "quartz")
    ps.get_all_spectra_profile()
    assert len(passes) == 1
    ps.relabel_pixels([0, 1], -1)
    assert len(ps.get_all_spectra_profile().columns) == 4
    assert len(passes) == 2
    for pixel in range(2 * spectra_module._KEPT_PASSES):
        ps.relabel_pixels([pixel], 0)
        ps.get_all_spectra_profile()
    assert len(ps._spectra._means) == spectra_module._KEPT_PASSES


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_unmixing_equals_scikit_learn(ps, normalised):
    table = ps.get_all_spectra_profile(normalised=normalised)
    arguments = {"init": "nndsvd", "random_state": 3, "max_iter": 150}
    weights, components = ps.get_unmixed_spectra_profile(
        clusters_to_be_calculated="All",
        n_components="All",
        normalised=normalised,
        method="NMF",
        method_args=arguments,
    )
    peer = NMF(n_components=4, **arguments)
    np.testing.assert_array_equal(weights, peer.fit_transform(table.to_numpy().T))
    np.testing.assert_array_equal(components, peer.components_.T)
    assert list(weights.index) == [f"cluster_{k}" for k in range(4)]
    assert list(weights) == [f"w_{j}" for j in range(4)]
    assert list(components) == [f"cpnt_{j}" for j in range(4)]
    pd.testing.assert_index_equal(components.index, table.index)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_unmixing_some_clusters_with_scikit_learns_defaults(ps):
    table = ps.get_all_spectra_profile()[["cluster_3", "cluster_0", "cluster_1"]]
    weights, components = ps.get_unmixed_spectra_profile([3, np.int64(0), 1], 2)
    peer = NMF(n_components=2, random_state=0)
    np.testing.assert_array_equal(weights, peer.fit_transform(table.to_numpy().T))
    np.testing.assert_array_equal(components, peer.components_.T)
    assert list(weights.index) == ["cluster_3", "cluster_0", "cluster_1"]


def test_empty_clusters_have_no_spectra(ps):
    ps.relabel_pixels(ps.labels == 2, 0)
    assert list(ps.get_all_spectra_profile()) == ["cluster_0", "cluster_1", "cluster_3"]
    with pytest.raises(EmptyMapError, match="Cluster 2 has no pixels"):
        ps.get_binary_map_spectra_profile(2, use_label=True)
    with pytest.raises(EmptyMapError, match="Cluster 2 has no pixels"):
        ps.get_unmixed_spectra_profile([0, 2])
    with pytest.raises(EmptyMapError, match=r"above 0\.999"):
        ps.get_binary_map_spectra_profile(2, threshold=0.999)


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("get_binary_map_spectra_profile", {"cluster_num": 4}, "0 to 3"),
        ("get_binary_map_spectra_profile", {"cluster_num": -1}, "0 to 3"),
        ("get_binary_map_spectra_profile", {"threshold": 1.0}, "below 1"),
        ("get_binary_map_spectra_profile", {"threshold": -0.1}, "below 1"),
        ("get_unmixed_spectra_profile", {"clusters_to_be_calculated": "Some"}, "'All'"),
        ("get_unmixed_spectra_profile", {"clusters_to_be_calculated": []}, "no cluster"),
        ("get_unmixed_spectra_profile", {"clusters_to_be_calculated": [9]}, "0 to 3"),
        ("get_unmixed_spectra_profile", {"n_components": "Some"}, "'All'"),
        ("get_unmixed_spectra_profile", {"n_components": 5}, "between 1 and"),
        ("get_unmixed_spectra_profile", {"n_components": True}, "'All'"),
        ("get_unmixed_spectra_profile", {"method": "ICA"}, "there is: NMF"),
        ("get_unmixed_spectra_profile", {"method_args": {"iterations": 3}}, "it has: init"),
    ],
)
def test_what_cannot_be_asked(ps, call, arguments, message):
    before = ps.labels
    with pytest.raises(ParameterError, match=message):
        getattr(ps, call)(**arguments)
    assert ps.labels is before


CALLS = (
    "get_binary_map_spectra_profile", "get_all_spectra_profile", "get_unmixed_spectra_profile",
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_all_noise_has_no_spectra(ps, call):
    with pytest.warns(SigmaScaleWarning, match="noise"):
        nothing = PixelSegmenter(
            ps.latent, ps.dataset, "HDBSCAN", {"min_cluster_size": len(ps.latent)}
        )
    with pytest.raises(EmptyMapError, match="no cluster"):
        getattr(nothing, call)()


@pytest.mark.parametrize("call", CALLS)
def test_images_have_no_spectra(ps, call):
    images = SimpleNamespace(**(vars(ps.dataset) | {"processed": None}))
    segmented = PixelSegmenter(ps.latent, images, "GaussianMixture", GMM)
    with pytest.raises(NoSpectraError, match="images"):
        getattr(segmented, call)()
    assert segmented.label_map.shape == images.shape
    assert set(ps.label_map.coords) == {"y", "x"}
