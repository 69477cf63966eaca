"""Proportions against plain NumPy and against drawing at random."""

from unittest import mock

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.phases import label_bands, proportions
from sigma_scale.phases.proportions import soft_proportions

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


def test_errors_of_areas() -> None:
    table = proportions(as_map(LABELS))
    share = np.array([3, 4, 1]) / 8
    np.testing.assert_allclose(table["area_error_um2"], 4 * np.sqrt(share * (1 - share) / 8))


def test_negative_labels_are_one_noise_and_arrays_serve() -> None:
    labels = np.array([[-3, -1, 2], [2, 2, 0]], np.int8)
    table = proportions(labels)
    assert dict(table["pixels"]) == {0: 1, 2: 3, -1: 2}
    with mock.patch.object(label_bands, "_BAND_PIXELS", 3):
        pd.testing.assert_frame_equal(proportions(labels), table)


def test_phases_without_pixels_have_a_row_where_asked() -> None:
    table = proportions(as_map(LABELS), phases=[0, 5])
    assert list(table.index) == [0, 3, 5, -1]
    assert list(table.loc[5]) == [0, 0, 0, 0, 0]


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


def memberships(shape: tuple[int, int] = (20, 30), n: int = 3, seed: int = 0) -> xr.DataArray:
    values = np.random.default_rng(seed).dirichlet(np.full(n, 0.4), shape)
    coords = {name: as_map(np.zeros(shape)).coords[name] for name in ("y", "x")}
    return xr.DataArray(values, dims=("y", "x", "cluster"), coords=coords)


def test_soft_proportions_are_sums_of_probabilities() -> None:
    maps = memberships()
    table = soft_proportions(maps, names={1: "quartz"})
    p = maps.to_numpy().reshape(-1, 3)
    assert list(table.index) == [0, 1, 2]
    assert list(table["name"]) == ["cluster_0", "quartz", "cluster_2"]
    np.testing.assert_allclose(table["pixels"], p.sum(axis=0))
    np.testing.assert_allclose(table["share"], p.mean(axis=0))
    np.testing.assert_allclose(table["area_um2"], p.sum(axis=0) * 0.5)
    whole = (p.var(axis=0) + (p * (1 - p)).mean(axis=0)) / len(p)
    np.testing.assert_allclose(table["share_error"], np.sqrt(whole))
    assert table["share"].sum() == pytest.approx(1)


def test_the_assignment_error_is_that_of_drawing_labels() -> None:
    maps = memberships((12, 10))
    p = maps.to_numpy().reshape(-1, 3)
    draws = np.random.default_rng(1).random((20_000, len(p))) < p[:, 1]
    error = soft_proportions(maps).loc[1, "assignment_error"]
    assert error == pytest.approx(draws.mean(axis=1).std(), rel=0.03)


def test_certain_probabilities_give_hard_proportions() -> None:
    labels = np.random.default_rng(0).integers(-1, 3, (15, 16))
    certain = xr.DataArray(
        (labels[..., None] == np.arange(3)).astype(np.float32),
        dims=("y", "x", "phase"),
        coords={name: as_map(labels).coords[name] for name in ("y", "x")},
    )
    soft = soft_proportions(certain)
    assert (soft.pop("assignment_error") == 0).all()
    pd.testing.assert_frame_equal(soft, proportions(as_map(labels)), check_dtype=False)


def test_what_is_missing_is_noise() -> None:
    maps = memberships() * 0.75
    maps[0, :2] = np.nan
    table = soft_proportions(maps)
    assert table.index[-1] == -1
    assert table.loc[-1, "pixels"] == pytest.approx(2 + 0.25 * 598)
    assert table["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_soft_proportions_do_not_depend_on_bands_and_chunks(dtype: type) -> None:
    maps = memberships().astype(dtype)
    maps = maps / maps.sum("cluster") * 0.9 if dtype is np.float16 else maps
    whole = soft_proportions(maps)
    for rows in (1, 7):
        with mock.patch("sigma_scale.phases.proportions._BAND_VALUES", 90 * rows):
            part = soft_proportions(maps.chunk({"y": rows, "x": 11, "cluster": 2}))
        pd.testing.assert_frame_equal(part, whole, check_exact=True)


def test_labels_of_clusters_come_from_the_coordinate() -> None:
    maps = memberships().assign_coords(cluster=[4, 1, 9]).transpose("cluster", "y", "x")
    assert list(soft_proportions(maps).index) == [4, 1, 9]


def test_bad_probabilities_are_named() -> None:
    maps = memberships()
    for value, text in ((-0.2, "-0.2"), (1.5, "1.5")):
        bad = maps.copy(deep=True)
        bad[7, 5, 1] = value
        with pytest.raises(ParameterError, match=f"row 7, column 5.*{text}"):
            soft_proportions(bad)
    with pytest.raises(ParameterError, match="row 0, column 0"):
        soft_proportions(maps * 1.1)
    with pytest.raises(ParameterError, match="dimensions"):
        soft_proportions(maps[..., 0])
    with pytest.raises(ParameterError, match="cluster"):
        soft_proportions(maps.assign_coords(cluster=["a", "b", "c"]))
    with pytest.raises(EmptyMapError):
        soft_proportions(maps[:0])
    with pytest.raises(ParameterError, match="pixel_area"):
        soft_proportions(maps, pixel_area=-1)


# Gaps


def with_gaps(labels: xr.DataArray) -> xr.DataArray:
    """Of the pixels without a cluster only one was measured, and one of a cluster was not."""
    measured = labels >= 0
    measured[0, 3] = True
    measured[1, 0] = False
    return labels.assign_coords(measured=measured.drop_vars(("y", "x")))


GAPPED = np.array([[0, 0, 3, -1, -1], [0, 3, 3, 3, -1]], np.int32)


def test_gaps_are_no_noise_and_have_no_area() -> None:
    labels = with_gaps(as_map(GAPPED))
    table = proportions(labels)
    assert list(table["pixels"]) == [3, 4, 1]
    assert list(table["share"]) == [3 / 8, 4 / 8, 1 / 8]
    assert list(table["area_um2"]) == [1.5, 2.0, 0.5]
    pd.testing.assert_frame_equal(table, proportions(as_map(LABELS)))
    pd.testing.assert_frame_equal(proportions(labels.chunk({"y": 1, "x": 2})), table)
    with mock.patch.object(label_bands, "_BAND_PIXELS", 5):
        pd.testing.assert_frame_equal(proportions(labels.T), table)


def test_gaps_have_no_probabilities() -> None:
    labels = with_gaps(as_map(GAPPED))
    shares = xr.DataArray(
        np.stack([GAPPED == 0, GAPPED == 3], axis=2) * 0.9,
        dims=("y", "x", "cluster"),
        coords={"cluster": [0, 3], **labels.coords},
    )
    shares[0, 4] = np.nan
    table = soft_proportions(shares)
    np.testing.assert_allclose(table["pixels"], [2.7, 3.6, 1.7])
    np.testing.assert_allclose(table["share"], np.array([2.7, 3.6, 1.7]) / 8)
    np.testing.assert_allclose(table["assignment_error"] * 8, np.sqrt([0.27, 0.36, 0.63]))


def test_a_map_that_was_not_measured_has_no_proportions() -> None:
    labels = as_map(np.full((2, 3), -1, np.int32))
    nowhere = labels.assign_coords(measured=(("y", "x"), np.zeros((2, 3), bool)))
    with pytest.raises(EmptyMapError, match="gap"):
        proportions(nowhere)
