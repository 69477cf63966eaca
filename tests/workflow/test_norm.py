"""The tutorial's norm module on arrays of any kind, and functions of a user's own."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from scipy import ndimage, special, stats

from sigma_scale import config, features
from sigma_scale.errors import MemoryLimitError, ParameterError, ShapeMismatchError
from sigma_scale.workflow import norm

SHAPE = (9, 11, 4)
KINDS = {
    "numpy": lambda values: values,
    "dask": lambda values: da.from_array(values, chunks=(4, 5, 2)[: values.ndim]),
    "xarray": lambda values: xr.DataArray(
        values, dims=("y", "x", "line") if values.ndim == 3 else ("pixel", "line")
    ),
    "lazy xarray": lambda values: xr.DataArray(
        values, dims=("y", "x", "line") if values.ndim == 3 else ("pixel", "line")
    ).chunk(3),
}


@pytest.fixture
def values():
    rng = np.random.default_rng(1)
    maps = rng.gamma(2.0, 1.0, SHAPE)
    maps[..., 3] = 0.25
    return maps


def averages(values):
    total = ndimage.generic_filter(values, np.nansum, size=(3, 3, 1), mode="constant", cval=np.nan)
    number = ndimage.uniform_filter(np.ones(values.shape[:2]), 3, mode="constant") * 9
    return total / number[..., None]


def scores(values):
    result = np.zeros_like(values)
    result[..., :3] = stats.zscore(values.reshape(-1, 4)[:, :3]).reshape(*values.shape[:-1], 3)
    return result


def shares(values):
    return special.softmax(values, axis=-1)


CASES = {"neighbour_averaging": averages, "zscore": scores, "softmax": shares}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_array_gives_the_same(name, kind, values):
    given = KINDS[kind](values)
    result = getattr(norm, name)(given)
    assert type(result) is type(given)
    assert result.shape == SHAPE
    assert result.dtype == np.float32
    assert hasattr(getattr(result, "data", None), "dask") == (kind == "lazy xarray")
    np.testing.assert_allclose(result, CASES[name](values), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(result, getattr(norm, name)(values))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["zscore", "softmax"])
def test_tables_of_pixels(name, kind, values):
    table = values.reshape(-1, 4)
    given = KINDS[kind](table)
    result = getattr(norm, name)(given)
    assert type(result) is type(given)
    np.testing.assert_array_equal(result, getattr(norm, name)(values).reshape(-1, 4))


def test_lists_are_arrays_too():
    result = norm.softmax([[[1.0, 1.0]]])
    np.testing.assert_array_equal(result, [[[0.5, 0.5]]])


def test_arrays_that_are_no_maps(values):
    with pytest.raises(ParameterError, match=r"\(y, x, feature\)"):
        norm.neighbour_averaging(values.reshape(-1, 4))
    with pytest.raises(ParameterError, match=r"shape \(4,\)"):
        norm.zscore(values[0, 0])
    with pytest.raises(ParameterError, match="numbers"):
        norm.softmax(np.array([[["a"]]]))


@pytest.fixture
def maps(values):
    return xr.DataArray(
        values.astype(np.float32),
        dims=("y", "x", "line"),
        coords={"line": list("abcd")},
        attrs={"recipe": {"function": "line_intensity"}},
    )


@pytest.mark.parametrize("module", [norm, features, None])
def test_steps_by_function_or_name(maps, module):
    names = ["neighbour_averaging", "zscore", "softmax"]
    steps = names if module is None else [getattr(module, name) for name in names]
    assert norm.check_steps(steps) == tuple(names)
    assert norm.step_names(steps if module is None else norm.check_steps(steps)) == names
    result = norm.apply_steps(maps, steps)
    expected = norm.softmax(norm.zscore(norm.neighbour_averaging(maps.values)))
    np.testing.assert_array_equal(result, expected)
    assert result.attrs["recipe"] == {"function": "line_intensity", "normalisation": names}


def test_no_steps_give_the_maps_as_floats(maps):
    counts = (maps * 100).astype(np.uint32)
    result = norm.apply_steps(counts, [])
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, counts)


def square_root(maps):
    maps **= 0.5  # Changes what it is given, as careless functions do.
    return maps.astype(np.float64)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_function_of_ones_own(maps, values, lazy):
    given = maps.chunk(4) if lazy else maps
    result = norm.apply_steps(given, [square_root, norm.zscore])
    expected = norm.zscore(np.sqrt(values.astype(np.float32)))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(maps, values.astype(np.float32))
    (own, zscore) = result.attrs["recipe"]["normalisation"]
    assert own.endswith(":square_root")
    assert zscore == "zscore"
    assert norm.step_names([square_root]) == [own]
    assert norm.step_names([np.log1p]) == ["numpy:log1p"]


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda maps: maps[1:], ShapeMismatchError, "keep the shape"),
        (lambda maps: maps * np.nan, ParameterError, "NaN or infinite"),
        (lambda maps: maps + 1j, ParameterError, "complex"),
        (lambda maps: None, ShapeMismatchError, "keep the shape"),
    ],
)
def test_functions_that_give_no_maps(maps, function, error, message):
    with pytest.raises(error, match=message):
        norm.apply_steps(maps, [function])


def test_a_function_of_ones_own_needs_the_maps_in_memory(maps):
    with config.options(memory_limit="1kB"), pytest.raises(MemoryLimitError, match="square_root"):
        norm.apply_steps(maps.chunk(4), [square_root])


@pytest.mark.parametrize("steps", ["zscore", norm.zscore, None, 3])
def test_steps_are_a_list(steps):
    with pytest.raises(ParameterError, match="as a list"):
        norm.check_steps(steps)


@pytest.mark.parametrize("step", ["z-score", 3, None])
def test_unknown_steps(step):
    with pytest.raises(ParameterError, match="there are: neighbour_averaging, zscore, softmax"):
        norm.check_steps([step])
