"""A process that is killed while it exports a lazy map leaves no half-written target."""

from __future__ import annotations

import subprocess
import sys

import pytest
from exported_maps import label_map, line_maps

from sigma_scale.export import export_masks, export_ome_tiff, export_ome_zarr, export_signal

WRITERS = {
    "m.ome.tif": export_ome_tiff,
    "m.ome.zarr": lambda maps, path, **more: export_ome_zarr(path, maps, **more),
    "m.hspy": export_signal,
    "m.zspy": export_signal,
    "masks": lambda maps, path, **more: export_masks(
        label_map(maps.shape[:2]), path, phases=[0], **more
    ),
}

KILLED = """
import os, signal, sys
import dask.array as da
import numpy as np
import xarray as xr
from sigma_scale.export import export_masks, export_ome_tiff, export_ome_zarr, export_signal

def values(block_info=None):
    if block_info[None]["chunk-location"][0] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return np.ones(block_info[None]["chunk-shape"], np.int32)

path = sys.argv[1]
lazy = da.map_blocks(values, chunks=((512,) * 3, (600,)), dtype=np.int32, meta=np.empty((0, 0)))
maps = xr.DataArray(lazy, dims=("y", "x"), name="maps")
if path.endswith("masks"):
    export_masks(maps, path, phases=[1], overwrite=True)
elif path.endswith(".ome.tif"):
    export_ome_tiff(maps, path, overwrite=True)
elif path.endswith(".ome.zarr"):
    export_ome_zarr(path, maps, overwrite=True)
else:
    export_signal(maps, path, overwrite=True)
"""


def content(path):
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.relative_to(path): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_a_killed_export_leaves_what_was_there_and_the_next_one_clears_up(
    tmp_path, name, earlier, left
):
    path, write = tmp_path / name, WRITERS[name]
    if earlier:
        write(line_maps((6, 5)), path)
    before = content(path) if earlier else {}
    process = subprocess.run(  # noqa: S603
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, check=False
    )
    assert process.returncode == -9, process.stderr.decode()
    assert path.exists() == earlier
    assert (content(path) if earlier else {}) == before
    assert [found for found in left() if found != name], "the draft"
    write(line_maps((8, 9)), path, overwrite=True)
    assert left() == [name]
