"""Smaller sizes of maps and labels."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import zarr
from exported_maps import label_map, line_maps
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sigma_scale import config
from sigma_scale.errors import MemoryLimitError
from sigma_scale.export.planes import Planes
from sigma_scale.export.pyramid import TILE, halved, level_shapes, write_levels

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)


def fours(values):
    """The four pixels, fewer at the ends, of each smaller one."""
    for i, j in np.ndindex(-(-values.shape[0] // 2), -(-values.shape[1] // 2)):
        yield (i, j), values[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 1.0, 2.5, -3.0, np.nan])))
def test_a_smaller_map_is_the_mean_of_what_there_is(values):
    small = halved(values, labels=False)
    for place, four in fours(values):
        known = four[~np.isnan(four)]
        np.testing.assert_allclose(small[place], known.mean() if known.size else np.nan)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint16, SHAPES, elements=st.integers(0, 4)))
def test_smaller_labels_are_the_most_frequent_ones(values):
    small = halved(values, labels=True)
    assert small.dtype == values.dtype
    for place, four in fours(values):
        counts = Counter(four.tolist())
        assert counts[int(small[place])] == max(counts.values())


def test_whole_numbers_are_rounded_means():
    values = np.array([[1, 2, 255], [2, 2, 255]], np.uint8)
    np.testing.assert_array_equal(halved(values, labels=False), [[2, 255]])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 1), [(1, 1)]),
        ((512, 512), [(512, 512)]),
        ((513, 3), [(513, 3), (257, 2)]),
        ((2000, 1001), [(2000, 1001), (1000, 501), (500, 251)]),
    ],
)
def test_sizes_go_down_to_a_tile(shape, expected):
    assert TILE == 512
    assert level_shapes(*shape) == expected


@pytest.mark.parametrize("chunks", [None, 100, (700, 600), (33, 512)])
def test_levels_are_the_same_for_any_chunking(tmp_path, chunks):
    maps = line_maps((700, 600))
    planes = Planes.of_maps(
        maps
        if chunks is None
        else maps.chunk(
            dict(zip("yx", [chunks] * 2 if isinstance(chunks, int) else chunks, strict=True))
        )
    )
    levels = write_levels(zarr.open_group(str(tmp_path), mode="w"), planes)
    whole = maps.values.transpose(2, 0, 1)
    np.testing.assert_array_equal(levels[0][:], whole)
    expected = np.stack([halved(plane, labels=False) for plane in whole])
    np.testing.assert_array_equal(levels[1][:], expected)
    assert len(levels) == 2


def test_levels_of_labels_hold_no_new_labels(tmp_path):
    labels = label_map((600, 1100), low=0).where(lambda known: known != 1, 3).astype(np.int32)
    levels = write_levels(zarr.open_group(str(tmp_path), mode="w"), Planes.of_labels(labels))
    assert [level.shape for level in levels] == [(600, 1100), (300, 550), (150, 275)]
    for level in levels:
        assert set(np.unique(level[:])) == {1, 3, 4}


def test_what_does_not_fit_the_memory_is_refused(tmp_path):
    planes = Planes.of_maps(line_maps((600, 600)))
    with (
        config.options(memory_limit="1MB"),
        pytest.raises(MemoryLimitError, match=r"export of maps .*fewer maps"),
    ):
        write_levels(zarr.open_group(str(tmp_path), mode="w"), planes)
