import json

import numpy as np
import pytest
import xarray as xr

from sigma_scale.clustering import cluster_latent
from sigma_scale.clustering.cluster import make_clusterer
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.synthetic import synthetic_map

ARGS = {
    "GaussianMixture": {"n_components": 3, "random_state": 0},
    "HDBSCAN": {"min_cluster_size": 40, "min_samples": 5},
    "BayesianGaussianMixture": {"n_components": 3, "random_state": 0},
    "KMeans": {"n_clusters": 3, "random_state": 0},
    "MiniBatchKMeans": {"n_clusters": 3, "random_state": 0},
    "Birch": {"n_clusters": 3},
}


@pytest.fixture(scope="module")
def latent() -> xr.DataArray:
    rng = np.random.default_rng(0)
    column = np.arange(40)
    phase = np.where(column < 8, 0, np.where(column < 30, 1, 2))
    places = np.array([[0, 0], [9, 0], [0, 9]])[phase] + rng.normal(size=(25, 40, 2))
    return xr.DataArray(
        places.astype(np.float32),
        dims=("y", "x", "component"),
        coords={"x": ("x", column * 0.1, {"units": "µm"})},
        attrs={"recipe": {"function": "embed"}},
    )


@pytest.mark.parametrize("method", list(ARGS))
def test_clusters_come_in_the_order_of_their_size(latent: xr.DataArray, method: str) -> None:
    result = cluster_latent(latent, method, ARGS[method])
    assert result.labels.dtype == np.int32
    assert result.probability.dtype == np.float32
    assert result.labels.dims == result.probability.dims == ("y", "x")
    assert result.x.attrs["units"] == "µm"
    expected = np.array([2, 0, 1])[np.searchsorted([8, 30], np.arange(40), side="right")]
    certain = result.labels.to_numpy() >= 0
    assert certain.mean() > 0.9
    same = result.labels.to_numpy() == expected
    assert same[certain].mean() > 0.99
    assert ((result.probability >= 0) & (result.probability <= 1)).all()


@pytest.mark.parametrize("method", list(ARGS))
def test_labels_are_the_estimators(latent: xr.DataArray, method: str) -> None:
    result = cluster_latent(latent, method, ARGS[method])
    rows = latent.to_numpy().reshape(-1, 2)
    model = make_clusterer(method, ARGS[method])
    own = model.fit_predict(rows).reshape(25, 40)
    original = np.append(result.attrs["recipe"]["original_labels"], -1)
    np.testing.assert_array_equal(original[result.labels.to_numpy()], own)


@pytest.mark.parametrize("method", list(ARGS))
def test_pixels_with_nan_take_no_part(latent: xr.DataArray, method: str) -> None:
    holed = latent.copy()
    holed[:5] = np.nan
    holed[7, 3, 1] = np.nan
    result = cluster_latent(holed, method, ARGS[method])
    assert (result.labels[:5] == -1).all()
    assert result.labels[7, 3] == -1
    assert (result.probability[:5] == 0).all()
    alone = cluster_latent(latent[8:], method, ARGS[method])
    assert len(np.unique(alone.labels)) == len(np.unique(result.labels[8:]))
    with pytest.raises(EmptyMapError, match="nothing to cluster"):
        cluster_latent(latent * np.nan, method, ARGS[method])


def test_lazy_maps_give_the_same(latent: xr.DataArray) -> None:
    lazy = cluster_latent(latent.chunk({"y": 7}), "GaussianMixture", ARGS["GaussianMixture"])
    xr.testing.assert_identical(lazy, cluster_latent(latent, method_args=ARGS["GaussianMixture"]))


def test_the_recipe_can_be_written_as_json(latent: xr.DataArray) -> None:
    result = cluster_latent(latent, "HDBSCAN", ARGS["HDBSCAN"])
    recipe = json.loads(json.dumps(result.attrs["recipe"]))
    assert recipe["parameters"]["min_cluster_size"] == 40
    assert recipe["sample_share"] == 1
    assert recipe["latent"] == {"function": "embed"}


def test_what_is_unknown_is_answered_with_what_there_is(latent: xr.DataArray) -> None:
    with pytest.raises(ParameterError, match=r"'Kmean'.*GaussianMixture, HDBSCAN"):
        cluster_latent(latent, "Kmean")
    with pytest.raises(ParameterError, match=r"no parameter clusters; it has: n_components"):
        cluster_latent(latent, "GaussianMixture", {"clusters": 4})
    with pytest.raises(ParameterError, match="y, x, component"):
        cluster_latent(latent[0], "GaussianMixture")


def test_a_map_is_no_latent_map() -> None:
    image = synthetic_map((64, 64)).image
    with pytest.raises(ParameterError, match=r"got SpectrumImage\. .*embed\(maps, UMAP\(\)\)"):
        cluster_latent(image)
