from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import numpy as np
import xarray as xr

from sigma_scale.export import export_counts
from sigma_scale.preprocess import rebin

STANDARD_CODECS = {"bytes", "blosc"}


def test_the_plain_zarr_needs_nothing_of_ours(tmp_path, described):
    path = export_counts(described, tmp_path / "map.zarr")
    codecs, arrays = set(), {}
    for file in path.rglob("zarr.json"):
        meta = json.loads(file.read_text())
        if meta["node_type"] == "array":
            arrays[file.parent.name] = meta
            codecs |= {codec["name"] for codec in meta["codecs"]}
    assert codecs <= STANDARD_CODECS
    assert arrays["counts"]["chunk_grid"]["configuration"]["chunk_shape"] == [32, 32, 50]
    script = textwrap.dedent(f"""
        import sys
        sys.modules["sigma_scale"] = None  # from now on it can't be imported
        import xarray as xr
        found = xr.open_zarr({str(path)!r}).load()
        print(int(found.counts.sum()), *found.counts.dims, found.energy.attrs["units"])
    """)
    output = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    total = int(described.to_xarray().sum())
    assert output.split() == [str(total), "y", "x", "energy", "keV"]


def test_the_plain_zarr_holds_coordinates_metadata_and_images(tmp_path, described):
    found = xr.open_zarr(export_counts(described, tmp_path / "map.zarr"))
    view = described.to_xarray()
    for name in ("y", "x", "energy"):
        np.testing.assert_array_equal(found[name], view[name])
        assert found[name].attrs == view[name].attrs
    np.testing.assert_array_equal(found["navigation"], described.images["navigation"])
    assert found["navigation"].dims == ("y", "x")
    assert found["fine"].dims == ("y_fine", "x_fine")
    np.testing.assert_array_equal(found["fine"], described.images["fine"])
    np.testing.assert_array_equal(found["x_fine"], described.images["fine"]["x"])
    assert found["fine"].attrs["long_name"] == "a finer image"
    assert found.attrs["beam_energy_kev"] == 20.0
    assert found.attrs["elements"] == ["Si", "Al"]
    assert found["counts"].attrs["units"] == "counts"
    binned = xr.open_zarr(export_counts(rebin(described, (2, 2)), tmp_path / "binned.zarr"))
    assert binned["counts"].shape == (35, 30, 50)
    assert binned["navigation"].shape == (70, 60)
    assert binned["counts"].attrs["recipe"]["bin_yx"] == [2, 2]
