import json

import numpy as np
import pytest
import xarray as xr
from sklearn.decomposition import PCA

from sigma_scale import config
from sigma_scale.errors import EmptyMapError, MemoryLimitError, ParameterError
from sigma_scale.latent import UMAP, embed
from sigma_scale.synthetic import synthetic_map


@pytest.fixture(scope="module")
def features() -> xr.DataArray:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 30, 4)) + 5 * (np.arange(30) > 12)[:, None]
    return xr.DataArray(
        values.astype(np.float32),
        dims=("y", "x", "line"),
        coords={
            "y": ("y", np.arange(20) * 0.5, {"units": "µm"}),
            "x": ("x", np.arange(30) * 0.5, {"units": "µm"}),
            "line": ["Al_Ka", "Si_Ka", "Fe_Ka", "Ca_Ka"],
        },
        attrs={"recipe": {"zscore": True}},
    )


@pytest.fixture(scope="module")
def model(features: xr.DataArray) -> UMAP:
    rows = features.to_numpy().reshape(-1, 4)
    return UMAP(n_landmarks=200, n_epochs=10, random_state=0).fit(rows)


def test_a_map_is_its_rows(features: xr.DataArray, model: UMAP) -> None:
    latent = embed(features, model)
    assert latent.dims == ("y", "x", "component")
    assert latent.dtype == np.float32
    assert latent.x.attrs["units"] == "µm"
    rows = model.transform(features.to_numpy().reshape(-1, 4))
    np.testing.assert_array_equal(latent.to_numpy().reshape(-1, 2), rows)


def test_lazy_features_give_a_lazy_map_with_the_same_bits(
    features: xr.DataArray, model: UMAP
) -> None:
    lazy = embed(features.chunk({"y": 7, "x": 11, "line": 3}), model)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), embed(features, model))


def test_an_unfitted_model_is_fitted_on_the_map(features: xr.DataArray, model: UMAP) -> None:
    fresh = UMAP(n_landmarks=200, n_epochs=10, random_state=0)
    xr.testing.assert_identical(embed(features, fresh), embed(features, model))
    lazily = UMAP(n_landmarks=200, n_epochs=10, random_state=0)
    np.testing.assert_array_equal(embed(features.chunk({"y": 6}), lazily), embed(features, model))


def test_pixels_without_features_stay_out(features: xr.DataArray, model: UMAP) -> None:
    holed = features.copy()
    holed[3, 4, 1] = np.nan
    holed[10:] = np.nan
    whole, latent = embed(features, model), embed(holed, model)
    missing = np.zeros((20, 30), bool)
    missing[3, 4] = missing[10:] = True
    np.testing.assert_array_equal(np.isnan(latent).all("component"), missing)
    np.testing.assert_array_equal(latent.to_numpy()[~missing], whole.to_numpy()[~missing])
    embed(holed, UMAP(n_landmarks=100, n_epochs=5, random_state=0))
    with pytest.raises(EmptyMapError, match="No pixel"):
        embed(features * np.nan, UMAP())


def test_unseen_phases_are_flagged(features: xr.DataArray, model: UMAP) -> None:
    changed = features.copy()
    changed[:5] += 40
    for maps in (changed, changed.chunk({"y": 3})):
        latent = embed(maps, model)
        assert latent.novelty.dims == ("y", "x")
        assert (latent.novelty.chunks is None) == (maps.chunks is None)
        flagged = latent.novelty.to_numpy() > latent.attrs["novelty_threshold"]
        assert flagged[:5].all()
        assert flagged[5:].mean() < 0.02


def test_a_lazy_map_is_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are drawn when they are read; few of them live at any time."""
    import dask
    import dask.array as da

    alive, most = set(), []

    def draw(block_info=None):
        (y, x, _) = block_info[None]["array-location"]
        values = np.random.default_rng((y[0], x[0])).normal(size=(64, 64, 4))
        import weakref

        block = values.astype(np.float32)
        alive.add(id(block))
        weakref.finalize(block, alive.discard, id(block))
        most.append(len(alive))
        return block

    lazy = da.map_blocks(draw, chunks=((64,) * 16, (64,) * 4, (4,)), dtype=np.float32)
    maps = xr.DataArray(lazy, dims=("y", "x", "line"))
    with dask.config.set(scheduler="threads", num_workers=2):
        latent = embed(maps, UMAP(n_landmarks=200, n_epochs=3, random_state=0))
        assert len(most) == 64
        latent.compute()
    assert len(most) == 128
    assert max(most) <= 16


def test_models_that_cannot_stream_are_refused_where_memory_is_short(
    features: xr.DataArray,
) -> None:
    with (
        config.options(memory_limit="10 kB"),
        pytest.raises(MemoryLimitError, match="Fitting a model"),
    ):
        embed(features.chunk({"y": 5}), PCA(2))


def test_the_recipe_can_be_written_as_json(features: xr.DataArray, model: UMAP) -> None:
    recipe = json.loads(json.dumps(embed(features, model).attrs["recipe"]))
    assert recipe["parameters"]["n_landmarks"] == 200
    assert recipe["parameters"]["random_state"] == 0
    assert recipe["model"].endswith("UMAP")
    assert recipe["features"] == {"zscore": True}
    assert "umap-learn" in recipe["versions"]


def test_any_transformer_of_rows_will_do(features: xr.DataArray) -> None:
    latent = embed(features, PCA(3))
    rows = features.to_numpy().reshape(-1, 4)
    expected = PCA(3).fit(rows).transform(rows)
    np.testing.assert_allclose(latent.to_numpy().reshape(-1, 3), expected, atol=1e-4)


def test_a_map_is_no_feature_map(model: UMAP) -> None:
    with pytest.raises(ParameterError, match=r"not SpectrumImage\. .*line_intensity\(image"):
        embed(synthetic_map((64, 64)).image, model)


def test_other_dimensions_are_refused(features: xr.DataArray, model: UMAP) -> None:
    with pytest.raises(ParameterError, match="transpose"):
        embed(features.transpose("line", "y", "x"), model)
    with pytest.raises(ParameterError, match="y, x, line"):
        embed(features[0], model)
    with pytest.raises(EmptyMapError):
        embed(features[:0], model)
