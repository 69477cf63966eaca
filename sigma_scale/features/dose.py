"""
Mosaics: doses of tiles and gaps between them, in feature maps.

A mosaic's image ``tile`` says which tile each pixel comes from (-1 in gaps, where nothing was
measured), its image ``dose`` how many counts that tile has relative to the others. Counts are
never changed; what is made of them is comparable from tile to tile.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage

__all__ = [
    "DOSE",
    "MEASURED",
    "TILE",
    "bin_dose_images",
    "correct_dose",
    "count_measured",
    "crop_dose_images",
    "mark_measured",
    "mask_gaps",
    "measured_pixels",
]

TILE, DOSE = "tile", "dose"
"""Names of a mosaic's images."""

MEASURED = "measured"
"""Name of the coordinate that says which pixels of a map were measured."""

GAP = -1
"""Tile of pixels that lie in none."""

_BLOCK = 1024
"""Pixels along the side of what is read of lazy images at once, about."""
_BAND_VALUES = 2**22


def correct_dose(maps: xr.DataArray, image: SpectrumImage) -> xr.DataArray:
    """
    Make the line intensities of a mosaic's tiles comparable, and take its gaps out.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Line intensities of the (binned) map, lazy or not; they are not changed.
    image : SpectrumImage
        The map that they are of, seen through the same bins. A mosaic has the image ``tile`` and,
        where its tiles' doses are known, ``dose``.

    Returns
    -------
    xarray.DataArray, shape (y, x, line), float32
        Lazy where the maps are. Counts are divided by the mean dose of the bin's pixels, in which
        one that was not measured has none: a bin half outside the mosaic is thus comparable too.
        Shares of the total, of a normalised image, do not depend on the dose and stay as they
        are. Bins without any measured pixel are NaN. ``attrs["recipe"]`` says what was done. The
        maps as they are, if the image is no mosaic.

    Raises
    ------
    ParameterError
        If the image ``dose`` is not positive in a measured pixel; of a lazy result when it is
        computed.
    ShapeMismatchError
        If the maps are of other pixels than the image.
    """
    exposure = _exposure(image, None if maps.chunks is None else maps.data.chunks[:2])
    if exposure is None:
        return maps
    if maps.shape[:2] != exposure.shape:
        raise ShapeMismatchError(
            f"The maps have {maps.shape[0]} x {maps.shape[1]} pixels, the image has "
            f"{exposure.shape[0]} x {exposure.shape[1]}. Bin both alike."
        )
    divide = not image.processing.normalised
    data: Any
    if maps.chunks is None:
        data = _corrected(np.asarray(maps.data), exposure, divide=divide)
    else:
        import dask.array as da

        data = da.map_blocks(
            _corrected_block,
            maps.data,
            exposure[:, :, None],
            divide=divide,
            dtype=np.float32,
            meta=np.empty((0, 0, 0), np.float32),
        )
    has_doses = divide and _on_grid(image, DOSE) is not None
    recipe = {
        **maps.attrs.get("recipe", {}),
        "dose_correction": {"tile_doses": has_doses, "partly_measured_bins": divide, "gaps": "NaN"},
    }
    units = "counts per unit of dose" if divide else maps.attrs.get("units", "")
    return maps.copy(data=data).assign_attrs(units=units, recipe=recipe)


def measured_pixels(image: SpectrumImage) -> xr.DataArray | None:
    """
    Find the (binned) pixels of a mosaic that are not gaps.

    Parameters
    ----------
    image : SpectrumImage
        The map.

    Returns
    -------
    xarray.DataArray, shape (y, x), bool, or None
        Bins with one measured pixel at least; lazy where the image ``tile`` is. None where the
        map is no mosaic.
    """
    import xarray as xr

    tile = _on_grid(image, TILE)
    if tile is None:
        return None
    data = _reduced(_any_measured, [tile], image, np.bool_, None)
    coordinates = image.coordinates()
    return xr.DataArray(
        data,
        dims=("y", "x"),
        coords={name: coordinates[name] for name in ("y", "x")},
        name=MEASURED,
    )


def count_measured(image: SpectrumImage) -> int:
    """
    Count the (binned) pixels that were measured: all of them, but for a mosaic's gaps.

    Parameters
    ----------
    image : SpectrumImage
        The map.

    Returns
    -------
    int
    """
    measured = measured_pixels(image)
    if measured is None:
        return image.shape[0] * image.shape[1]
    (number,) = compute.run(measured.sum(), description="Gaps of the mosaic")
    return int(number)


def mark_measured(maps: Any, image: SpectrumImage) -> Any:
    """
    Note on maps of labels which of their pixels were measured, if not all were.

    Parameters
    ----------
    maps : xarray.DataArray or xarray.Dataset, over (y, x)
        Maps of the (binned) image's pixels.
    image : SpectrumImage
        The image.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        The same with the coordinate ``measured`` (y, x), bool, lazy where the maps are; the maps
        as they are, if there are no gaps.
    """
    measured = measured_pixels(image)
    if measured is None:
        return maps
    what = "Gaps of the mosaic"
    if maps.chunks:
        (whole,) = compute.run(measured.all(), description=what)
    else:
        (measured,) = compute.run(measured, description=what)
        whole = measured.all()
    if bool(whole):
        return maps
    return maps.assign_coords({MEASURED: (("y", "x"), measured.data)})


def mask_gaps(maps: xr.DataArray, image: SpectrumImage) -> xr.DataArray:
    """
    Take a mosaic's gaps out of maps or an image, to be shown.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x) or (y, x, line)
        On the grid of the (binned) image.
    image : SpectrumImage
        The image.

    Returns
    -------
    xarray.DataArray, of the same shape
        With NaN in gaps, and as float32 then if it was of whole numbers; as it is, if the image
        is no mosaic.
    """
    measured = measured_pixels(image)
    if measured is None:
        return maps
    wide = maps if maps.dtype.kind == "f" else maps.astype(np.float32)
    shown: xr.DataArray = wide.where(measured.drop_vars(("y", "x")))
    return shown.transpose(*maps.dims).assign_attrs(maps.attrs)


def bin_dose_images(image: SpectrumImage) -> dict[str, xr.DataArray]:
    """
    Make a mosaic's images for a map whose pixels are the bins of this one.

    Parameters
    ----------
    image : SpectrumImage
        The map.

    Returns
    -------
    dict of str to xarray.DataArray, shape (y, x)
        ``tile``, int32, the highest of each bin's tiles, -1 where there is none; ``dose``,
        float32, the mean of its pixels' doses, those of gaps 0, and NaN where all are. Empty if
        the map is no mosaic.
    """
    import xarray as xr

    tile = _on_grid(image, TILE)
    if tile is None:
        return {}
    exposure = _exposure(image, None)
    images = {
        TILE: (_reduced(_highest, [tile], image, np.int32, None), tile.attrs),
        DOSE: (exposure, {"units": ""}),
    }
    return {
        name: xr.DataArray(data, dims=("y", "x"), name=name, attrs=attrs)
        for name, (data, attrs) in images.items()
    }


def crop_dose_images(image: SpectrumImage, extent: tuple[int, int]) -> dict[str, xr.DataArray]:
    """
    Cut a mosaic's images to the first rows and columns.

    Parameters
    ----------
    image : SpectrumImage
        The map.
    extent : tuple of int
        Rows and columns to keep.

    Returns
    -------
    dict of str to xarray.DataArray
        ``tile`` and ``dose``, as far as there are such images.
    """
    rows, columns = extent
    found = {name: _on_grid(image, name) for name in (TILE, DOSE)}
    return {name: each[:rows, :columns] for name, each in found.items() if each is not None}


def _on_grid(image: SpectrumImage, name: str) -> xr.DataArray | None:
    """Image of that name, if it is one of a mosaic: other files may use the name otherwise."""
    found = image.images.get(name)
    if found is None or found.shape != image.source.shape[:2]:
        return None
    kind = "i" if name == TILE else "fiu"
    return found if found.dtype.kind in kind else None


def _exposure(image: SpectrumImage, chunks: Any) -> Any:
    """
    Mean dose of each bin's pixels, shape (y, x), float32, NaN where none was measured.

    Of NumPy if ``chunks`` is None and the images are in memory; computed if they are lazy.
    """
    tile, dose = _on_grid(image, TILE), _on_grid(image, DOSE)
    if tile is None:
        return None
    images = [tile] if dose is None else [tile, dose]
    lazy = _reduced(_mean_dose, images, image, np.float32, chunks)
    if chunks is None and hasattr(lazy, "dask"):
        (computed,) = compute.run(lazy, description="Doses of the tiles")
        return computed
    return lazy


def _reduced(
    function: Any, images: list[xr.DataArray], image: SpectrumImage, dtype: Any, chunks: Any
) -> Any:
    """Reduce images to one number per bin, in chunks of whole bins where something is lazy."""
    rows, columns, _ = image.shape
    factors = image.processing.bin_factors
    values = [picture.data[: rows * factors[0], : columns * factors[1]] for picture in images]
    if chunks is None and not any(hasattr(value, "dask") for value in values):
        return function(*map(np.asarray, values), factors=factors)
    import dask.array as da

    if chunks is None:
        chunks = tuple(
            _even_chunks(length, max(_BLOCK // factor, 1))
            for length, factor in zip((rows, columns), factors, strict=True)
        )
    fine = tuple(
        tuple(size * factor for size in sizes)
        for sizes, factor in zip(chunks, factors, strict=True)
    )
    parts = [
        value.rechunk(fine) if hasattr(value, "dask") else da.from_array(value, chunks=fine)
        for value in values
    ]
    return da.map_blocks(
        function, *parts, factors=factors, dtype=dtype, chunks=chunks, meta=np.empty((0, 0), dtype)
    )


def _even_chunks(length: int, size: int) -> tuple[int, ...]:
    return tuple(min(size, length - start) for start in range(0, length, size))


def _mean_dose(
    tile: NDArray[Any], dose: NDArray[Any] | None = None, *, factors: tuple[int, int]
) -> NDArray[np.float32]:
    measured = tile != GAP
    if dose is None:
        doses = measured.astype(np.float64)
    else:
        doses = np.where(measured, dose, 0.0).astype(np.float64)
        if not (doses[measured] > 0).all():
            raise ParameterError(
                f"The image {DOSE!r} is not positive in a pixel that was measured. Compose the "
                f"mosaic anew, or leave the image {DOSE!r} out."
            )
    mean = _added(doses, factors) / math.prod(factors)
    # Doses are positive: nothing was measured exactly where they sum to nothing.
    return np.where(mean > 0, mean, np.nan).astype(np.float32)


def _any_measured(tile: NDArray[Any], *, factors: tuple[int, int]) -> NDArray[np.bool_]:
    return _added((tile != GAP).astype(np.float64), factors) > 0


def _highest(tile: NDArray[Any], *, factors: tuple[int, int]) -> NDArray[np.int32]:
    height, width = factors
    highest = tile[::height, ::width].astype(np.int32)
    for row, column in np.ndindex(height, width):
        np.maximum(highest, tile[row::height, column::width], out=highest)
    return highest


def _added(values: NDArray[np.float64], factors: tuple[int, int]) -> NDArray[np.float64]:
    """Sum bins, always in the same order: NumPy's own depends on the shape of the array."""
    height, width = factors
    total = np.zeros((values.shape[0] // height, values.shape[1] // width))
    for row, column in np.ndindex(height, width):
        total += values[row::height, column::width]
    return total


def _corrected(
    maps: NDArray[Any], exposure: NDArray[np.float32], *, divide: bool
) -> NDArray[np.float32]:
    corrected = np.empty(maps.shape, np.float32)
    step = max(1, _BAND_VALUES // max(1, math.prod(maps.shape[1:])))
    for first in range(0, len(maps), step):
        rows = slice(first, first + step)
        # In float64, rounded once.
        by = exposure[rows, :, None].astype(np.float64)
        if not divide:
            by = np.where(np.isnan(by), np.nan, 1.0)
        np.divide(maps[rows], by, out=corrected[rows], casting="same_kind")
    return corrected


def _corrected_block(
    maps: NDArray[Any], exposure: NDArray[np.float32], *, divide: bool
) -> NDArray[np.float32]:
    return _corrected(maps, exposure[:, :, 0], divide=divide)
