"""Text in stores: readable for others, without warnings, and as it was."""

import warnings

import numpy as np
import xarray as xr
import zarr

from sigma_scale.store import open_result, write_map, write_result
from sigma_scale.synthetic import synthetic_map


def made():
    return xr.Dataset(
        {"n": (("line",), np.arange(2)), "note": (("line",), np.array(["µ", ""]))},
        coords={"line": ["O_Ka", "Fe_Ka"], "kind": ("line", np.array(["a", "bcd"]), {"a": "b"})},
    )


def test_text_comes_back_and_nobody_is_warned(tmp_path):
    path = tmp_path / "map.zarr"
    write_map(synthetic_map((16, 16)).image, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        write_result(path, "text", made())
        found = open_result(path, "text")
    for name in ("line", "kind", "note"):
        assert found[name].dtype.kind == "U"
    assert found["kind"].attrs == {"a": "b"}
    xr.testing.assert_identical(found.drop_attrs().compute(), made().drop_attrs())
    assert found.sel(line="Fe_Ka")["n"] == 1


def test_text_is_stored_as_the_specification_knows_it(tmp_path):
    path = tmp_path / "map.zarr"
    write_map(synthetic_map((16, 16)).image, path)
    write_result(path, "text", made())
    for name in ("line", "kind", "note"):
        node = zarr.open_array(str(path / "text" / name), mode="r").metadata.to_dict()
        assert node["data_type"] == "string"


def test_text_of_a_fixed_width_in_older_stores_is_read(tmp_path):
    path = tmp_path / "map.zarr"
    write_map(synthetic_map((16, 16)).image, path)
    old = made().assign_attrs({"sigma_scale": {"state": "complete"}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.to_zarr(path, group="old", mode="a", consolidated=False, zarr_format=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xr.testing.assert_identical(
            open_result(path, "old").drop_attrs().compute(), made().drop_attrs()
        )
