"""Errors that name the file, whatever was raised while it was read."""

from __future__ import annotations

import lzma
import tokenize
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sigma_scale.errors import EmptyMapError, FileFormatError, SigmaScaleError
from sigma_scale.readers.guard import decoding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["refusing"]

# What decoders raise that is none of Python's usual errors: NumPy parses headers as programs, and
# numcodecs makes buffers of the size that a chunk says.
_FOREIGN = (zipfile.BadZipFile, lzma.LZMAError, tokenize.TokenError, SystemError)


@contextmanager
def refusing(path: Path, format_name: str) -> Iterator[None]:
    """
    Turn what is raised into errors that name the file, a lack of memory too.

    For readers whose memory was checked beforehand, as far as the file can be believed: what
    doesn't fit then was taken on the word of a damaged file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    format_name : str
        Such as ``"HyperSpy .hspy"``.

    Raises
    ------
    SourceNotFoundError
        If there is no file at the path.
    FileFormatError
        If the file can't be read.
    """
    try:
        with decoding(path, format_name):
            yield
    except SigmaScaleError as error:
        if not isinstance(error, FileFormatError | EmptyMapError) or str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
    except _FOREIGN as error:
        raise FileFormatError(f"{path} is damaged or not a {format_name} file: {error}") from error
    except MemoryError as error:
        raise FileFormatError(
            f"{path} is damaged, or a part of it takes more memory than there is."
        ) from error
