"""Laying out a store that is not finished: everything but the counts and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zarr
from zarr.errors import ContainsArrayError, ContainsGroupError

from sigma_scale import compute
from sigma_scale.errors import StoreError
from sigma_scale.spectra.source import CHUNK_PIXELS
from sigma_scale.store.layout import COUNTS, SCHEMA, STATE
from sigma_scale.store.places import place_at, zarr_store
from sigma_scale.store.zarr_codec import EventsCodec

if TYPE_CHECKING:
    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.store.codec import Encoding
    from sigma_scale.store.location import Location

__all__ = ["create"]

_IMAGE_CHUNK = 2048
_FLOAT_CHUNK = 32


def create(location: Location, image: SpectrumImage, identity: str, encoding: Encoding) -> None:
    """
    Lay out an unfinished store with everything but the counts and what follows from them.

    What is found at the place has its mark: a folder is built beside it and moved there whole, and
    the first object that is written is the mark.

    Raises
    ------
    StoreError
        If it can't be created.
    """
    try:
        with place_at(location).building() as building:
            _lay_out(building, image, identity, encoding)
    except OSError as error:
        raise StoreError(f"The store {location} can't be created: {error}") from error
    except (ContainsArrayError, ContainsGroupError) as error:
        raise StoreError(
            f"The store {location} can't be created: another program is doing the same. Let it "
            "end, and run the same command again."
        ) from error


def _lay_out(location: Location, image: SpectrumImage, identity: str, encoding: Encoding) -> None:
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
    target = zarr_store(location)
    zarr.create_group(target, zarr_format=3, attributes=attrs)
    images = dataset.to_zarr(target, mode="a", consolidated=False, zarr_format=3, compute=False)
    # Where all work goes; zarr's way would start threads inside a task.
    compute.run(images, description="Writing images")
    group = zarr.open_group(target, mode="r+", zarr_format=3)
    source = image.source
    events = source.dtype.kind == "u"
    side = CHUNK_PIXELS if events else _FLOAT_CHUNK
    details: dict[str, Any] = {}
    if events:
        serializer = EventsCodec(encoding.compressor, encoding.level)
        details = {"serializer": serializer, "compressors": None, "filters": None}
    # The last part: a store that has it is laid out.
    group.create_array(
        COUNTS,
        shape=source.shape,
        dtype=source.dtype,
        chunks=(side, side, source.shape[2]),
        dimension_names=("y", "x", "energy"),
        attributes={"long_name": "X-ray counts"},
        **details,
    )


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
