"""Element maps from files: folders of images, and .h5oina files without spectra."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sigma_scale.errors import FileFormatError, SourceNotFoundError
from sigma_scale.spectra import SourceFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sigma_scale.spectra.element_maps import ElementMaps

__all__ = ["read_element_maps"]

_OXFORD = ".h5oina"


def read_element_maps(
    path: str | Path,
    intensity_image: str | Path | None = None,
    *,
    slice_number: int | None = None,
    detectors: Sequence[int] | None = None,
) -> ElementMaps:
    """
    Read maps of elements or X-ray lines.

    Parameters
    ----------
    path : path
        Folder of images (.tif, .png, .bmp), one for each element or line and named after it; or
        an .h5oina file with window integrals, peak areas or compositions.
    intensity_image : path, optional
        Image for navigation, of the maps' size: a file, or the name of one in the folder. For
        .h5oina files it takes the place of their own electron image.
    slice_number : int, optional
        Which acquisition of an .h5oina file; by default the first that has element maps.
    detectors : sequence of int, optional
        Detectors of an .h5oina file to sum; by default all.

    Returns
    -------
    ElementMaps

    Raises
    ------
    SourceNotFoundError
        If there is nothing at a path.
    FileFormatError
        If it is neither a folder nor an .h5oina file, or something in it is damaged.
    NoSpectraError
        If it holds no element maps.
    ShapeMismatchError
        If images differ in size.
    """
    path = Path(path)
    if path.is_dir():
        from sigma_scale.readers.element_maps.folder import read_folder

        return read_folder(path, intensity_image)
    if not path.exists():
        raise SourceNotFoundError(f"There is no folder or file {path}.")
    if path.suffix.lower() != _OXFORD:
        raise FileFormatError(
            f"{path} holds no element maps: they are read from a folder of images or an {_OXFORD} "
            "file."
        )
    from sigma_scale.readers.oxford.maps import read_maps

    maps = read_maps(path, slice_number=slice_number, detectors=detectors)
    if intensity_image is None:
        return maps
    from sigma_scale.readers.element_maps.folder import read_intensity

    image = Path(intensity_image)
    navigation = read_intensity(image, maps.shape[:2])
    sources = (*maps.metadata.sources, SourceFile.at(image))
    return replace(maps, navigation=navigation, metadata=replace(maps.metadata, sources=sources))
