"""Laying out a store that is not finished: everything but the counts and what follows from them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import zarr

from sigma_scale.errors import StoreError
from sigma_scale.spectra.source import CHUNK_PIXELS
from sigma_scale.store.layout import COUNTS, SCHEMA, STATE
from sigma_scale.store.zarr_codec import EventsCodec

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.store.codec import Encoding

__all__ = ["create"]

_IMAGE_CHUNK = 2048
_FLOAT_CHUNK = 32


def create(path: Path, image: SpectrumImage, identity: str, encoding: Encoding) -> None:
    """
    Lay out an unfinished store with everything but the counts and what follows from them.

    It is built beside its final place and moved there, so that what is found there is whole.
    """
    building = path.with_name(f".{path.name}.creating")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if building.exists():
            shutil.rmtree(building)
        _lay_out(building, image, identity, encoding)
        if path.exists():
            path.rmdir()
        building.rename(path)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise StoreError(f"The store {path} can't be created: {error}") from error


def _lay_out(path: Path, image: SpectrumImage, identity: str, encoding: Encoding) -> None:
    attrs = {
        **image.metadata.to_attrs(),
        "pixel_size": list(image.pixel_size),
        "energy_axis": {
            "scale_kev": image.energy.scale_kev,
            "offset_kev": image.energy.offset_kev,
        },
        "images": list(image.images),
        STATE: {"schema": SCHEMA, "state": "unfinished", "identity": identity},
    }
    dataset = _images_dataset(image).assign_attrs(attrs)
    dataset.to_zarr(path, mode="w-", consolidated=False, zarr_format=3)
    group = zarr.open_group(str(path), mode="r+")
    source = image.source
    events = source.dtype.kind == "u"
    side = CHUNK_PIXELS if events else _FLOAT_CHUNK
    details: dict[str, Any] = {}
    if events:
        serializer = EventsCodec(encoding.compressor, encoding.level)
        details = {"serializer": serializer, "compressors": None, "filters": None}
    counts = group.create_array(
        COUNTS,
        shape=source.shape,
        dtype=source.dtype,
        chunks=(side, side, source.shape[2]),
        dimension_names=("y", "x", "energy"),
        **details,
    )
    counts.attrs["long_name"] = "X-ray counts"


def _images_dataset(image: SpectrumImage) -> xr.Dataset:
    """Build the images and coordinates; images of another size get dimensions of their own."""
    import xarray as xr

    raw = image.with_processing(bin_factors=(1, 1))
    dataset = xr.Dataset(coords=raw.coordinates())
    for name, data in image.images.items():
        own_grid = data.shape != image.source.shape[:2]
        names = {dim: f"{dim}_{name}" for dim in ("y", "x")} if own_grid else {}
        plain = data if own_grid else data.drop_vars(("y", "x"), errors="ignore")
        dataset[name] = plain.rename(names).chunk(_IMAGE_CHUNK)
    return dataset
