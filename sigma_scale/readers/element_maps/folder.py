"""A folder of images, one for each element or X-ray line, as element maps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.compute import check_memory
from sigma_scale.errors import (
    FileFormatError,
    NoSpectraError,
    ShapeMismatchError,
    SourceNotFoundError,
)
from sigma_scale.readers.element_maps.grey_images import SUFFIXES, load_grey, read_header
from sigma_scale.readers.oxford.lines import in_order, map_name
from sigma_scale.spectra import MapMetadata, SourceFile
from sigma_scale.spectra.element_maps import ElementMaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.readers.element_maps.grey_images import ImageHeader

__all__ = ["read_folder", "read_intensity"]


def read_folder(folder: Path, intensity_image: str | Path | None = None) -> ElementMaps:
    """
    Read a folder of element images.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of .tif, .tiff, .png or .bmp files, 8 or 16 bits, grey or tinted. A file's name
        without its ending is the name of its map; files whose names begin with a dot are passed
        over, as are folders within it.
    intensity_image : path, optional
        Image for navigation, such as one of backscattered electrons: a file, or the name of one
        in the folder. It is not a map then.

    Returns
    -------
    ElementMaps
        In memory, in natural order of their names, of the narrowest type that holds all.

    Raises
    ------
    SourceNotFoundError
        If the folder or the intensity image isn't there.
    NoSpectraError
        If there are no images in the folder.
    FileFormatError
        If an image can't be read, or two would be maps of the same name.
    ShapeMismatchError
        If the images differ in size.
    MemoryLimitError
        If they don't fit into memory.
    """
    intensity = None if intensity_image is None else _find(folder, Path(intensity_image))
    files = [path for path in _images_in(folder) if not _same_file(path, intensity)]
    if not files:
        raise NoSpectraError(
            f"{folder} holds no element images: files ending in {', '.join(SUFFIXES)}."
        )
    _check_names(folder, files)
    headers = {path: read_header(path) for path in files}
    if intensity is not None:
        headers[intensity] = read_header(intensity)
    shape = _common_shape(headers)
    dtype = np.result_type(*(headers[path].dtype for path in files))
    needed = len(files) * shape[0] * shape[1] * dtype.itemsize
    check_memory(
        needed + 2 * max(header.nbytes for header in headers.values()),
        what=f"Reading the {len(files)} images of {folder}",
        remedy="Read fewer of them, or make them smaller first.",
    )
    stack = np.empty((len(files), *shape), dtype=dtype)
    for values, path in zip(stack, files, strict=True):
        values[:] = load_grey(path)
    return ElementMaps(
        _as_maps(stack, files),
        None if intensity is None else _as_image(load_grey(intensity), intensity),
        metadata=_metadata(folder, files if intensity is None else [*files, intensity]),
    )


def read_intensity(path: Path, shape: tuple[int, int]) -> xr.DataArray:
    """
    Read an image for navigation.

    Parameters
    ----------
    path : pathlib.Path
        File.
    shape : tuple of int
        Rows and columns that it must have.

    Raises
    ------
    SourceNotFoundError
        If it isn't there.
    FileFormatError
        If it can't be read.
    ShapeMismatchError
        If it is of another size.
    """
    found = read_header(path).shape
    if found != shape:
        raise ShapeMismatchError(
            f"The intensity image {path} has {found[0]} x {found[1]} pixels, the maps have "
            f"{shape[0]} x {shape[1]}. Resize it first."
        )
    return _as_image(load_grey(path), path)


def _images_in(folder: Path) -> list[Path]:
    try:
        files = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES
            and not path.name.startswith(".")
            and not path.is_dir()
        ]
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"There is no folder {folder}.") from error
    except OSError as error:
        raise FileFormatError(f"{folder} can't be read as a folder of images: {error}") from error
    return sorted(files, key=_natural)


def _natural(path: Path) -> tuple[Any, ...]:
    """Order in which numbers count as numbers, and case doesn't at first."""
    parts = re.split(r"([0-9]+)", path.stem.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def _find(folder: Path, image: Path) -> Path:
    for path in (image, folder / image):
        if path.exists():
            return path
    raise SourceNotFoundError(
        f"There is no intensity image {image}, neither there nor in the folder {folder}."
    )


def _same_file(path: Path, other: Path | None) -> bool:
    return other is not None and path.exists() and path.samefile(other)


def _check_names(folder: Path, files: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in files:
        if path.stem in seen:
            raise FileFormatError(
                f"{folder} has two images for {path.stem!r}: {seen[path.stem].name} and "
                f"{path.name}. Take one away."
            )
        seen[path.stem] = path


def _common_shape(headers: dict[Path, ImageHeader]) -> tuple[int, int]:
    first, header = next(iter(headers.items()))
    for path, other in headers.items():
        if other.shape != header.shape:
            sizes = " and ".join(
                f"{name} has {shape[0]} x {shape[1]} pixels"
                for name, shape in ((first, header.shape), (path, other.shape))
            )
            raise ShapeMismatchError(f"Images of one map must be of one size, but {sizes}.")
    return header.shape


def _as_maps(stack: NDArray[Any], files: Sequence[Path]) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(
        np.moveaxis(stack, 0, -1),
        dims=("y", "x", "line"),
        coords={"line": [path.stem for path in files]},
    )


def _as_image(values: NDArray[Any], path: Path) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(values, dims=("y", "x"), attrs={"long_name": path.stem})


def _metadata(folder: Path, files: Sequence[Path]) -> MapMetadata:
    elements, lines = in_order(map_name(path.stem, None, None) for path in files)
    return MapMetadata(
        title=folder.resolve().name,
        elements=elements,
        lines=lines,
        sources=tuple(SourceFile.at(path) for path in files),
    )
