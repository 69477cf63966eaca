"""
Export to HyperSpy's zarr format (.zspy), a folder.

RosettaSciIO reads it by way of zarr 2 and zarr 3 alike, but its own writer needs zarr 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.export.hyperspy_layout import FORMAT_VERSION, group_name, signal_tree, write_tree
from sigma_scale.export.target import read_json
from sigma_scale.export.zarr_chunks import CHUNK_BYTES, write_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sigma_scale.export.tiles import DenseTiles
    from sigma_scale.spectra import SpectrumImage

__all__ = ["CHUNK_BYTES", "is_export", "write"]


def is_export(path: Path) -> bool:
    """Whether there is a .zspy folder at a path."""
    return str(read_json(path / ".zattrs").get("file_format", "")).lower() == "zspy"


def write(path: Path, image: SpectrumImage, tiles: DenseTiles, level: int) -> None:
    """Write a .zspy folder; see :func:`~sigma_scale.export.export_counts`."""
    import numcodecs
    import zarr

    root = zarr.open_group(str(path), mode="w-", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": FORMAT_VERSION})
    signal = root.create_group("Experiments").create_group(group_name(image))
    signal.attrs.update({"package": "", "package_version": ""})
    write_tree(signal, signal_tree(image), _add_list)
    blosc = numcodecs.Blosc(cname="zstd", clevel=level, shuffle=numcodecs.Blosc.BITSHUFFLE)
    data = signal.create_array(
        "data",
        shape=tiles.shape,
        dtype=tiles.dtype,
        chunks=tiles.chunk_shape,
        fill_value=0,
        filters=None,
        compressors=blosc if level else None,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    write_chunks(data, tiles)


def _add_list(group: Any, name: str, values: Sequence[Any]) -> None:
    content = np.array(values)
    array = group.create_array(
        name, shape=content.shape, dtype=content.dtype, filters=None, compressors=None
    )
    array[:] = content
