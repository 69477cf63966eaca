"""Bruker composite files (.bcf), whole file by way of RosettaSciIO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale.readers.signals import choose_eds, image_from_signals, load

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

__all__ = ["read"]


def read(path: Path) -> SpectrumImage:
    """
    Read the map and the images of a .bcf file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    SpectrumImage
        With the first image of the map's size as navigation image.

    Raises
    ------
    FileFormatError
        If the file is damaged or not a Bruker file.
    NoSpectraError
        If it holds no EDS map.
    """
    from rsciio.bruker import file_reader

    signals = load(file_reader, path, format_name="Bruker .bcf")
    return image_from_signals(path, choose_eds(path, signals), signals)
