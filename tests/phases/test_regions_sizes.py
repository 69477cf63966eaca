"""Grain sizes against plain NumPy."""

import numpy as np
import pandas as pd
import pytest

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.phases.regions_sizes import grain_sizes
from sigma_scale.phases.regions_statistics import region_statistics


@pytest.fixture(scope="module")
def regions():
    labels = np.random.default_rng(0).choice([-1, 0, 0, 0, 4, 4], (80, 90))
    return region_statistics(labels, connectivity=1, pixel_size=0.5)


@pytest.mark.parametrize("bins", ["auto", "fd", 7, [0.0, 0.6, 1.0, 40.0]])
def test_histograms_equal_numpy(regions, bins):
    table = grain_sizes(regions, bins=bins)
    edges = np.histogram_bin_edges(regions["equivalent_diameter_um"], bins)
    if len(edges) > 513:
        edges = np.histogram_bin_edges(regions["equivalent_diameter_um"], 512)
    assert list(table.index.get_level_values("phase").unique()) == [0, 4]
    for phase, own in regions.groupby("phase"):
        part = table.loc[phase]
        diameters, area = own["equivalent_diameter_um"], own["area_um2"]
        np.testing.assert_array_equal(part["low_um"], edges[:-1])
        np.testing.assert_array_equal(part["high_um"], edges[1:])
        number = np.histogram(diameters, edges)[0]
        weighted = np.histogram(diameters, edges, weights=area)[0]
        np.testing.assert_array_equal(part["number"], number)
        np.testing.assert_allclose(part["number_share"], number / len(own))
        np.testing.assert_allclose(part["area_um2"], weighted)
        np.testing.assert_allclose(part["area_share"], weighted / area.sum())
        assert part["area_share"].sum() == pytest.approx(1)
    assert table.attrs["units"] == {"low_um": "µm", "high_um": "µm", "area_um2": "µm²"}
    assert table.attrs["recipe"]["regions"]["connectivity"] == 1


def test_regions_outside_the_bins_count_in_the_whole(regions):
    part = grain_sizes(regions, bins=[0, 0.6]).loc[0]
    own = regions[regions["phase"] == 0]
    inside = own["equivalent_diameter_um"] <= 0.6
    assert 0 < inside.sum() < len(own)
    assert part["number_share"].tolist() == [pytest.approx(inside.mean())]


def test_without_regions_at_the_edge(regions):
    table = grain_sizes(regions, exclude_border=True, bins=5)
    expected = grain_sizes(regions[~regions["touches_border"]], bins=5)
    pd.testing.assert_frame_equal(table, expected)
    assert table["number"].sum() < len(regions)


def test_pixels_where_there_is_no_scale():
    table = grain_sizes(region_statistics(np.eye(3, dtype=int)))
    assert {"low_px", "high_px", "area_px2"} < set(table.columns)
    assert table.attrs["units"]["low_px"] == "pixel"


def test_a_rule_gives_no_endless_table():
    diameters = np.concatenate([np.linspace(1, 1.001, 1000), [1e5]])
    regions = pd.DataFrame(
        {"phase": 0, "equivalent_diameter_px": diameters, "area_px2": diameters**2}
    )
    table = grain_sizes(regions, bins="fd")
    assert len(table) == 512
    assert table["number"].sum() == 1001


def test_bad_input_is_named(regions):
    with pytest.raises(ParameterError, match="region_statistics"):
        grain_sizes(regions.drop(columns="equivalent_diameter_um"))
    with pytest.raises(EmptyMapError, match="no regions to"):
        grain_sizes(regions[:0])
    with pytest.raises(EmptyMapError, match="edge"):
        grain_sizes(region_statistics(np.zeros((3, 3), int)), exclude_border=True)
    for bins in ("many", 0, [3, 2, 1], [1.0], [0, np.nan]):
        with pytest.raises(ParameterError, match="bins"):
            grain_sizes(regions, bins=bins)
