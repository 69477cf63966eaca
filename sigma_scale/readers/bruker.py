"""Bruker composite files (.bcf), whole file by way of RosettaSciIO."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.signals import choose_eds, image_from_signals, load

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

__all__ = ["read"]

# The container is a head and blocks; the head says how many blocks of which size there are.
_HEAD_BYTES = 0x118
_BLOCK_BYTES_AT = 0x128
_BLOCK_NUMBER_AT = 0x148


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

    _check_complete(path)
    signals = load(file_reader, path, format_name="Bruker .bcf")
    return image_from_signals(path, choose_eds(path, signals), signals)


def _check_complete(path: Path) -> None:
    """
    Refuse a file that was cut off.

    RosettaSciIO's compiled decoder doesn't notice: it gives wrong counts or ends the process.

    Raises
    ------
    FileFormatError
        If the file is shorter than its head says.
    """
    if not path.is_file():
        raise FileFormatError(f"{path} is a folder, not a Bruker .bcf file.")
    with path.open("rb") as stream:
        head = stream.read(_BLOCK_NUMBER_AT + 4)
    if len(head) < _BLOCK_NUMBER_AT + 4 or not head.startswith(b"AAMVHFSS"):
        raise FileFormatError(f"{path} is damaged or not a Bruker .bcf file.")
    (block,) = struct.unpack_from("<I", head, _BLOCK_BYTES_AT)
    (number,) = struct.unpack_from("<I", head, _BLOCK_NUMBER_AT)
    size, expected = path.stat().st_size, _HEAD_BYTES + block * number
    if size < expected:
        raise FileFormatError(
            f"{path} is incomplete: it has {size} of {expected} bytes. Copy it again from where "
            "it was made."
        )
