"""
Export to HyperSpy's zarr format (.zspy), a folder.

RosettaSciIO reads it by way of zarr 2 and zarr 3 alike, but its own writer needs zarr 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.export.hyperspy_layout import FORMAT_VERSION, group_name, signal_tree, write_tree
from sigma_scale.export.target import read_json
from sigma_scale.export.zarr_chunks import CHUNK_BYTES, write_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import zarr

    from sigma_scale.export.tiles import DenseTiles
    from sigma_scale.spectra import SpectrumImage

__all__ = ["CHUNK_BYTES", "is_export", "write", "write_signal"]

_LEVEL = 3


def is_export(path: Path) -> bool:
    """Whether there is a .zspy folder at a path."""
    return str(read_json(path / ".zattrs").get("file_format", "")).lower() == "zspy"


def write(path: Path, image: SpectrumImage, tiles: DenseTiles, level: int) -> None:
    """Write a .zspy folder; see :func:`~sigma_scale.export.export_counts`."""
    signal = _new_signal(path, image.metadata.title, signal_tree(image))
    data = _new_data(signal, tiles.shape, tiles.dtype, chunks=tiles.chunk_shape, level=level)
    write_chunks(data, tiles)


def write_signal(path: Path, content: dict[str, Any]) -> None:
    """
    Write a signal as a .zspy folder.

    Parameters
    ----------
    path : pathlib.Path
        What to write; nothing is there yet.
    content : dict
        What HyperSpy gives to the writers of RosettaSciIO; lazy data are computed block by block.

    Raises
    ------
    OSError
        If it can't be written.
    """
    import dask.array as da

    tree = {f"axis-{i}": axis for i, axis in enumerate(content["axes"])}
    for name in ("metadata", "original_metadata", "learning_results", "attributes"):
        tree[name] = content.get(name, {})
    signal = _new_signal(path, tree["metadata"]["General"]["title"], tree)
    lazy = content["data"] if hasattr(content["data"], "dask") else da.from_array(content["data"])
    # Blocks of one size: no chunk of the file belongs to two of them.
    blocks = lazy.rechunk(lazy.chunksize)
    data = _new_data(signal, blocks.shape, blocks.dtype, chunks=blocks.chunksize, level=_LEVEL)
    target: Any = data
    compute.run(
        da.store(blocks, target, lock=False, compute=False), description="Writing the signal"
    )


def _new_signal(path: Path, title: str, tree: dict[str, Any]) -> zarr.Group:
    """Everything of a signal but its data."""
    import zarr

    root = zarr.open_group(str(path), mode="w-", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": FORMAT_VERSION})
    signal = root.create_group("Experiments").create_group(group_name(title))
    signal.attrs.update({"package": "", "package_version": ""})
    write_tree(signal, tree, _add_list)
    return signal


def _new_data(
    signal: zarr.Group,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    chunks: tuple[int, ...],
    level: int,
) -> zarr.Array[Any]:
    import numcodecs

    blosc = numcodecs.Blosc(cname="zstd", clevel=level, shuffle=numcodecs.Blosc.BITSHUFFLE)
    return signal.create_array(
        "data",
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        fill_value=0,
        filters=None,
        compressors=blosc if level else None,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )


def _add_list(group: Any, name: str, values: Sequence[Any]) -> None:
    content = np.array(values)
    array = group.create_array(
        name, shape=content.shape, dtype=content.dtype, filters=None, compressors=None
    )
    array[:] = content
