"""HyperSpy files (.hspy and .zspy), whole file by way of RosettaSciIO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale.readers.signals import choose_eds, image_from_signals, load

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

__all__ = ["read"]


def read(path: Path) -> SpectrumImage:
    """
    Read the EDS signal of a HyperSpy file.

    Parameters
    ----------
    path : pathlib.Path
        The .hspy file or .zspy folder.

    Returns
    -------
    SpectrumImage
        Of the file's type; signed counts become unsigned, floats stay as they are.

    Raises
    ------
    FileFormatError
        If the file is damaged or not a HyperSpy file.
    NoSpectraError
        If it holds no EDS map.
    """
    if path.suffix.lower() == ".zspy":
        from rsciio.zspy import file_reader

        signals = load(file_reader, path, format_name="HyperSpy .zspy")
    else:
        from rsciio.hspy import file_reader

        signals = load(file_reader, path, format_name="HyperSpy .hspy")
    return image_from_signals(path, choose_eds(path, signals), signals)
