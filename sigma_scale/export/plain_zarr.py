"""
Export to a plain dense zarr, for programs without the codec of our stores.

A zarr 3 group with the codecs of its specification only (bytes, blosc) [1]_, which xarray and other
programs read as it is.

References
----------
.. [1] https://zarr-specs.readthedocs.io/en/latest/v3/codecs/index.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale.export.target import MARK, marked_attributes
from sigma_scale.export.zarr_chunks import CHUNK_BYTES, write_chunks
from sigma_scale.store.layout import consolidate

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from sigma_scale.export.tiles import DenseTiles
    from sigma_scale.spectra import SpectrumImage

__all__ = ["CHUNK_BYTES", "is_export", "write"]

_IMAGE_CHUNK = 2048


def is_export(path: Path) -> bool:
    """Whether there is a zarr at a path that this module wrote."""
    attributes = marked_attributes(path)
    return bool(attributes) and "ome" not in attributes


def write(path: Path, image: SpectrumImage, tiles: DenseTiles, level: int) -> None:
    """Write a plain zarr group; see :func:`~sigma_scale.export.export_counts`."""
    import zarr

    dataset = _around_the_counts(image)
    compressor = _compressor(level)
    encoding = {name: {"compressors": compressor} for name in dataset.variables}
    dataset.to_zarr(path, mode="w-", consolidated=False, zarr_format=3, encoding=encoding)
    view = image.to_xarray()
    group = zarr.open_group(str(path), mode="r+")
    counts = group.create_array(
        str(view.name),
        shape=tiles.shape,
        dtype=tiles.dtype,
        chunks=tiles.chunk_shape,
        fill_value=0,
        filters=None,
        compressors=compressor,
        dimension_names=("y", "x", "energy"),
        attributes={
            "long_name": "X-ray counts",
            "units": "share" if image.processing.normalised else "counts",
            **view.attrs,
        },
    )
    write_chunks(counts, tiles)
    consolidate(path)


def _compressor(level: int) -> Any:
    from zarr.codecs import BloscCodec

    return BloscCodec(cname="zstd", clevel=level, shuffle="bitshuffle") if level else None


def _around_the_counts(image: SpectrumImage) -> xr.Dataset:
    """Coordinates, metadata and images; images not on the pixels' grid get their own dimensions."""
    import xarray as xr

    attrs = {
        **image.metadata.to_attrs(),
        "pixel_size": list(image.pixel_size),
        "pixel_unit": image.pixel_unit,
        **MARK,
    }
    dataset = xr.Dataset(coords=image.coordinates(), attrs=attrs)
    for name, data in image.images.items():
        on_grid = data.shape == image.shape[:2] == image.source.shape[:2]
        names = {} if on_grid else {dim: f"{dim}_{name}" for dim in ("y", "x")}
        own = data.drop_vars(("y", "x"), errors="ignore") if on_grid else data
        dataset[name] = own.reset_coords(drop=True).rename(
            {dim: new for dim, new in names.items() if dim in own.dims}
        ).chunk(_IMAGE_CHUNK)  # fmt: skip
    return dataset
