"""What a store holds and what is made of its labels, by the names that the command takes."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd
    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.store import Location

__all__ = ["array_named", "field_of", "image_named", "result_names", "table_named"]

_MADE_OF_LABELS = ("regions", "proportions", "masks", "figures")
_MEASURED = ("sum_spectrum", "images")
_REMEDIES = {
    "proportions": "Write it to a name that ends in .csv or .parquet.",
    "masks": "Write them to a folder.",
    "figures": "Write them to a folder.",
}
_MAP = {"y", "x"}


def array_named(path: Location, what: str) -> xr.DataArray:
    """
    Result of a store, or the regions of its labels.

    Parameters
    ----------
    path : path or URL
        The store.
    what : str
        Name with or without its group, such as ``phases/mean`` or ``mean``; ``sum_spectrum``; the
        name of an image; or ``regions``, the map of connected regions.

    Raises
    ------
    ParameterError
        If there is none of that name, or more than one.
    """
    if what == "regions":
        from sigma_scale.phases import region_labels

        return region_labels(array_named(path, "labels"))
    results = _results(path)
    matching = [name for name in results if what in {name, name.partition("/")[2]}]
    if len(matching) == 1:
        return results[matching[0]]()
    if matching:
        raise ParameterError(f"{what} may be {' or '.join(matching)}. Name one of them.")
    if what in _REMEDIES:
        raise ParameterError(f"{what} is no map and no spectra. {_REMEDIES[what]}")
    derived = [name for name in results if name.partition("/")[0] not in _MEASURED]
    there = ", ".join(results) if derived else "none; find phases with `sigma-scale run` first"
    *first, last = _MADE_OF_LABELS
    made = f"; and, made of the labels, {', '.join(first)} and {last}" if derived else ""
    alike = _names_like(what, results) if derived else []
    meant = f" Did you mean {' or '.join(alike)}?" if alike else ""
    raise ParameterError(f"{path} holds no result {what!r}.{meant} There are: {there}{made}.")


def _names_like(what: str, results: Iterable[str]) -> list[str]:
    """Names that what was written may have been meant for; each result has a long and a short."""
    known = {name.lower(): name for name in _MADE_OF_LABELS}
    for name in results:
        known |= {name.lower(): name, name.rpartition("/")[2].lower(): name.rpartition("/")[2]}
    return [known[name] for name in get_close_matches(what.lower(), known)]


def result_names(path: Location) -> list[str]:
    """Names of all that a store holds besides the counts, groups included."""
    return list(_results(path))


def _results(path: Location) -> dict[str, Callable[[], xr.DataArray]]:
    """Give all results of a store by group and name, and what was measured besides the counts."""
    from sigma_scale import store

    image = store.open_map(path)
    found: dict[str, Callable[[], xr.DataArray]] = {}
    for group in store.result_names(path):
        result = store.open_result(path, group)
        for name in result.variables:
            if name not in result.indexes:
                array = result[name].reset_coords(drop=True)
                found[f"{group}/{name}"] = partial(array.copy, deep=False)
    # The sum spectrum is planned only where it is asked for: there are tasks for all blocks.
    found["sum_spectrum"] = lambda: image.sum_spectrum().rename("sum_spectrum")
    return found | {f"images/{n}": partial(data.rename, n) for n, data in image.images.items()}


def table_named(path: Location, what: str) -> pd.DataFrame:
    """
    Table of the phases' proportions, of regions, or of a result that is no map.

    Raises
    ------
    ParameterError
        If there is no such result, or it is a map.
    """
    if what == "proportions":
        from sigma_scale.phases import proportions

        return proportions(array_named(path, "labels"))
    if what == "regions":
        from sigma_scale.phases import region_statistics

        return region_statistics(array_named(path, "labels"))
    array = array_named(path, what)
    if set(array.dims) >= _MAP or not 1 <= array.ndim <= 2:  # noqa: PLR2004
        raise ParameterError(
            f"{what} is a map of the dimensions {array.dims}, not a table. Write it to a name that "
            "ends in .ome.tif, .ome.zarr, .hspy or .zspy."
        )
    upright = array.transpose("energy", ...) if "energy" in array.dims else array
    if upright.ndim == 1:
        return upright.to_series().rename(str(array.name)).to_frame()
    return cast("pd.DataFrame", upright.to_pandas())


def image_named(path: Location, name: str) -> xr.DataArray:
    """
    Image that lies over a map: what it shows doesn't matter here, only where its pixels are.

    Parameters
    ----------
    path : path or URL
        The store.
    name : str
        Name of an image in the store; or a file of an image that shows the field of the map.

    Returns
    -------
    xarray.DataArray, shape (y, x)
        An image of the store as it is, where that has a place of its own; else something of its
        size that fills the field of the whole map, in the map's unit.

    Raises
    ------
    ParameterError
        If there is no such image.
    SigmaScaleError
        If a file can't be read as an image.
    """
    from sigma_scale import store

    image = store.open_map(path)
    if name in image.images:
        own = image.images[name]
        placed = all(own[dim].attrs.get("units") == image.pixel_unit for dim in ("y", "x"))
        return own if placed else _over_the_map(image, own.shape)
    if not Path(name).is_file():
        there = ", ".join(image.images) or "none"
        raise ParameterError(
            f"There is no file {name}, and {path} holds no image of that name. Its images: {there}."
        )
    from sigma_scale.readers.element_maps.grey_images import read_header

    return _over_the_map(image, read_header(Path(name)).shape)


def field_of(path: Location, columns: int, rows: int) -> xr.DataArray:
    """
    Pixels of another size over the whole map of a store.

    Raises
    ------
    ParameterError
        If there are none.
    """
    from sigma_scale import store

    if min(columns, rows) < 1:
        raise ParameterError(f"--size needs at least one pixel, not {columns} x {rows}.")
    return _over_the_map(store.open_map(path), (rows, columns))


def _over_the_map(image: SpectrumImage, shape: tuple[int, ...]) -> xr.DataArray:
    import xarray as xr

    coords = {}
    for dim, new, old, size in zip(
        ("y", "x"), shape, image.shape[:2], image.pixel_size, strict=True
    ):
        # The centre of the map's first pixel is at 0, its edge half a pixel before that.
        centres = ((np.arange(new) + 0.5) * old / new - 0.5) * size
        coords[dim] = (dim, centres, {"units": image.pixel_unit})
    return xr.DataArray(np.broadcast_to(np.uint8(0), shape), dims=("y", "x"), coords=coords)
