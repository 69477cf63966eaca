from collections import Counter

import dask.array as da
import numpy as np
import pytest
from drawing import make_map

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.plot import thin


def blocks_of(values, rows, columns):
    for top in range(0, values.shape[0], rows):
        for left in range(0, values.shape[1], columns):
            yield top // rows, left // columns, values[top : top + rows, left : left + columns]


@pytest.mark.parametrize("chunks", [None, (7, 5), (23, 31), (1, 31)])
@pytest.mark.parametrize("max_side", [1, 4, 10, 30])
def test_mean_is_that_of_every_block(chunks, max_side):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(23, 31))
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:8, :8] = np.nan
    image = make_map(values if chunks is None else da.from_array(values, chunks), 2.0)
    small = thin(image, max_side=max_side).compute()
    rows, columns = -(-23 // max_side), -(-31 // max_side)
    for y, x, block in blocks_of(values, rows, columns):
        finite = block[np.isfinite(block)]
        wanted = finite.mean() if finite.size else np.nan
        np.testing.assert_allclose(small.values[y, x], wanted, rtol=1e-5)
    assert small.dtype == np.float32
    assert max(small.shape) <= max_side


@pytest.mark.parametrize("chunks", [None, (7, 5), (64, 3)])
@pytest.mark.parametrize("max_side", [1, 5, 9, 40])
def test_mode_is_the_most_frequent_label(chunks, max_side):
    rng = np.random.default_rng(2)
    values = rng.integers(-1, 4, size=(37, 52)).astype(np.int32)
    image = make_map(values if chunks is None else da.from_array(values, chunks))
    small = thin(image, max_side=max_side, method="mode").compute()
    for y, x, block in blocks_of(values, -(-37 // max_side), -(-52 // max_side)):
        counts = Counter(block.ravel().tolist())
        most = max(counts.values())
        tied = sorted(label for label, n in counts.items() if n == most)
        phases = [label for label in tied if label >= 0]
        assert small.values[y, x] == (phases or tied)[0]
    assert small.dtype == np.int32


def test_stride_takes_existing_pixels():
    values = np.arange(12 * 9).reshape(12, 9)
    small = thin(make_map(values), max_side=4, method="stride")
    np.testing.assert_array_equal(small, values[1::3, 1::3])


def test_small_maps_come_back_as_they_are():
    image = make_map(np.zeros((4, 4)))
    assert thin(image, max_side=4) is image


def test_coordinates_are_centres_of_blocks_and_other_dims_are_kept():
    image = make_map(np.ones((10, 20, 2)), 0.5).assign_coords(line=["Fe_Ka", "Si_Ka"])
    small = thin(image.transpose("line", "x", "y"), max_side=5)
    assert small.dims == ("line", "x", "y")
    assert list(small["line"].values) == ["Fe_Ka", "Si_Ka"]
    np.testing.assert_allclose(small["x"], [1.0, 3.0, 5.0, 7.0, 9.0])
    np.testing.assert_allclose(small["y"], [0.5, 1.5, 2.5, 3.5, 4.5])
    assert small["x"].attrs["units"] == "µm"


def test_huge_lazy_maps_are_read_only_where_needed():
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.ones((1000, 1000), dtype=np.uint16)

    huge = da.map_blocks(
        block, chunks=((1000,) * 100, (1000,) * 100), dtype=np.uint16, meta=np.empty((0, 0), "u2")
    )
    read.clear()
    small = thin(make_map(huge), max_side=2000)
    assert small.chunks is not None
    assert small.shape == (2000, 2000)
    assert not read
    assert float(small[:3, :3].mean()) == 1.0
    assert 1 <= len(read) <= 4


def test_what_cannot_be_thinned_is_refused():
    with pytest.raises(ShapeMismatchError, match="'y' and 'x'"):
        thin(make_map(np.zeros((3, 3))).rename(y="row"))
    with pytest.raises(ParameterError, match="max_side"):
        thin(make_map(np.zeros((3, 3))), max_side=0)
    with pytest.raises(ParameterError, match="'median'"):
        thin(make_map(np.zeros((3, 3))), method="median")
    with pytest.raises(ParameterError, match="float64"):
        thin(make_map(np.zeros((3, 3))), method="mode")
