import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.phases import proportions

LABELS = np.array([[0, 0, 3, -1], [0, 3, 3, 3]], np.int32)


def as_map(labels: np.ndarray, units: str = "µm", step: float = 0.5) -> xr.DataArray:
    y, x = (np.arange(n) * step for n in labels.shape)
    return xr.DataArray(
        labels,
        dims=("y", "x"),
        coords={"y": ("y", y, {"units": units}), "x": ("x", 2 * x, {"units": units})},
    )


def test_counts_shares_and_areas_with_noise_last() -> None:
    table = proportions(as_map(LABELS))
    assert list(table.index) == [0, 3, -1]
    assert list(table["pixels"]) == [3, 4, 1]
    assert list(table["share"]) == [3 / 8, 4 / 8, 1 / 8]
    assert list(table["area_um2"]) == [1.5, 2.0, 0.5]  # pixels of 0.5 by 1 µm
    assert table["share"].sum() == 1


def test_the_error_is_that_of_drawing_pixels() -> None:
    rng = np.random.default_rng(0)
    draws = rng.random((4000, 400)) < 0.2
    scatter = draws.mean(axis=1).std()
    labels = np.zeros((20, 20), np.int32)
    labels.ravel()[:80] = 1
    assert proportions(as_map(labels)).loc[1, "share_error"] == pytest.approx(scatter, rel=0.05)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_lazy_labels_of_any_range(dtype: type) -> None:
    labels = np.random.default_rng(0).choice([-1, 0, 100, 7], size=(30, 50)).astype(dtype)
    lazy = proportions(as_map(labels).chunk({"y": 7, "x": 13}))
    pd.testing.assert_frame_equal(lazy, proportions(as_map(labels)))
    counts = pd.Series(labels.ravel()).value_counts()
    assert (lazy["pixels"] == counts[lazy.index]).all()


def test_a_label_beyond_32_bits() -> None:
    labels = np.array([[10**12, 3]])
    assert list(proportions(as_map(labels)).index) == [3, 10**12]


def test_areas_only_where_the_scale_is_known() -> None:
    assert "area_um2" not in proportions(as_map(LABELS, units="pixel"))
    assert "area_um2" not in proportions(xr.DataArray(LABELS, dims=("y", "x")))
    given = proportions(as_map(LABELS, units="pixel"), pixel_area=4.0)
    assert list(given["area_um2"]) == [12, 16, 4]
    one_row = as_map(LABELS)[:1]
    assert proportions(one_row).loc[0, "area_um2"] == 2  # square pixels of 1 µm assumed


def test_names() -> None:
    table = proportions(as_map(LABELS), names={0: "quartz"})
    assert list(table["name"]) == ["quartz", "cluster_3", "noise"]
    assert list(proportions(as_map(np.abs(LABELS)), names={})["name"])[-1] == "cluster_3"


def test_bad_input_is_named() -> None:
    with pytest.raises(EmptyMapError):
        proportions(as_map(LABELS[:0]))
    with pytest.raises(ParameterError, match="whole numbers"):
        proportions(as_map(LABELS * 1.0))
    for area in (0, -1.0, np.nan):
        with pytest.raises(ParameterError, match="pixel_area"):
            proportions(as_map(LABELS), pixel_area=area)
