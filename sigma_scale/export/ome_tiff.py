"""
Maps and labels as OME-TIFF: one file with tiles, smaller sizes, names and the size of a pixel.

The layout is that of OME-TIFF with sub-resolutions [1]_: a page per plane, and smaller sizes as
SubIFDs of each page, the way Bio-Formats, QuPath, napari and ImageJ read them.

References
----------
.. [1] https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma_scale import compute
from sigma_scale.export.planes import Planes, is_label_map
from sigma_scale.export.pyramid import TILE, write_levels
from sigma_scale.export.target import (
    check_level,
    check_target,
    has_ending,
    scratch_beside,
    write_whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["export_ome_tiff", "is_export"]

_SOFTWARE = "sigma_scale"
_ENDINGS = (".ome.tif", ".ome.tiff")
_LARGEST_CLASSIC = 2**32 - 2**25
_CENTIMETRE = 1e4
_TILES_AT_ONCE = 4
"""Tiles per worker that wait to be compressed; left to itself tifffile takes 512 MB of them."""


def is_export(path: Path) -> bool:
    """Whether there is an OME-TIFF at a path that this module wrote."""
    import tifffile

    if not path.is_file():
        return False
    try:
        with tifffile.TiffFile(path) as file:
            return bool(file.is_ome) and file.pages.first.software.startswith(_SOFTWARE)
    except (OSError, ValueError, IndexError, TypeError, KeyError):
        return False


def export_ome_tiff(
    maps: xr.DataArray,
    path: str | Path,
    *,
    labels: bool | None = None,
    names: Mapping[int, str] | None = None,
    overwrite: bool = False,
    level: int = 6,
) -> Path:
    """
    Write maps or labels as an OME-TIFF with tiles and smaller sizes.

    Maps of any size are written tile by tile. What is lazy is computed once, and kept in a hidden
    folder beside the target meanwhile.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x) or (y, x, line, phase or component)
        The maps; names along the third dimension become names of channels. 64-bit integers are
        written as float64, truth values as 0 and 1, float16 as float32.
    path : path
        Where to; ends in ``.ome.tif`` or ``.ome.tiff``.
    labels : bool, optional
        Whether the numbers are phases. Then 0 in the file is the background (labels below 0) and
        each phase has its label plus one, in the smallest unsigned type; regions (an array of the
        name ``region``) keep their numbers. None: where whole numbers are called ``labels`` or
        the like, or ``region``.
    names : mapping of int to str, optional
        Names of phases by label, kept as annotations.
    overwrite : bool, default: False
        Replace an earlier export. Anything else is never replaced.
    level : int, default: 6
        Effort of compression (zlib), 0 (none) to 9.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    ParameterError
        If the name, the dimensions or the values don't fit an image.
    EmptyMapError
        If there are no pixels.
    OutputExistsError
        If something is at the path already that may not be replaced.
    MemoryLimitError
        If a few blocks don't fit the memory limit.
    StoreError
        If writing fails. Nothing is left behind then, and what was there before is still there.

    Notes
    -----
    Sizes of pixels are written where the coordinates are in micrometres, and left out elsewhere.
    NaN stays NaN.
    """
    path = Path(path)
    has_ending(path, _ENDINGS, "An OME-TIFF")
    check_level(level)
    if labels is None:
        labels = is_label_map(maps)
    check_target(path, overwrite=overwrite, replaceable=is_export)
    planes = Planes.of_labels(maps) if labels else Planes.of_maps(maps)
    return write_whole(
        path, lambda draft: _write(path, draft, planes, names or {}, level), is_export=is_export
    )


def _write(
    path: Path, draft: Path, planes: Planes, names: Mapping[int, str], compression: int
) -> None:
    import tifffile
    import zarr

    workers = compute.local_workers()
    with scratch_beside(path) as scratch:
        levels = write_levels(zarr.open_group(str(scratch), mode="w"), planes, level=1)
        size = sum(level.size * level.dtype.itemsize for level in levels)
        with tifffile.TiffWriter(draft, bigtiff=size > _LARGEST_CLASSIC, ome=True) as file:
            for number, level in enumerate(levels):
                side = [min(TILE, _whole_blocks(length)) for length in level.shape[-2:]]
                file.write(
                    _tiles(level),
                    shape=level.shape,
                    dtype=level.dtype,
                    tile=side,
                    subifds=0 if number else len(levels) - 1,
                    subfiletype=1 if number else 0,
                    photometric="minisblack",
                    compression="zlib" if compression else None,
                    compressionargs={"level": compression} if compression else None,
                    software=_SOFTWARE,
                    maxworkers=workers,
                    buffersize=_TILES_AT_ONCE * workers * TILE**2 * level.dtype.itemsize,
                    metadata=None if number else _described(planes, names),
                    **_resolution(planes, 2**number),
                )


def _whole_blocks(length: int) -> int:
    """Side of a TIFF's tile: a multiple of 16."""
    return -(-length // 16) * 16


def _tiles(level: Any) -> Iterator[NDArray[Any]]:
    """Chunks of an array in the order of a TIFF: plane by plane, row by row."""
    planes = level.shape[0] if level.ndim == 3 else 1  # noqa: PLR2004
    for plane in range(planes):
        for top in range(0, level.shape[-2], TILE):
            for left in range(0, level.shape[-1], TILE):
                place = (slice(top, top + TILE), slice(left, left + TILE))
                yield level[place] if level.ndim == 2 else level[(plane, *place)]  # noqa: PLR2004


def _resolution(planes: Planes, factor: int) -> dict[str, Any]:
    """Pixels per centimetre, for programs that don't know OME."""
    if planes.pixel_size is None:
        return {}
    height, width = (_CENTIMETRE / (size * factor) for size in planes.pixel_size)
    return {"resolution": (width, height), "resolutionunit": "CENTIMETER"}


def _described(planes: Planes, names: Mapping[int, str]) -> dict[str, Any]:
    """What becomes the file's OME-XML."""
    described: dict[str, Any] = {"Name": planes.title, "axes": "CYX" if planes.dim else "YX"}
    if planes.dim:
        described["Channel"] = {"Name": list(planes.names)}
    if planes.pixel_size is not None:
        height, width = planes.pixel_size
        described |= {
            "PhysicalSizeX": width, "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": height, "PhysicalSizeYUnit": "µm",
        }  # fmt: skip
    if planes.is_labels:
        numbers = "Numbers of regions" if planes.first else "Labels of phases plus one"
        described["Description"] = f"{numbers}; 0 is the background."
        if names:
            described["MapAnnotation"] = {
                "Namespace": f"sigma_scale/{'regions' if planes.first else 'phases'}",
                "Value": {
                    str(label + 1 - planes.first): str(name) for label, name in names.items()
                },
            }
    return described
