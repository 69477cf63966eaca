"""Peak memory of streamed exports, in a process of its own: it doesn't grow with the map."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MEASURED = """
import json, sys
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from sigma_scale.export import export_masks, export_ome_tiff, export_ome_zarr, export_signal

kind, ending, folder, *sides = sys.argv[1:]

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

def values(block_info=None):
    y, x, *plane = np.ogrid[tuple(slice(*i) for i in block_info[None]["array-location"])]
    if not plane:
        return ((y // 37 + x // 53) % 9 - 1).astype(np.int32)
    return (np.sin(y / 37) * x + plane[0]).astype(np.float32)

def made(side):
    coords = {dim: (dim, np.arange(side) / 2, {"units": "µm"}) for dim in ("y", "x")}
    chunks = [(512,) * (side // 512)] * 2
    if kind == "labels":
        lazy = da.map_blocks(values, chunks=tuple(chunks), dtype=np.int32)
        return xr.DataArray(lazy, dims=("y", "x"), coords=coords, name="labels")
    lazy = da.map_blocks(values, chunks=(*chunks, (3,)), dtype=np.float32)
    coords["line"] = ["C_Ka", "O_Ka", "Si_Ka"]
    return xr.DataArray(lazy, dims=("y", "x", "line"), coords=coords, name="maps")

def write(array, path):
    if ending == ".ome.tif":
        export_ome_tiff(array, path, level=1)
    elif ending == ".ome.zarr":
        export_ome_zarr(path, **{kind: array})
    elif ending == "masks":
        export_masks(array, path, file_format="tif", phases=[0])
    else:
        export_signal(array, path)

peaks = []
for side in (1024, *map(int, sides)):
    array = made(side)
    write(array, f"{folder}/{side}{ending}")
    peaks.append(peak())
print(json.dumps({"peaks": peaks, "map": array.nbytes / 2**20}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("labels", ".ome.tif"),
        ("labels", ".ome.zarr"),
        ("labels", "masks"),
        ("maps", ".ome.tif"),
        ("maps", ".ome.zarr"),
        ("maps", ".hspy"),
        ("maps", ".zspy"),
    ],
)
def test_memory_does_not_grow_with_the_map(tmp_path, kind, ending):
    sides = ["5120", "10240"] if kind == "labels" else ["3072", "6144"]
    environment = {**os.environ, "DASK_NUM_WORKERS": "2"}
    script = [sys.executable, "-c", MEASURED, kind, ending, str(tmp_path), *sides]
    process = subprocess.run(  # noqa: S603
        script, capture_output=True, text=True, check=True, env=environment
    )
    report = json.loads(process.stdout)
    base, middle, large = report["peaks"]
    assert report["map"] >= 400
    assert large - base < 200
    assert large - middle < 60
