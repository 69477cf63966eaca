"""Abundance of end-members, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.phases import abundance_maps

LABELS = xr.DataArray(
    np.array([[0, 0, 2], [1, -1, 3], [-2, -1, 2]], np.int32),
    dims=("y", "x"),
    coords={"x": [0.0, 2.0, 4.0]},
)


@pytest.fixture
def weights() -> pd.DataFrame:
    """Out of order; cluster 1 has no weights and cluster 3 contains nothing."""
    return pd.DataFrame(
        [[2.0, 0.0], [1.0, 3.0], [0.0, 0.0]],
        index=["cluster_2", "cluster_0", "cluster_3"],
        columns=["w_0", "w_1"],
    )


@pytest.fixture
def components() -> pd.DataFrame:
    """Intensities of 3 and of 0.5."""
    return pd.DataFrame({"cpnt_0": [1.0, 2.0], "cpnt_1": [0.25, 0.25]}, index=[1.0, 2.0])


def test_abundance_is_a_share_of_the_intensity(
    weights: pd.DataFrame, components: pd.DataFrame
) -> None:
    maps = abundance_maps(LABELS, weights, components, n_clusters=4)
    assert (maps.dims, maps.dtype, maps.name) == (("y", "x", "line"), np.float32, "abundance")
    assert maps["line"].to_numpy().tolist() == ["cpnt_0", "cpnt_1"]
    np.testing.assert_array_equal(maps["x"], LABELS["x"])
    nothing = [np.nan, np.nan]
    share = [3 / 4.5, 1.5 / 4.5]  # 1 x 3 and 3 x 0.5
    expected = [[share, share, [1, 0]], [nothing] * 3, [nothing, nothing, [1, 0]]]
    np.testing.assert_allclose(maps, expected, rtol=1e-6)


def test_the_scale_of_an_end_member_means_nothing(
    weights: pd.DataFrame, components: pd.DataFrame
) -> None:
    maps = abundance_maps(LABELS, weights, components, n_clusters=4)
    other = abundance_maps(LABELS, weights * [8, 1], components / [8, 1], n_clusters=4)
    np.testing.assert_allclose(other, maps, rtol=1e-6)


def test_tables_that_do_not_fit(weights: pd.DataFrame, components: pd.DataFrame) -> None:
    with pytest.raises(ShapeMismatchError, match="2 end-members and 1 spectra"):
        abundance_maps(LABELS, weights, components[["cpnt_0"]], n_clusters=4)
    with pytest.raises(ParameterError, match=r"cluster_3.*cluster_0 to cluster_2\."):
        abundance_maps(LABELS.clip(max=2), weights, components, n_clusters=3)
    for name in ("quartz", "cluster_", "cluster_-1"):
        with pytest.raises(ParameterError, match=f"a row '{name}'"):
            abundance_maps(
                LABELS, weights.set_axis(["cluster_0", name, "cluster_1"]), components, n_clusters=4
            )
    with pytest.raises(ParameterError, match=r"pixel of cluster 3.* 0 to 2\."):
        abundance_maps(LABELS, weights[:2], components, n_clusters=3)
    with pytest.raises(ParameterError, match="integers, not float64"):
        abundance_maps(LABELS / 1.0, weights, components, n_clusters=4)
